package planner

import (
	"fmt"
	"slices"
	"time"

	"github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/internal/topology"
)

// podView is what a cache of Kubernetes says of a pod's place. It may be older than the agents' answers.
type podView struct {
	claimExists, claimFounded, claimTerminating bool
	state                                       topology.PodState
	uid, template                               int
	ready                                       bool
}

// view is one look at Kubernetes.
type view struct {
	pods    []podView
	sets    [roleCount]set
	founded bool
}

func (w *World) look() view {
	v := view{pods: make([]podView, len(w.nodes)), sets: w.kube.sets, founded: w.kube.founded}
	for i, n := range w.nodes {
		v.pods[i] = podView{n.claimExists, n.claimFounded, n.claimTerminating, n.state, n.uid, n.template, w.ready(n)}
	}
	return v
}

// ready is the agent's word: of a member while its server runs, of a broker while clients are led to it.
func (w *World) ready(n *node) bool {
	return n.running() && !n.agent.quiesced && !n.agent.terminating
}

// asks reports whether the operator reaches a pod's agent. It runs on the side of the first machines.
func (w *World) asks(n *node) bool { return n.there() && !w.off[n.machine] && w.side[n.machine] == 0 }

// observe is the snapshot that the controller makes of this moment (controllers/cluster: newSnapshot, describePod, newAgent); Kubernetes' part of it is given.
func (w *World) observe(v view) topology.Snapshot {
	s := topology.Snapshot{
		Wanted: topology.Wanted{
			ClusterUID: clusterUID, Generation: 1 + w.kube.raised, Founded: v.founded, Groups: groupNames, Replicas: map[v1alpha1.Role]int32{},
			Decommission: true, VolumesGo: w.spec.volumesGo, LeadOn: w.spec.leadOn,
			Restore: w.restore, Rescue: topology.Rescue{Restore: topology.Restore{Name: "c-loss-1"}, Hindrance: "there is no backup"},
		},
		Limits:  topology.DefaultLimits(),
		Present: map[v1alpha1.Role]int32{},
		Members: make([]topology.Member, 0, len(w.nodes)),
	}
	if w.spec.adopt != "" {
		s.Wanted.Adopt = []string{w.spec.adopt}
	}
	for i, n := range w.nodes {
		p := v.pods[i]
		if n.isMember() && p.claimExists && p.claimFounded {
			s.Wanted.Founded = true
		}
	}
	s.Wanted.One = topology.One{Allowed: w.one && w.spec.replicas[0] == 1}
	if w.op.aloneFailed > 0 {
		s.Wanted.One.FailedAgo = max(w.now-w.op.aloneFailed, 1)
	}
	at := 0
	for i, role := range roles {
		nodes := w.of(role)
		s.Wanted.Replicas[role] = w.spec.replicas[i]
		existing := int32(0)
		for k := range nodes {
			if v.pods[at+k].state != topology.PodMissing {
				existing = int32(k) + 1 //nolint:gosec // small
			}
		}
		s.Present[role] = existing
		if set := v.sets[i]; set.exists {
			s.Present[role] = max(set.replicas, set.asleep)
		}
		upTo := max(s.Wanted.Replicas[role], s.Present[role], existing)
		for k, n := range nodes {
			if int32(k) < upTo { //nolint:gosec // small
				s.Members = append(s.Members, w.member(n, v.pods[at+k]))
			}
		}
		at += len(nodes)
	}
	s.SeedTries = w.op.seeds.Tries(w.clock())
	if w.op.transferFailed > 0 {
		s.TransferFailedAgo = max(w.now-w.op.transferFailed, 1)
	}
	return s
}

