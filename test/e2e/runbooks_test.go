package e2e

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/robustmq/robustmq-operator/config/crd"
	"github.com/robustmq/robustmq-operator/webhooks/rules"
)

func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// followed are the pages that somebody follows word by word at night.
func followed(t *testing.T) []string {
	t.Helper()
	return append(append(glob(t, "../../docs/runbooks/*.md"), glob(t, "../../docs/runbooks/alerts/*.md")...), "../../docs/restore.md")
}

func TestEveryWayToLoseDataHasAPageWithTheSamePartsAndIsFoundFromTroubleshooting(t *testing.T) {
	parts := []string{"How it shows", "What the operator does by itself", "What to do", "What is lost", "How to see that it is well again"}
	pages := glob(t, "../../docs/runbooks/*.md")
	if len(pages) != 10 {
		t.Errorf("%d pages", len(pages))
	}
	troubleshooting := read(t, "../../docs/troubleshooting.md")
	for _, page := range pages {
		var found []string
		for _, h := range regexp.MustCompile(`(?m)^## (.+)$`).FindAllStringSubmatch(read(t, page), -1) {
			found = append(found, h[1])
		}
		if !slices.Equal(found, parts) {
			t.Errorf("%s has the parts %q, want %q", page, found, parts)
		}
		if !strings.Contains(troubleshooting, "](runbooks/"+filepath.Base(page)+")") {
			t.Errorf("docs/troubleshooting.md does not lead to %s", page)
		}
	}
}

// words are the string constants of a package: reasons, stages, triggers, escapes, annotations.
func words(t *testing.T, folder string) map[string]bool {
	t.Helper()
	out := map[string]bool{}
	for _, name := range glob(t, filepath.Join(folder, "*.go")) {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			spec, ok := n.(*ast.ValueSpec)
			if !ok {
				return true
			}
			for _, v := range spec.Values {
				if literal, ok := v.(*ast.BasicLit); ok && literal.Kind == token.STRING {
					value, err := strconv.Unquote(literal.Value)
					if err != nil {
						t.Fatal(err)
					}
					out[value] = true
				}
			}
			return true
		})
	}
	return out
}

func TestThePagesThatAreFollowedUseTheWordsOfTheAPI(t *testing.T) {
	known := words(t, "../../api/v1alpha1")
	for word := range words(t, "../../internal/agent/protocol") { // what stands in the rows of members
		known[word] = true
	}
	for _, r := range rules.Restores {
		known[r.Name] = true
	}
	for _, r := range rules.Clusters {
		known[r.Name] = true
	}
	for _, r := range rules.Backups {
		known[r.Name] = true
	}
	for _, word := range []string{"True", "False", "Unknown", "Pending", "Released", "Nodes"} { // Kubernetes' own, and the last is what the tool prints
		known[word] = true
	}
	seen := 0
	for _, page := range followed(t) {
		for _, w := range regexp.MustCompile("`([A-Z][a-z]+[A-Za-z0-9]*)`").FindAllStringSubmatch(read(t, page), -1) {
			seen++
			if !known[w[1]] {
				t.Errorf("%s says %s, and there is no such word", page, w[1])
			}
		}
		for _, w := range regexp.MustCompile(`robustmq\.io/[a-z-]*[a-z]`).FindAllString(read(t, page), -1) {
			if !known[w] && w != "robustmq.io/v" { // the version of the API
				t.Errorf("%s says %s, and there is no such label or annotation", page, w)
			}
		}
	}
	if seen < 100 {
		t.Errorf("%d words were compared", seen)
	}
}

func TestTheFieldsInThePagesThatAreFollowedExist(t *testing.T) {
	fields := map[string]map[string]bool{"spec": {}, "status": {}}
	files, err := crd.Files.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if f.Name() == "kustomization.yaml" {
			continue
		}
		data, err := crd.Files.ReadFile(f.Name())
		if err != nil {
			t.Fatal(err)
		}
		var definition struct {
			Spec struct {
				Versions []struct {
					Schema struct {
						OpenAPIV3Schema struct {
							Properties map[string]struct {
								Properties map[string]any `json:"properties"`
							} `json:"properties"`
						} `json:"openAPIV3Schema"`
					} `json:"schema"`
				} `json:"versions"`
			} `json:"spec"`
		}
		if err := yaml.Unmarshal(data, &definition); err != nil {
			t.Fatal(err)
		}
		for half, known := range fields {
			for name := range definition.Spec.Versions[0].Schema.OpenAPIV3Schema.Properties[half].Properties {
				known[name] = true
			}
		}
	}
	for _, ofVolumes := range []string{"persistentVolumeReclaimPolicy", "claimRef"} { // Kubernetes' own
		fields["spec"][ofVolumes] = true
	}
	fields["status"]["phase"] = true
	seen := 0
	for _, page := range followed(t) {
		for _, f := range regexp.MustCompile(`\b(spec|status)\.([a-zA-Z]+)`).FindAllStringSubmatch(read(t, page), -1) {
			seen++
			if !fields[f[1]][f[2]] {
				t.Errorf("%s says %s.%s, and no kind has it", page, f[1], f[2])
			}
		}
	}
	if seen < 30 {
		t.Errorf("%d fields were compared", seen)
	}
}
