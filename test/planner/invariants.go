package planner

import (
	"fmt"
	"slices"

	"github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/internal/topology"
)

// What must never happen (docs/architecture.md), and where it is looked for:
//
//	1 two clusters out of one resource: checkPlan and checkFounded, checkState (two leaders with a quorum each), settled (nobody but the voters leads anything)
//	2 an acknowledged write lost by the operator's hand: acknowledge, checkLeader (every leader has all of it), checkVolumes (a majority of the volumes has it), dropCopies (messages)
//	3 more voters down by the operator's hand than the quorum can bear: checkPlan, checkSize
//	4 a member in service with less data than it claims: checkPlan (nobody joins empty who must not), settled (no member has holes)
//	5 a restore over newer data, or twice: no decision of this planner; controllers/restore and test/simulated
//	6 a backup that is called complete and is not: no decision of this planner; controllers/backup, backup/archive and test/simulated
//	7 a secret where it does not belong: the planner is given none; webhooks, controllers and test/simulated
//	8 a volume deleted that was not asked for: checkRelease, checkWipe, dropCopies

// truth is the placement centre as it is, whatever anybody says of it, at the moment of an observation.
type truth struct {
	led     [groupCount]bool
	leaders [groupCount]uint64
	configs [groupCount][][]uint64
	purged  [groupCount]uint64
	healthy [groupCount]map[uint64]bool // takes part, follows or leads, and is not behind
	alive   map[uint64]bool
	known   map[uint64]bool // stands in a membership of more than itself on somebody else's volume
	dead    bool            // more than one member has a core that has stopped
	data    bool            // some volume of the placement centre holds data of this cluster
}

func (w *World) seeTruth() truth {
	t := truth{alive: map[uint64]bool{}, known: map[uint64]bool{}}
	for g := range groupCount {
		t.healthy[g] = map[uint64]bool{}
		l := w.leader(g)
		if l != nil && !w.hasQuorum(l, g) {
			l = nil // a network that was cut, or a pod that went, since the last tick: there is no quorum any more that anybody could take away
		}
		if l != nil {
			r := l.vol.raft[g]
			t.led[g], t.leaders[g], t.configs[g], t.purged[g] = true, l.id, r.configs, r.purged
		}
		for _, n := range w.members() {
			// Whose pod was given another image ends at any moment.
			if r := n.core(g); r != nil && l != nil && n.started == n.template && (n == l || n.srv.raft[g].leader == l.id) && w.reach(n, l) && r.applied+topology.DefaultLimits().Lag >= l.vol.raft[g].applied {
				t.healthy[g][n.id] = true
			}
		}
	}
	dead := 0
	for _, n := range w.members() {
		if n.running() && slices.ContainsFunc(n.srv.raft[:], func(l live) bool { return l.dead }) {
			dead++
		}
	}
	t.dead = dead > 1
	for _, n := range w.members() {
		t.alive[n.id] = n.alive()
		if n.vol == nil || n.vol.marker == nil {
			continue
		}
		for g, r := range n.vol.raft {
			if r == nil || w.alone(n, g) {
				continue
			}
			t.data = true
			for _, c := range r.configs {
				for _, id := range c {
					t.known[id] = t.known[id] || id != n.id
				}
			}
		}
	}
	return t
}

// hasQuorum reports whether a leader reaches a quorum of its group at this moment.
func (w *World) hasQuorum(l *node, g int) bool {
	return majority(l.vol.raft[g].configs, func(id uint64) bool {
		n := w.byID(id)
		return n == l || n != nil && n.core(g) != nil && w.reach(l, n)
	})
}

