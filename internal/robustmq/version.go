package robustmq

import (
	"cmp"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Version is a release of RobustMQ: semantic versioning 2.0 without build metadata, which no image tag can carry.
type Version struct {
	Major, Minor, Patch int
	// Pre is the pre-release part without its dash ("rc.1"), empty for a release.
	Pre string
}

// Oldest is the first version that can be run at all, Newest the last one that was tried.
var (
	Oldest = Version{Major: 0, Minor: 3, Patch: 0}
	Newest = Version{Major: 0, Minor: 4, Patch: 11}
)

// maxDigits keeps a number of a version inside an int of any platform.
const maxDigits = 9

// ParseVersion reads a version as spec.version has it: "0.4.11", or "0.5.0-rc.1".
// The errors say what to write instead; they do not name the field.
func ParseVersion(s string) (Version, error) {
	if s == "" {
		return Version{}, fmt.Errorf("no version given: write one such as %q", Newest)
	}
	if len(s) > 1 && (s[0] == 'v' || s[0] == 'V') {
		if v, err := ParseVersion(s[1:]); err == nil {
			return Version{}, fmt.Errorf("%q has a leading %c: write %q (the operator adds what the image tag needs)", s, s[0], v)
		}
	}
	if strings.ContainsRune(s, '+') {
		return Version{}, fmt.Errorf("%q has build metadata, which no image tag can carry: leave the part from the + on out", s)
	}
	core, pre, hasPre := strings.Cut(s, "-")
	numbers := strings.Split(core, ".")
	if len(numbers) != 3 {
		return Version{}, fmt.Errorf("%q is not three numbers with dots between them: write one such as %q", s, Newest)
	}
	var parsed [3]int
	for i, n := range numbers {
		v, err := parseNumber(n)
		if err != nil {
			return Version{}, fmt.Errorf("%q: %q %w: write a version such as %q", s, n, err, Newest)
		}
		parsed[i] = v
	}
	if hasPre {
		for id := range strings.SplitSeq(pre, ".") {
			if err := checkPre(id); err != nil {
				return Version{}, fmt.Errorf("%q: pre-release part %q %w: write a version such as %q", s, id, err, Newest)
			}
		}
	}
	return Version{Major: parsed[0], Minor: parsed[1], Patch: parsed[2], Pre: pre}, nil
}

func parseNumber(s string) (int, error) {
	if s == "" || strings.Trim(s, "0123456789") != "" {
		return 0, errors.New("is not a number")
	}
	if len(s) > 1 && s[0] == '0' {
		return 0, errors.New("has a leading zero")
	}
	if len(s) > maxDigits {
		return 0, fmt.Errorf("has more than %d digits", maxDigits)
	}
	return strconv.Atoi(s)
}

func checkPre(id string) error {
	if id == "" {
		return errors.New("is empty")
	}
	numeric := true
	for _, c := range id {
		switch {
		case c >= '0' && c <= '9':
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c == '-':
			numeric = false
		default:
			return fmt.Errorf("holds %q; allowed are letters, digits and dashes", c)
		}
	}
	if numeric && len(id) > 1 && id[0] == '0' {
		return errors.New("has a leading zero")
	}
	if numeric && len(id) > maxDigits {
		return fmt.Errorf("has more than %d digits", maxDigits)
	}
	return nil
}

// String is the version as ParseVersion reads it.
func (v Version) String() string {
	s := fmt.Sprintf("%d.%d.%d", v.Major, v.Minor, v.Patch)
	if v.Pre != "" {
		s += "-" + v.Pre
	}
	return s
}

// Compare is negative when v comes before w, positive when after, by the precedence of semantic versioning: 0.5.0-rc.1 comes before 0.5.0.
func (v Version) Compare(w Version) int {
	return cmp.Or(cmp.Compare(v.Major, w.Major), cmp.Compare(v.Minor, w.Minor), cmp.Compare(v.Patch, w.Patch), comparePre(v.Pre, w.Pre))
}

// Less reports whether v comes before w.
func (v Version) Less(w Version) bool { return v.Compare(w) < 0 }

func comparePre(a, b string) int {
	switch {
	case a == b:
		return 0
	case a == "":
		return 1
	case b == "":
		return -1
	}
	as, bs := strings.Split(a, "."), strings.Split(b, ".")
	for i := range min(len(as), len(bs)) {
		if c := compareIdentifier(as[i], bs[i]); c != 0 {
			return c
		}
	}
	return cmp.Compare(len(as), len(bs))
}

func compareIdentifier(a, b string) int {
	na, aErr := strconv.Atoi(a)
	nb, bErr := strconv.Atoi(b)
	aNumeric, bNumeric := aErr == nil && a[0] != '-', bErr == nil && b[0] != '-'
	switch {
	case aNumeric && bNumeric:
		return cmp.Compare(na, nb)
	case aNumeric:
		return -1
	case bNumeric:
		return 1
	}
	return strings.Compare(a, b)
}
