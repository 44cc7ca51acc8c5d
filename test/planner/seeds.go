package planner

import (
	"fmt"
	"slices"
	"time"

	"github.com/robustmq/robustmq-operator/internal/quorum"
	"github.com/robustmq/robustmq-operator/internal/topology"
)

const seedPatience = 30 * time.Second

// seedOrder carries out the steps by which a volume is filled with another member's metadata.
func (w *World) seedOrder(s topology.Snapshot, step topology.Step, n *node) error {
	v := n.vol
	switch step.Kind {
	case topology.StepSeed:
		if v.seed != nil || n.alive() || v.record != nil && v.record.active() {
			return refusal("it is busy")
		}
		w.op.ids++
		v.seed = &seed{
			id: fmt.Sprint("seed-", w.op.ids), phase: topology.SeedImaging, donor: w.byPod(step.Via).id, since: w.now, until: w.now + w.between(1, 3), terms: step.Terms, changing: step.Changing,
		}
		h := topology.Assess(s)
		for g, name := range groupNames {
			if l, ok := h.Leader(name); ok {
				v.seed.least[g] = l.Agent.Groups[name].LastLog
			}
			v.seed.owed[g] = w.truth[g].last()
		}
		return nil
	case topology.StepOpenSeed:
		if v.seed == nil || v.seed.phase != topology.SeedPlaced {
			return refusal("there is no image to open")
		}
		v.seed.phase = topology.SeedOpen
		return nil
	case topology.StepDiscardSeed:
		w.endSeed(v)
		w.op.seeds.Forget(n.pod)
		return nil
	case topology.StepAbandonSeed:
		ended := v.seed
		w.endSeed(v)
		donor := uint64(0)
		if ended != nil {
			donor = ended.donor
		}
		w.op.seeds.Failed(n.pod, step.Reason, donor, w.clock())
		return nil
	}
	return fmt.Errorf("%w: no such step: %s", errRefuse, step.Kind)
}

// endSeed removes what a seed still keeps: what is in force stays, what is not makes room for what was there before.
func (w *World) endSeed(v *volume) {
	if v.seed == nil {
		return
	}
	if v.seed.phase == topology.SeedPlaced {
		v.raft, v.marker, v.data, v.hasData, v.empty = v.prev.raft, v.prev.marker, v.prev.data, v.prev.hasData, v.prev.empty
	}
	v.seed, v.prev = nil, nil
}

// tickSeed is the agent's work on a seed.
func (w *World) tickSeed(n *node) {
	v := n.vol
	if v == nil || v.seed == nil || n.agent.terminating {
		return
	}
	s := v.seed
	if s.phase != topology.SeedImaging && s.phase != topology.SeedReceiving && s.phase != topology.SeedPlacing {
		return
	}
	fail := func(reason string) { s.phase, s.reason = topology.SeedFailed, reason }
	donor := w.byID(s.donor)
	if s.phase != topology.SeedPlacing {
		if !donor.running() || !w.reach(n, donor) {
			if s.waiting == 0 {
				s.waiting = w.now
			}
			if w.now-s.waiting >= seedPatience {
				fail("DonorLost")
			}
			return
		}
		s.waiting = 0
	}
	if w.now < s.until {
		return
	}
	s.since = w.now
	switch s.phase {
	case topology.SeedImaging:
		if why := w.judgeImage(n, donor, s); why != "" {
			fail(why)
			return
		}
		for g := range groupCount {
			s.image[g] = donor.vol.raft[g].clone()
		}
		s.phase, s.until = topology.SeedReceiving, w.now+w.between(1, 4)
	case topology.SeedReceiving:
		s.phase, s.until = topology.SeedPlacing, w.now+tick
	case topology.SeedPlacing:
		w.place(n, s)
	}
}

// judgeImage says why a donor's image may not become this node's volume.
func (w *World) judgeImage(n, donor *node, s *seed) string {
	for g, r := range donor.vol.raft {
		term, voted := s.terms[groupNames[g]]
		switch {
		case r == nil:
			return "the donor is no voter"
		case s.changing && !quorum.Indispensable(donor.id, r.configs):
			return "something may have been agreed upon without the donor"
		case s.changing && !voted && r.vote.node != donor.id:
			return "the donor voted for another, and no vote is ordered"
		case s.changing: // the groups differ, and that is known
		case len(r.configs) != 1 || !slices.Contains(r.configs[0], donor.id):
			return "the donor is no voter"
		case !slices.Equal(r.configs[0], donor.vol.raft[0].configs[0]):
			return "a join or a leave is half done"
		case len(s.terms) > 0 && !voted:
			return "votes are ordered, and none for this group"
		}
		switch {
		case voted && term <= r.vote.term:
			return "the ordered vote is not newer"
		case len(s.terms) == 0 && r.vote.node == n.id:
			return "the vote names the node itself"
		case r.applied < s.least[g]:
			return "the image ends before what the leader had"
		}
	}
	return ""
}

func (w *World) place(n *node, s *seed) {
	v := n.vol
	old := *v
	old.seed, old.prev, old.record = nil, nil, nil
	v.prev = &old
	v.raft = s.image
	for g, r := range v.raft {
		v.raft[g] = r.clone()
		if term := s.terms[groupNames[g]]; term > 0 {
			v.raft[g].vote = vote{term: term} // for nobody
		}
	}
	v.marker, v.data, v.hasData, v.empty = w.newMarker(n, topology.OriginSeeded), true, true, [groupCount]bool{}
	s.phase = topology.SeedPlaced
}
