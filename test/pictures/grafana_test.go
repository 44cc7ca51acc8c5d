package main

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/grafana/grafana-foundation-sdk/go/cog"
	"github.com/grafana/grafana-foundation-sdk/go/cog/plugins"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
)

// published leads to docs/dashboards. go test keeps its results until a file inside the module changes: by a link they are inside.
const published = "testdata/dashboards"

func files(t *testing.T) []string {
	t.Helper()
	list, err := filepath.Glob(filepath.Join(published, "*.json"))
	if err != nil || len(list) != 4 {
		t.Fatalf("there are four dashboards, found %v (%v)", list, err)
	}
	return list
}

// Grafana's own types, made from its schemas, refuse what they do not know, and what is missing.
func TestGrafanasOwnSchemaAcceptsTheDashboards(t *testing.T) {
	plugins.RegisterDefaultPlugins()
	for _, file := range files(t) {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var d dashboard.Dashboard
		// An empty list of problems comes as an error that is not nil.
		var problems cog.BuildErrors
		if err := d.UnmarshalJSONStrict(text); !errors.As(err, &problems) || len(problems) > 0 {
			t.Errorf("%s: %v", file, err)
			continue
		}
		if err := d.Validate(); err != nil {
			t.Errorf("%s: %v", file, err)
		}
	}
}
