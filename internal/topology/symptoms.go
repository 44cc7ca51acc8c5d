package topology

import (
	"time"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/internal/quorum"
)

// Symptom is something that looks wrong in a snapshot and is acted on only when it lasts.
type Symptom struct {
	Kind SymptomKind
	Pod  string
}

// SymptomKind is the kind of a symptom.
type SymptomKind string

// The kinds of symptoms.
const (
	SymptomHalfJoined     SymptomKind = "HalfJoined"     // runs, and is not a voter of every group
	SymptomHalfFounded    SymptomKind = "HalfFounded"    // founder that does not lead every group alone
	SymptomStarting       SymptomKind = "Starting"       // gate open, not in service
	SymptomListIncomplete SymptomKind = "ListIncomplete" // its own node list lacks a running node
	SymptomUnregistered   SymptomKind = "Unregistered"   // the metadata leader does not list it
	SymptomLoginRefused   SymptomKind = "LoginRefused"   // a broker does not accept the MQTT user of its credentials
	SymptomStaleLeader    SymptomKind = "StaleLeader"    // calls itself leader of a group that nobody leads, although a quorum serves
	SymptomRaftDead       SymptomKind = "RaftDead"       // process lives, a raft core has stopped
	SymptomPodPending     SymptomKind = "PodPending"     // the pod does not run, for a reason that waiting alone does not mend
	SymptomHeld           SymptomKind = "Held"           // a whole member that is stopped by order
	SymptomLeadersApart   SymptomKind = "LeadersApart"   // the raft groups are led by different members (of no pod in particular)
	SymptomMajorityLost   SymptomKind = "MajorityLost"   // nobody leads, and the volumes of a majority are seen empty (of no pod in particular)
	SymptomTotalLoss      SymptomKind = "TotalLoss"      // every volume of the placement centre is seen empty, and nothing speaks against it (of no pod in particular)
	SymptomDiverged       SymptomKind = "Diverged"       // leads with a log that is shorter than a follower's in its term
	SymptomDown           SymptomKind = "Down"           // the pod runs, and its server, which should, does not answer
	SymptomStranded       SymptomKind = "Stranded"       // not registered and not running, while segments name it
	SymptomQuiescing      SymptomKind = "Quiescing"      // quiesced, and clients are still led to it
	SymptomSeedStalled    SymptomKind = "SeedStalled"    // a seed is in one phase (Pod names pod, seed and phase)
	SymptomMachineLost    SymptomKind = "MachineLost"    // its machine is proven dead, or it is fenced on one that does not report
	SymptomVolumeLost     SymptomKind = "VolumeLost"     // it cannot be scheduled: its volume is on a machine that no longer exists
	SymptomLogStorm       SymptomKind = "LogStorm"       // the log of the metadata grows although no client is connected (of no pod in particular)
	SymptomCopiesMissing  SymptomKind = "CopiesMissing"  // segments lack a copy in sync while somebody leaves (of no pod in particular)
	SymptomWritesFast     SymptomKind = "WritesFast"     // a change waits, and its next member would come back behind the log (of no pod in particular)
)

