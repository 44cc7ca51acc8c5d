package planner

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/internal/topology"
)

// Sizes of the world. The tick is the step of its clock: what takes less is over within it.
const (
	tick        = time.Second
	mostMembers = 7
	mostBrokers = 4
	mostJournal = 3
	machines    = 6
	groupCount  = 3
	clusterUID  = "11111111-2222-3333-4444-555555555555"
	foreignUID  = "99999999-2222-3333-4444-555555555555"
)

// The raft groups, in the order in which RobustMQ walks through them.
var groupNames = []string{"metadata_0", "offset_0", "data_0"}

// World is one life of one cluster. All that is random comes from its seed.
type World struct {
	Seed  uint64
	Count Counts

	rng   *rand.Rand
	now   time.Duration
	nodes []*node // every pod that there can be, by role and ordinal
	spec  spec
	kube  kube
	side  [machines]int // who talks to whom: machines on one side do
	off   [machines]bool
	calm  bool // no faults any more

	op        operator
	messages  []*segment
	registry  []registration
	truth     [groupCount]history // what was acknowledged
	owed      [groupCount]uint64  // how much of it was left by the world's own destruction
	rate      float64             // metadata writes a second
	store     int                 // the dynamic settings that the metadata leader keeps
	password  int                 // the password that the MQTT user has
	destroyed bool                // the world took so many volumes that nothing is owed any more
	lives     int                 // counts contents of volumes
	effects   []effect            // what ends by itself
	restore   topology.Restore    // of a backup, that has the members in its hands
	restores  bool                // users restore backups, too
	one       bool                // users list the escape by which a placement centre becomes one of a single member
	tracing   bool
	Trace     []string
}

// Counts are what happened, for the test's report.
type Counts struct {
	Passes, Steps, Ticks, Writes, Checks int
	Faults, Changes, Ends                map[string]int
	Decisions                            map[topology.StepKind]int
	Waits                                map[string]int
}

func newCounts() Counts {
	return Counts{Faults: map[string]int{}, Changes: map[string]int{}, Ends: map[string]int{}, Decisions: map[topology.StepKind]int{}, Waits: map[string]int{}}
}

// effect is something that a fault has begun and that ends by itself.
type effect struct {
	at   time.Duration
	what string
	end  func()
}

// Violation is an invariant that was broken; it ends the world.
type Violation struct {
	Invariant string
	Message   string
	At        time.Duration
}

func (v Violation) Error() string {
	return fmt.Sprintf("at %v: %s: %s", v.At, v.Invariant, v.Message)
}

func (w *World) violate(invariant, format string, args ...any) {
	panic(Violation{invariant, fmt.Sprintf(format, args...), w.now})
}

func (w *World) tell(format string, args ...any) {
	if w.tracing {
		w.Trace = append(w.Trace, fmt.Sprintf("%8s  ", w.now)+fmt.Sprintf(format, args...))
	}
}

func (w *World) chance(p float64) bool { return w.rng.Float64() < p }

// between is a random whole number of seconds.
func (w *World) between(from, to int) time.Duration {
	return time.Duration(from+w.rng.IntN(to-from+1)) * time.Second
}

// New makes a world in which nothing exists yet but the spec.
func New(seed uint64, tracing bool) *World {
	w := &World{Seed: seed, Count: newCounts(), rng: rand.New(rand.NewPCG(seed, 8)), tracing: tracing}
	add := func(role v1alpha1.Role, base string, n int) {
		for o := range n {
			w.nodes = append(w.nodes, &node{
				role: role, ordinal: int32(o), id: role.BaseNodeID() + uint64(o), pod: fmt.Sprintf("%s-%d", base, o), //nolint:gosec // small
				machine: (o + len(base)) % machines, state: topology.PodMissing,
			})
		}
	}
	add(v1alpha1.RolePlacementCenter, "c-placement-center", mostMembers)
	add(v1alpha1.RoleMQTTBroker, "c-mqtt-broker", mostBrokers)
	add(v1alpha1.RoleJournalServer, "c-journal-server", mostJournal)
	w.spec.replicas = [roleCount]int32{[]int32{1, 3, 3, 3, 3, 5}[w.rng.IntN(6)], int32(1 + w.rng.IntN(3)), int32(w.rng.IntN(2))} //nolint:gosec // small
	w.spec.volumesGo = w.chance(0.5)
	w.kube.templates = []template{{}}
	w.rate = []float64{0.2, 1, 4, 12, 25}[w.rng.IntN(5)]
	w.op.up = true
	w.tell("seed %d: %v pods, %.1f writes/s", seed, w.spec.replicas, w.rate)
	return w
}

