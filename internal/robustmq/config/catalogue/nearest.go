package catalogue

import (
	"strings"

	"github.com/robustmq/robustmq-operator/internal/robustmq"
)

// Nearest finds the setting that somebody probably meant who wrote names that do not exist in a version: an earlier version's name for it, a key of the section that differs by a
// letter or two, the same key in another section, or names that differ by few letters. It finds nothing when nothing is near.
func Nearest(section, key string, v robustmq.Version) (Setting, bool) {
	if s, ok := formerly(section, key, v); ok {
		return s, true
	}
	if s, ok := beside(section, key, v); ok {
		return s, true
	}
	if s, ok := elsewhere(section, key, v); ok {
		return s, true
	}
	name := Dotted(section, key)
	best, found := Setting{}, false
	// A third of the letters may differ, and those of the key count twice: among sections that are alike the key decides.
	limit := 3 * max(2, len(key)/3)
	for _, s := range settings {
		if _, _, ok := s.In(v); !ok {
			continue
		}
		if len(name)-len(s.Name()) > limit || len(s.Name())-len(name) > limit {
			continue // the distance is not smaller than this difference
		}
		if d := distance(section, s.Section) + 2*distance(key, s.Key); d < limit {
			best, found, limit = s, true, d
		}
	}
	return best, found
}

// formerly finds a setting by a name that it had in an earlier version: users bring their server.toml.
func formerly(section, key string, v robustmq.Version) (Setting, bool) {
	for _, s := range settings {
		if _, _, ok := s.In(v); !ok {
			continue
		}
		for _, p := range s.Was {
			if p.Section == section && (p.Key == key || p.Key == "" && s.Key == key) {
				return s, true
			}
		}
	}
	return Setting{}, false
}

// beside finds a key of the same section that differs by a letter or two.
func beside(section, key string, v robustmq.Version) (Setting, bool) {
	best, found, limit := Setting{}, false, min(3, (len(key)+1)/2)
	for _, s := range byName[section] {
		if _, _, ok := s.In(v); !ok {
			continue
		}
		d := distance(key, s.Key)
		if d < limit || found && d == limit && s.Key < best.Key { // a map has no order
			best, found, limit = s, true, d
		}
	}
	return best, found
}

// elsewhere finds a key in the section that is nearest to the one that it was written in.
func elsewhere(section, key string, v robustmq.Version) (Setting, bool) {
	best, found, least := Setting{}, false, 0
	for _, s := range settings {
		if _, _, ok := s.In(v); !ok || s.Key != key {
			continue
		}
		d := distance(section, s.Section)
		if strings.HasPrefix(s.Section, section+".") || strings.HasPrefix(section, s.Section+".") && s.Section != "" {
			d = 0 // one level too high or too low
		}
		if !found || d < least {
			best, found, least = s, true, d
		}
	}
	return best, found
}

// maxCompared bounds what distance looks at: names are not longer, what users write may be.
const maxCompared = 128

// distance is how many letters have to be put in, taken out, replaced or exchanged with their neighbour to make one word of the other (optimal string alignment).
func distance(a, b string) int {
	a, b = a[:min(len(a), maxCompared)], b[:min(len(b), maxCompared)]
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}
