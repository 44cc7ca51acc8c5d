package config

import (
	"maps"
	"strings"

	"github.com/robustmq/robustmq-operator/internal/robustmq"
	"github.com/robustmq/robustmq-operator/internal/robustmq/config/catalogue"
)

// withoutLive takes the settings out of the user's sections that a running server of the version takes in. It is taken out of what is rendered, not out of the result: a setting that
// makes its section appear brings the section's other keys with it, at the values that they have anyway.
func withoutLive(sections map[string]map[string]any, v robustmq.Version) map[string]map[string]any {
	out := make(map[string]map[string]any, len(sections))
	for section, keys := range sections {
		kept := maps.Clone(keys)
		maps.DeleteFunc(kept, func(key string, _ any) bool {
			s, known := catalogue.Lookup(section, key)
			return known && s.TakenLive(v)
		})
		if len(kept) > 0 {
			out[section] = kept
		}
	}
	return out
}

// live are the settings that a running server takes in, as they stand in the document; those that do not stand there have the server's default and are left out.
func (r *renderer) live() []byte {
	var b strings.Builder
	for _, s := range catalogue.All() {
		if !s.TakenLive(r.version) {
			continue
		}
		at, name, _ := s.In(r.version)
		if r.doc.has(at, name) {
			b.WriteString(s.Name() + " = " + r.doc.tables[at][name] + "\n")
		}
	}
	return []byte(b.String())
}