// roleCount roles, in this order everywhere.
const roleCount = 3

var roles = [roleCount]v1alpha1.Role{v1alpha1.RolePlacementCenter, v1alpha1.RoleMQTTBroker, v1alpha1.RoleJournalServer}

func roleIndex(r v1alpha1.Role) int {
	for i, role := range roles {
		if role == r {
			return i
		}
	}
	return -1
}

func (w *World) of(role v1alpha1.Role) []*node {
	switch role {
	case v1alpha1.RolePlacementCenter:
		return w.nodes[:mostMembers]
	case v1alpha1.RoleMQTTBroker:
		return w.nodes[mostMembers : mostMembers+mostBrokers]
	}
	return w.nodes[mostMembers+mostBrokers:]
}

func (w *World) members() []*node { return w.nodes[:mostMembers] }

func (w *World) byID(id uint64) *node {
	for _, n := range w.nodes {
		if n.id == id {
			return n
		}
	}
	return nil
}

func (w *World) byPod(pod string) *node {
	for _, n := range w.nodes {
		if n.pod == pod {
			return n
		}
	}
	return nil
}

// reach reports whether two pods can talk to one another.
func (w *World) reach(a, b *node) bool {
	return a.there() && b.there() && !w.off[a.machine] && !w.off[b.machine] && w.side[a.machine] == w.side[b.machine]
}

// advance lets time pass.
func (w *World) advance(d time.Duration) {
	for end := w.now + d; w.now < end; {
		w.now += tick
		w.Count.Ticks++
		w.endEffects()
		w.tickKube()
		w.tickAgents()
		w.tickClients()
		for g := range groupCount {
			w.tickRaft(g)
		}
		w.tickEngines()
		w.checkState()
	}
}

func (w *World) endEffects() {
	for i := 0; i < len(w.effects); i++ {
		if e := w.effects[i]; e.at <= w.now {
			w.effects = append(w.effects[:i], w.effects[i+1:]...)
			i--
			w.tell("over: %s", e.what)
			e.end()
		}
	}
}

// tickClients writes metadata and messages.
func (w *World) tickClients() {
	for g := range groupCount {
		rate := w.rate
		if g > 0 {
			rate /= 4
		}
		n := uint64(rate)
		if w.chance(rate - float64(n)) {
			n++
		}
		l := w.leader(g)
		if n == 0 || l == nil || !w.kube.founded {
			continue // before the founding is recorded there are no brokers, and no clients
		}
		r := l.vol.raft[g]
		r.log = r.log.add(r.vote, n)
		w.Count.Writes += int(n) //nolint:gosec // small
	}
}

// String is the state of the world in a few lines, for a trace.
func (w *World) String() string {
	var b strings.Builder
	for _, n := range w.nodes {
		if n.state == topology.PodMissing && n.vol == nil {
			continue
		}
		open, reason := w.gate(n)
		fmt.Fprintf(&b, "  %-22s %-10s machine %d off=%v side=%d gate=%v/%s server=%s", n.pod, n.state, n.machine, w.off[n.machine], w.side[n.machine], open, reason, n.srv.phase)
		if v := n.vol; v != nil {
			if v.marker != nil {
				fmt.Fprintf(&b, " marker=%s member=%v", v.marker.Origin, v.marker.Member)
			}
			if v.seed != nil {
				fmt.Fprintf(&b, " seed=%s from %d", v.seed.phase, v.seed.donor)
			}
			for g, r := range v.raft {
				if r != nil {
					fmt.Fprintf(&b, " [%s v%d/%d/%v log %d purged %d missing %d %v role %d]", groupNames[g][:1], r.vote.term, r.vote.node, r.vote.committed, r.log.last(), r.purged, r.missing, r.configs, n.srv.raft[g].role)
				}
			}
		}
		b.WriteByte('\n')
	}
	fmt.Fprintf(&b, "  registry %v truth %v\n", w.registry, w.truth)
	for _, s := range w.messages {
		fmt.Fprintf(&b, "  segment %s\n", s)
	}
	return b.String()
}
