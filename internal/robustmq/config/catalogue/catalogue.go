package catalogue

import (
	"fmt"
	"iter"
	"slices"
	"strings"

	"github.com/robustmq/robustmq-operator/internal/robustmq"
)

// Section is a group of settings that stand together in server.toml. Since, Until and Was hold for those of its settings that say nothing of their own.
type Section struct {
	Name     string // "" is the top level
	Meaning  string
	Since    robustmq.Version
	Until    robustmq.Version
	Was      []Place
	Resource Kind
	Settings []Setting
}

// Dead is a section that versions read and that cannot be set through the operator.
type Dead struct {
	Name  string
	Until robustmq.Version
	Why   string
}

// DeadSections are those of dialect A: they are gone, and what they did was little.
var DeadSections = []Dead{
	{"message_storage", v035, "those versions read the section and never use it: every topic is stored in RocksDB"},
	{"mqtt_auth_config", v033, "it needs all of its nested tables, with the passwords of other databases in clear among them: create users through the admin API instead"},
}

var (
	sections = slices.Concat(common, metadata, storage, mqtt, protocols, former)
	settings = flatten(sections)
	byName   = index(settings)
)

func flatten(sections []Section) []Setting {
	var all []Setting
	for _, g := range sections {
		for _, s := range g.Settings {
			s.Section = g.Name
			if s.Since == (robustmq.Version{}) {
				s.Since = g.Since
			}
			if s.Until == (robustmq.Version{}) {
				s.Until = g.Until
			}
			if s.Was == nil {
				s.Was = g.Was
			}
			if s.Resource == "" {
				s.Resource = g.Resource
			}
			all = append(all, s)
		}
	}
	return all
}

func index(all []Setting) map[string]map[string]Setting {
	m := map[string]map[string]Setting{}
	for _, s := range all {
		if m[s.Section] == nil {
			m[s.Section] = map[string]Setting{}
		}
		m[s.Section][s.Key] = s
	}
	return m
}

// Sections are all sections in the order of the documentation. The settings in them have nothing inherited; see All.
func Sections() []Section { return slices.Clone(sections) }

// All are all settings, section by section, those of former versions last.
func All() []Setting { return slices.Clone(settings) }

// Every yields what All has without a copy of it: two copies at each look at a cluster were a tenth of what the operator allocated at rest.
func Every() iter.Seq[Setting] { return slices.Values(settings) }

// Lookup finds a setting by its names in spec.config. Every key of [meta_addrs] is the table itself.
func Lookup(section, key string) (Setting, bool) {
	if section == "meta_addrs" {
		section, key = "", "meta_addrs"
	}
	s, ok := byName[section][key]
	return s, ok
}

// Clashes reports whether a key that is not known would stand where a section is, or its section where a setting is: no server could read the file.
func Clashes(section, key string) bool {
	name := Dotted(section, key)
	for _, g := range sections {
		if g.Name == name || strings.HasPrefix(g.Name, name+".") {
			return true
		}
	}
	parent := ""
	for _, part := range strings.Split(section, ".") {
		if _, setting := byName[parent][part]; setting {
			return true
		}
		parent = Dotted(parent, part)
	}
	return false
}

// LookupDead finds a section that cannot be set, by its name or that of a table in it.
func LookupDead(section string) (Dead, bool) {
	for _, d := range DeadSections {
		if section == d.Name || strings.HasPrefix(section, d.Name+".") {
			return d, true
		}
	}
	return Dead{}, false
}

// Withheld reports whether a version has a setting that users may not set there, for the reason that WithheldWhy gives: a placement leader of 0.3.0 to 0.3.7 that takes a node
// off its list applies no write any more (seen on 0.3.0, 3 of 3), so the operator lets it wait for ever.
func Withheld(s Setting, v robustmq.Version) bool {
	return s.Section == "meta_runtime" && s.Key == "heartbeat_timeout_ms" && robustmq.Lookup(v).Tier == robustmq.TierIslands
}

// WithheldWhy is the reason of Withheld.
func WithheldWhy(v robustmq.Version) string {
	return fmt.Sprintf("a leader of RobustMQ %s that expires a node stops applying writes", v)
}
