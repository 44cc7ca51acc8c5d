package rocksdb

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// FileKind is what a file is by its name.
type FileKind int

// Kinds of files that matter here. Everything else in a database's folder is Other: info logs, LOCK, IDENTITY, temporary and foreign files.
const (
	Other FileKind = iota
	TableFile
	WALFile
	ManifestFile
	OptionsFile
	CurrentFile
)

// CurrentName is the file that names the MANIFEST in force.
const CurrentName = "CURRENT"

// TableName is the name that RocksDB gives a table: at least six digits (file/filename.cc, MakeFileName), as in WALName and ManifestName.
func TableName(number uint64) string { return fmt.Sprintf("%06d.sst", number) }

// WALName see TableName.
func WALName(number uint64) string { return fmt.Sprintf("%06d.log", number) }

// ManifestName see TableName.
func ManifestName(number uint64) string { return fmt.Sprintf("MANIFEST-%06d", number) }

// ParseFileName says what a file is and its number. Old tables may be called .ldb (before RocksDB 2), which RobustMQ never wrote: they are Other.
func ParseFileName(name string) (FileKind, uint64) {
	if name == CurrentName {
		return CurrentFile, 0
	}
	kind, digits := Other, ""
	if rest, ok := strings.CutPrefix(name, "MANIFEST-"); ok {
		kind, digits = ManifestFile, rest
	} else if rest, ok := strings.CutPrefix(name, "OPTIONS-"); ok {
		kind, digits = OptionsFile, rest
	} else if rest, ok := strings.CutSuffix(name, ".sst"); ok {
		kind, digits = TableFile, rest
	} else if rest, ok := strings.CutSuffix(name, ".log"); ok {
		kind, digits = WALFile, rest
	}
	number, err := strconv.ParseUint(digits, 10, 64)
	if err != nil || digits[0] == '+' || number == math.MaxUint64 {
		return Other, 0
	}
	return kind, number
}

// maxCurrent bounds CURRENT: a name and a newline.
const maxCurrent = 64

// ParseCurrent returns the MANIFEST's name from the content of CURRENT: "MANIFEST-", the number, a newline, nothing else.
func ParseCurrent(content []byte) (string, error) {
	if len(content) > maxCurrent {
		return "", corrupt("CURRENT has %d bytes", len(content))
	}
	name, ok := strings.CutSuffix(string(content), "\n")
	if !ok {
		return "", corrupt("CURRENT %q does not end with a newline", content)
	}
	kind, number := ParseFileName(name)
	if kind != ManifestFile || ManifestName(number) != name {
		return "", corrupt("CURRENT names %q, which is no MANIFEST", name)
	}
	return name, nil
}

// Current is the content of CURRENT for a MANIFEST's name.
func Current(manifest string) []byte { return []byte(manifest + "\n") }
