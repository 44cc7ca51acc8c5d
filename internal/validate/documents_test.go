package validate

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
)

func all(_, kind string) bool { return kind != "Deployment" }

func contents(t *testing.T, text string) *Contents {
	t.Helper()
	var c Contents
	if err := c.Read("f.yaml", strings.NewReader(text), all); err != nil {
		t.Fatal(err)
	}
	return &c
}

const small = "apiVersion: robustmq.io/v1alpha1\nkind: RobustMQCluster\nmetadata: {name: a}\n"

func TestDocumentsAreCountedAndTheirLinesAreThoseOfTheFile(t *testing.T) {
	c := contents(t, "# a comment alone is no document\n---\n"+small+"spec:\n  version: \"1.0.0\"\n  config:\n    a.b:\n      c: 1\n---   # next\n\n"+small+"spec: {list: [1,\n 2]}\n---\nkind: ConfigMap\n")
	if len(c.Documents) != 2 || len(c.Unreadable) != 0 || len(c.PassedOver) != 1 || c.PassedOver[0].Number != 3 {
		t.Fatalf("%+v", c)
	}
	first, second := c.Documents[0], c.Documents[1]
	if first.Line != 3 || first.Number != 1 || second.Number != 2 {
		t.Errorf("%+v, %+v", first, second)
	}
	for path, want := range map[string]int{"spec.version": 7, "spec.config[a.b][c]": 10, "spec.config[a.b][missing].deep": 9, "metadata.name": 5, "nowhere": 3} {
		if got := first.LineOf(path); got != want {
			t.Errorf("%s is on line %d, not %d", path, got, want)
		}
	}
	if got := second.LineOf("spec.list[1]"); got != 17 {
		t.Errorf("the second element of the list is on line %d", got)
	}
}

func TestAListIsItsItems(t *testing.T) {
	c := contents(t, "apiVersion: v1\nkind: List\nitems:\n- apiVersion: robustmq.io/v1alpha1\n  kind: RobustMQCluster\n  metadata: {name: a}\n- apiVersion: apps/v1\n  kind: Deployment\n- 3\n")
	if len(c.Documents) != 1 || c.Documents[0].Object.GetName() != "a" || c.Documents[0].LineOf("metadata.name") != 6 {
		t.Errorf("%+v", c.Documents)
	}
	if len(c.PassedOver) != 1 || len(c.Unreadable) != 1 || c.Unreadable[0].Line != 9 {
		t.Errorf("%+v %+v", c.PassedOver, c.Unreadable)
	}
}

func TestWhatCannotBeReadIsSaidInPlainWords(t *testing.T) {
	for text, want := range map[string]string{
		small + "spec:\n  version: a\n  version: b\n": `f.yaml:6: document 1: key "version" stands twice`,
		"robustmq.io: [\n":                            "this is no YAML",
		small + "spec: {a: &x [*x]}\n":                "an anchor holds itself",
		small + "spec: " + strings.Repeat("[", 200) + strings.Repeat("]", 200) + "\n": "nested more than 100 deep",
		small + "spec: {a: *nobody}\n":                             "unknown anchor",
		"- robustmq.io\n":                                          "it is no object",
		small + "spec: {a: .nan}\n":                                "this is no YAML",
		small + "# " + strings.Repeat("x", maxDocument) + "\n":     "more than 1536 KiB",
		small + "a: [" + strings.Repeat("1,", maxNodes+1) + "1]\n": "anchors written out",
		"\trobustmq.io: a\n":                                       "this is no YAML",
	} {
		c := contents(t, text)
		if len(c.Unreadable) != 1 || !strings.Contains(c.Unreadable[0].Error(), want) {
			t.Errorf("%.60q: %v; want %q", text, c.Unreadable, want)
		}
	}
}

