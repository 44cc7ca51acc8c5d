package webhooks_test

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// `make uninstall` refuses while there is something that only the operator lets go: what it asks kubectl for is tried here as it stands in the Makefile.
func TestUninstallNamesWhatOnlyTheOperatorLetsGo(t *testing.T) {
	text, err := os.ReadFile("../Makefile")
	if err != nil {
		t.Fatal(err)
	}
	held := regexp.MustCompile(`(?m)^held = (.+)$`).FindSubmatch(text)
	if held == nil {
		t.Fatal("the Makefile has no line held")
	}
	n := newTenant(t, false)
	ask := func() string {
		out, err := n.run(t, "", "get", "robustmqrestores,robustmqbackups", "-A", "-o", "jsonpath="+string(held[1]))
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		return out
	}
	finalizer := `{"metadata":{"finalizers":["robustmq.io/x"]}}`
	n.create(t, n.restore(t, "ended", `{}`), "")
	n.create(t, n.backup(t, "kept", `{}`), "")
	if out := ask(); strings.Contains(out, " in "+n.namespace) {
		t.Errorf("what goes by itself is named: %s", out)
	}
	n.create(t, n.restore(t, "under-way", finalizer), "")
	n.create(t, n.backup(t, "to-be-removed", finalizer), "")
	out := ask()
	for _, want := range []string{"RobustMQRestore/under-way in " + n.namespace, "RobustMQBackup/to-be-removed in " + n.namespace} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is not named: %s", want, out)
		}
	}
	for _, kind := range []string{"rmqr/under-way", "rmqb/to-be-removed"} { // the way out that docs/install.md names
		if out, err := n.run(t, "", "patch", kind, "--type=merge", "-p", `{"metadata":{"finalizers":null}}`); err != nil {
			t.Errorf("%s: %v: %s", kind, err, out)
		}
	}
	if out := ask(); strings.Contains(out, " in "+n.namespace) {
		t.Errorf("what was let go is named: %s", out)
	}
}
