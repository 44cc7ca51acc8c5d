package topology

import (
	"slices"
	"testing"
	"time"
)

// passes are observations one after the other, of a world whose servers grow older with the clock.
type passes struct {
	w   *world
	c   Converging
	now time.Time
}

func newPasses(w *world) *passes {
	for i := range w.s.Members {
		w.s.Members[i].Agent.StartedFor = time.Hour
	}
	return &passes{w: w, now: time.Unix(1_000_000, 0)}
}

func (p *passes) after(d time.Duration) []Converged {
	p.now = p.now.Add(d)
	for _, m := range p.w.s.Members {
		if m.Agent != nil && m.Agent.StartedFor > 0 {
			m.Agent.StartedFor += d
		}
	}
	return p.c.Observe(p.now, p.w.s)
}

func (p *passes) took(kind StepKind, pod string) {
	p.c.Took(p.now, Step{Kind: kind, Pod: pod}, p.w.s)
}

func TestARestartHasConvergedWhenAServerThatWasStartedSinceIsInService(t *testing.T) {
	p := newPasses(living(3))
	p.took(StepRestart, pc2)
	if got := p.after(2 * time.Second); len(got) > 0 {
		t.Fatalf("the server that was told to end is in service still: %v", got)
	}
	a := p.w.member(3).Agent
	groups := a.Groups
	a.Server, a.Groups, a.StartedFor = ServerStarting, nil, 0
	if got := p.after(2 * time.Second); len(got) > 0 {
		t.Fatalf("nothing runs: %v", got)
	}
	a.Server, a.Groups, a.StartedFor = ServerRunning, groups, time.Second
	if got := p.after(2 * time.Second); !slices.Equal(got, []Converged{{StepRestart, pc2, 6 * time.Second}}) {
		t.Errorf("%v", got)
	}
	if got := p.after(time.Minute); len(got) > 0 {
		t.Errorf("told twice: %v", got)
	}
}

func TestARestartThatNoPassSawIsSeenByItsStart(t *testing.T) {
	p := newPasses(living(3))
	p.took(StepRestart, pc2)
	// Its node's clock is ahead: what counts is that the start is another one.
	p.w.member(3).Agent.StartedFor = 30 * time.Second
	if got := p.after(3 * time.Second); !slices.Equal(got, []Converged{{StepRestart, pc2, 3 * time.Second}}) {
		t.Errorf("%v", got)
	}
}

func TestAStepThatIsTakenAgainGoesOnFromItsFirstTime(t *testing.T) {
	p := newPasses(living(3))
	p.took(StepRestart, pc2)
	p.after(10 * time.Second)
	p.took(StepRestart, pc2)
	p.w.member(3).Agent.StartedFor = time.Millisecond
	if got := p.after(5 * time.Second); !slices.Equal(got, []Converged{{StepRestart, pc2, 15 * time.Second}}) {
		t.Errorf("%v", got)
	}
}

func TestAStepThatStartsNoServerHasConvergedWhenItsPodIsInService(t *testing.T) {
	p := newPasses(living(3))
	p.took(StepSettings, pc1)
	p.took(StepTransfer, pc0)
	if got := p.after(2 * time.Second); !slices.Equal(got, []Converged{{StepSettings, pc1, 2 * time.Second}, {StepTransfer, pc0, 2 * time.Second}}) {
		t.Errorf("%v", got)
	}
}

func TestWhatIsTakenAwayHasConvergedWhenItsPodIsGone(t *testing.T) {
	p := newPasses(living(3))
	p.w.s.Wanted.Replicas[v1alpha1PlacementCenter] = 2
	p.took(StepLeave, pc2)
	p.took(StepDrain, pc2)
	if got := p.after(time.Minute); len(got) > 0 {
		t.Fatalf("it is there still: %v", got)
	}
	m := p.w.member(3)
	m.State, m.Agent = PodMissing, nil
	if got := p.after(time.Second); !slices.Equal(got, []Converged{{StepDrain, pc2, 61 * time.Second}, {StepLeave, pc2, 61 * time.Second}}) {
		t.Errorf("%v", got)
	}
}

func TestAStepWithoutAPodHasConvergedWhenTheQuorumIsWhole(t *testing.T) {
	p := newPasses(living(3))
	groups := p.w.member(2).Agent.Groups
	p.w.member(2).Agent.Groups = nil
	p.took(StepMarkFounded, "")
	if got := p.after(time.Second); len(got) > 0 {
		t.Fatalf("a voter is missing: %v", got)
	}
	p.w.member(2).Agent.Groups = groups
	if got := p.after(time.Second); !slices.Equal(got, []Converged{{StepMarkFounded, "", 2 * time.Second}}) {
		t.Errorf("%v", got)
	}
}

func TestTheRungsThatAreNotOverAreNamedOnceEach(t *testing.T) {
	var watch Watch
	w := living(3)
	now := time.Unix(0, 0)
	groups := w.member(2).Agent.Groups
	for _, id := range []uint64{2, 3} {
		w.member(id).Agent.Server, w.member(id).Agent.Groups = ServerHung, nil
	}
	watch.Observe(now, w.s)
	if got := watch.Rungs(); !slices.Equal(got, []Rung{RungLeaderLost, RungServerHung}) && !slices.Equal(got, []Rung{RungServerHung}) {
		t.Errorf("%v", got)
	}
	for _, id := range []uint64{2, 3} {
		w.member(id).Agent.Server, w.member(id).Agent.Groups = ServerRunning, groups
	}
	watch.Observe(now.Add(time.Second), w.s)
	if got := watch.Rungs(); len(got) > 0 {
		t.Errorf("over, and still named: %v", got)
	}
}
