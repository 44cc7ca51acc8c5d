package planner

import (
	"slices"
	"time"

	"github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/internal/topology"
)

// spec is what the user asked for.
type spec struct {
	replicas           [roleCount]int32
	template           int
	config             settings
	password           int
	paused, hibernated bool
	volumesGo          bool
	leadOn, adopt      string
}

// a change that a user makes; false: it makes no sense now, or the admission refuses it.
type change struct {
	name string
	do   func(w *World) bool
}

// later has the user do something after a while.
func (w *World) later(after time.Duration, what string, do func()) {
	w.effects = append(w.effects, effect{w.now + after, what, do})
}

// changes are all that users do. (A slice: the order of a map would not follow the seed.)
var changes = []change{
	{"more members", func(w *World) bool {
		n := &w.spec.replicas[0]
		if *n >= mostMembers {
			return false
		}
		*n = map[int32]int32{1: 3, 3: 5, 5: 7}[*n]
		return true
	}},
	{"fewer members", (*World).shrink},
	{"fewer members", (*World).shrink},
	{"more brokers", func(w *World) bool { return w.scale(1, 1, 1, mostBrokers) }},
	{"fewer brokers", func(w *World) bool { return w.scale(1, -1, 1, mostBrokers) }},
	{"more journal servers", func(w *World) bool { return w.scale(2, 1, 0, mostJournal) }},
	{"fewer journal servers", func(w *World) bool { return w.scale(2, -1, 0, mostJournal) }},
	{"dynamic settings", func(w *World) bool {
		w.spec.config.source++
		w.spec.config.dynamic++
		w.spec.config.refused = w.chance(0.1)
		return true
	}},
	{"static settings", func(w *World) bool {
		w.spec.config.source++
		w.spec.config.static++
		w.spec.config.bad = w.chance(0.15)
		if w.spec.config.bad {
			w.later(w.between(60, 200), "the user corrects the settings", func() { w.mendConfig() })
		}
		return true
	}},
	{"image", (*World).newImage},
	{"resources", func(w *World) bool {
		t := w.kube.templates[w.spec.template]
		t.shape++
		w.kube.templates = append(w.kube.templates, t)
		w.spec.template = len(w.kube.templates) - 1
		return true
	}},
	{"pause", func(w *World) bool {
		w.spec.paused = true
		w.later(w.between(10, 90), "the user lets it go on", func() { w.spec.paused = false })
		return true
	}},
	{"hibernation", func(w *World) bool {
		if w.spec.hibernated {
			return false
		}
		w.spec.hibernated = true
		w.later(w.between(10, 150), "the user wakes it", func() { w.spec.hibernated = false })
		return true
	}},
	{"lead-on annotation", func(w *World) bool {
		w.spec.leadOn = w.members()[w.rng.IntN(int(w.spec.replicas[0]))].pod
		return true
	}},
	{"lead-on annotation", func(w *World) bool {
		w.spec.leadOn = w.members()[w.rng.IntN(int(w.spec.replicas[0]))].pod
		return true
	}},
	{"password", func(w *World) bool { w.spec.password++; return true }},
	{"topic", func(w *World) bool {
		return len(w.messages) > 0 && len(w.messages) < 8 && w.makeTopic("topic-"+string(rune('a'+len(w.messages))), []int{1, 2, 2, 3, 3}[w.rng.IntN(5)]) != nil
	}},
}

// restoreInVain has a restore take the members into its hands, and give them back before it changed anything.
func (w *World) restoreInVain() {
	if w.restore.UnderWay() || w.spec.hibernated {
		return
	}
	w.Count.Changes["a restore that is taken back"]++
	w.tell("the user: a restore that is taken back")
	w.restore = topology.Restore{Name: "undo", Stage: v1alpha1.RestoreStopping}
	w.later(w.between(5, 90), "the restore is taken back before it changed anything", func() { w.restore = topology.Restore{} })
}

func (w *World) scale(role int, by, least, most int32) bool {
	n := w.spec.replicas[role] + by
	if n < least || n > most {
		return false
	}
	w.spec.replicas[role] = n
	return true
}

// shrink asks the admission, as a webhook would with the status at hand.
func (w *World) shrink() bool {
	n := w.spec.replicas[0]
	to := map[int32]int32{7: 5, 5: 3}[n]
	if w.one && n == 3 {
		to = 1
	}
	if to == 0 {
		return false
	}
	s := w.observe(w.look())
	if w.mayShrink(s, topology.Assess(s), max(n, s.Present[v1alpha1.RolePlacementCenter]), to) != "" {
		return false
	}
	w.spec.replicas[0] = to
	return true
}

// newImage is another version: good, one that cannot be pulled, or one whose server does not start.
func (w *World) newImage() bool {
	t := template{image: len(w.kube.templates), shape: w.kube.templates[w.spec.template].shape}
	if w.chance(0.3) {
		t.shape++ // the release of RobustMQ wants more memory, say
	}
	switch w.rng.IntN(5) {
	case 0:
		t.unpullable = true
	case 1:
		t.crashes = true
	}
	w.kube.templates = append(w.kube.templates, t)
	w.spec.template = len(w.kube.templates) - 1
	if t.unpullable || t.crashes {
		w.later(w.between(60, 300), "the user corrects the version", w.mendImage)
	}
	return true
}

func (w *World) mendImage() {
	if t := w.kube.templates[w.spec.template]; t.unpullable || t.crashes {
		w.kube.templates = append(w.kube.templates, template{image: len(w.kube.templates), shape: t.shape})
		w.spec.template = len(w.kube.templates) - 1
	}
}

func (w *World) mendConfig() {
	if w.spec.config.bad || w.spec.config.refused {
		w.spec.config.bad, w.spec.config.refused = false, false
		w.spec.config.source++
		w.spec.config.static++
		w.spec.config.dynamic++
	}
}

// change makes one change.
func (w *World) change1() {
	for range 10 {
		c := changes[w.rng.IntN(len(changes))]
		if c.do(w) {
			w.Count.Changes[c.name]++
			w.tell("the user: %s (%v)", c.name, w.spec)
			return
		}
	}
}

// mend is what users and platform do in the end: nothing is left that only they can mend.
func (w *World) mend() {
	w.tell("no more faults, and the users mend what only they can")
	for len(w.effects) > 0 {
		e := w.effects[0]
		w.effects = w.effects[1:]
		w.tell("over: %s", e.what)
		e.end()
	}
	w.calm = true
	w.off, w.side = [machines]bool{}, [machines]int{}
	w.spec.paused, w.spec.hibernated = false, false
	w.mendImage()
	w.mendConfig()
	for _, n := range w.nodes {
		n.slow = false
	}
	// Topics that no node could be taken away from are deleted, as the conditions say.
	for w.spec.replicas[0]+w.spec.replicas[1]+w.spec.replicas[2] < 3 {
		w.spec.replicas[1]++ // RobustMQ's own topics keep three copies: the user sets replicas back, as the condition says
	}
	stay := int(w.spec.replicas[0] + w.spec.replicas[1] + w.spec.replicas[2])
	w.messages = slices.DeleteFunc(w.messages, func(s *segment) bool {
		return !s.inner && (s.copies < 2 || len(s.replicas) < 2 || s.copies > stay || s.lost || s.unavailable)
	})
}

// adoptForeign names a foreign volume in the annotation, as the condition says.
func (w *World) adoptForeign() {
	w.spec.adopt = ""
	for _, n := range w.nodes {
		if n.vol != nil && n.there() {
			if _, reason := w.gate(n); reason == topology.GateForeign {
				w.spec.adopt = n.pod
			}
		}
	}
}