// checkPlan judges a plan by the truth of the moment in which its snapshot was taken.
func (w *World) checkPlan(s topology.Snapshot, plan topology.Plan, t truth) {
	w.Count.Checks++
	down := map[uint64]bool{}
	changes := 0
	for _, step := range plan.Steps {
		n := w.byPod(step.Pod)
		switch step.Kind {
		case topology.StepFound:
			if t.data {
				w.violate("1", "%s founds although there is a cluster", step.Pod)
			}
		case topology.StepOrderJoin:
			if !n.isMember() {
				continue
			}
			changes++
			w.checkJoin(n, t)
		case topology.StepJoin, topology.StepLeave, topology.StepSeed:
			changes++
			switch {
			case step.Kind == topology.StepSeed && step.Changing:
				w.checkIndispensable(n, w.byPod(step.Via), step)
			case step.Kind == topology.StepSeed && len(step.Terms) > 0:
				w.checkSurvivor(n, w.byPod(step.Via), step)
			}
			if step.Kind == topology.StepJoin {
				w.checkOvertaken(n, t)
			}
		case topology.StepStop, topology.StepRestart, topology.StepReplace, topology.StepChangeImage, topology.StepDrain:
			if !n.isMember() || !t.alive[n.id] || step.Kind == topology.StepReplace && neverRan(s, n.id) {
				continue // a pod that is said never to have run goes only while that is so (act)
			}
			changes++
			// Where a group has no leader because of this very member, its restart is the only cure, and another group may have to bear it: none of them is of use alone.
			// Of two whose cores have stopped in different groups one has to be first.
			if step.Kind == topology.StepStop && w.one && len(plan.Steps) == 2 && plan.Steps[1].Kind == topology.StepAlone {
				continue // StepAlone is judged instead
			}
			down[n.id] = t.led == [groupCount]bool{true, true, true} && (step.Cures != topology.SymptomRaftDead || !t.dead) || step.Cures != topology.SymptomStaleLeader && step.Cures != topology.SymptomRaftDead
			if w.one && w.spec.replicas[0] == 1 && step.Kind == topology.StepRestart && len(t.configs[0]) == 1 && len(t.configs[0][0]) == 2 {
				down[n.id] = false // the last two on their way to one
			}
		case topology.StepOpenSeed:
			w.checkOpened(n, t)
		case topology.StepTransfer:
			changes++
			w.checkTransfer(s, n, step, t)
		case topology.StepAlone:
			w.checkAlone(s, n, step)
		}
	}
	if changes > 1 {
		w.violate("3", "%d steps of one pass change who votes or who serves: %v", changes, plan.Steps)
	}
	for g := range groupCount {
		if !t.led[g] {
			continue
		}
		for _, c := range t.configs[g] {
			touched := slices.ContainsFunc(c, func(id uint64) bool { return down[id] })
			if touched && len(c) > 1 && !majority([][]uint64{c}, func(id uint64) bool { return t.healthy[g][id] && !down[id] }) {
				w.violate("3", "%v leaves group %s without a quorum of %v: healthy are %v", plan.Steps, groupNames[g], c, t.healthy[g])
			}
		}
	}
}

// neverRan reports whether the pod is one that never came to run, by what the operator sees.
func neverRan(s topology.Snapshot, id uint64) bool {
	return slices.ContainsFunc(s.Members, func(m topology.Member) bool { return m.NodeID == id && m.State == topology.PodPending })
}

// checkFounded: nobody is told to found a cluster that was founded, be it recorded or not.
func (w *World) checkFounded(n *node) {
	marked := slices.ContainsFunc(w.members(), func(m *node) bool { return m.claimFounded })
	if w.kube.founded || marked || w.seeTruth().data {
		w.violate("1", "%s founds although there is, or was, a cluster", n.pod)
	}
}

// checkJoin: who starts empty must not have a vote already, and must get the whole log.
func (w *World) checkJoin(n *node, t truth) {
	if t.known[n.id] {
		w.violate("4", "%s is to start empty although others count it as a voter", n.pod)
	}
	for g := range groupCount {
		if t.purged[g] > 0 {
			w.violate("4", "%s is to start empty although the log of %s begins at entry %d", n.pod, groupNames[g], t.purged[g]+1)
		}
		for _, c := range t.configs[g] {
			if len(c) > 1 && slices.ContainsFunc(c, func(id uint64) bool { return !t.healthy[g][id] }) {
				w.violate("3", "%s is to join although a voter of %v is not in service: healthy are %v", n.pod, c, t.healthy[g])
			}
		}
	}
}

