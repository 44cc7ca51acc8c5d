package config

import (
	"strings"

	"github.com/robustmq/robustmq-operator/internal/robustmq"
	"github.com/robustmq/robustmq-operator/internal/robustmq/config/catalogue"
)

// splitLive parts the user's sections: the settings that a running server of the version takes in are live, all others static. The static ones are rendered alone, rather than the live ones
// taken out of what was rendered: a setting that makes its section appear brings the section's other keys with it, at the values that they have anyway.
func splitLive(sections map[string]map[string]any, v robustmq.Version) (static, live map[string]map[string]any) {
	static, live = map[string]map[string]any{}, map[string]map[string]any{}
	for section, keys := range sections {
		for key, value := range keys {
			into := static
			if s, known := catalogue.Lookup(section, key); known && s.TakenLive(v) {
				into = live
			}
			if into[section] == nil {
				into[section] = map[string]any{}
			}
			into[section][key] = value
		}
	}
	return static, live
}

// live are the settings that a running server takes in, as they stand in the document; those that do not stand there have the server's default and are left out.
func (r *renderer) live() []byte {
	var b strings.Builder
	for s := range catalogue.Every() {
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
