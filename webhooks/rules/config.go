package rules

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/robustmq/robustmq-operator/internal/robustmq"
	"github.com/robustmq/robustmq-operator/internal/robustmq/config/catalogue"
)

var configField = spec.Child("config")

// sectionName and keyName are how RobustMQ writes its names; anything else could not be one.
var (
	sectionName = regexp.MustCompile(`^([a-z0-9_]+(\.[a-z0-9_]+)*)?$`)
	keyName     = regexp.MustCompile(`^[a-z0-9_]+$`)
)

// maxName of a section or key, and maxValue of a value in bytes of JSON.
const (
	maxName  = 128
	maxValue = 8 << 10
)

// entry is one key of spec.config.
type entry struct {
	section, key string
	raw          []byte
	at           *field.Path
	setting      catalogue.Setting
	known        bool
}

// named reports whether section and key are names at all.
func (e entry) named() bool {
	return sectionName.MatchString(e.section) && len(e.section) <= maxName && keyName.MatchString(e.key) && len(e.key) <= maxName
}

// entries are the keys in order.
func entries(c *cluster) []entry {
	var all []entry
	for _, section := range sortedKeys(c.Spec.Config) {
		keys := c.Spec.Config[section]
		for _, key := range sortedKeys(keys) {
			e := entry{section: section, key: key, raw: keys[key].Raw, at: configField.Key(section).Key(key)}
			e.setting, e.known = catalogue.Lookup(section, key)
			all = append(all, e)
		}
	}
	return all
}

// configured is the version that the configuration is for; the newest where VersionKnown has something against it.
func configured(c *cluster) robustmq.Version {
	v, err := robustmq.ParseVersion(c.Spec.Version)
	if err != nil || robustmq.Supported(v) != nil {
		return robustmq.Newest
	}
	return v
}

func configTypes(_, new *cluster, _ Context) []Violation {
	v := configured(new)
	var out []Violation
	for _, e := range entries(new) {
		switch {
		case !e.named():
			out = append(out, Violation{
				Field: e.at, Value: catalogue.Dotted(e.section, e.key), Message: "sections and keys are lower-case letters, digits and underscores, sections with dots between them",
				WayOut: "write the names as docs/config.md lists them",
			})
		case len(e.raw) > maxValue:
			out = append(out, Violation{Field: e.at, Value: e.shown(), Message: fmt.Sprintf("the value has more than %d bytes", maxValue), WayOut: "shorten it"})
		case e.known && !e.setting.Owned:
			if violation, bad := e.judge(); bad {
				out = append(out, violation)
			}
		case !e.known && robustmq.Lookup(v).Unknown: // passed on as it is: see configKnownKeys
			if problem := shape(e.raw); problem != "" {
				out = append(out, Violation{Field: e.at, Value: e.shown(), Message: problem, WayOut: "write a string, a number, true or false, or a list of them"})
			}
		}
	}
	return append(out, together(new, v)...)
}

// judge holds the value of a known key against its type and range.
func (e entry) judge() (Violation, bool) {
	value, err := decoded(e.raw)
	if err != nil {
		return Violation{Field: e.at, Value: e.shown(), Message: "the value cannot be read"}, true
	}
	problem := e.setting.Problem(value)
	if problem == "" {
		return Violation{}, false
	}
	violation := Violation{Field: e.at, Value: e.shown(), Message: "the setting " + problem, WayOut: "write a value such as " + e.setting.Example()}
	if e.setting.Type == catalogue.Text {
		violation.WayOut = "write a string"
	}
	switch value.(type) {
	case string:
		if e.setting.Number() || e.setting.Type == catalogue.Bool {
			violation.WayOut += ", without quotes"
		}
	case json.Number:
		if e.setting.Number() && e.setting.Why != "" {
			violation.Message += ". " + strings.TrimSuffix(e.setting.Why, ".")
		}
	}
	return violation, true
}

// together finds keys that a version needs beside those that are there, and that have no default: it ends at its start otherwise.
func together(c *cluster, v robustmq.Version) []Violation {
	if len(c.Spec.Config) == 0 {
		return nil
	}
	var out []Violation
	for s := range catalogue.Every() {
		keys := c.Spec.Config[s.Section]
		if _, given := keys[s.Key]; given || len(keys) == 0 || !s.RequiredIn(v) {
			continue
		}
		out = append(out, Violation{
			Field: configField.Key(s.Section).Key(s.Key), Value: "", Message: fmt.Sprintf("RobustMQ %s does not start when the section %s is there without this key", v, s.Section),
			WayOut: "write " + s.Takes() + ", or leave the section out",
		})
	}
	return out
}

func decoded(raw []byte) (any, error) {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	var v any
	err := d.Decode(&v)
	return v, err
}

// shape says what is wrong with the value of a key whose type is not known, or nothing.
func shape(raw []byte) string {
	v, err := decoded(raw)
	if err != nil {
		return "the value cannot be read"
	}
	if list, ok := v.([]any); ok {
		for i, e := range list {
			if problem := scalar(e); problem != "" {
				return fmt.Sprintf("element %d of the list %s", i, problem)
			}
		}
		return ""
	}
	if problem := scalar(v); problem != "" {
		return "the value " + problem
	}
	return ""
}

func scalar(v any) string {
	switch v := v.(type) {
	case bool, string:
		return ""
	case json.Number:
		if _, err := v.Int64(); err == nil {
			return ""
		}
		if _, err := strconv.ParseFloat(string(v), 64); err != nil || !strings.ContainsAny(string(v), ".eE") {
			return "is a number that no setting can hold" // whole numbers of TOML have 64 bits
		}
		return ""
	case nil:
		return "is null"
	case []any:
		return "is a list"
	}
	return "is an object"
}

