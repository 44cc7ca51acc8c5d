package planner

import (
	"fmt"
	"slices"
	"time"

	"github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/internal/topology"
)

// How a life ends.
const (
	EndReady      = "Ready"
	EndDataLost   = "every volume was destroyed: it waits for a restore"
	EndNoSurvivor = "a majority of the volumes was destroyed, and no survivor can be named: it waits for a person"
	EndHalfJoined = "a join was half done when more went wrong, and can be neither finished nor rolled back: it waits for a person"
	EndUnsure     = "the members differ, and nobody can say who is right: it waits for a person"
)

// within bounds how long after the last fault everything is Ready: the longest repairs stand one after the other.
const within = time.Hour

// Live lets the cluster live: it forms, the user changes what is wanted, everything goes wrong; then nothing goes wrong any more, and it has to come to rest. The error is a Violation.
func (w *World) Live() (end string, err error) {
	defer func() {
		if p := recover(); p != nil {
			v, ok := p.(Violation)
			if !ok {
				panic(p)
			}
			w.tell("VIOLATION %v\n%s", v, w)
			err = v
		}
	}()
	w.form()
	events := 4 + w.rng.IntN(8)
	for range events {
		if w.chance(0.5) {
			w.change1()
		}
		if w.restores && w.chance(0.4) {
			w.restoreInVain()
		}
		for range w.rng.IntN(3) {
			w.suffer()
		}
		w.live(w.between(5, 100))
	}
	w.mend()
	return w.converge(), nil
}

// form lets the cluster be made, with faults from the beginning in some lives.
func (w *World) form() {
	early := w.chance(0.3)
	for end := w.now + 400*time.Second; w.now < end && !w.op.settled; {
		if early && w.chance(0.02) {
			w.suffer()
		}
		w.advance(w.pass())
	}
}

func (w *World) live(d time.Duration) {
	for end := w.now + d; w.now < end; {
		if w.chance(0.02) {
			w.adoptForeign()
		}
		w.advance(min(w.pass(), end-w.now))
	}
}

// converge waits until all is as the spec says, twice in a row and a census of the members' data in between.
func (w *World) converge() string {
	calm := time.Duration(0)
	began := w.now
	for w.now < began+within {
		w.adoptForeign()
		w.setBack()
		d := w.pass()
		why := w.unfinished()
		switch {
		case !w.op.settled:
			calm = 0
		case why != "":
			if calm++; calm > 20 {
				w.violate("settled", "the planner has nothing to do and nothing to wait for, and %s", why)
			}
		case calm == 0:
			calm = w.now
		case w.now-calm > 100*time.Second:
			w.checkSettled()
			return EndReady
		}
		w.advance(d)
		if end := w.hopeless(); end != "" && w.now > began+10*time.Minute {
			return end
		}
	}
	w.violate("converges", "after %v it has not: %s; it says %q, steps %+v\n%s", within, w.unfinished(), rowsOf(w.op.last.Waits), w.op.last.Steps, w)
	return ""
}

// hopeless is why only a person can go on, empty when it is not so. It is judged by the truth, and by what the planner says of it.
func (w *World) hopeless() string {
	says := func(reason string) bool {
		return slices.ContainsFunc(w.op.last.Waits, func(x topology.Wait) bool { return x.Reason == reason && x.Trouble })
	}
	w.account()
	empty, data := 0, 0
	for _, n := range w.members() {
		if n.vol == nil || n.ordinal >= w.kube.sets[0].replicas {
			continue
		}
		if n.vol.data {
			data++
		} else {
			empty++
		}
	}
	switch {
	case data == 0 && empty > 0 && says(v1alpha1.ReasonDataLost):
		return EndDataLost
	case w.destroyed && slices.ContainsFunc([]int{0, 1, 2}, func(g int) bool { return w.leader(g) == nil }):
		return EndNoSurvivor
	case says(v1alpha1.ReasonHalfJoined) && w.joint():
		return EndHalfJoined
	case w.destroyed && (says(v1alpha1.ReasonDataDiffers) || says(v1alpha1.ReasonFaultyMember)):
		return EndUnsure
	case says(v1alpha1.ReasonDataDiffers) && w.leaderHasHoles():
		return EndUnsure
	}
	return ""
}

// leaderHasHoles reports whether a leader lacks entries that its position claims: the others cannot know whether it is they who have too much, and nobody takes the data of a leader away.
func (w *World) leaderHasHoles() bool {
	for g := range groupCount {
		if l := w.leader(g); l != nil && l.vol.raft[g].missing > 0 {
			return true
		}
	}
	return false
}