// checkOvertaken: who becomes a voter gets what its log lacks; from a log that begins later it would get a snapshot without entries.
func (w *World) checkOvertaken(n *node, t truth) {
	for g := range groupCount {
		if r := n.vol.raft[g]; t.led[g] && (r == nil || r.log.last() < t.purged[g]) && !configured(t.configs[g], n.id) {
			w.violate("4", "%s is to become a voter of %s, whose log begins at entry %d", n.pod, groupNames[g], t.purged[g]+1)
		}
	}
}

// checkTransfer: nothing may be amiss, since for seconds less than a quorum is left of three.
func (w *World) checkTransfer(s topology.Snapshot, target *node, step topology.Step, t truth) {
	stops := topology.Assess(s).Stops(target.id, step.Via)
	for g := range groupCount {
		if !t.led[g] || len(t.configs[g]) != 1 {
			w.violate("3", "leadership is moved while nobody leads %s, or its membership changes", groupNames[g])
		}
		voters := t.configs[g][0]
		missing := slices.DeleteFunc(slices.Clone(voters), func(id uint64) bool { return t.healthy[g][id] })
		if len(missing) > 1 || len(missing) == 1 && slices.Contains(t.configs[0][0], missing[0]) && slices.Contains(t.configs[groupCount-1][0], missing[0]) {
			w.violate("3", "leadership of %s is moved while %v of %v is not in service", groupNames[g], missing, voters)
		}
		// Of two both are stopped: only where leaders are apart, without which the third voter could come.
		apart := t.leaders[0] != t.leaders[1] || t.leaders[0] != t.leaders[2]
		switch two := len(voters) == 2; {
		case two && (len(stops) > 1 || !apart || len(missing) > 0 || s.Wanted.Replicas[v1alpha1.RolePlacementCenter] < 3):
			w.violate("3", "leadership of %s is moved between the two voters %v (apart: %t, missing: %v, stopped: %d)", groupNames[g], voters, apart, missing, len(stops))
		case !two && len(stops) > len(voters)-len(voters)/2-1:
			w.violate("3", "%d of the voters %v are stopped beside the one that is to lead", len(stops), voters)
		}
	}
}

// checkSurvivor: a majority of the voters has really lost its data, no volume that could hold what was acknowledged is unseen, and nobody has a longer log.
func (w *World) checkSurvivor(target, survivor *node, step topology.Step) {
	for g, name := range groupNames {
		own := survivor.vol.raft[g]
		whole := 0
		for _, id := range own.configs[0] {
			v := w.byID(id)
			if v.vol == nil || v.vol.raft[g] == nil {
				continue
			}
			whole++
			if r := v.vol.raft[g]; r.log.last() > own.log.last() && v.vol.seed == nil {
				w.violate("2", "%s is filled from %s, and %s has a longer log of %s", target.pod, survivor.pod, v.pod, name)
			}
		}
		if whole >= len(own.configs[0])/2+1 {
			w.violate("2", "%s is filled from %s while %d of the voters %v have data: they are a quorum", target.pod, survivor.pod, whole, own.configs[0])
		}
		if step.Terms[name] <= own.vote.term {
			w.violate("2", "the vote in the image is of term %d, and the survivor voted in %d", step.Terms[name], own.vote.term)
		}
	}
}

// checkIndispensable: whoever is put into an empty volume while the groups' memberships differ has everything that was ever acknowledged, and nobody else has more.
func (w *World) checkIndispensable(target, survivor *node, step topology.Step) {
	for g, name := range groupNames {
		own := survivor.vol.raft[g]
		if c := common(w.truth[g], own.log); c < w.truth[g].last() {
			w.violate("2", "%s is filled from %s, which has %d of %d acknowledged entries of %s", target.pod, survivor.pod, c, w.truth[g].last(), name)
		}
		for _, n := range w.members() {
			if n != survivor && n.vol != nil && n.vol.raft[g] != nil && configured(own.configs, n.id) && n.vol.seed == nil {
				w.violate("2", "%s is filled from %s while %s has data of %s", target.pod, survivor.pod, n.pod, name)
			}
		}
		if term, voted := step.Terms[name]; voted == (own.vote.node == survivor.id) || voted && term <= own.vote.term {
			w.violate("2", "the vote in the image of %s is of term %d, and the survivor voted for node %d in term %d", name, term, own.vote.node, own.vote.term)
		}
	}
}