func (w *World) member(n *node, p podView) topology.Member {
	m := topology.Member{
		Role: n.role, Ordinal: n.ordinal, NodeID: n.id, Pod: n.pod, Addr: n.pod + ":1228", Node: fmt.Sprint("machine-", n.machine),
		State: p.state, ClaimExists: p.claimExists, ClaimFounded: p.claimFounded, ClaimTerminating: p.claimTerminating, Ready: p.ready,
	}
	if p.state == topology.PodPending {
		m.Reason, m.Message = v1alpha1.ReasonWaitingForPods, "its containers are being started"
		switch {
		case w.off[n.machine]:
			m.Reason = v1alpha1.ReasonUnschedulable
		case w.kube.templates[n.template].unpullable:
			m.Reason = v1alpha1.ReasonImagePullFailed
		}
	}
	if p.state == topology.PodMissing || p.state == topology.PodPending || !w.asks(n) {
		m.AgentError = "no answer"
		return m
	}
	m.Agent = w.agentOf(n)
	m.ImagePending = p.template != n.started
	return m
}

func (w *World) agentOf(n *node) *topology.Agent {
	v := n.vol
	open, reason := w.gate(n)
	a := &topology.Agent{
		VolumeEmpty: !v.data && !v.foreign, VolumeInitialised: v.data || v.foreign, GateOpen: open, GateReason: reason, GateMessage: reason,
		Server: n.srv.phase, ServerExit: n.agent.exit, MQTTOpen: n.running() && n.srv.mqtt, Fenced: n.agent.fenced, Terminating: n.agent.terminating,
		Quiesced: n.agent.quiesced && n.running(), Starts: n.agent.starts, Source: fmt.Sprint(n.mounted.source),
		Placing: v.seed != nil && (v.seed.phase == topology.SeedReceiving || v.seed.phase == topology.SeedPlacing || v.seed.phase == topology.SeedPlaced),
		Staging: w.staging(n), LoginRefused: n.agent.refusedLogin && n.running(),
	}
	if a.Server == "" || a.Server == topology.ServerExited && (!open || n.agent.fenced || n.agent.terminating) {
		a.Server = topology.ServerStopped
	}
	if n.alive() {
		a.ConfigStale = n.srv.ran.static != n.mounted.static
		a.StartedFor = max(w.now-n.srv.started, 1)
	} else if n.agent.stopped > 0 {
		a.StoppedFor = max(w.now-n.agent.stopped, 1)
	}
	if n.mounted.bad {
		a.ConfigFault = "the key is not known"
	}
	if v.marker != nil {
		mk := *v.marker
		a.Marker = &mk
		for g, empty := range v.empty {
			if empty {
				a.EmptySnapshot = append(a.EmptySnapshot, groupNames[g])
			}
		}
		slices.Sort(a.EmptySnapshot)
	}
	if v.seed != nil {
		a.Seed = &topology.Seed{ID: v.seed.id, Phase: v.seed.phase, Donor: v.seed.donor, Reason: v.seed.reason, Message: v.seed.reason, Applied: map[string]uint64{}, Least: map[string]uint64{}}
		for g, r := range v.seed.image {
			if v.seed.least[g] > 0 {
				a.Seed.Least[groupNames[g]] = v.seed.least[g]
			}
			if r != nil {
				a.Seed.Applied[groupNames[g]] = r.applied
			}
		}
	}
	if r := v.record; r != nil && r.active() {
		a.Transfer = &topology.Transfer{ID: r.id, Target: r.target}
	}
	if n.running() {
		a.Announced = slices.Contains(w.registered(), n.id)
		a.Nodes = n.knows()
		if n.srv.dynamic != n.mounted.dynamic {
			a.LivePending = []string{"MqttLimit"}
		}
		if n.isMember() {
			w.describeRaft(n, a)
		}
	}
	return a
}

