package agent

import (
	"testing"
	"time"

	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
	"github.com/robustmq/robustmq-operator/internal/robustmq/config"
)

func TestTheOnlyVoterSaysWhenItsStartHasComeToItsEnd(t *testing.T) {
	founds := func(s protocol.State) bool { return runs(s) && s.Server.Founding }
	begun := func(s protocol.State) bool { return runs(s) && !s.Server.Founding }
	w := newWorld(t)
	p := w.add(config.RolePlacementCenter, 0)
	script := w.script(p.ID)
	script.set(func(b *behaviour) { b.voters, b.users = []uint64{1}, []string{"mqtt2", "somebody"} })
	p.initialised(func(m *protocol.Marker) { m.Origin, m.Member = protocol.OriginFounded, false }).start()
	p.eventually("it leads alone, and its user is not there", founds)
	never(t, "the end of its start by other users", 300*time.Millisecond, func() bool { return begun(p.agent.State(t.Context())) })
	script.set(func(b *behaviour) { b.users = []string{"somebody", "mqtt"} })
	p.eventually("its user is there", begun)
	script.set(func(b *behaviour) { b.users = nil })
	never(t, "a start that begins anew because somebody deleted the user", 300*time.Millisecond, func() bool { return founds(p.agent.State(t.Context())) })
	if _, err := p.operator().Server(t.Context(), protocol.ServerOrder{Action: protocol.ServerRestart, Reason: "test"}); err != nil {
		t.Fatal(err)
	}
	p.eventually("another start", founds)
	script.set(func(b *behaviour) { b.voters = []uint64{1, 2} })
	p.eventually("of two voters nobody founds", begun)
}
