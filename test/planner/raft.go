package planner

import (
	"slices"
	"time"

	"github.com/robustmq/robustmq-operator/internal/topology"
)

// raft is one group of one member, as its volume has it.
type raft struct {
	vote    vote
	log     history
	purged  uint64
	snap    uint64
	applied uint64
	configs [][]uint64
	changed uint64 // the log index from which configs hold
	missing uint64 // entries that it claims and does not have: a snapshot came without them
}

func (r *raft) clone() *raft {
	c := *r
	c.log = slices.Clone(r.log)
	return &c
}

// role is what a member is in a group now.
type role int

const (
	follower role = iota
	candidate
	leads // it calls itself leader
)

// live is one group of one running server.
type live struct {
	role     role
	dead     bool          // the core has stopped
	stuck    bool          // it calls itself leader, and neither leads nor stands for election
	leader   uint64        // whom it follows
	heard    time.Duration // from its leader; of a leader: from a quorum
	deadline time.Duration // of its next candidacy
	quorum   bool          // acknowledged in this tick
	longer   bool          // it saw a longer log than its own: it waits 40 s more
}

// RobustMQ 0.4.11: a lease of 20 s and a timer of 10 to 20 s, so an election comes 31 to 38 s after the loss (seen); a snapshot every 100 entries, and 1000 kept behind it.
const (
	lease         = 20 * time.Second
	snapshotEvery = 100
	kept          = 1000
)

func (w *World) timer() time.Duration { return lease + w.between(10, 18) }

// core is the group of a server that takes part, nil when it does not.
func (n *node) core(g int) *raft {
	if !n.running() || n.vol == nil || n.srv.raft[g].dead {
		return nil
	}
	return n.vol.raft[g]
}

// configured reports whether an id stands in any of the configurations.
func configured(configs [][]uint64, id uint64) bool {
	return slices.ContainsFunc(configs, func(c []uint64) bool { return slices.Contains(c, id) })
}

// majority reports whether those of whom has is true are more than half of every configuration.
func majority(configs [][]uint64, has func(id uint64) bool) bool {
	for _, c := range configs {
		n := 0
		for _, id := range c {
			if has(id) {
				n++
			}
		}
		if 2*n <= len(c) {
			return false
		}
	}
	return len(configs) > 0
}

// peers calls each with every other member that a member's configurations name and that takes part and can be reached.
func (w *World) peers(n *node, g int, each func(*node, *raft)) {
	configs := n.vol.raft[g].configs
	for _, p := range w.members() {
		if p != n && configured(configs, p.id) && w.reach(n, p) {
			if r := p.core(g); r != nil {
				each(p, r)
			}
		}
	}
}

// leader is the true cluster's leader of a group with a quorum behind it, nil when there is none.
func (w *World) leader(g int) *node {
	var found *node
	for _, n := range w.members() {
		if r := n.core(g); r != nil && n.srv.raft[g].quorum && !w.alone(n, g) && (found == nil || found.vol.raft[g].vote.compare(r.vote) < 0) {
			found = n
		}
	}
	return found
}

// alone reports whether a member runs a cluster of its own that nobody founded.
func (w *World) alone(n *node, g int) bool {
	r := n.vol.raft[g]
	return n.vol.marker != nil && n.vol.marker.Origin == topology.OriginJoined && len(r.configs) == 1 && len(r.configs[0]) == 1 && r.configs[0][0] == n.id
}

func (w *World) tickRaft(g int) {
	for _, n := range w.members() {
		if r := n.core(g); r != nil && n.srv.raft[g].role == leads {
			w.tickLeader(n, r, g)
		} else if n.running() {
			n.srv.raft[g].quorum = false
		}
	}
	for _, n := range w.members() {
		r := n.core(g)
		l := &n.srv.raft[g]
		if r == nil || l.role == leads || len(r.configs) == 0 || !configured(r.configs, n.id) || w.now < l.deadline {
			continue
		}
		w.stand(n, r, g)
	}
}

func (w *World) tickLeader(n *node, r *raft, g int) {
	l := &n.srv.raft[g]
	l.quorum = false
	if l.stuck {
		return
	}
	acked := map[uint64]bool{n.id: true}
	w.peers(n, g, func(p *node, pr *raft) {
		if pr.vote.compare(vote{r.vote.term, r.vote.node, true}) > 0 {
			l.role, l.leader, l.deadline = follower, 0, w.now+w.timer()
			if pr.vote.term > r.vote.term {
				r.vote = vote{term: pr.vote.term, node: pr.vote.node}
			}
		}
	})
	if l.role != leads {
		w.tell("%s no longer leads %s: somebody is in term %d", n.pod, groupNames[g], r.vote.term)
		return
	}
	w.peers(n, g, func(p *node, pr *raft) {
		pl := &p.srv.raft[g]
		pr.vote = r.vote
		pl.role, pl.leader, pl.heard, pl.deadline, pl.longer, pl.stuck = follower, n.id, w.now, w.now+w.timer(), false, false
		w.replicate(n, p, g)
		acked[p.id] = true
	})
	if !majority(r.configs, func(id uint64) bool { return acked[id] }) {
		return
	}
	l.quorum, l.heard, l.leader = true, w.now, n.id
	w.commit(n, r, g, acked)
}

