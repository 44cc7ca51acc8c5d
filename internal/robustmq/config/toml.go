package config

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// document is a TOML document of tables, scalars and lists. It is written in sorted order and one line a key: RobustMQ rewrites the file line by line before it parses it
// (its environment overrides), and values over several lines would break there.
type document struct {
	tables map[string]map[string]string // dotted table name ("" is the top level) -> key -> encoded value
	values map[string]map[string]any    // the same, as they were given
}

func newDocument() *document {
	return &document{tables: map[string]map[string]string{}, values: map[string]map[string]any{}}
}

var (
	errNull  = errors.New("has no value (null)")
	errTable = errors.New("is a table: only scalars and lists are taken")
)

// set encodes and stores a value, replacing an earlier one. It refuses what would make the document invalid: a key that is also the name of a table.
func (d *document) set(table, key string, value any, float bool) error {
	encoded, err := encode(value, float)
	if err != nil {
		return err
	}
	path := append(split(table), key)
	for name, keys := range d.tables {
		have := split(name)
		if len(have) >= len(path) && slices.Equal(have[:len(path)], path) {
			return fmt.Errorf("is the name of the section [%s]", name)
		}
		for k := range keys {
			if full := append(split(name), k); len(full) < len(path) && slices.Equal(full, path[:len(full)]) {
				return fmt.Errorf("stands in a section whose name is the key %q", strings.Join(full, "."))
			}
		}
	}
	if d.tables[table] == nil {
		d.tables[table], d.values[table] = map[string]string{}, map[string]any{}
	}
	d.tables[table][key], d.values[table][key] = encoded, value
	return nil
}

// has reports whether the key is set.
func (d *document) has(table, key string) bool {
	_, ok := d.tables[table][key]
	return ok
}

// hasTable reports whether a table is there.
func (d *document) hasTable(table string) bool { return len(d.tables[table]) > 0 }

func (d *document) String() string {
	var b strings.Builder
	names := make([]string, 0, len(d.tables))
	for name := range d.tables {
		names = append(names, name)
	}
	slices.Sort(names) // "" comes first, as TOML needs it
	for _, name := range names {
		if name != "" {
			if b.Len() > 0 {
				b.WriteByte('\n')
			}
			segments := split(name)
			for i := range segments {
				segments[i] = bareOrQuoted(segments[i])
			}
			b.WriteString("[" + strings.Join(segments, ".") + "]\n")
		}
		keys := make([]string, 0, len(d.tables[name]))
		for key := range d.tables[name] {
			keys = append(keys, key)
		}
		slices.SortFunc(keys, compareKeys)
		for _, key := range keys {
			b.WriteString(bareOrQuoted(key) + " = " + d.tables[name][key] + "\n")
		}
	}
	return b.String()
}

// compareKeys sorts numbers by value, so that meta_addrs reads 1, 2, 10.
func compareKeys(a, b string) int {
	na, errA := strconv.ParseUint(a, 10, 64)
	nb, errB := strconv.ParseUint(b, 10, 64)
	if errA == nil && errB == nil && na != nb {
		if na < nb {
			return -1
		}
		return 1
	}
	return strings.Compare(a, b)
}

func split(table string) []string {
	if table == "" {
		return nil
	}
	return strings.Split(table, ".")
}

func bareOrQuoted(key string) string {
	if key == "" {
		return `""`
	}
	for _, c := range []byte(key) {
		if !isBare(c) {
			return quote(key)
		}
	}
	return key
}

func isBare(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '-'
}

// quote writes a TOML basic string: any text, on one line.
func quote(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for len(s) > 0 {
		r, size := utf8.DecodeRuneInString(s)
		s = s[size:]
		switch {
		case r == '"':
			b.WriteString(`\"`)
		case r == '\\':
			b.WriteString(`\\`)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\r':
			b.WriteString(`\r`)
		case r == '\t':
			b.WriteString(`\t`)
		case r < 0x20 || r == 0x7f:
			fmt.Fprintf(&b, `\u%04X`, r)
		default:
			b.WriteRune(r) // invalid UTF-8 becomes U+FFFD: TOML has no other bytes
		}
	}
	b.WriteByte('"')
	return b.String()
}

// encode writes a JSON scalar or list as TOML. float makes a whole number a float, for the keys that the server reads as one.
func encode(value any, float bool) (string, error) {
	switch v := value.(type) {
	case nil:
		return "", errNull
	case string:
		return quote(v), nil
	case bool:
		return strconv.FormatBool(v), nil
	case int:
		return encodeNumber(strconv.Itoa(v), float)
	case int32:
		return encodeNumber(strconv.FormatInt(int64(v), 10), float)
	case int64:
		return encodeNumber(strconv.FormatInt(v, 10), float)
	case uint64:
		return encodeNumber(strconv.FormatUint(v, 10), float)
	case float64:
		if v == math.Trunc(v) && math.Abs(v) < 1<<53 {
			return encodeNumber(strconv.FormatInt(int64(v), 10), float)
		}
		return encodeNumber(strconv.FormatFloat(v, 'g', -1, 64), float)
	case json.Number:
		return encodeNumber(v.String(), float)
	case []string:
		list := make([]any, len(v))
		for i := range v {
			list[i] = v[i]
		}
		return encodeList(list, float)
	case []any:
		return encodeList(v, float)
	default:
		return "", errTable
	}
}

func encodeList(list []any, float bool) (string, error) {
	parts := make([]string, len(list))
	for i, item := range list {
		encoded, err := encode(item, float)
		if err != nil {
			return "", fmt.Errorf("item %d %w", i, err)
		}
		parts[i] = encoded
	}
	return "[" + strings.Join(parts, ", ") + "]", nil
}

// encodeNumber takes a number in JSON's spelling, which TOML shares, and keeps it as it is written: 70.0 stays a float, 70 an integer.
func encodeNumber(s string, float bool) (string, error) {
	if !json.Valid([]byte(s)) || s == "" || (s[0] != '-' && (s[0] < '0' || s[0] > '9')) {
		return "", fmt.Errorf("is not a number: %q", s)
	}
	if strings.ContainsAny(s, ".eE") {
		if _, err := strconv.ParseFloat(s, 64); err != nil {
			return "", fmt.Errorf("is a number out of range: %s", s)
		}
		return s, nil
	}
	if _, err := strconv.ParseInt(s, 10, 64); err != nil {
		return "", fmt.Errorf("is a number out of range: %s", s)
	}
	if float {
		return s + ".0", nil
	}
	return s, nil
}
