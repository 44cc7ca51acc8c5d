package config_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	"sigs.k8s.io/yaml"

	"github.com/robustmq/robustmq-operator/api/v1alpha1"
)

// included are the files that a kustomization installs, its folders' included.
func included(t *testing.T, folder string) []string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(folder, "kustomization.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var k struct {
		Resources []string `json:"resources"`
		Patches   []struct {
			Path string `json:"path"`
		} `json:"patches"`
	}
	if err := yaml.Unmarshal(data, &k); err != nil {
		t.Fatalf("%s: %v", folder, err)
	}
	var out []string
	for _, p := range k.Patches {
		if p.Path != "" {
			out = append(out, filepath.Join(folder, p.Path))
		}
	}
	for _, r := range k.Resources {
		path := filepath.Join(folder, r)
		if info, err := os.Stat(path); err != nil {
			t.Fatal(err)
		} else if info.IsDir() {
			out = append(out, included(t, path)...)
		} else {
			out = append(out, path)
		}
	}
	return out
}

// Every kind is installed with what judges it and with the rights to carry it out, in each of the installations.
func TestEveryKindIsInstalledWithItsWebhookAndItsRights(t *testing.T) {
	definitions, err := filepath.Glob("crd/robustmq.io_*.yaml")
	if err != nil || len(definitions) != 4 {
		t.Fatal(definitions, err)
	}
	for _, folder := range []string{"default", "namespaced", "bed"} {
		files := included(t, folder)
		for _, wanted := range slices.Concat(definitions, []string{"webhook/manifests.yaml", "rbac/clusters.yaml", "rbac/backups.yaml", "rbac/restores.yaml", "rbac/policies.yaml"}) {
			if !slices.Contains(files, wanted) {
				t.Errorf("%s does not install %s: %v", folder, wanted, files)
			}
		}
	}
	judged := map[string]bool{}
	for _, w := range validating(t, "webhook/manifests.yaml").Webhooks {
		for _, r := range w.Rules {
			for _, resource := range r.Resources {
				judged[resource] = judged[resource] || slices.Contains(r.Operations, admissionregistrationv1.Create)
			}
		}
	}
	for _, file := range definitions {
		if kind := strings.TrimSuffix(strings.TrimPrefix(file, "crd/robustmq.io_"), ".yaml"); !judged[kind] {
			t.Errorf("nobody judges %s when they are made", kind)
		}
	}
}

func validating(t *testing.T, file string) admissionregistrationv1.ValidatingWebhookConfiguration {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var c admissionregistrationv1.ValidatingWebhookConfiguration
	for doc := range strings.SplitSeq(string(data), "\n---\n") {
		if strings.Contains(doc, "\nkind: ValidatingWebhookConfiguration\n") {
			if err := yaml.UnmarshalStrict([]byte(doc), &c); err != nil {
				t.Fatalf("%s: %v", file, err)
			}
		}
	}
	if len(c.Webhooks) == 0 {
		t.Fatalf("%s holds no webhook", file)
	}
	return c
}

func TestEveryWebhookAnswersInTimeOrIsLeftOut(t *testing.T) {
	seen := map[string]bool{}
	for _, w := range validating(t, "webhook/manifests.yaml").Webhooks {
		if seen[w.Name] {
			t.Errorf("%s stands twice", w.Name)
		}
		seen[w.Name] = true
		if *w.SideEffects != admissionregistrationv1.SideEffectClassNone || *w.TimeoutSeconds != 5 || *w.MatchPolicy != admissionregistrationv1.Equivalent {
			t.Errorf("%s: side effects %s, %d s, %s", w.Name, *w.SideEffects, *w.TimeoutSeconds, *w.MatchPolicy)
		}
	}
}

// Whoever takes a restore back writes an annotation or deletes it: neither waits for a webhook.
func TestARestoreCanBeTakenBackWithTheOperatorsWebhooksGone(t *testing.T) {
	asked := false
	for _, w := range validating(t, "webhook/manifests.yaml").Webhooks {
		for _, r := range w.Rules {
			if !slices.Contains(r.Resources, "robustmqrestores") {
				continue
			}
			asked = true
			if slices.Contains(r.Operations, admissionregistrationv1.Delete) || slices.Contains(r.Operations, admissionregistrationv1.OperationAll) {
				t.Errorf("%s is asked before a restore is deleted", w.Name)
			}
			for _, want := range []string{"oldObject == null || object.spec != oldObject.spec", "!has(object.metadata.deletionTimestamp)"} {
				if !slices.ContainsFunc(w.MatchConditions, func(c admissionregistrationv1.MatchCondition) bool { return c.Expression == want }) {
					t.Errorf("%s lacks the condition %q", w.Name, want)
				}
			}
		}
	}
	if !asked {
		t.Error("nobody is asked about restores")
	}
}

// A namespace must be able to go when the operator is gone. So a deletion waits for a webhook only where somebody asked for it on that very object, or is let through when nobody answers.
func TestNoDeletionWaitsForTheOperatorButThatOfWhatIsProtected(t *testing.T) {
	deletions := 0
	for _, w := range validating(t, "webhook/manifests.yaml").Webhooks {
		for _, r := range w.Rules {
			if !slices.Contains(r.Operations, admissionregistrationv1.Delete) && !slices.Contains(r.Operations, admissionregistrationv1.OperationAll) {
				continue
			}
			deletions++
			asked := slices.ContainsFunc(w.MatchConditions, func(c admissionregistrationv1.MatchCondition) bool {
				return strings.Contains(c.Expression, "oldObject.metadata.annotations['"+v1alpha1.AnnotationDeletionProtection+"'] == 'true'")
			})
			if *w.FailurePolicy != admissionregistrationv1.Ignore && !asked {
				t.Errorf("%s keeps what nobody protects while the operator is gone", w.Name)
			}
		}
	}
	if deletions != 2 {
		t.Errorf("%d webhooks are asked about deletions", deletions)
	}
}