// checkOpened: who is started on an image while nobody leads, and so may be the one by whose vote somebody comes to lead, has everything that it may have confirmed before; but for a survivor's image, which has what is left.
func (w *World) checkOpened(n *node, t truth) {
	seed := n.vol.seed
	if seed == nil || seed.phase != topology.SeedPlaced || t.led == [groupCount]bool{true, true, true} || len(seed.terms) > 0 || w.destroyed {
		return
	}
	for g, name := range groupNames {
		if c := common(w.truth[g], n.vol.raft[g].log); c < seed.owed[g] {
			w.violate("2", "%s is started on an image with %d of the %d entries of %s that were acknowledged when it was ordered, and nobody leads", n.pod, c, seed.owed[g], name)
		}
	}
}

// checkRelease is asked at the moment in which the claim is deleted, and of what the user wants then: a plan is made of what was seen before, and is looked at once more (act).
func (w *World) checkRelease(n *node) {
	switch {
	case !w.spec.volumesGo || n.ordinal < w.spec.replicas[roleIndex(n.role)]:
		w.violate("8", "the volume of %s is deleted, which nobody asked for", n.pod)
	case n.vol != nil && n.vol.marker != nil && n.vol.marker.ClusterUID == clusterUID && n.state == topology.PodRunning:
		w.violate("8", "the volume of %s is deleted with its data", n.pod)
	}
	w.checkNeeded(n, "its volume is deleted")
}

// checkWipe: nobody counts on what is emptied.
func (w *World) checkWipe(n *node) {
	w.checkNeeded(n, "its volume is emptied")
	if n.isMember() && n.vol.marker.Member && w.leader(0) == nil {
		w.violate("2 and 8", "the volume of %s is emptied while nobody leads: it may be needed", n.pod)
	}
}

func (w *World) checkNeeded(n *node, what string) {
	for g := range groupCount {
		if l := w.leader(g); n.isMember() && l != nil && configured(l.vol.raft[g].configs, n.id) {
			// One whose place is being taken by an image, or that never had data, has nothing to lose.
			if n.vol != nil && n.vol.raft[g] != nil && n.vol.raft[g].missing == 0 {
				w.violate("2 and 8", "%s: %s is a voter of %s (%v)", what, n.pod, groupNames[g], l.vol.raft[g].configs)
			}
		}
	}
	if n.isMember() && n.vol != nil && n.vol.marker != nil && !n.vol.marker.Member {
		return
	}
	for _, x := range w.messages {
		if x.names(n.id) && slices.Contains(x.full, n.id) && len(x.full) == 1 {
			w.violate("2 and 8", "%s: %s has the last copy of the messages of %s", what, n.pod, x.name)
		}
	}
}

// checkSize: no pod is taken away by a StatefulSet's size that anybody counts on; going to sleep is what the user asked for.
func (w *World) checkSize(role v1alpha1.Role, was, is int32, s topology.Snapshot, asleep bool) {
	if asleep {
		return
	}
	for _, n := range w.of(role) {
		if n.ordinal < is || n.ordinal >= was {
			continue
		}
		if n.ordinal < s.Wanted.Replicas[role] {
			w.violate("3", "the pod %s is taken away, which nobody asked for", n.pod)
		}
		w.checkNeeded(n, "its pod is taken away")
		for g := range groupCount {
			if l := w.leader(g); n.isMember() && l != nil && configured(l.vol.raft[g].configs, n.id) {
				w.violate("3", "the pod %s is taken away, and it is a voter of %s", n.pod, groupNames[g])
			}
		}
	}
}

// checkState is looked at after every tick.
func (w *World) checkState() {
	for g := range groupCount {
		first := uint64(0)
		for _, n := range w.members() {
			if n.core(g) == nil || !n.srv.raft[g].quorum || w.alone(n, g) {
				continue
			}
			if first != 0 {
				w.violate("1", "nodes %d and %d both lead %s with a quorum", first, n.id, groupNames[g])
			}
			first = n.id
		}
	}
	if w.now%(10*tick) == 0 {
		w.checkVolumes("")
	}
}

