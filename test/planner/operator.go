package planner

import (
	"fmt"
	"time"

	"github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/internal/quorum"
	"github.com/robustmq/robustmq-operator/internal/topology"
)

// operator is the process that the planner runs in. What it remembers goes with it.
type operator struct {
	up        bool
	since     time.Duration // when it comes back
	tracker   topology.Tracker
	faults    []topology.Fault
	rounds    []topology.Round
	counted   time.Duration
	rounded   time.Duration // when the last of rounds was made
	seeds     topology.SeedMemory
	refused   map[string]string
	transfers int
	ids       int

	transferFailed time.Duration
	aloneFailed    time.Duration
	seen           view // the last look at Kubernetes
	looked         bool
	settled        bool // the last plan had nothing to do and nothing to wait for
	last           topology.Plan
}

// clock is the world's time as the operator reads it.
func (w *World) clock() time.Time { return time.Unix(0, 0).Add(w.now) }

// die ends the operator; another one begins a while later and remembers nothing.
func (w *World) die(point string) {
	w.tell("the operator dies: %s", point)
	w.Count.Faults["operator killed"]++
	transfers, ids := w.op.transfers, w.op.ids
	w.op = operator{since: w.now + w.between(1, 20), transfers: transfers, ids: ids}
}

// pass is one reconcile (controllers/cluster: reconcile); it returns how long the operator waits before the next.
func (w *World) pass() time.Duration {
	const busy, quiet = 2 * time.Second, 30 * time.Second
	if !w.op.up {
		if w.now < w.op.since {
			return tick
		}
		w.op.up = true
	}
	w.Count.Passes++
	v := w.look()
	if !w.calm && w.op.looked && w.chance(0.1) {
		v = w.op.seen // the cache is behind
	}
	w.op.seen, w.op.looked = w.look(), true
	s := w.observe(v)
	if leaving := topology.Leaving(s); len(leaving) > 0 {
		s.Drain = w.drain(s, leaving)
	}
	s.Rounds, s.RoundAgo, s.Faults = w.op.rounds, w.now-w.op.rounded, w.op.faults
	symptoms := topology.Symptoms(s)
	if s.Wanted.Restore.HasMembers() {
		symptoms = nil
	}
	s.Seen = w.op.tracker.Observe(w.clock(), symptoms)
	w.op.faults = topology.Faults(s)
	s.Faults = w.op.faults
	h := topology.Assess(s)
	w.census(s)
	w.kube.founded = w.kube.founded || s.Wanted.Founded
	truth := w.seeTruth()

	w.op.settled = false
	if w.spec.paused {
		return busy
	}
	if w.recordAlone(s) {
		return busy
	}
	sizes := topology.Sizes(s, h)
	w.holdBack(&s, h, sizes)
	asleep := w.rest(s, h, sizes)
	if s.Wanted.Restore.HasMembers() {
		asleep = w.keepSizes(sizes)
	}
	w.apply(s, sizes, asleep)
	if w.spec.hibernated && !s.Wanted.Restore.HasMembers() {
		return busy
	}
	plan := w.decide(s, v)
	for _, wait := range plan.Waits {
		w.Count.Waits[wait.Reason]++
	}
	w.op.last = plan
	w.op.settled = plan.Settled()
	if s.Wanted.Restore.HasMembers() && (len(plan.Steps) > 0 || len(plan.Waits) != 1 || plan.Waits[0].Reason != v1alpha1.ReasonRestoring) {
		w.violate("restore", "the members are a restore's, and the plan is %+v", plan)
	}
	w.checkPlan(s, plan, truth)
	w.act(s, v, plan)
	if w.op.settled {
		return quiet
	}
	return busy
}

// holdBack is the admission's rule about a placement centre that shrinks, asked once more before anything is done.
func (w *World) holdBack(s *topology.Snapshot, h topology.Health, sizes map[v1alpha1.Role]int32) {
	const role = v1alpha1.RolePlacementCenter
	present, wanted := s.Present[role], s.Wanted.Replicas[role]
	if wanted >= present || !w.kube.sets[0].exists {
		return
	}
	if topology.GoingAlone(*s) {
		return
	}
	if v := w.mayShrink(*s, h, present, wanted); v != "" {
		s.Wanted.Replicas[role], sizes[role] = present, max(present, sizes[role])
		w.Count.Waits[v1alpha1.ReasonChangeHeld]++
	}
}

