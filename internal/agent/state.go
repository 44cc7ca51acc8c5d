package agent

import (
	"context"
	"fmt"
	"time"

	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
	"github.com/robustmq/robustmq-operator/internal/robustmq/config"
)

// State returns what the agent knows, with an observation of its server that is no older than Timings.Cache. It takes at most twice Timings.Probe.
func (a *Agent) State(ctx context.Context) protocol.State {
	seen, taken := a.observed(ctx, a.o.Timings.Cache), a.imagesState()
	a.mu.Lock()
	defer a.mu.Unlock()
	now := a.o.Now()
	m := a.mounted
	s := protocol.State{
		Images: taken, Census: a.census.Last(), Transfer: a.transferState(),
		AgentVersion: a.o.Version, Pod: a.o.PodName, BootID: a.o.BootID, Template: a.o.Template, Terminating: a.terminating,
		Volume: a.vol, Gate: a.gate, Server: a.server(now), Fenced: a.fenced,
		Config: protocol.ConfigState{
			Mounted: m.hash, Running: a.running, Live: m.live, LiveRunning: a.runningLive, Source: m.source, Problem: m.problem, Warning: m.warning(now),
		},
	}
	if l := a.login; l.child != nil && l.child == a.child && l.user == m.mqttUser() {
		s.Server.LoginRefused = !l.accepted
	}
	if checked := a.settings; checked.child != nil && checked.child == a.child {
		s.Config.LiveChecked, s.Config.LivePending = checked.live, checked.pending
	}
	if a.vol.Marker != nil {
		marker := *a.vol.Marker
		s.Volume.Marker = &marker
	}
	for _, i := range m.rendered.Ignored {
		s.Config.Ignored = append(s.Config.Ignored, fmt.Sprintf("%s: %s", i.Key, i.Reason))
	}
	if m.readable {
		s.NodeID, s.Role, s.ClusterUID, s.Generation = m.nodeID(), m.config.Role, m.config.ClusterUID, m.config.Generation
	}
	if a.child != nil && a.child == seen.child {
		s.Raft, s.RaftError, s.Nodes, s.NodesError, s.Registry = seen.raft, seen.raftErr, seen.nodes, seen.nodesErr, seen.registry
		s.Registrations = seen.registrations
	}
	return s
}

// server describes the process; the lock is held.
func (a *Agent) server(now time.Time) protocol.ServerState {
	s := protocol.ServerState{Phase: protocol.ServerStopped, Restarts: max(0, a.starts-1), Version: a.mounted.config.Version}
	if a.lastExit != nil {
		exit := *a.lastExit
		s.LastExit = &exit
	}
	if c := a.child; c != nil {
		started := c.started.UTC().Truncate(time.Millisecond)
		s.Phase, s.PID, s.Started, s.MQTTOpen, s.Quiesced, s.Founding = a.phase(c, now), c.proc.PID(), &started, c.mqtt, a.quiesced, a.founding()
		return s
	}
	switch {
	case a.attempt != nil:
		s.Waiting = a.attempt.stage
	case a.gate.Open && !a.fenced && now.Before(a.notBefore):
		s.Waiting = fmt.Sprintf("a back-off until %s", a.notBefore.UTC().Format(time.RFC3339))
	}
	if a.gate.Open && !a.fenced && !a.terminating && a.lastExit != nil {
		s.Phase = protocol.ServerExited
	}
	return s
}

// Peer is the answer to another agent.
func (a *Agent) Peer(ctx context.Context) protocol.Peer {
	a.observed(ctx, a.o.Timings.Cache)
	a.mu.Lock()
	defer a.mu.Unlock()
	peer := protocol.Peer{Terminating: a.terminating, Serving: a.live() && a.known.serving, Voters: a.known.voters}
	if a.mounted.readable {
		peer.NodeID = a.mounted.nodeID()
	}
	if m := a.vol.Marker; m != nil {
		peer.ClusterUID, peer.Generation = m.ClusterUID, m.Generation
	}
	return peer
}

// ready decides /readyz and says why not; the lock is held. A placement-centre pod is ready while its name must be in DNS: from just before the start of its server until the server
// stops answering, through restarts in place and fences, since a name that comes and goes harms the others; whether it is in the quorum is not said here.
func (a *Agent) ready() (bool, string) {
	c, m := a.child, a.mounted
	now := a.o.Now()
	if !a.gate.Open && a.gate.Reason != protocol.GateTransferring { // a restart in place, too: see below
		return false, "the gate is closed: " + a.gate.Message
	}
	if c == nil && a.terminating {
		return false, "the pod is being ended"
	}
	if m.config.Role == config.RolePlacementCenter {
		if c != nil && a.phase(c, now) == protocol.ServerHung {
			return false, "the server does not answer"
		}
		return true, ""
	}
	switch {
	case c == nil:
		return false, "the server does not run"
	case c.stopping != "":
		return false, "the server is being stopped"
	case a.quiesced:
		return false, "clients are led elsewhere: the server is about to be stopped"
	case a.phase(c, now) != protocol.ServerRunning:
		return false, "the server does not answer"
	case m.config.Role == config.RoleMQTTBroker && !c.mqtt:
		return false, "the MQTT port is closed"
	case !m.islands() && !a.known.inList:
		return false, fmt.Sprintf("node %d is not in its own node list", m.nodeID())
	}
	return true, ""
}

// healthy decides /healthz: the agent lives, and its server is not one that answered once and does so no more.
func (a *Agent) healthy() (bool, string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if c := a.child; c != nil && a.phase(c, a.o.Now()) == protocol.ServerHung {
		return false, "the server hangs"
	}
	return true, ""
}
