package main

import (
	"math"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/common/model"
)

func TestValuesAreWrittenInTheLargestSizeThatTheyReach(t *testing.T) {
	none := 0
	for _, c := range []struct {
		value    float64
		unit     string
		decimals *int
		want     string
	}{
		{0, "s", nil, "0 s"}, {0.0042, "s", nil, "4.2 ms"}, {12.34, "s", nil, "12.3 s"}, {90, "s", nil, "1.5 min"}, {-7200, "s", nil, "-2 h"}, {30 * 86400, "s", nil, "4.29 weeks"},
		{1500, "ms", nil, "1.5 s"}, {0.5, "ms", nil, "0.5 ms"},
		{1536, "bytes", nil, "1.5 KiB"}, {10 << 30, "bytes", nil, "10 GiB"}, {2048, "binBps", nil, "2 KiB/s"},
		{0.256, "percentunit", nil, "25.6 %"}, {0.256, "percentunit", &none, "26 %"},
		{1234, "short", nil, "1.23 K"}, {3, "short", &none, "3"}, {999, "ops", nil, "999 ops/s"}, {3, "unheard of", nil, "3"},
	} {
		if got := inUnit(c.value, c.unit, c.decimals); got != c.want {
			t.Errorf("%v %s is %q, not %q", c.value, c.unit, got, c.want)
		}
	}
}

func TestValuesHaveTheColourOfTheHighestLimitThatTheyReachUnlessTheyHaveAMeaning(t *testing.T) {
	look, bad := 0.75, 0.9
	f := field{}
	for _, s := range []struct {
		c string
		v *float64
	}{{"green", nil}, {"yellow", &look}, {"red", &bad}} {
		f.Thresholds.Steps = append(f.Thresholds.Steps, struct {
			Color string
			Value *float64
		}{s.c, s.v})
	}
	for v, want := range map[float64]string{-1: "green", 0.749: "green", 0.75: "yellow", 0.9: "red", 7: "red"} {
		if got := f.colour(v); got != want {
			t.Errorf("%v is %s", v, got)
		}
	}
	f.Mappings = append(f.Mappings, struct {
		Options map[string]struct{ Text, Color string }
	}{map[string]struct{ Text, Color string }{"-1": {"Unknown", "orange"}}})
	if f.colour(-1) != "orange" || f.text(-1) != "Unknown" || f.text(2) != "2" {
		t.Errorf("%s %s %s", f.colour(-1), f.text(-1), f.text(2))
	}
}

func pairs(values map[int]float64) []model.SamplePair {
	var list []model.SamplePair
	for s, v := range values {
		list = append(list, model.SamplePair{Timestamp: model.TimeFromUnix(int64(s)), Value: model.SampleValue(v)})
	}
	slices.SortFunc(list, func(a, b model.SamplePair) int { return int(a.Timestamp - b.Timestamp) })
	return list
}

func TestALineIsCutWhereThereIsNoData(t *testing.T) {
	got := stretches(series{points: pairs(map[int]float64{0: 1, 10: 2, 20: 3, 60: 4, 70: 5})}, 10*time.Second)
	if len(got) != 2 || len(got[0]) != 3 || len(got[1]) != 2 {
		t.Errorf("%v", got)
	}
}

func TestABandEndsWhereTheValueChangesAndWhereThereIsNone(t *testing.T) {
	got := states(pairs(map[int]float64{0: 1, 10: 1, 20: 0, 30: 0, 70: 0}), 10*time.Second)
	want := []stretch{{time.Unix(0, 0), time.Unix(20, 0), 1}, {time.Unix(20, 0), time.Unix(40, 0), 0}, {time.Unix(70, 0), time.Unix(80, 0), 0}}
	if len(got) != len(want) {
		t.Fatalf("%v", got)
	}
	for i := range want {
		if !got[i].from.Equal(want[i].from) || !got[i].to.Equal(want[i].to) || got[i].value != want[i].value {
			t.Errorf("%d: %v, not %v", i, got[i], want[i])
		}
	}
}

func TestALineOfATableIsAllThatIsSaidOfOneThing(t *testing.T) {
	one := func(ref string, labels model.Metric, value float64) answer {
		return answer{target{RefID: ref}, []series{{labels: labels, points: pairs(map[int]float64{0: value})}}}
	}
	answers := []answer{
		one("A", model.Metric{"member": "m-0", "role": "r"}, 1),
		one("B", model.Metric{"member": "m-1", "role": "r"}, 2),
		one("C", model.Metric{"member": "m-0", "role": "r", "version": "0.4.11"}, 3),
	}
	lines := merge(answers, []heading{{label: "member"}, {label: "role"}, {label: "version"}, {ref: "A"}})
	if len(lines) != 2 || lines[0].labels["version"] != "0.4.11" || lines[0].values["A"] != 1 || lines[0].values["C"] != 3 || lines[1].values["B"] != 2 {
		t.Errorf("%v", lines)
	}
}

func TestMarksOfAnAxisAreRoundAndReachBeyondTheLargestValue(t *testing.T) {
	for _, c := range []struct {
		least, most float64
		want        []float64
	}{{0, 10, []float64{0, 5, 10}}, {0, 0.7, []float64{0, 0.2, 0.4, 0.6, 0.8}}, {-3, 3, []float64{-2, 0, 2, 4}}} {
		got := nice(c.least, c.most, 4)
		if !slices.EqualFunc(got, c.want, func(a, b float64) bool { return math.Abs(a-b) < 1e-9 }) {
			t.Errorf("from %v to %v: %v", c.least, c.most, got)
		}
	}
	v := view{From: noon.Add(-time.Hour), To: noon}
	for _, at := range v.marks(6) {
		if at.Second() != 0 || at.Minute()%10 != 0 || at.Before(v.From) || at.After(v.To) {
			t.Errorf("a mark at %s", at)
		}
	}
}

func TestTextThatIsTooLongIsCut(t *testing.T) {
	long := "placement-center-0 of a cluster with a long name"
	got := cut(12, false, 100, long)
	if width(12, false, got) > 101 || got == long || cut(12, false, 10_000, long) != long {
		t.Errorf("%q is %v wide", got, width(12, false, got))
	}
}