// mayShrink says why not; empty when it may.
func (w *World) mayShrink(s topology.Snapshot, h topology.Health, present, wanted int32) string {
	var members []quorum.Member
	for _, m := range s.Members {
		if m.Role != v1alpha1.RolePlacementCenter || h.TakenOut(m) {
			continue
		}
		q := quorum.Member{Name: m.Pod, Votes: len(h.VoterIn(m.NodeID)) > 0, InService: h.InService(m)}
		if m.Agent != nil && !q.InService && (m.Agent.GateOpen || m.Agent.Server != topology.ServerStopped) {
			q.Entering = "is joining"
		}
		members = append(members, q)
	}
	if v := quorum.MayShrink(int(present), int(wanted)); !v.Allowed && !w.one {
		return v.Message
	}
	return quorum.MayShrinkNow(members).Message
}

// rest puts roles to sleep, brokers first, and wakes them, the placement centre first.
func (w *World) rest(s topology.Snapshot, h topology.Health, sizes map[v1alpha1.Role]int32) (asleep [roleCount]int32) {
	led := true
	for _, group := range groupNames {
		_, has := h.Leader(group)
		led = led && has
	}
	others := false
	for _, m := range s.Members {
		others = others || m.Role != v1alpha1.RolePlacementCenter && m.State != topology.PodMissing
	}
	for i, role := range roles {
		sleeps := w.kube.sets[i].asleep > 0
		last := i == 0
		switch {
		case w.spec.hibernated && (!last || !others):
		case !w.spec.hibernated && sleeps && !last && !led:
		default:
			continue
		}
		asleep[i] = sizes[role]
		sizes[role] = 0
	}
	return asleep
}

// keepSizes leaves every set as large, and as asleep, as it is.
func (w *World) keepSizes(sizes map[v1alpha1.Role]int32) (asleep [roleCount]int32) {
	for i, role := range roles {
		if set := w.kube.sets[i]; set.exists {
			sizes[role], asleep[i] = set.replicas, set.asleep
		}
	}
	return asleep
}

// apply brings sets and secrets to their form.
func (w *World) apply(s topology.Snapshot, sizes map[v1alpha1.Role]int32, asleep [roleCount]int32) {
	for i, role := range roles {
		set := &w.kube.sets[i]
		if n := sizes[role]; !set.exists || set.replicas != n {
			w.tell("%s has %d pods, was %d", role, n, set.replicas)
			w.checkSize(role, set.replicas, n, s, asleep[i] > 0)
		}
		set.exists, set.replicas, set.template, set.asleep = true, sizes[role], w.spec.template, asleep[i]
		config := w.spec.config
		if role == v1alpha1.RolePlacementCenter {
			config.raised = w.kube.raised
		}
		if w.kube.secrets[i] != config {
			w.kube.secrets[i] = config
			w.kube.mountAt[i] = w.now + w.between(1, 40)
		}
	}
}

// decide is the controller's decide: templates, pulls, the plan, and the plan once more where it asked for the segments.
func (w *World) decide(s topology.Snapshot, v view) topology.Plan {
	s.SetsBehind = map[v1alpha1.Role]bool{}
	for i, role := range roles {
		s.SetsBehind[role] = !v.sets[i].exists || v.sets[i].template != w.spec.template
	}
	s.Wanted.Sources = map[v1alpha1.Role]string{}
	for _, role := range roles {
		s.Wanted.Sources[role] = fmt.Sprint(w.spec.config.source)
	}
	s.Wanted.Refused = w.op.refused
	for i := range s.Members {
		m := &s.Members[i]
		n := w.byID(m.NodeID)
		p := v.pods[w.index(n)]
		if p.state == topology.PodMissing {
			continue
		}
		m.TemplateStale = p.template != w.spec.template
		m.OnlyImage = m.TemplateStale && p.state == topology.PodRunning && w.kube.templates[p.template].shape == w.kube.templates[w.spec.template].shape
		m.RevisionStale = p.template != v.sets[roleIndex(m.Role)].template
		if image := w.kube.templates[w.spec.template].image; m.TemplateStale && w.kube.templates[p.template].image != image {
			m.Pull = topology.Pull{Phase: topology.PullWanted}
			if j := w.kube.pull(n.machine, image); j != nil {
				switch {
				case j.done:
					m.Pull.Phase = topology.PullDone
				case j.failed:
					m.Pull.Phase, m.Pull.Message = topology.PullFailed, "it cannot be pulled"
				default:
					m.Pull.Phase = topology.PullRunning
				}
			}
		}
	}
	s.Replicated = true
	plan := topology.Decide(s)
	if plan.AskSegments {
		s.Drain = w.drain(s, nil)
		plan = topology.Decide(s)
	}
	return plan
}

func (w *World) index(n *node) int {
	for i, o := range w.nodes {
		if o == n {
			return i
		}
	}
	return -1
}