// joint reports whether the groups have different voters, or some group's are being changed.
func (w *World) joint() bool {
	var first []uint64
	for g := range groupCount {
		l := w.leader(g)
		if l == nil || len(l.vol.raft[g].configs) > 1 || first != nil && !slices.Equal(first, l.vol.raft[g].configs[0]) {
			return true
		}
		first = l.vol.raft[g].configs[0]
	}
	return false
}

// unfinished says what is not as the spec says, empty when all is.
func (w *World) unfinished() string {
	wanted := []uint64{}
	for _, n := range w.members() {
		if n.ordinal < w.spec.replicas[0] {
			wanted = append(wanted, n.id)
		}
	}
	everybody := []uint64{}
	for i, role := range roles {
		if w.kube.sets[i].replicas != w.spec.replicas[i] {
			return fmt.Sprintf("%s has %d pods, wanted are %d", role, w.kube.sets[i].replicas, w.spec.replicas[i])
		}
		for _, n := range w.of(role) {
			if n.ordinal < w.spec.replicas[i] {
				everybody = append(everybody, n.id)
			}
		}
	}
	for g := range groupCount {
		if l := w.leader(g); l == nil || !slices.Equal(l.vol.raft[g].configs[0], wanted) || len(l.vol.raft[g].configs) > 1 {
			return "the voters of " + groupNames[g] + " are not the wanted members"
		}
	}
	registered := w.registered()
	slices.Sort(registered)
	if !slices.Equal(registered, everybody) {
		return fmt.Sprintf("registered are %v, wanted %v", registered, everybody)
	}
	for _, n := range w.nodes {
		if why := w.unfinishedPod(n, everybody, wanted); why != "" {
			return n.pod + " " + why
		}
	}
	for _, s := range w.messages {
		if s.unavailable || len(s.isr) < len(s.replicas) {
			return "a copy is missing of " + s.String()
		}
		for _, id := range s.replicas {
			if !slices.Contains(everybody, id) {
				return "a copy is with a node that went: " + s.String()
			}
		}
	}
	if l := w.leader(0); w.spec.leadOn != "" && len(wanted) >= 3 {
		if n := w.byPod(w.spec.leadOn); n.ordinal < w.spec.replicas[0] && l != n {
			return "the member that shall lead does not"
		}
	}
	return ""
}

func (w *World) unfinishedPod(n *node, everybody, voters []uint64) string {
	switch {
	case !slices.Contains(everybody, n.id):
		if n.state != topology.PodMissing {
			return "is there although it is not wanted"
		}
		if w.spec.volumesGo && n.claimExists && !n.isMember() && n.vol != nil && n.vol.marker != nil {
			return "left its volume behind"
		}
		return ""
	case !n.running():
		return "does not run"
	case n.started != n.template:
		return "has a container of an old template"
	case n.template != w.spec.template && w.kube.templates[n.template].image != w.kube.templates[w.spec.template].image:
		return "has an old image"
	case n.srv.ran.static != w.spec.config.static:
		return "runs with old settings"
	case n.srv.dynamic != w.spec.config.dynamic:
		return "lacks the dynamic settings"
	case n.agent.refusedLogin:
		return "refuses the login"
	case n.agent.quiesced:
		return "is quiesced"
	case !slices.Equal(n.knows(), everybody):
		return fmt.Sprintf("knows %v", n.knows())
	}
	if !n.isMember() {
		return ""
	}
	for g, r := range n.vol.raft {
		if len(r.configs) != 1 || !slices.Equal(r.configs[0], voters) {
			return fmt.Sprintf("believes that %v vote", r.configs)
		}
		if r.missing > 0 && !w.destroyed {
			return fmt.Sprintf("has holes of %d entries in %s", r.missing, groupNames[g])
		}
	}
	return ""
}

// checkSettled looks at everything once more when all is at rest.
func (w *World) checkSettled() {
	for g := range groupCount {
		for _, n := range w.members() {
			if n.ordinal >= w.spec.replicas[0] {
				continue
			}
			if c := common(n.vol.raft[g].log, w.truth[g]); c+snapshotEvery < w.truth[g].last() {
				w.violate("2 and 4", "%s has %d of %d acknowledged entries of %s", n.pod, c, w.truth[g].last(), groupNames[g])
			}
		}
	}
	w.checkVolumes("at the end")
}