// Symptoms lists what looks wrong now. Feed it to a Tracker to learn for how long.
func Symptoms(s Snapshot) []Symptom {
	h := assess(s)
	var out []Symptom
	add := func(kind SymptomKind, m Member) { out = append(out, Symptom{kind, m.Pod}) }
	if _, common := h.CommonLeader(); h.ledAll() && !common {
		out = append(out, Symptom{Kind: SymptomLeadersApart})
	}
	if storms(s, h) {
		out = append(out, Symptom{Kind: SymptomLogStorm})
	}
	if len(missingCopies(s, 0)) > 0 {
		out = append(out, Symptom{Kind: SymptomCopiesMissing})
	}
	if s.Wanted.Founded && majorityLoss(s, h) != nil {
		out = append(out, Symptom{Kind: SymptomMajorityLost})
	}
	if l := totalLoss(s); l.lost && l.unproven == "" {
		out = append(out, Symptom{Kind: SymptomTotalLoss})
	}
	if writesFast(s, h) {
		out = append(out, Symptom{Kind: SymptomWritesFast})
	}
	for _, m := range s.Members {
		if held(m) {
			add(SymptomHeld, m)
		}
		if down(m) {
			add(SymptomDown, m)
		}
		if at, _ := s.machine(m); lost(s, m) && (m.Agent == nil && at.dead() || fenced(m)) {
			add(SymptomMachineLost, m)
		}
		if volumeLost(s, m) {
			add(SymptomVolumeLost, m)
		}
		if stranded(s, h, m) {
			add(SymptomStranded, m)
		}
		if m.Agent != nil && m.Agent.Quiesced && m.Ready {
			add(SymptomQuiescing, m)
		}
		if m.Agent != nil && m.Agent.Seed != nil {
			out = append(out, Symptom{SymptomSeedStalled, m.Pod + " " + m.Agent.Seed.ID + " " + string(m.Agent.Seed.Phase)})
		}
		if m.State == PodPending && m.Reason != v1alpha1.ReasonWaitingForPods {
			add(SymptomPodPending, m)
		}
		if m.Agent == nil || !m.Agent.GateOpen {
			continue
		}
		if m.Role == v1alpha1PlacementCenter {
			if _, ahead := aheadOf(s, h, m); ahead {
				add(SymptomDiverged, m)
			}
			switch {
			case !s.Wanted.Founded && s.ours(m) && m.Agent.Marker.Origin == OriginFounded && !h.leadsAll(m.NodeID):
				add(SymptomHalfFounded, m)
			case h.ledAll() && !h.voterInAll(m.NodeID):
				add(SymptomHalfJoined, m)
			}
			if staleLeader(s, h, m) {
				add(SymptomStaleLeader, m)
			}
			if serving(m) && raftDead(m) {
				add(SymptomRaftDead, m)
			}
		}
		if !h.inService(m) {
			add(SymptomStarting, m)
		}
		if !serving(m) {
			continue
		}
		if m.Agent.LoginRefused {
			add(SymptomLoginRefused, m)
		}
		if len(h.missingFromList(m)) > 0 {
			add(SymptomListIncomplete, m)
		}
		if h.unregistered(m) {
			add(SymptomUnregistered, m)
		}
	}
	return out
}

// staleLeader reports whether a member calls itself leader of a group that nobody leads, although a quorum of the group's voters serves and could elect one. Seen on 0.4.11: a leader that had lost
// its majority met a member with a vote for it in the next term, took that vote over, and from then on neither led nor stood for election; its longer log kept everybody else from winning.
func staleLeader(s Snapshot, h Health, m Member) bool {
	if !serving(m) {
		return false
	}
	for _, group := range s.Wanted.Groups {
		g, ok := m.Agent.Groups[group]
		if _, led := h.Leader(group); !ok || !g.Claims || led {
			continue
		}
		could := len(g.Members) > 1
		configs := g.Configs
		if len(configs) == 0 {
			configs = [][]uint64{g.Voters}
		}
		for _, voters := range configs {
			serve := 0
			for _, id := range voters {
				if other, ok := s.node(id); ok && serving(other) && other.Agent.Groups[group].Running {
					serve++
				}
			}
			could = could && serve >= quorum.Of(len(voters))
		}
		if could {
			return true
		}
	}
	return false
}

func raftDead(m Member) bool {
	for _, g := range m.Agent.Groups {
		if !g.Running {
			return true
		}
	}
	return false
}

// Tracker remembers since when each symptom has been seen without a break. It lives in memory only: after a restart of the operator the times start anew,
// which delays a repair and never hastens one. The zero value is ready for use.
type Tracker struct {
	since map[Symptom]time.Time
}

// Observe takes what is seen now and returns for how long each has been.
func (t *Tracker) Observe(now time.Time, seen []Symptom) map[Symptom]time.Duration {
	next := make(map[Symptom]time.Time, len(seen))
	out := make(map[Symptom]time.Duration, len(seen))
	for _, s := range seen {
		start, known := t.since[s]
		if !known {
			start = now
		}
		next[s] = start
		out[s] = now.Sub(start)
	}
	t.since = next
	return out
}

// Forget starts a symptom's time anew: its cure was just given and needs time to work.
func (t *Tracker) Forget(s Symptom) { delete(t.since, s) }
