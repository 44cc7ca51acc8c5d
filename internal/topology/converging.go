package topology

import (
	"cmp"
	"slices"
	"time"
)

// Converged is a step that has brought what it was for, and how long that took.
type Converged struct {
	Kind StepKind
	Pod  string
	Took time.Duration
}

// Converging remembers the steps that were taken and have not brought what they were for: its pod in service, or gone when it is not wanted any more; without a pod, a quorum that is whole.
// It lives in memory only: a restart of the operator loses what was under way. The zero value is ready for use.
type Converging struct{ under map[stepAt]stepTaken }

type stepAt struct {
	kind StepKind
	pod  string
}

type stepTaken struct {
	at time.Time
	// started is when the server that ran then was started, by the clock of its node; zero: none ran.
	started time.Time
}

// Took notes a step that was carried out. One that is taken again before it has converged goes on from its first time.
func (c *Converging) Took(now time.Time, step Step, s Snapshot) {
	if c.under == nil {
		c.under = map[stepAt]stepTaken{}
	}
	key := stepAt{step.Kind, step.Pod}
	taken := stepTaken{at: now}
	if before, again := c.under[key]; again {
		taken.at = before.at
	}
	if i := slices.IndexFunc(s.Members, func(m Member) bool { return m.Pod == step.Pod }); i >= 0 {
		taken.started = startOf(now, s.Members[i])
	}
	c.under[key] = taken
}

// Observe takes what is seen now and returns what has converged.
func (c *Converging) Observe(now time.Time, s Snapshot) (out []Converged) {
	if len(c.under) == 0 {
		return nil
	}
	h := assess(s)
	for key, taken := range c.under {
		if converged(s, h, now, key, taken) {
			out = append(out, Converged{key.kind, key.pod, now.Sub(taken.at)})
			delete(c.under, key)
		}
	}
	slices.SortFunc(out, func(a, b Converged) int { return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Pod, b.Pod)) })
	return out
}

func converged(s Snapshot, h Health, now time.Time, key stepAt, taken stepTaken) bool {
	if key.pod == "" {
		return h.EveryVoterWhole()
	}
	i := slices.IndexFunc(s.Members, func(m Member) bool { return m.Pod == key.pod })
	if i < 0 {
		return true
	}
	m := s.Members[i]
	if !s.wantedOf(m) {
		return m.State == PodMissing
	}
	return h.inService(m) && (!startsServer(key.kind) || startedSince(startOf(now, m), taken.started))
}

// startsServer reports whether a server has to be started before the step has brought anything: one that was told to end is in service until it does.
func startsServer(kind StepKind) bool {
	switch kind {
	case StepJoin, StepLeave, StepSettings, StepLogin, StepPull, StepTransfer, StepEndTransfer, StepDiscardSeed, StepQuiesce, StepUnregister, StepReleaseVolume:
		return false
	}
	return true
}

// startOf is when a member's server was started by the clock of its node; zero when none runs, or when that is not known.
func startOf(now time.Time, m Member) time.Time {
	if m.Agent == nil || m.Agent.StartedFor == 0 {
		return time.Time{}
	}
	return now.Add(-m.Agent.StartedFor)
}

// startSlack is how far two sightings of one start may lie apart: each is reckoned from a moment of its own pass.
const startSlack = 100 * time.Millisecond

func startedSince(now, then time.Time) bool {
	return !now.IsZero() && (then.IsZero() || now.Sub(then).Abs() > startSlack)
}
