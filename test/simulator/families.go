package simulator

import (
	_ "embed"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/robustmq/robustmq-operator/internal/robustmq"
)

// family is one of RobustMQ's metrics.
type family struct {
	name, kind, help string
	since            robustmq.Version
	labels           []string
	// first are the values that each label has from the start; nil: the family appears when something happens.
	first [][]string
}

//go:embed families.txt
var familiesText string

// families in the order of the exposition.
var families = sync.OnceValue(func() []family {
	var all []family
	for line := range strings.Lines(familiesText) {
		if line = strings.TrimSpace(line); line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		f, err := parseFamily(line)
		if err != nil {
			panic(err) // of this package's own file
		}
		all = append(all, f)
	}
	return all
})

func parseFamily(line string) (family, error) {
	const columns = 5
	c := strings.SplitN(line, " ", columns)
	if len(c) != columns {
		return family{}, fmt.Errorf("metric family %q: not %d columns", line, columns)
	}
	since, err := robustmq.ParseVersion(c[2])
	if err != nil {
		return family{}, fmt.Errorf("metric family %q: %w", line, err)
	}
	f := family{name: c[0], kind: c[1], help: c[4], since: since}
	switch c[3] {
	case "-":
		f.first = [][]string{}
		return f, nil
	case "late":
		return f, nil
	}
	for label := range strings.SplitSeq(c[3], ",") {
		name, values, some := strings.Cut(label, "=")
		f.labels = append(f.labels, name)
		if some {
			f.first = append(f.first, strings.Split(values, "|"))
		}
	}
	return f, nil
}

// initial are the label values of the series that are there from the start. machines stand for "*".
func (f family) initial(machines []string) [][]string {
	if f.first == nil {
		return nil
	}
	all := [][]string{{}}
	for _, values := range f.first {
		if slices.Equal(values, []string{"*"}) {
			values = machines
		}
		var longer [][]string
		for _, begin := range all {
			for _, v := range values {
				longer = append(longer, append(slices.Clone(begin), v))
			}
		}
		all = longer
	}
	return all
}

// suffix is what a counter's samples have behind the family's name.
func (f family) suffix() string {
	if f.kind == "counter" {
		return "_total"
	}
	return ""
}

// bounds are the upper bounds of a histogram's buckets.
func (f family) bounds() []float64 {
	if strings.HasSuffix(f.name, "_seconds") {
		return secondBounds
	}
	return millisecondBounds
}

var (
	millisecondBounds = func() []float64 { // 1, 2, 4 ... 524288
		var all []float64
		for b := 1.0; b <= 1<<19; b *= 2 {
			all = append(all, b)
		}
		return all
	}()
	secondBounds = []float64{0.1, 0.5, 1, 2, 5, 10, 30, 60, 120}
)
