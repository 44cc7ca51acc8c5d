package planner

import (
	"slices"
	"time"

	"github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/internal/topology"
)

// node is one pod's place: its claim, its volume, its pod, and in it agent and server.
type node struct {
	role    v1alpha1.Role
	ordinal int32
	id      uint64
	pod     string
	machine int

	claimExists, claimFounded, claimTerminating bool
	vol                                         *volume // nil without a claim

	state    topology.PodState
	uid      int
	until    time.Duration // when the pod's state changes by itself
	template int           // which it was made from, or was given the image of
	started  int           // the template of which its container was started
	mounted  settings      // the configuration that its machine has brought
	agent    agent
	srv      server
	slow     bool // it takes in hardly any entries
}

func (n *node) isMember() bool { return n.role == v1alpha1.RolePlacementCenter }

// settings are a role's configuration.
type settings struct {
	source  int
	static  int
	dynamic int
	bad     bool  // the server would only die of it, and the agent knows
	refused bool  // the server refuses the dynamic one
	raised  int64 // by how much the generation was raised since the founding
}

// volume is what is on a disk.
type volume struct {
	marker  *topology.Marker
	hasData bool // the marker saw data
	data    bool // there is data
	foreign bool // of somebody else
	raft    [groupCount]*raft
	empty   [groupCount]bool // the agent noted a snapshot without its entries
	seed    *seed
	prev    *volume // what was there before a placement that is not proven yet
	record  *record // a transfer of leadership
	// wiped: the world took the content away, and what the node held is not there again yet.
	wiped bool
}

// seed is a copy of another member's metadata on its way.
type seed struct {
	id       string
	phase    topology.SeedPhase
	donor    uint64
	reason   string
	since    time.Duration // of the phase
	until    time.Duration
	image    [groupCount]*raft
	terms    map[string]uint64
	changing bool
	least    [groupCount]uint64
	owed     [groupCount]uint64 // what was acknowledged when it was ordered: the node may have confirmed all of it
	waiting  time.Duration      // since when the donor does not answer
}

// agent is the state of a pod's first process; it ends with the pod.
type agent struct {
	held, quiesced, terminating, mayStop bool
	fenced                               bool
	cutOff                               time.Duration // since when it reaches no majority; 0: it does
	starts                               int
	notBefore                            time.Duration
	backoff                              time.Duration
	endBy                                time.Duration // the end of the grace period
	exit                                 string
	stopped                              time.Duration // when the server ended; 0: not known
	shut                                 bool          // a transfer keeps the server stopped
	refusedLogin                         bool
}

// server is the process of RobustMQ.
type server struct {
	phase   topology.ServerPhase
	until   time.Duration // of Starting and Hung
	started time.Duration
	ran     settings
	image   int
	mqtt    bool
	known   []uint64 // its own list of nodes
	deaf    bool     // it does not register again by itself
	offered time.Duration
	dynamic int
	raft    [groupCount]live
}

// running reports whether the server answers.
func (n *node) running() bool { return n.there() && n.srv.phase == topology.ServerRunning }

// there reports whether the pod's processes exist; they do until it is gone.
func (n *node) there() bool {
	return n.state == topology.PodRunning || n.state == topology.PodTerminating
}

func (n *node) alive() bool {
	return n.there() && (n.srv.phase == topology.ServerRunning || n.srv.phase == topology.ServerStarting || n.srv.phase == topology.ServerHung)
}

// gate is the agent's gate (internal/agent/gate says the order).
func (w *World) gate(n *node) (open bool, reason string) {
	v := n.vol
	switch {
	case v == nil:
		return false, "VolumeUnusable"
	case v.seed != nil && (v.seed.phase == topology.SeedImaging || v.seed.phase == topology.SeedReceiving || v.seed.phase == topology.SeedPlacing || v.seed.phase == topology.SeedPlaced):
		return false, topology.GatePlacing
	case n.agent.shut:
		return false, topology.GateTransferring
	case v.foreign, v.marker == nil && v.data, v.marker != nil && v.marker.ClusterUID != clusterUID:
		return false, topology.GateForeign
	case v.marker == nil:
		return false, topology.GateAwaitsOrder
	case v.marker.Generation < 1+n.mounted.raised && n.isMember():
		return false, topology.GateOldGeneration
	case v.marker.Generation > 1+n.mounted.raised && n.isMember():
		return false, "NewerGeneration"
	case !v.data && v.hasData:
		return false, topology.GateDataLost
	case n.mounted.bad:
		return false, "ConfigInvalid"
	case n.agent.held:
		return false, topology.GateHeld
	}
	return true, "Open"
}

// kill ends the server's process.
func (w *World) kill(n *node, phase topology.ServerPhase, why string) {
	if n.srv.phase == topology.ServerStopped || n.srv.phase == topology.ServerExited {
		return
	}
	n.srv = server{phase: phase}
	n.agent.stopped = w.now
	if phase == topology.ServerExited {
		n.agent.exit = why
		n.agent.backoff = min(max(2*n.agent.backoff, 5*time.Second), 40*time.Second)
		n.agent.notBefore = w.now + n.agent.backoff
	}
}