func TestAnchorsAreReadWhereTheyStayWithinBounds(t *testing.T) {
	c := contents(t, small+"spec:\n  mqttBroker: &role {storage: 20Gi}\n  journalServer: *role\n  placementCenter: {<<: *role, replicas: 3}\n")
	if len(c.Documents) != 1 || fmt.Sprint(c.Documents[0].Object.Object["spec"].(map[string]any)["placementCenter"]) != "map[replicas:3 storage:20Gi]" {
		t.Errorf("%+v %+v", c.Documents, c.Unreadable)
	}
}

// TestABombOfAnchorsCostsNothing: written out, it would be 10^9 words of 1 KiB.
func TestABombOfAnchorsCostsNothing(t *testing.T) {
	var b strings.Builder
	b.WriteString(small + "spec:\n  a0: &a0 " + strings.Repeat("x", 1024) + "\n")
	for i := 1; i < 10; i++ {
		fmt.Fprintf(&b, "  a%d: &a%d [%s]\n", i, i, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*a%d,", i-1), 10), ","))
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	c := contents(t, b.String())
	runtime.ReadMemStats(&after)
	if len(c.Unreadable) != 1 || !strings.Contains(c.Unreadable[0].Message, "anchors written out") {
		t.Errorf("%+v", c.Unreadable)
	}
	if used := after.TotalAlloc - before.TotalAlloc; used > 16<<20 {
		t.Errorf("%d bytes to refuse it", used)
	}
}

// endless is a file of the given number of bytes, without a line end.
type endless int

func (e *endless) Read(p []byte) (int, error) {
	if *e <= 0 {
		return 0, fmt.Errorf("the disk is gone")
	}
	n := min(len(p), int(*e))
	for i := range n {
		p[i] = 'x'
	}
	*e -= endless(n)
	return n, nil
}

func TestAFileOfAGigabyteTakesLittleMemoryAndItsErrorIsToldAsIs(t *testing.T) {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	size := endless(1 << 28)
	var c Contents
	err := c.Read("f.yaml", &size, all)
	runtime.ReadMemStats(&after)
	if err == nil || err.Error() != "reading f.yaml: the disk is gone" {
		t.Error(err)
	}
	if used := after.TotalAlloc - before.TotalAlloc; used > 32<<20 {
		t.Errorf("%d bytes for a file that is too long", used)
	}
}

func FuzzRead(f *testing.F) {
	for _, seed := range []string{
		small, small + "---\n" + small, "apiVersion: v1\nkind: List\nitems: [" + "{apiVersion: robustmq.io/v1alpha1, kind: RobustMQCluster}" + "]", small + "spec: {a: &x [*x]}", "robustmq.io: {? [a]: b}",
		small + "spec: {a: &x {b: 1}, c: {<<: *x}}", "--- # c\nrobustmq.io: !!binary aGk=\n", "RobustMQ: !!set {a, b}", "%YAML 1.2\n---\nrobustmq.io: 0o7", "robustmq.io: 1e999", "robustmq.io: \"\\ud800\"", "---\n---\n", "0: RobustMQ\rspec:", small + "spec: {a: 18446744073709551616, b: 0x1F, c: 2001-01-01}",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var c Contents
		if err := c.Read("f", strings.NewReader(string(data)), all); err != nil {
			t.Fatal(err)
		}
		lines := 1
		for _, r := range string(data) {
			if strings.ContainsRune("\n\r\u0085\u2028\u2029", r) { // all that ends a line in YAML
				lines++
			}
		}
		for _, d := range c.Documents {
			if d.Line < 1 || d.Line > lines || d.Object.Object == nil {
				t.Errorf("%+v", d)
			}
			for _, path := range []string{"spec.a", "metadata.name", "spec.config[a][b]", "spec[", "]", "spec.a[0]"} {
				if l := d.LineOf(path); l < 1 || l > lines {
					t.Errorf("%s on line %d of %d", path, l, lines)
				}
			}
			if _, err := d.Object.MarshalJSON(); err != nil && d.Object.GetKind() != "" {
				t.Errorf("what was read cannot be written: %v", err)
			}
		}
		for _, u := range c.Unreadable {
			if u.Message == "" || u.Line < 1 {
				t.Errorf("%+v", u)
			}
		}
	})
}
