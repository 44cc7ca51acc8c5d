package main

import (
	"math"
	"strconv"
	"strings"
)

// scale is a size in which a unit is written.
type scale struct {
	from   float64
	suffix string
}

var scales = map[string][]scale{
	"s":           {{1e-6, " µs"}, {1e-3, " ms"}, {1, " s"}, {60, " min"}, {3600, " h"}, {86400, " days"}, {604800, " weeks"}},
	"ms":          {{1, " ms"}, {1e3, " s"}, {60e3, " min"}},
	"bytes":       {{1, " B"}, {1 << 10, " KiB"}, {1 << 20, " MiB"}, {1 << 30, " GiB"}, {1 << 40, " TiB"}},
	"binBps":      {{1, " B/s"}, {1 << 10, " KiB/s"}, {1 << 20, " MiB/s"}, {1 << 30, " GiB/s"}},
	"ops":         {{1, " ops/s"}, {1e3, "k ops/s"}, {1e6, "M ops/s"}},
	"short":       {{1, ""}, {1e3, " K"}, {1e6, " Mil"}, {1e9, " Bil"}},
	"percentunit": {{0.01, " %"}},
}

// inUnit writes a value in the largest size that it reaches. Without decimals given there are three digits.
func inUnit(v float64, unit string, decimals *int) string {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return "-"
	}
	chosen := sizeOf(v, unit)
	v /= chosen.from
	if decimals != nil {
		return strconv.FormatFloat(v, 'f', *decimals, 64) + chosen.suffix
	}
	digits := 2
	switch abs := math.Abs(v); {
	case abs >= 100:
		digits = 0
	case abs >= 10:
		digits = 1
	case abs > 0 && abs < 0.1:
		digits = 3
	}
	text := strconv.FormatFloat(v, 'f', digits, 64)
	if strings.Contains(text, ".") {
		text = strings.TrimRight(strings.TrimRight(text, "0"), ".")
	}
	return text + chosen.suffix
}

// sizeOf is the largest size of a unit that a value reaches.
func sizeOf(v float64, unit string) scale {
	sizes, known := scales[unit]
	if !known {
		sizes = scales["short"]
	}
	chosen := sizes[0]
	if unit == "s" && v == 0 {
		chosen = scale{1, " s"}
	}
	for _, s := range sizes[1:] {
		if math.Abs(v) >= s.from {
			chosen = s
		}
	}
	return chosen
}
