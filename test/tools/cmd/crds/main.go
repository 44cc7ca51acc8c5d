// crds finishes what controller-gen wrote: of the fields named by -brief, whose types are Kubernetes' own, only their own
// description is kept and not that of everything below them. `kubectl explain pod.spec.affinity` tells the same, and three roles
// with an affinity each would make the definition so large that it could not be applied client-side (annotations end at 256 KiB).
//
//	crds -brief affinity,tolerations -max 250000 DIR
package main

import (
	"bytes"
	"flag"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"
)

func main() {
	log.SetFlags(0)
	log.SetPrefix("crds: ")
	brief := flag.String("brief", "", "fields, by name, below which descriptions are dropped")
	limit := flag.Int("max", 250_000, "largest size of a file, in bytes")
	flag.Parse()
	if flag.NArg() != 1 {
		flag.Usage()
		os.Exit(2)
	}
	if err := run(flag.Arg(0), strings.Split(*brief, ","), *limit); err != nil {
		log.Fatal(err)
	}
}

func run(dir string, brief []string, limit int) error {
	files, err := filepath.Glob(filepath.Join(dir, "*.yaml"))
	if err != nil {
		return err
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		if !bytes.Contains(data, []byte("\nkind: CustomResourceDefinition\n")) {
			continue
		}
		short, err := shorten(data, brief)
		if err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
		if len(short) > limit {
			return fmt.Errorf("%s has %d bytes and may have no more than %d", file, len(short), limit)
		}
		if err := os.WriteFile(file, short, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// shorten drops the descriptions below the fields named in brief, wherever in the document they are.
func shorten(data []byte, brief []string) ([]byte, error) {
	var doc any
	if err := yaml.Unmarshal(data, &doc); err != nil {
		return nil, err
	}
	visit(doc, brief)
	out, err := yaml.Marshal(doc)
	return append([]byte("---\n"), out...), err
}

func visit(node any, brief []string) {
	switch n := node.(type) {
	case map[string]any:
		properties, _ := n["properties"].(map[string]any)
		for name, p := range properties {
			if field, ok := p.(map[string]any); ok && slices.Contains(brief, name) {
				description, documented := field["description"]
				silence(field)
				if documented {
					field["description"] = description
				}
			}
		}
		for _, child := range n {
			visit(child, brief)
		}
	case []any:
		for _, child := range n {
			visit(child, brief)
		}
	}
}

// silence drops every description of a schema; a property that is called "description" is none.
func silence(schema map[string]any) {
	delete(schema, "description")
	for keyword, child := range schema {
		switch c := child.(type) {
		case map[string]any:
			if keyword != "properties" {
				silence(c)
				continue
			}
			for _, property := range c {
				if p, ok := property.(map[string]any); ok {
					silence(p)
				}
			}
		case []any:
			for _, item := range c {
				if i, ok := item.(map[string]any); ok {
					silence(i)
				}
			}
		}
	}
}
