package planner

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/robustmq/robustmq-operator/internal/quorum"
	"github.com/robustmq/robustmq-operator/internal/topology"
)

// record is what a member's agent writes down of a transfer of leadership.
type record struct {
	id     string
	leader bool // it is one of the former leaders
	phase  phase
	target uint64
	until  time.Duration
	terms  [groupCount]uint64 // 0: this group is not moved
	votes  [groupCount]vote   // before
}

type phase int

const (
	reserved phase = iota
	prepared
	committed
	ended
)

func (r *record) active() bool { return r.phase != ended }

const (
	transferCommit = 10 * time.Second
	transferLead   = 15 * time.Second
	transferHold   = 20 * time.Second
)

// tickTransfer ends a transfer by itself that nobody ends.
func (w *World) tickTransfer(n *node) {
	if n.vol == nil || n.vol.record == nil || !n.vol.record.active() {
		return
	}
	r := n.vol.record
	switch {
	case r.phase == committed && w.leadsMoved(n, r):
		w.endTransfer(n)
	case w.now < r.until:
	case r.phase == committed:
		w.undoTransfer(n)
	case !r.leader:
		w.endTransfer(n)
	default:
		w.settleTransfer(n)
	}
}

func (w *World) endTransfer(n *node) {
	n.vol.record.phase = ended
	n.agent.shut = false
}

// undoTransfer kills a target that does not lead, and gives it its old votes back: nothing was ever made under the new ones.
func (w *World) undoTransfer(n *node) {
	w.kill(n, topology.ServerStopped, "")
	for g, term := range n.vol.record.terms {
		if r := n.vol.raft[g]; term > 0 && r != nil && r.log.end().term >= term {
			w.endTransfer(n) // it made entries under it: it keeps its votes
			return
		}
	}
	for g, term := range n.vol.record.terms {
		if r := n.vol.raft[g]; term > 0 && r != nil && r.vote == (vote{term, n.id, true}) {
			r.vote = n.vol.record.votes[g]
		}
	}
	w.endTransfer(n)
}

// settleTransfer starts a former leader that was not told how it ended: as it was where the others have turned away from it, else without its leadership.
func (w *World) settleTransfer(n *node) {
	rec := n.vol.record
	for g, term := range rec.terms {
		r := n.vol.raft[g]
		if term == 0 || r == nil || r.vote.node != n.id {
			continue
		}
		turned := 0
		w.peersOf(n, g, func(pr *raft) {
			if pr.vote.compare(vote{term: r.vote.term, node: n.id}) > 0 && pr.vote.node != n.id {
				turned++
			}
		})
		if turned < len(r.configs[0])/2+1 {
			r.vote = vote{term + 1, n.id, false}
		}
	}
	w.endTransfer(n)
}

// peersOf is peers for a member whose own server is stopped.
func (w *World) peersOf(n *node, g int, each func(*raft)) {
	for _, p := range w.members() {
		if p != n && configured(n.vol.raft[g].configs, p.id) && w.reach(n, p) {
			if r := p.core(g); r != nil {
				each(r)
			}
		}
	}
}

func (w *World) leadsMoved(n *node, rec *record) bool {
	for g, term := range rec.terms {
		if term == 0 {
			continue
		}
		if r := n.core(g); r == nil || !n.srv.raft[g].quorum || r.vote.term != term || r.vote.node != n.id {
			return false
		}
	}
	return true
}

var errTransfer = errors.New("transfer")

