package planner

import "cmp"

// vote is what a member of a raft group has voted for. In RobustMQ's build of openraft two nodes may lead in one term, so a leader is told by term and node.
type vote struct {
	term, node uint64
	committed  bool
}

// compare orders votes as openraft does: term, then node, then whether a quorum granted it.
func (v vote) compare(o vote) int {
	committed := func(v vote) int {
		if v.committed {
			return 1
		}
		return 0
	}
	return cmp.Or(cmp.Compare(v.term, o.term), cmp.Compare(v.node, o.node), cmp.Compare(committed(v), committed(o)))
}

// run is a stretch of log entries that one leader wrote, up to the index last.
type run struct{ term, node, last uint64 }

func (r run) same(o run) bool { return r.term == o.term && r.node == o.node }

// history is a raft log from its first entry on, also where the entries themselves were purged: an entry is known by its index and who wrote it, and two logs that agree on one entry agree on
// all before it.
type history []run

func (h history) last() uint64 {
	if len(h) == 0 {
		return 0
	}
	return h[len(h)-1].last
}

// end is the leader of the last entry; zero for an empty log.
func (h history) end() run {
	if len(h) == 0 {
		return run{}
	}
	return h[len(h)-1]
}

// add returns the log with n more entries of a leader. The receiver is used up.
func (h history) add(v vote, n uint64) history {
	if k := len(h); k > 0 && h[k-1].term == v.term && h[k-1].node == v.node {
		h[k-1].last += n
		return h
	}
	return append(h, run{v.term, v.node, h.last() + n})
}

// upTo is a copy of the first n entries.
func (h history) upTo(n uint64) history {
	var out history
	begin := uint64(0)
	for _, r := range h {
		if begin >= n {
			break
		}
		out = append(out, run{r.term, r.node, min(r.last, n)})
		begin = r.last
	}
	return out
}

// common is up to which index two logs are one.
func common(a, b history) uint64 {
	for i := len(a) - 1; i >= 0; i-- {
		for j := len(b) - 1; j >= 0; j-- {
			if a[i].same(b[j]) {
				return min(a[i].last, b[j].last)
			}
		}
	}
	return 0
}

// copyTo makes dst hold the first n entries of h, in place where it can.
func (h history) copyTo(dst history, n uint64) history {
	if len(dst) == len(h) && len(h) > 0 && n == h.last() && dst.end().same(h.end()) {
		dst[len(dst)-1].last = n
		return dst
	}
	return h.upTo(n)
}

// behind reports whether a log is older than another one, as voters judge it.
func (h history) behind(o history) bool {
	a, b := h.end(), o.end()
	return cmp.Or(cmp.Compare(a.term, b.term), cmp.Compare(a.node, b.node), cmp.Compare(h.last(), o.last())) < 0
}