// checkLeader: who comes to lead has all that was acknowledged.
func (w *World) checkLeader(n *node, g int) {
	if w.alone(n, g) {
		return
	}
	if c := common(w.truth[g], n.vol.raft[g].log); c < w.truth[g].last() && !w.destroyed {
		w.violate("2", "%s leads %s and has %d of %d acknowledged entries", n.pod, groupNames[g], c, w.truth[g].last())
	}
}

// acknowledge notes that a leader told its clients that entries up to index at are safe.
func (w *World) acknowledge(n *node, g int, at uint64) {
	log := n.vol.raft[g].log
	if c := common(w.truth[g], log); c < w.truth[g].last() {
		if !w.destroyed || c < w.owed[g] {
			w.violate("2", "%s leads %s, and only %d of %d acknowledged entries are left (%d were left by the failures)", n.pod, groupNames[g], c, w.truth[g].last(), w.owed[g])
		}
		w.tell("of %s %d acknowledged entries went with the volumes", groupNames[g], w.truth[g].last()-c)
		w.truth[g] = nil
	}
	if at > w.truth[g].last() { // with a voter less a leader counts fewer copies: what it has acknowledged stays acknowledged
		w.truth[g] = log.copyTo(w.truth[g], at)
	}
	if w.destroyed {
		w.account()
	}
}

// holders are how many of a group's voters have all that was acknowledged on their volumes, and how many lost it by the world's hand.
func (w *World) holders(g int, voters []uint64) (whole, lost int) {
	for _, id := range voters {
		n := w.byID(id)
		switch v := n.vol; {
		case v == nil:
			lost++ // a claim that somebody deleted
		case v.raft[g] != nil && v.raft[g].missing == 0 && common(v.raft[g].log, w.truth[g]) == w.truth[g].last():
			whole++
		case v.prev != nil && v.prev.raft[g] != nil && common(v.prev.raft[g].log, w.truth[g]) == w.truth[g].last():
			whole++
		case v.wiped:
			lost++
		}
	}
	return whole, lost
}

// checkVolumes: a majority of the voters' volumes has all that was acknowledged, but for those that the world destroyed. While the membership is being changed, one of the two is enough: whoever comes to lead needs
// votes of a majority of each.
func (w *World) checkVolumes(when string) {
	if w.destroyed {
		return
	}
	for g := range groupCount {
		l := w.leader(g)
		if l == nil {
			continue
		}
		configs := l.vol.raft[g].configs
		safe := slices.ContainsFunc(configs, func(c []uint64) bool {
			whole, lost := w.holders(g, c)
			return whole+lost >= len(c)/2+1
		})
		if !safe {
			whole, lost := w.holders(g, configs[0])
			w.violate("2", "%s: of the voters %v of %s %d have all that was acknowledged, and %d lost it by failures\n%s", when, configs, groupNames[g], whole, lost, w)
		}
	}
}

// account notes what is owed after the world destroyed data: while a majority of every group's voters has it all, everything; else the longest part that any volume has.
func (w *World) account() {
	w.destroyed = false
	for g := range groupCount {
		var voters []uint64
		var best vote
		w.owed[g] = 0
		for _, n := range w.members() {
			if n.vol == nil || n.vol.raft[g] == nil || len(n.vol.raft[g].configs) == 0 || w.alone(n, g) {
				continue
			}
			r := n.vol.raft[g]
			w.owed[g] = max(w.owed[g], common(r.log, w.truth[g]))
			if r.vote.compare(best) >= 0 {
				best, voters = r.vote, r.configs[0]
			}
		}
		whole, _ := w.holders(g, voters)
		w.destroyed = w.destroyed || whole < len(voters)/2+1
	}
}

// checkEmptySnapshot notes that a member lost data by the server's own fault: it was away for too long. It counts as lost by the world, and must be mended.
func (w *World) checkEmptySnapshot(n *node, _ int) {
	n.vol.wiped = true
	w.Count.Faults["snapshot without entries"]++
	w.account()
}

// rowsOf is for messages.
func rowsOf(waits []topology.Wait) (out []string) {
	for _, x := range waits {
		out = append(out, fmt.Sprintf("%s: %s", x.Reason, x.Message))
	}
	return out
}