// transfer is StepTransfer as the operator and the agents carry it out together (docs/leadership.md). died is asked between any two calls.
func (w *World) transfer(s topology.Snapshot, step topology.Step, died func(string) bool) error {
	health := topology.Assess(s)
	target := w.byPod(step.Pod)
	var stops []*node
	var terms [groupCount]uint64
	for _, m := range health.Stops(target.id, step.Via) {
		n := w.byID(m.NodeID)
		stops = append(stops, n)
		for g, name := range groupNames {
			if slices.Contains(health.LeaderOf(m.NodeID), name) {
				for _, v := range w.members() {
					if v.vol == nil || v.vol.raft[g] == nil || !slices.ContainsFunc(health.VoterIn(v.id), func(x string) bool { return x == name }) {
						continue
					}
					if v.core(g) == nil || !w.asks(v) || v.srv.raft[g].leader != n.id || !n.srv.raft[g].quorum {
						return fmt.Errorf("%w: %s does not follow %s in %s", errTransfer, v.pod, n.pod, name)
					}
					terms[g] = max(terms[g], v.vol.raft[g].vote.term+1)
				}
			}
		}
	}
	if len(stops) == 0 || terms == [groupCount]uint64{} {
		return fmt.Errorf("%w: nobody leads anything that could be moved", errTransfer)
	}
	w.op.transfers++
	id := fmt.Sprintf("transfer-%d", w.op.transfers)
	take := func(n *node, leader bool, until time.Duration) error {
		if !w.asks(n) || !n.running() || n.vol.record != nil && n.vol.record.active() {
			return fmt.Errorf("%w: %s takes no part", errTransfer, n.pod)
		}
		n.vol.record = &record{id: id, leader: leader, target: target.id, until: w.now + until}
		return nil
	}
	if err := take(target, false, transferLead); err != nil {
		return err
	}
	began := w.now
	fail := func(err error) error {
		w.endAll(id, target)
		return err
	}
	if died("reserved") {
		return errDied
	}
	stop := func(n *node) {
		r := n.vol.record
		r.phase, r.terms, n.agent.shut = prepared, terms, true
		for g := range groupCount {
			r.votes[g] = n.vol.raft[g].vote
		}
		w.kill(n, topology.ServerStopped, "")
	}
	for _, n := range stops {
		if err := take(n, true, transferHold); err != nil {
			return fail(err)
		}
		stop(n)
		if died("a leader stopped") {
			return errDied
		}
	}
	if !w.asks(target) || !target.running() || !target.vol.record.active() {
		return fail(fmt.Errorf("%w: the target is gone", errTransfer))
	}
	stop(target)
	if died("the target stopped") {
		return errDied
	}
	if w.chance(0.1) {
		w.advance(tick)
	}
	for g, term := range terms {
		for _, n := range stops {
			if term > 0 && target.vol.raft[g].log.behind(n.vol.raft[g].log) {
				return fail(fmt.Errorf("%w: the target is behind", errTransfer))
			}
		}
	}
	if !w.asks(target) || w.now-began > transferCommit {
		return fail(fmt.Errorf("%w: its time is over", errTransfer))
	}
	target.vol.record.phase = committed
	for g, term := range terms {
		if term > 0 {
			target.vol.raft[g].vote = vote{term, target.id, true}
		}
	}
	target.agent.shut = false
	if died("committed") {
		return errDied
	}
	if configs := target.vol.raft[0].configs[0]; quorum.Outvoted(len(configs), 1) {
		if err := w.releaseAll(id); err != nil {
			return fail(err)
		}
		if died("released") {
			return errDied
		}
	}
	for !w.leadsMoved(target, target.vol.record) {
		if w.now-began > transferCommit {
			return fail(fmt.Errorf("%w: %s did not come to lead in time", errTransfer, target.pod))
		}
		w.advance(tick)
		if target.vol == nil || target.vol.record == nil || target.vol.record.id != id {
			return fail(fmt.Errorf("%w: the target's volume went", errTransfer))
		}
	}
	if died("it leads") {
		return errDied
	}
	return w.releaseAll(id)
}

// endAll puts everything back, as far as the target answers: its word decides.
func (w *World) endAll(id string, target *node) {
	if !w.asks(target) {
		return
	}
	if r := target.vol.record; r != nil && r.id == id && r.active() {
		switch {
		case r.phase == committed && w.leadsMoved(target, r), r.phase != committed:
			w.endTransfer(target)
		default:
			w.undoTransfer(target)
		}
	}
	_ = w.releaseAll(id) // who does not answer starts by itself
}

// releaseAll starts the former leaders as they were.
func (w *World) releaseAll(id string) error {
	var err error
	for _, n := range w.members() {
		if n.vol == nil || n.vol.record == nil || n.vol.record.id != id || !n.vol.record.leader || !n.vol.record.active() {
			continue
		}
		if !w.asks(n) {
			err = fmt.Errorf("%w: %s does not answer", errTransfer, n.pod)
			continue
		}
		w.endTransfer(n)
	}
	return err
}
