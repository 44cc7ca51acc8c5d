package image

import (
	"container/heap"
	"slices"
	"strings"
)

// erasure is a deletion of the keys from from up to, without, to that are older than sequence.
type erasure struct {
	from, to string
	sequence uint64
}

// erasures are deletions of ranges in a form that is asked quickly: pieces that do not overlap, in order, each with the newest deletion that covers it.
type erasures []erasure

// pieces cuts deletions into erasures: O(n log n).
func pieces(deletions []erasure) erasures {
	deletions = slices.DeleteFunc(slices.Clone(deletions), func(d erasure) bool { return d.from >= d.to })
	slices.SortFunc(deletions, func(a, b erasure) int { return strings.Compare(a.from, b.from) })
	borders := make([]string, 0, 2*len(deletions))
	for _, d := range deletions {
		borders = append(borders, d.from, d.to)
	}
	slices.Sort(borders)
	borders = slices.Compact(borders)
	var out erasures
	var open latestFirst
	for i := 0; i+1 < len(borders); i++ {
		for len(deletions) > 0 && deletions[0].from <= borders[i] {
			heap.Push(&open, deletions[0])
			deletions = deletions[1:]
		}
		for len(open) > 0 && open[0].to <= borders[i] {
			heap.Pop(&open)
		}
		if len(open) > 0 {
			out = append(out, erasure{borders[i], borders[i+1], open[0].sequence})
		}
	}
	return out
}

// cover is the sequence of the newest deletion that covers the key; false when none does.
func (s erasures) cover(key string) (sequence uint64, ok bool) {
	i, found := slices.BinarySearchFunc(s, key, func(p erasure, key string) int { return strings.Compare(p.from, key) })
	if !found {
		i--
	}
	if i < 0 || key >= s[i].to {
		return 0, false
	}
	return s[i].sequence, true
}

// latestFirst is a heap of deletions, the newest first.
type latestFirst []erasure

func (n latestFirst) Len() int           { return len(n) }
func (n latestFirst) Less(i, j int) bool { return n[i].sequence > n[j].sequence }
func (n latestFirst) Swap(i, j int)      { n[i], n[j] = n[j], n[i] }
func (n *latestFirst) Push(x any)        { *n = append(*n, x.(erasure)) } //nolint:forcetypeassert // only pieces pushes, and it pushes erasures
func (n *latestFirst) Pop() any {
	last := (*n)[len(*n)-1]
	*n = (*n)[:len(*n)-1]
	return last
}
