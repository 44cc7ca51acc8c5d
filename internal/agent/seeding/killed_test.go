package seeding

import (
	"errors"
	"testing"

	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
)

// TestAnAgentKilledAtAnyChangeOfItsVolumeGoesOnOrLeavesNothing kills the target's agent at every change to its disk from the order on, and lets another one go on.
func TestAnAgentKilledAtAnyChangeOfItsVolumeGoesOnOrLeavesNothing(t *testing.T) {
	g := newGiver(t)
	killed, resumed := 0, 0
	for at := 1; ; at++ {
		m := newTaker(t, g)
		dead := false
		m.disk.kill(at, func() { dead = true; m.cancel() })
		_, err := m.seeder.Begin(order("first"))
		if err == nil {
			m.endedOrDead()
		}
		m.stop()
		m.disk.mu.Lock()
		survived := !dead
		m.disk.mu.Unlock()
		m.restart()
		if s := m.seeder.State(); s != nil && s.Active() {
			resumed++
		}
		if gate := m.gate(); gate == protocol.GateOpen {
			t.Fatalf("killed at %d: the gate is open", at)
		}
		m.finish()
		m.stop()
		if survived {
			break
		}
		killed++
	}
	if killed < 40 || resumed < 20 {
		t.Errorf("killed at %d steps, gone on with after %d", killed, resumed)
	}
	t.Logf("killed at each of %d steps, gone on with after %d", killed, resumed)
}

// endedOrDead waits until the seed is over or its agent was killed.
func (m *taker) endedOrDead() {
	m.t.Helper()
	eventually(m.t, "the seed ends, or its agent", func() bool {
		m.disk.mu.Lock()
		dead := m.disk.dieAt > 0 && m.disk.steps >= m.disk.dieAt
		m.disk.mu.Unlock()
		s := m.seeder.State()
		return dead || s == nil || !s.Active()
	})
}

func TestACallOfTheDonorThatFailsIsRepeatedFromWhereItWas(t *testing.T) {
	g := newGiver(t)
	m := newTaker(t, g)
	if _, err := m.seeder.Begin(order("whole")); err != nil {
		t.Fatal(err)
	}
	m.finish()
	calls, size := g.calls, g.sent
	if calls < 20 {
		t.Fatalf("only %d uses of the network", calls)
	}
	resumed := 0
	for at := 1; at <= calls; at++ {
		m := newTaker(t, g)
		var first int
		g.set(func() {
			first, g.from, g.sent = g.calls, nil, 0
			g.fault = func(call int) error {
				if call == first+at {
					return errors.New("connection reset by peer")
				}
				return nil
			}
		})
		if _, err := m.seeder.Begin(order("a")); err != nil {
			t.Fatal(err)
		}
		if s := m.ended(); s == nil || s.Phase != protocol.SeedPlaced || s.ID != "a" {
			t.Fatalf("cut at use %d of the network: %+v", at, s)
		}
		m.whole("a")
		m.stop()
		if g.sent > size+32<<10 {
			t.Errorf("cut at use %d: %d bytes were sent, %d are needed", at, g.sent, size)
		}
		resumed += len(g.from)
	}
	if resumed == 0 {
		t.Error("no stream was gone on with in the middle of a file")
	}
	t.Logf("cut at each of %d uses, %d streams gone on with in the middle", calls, resumed)
}

// Its image is gone, and the next seed is another one.
func TestADonorsAgentThatIsStartedAgainAtAnyCallCostsASeedAtMost(t *testing.T) {
	g := newGiver(t)
	lost := 0
	for at := 1; ; at++ {
		m := newTaker(t, g)
		happened := false
		var first int
		g.set(func() {
			first = g.calls
			g.fault = func(call int) error {
				if call < first+at || happened {
					return nil
				}
				happened = true
				g.mu.Unlock()
				g.restart()
				g.mu.Lock()
				return errors.New("connection refused")
			}
		})
		if _, err := m.seeder.Begin(order("a")); err != nil {
			t.Fatal(err)
		}
		if s := m.ended(); s != nil && s.Phase == protocol.SeedFailed {
			if s.Reason != protocol.SeedDonorLost {
				t.Errorf("restarted at use %d: %+v", at, s)
			}
			lost++
		}
		m.finish()
		m.stop()
		if !happened {
			break
		}
	}
	if lost == 0 {
		t.Error("no seed was lost with the donor's image")
	}
	t.Logf("%d seeds were lost", lost)
}