// tickAgents lets every agent look at its gate and its server.
func (w *World) tickAgents() {
	for _, n := range w.nodes {
		if !n.there() || w.off[n.machine] {
			continue
		}
		w.tickSeed(n)
		w.tickTransfer(n)
		w.tickFence(n)
		w.tickServer(n)
	}
}

func (w *World) tickServer(n *node) {
	n.agent.refusedLogin = n.role == v1alpha1.RoleMQTTBroker && n.running() && w.password != w.spec.password
	open, _ := w.gate(n)
	want := open && !n.agent.fenced && !n.agent.terminating
	if n.agent.terminating && !n.agent.mayStop {
		want = open && n.alive() // it is held as it is
	}
	s := &n.srv
	switch {
	case !want && n.alive():
		w.kill(n, topology.ServerStopped, "")
	case want && (s.phase == topology.ServerStopped || s.phase == topology.ServerExited || s.phase == "") && w.now >= n.agent.notBefore:
		w.startServer(n)
	case s.phase == topology.ServerStarting && w.now >= s.until:
		w.comeUp(n)
	case s.phase == topology.ServerHung && w.now >= s.until:
		w.kill(n, topology.ServerExited, "it was hung, and killed")
		n.agent.notBefore = w.now
	case s.phase == topology.ServerRunning:
		n.agent.backoff = 0
		w.learn(n)
	case s.phase == "":
		s.phase = topology.ServerStopped
	}
}

// startServer begins a start. A member answers after 1 to 2 s, a broker after 4 to 7 s (seen).
func (w *World) startServer(n *node) {
	took := w.between(1, 2)
	if n.role == v1alpha1.RoleMQTTBroker {
		took = w.between(4, 7)
	}
	n.agent.starts++
	n.srv = server{phase: topology.ServerStarting, until: w.now + took, started: w.now, ran: n.mounted, image: w.kube.templates[n.started].image}
	n.vol.hasData, n.vol.data = true, true
}

// comeUp is the moment from which the server answers, or ends by itself.
func (w *World) comeUp(n *node) {
	s := &n.srv
	if w.kube.templates[n.started].crashes {
		w.kill(n, topology.ServerExited, "exit code 1: this version does not start")
		return
	}
	if n.isMember() {
		if !w.openRaft(n) {
			return
		}
	} else {
		l := w.leader(0)
		if l == nil || !w.reach(n, l) {
			if w.now-s.started > 20*time.Second {
				w.kill(n, topology.ServerExited, "exit code 1: Timeout waiting for shard '$retain-message-0'")
			}
			return
		}
	}
	s.phase = topology.ServerRunning
	s.mqtt = n.role == v1alpha1.RoleMQTTBroker
	s.dynamic = w.store
	s.known = w.registered()
	if !slices.Contains(s.known, n.id) {
		s.known = append(s.known, n.id)
	}
	s.offered = w.now
	if n.vol.wiped && !n.isMember() {
		n.vol.wiped = false
	}
}

// learn is what an agent adds to the marker by itself.
func (w *World) learn(n *node) {
	v := n.vol
	if !n.isMember() || v.marker == nil {
		return
	}
	for _, r := range v.raft {
		if r == nil || len(r.configs) != 1 || len(r.configs[0]) < 2 || !slices.Contains(r.configs[0], n.id) {
			return
		}
	}
	v.marker.Member = true
}

// tickFence stops the server of a voter that reaches no majority of the others' agents for 15 s.
func (w *World) tickFence(n *node) {
	a := &n.agent
	if !n.isMember() || n.vol == nil || n.vol.raft[0] == nil || len(n.vol.raft[0].configs) == 0 {
		a.fenced, a.cutOff = false, 0
		return
	}
	voters := n.vol.raft[0].configs[0]
	if len(voters) < 3 || !slices.Contains(voters, n.id) || !n.alive() && !a.fenced {
		a.fenced, a.cutOff = false, 0
		return
	}
	reached := 0
	for _, id := range voters {
		if other := w.byID(id); id == n.id || other != nil && w.reach(n, other) {
			reached++
		}
	}
	switch {
	case reached > len(voters)/2:
		a.fenced, a.cutOff = false, 0
	case a.cutOff == 0:
		a.cutOff = w.now
	case w.now-a.cutOff >= 15*time.Second:
		a.fenced = true
	}
}

// endHold decides whether a voter whose pod is being ended may stop its server: the others stand without it, they go too, or its time is over.
func (w *World) endHold(n *node) bool {
	if !n.isMember() || !n.running() || n.vol == nil || n.vol.raft[0] == nil || len(n.vol.raft[0].configs) == 0 || w.now >= n.agent.endBy {
		return true
	}
	voters := n.vol.raft[0].configs[0]
	if len(voters) < 2 || !slices.Contains(voters, n.id) {
		return true
	}
	reached, ending, standing := 0, 0, 0
	for _, id := range voters {
		other := w.byID(id)
		if id == n.id || other == nil || w.off[other.machine] || w.side[other.machine] != w.side[n.machine] || !other.there() {
			continue
		}
		reached++
		if other.agent.terminating {
			ending++
		}
		if other.srv.phase == topology.ServerRunning && (!other.agent.terminating || id > n.id) {
			standing++
		}
	}
	return reached == ending || standing >= len(voters)/2+1
}