// replicate gives a follower what it lacks. One whose next entry was purged is sent a snapshot, which RobustMQ sends without its entries (seen).
func (w *World) replicate(n, p *node, g int) {
	r, pr := n.vol.raft[g], p.vol.raft[g]
	from := common(r.log, pr.log)
	upTo := r.log.last()
	if p.slow {
		upTo = min(upTo, max(from, pr.log.last())+1)
	}
	if from < r.purged {
		lost := r.snap - from
		pr.missing += lost
		pr.log, pr.purged, pr.snap, pr.applied = r.log.upTo(r.snap), r.snap, r.snap, r.snap
		if !w.chance(0.03) { // an agent that was started at that moment does not hear of it
			p.vol.empty[g] = true
		}
		w.tell("%s takes a snapshot of %s without its entries: %d are missing", p.pod, groupNames[g], lost)
		w.checkEmptySnapshot(p, g)
		upTo = max(upTo, r.snap)
	}
	pr.log = r.log.copyTo(pr.log, max(upTo, from))
	pr.applied = min(r.applied, pr.log.last())
	if r.changed <= pr.log.last() {
		pr.configs, pr.changed = r.configs, r.changed
	}
	pr.compact()
}

func (r *raft) compact() {
	if last := r.applied; last >= r.snap+snapshotEvery {
		r.snap = last - last%snapshotEvery
		if r.snap > kept {
			r.purged = max(r.purged, r.snap-kept)
		}
	}
}

// commit acknowledges what a majority has.
func (w *World) commit(n *node, r *raft, g int, acked map[uint64]bool) {
	at := r.log.last()
	for _, c := range r.configs {
		var matched []uint64
		for _, id := range c {
			m := uint64(0)
			if p := w.byID(id); acked[id] && p != nil && p.vol != nil && p.vol.raft[g] != nil {
				m = common(r.log, p.vol.raft[g].log)
			}
			matched = append(matched, m)
		}
		slices.Sort(matched)
		at = min(at, matched[(len(c)-1)/2])
	}
	begin := uint64(0)
	if k := len(r.log); k > 1 {
		begin = r.log[k-2].last
	}
	if at <= begin || !r.log.end().same(run{term: r.vote.term, node: r.vote.node}) {
		return // only entries of its own term are counted
	}
	r.applied = max(r.applied, at)
	r.compact()
	if !w.alone(n, g) {
		w.acknowledge(n, g, at)
	}
}

// stand is a candidacy.
func (w *World) stand(n *node, r *raft, g int) {
	l := &n.srv.raft[g]
	next := vote{term: r.vote.term + 1, node: n.id}
	granted := map[uint64]bool{n.id: true}
	highest := next.term
	longer := false
	w.peers(n, g, func(p *node, pr *raft) {
		pl := &p.srv.raft[g]
		switch {
		case pl.stuck:
			longer = longer || r.log.behind(pr.log)
		case (pl.leader != 0 && pl.leader != n.id) && w.now-pl.heard < lease:
		case pr.vote.compare(next) > 0:
			highest = max(highest, pr.vote.term)
		case r.log.behind(pr.log):
			longer = true
		default:
			pr.vote = next
			if pl.role == leads {
				pl.role, pl.quorum = follower, false
			}
			pl.leader = 0
			granted[p.id] = true
		}
	})
	if !majority(r.configs, func(id uint64) bool { return granted[id] }) {
		r.vote = vote{term: highest, node: n.id}
		l.role, l.leader = candidate, 0
		l.deadline = w.now + w.between(10, 20)
		if longer && !l.longer {
			l.longer, l.deadline = true, l.deadline+40*time.Second
		}
		return
	}
	r.vote = vote{next.term, n.id, true}
	r.log = r.log.add(r.vote, 1)
	*l = live{role: leads, leader: n.id, heard: w.now}
	w.tell("%s is elected leader of %s in term %d", n.pod, groupNames[g], next.term)
	w.checkLeader(n, g)
	w.tickLeader(n, r, g)
}

// openRaft is what a member's server does at its start; false: it ended by itself, or waits.
func (w *World) openRaft(n *node) bool {
	v := n.vol
	if v.raft[0] == nil && v.raft[1] == nil && v.raft[2] == nil {
		switch {
		case v.marker.Origin == topology.OriginFounded:
			w.foundRaft(n)
		case !w.joinByItself(n):
			return false
		}
	}
	for g, r := range v.raft {
		l := &n.srv.raft[g]
		*l = live{deadline: w.now + w.timer()}
		if r == nil {
			v.raft[g] = &raft{}
			continue
		}
		if r.vote == (vote{r.vote.term, n.id, true}) && configured(r.configs, n.id) {
			*l = live{role: leads, leader: n.id} // back in its old term
			w.tell("%s resumes %s in term %d", n.pod, groupNames[g], r.vote.term)
		}
		if len(r.configs) == 1 && len(r.configs[0]) == 1 {
			l.deadline = w.now
		}
	}
	return true
}

func (w *World) foundRaft(n *node) {
	half := !w.calm && w.chance(0.03)
	for g := range groupCount {
		if half && g > 0 {
			return // it died in between, and never founds the rest
		}
		n.vol.raft[g] = &raft{configs: [][]uint64{{n.id}}, vote: vote{1, n.id, true}, log: history{{1, n.id, 1}}, applied: 1, changed: 1}
	}
}
