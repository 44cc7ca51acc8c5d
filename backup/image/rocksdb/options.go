package rocksdb

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// maxOptionsLine bounds a line of an OPTIONS file. The longest that RocksDB writes, nested table options, has a few hundred bytes.
const maxOptionsLine = 1 << 20

// Options is the content of an OPTIONS file: what the server opened the database with.
type Options struct {
	DB       map[string]string
	Families []FamilyOptions
}

// FamilyOptions are those of one column family.
type FamilyOptions struct {
	Name    string
	Options map[string]string
}

// ParseOptions reads an OPTIONS file (options/options_parser.cc): sections in brackets, in them lines of name=value, comments from an unescaped # to the line's end.
// Sections that it does not know are an error; options that it does not know are not: every version of RocksDB has more.
func ParseOptions(r io.Reader) (*Options, error) {
	o := &Options{}
	var section map[string]string // where the next line belongs
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 0, 4096), maxOptionsLine)
	for number := 1; lines.Scan(); number++ {
		line := strings.TrimSpace(withoutComment(lines.Text()))
		if line == "" {
			continue
		}
		if strings.HasPrefix(line, "[") {
			var err error
			if section, err = o.section(line); err != nil {
				return nil, fmt.Errorf("OPTIONS line %d: %w", number, err)
			}
			continue
		}
		name, value, ok := strings.Cut(line, "=")
		name = strings.TrimSpace(name)
		if !ok || name == "" || section == nil {
			return nil, fmt.Errorf("OPTIONS line %d: %w", number, corrupt("%.40q is no option of a section", line))
		}
		section[name] = strings.TrimSpace(value)
	}
	if err := lines.Err(); errors.Is(err, bufio.ErrTooLong) {
		return nil, &TooLargeError{What: "a line of OPTIONS", Limit: maxOptionsLine}
	} else if err != nil {
		return nil, err
	}
	if o.DB == nil {
		return nil, corrupt("OPTIONS has no section DBOptions")
	}
	return o, nil
}

// withoutComment cuts a line at its first # that no backslash escapes.
func withoutComment(line string) string {
	escaped := false
	for i, c := range line {
		switch {
		case escaped:
			escaped = false
		case c == '\\':
			escaped = true
		case c == '#':
			return line[:i]
		}
	}
	return line
}

func (o *Options) section(line string) (map[string]string, error) {
	header, ok := strings.CutSuffix(line[1:], "]")
	if !ok {
		return nil, corrupt("section %.40q has no end", line)
	}
	title, argument, _ := strings.Cut(header, `"`)
	title, argument = strings.TrimSpace(title), strings.TrimSuffix(argument, `"`)
	switch {
	case title == "Version":
		return map[string]string{}, nil
	case title == "DBOptions":
		if o.DB != nil {
			return nil, corrupt("a second section DBOptions")
		}
		o.DB = map[string]string{}
		return o.DB, nil
	case title == "CFOptions":
		f := FamilyOptions{Name: unescape(argument), Options: map[string]string{}}
		if slices.ContainsFunc(o.Families, func(g FamilyOptions) bool { return g.Name == f.Name }) {
			return nil, corrupt("a second section CFOptions %q", f.Name)
		}
		o.Families = append(o.Families, f)
		return f.Options, nil
	case strings.HasPrefix(title, "TableOptions/"):
		return map[string]string{}, nil // how tables are laid out inside, which nothing here looks at
	}
	return nil, corrupt("unknown section %.40q", line)
}

func unescape(s string) string {
	var b strings.Builder
	escaped := false
	for _, c := range s {
		if !escaped && c == '\\' {
			escaped = true
			continue
		}
		b.WriteRune(c)
		escaped = false
	}
	return b.String()
}

// want is an option whose other values make files mean something that is not handled. An option that is missing has the wanted value: older versions did not have it.
type want struct {
	option, value string
	otherwise     string // what other values mean
}

var wantedDB = []want{
	{"recycle_log_file_num", "0", "WAL files are overwritten in place, so that old records follow new ones"},
	{"wal_compression", "kNoCompression", "WAL records are compressed"},
	{"manual_wal_flush", "false", "the WAL stays in the server's memory"},
	{"two_write_queues", "false", "the order of sequences in the WAL is another one"},
	{"allow_2pc", "false", "batches are prepared and committed apart"},
	{"atomic_flush", "false", "families are flushed together"},
	{"allow_mmap_writes", "false", "files are longer than what is written"},
	{"track_and_verify_wals", "false", "WALs refer to each other"},
	{"wal_recovery_mode", "kPointInTimeRecovery", "a cut WAL is read differently"},
}

var wantedFamily = []want{
	{"comparator", BytewiseComparator, "keys are ordered differently"},
	{"enable_blob_files", "false", "values are kept outside of tables"},
	{"persist_user_defined_timestamps", "true", "keys carry timestamps"},
}

// Check returns an *UnsupportedError that names every option under which an image of the database could be wrong; nil when there is none.
// dir is the database's folder, which wal_dir may name.
func (o *Options) Check(dir string) error {
	var found []string
	check := func(options map[string]string, wanted []want, where string) {
		for _, w := range wanted {
			if v, ok := options[w.option]; ok && v != w.value {
				found = append(found, fmt.Sprintf("%s=%s%s: %s", w.option, v, where, w.otherwise))
			}
		}
	}
	check(o.DB, wantedDB, "")
	if wal := strings.TrimSuffix(unescape(o.DB["wal_dir"]), "/"); wal != "" && wal != strings.TrimSuffix(dir, "/") {
		found = append(found, fmt.Sprintf("wal_dir=%s: WALs are in another folder", wal))
	}
	for _, f := range o.Families {
		check(f.Options, wantedFamily, fmt.Sprintf(" of column family %q", f.Name))
	}
	if len(found) > 0 {
		return &UnsupportedError{Features: found}
	}
	return nil
}
