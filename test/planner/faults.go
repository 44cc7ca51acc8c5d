package planner

import (
	"slices"

	"github.com/robustmq/robustmq-operator/internal/topology"
)

// fault is something that goes wrong; false: it cannot happen now.
type fault struct {
	name string
	do   func(w *World) bool
}

// faults are all that goes wrong beside lost calls and dying operators. (A slice: the order of a map would not follow the seed.)
var faults = []fault{
	{"pod deleted", func(w *World) bool { return w.somebody(func(n *node) bool { w.deletePod(n); return true }) }},
	{"pod deleted", func(w *World) bool { return w.somebody(func(n *node) bool { w.deletePod(n); return true }) }},
	{"all members' pods deleted", func(w *World) bool {
		for _, n := range w.members() {
			w.deletePod(n)
		}
		return true
	}},
	{"crash", func(w *World) bool { return w.somebody(w.crash) }},
	{"crash", func(w *World) bool { return w.somebody(w.crash) }},
	{"crash of all", func(w *World) bool {
		for _, n := range w.nodes {
			w.crash(n)
		}
		return true
	}},
	{"hung", func(w *World) bool {
		return w.somebody(func(n *node) bool {
			if !n.running() {
				return false
			}
			n.srv.phase, n.srv.until = topology.ServerHung, w.now+w.between(20, 35)
			return true
		})
	}},
	{"raft core dead", func(w *World) bool {
		return w.member1(func(n *node) bool {
			if !n.running() {
				return false
			}
			n.srv.raft[w.rng.IntN(groupCount)] = live{dead: true}
			return true
		})
	}},
	{"stuck leader", func(w *World) bool {
		g := w.rng.IntN(groupCount)
		l := w.leader(g)
		if l == nil || len(l.vol.raft[g].configs[0]) < 3 {
			return false
		}
		r := l.vol.raft[g]
		r.log = r.log.add(r.vote, 1) // its longer log keeps everybody else from winning
		l.srv.raft[g].stuck, l.srv.raft[g].quorum = true, false
		return true
	}},
	{"machine off", (*World).machineOff},
	{"machine off", (*World).machineOff},
	{"partition", (*World).partition},
	{"partition", (*World).partition},
	{"slow member", func(w *World) bool {
		return w.member1(func(n *node) bool {
			n.slow = true
			w.later(w.between(20, 150), n.pod+" is as fast as the others", func() { n.slow = false })
			return true
		})
	}},
	{"volume wiped", func(w *World) bool { return w.somebody(w.wipeOne) }},
	{"member's volume wiped", func(w *World) bool { return w.member1(w.wipeOne) }},
	{"data lost, marker kept", func(w *World) bool {
		return w.member1(func(n *node) bool {
			if n.vol == nil || !n.vol.data || n.vol.seed != nil {
				return false
			}
			marker := n.vol.marker
			if !w.wipeOne(n) {
				return false
			}
			n.vol.marker, n.vol.hasData = marker, marker != nil
			return true
		})
	}},
	{"marker lost", func(w *World) bool {
		return w.somebody(func(n *node) bool {
			if n.vol == nil || !n.vol.data || n.vol.seed != nil {
				return false
			}
			n.vol.marker = nil
			return true
		})
	}},
	{"registration lost", func(w *World) bool {
		if len(w.registry) == 0 {
			return false
		}
		i := w.rng.IntN(len(w.registry))
		n := w.byID(w.registry[i].id)
		w.registry = slices.Delete(w.registry, i, i+1)
		n.srv.deaf = true
		w.forget(n.id)
		return true
	}},
	{"node list incomplete", func(w *World) bool {
		return w.somebody(func(n *node) bool {
			if !n.running() || len(n.srv.known) < 2 {
				return false
			}
			n.srv.known = slices.Delete(slices.Clone(n.srv.known), 0, 1)
			return true
		})
	}},
	{"operator killed at rest", func(w *World) bool { w.die("at rest"); return true }},
}

// rare are the worst: more than one volume at once.
var rare = []fault{
	{"two volumes wiped", func(w *World) bool { return w.wipeMany(2) }},
	{"majority of volumes wiped", func(w *World) bool { return w.wipeMany(int(w.spec.replicas[0])/2 + 1) }},
	{"all volumes but one wiped", func(w *World) bool { return w.wipeMany(int(w.spec.replicas[0]) - 1) }},
	{"all volumes wiped", func(w *World) bool { return w.wipeMany(mostMembers) }},
}

func (w *World) somebody(do func(n *node) bool) bool {
	n := w.nodes[w.rng.IntN(len(w.nodes))]
	return n.there() && do(n)
}

func (w *World) member1(do func(n *node) bool) bool {
	n := w.members()[w.rng.IntN(max(1, int(w.spec.replicas[0])))]
	return n.there() && do(n)
}

func (w *World) crash(n *node) bool {
	if !n.alive() {
		return false
	}
	w.kill(n, topology.ServerExited, "killed by signal 9")
	return true
}

func (w *World) machineOff() bool {
	m := w.rng.IntN(machines)
	if w.off[m] {
		return false
	}
	w.off[m] = true
	for _, n := range w.nodes {
		if n.machine == m && n.there() {
			w.kill(n, topology.ServerStopped, "")
			n.agent = agent{terminating: n.agent.terminating, mayStop: n.agent.terminating} // its processes are gone; the API server does not know yet
		}
	}
	w.later(w.between(5, 200), "a machine is back", func() { w.machineOn(m) })
	return true
}

func (w *World) machineOn(m int) {
	w.off[m] = false
	for _, n := range w.nodes {
		if n.machine == m && n.there() && n.vol != nil {
			w.wakeVolume(n)
		}
	}
}

// partition cuts machines off from the others, and from the operator or not.
func (w *World) partition() bool {
	if slices.Max(w.side[:]) > 0 {
		return false
	}
	for range 1 + w.rng.IntN(3) {
		w.side[w.rng.IntN(machines)] = 1
	}
	w.later(w.between(5, 120), "the network is whole", func() { w.side = [machines]int{} })
	return true
}

// wipeVolume empties a volume under its server.
func (w *World) wipeVolume(n *node) bool {
	if n.vol == nil || !n.vol.data {
		return false
	}
	w.kill(n, topology.ServerExited, "IO error: No such file or directory")
	w.dropCopies(n, false)
	n.vol = &volume{wiped: true}
	n.agent.held, n.agent.shut = false, false
	w.account()
	return true
}

// wipeOne empties one volume, unless it is the last one of the placement centre that has data: that is among the rare faults.
func (w *World) wipeOne(n *node) bool {
	others := slices.ContainsFunc(w.members(), func(m *node) bool { return m != n && m.vol != nil && m.vol.data })
	return (others || !n.isMember()) && w.wipeVolume(n)
}

// wipeMany empties volumes of the placement centre at once.
func (w *World) wipeMany(k int) bool {
	done := 0
	for _, i := range w.rng.Perm(mostMembers) {
		if done < k && w.wipeVolume(w.members()[i]) {
			done++
		}
	}
	return done > 0
}

// suffer lets something go wrong.
func (w *World) suffer() {
	from := faults
	if w.chance(0.02) {
		from = rare
	}
	for range 10 {
		f := from[w.rng.IntN(len(from))]
		w.tell("fault: %s?", f.name)
		if f.do(w) {
			w.Count.Faults[f.name]++
			w.tell("fault: %s", f.name)
			return
		}
	}
}
