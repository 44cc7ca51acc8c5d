package catalogue

import (
	"math"
	"slices"

	"github.com/robustmq/robustmq-operator/internal/robustmq"
)

// Type is what RobustMQ reads a value into.
type Type string

// The types. Whole numbers end where TOML's do: at 63 bits.
const (
	Bool  Type = "bool"
	U8    Type = "u8"
	U16   Type = "u16"
	U32   Type = "u32"
	U64   Type = "u64"
	I32   Type = "i32"
	F32   Type = "f32"
	Text  Type = "string"
	Enum  Type = "enum"
	List  Type = "list"  // of strings
	Table Type = "table" // of strings
)

// Unit is what a number counts, where its name does not say it.
type Unit string

// The units.
const (
	Millis  Unit = "ms"
	Seconds Unit = "s"
	Minutes Unit = "min"
	Hours   Unit = "h"
	Bytes   Unit = "bytes"
	Percent Unit = "%"
)

// Setting is one setting of RobustMQ. Section and Key are its names in spec.config: the newest that it had.
type Setting struct {
	Section, Key string
	Type         Type
	Unit         Unit
	// Values that an enum, or an item of a list, may have.
	Values []string
	// Min and Max, inclusive. Max 0: what the type holds. For an F32 they are whole.
	Min, Max int64
	// Default is the server's own, of the newest version, when the whole section is absent; nil: unset, or computed (DefaultText).
	Default any
	// DefaultText describes a default that is no constant.
	DefaultText string
	// Partial is the default of 0.3.5 and later when the section is written without the key; nil: Default. RobustMQ has two tables of defaults, and they differ.
	Partial any
	// Chosen is what the operator writes unless the user sets the key; nil: it writes nothing, or computes it (ChosenText).
	Chosen     any
	ChosenText string
	// Since is the first version that has it, Until the first that has not; zero: the newest has it.
	Since, Until robustmq.Version
	// Was tells where the setting stood in versions before Until of a place, ascending.
	Was []Place
	// Before tells the default in versions before Until of an entry, ascending.
	Before []Default
	// Required: from Since on and before this version, a section that is written needs the key, and there is no default.
	Required robustmq.Version
	// Resource is the kind of config/set that changes the setting while the server runs; empty: none does.
	Resource Kind
	// Live: the running server acts on the change. Otherwise it is stored, shown and without effect until a restart.
	Live bool
	// Unused: the server reads the key and nothing acts on it (0.4.11's source).
	Unused bool
	// Owned: the operator sets it, from Owner; empty Owner: it follows from the cluster and cannot be chosen.
	Owned bool
	Owner string
	// Secret: the value is never shown.
	Secret bool
	// Why the range is narrower than the type, or the operator's choice another than the server's, with where that was seen.
	Why string
	// Meaning in one sentence.
	Meaning string
}

// Place is where a setting stood in the versions before Until. An empty key is the setting's; section Nowhere: these versions have it in no form that one key can express.
type Place struct {
	Until        robustmq.Version
	Section, Key string
}

// Nowhere is the section of a Place that is none.
const Nowhere = "-"

// Default is the default of the versions before Until.
type Default struct {
	Until robustmq.Version
	Value any
}

// Name is the dotted name in spec.config.
func (s Setting) Name() string { return Dotted(s.Section, s.Key) }

// Dotted joins a section and a key; "" is the top level.
func Dotted(section, key string) string {
	if section == "" {
		return key
	}
	return section + "." + key
}

// In returns where the setting stands in a version's server.toml, and false when the version does not have it.
func (s Setting) In(v robustmq.Version) (section, key string, ok bool) {
	if v.Less(s.Since) || s.removed(v) {
		return "", "", false
	}
	for _, p := range s.Was {
		if !v.Less(p.Until) {
			continue
		}
		if p.Section == Nowhere {
			return "", "", false
		}
		if p.Key == "" {
			return p.Section, s.Key, true
		}
		return p.Section, p.Key, true
	}
	return s.Section, s.Key, true
}

func (s Setting) removed(v robustmq.Version) bool {
	return s.Until != (robustmq.Version{}) && !v.Less(s.Until)
}

// DefaultIn is the server's default in a version when the whole section is absent; nil: it has none that is a constant.
func (s Setting) DefaultIn(v robustmq.Version) any {
	for _, d := range s.Before {
		if v.Less(d.Until) {
			return d.Value
		}
	}
	return s.Default
}

// RequiredIn reports whether a version refuses to start when the section is written without the key and nobody can fill it in.
func (s Setting) RequiredIn(v robustmq.Version) bool {
	_, _, ok := s.In(v)
	return ok && v.Less(s.Required)
}

// Number reports whether the setting takes a number.
func (s Setting) Number() bool { return s.whole() || s.Type == F32 }

func (s Setting) whole() bool {
	return slices.Contains([]Type{U8, U16, U32, U64, I32}, s.Type)
}

// Range returns the smallest and the largest number that the setting takes.
func (s Setting) Range() (low, high int64) {
	low, high = s.Min, s.Max
	if high != 0 {
		return low, high
	}
	switch s.Type {
	case U8:
		return low, math.MaxUint8
	case U16:
		return low, math.MaxUint16
	case U32:
		return low, math.MaxUint32
	case I32:
		return low, math.MaxInt32
	default:
		return low, math.MaxInt64
	}
}
