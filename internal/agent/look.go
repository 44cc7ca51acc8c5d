package agent

import (
	"time"

	"github.com/robustmq/robustmq-operator/internal/agent/gate"
	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
)

// looking remembers when files and volume were looked at last.
type looking struct{ config, volume, write time.Time }

// writePoll is how often, in looks at the volume, a waiting agent tries to write to it.
const writePoll = 5

// inspect reads files and volume. It runs without the lock: a disk that hangs may hold up this loop, and nothing else.
func (a *Agent) inspect(l *looking) {
	now := a.o.Now()
	a.mu.Lock()
	old, idle := a.mounted, a.child == nil
	a.mu.Unlock()
	fresh := old
	if now.Sub(l.config) >= a.o.Timings.ConfigPoll {
		l.config = now
		if f := readFiles(a.o.Paths); !f.equal(old.files) {
			fresh = a.o.read(f)
			a.o.Log.Info("configuration read", "hash", fresh.hash, "problem", fresh.problem)
		}
	}
	vol, looked := protocol.VolumeState{}, false
	if now.Sub(l.volume) >= a.o.Timings.VolumePoll || a.stale(l) {
		l.volume, looked = now, true
		vol = a.volume.Inspect()
	}
	var written string
	wrote := false
	if looked && idle && now.Sub(l.write) >= writePoll*a.o.Timings.VolumePoll {
		l.write, wrote = now, true
		if err := a.volume.CheckWritable(); err != nil {
			written = err.Error()
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.mounted = fresh
	if wrote {
		a.unwritten = written
	}
	if looked {
		if a.unwritten != "" && a.child == nil && vol.Phase != protocol.VolumeUnusable {
			vol.Phase, vol.Message = protocol.VolumeUnusable, a.unwritten
		}
		if vol.Phase != a.vol.Phase || vol.Message != a.vol.Message {
			a.o.Log.Info("volume", "phase", vol.Phase, "message", vol.Message)
		}
		a.vol = vol
	}
	a.decide()
}

// stale reports that the volume was never looked at.
func (a *Agent) stale(l *looking) bool { return l.volume.IsZero() }

// refreshVolume looks at the volume now, for an order; the marker lock is held.
func (a *Agent) refreshVolume() {
	vol := a.volume.Inspect()
	if vol.Phase != protocol.VolumeUnusable {
		if err := a.volume.CheckWritable(); err != nil {
			vol.Phase, vol.Message = protocol.VolumeUnusable, err.Error()
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.unwritten = ""
	if vol.Phase == protocol.VolumeUnusable {
		a.unwritten = vol.Message
	}
	a.vol = vol
	a.decide()
	a.notify()
}

// gateInput is the gate's input; the lock is held.
func (a *Agent) gateInput() gate.Input {
	in := gate.Input{Volume: a.vol, ConfigProblem: a.mounted.problem, Held: a.held, Placing: a.target.Working(), Transfer: a.transfer.message(), Unsettled: a.unsettled, Seeding: a.seeds.Active()}
	if a.mounted.readable {
		in.ClusterUID, in.NodeID, in.Role, in.Generation = a.mounted.config.ClusterUID, a.mounted.nodeID(), a.mounted.config.Role, a.mounted.config.Generation
	}
	return in
}

// decide sets the gate; the lock is held. It decides starts only: a server that runs is not stopped because its next start would be refused.
func (a *Agent) decide() {
	state := gate.Decide(a.gateInput())
	if a.child != nil && !a.held && !a.transfer.shut {
		state = protocol.GateState{Open: true, Reason: protocol.GateOpen}
	}
	if state == a.gate {
		return
	}
	a.o.Log.Info("gate", "open", state.Open, "reason", state.Reason, "message", state.Message)
	a.gate = state
	a.notify()
}

// remember adds to the marker what the agent has learned: that there is data, that the node is a whole member, and that it took a snapshot without its entries.
func (a *Agent) remember() {
	a.mu.Lock()
	m := a.vol.Marker
	need := m != nil && a.vol.Phase == protocol.VolumeInitialised && (!m.HasData || a.known.member && !m.Member)
	if m != nil && a.vol.Phase == protocol.VolumeInitialised && !need {
		marker := *m
		need = a.known.emptyIn(&marker)
	}
	a.mu.Unlock()
	if !need {
		return
	}
	a.marker.Lock()
	defer a.marker.Unlock()
	fresh := a.volume.Inspect()
	if fresh.Marker == nil || fresh.Phase != protocol.VolumeInitialised {
		return
	}
	a.mu.Lock()
	member := a.known.member
	changed := *fresh.Marker
	a.known.emptyIn(&changed)
	a.mu.Unlock()
	changed.HasData, changed.Member = true, changed.Member || member
	if err := a.volume.WriteMarker(changed); err != nil {
		a.o.Log.Error("marker", "error", err)
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.vol.Marker = &changed
	a.notify()
}