func (w *World) describeRaft(n *node, a *topology.Agent) {
	a.Registry = w.registered()
	slices.Sort(a.Registry)
	if a.Registry == nil {
		a.Registry = []uint64{}
	}
	a.Groups = make(map[string]topology.Group, groupCount)
	for g, r := range n.vol.raft {
		if r == nil {
			continue
		}
		l := n.srv.raft[g]
		out := topology.Group{
			Running: !l.dead, Leads: l.role == leads && l.quorum && !l.dead, Claims: l.role == leads, Leader: l.leader, Term: r.vote.term, LastLog: r.log.last(), LastApplied: r.applied,
			Purged: r.purged, Vote: r.vote.node,
		}
		switch len(r.configs) {
		case 1:
			out.Voters, out.Members = r.configs[0], r.configs[0]
		case 2:
			out.Changing, out.Configs = true, r.configs
			out.Members = slices.Clone(r.configs[0])
			for _, id := range r.configs[1] {
				out.Members = with(out.Members, id)
			}
		}
		a.Groups[groupNames[g]] = out
	}
}

// staging reports whether somebody's seed is taking an image of this member.
func (w *World) staging(n *node) bool {
	for _, o := range w.members() {
		if o.vol != nil && o.vol.seed != nil && o.vol.seed.donor == n.id && o.vol.seed.phase == topology.SeedImaging && o.there() {
			return true
		}
	}
	return false
}

// drain is what the nodes that stay know of the segments; it is incomplete when nobody can be asked, or the questions took too long.
func (w *World) drain(s topology.Snapshot, leaving []uint64) topology.Drain {
	h := topology.Assess(s)
	asked := false
	for _, m := range s.Members {
		asked = asked || m.Ordinal < s.Wanted.Replicas[m.Role] && h.InService(m)
	}
	if !asked {
		return topology.Drain{Problem: "there is no node to ask"}
	}
	if !w.calm && w.chance(0.05) {
		return topology.Drain{Problem: "some topics were looked at so far"}
	}
	d := topology.Drain{Complete: true}
	for _, x := range w.messages {
		full := len(x.replicas) > 0
		for _, id := range x.replicas {
			full = full && slices.Contains(x.isr, id)
		}
		if full && !x.unavailable && !slices.ContainsFunc(leaving, x.names) {
			continue
		}
		status := "Write"
		if x.unavailable {
			status = topology.SegmentUnavailable
		}
		d.Segments = append(d.Segments, topology.Segment{
			Topic: x.name, Shard: x.name, Copies: x.copies, Replicas: slices.Clone(x.replicas), ISR: slices.Clone(x.isr), LastISR: slices.Clone(x.lastISR), Leader: x.leader, Status: status, Epoch: x.epoch,
		})
	}
	return d
}

// census counts the members' keys, as the controller has it done for a placement centre that is whole.
func (w *World) census(s topology.Snapshot) {
	h := topology.Assess(s)
	if h.QuorumProblem() != "" || !s.Wanted.Founded || w.now-w.op.counted < 30*time.Second {
		return
	}
	w.op.counted = w.now
	round := topology.Round{}
	// The controller counts again until it meets all at one position; here that is the one that all have reached.
	var at [groupCount]uint64
	for g := range groupCount {
		for _, id := range h.Voters() {
			if r := w.byID(id).core(g); r != nil && (at[g] == 0 || r.applied < at[g]) {
				at[g] = r.applied
			}
		}
	}
	for _, id := range h.Voters() {
		n := w.byID(id)
		if n == nil || !n.running() || n.vol.marker == nil {
			continue
		}
		c := topology.Census{Life: n.vol.marker.Life, Families: map[string]topology.Family{}}
		for g, r := range n.vol.raft {
			end := r.log.upTo(at[g]).end()
			c.Applied += fmt.Sprintf("%s %d/%d/%d, ", groupNames[g], end.term, end.node, at[g])
			c.Families[groupNames[g]] = topology.Family{Keys: at[g] - min(r.missing, at[g]), Digest: fmt.Sprint(r.missing)}
		}
		round[id] = c
	}
	if len(round) > 1 {
		w.op.rounds, w.op.rounded = append(w.op.rounds, round), w.now
		w.op.rounds = w.op.rounds[max(0, len(w.op.rounds)-2):]
	}
}
