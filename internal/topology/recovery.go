package topology

import (
	"cmp"
	"slices"
	"time"
)

// Rung is one kind of trouble of the recovery ladder: what broke, whoever mends it (raft, the agent, the operator).
type Rung string

// The rungs. Their number is closed: they are labels of a metric.
const (
	RungLeaderLost     Rung = "LeaderLost"     // a raft group has no leader with a quorum behind it
	RungMajorityLost   Rung = "MajorityLost"   // the volumes of a majority are empty
	RungDataLost       Rung = "DataLost"       // every volume of the placement centre is empty
	RungServerCrashed  Rung = "ServerCrashed"  // a server ended by itself
	RungServerHung     Rung = "ServerHung"     // a server runs and does not answer
	RungRaftDead       Rung = "RaftDead"       // a raft core has stopped while the process lives
	RungFenced         Rung = "Fenced"         // a voter reaches no majority
	RungRogueMember    Rung = "RogueMember"    // a member runs a cluster of its own
	RungVolumeEmpty    Rung = "VolumeEmpty"    // a voter's volume is empty
	RungFaultyMember   Rung = "FaultyMember"   // a member holds other data than its position claims
	RungRegistryShort  Rung = "RegistryShort"  // a running node is not registered
	RungPodGone        Rung = "PodGone"        // the pod of a node with data does not run
	RungNodeLost       Rung = "NodeLost"       // the machine of the pod, or of its volume, does not look after it any more
	RungDuplicateNode  Rung = "DuplicateNode"  // another process is registered under its node id
	RungLogStorm       Rung = "LogStorm"       // the log of the metadata grows although no client is connected
	RungAgentUnreached Rung = "AgentUnreached" // the pod runs and its agent does not answer
)

// Trouble is one rung at one pod; without a pod it is the placement centre's.
type Trouble struct {
	Rung Rung
	Pod  string
}

// Troubles are those of a founded cluster now. What the user asked for (a member that is taken away, a planned restart) is none.
func Troubles(s Snapshot) []Trouble {
	if !s.Wanted.Founded || s.Wanted.Islands {
		return nil
	}
	h := assess(s)
	var out []Trouble
	if !h.ledAll() {
		out = append(out, Trouble{Rung: RungLeaderLost})
	}
	if majorityLoss(s, h) != nil {
		out = append(out, Trouble{Rung: RungMajorityLost})
	}
	if totalLoss(s).lost {
		out = append(out, Trouble{Rung: RungDataLost})
	}
	if storms(s, h) && s.Seen[Symptom{Kind: SymptomLogStorm}] > s.Limits.LogStorm {
		out = append(out, Trouble{Rung: RungLogStorm})
	}
	for _, m := range s.Members {
		if !s.wantedOf(m) {
			continue
		}
		for _, rung := range troublesOf(s, h, m) {
			out = append(out, Trouble{rung, m.Pod})
		}
	}
	return out
}

func troublesOf(s Snapshot, h Health, m Member) (out []Rung) {
	if lost(s, m) || m.Local != nil && m.State == PodPending && s.Machines[m.Local.Machine].away() {
		return []Rung{RungNodeLost}
	}
	if m.Agent == nil {
		switch {
		case m.State == PodRunning:
			return []Rung{RungAgentUnreached}
		case m.ClaimFounded || m.Role != v1alpha1PlacementCenter && h.registered(m.NodeID):
			return []Rung{RungPodGone}
		}
		return nil
	}
	a := m.Agent
	if s.duplicated(m.NodeID) {
		out = append(out, RungDuplicateNode)
	}
	if a.GateOpen && a.Server == ServerExited {
		out = append(out, RungServerCrashed)
	}
	if a.GateOpen && a.Server == ServerHung {
		out = append(out, RungServerHung)
	}
	if a.Fenced {
		out = append(out, RungFenced)
	}
	if serving(m) && h.unregistered(m) && s.Seen[Symptom{SymptomUnregistered, m.Pod}] > s.Limits.RegistryShort {
		out = append(out, RungRegistryShort)
	}
	if m.Role != v1alpha1PlacementCenter {
		return out
	}
	if serving(m) && raftDead(m) && s.Seen[Symptom{SymptomRaftDead, m.Pod}] > s.Limits.RaftDead {
		out = append(out, RungRaftDead)
	}
	if rogue(s, m) {
		out = append(out, RungRogueMember)
	}
	if lostVolume(m) && h.known(m.NodeID) {
		out = append(out, RungVolumeEmpty)
	}
	if faulty(s, m) {
		out = append(out, RungFaultyMember)
	}
	return out
}

// Ended is a trouble that is over, and how long it lasted.
type Ended struct {
	Trouble
	Took time.Duration
}

// Watch remembers since when troubles last. A trouble is over when it is no longer seen and its node is in service (or, without a pod, when it is no longer seen): what one rung leaves to the
// next belongs to its time. It lives in memory only: a restart of the operator shortens what it tells. The zero value is ready for use.
type Watch struct{ since map[Trouble]time.Time }

// Observe takes what is seen now and returns what is over.
func (w *Watch) Observe(now time.Time, s Snapshot) (over []Ended) {
	if !s.Wanted.Founded {
		return nil // one that begins empty again is over it when it serves
	}
	if w.since == nil {
		w.since = map[Trouble]time.Time{}
	}
	h := assess(s)
	seen := Troubles(s)
	for _, t := range seen {
		if _, known := w.since[t]; !known {
			w.since[t] = now
		}
	}
	for t, since := range w.since {
		if slices.Contains(seen, t) {
			continue
		}
		if t.Pod != "" {
			i := slices.IndexFunc(s.Members, func(m Member) bool { return m.Pod == t.Pod })
			if i < 0 || !s.wantedOf(s.Members[i]) {
				delete(w.since, t) // it was taken away meanwhile
				continue
			}
			if !h.inService(s.Members[i]) {
				continue
			}
		}
		over = append(over, Ended{t, now.Sub(since)})
		delete(w.since, t)
	}
	slices.SortFunc(over, func(a, b Ended) int { return cmp.Or(cmp.Compare(a.Rung, b.Rung), cmp.Compare(a.Pod, b.Pod)) })
	return over
}

// Rungs are the kinds of what is not over, each once, in the order of their names.
func (w *Watch) Rungs() []Rung {
	var out []Rung
	for t := range w.since {
		out = append(out, t.Rung)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// Words say what the trouble was.
func (r Rung) Words() string {
	return map[Rung]string{
		RungLeaderLost: "a raft group had no leader", RungMajorityLost: "the volumes of a majority were empty", RungDataLost: "every copy of the metadata was lost", RungServerCrashed: "its server had ended by itself", RungServerHung: "its server did not answer",
		RungRaftDead: "a raft core had stopped", RungFenced: "it reached no majority", RungRogueMember: "it ran a cluster of its own", RungVolumeEmpty: "its volume was empty",
		RungFaultyMember: "it held other data than its position claims", RungRegistryShort: "it was not registered", RungPodGone: "its pod did not run", RungAgentUnreached: "its agent did not answer", RungDuplicateNode: "another process was registered under its node id", RungLogStorm: "the log of the metadata grew although no client was connected", RungNodeLost: "the node that carried it, or its volume, was gone or did not report",
	}[r]
}