func configReserved(_, new *cluster, _ Context) []Violation {
	v := configured(new)
	var out []Violation
	for _, e := range entries(new) {
		switch {
		case !e.known:
		case e.setting.Owned:
			wayOut := "leave it out: it follows from the cluster and cannot be chosen"
			if e.setting.Owner != "" {
				wayOut = "leave it out and use " + e.setting.Owner
			}
			out = append(out, Violation{Field: e.at, Value: e.shown(), Message: "the operator sets this key itself", WayOut: wayOut})
		case catalogue.Withheld(e.setting, v):
			out = append(out, Violation{
				Field: e.at, Value: e.shown(), Message: "the operator sets this key itself for this version: " + catalogue.WithheldWhy(v),
				WayOut: fmt.Sprintf("leave it out, or use version %q", robustmq.Newest),
			})
		}
	}
	return out
}

// shown is a value as a denial may repeat it, a number as a number: denials end in logs, so nothing that could be a credential does.
func (e entry) shown() any {
	hidden := !e.known || e.setting.Secret || e.section == "admin" || e.section == "llm_client" ||
		strings.Contains(e.key, "password") || strings.Contains(e.key, "secret") || strings.Contains(e.key, "token")
	if hidden {
		return "(not shown)"
	}
	const limit = 64
	value, err := decoded(e.raw)
	if err == nil && len(e.raw) <= limit {
		switch v := value.(type) {
		case string, bool:
			return v
		case json.Number:
			if i, err := v.Int64(); err == nil {
				return i
			}
			if f, err := v.Float64(); err == nil && strings.ContainsAny(v.String(), ".eE") {
				return f
			}
		}
	}
	text := e.raw[:min(len(e.raw), limit)]
	if len(e.raw) > limit {
		return strings.ToValidUTF8(string(text), "?") + "…"
	}
	return strings.ToValidUTF8(string(text), "?")
}

func configKnownKeys(_, new *cluster, _ Context) []Violation {
	v := configured(new)
	var out []Violation
	for _, e := range entries(new) {
		if !e.named() || e.known && e.setting.Owned {
			continue
		}
		violation := Violation{Field: e.at, Value: catalogue.Dotted(e.section, e.key)}
		switch {
		case !e.known:
			e.unknown(&violation, v)
		case e.absent(&violation, v):
		case e.setting.Unused:
			violation.Severity = Warn
			violation.Message, violation.WayOut = "RobustMQ reads the key and does nothing with it", "leave it out, and do not rely on it"
		default:
			continue
		}
		out = append(out, violation)
	}
	return out
}

// unknown says what is wrong with a key that the catalogue does not have.
func (e entry) unknown(violation *Violation, v robustmq.Version) {
	if dead, ok := catalogue.LookupDead(e.section); ok {
		violation.Message = fmt.Sprintf("RobustMQ %s has no section %s, and the operator sets it in no version: %s", v, dead.Name, dead.Why)
		if v.Less(dead.Until) {
			violation.Message = fmt.Sprintf("the operator does not set the section %s: %s", dead.Name, dead.Why)
		}
		violation.WayOut = "leave the section out"
		return
	}
	violation.Message = fmt.Sprintf("RobustMQ %s has no such key, and would silently ignore it", v)
	violation.WayOut = "leave it out, or write a key that docs/config.md lists"
	if robustmq.Lookup(v).Unknown {
		violation.Severity = Warn
		violation.Message = fmt.Sprintf("RobustMQ %s is newer than this operator, which does not know the key and passes it on: a server that does not know it either ignores it silently", v)
		violation.WayOut = "check its spelling and its section"
	}
	near, ok := catalogue.Nearest(e.section, e.key, v)
	switch {
	case !ok:
	case near.Owned && near.Owner != "":
		violation.WayOut = fmt.Sprintf("if you mean %s, use %s", near.Name(), near.Owner)
	case near.Owned:
		violation.WayOut = fmt.Sprintf("leave it out; if you mean %s, the operator sets it itself", near.Name())
	default:
		violation.WayOut = "write " + configField.Key(near.Section).Key(near.Key).String() + " if you mean that"
	}
}

// absent says what is wrong with a key that the version does not have, and whether that is so.
func (e entry) absent(violation *Violation, v robustmq.Version) bool {
	if _, _, ok := e.setting.In(v); ok {
		return false
	}
	s := e.setting
	switch {
	case v.Less(s.Since):
		violation.Message = fmt.Sprintf("RobustMQ %s would silently ignore the key: it came with %s", v, s.Since)
		violation.WayOut = fmt.Sprintf("leave it out, or use version %q or a later one", s.Since)
	case s.Until != robustmq.Version{} && !v.Less(s.Until):
		violation.Message = fmt.Sprintf("RobustMQ %s would silently ignore the key: it went with %s", v, s.Until)
		violation.WayOut = "leave it out"
	default:
		violation.Message = fmt.Sprintf("RobustMQ %s has nothing that the key stands for", v)
		violation.WayOut = "leave it out, or use another version"
	}
	return true
}

// configInt reads a whole number out of the configuration.
func configInt(c *cluster, section, key string) (int64, bool) {
	raw, ok := c.Spec.Config[section][key]
	if !ok {
		return 0, false
	}
	n, err := strconv.ParseInt(string(bytes.TrimSpace(raw.Raw)), 10, 64)
	return n, err == nil
}
