package agent

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/robustmq/robustmq-operator/backup/image/imagetest"
	"github.com/robustmq/robustmq-operator/internal/agent/client"
	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
	"github.com/robustmq/robustmq-operator/internal/agent/volume"
	"github.com/robustmq/robustmq-operator/internal/robustmq/config"
)

// oneOfTwo is a member that runs on a recorded database beside a voter that does not.
func oneOfTwo(t *testing.T) (*world, *pod) {
	t.Helper()
	w := newWorld(t)
	p := w.add(config.RolePlacementCenter, 0).recorded(imagetest.Follower)
	w.script(p.ID).set(func(b *behaviour) { b.voters = []uint64{1, 2} })
	p.start()
	p.eventually("the server runs", runs)
	return w, p
}

func (p *pod) markerOf() protocol.Marker {
	p.w.t.Helper()
	m := volume.At(p.Paths.VolumeDir).Inspect().Marker
	if m == nil {
		p.w.t.Fatal("no marker")
	}
	return *m
}

func (p *pod) aloneOrder() protocol.AloneOrder {
	p.w.t.Helper()
	m := p.markerOf()
	return protocol.AloneOrder{ClusterUID: m.ClusterUID, NodeID: m.NodeID, Without: 2, Generation: m.Generation + 1}
}

func TestAMemberIsMadeTheOnlyVoterAndWaitsForItsGeneration(t *testing.T) {
	w, p := oneOfTwo(t)
	snapshots := filepath.Join(p.Paths.VolumeDir, "data", "_snapshot")
	if err := os.MkdirAll(snapshots, 0o750); err != nil {
		t.Fatal(err)
	}
	before, order := p.markerOf(), p.aloneOrder()
	state, err := p.operator().Alone(t.Context(), order)
	if err != nil {
		t.Fatal(err)
	}
	if m := p.markerOf(); m.Generation != before.Generation+1 || m.Origin != protocol.OriginAlone || !m.Member {
		t.Errorf("marker %+v", m)
	}
	if v := p.voted(); v.Node != 1 || !v.Committed {
		t.Errorf("vote %+v", v)
	}
	if _, err := os.Stat(snapshots); !os.IsNotExist(err) {
		t.Errorf("the snapshots, which have the membership that was, are still there: %v", err)
	}
	if state.Server.Phase != protocol.ServerStopped || state.Gate.Reason != protocol.GateNewerGeneration {
		t.Errorf("%s, %+v", state.Server.Phase, state.Gate)
	}
	// Its generation arrives, and it still waits for the word.
	p.configure(func(c *protocol.Config) { c.Generation = order.Generation })
	p.eventually("it is held", func(s protocol.State) bool { return s.Gate.Reason == protocol.GateHeld })
	w.script(p.ID).set(func(b *behaviour) { b.voters = []uint64{1} })
	if _, err := p.operator().Server(t.Context(), protocol.ServerOrder{Action: protocol.ServerStart}); err != nil {
		t.Fatal(err)
	}
	p.eventually("the server runs", runs)
	// The same order once more finds everything done.
	if _, err := p.operator().Alone(t.Context(), order); err != nil {
		t.Fatal(err)
	}
	if m := p.markerOf(); m.Generation != order.Generation {
		t.Errorf("marker %+v", m)
	}
}

func TestAnOrderToGoOnAloneIsRefusedWhereItDoesNotFit(t *testing.T) {
	w, p := oneOfTwo(t)
	before := p.markerOf()
	refused := func(what string, change func(o *protocol.AloneOrder)) {
		t.Helper()
		order := p.aloneOrder()
		change(&order)
		_, err := p.operator().Alone(t.Context(), order)
		if client.Reason(err) != protocol.ReasonConflict {
			t.Errorf("%s: %v", what, err)
		}
		if m := p.markerOf(); !volume.SameVolume(m, before) {
			t.Errorf("%s: marker %+v", what, m)
		}
	}
	refused("another cluster", func(o *protocol.AloneOrder) { o.ClusterUID = "other" })
	refused("another node", func(o *protocol.AloneOrder) { o.NodeID = 2 })
	refused("without nobody", func(o *protocol.AloneOrder) { o.Without = 0 })
	refused("without itself", func(o *protocol.AloneOrder) { o.Without = 1 })
	refused("the present generation", func(o *protocol.AloneOrder) { o.Generation-- })
	refused("the one after the next", func(o *protocol.AloneOrder) { o.Generation++ })
	refused("without somebody who does not vote", func(o *protocol.AloneOrder) { o.Without = 3 })
	w.script(p.ID).set(func(b *behaviour) { b.voters = []uint64{1, 2, 3} })
	refused("of three", func(*protocol.AloneOrder) {})
	p.eventually("the server runs on", runs)
	if n := w.startsOf(1); n != 1 {
		t.Errorf("it was started %d times", n)
	}
}

func TestAMemberThatCannotBeRewrittenStartsAgainAsItWas(t *testing.T) {
	w, p := oneOfTwo(t)
	before := p.markerOf()
	// A database that names a MANIFEST which is not there cannot be read.
	database := filepath.Join(p.Paths.VolumeDir, "data", "_rocksdb")
	current := filepath.Join(database, "CURRENT")
	good, err := os.ReadFile(current)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(current, []byte("MANIFEST-999999\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := p.operator().Alone(t.Context(), p.aloneOrder()); err == nil {
		t.Fatal("it was done")
	}
	if m := p.markerOf(); !volume.SameVolume(m, before) {
		t.Errorf("marker %+v", m)
	}
	if err := os.WriteFile(current, good, 0o600); err != nil {
		t.Fatal(err)
	}
	p.eventually("the server runs", runs)
	if n := w.startsOf(1); n != 2 {
		t.Errorf("it was started %d times", n)
	}
}
