package planner

import (
	"errors"
	"fmt"
	"slices"

	"github.com/robustmq/robustmq-operator/internal/topology"
)

var (
	errDied   = errors.New("the operator died")
	errCall   = errors.New("the call failed")
	errRefuse = errors.New("the agent refuses")
)

func refusal(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{errRefuse}, args...)...)
}

// act carries a plan's steps out in order, as controllers/cluster does, and stops at the first that fails. A call may not arrive, its answer may be lost, and the operator may die at any point.
func (w *World) act(s topology.Snapshot, v view, plan topology.Plan) {
	if len(plan.Steps) > 0 && !w.calm && w.chance(0.08) {
		w.advance(w.between(1, 4)) // a busy operator: what it saw is old when it acts
	}
	for _, step := range plan.Steps {
		w.Count.Steps++
		w.Count.Decisions[step.Kind]++
		w.tell("step %s %s via %q: %s", step.Kind, step.Pod, step.Via, step.Reason)
		died := func(point string) bool {
			if w.calm || !w.chance(0.015) {
				return false
			}
			w.die(fmt.Sprintf("at %s %s, %s", step.Kind, step.Pod, point))
			return true
		}
		if died("before it") {
			return
		}
		if !w.calm && w.chance(0.02) {
			w.Count.Faults["call lost"]++
			w.tell("  the call does not arrive")
			return
		}
		err := w.do(s, v, step, died)
		w.checkVolumes("after " + string(step.Kind) + " " + step.Pod)
		if errors.Is(err, errDied) || died("after it") {
			return
		}
		if err == nil && !w.calm && w.chance(0.02) {
			w.Count.Faults["answer lost"]++
			err = fmt.Errorf("%w: its answer was lost", errCall)
		}
		if err != nil {
			w.tell("  %v", err)
			if step.Kind == topology.StepTransfer {
				w.op.transferFailed = w.now
			}
			if step.Kind == topology.StepAlone {
				w.op.aloneFailed = w.now
			}
			return
		}
		w.op.tracker.Forget(step.Symptom())
	}
}

// do is one step's call and what it does. died is asked within steps of several calls.
func (w *World) do(s topology.Snapshot, v view, step topology.Step, died func(string) bool) error {
	n := w.byPod(step.Pod)
	switch step.Kind {
	case topology.StepMarkFounded:
		for i, m := range w.members() {
			if v.pods[i].claimExists && m.claimExists {
				m.claimFounded = true
			}
			if i == 0 && died("with one claim marked") {
				return errDied
			}
		}
		return nil
	case topology.StepReplace:
		p := v.pods[w.index(n)]
		if p.uid == n.uid && p.state == topology.PodPending && n.state != topology.PodPending {
			return refusal("it has changed since it was seen, and may run")
		}
		if p.uid == n.uid {
			w.deletePod(n)
		}
		return nil
	case topology.StepChangeImage:
		if p := v.pods[w.index(n)]; p.uid == n.uid {
			w.changeImage(n)
		}
		return nil
	case topology.StepReleaseVolume:
		if err := w.confirm(s, step); err != nil {
			return err
		}
		w.checkRelease(n)
		n.claimTerminating = n.claimExists
		return nil
	case topology.StepPull:
		image := w.kube.templates[w.spec.template].image
		if w.kube.pull(n.machine, image) == nil {
			w.kube.pulls = append(w.kube.pulls, pull{machine: n.machine, image: image, until: w.now + w.between(1, 20)})
		}
		return nil
	case topology.StepTransfer:
		return w.transfer(s, step, died)
	case topology.StepEndTransfer:
		w.endAll(step.Transfer, n)
		return nil
	}
	asked := n
	if step.Via != "" && step.Kind != topology.StepSeed {
		asked = w.byPod(step.Via)
	}
	if !w.asks(asked) || asked.vol == nil {
		return fmt.Errorf("%w: the agent of %s does not answer", errCall, asked.pod)
	}
	return w.order(s, step, n, asked)
}

// order is a call of one agent.
func (w *World) order(s topology.Snapshot, step topology.Step, n, asked *node) error {
	switch step.Kind {
	case topology.StepFound:
		// The API server itself is asked once more: the cache may be behind.
		if now := w.look(); now.founded || slices.ContainsFunc(now.pods, func(p podView) bool { return p.claimFounded }) {
			return refusal("a record of its founding is newer than this look at it")
		}
		w.checkFounded(n)
		return w.orderGate(n, topology.OriginFounded)
	case topology.StepOrderJoin:
		return w.orderGate(n, topology.OriginJoined)
	case topology.StepAdopt:
		if !n.vol.data || n.vol.marker != nil {
			return refusal("there is nothing to adopt")
		}
		n.vol.marker = w.newMarker(n, "Adopted")
		return nil
	case topology.StepJoin:
		if !asked.running() {
			return refusal("its server is down")
		}
		return w.join(asked, step.NodeID)
	case topology.StepLeave:
		if !asked.running() {
			return refusal("its server is down")
		}
		if err := w.leave(asked, step.NodeID); err != nil {
			w.tell("  leaving was answered with an error, and what it did is observed: %v", err)
		}
		return nil
	case topology.StepStop, topology.StepDrain:
		n.agent.held, n.agent.quiesced = true, false
		w.kill(n, topology.ServerStopped, "")
		return nil
	case topology.StepStart:
		n.agent.held, n.agent.quiesced, n.agent.notBefore = false, false, 0
		return nil
	case topology.StepAlone:
		return w.orderAlone(n, step.Without)
	case topology.StepRestart:
		return w.restart(s, n)
	case topology.StepQuiesce:
		if !n.running() {
			return refusal("there is nothing to quiesce")
		}
		n.agent.quiesced = true
		return nil
	case topology.StepUnregister:
		return w.orderUnregister(n, asked)
	case topology.StepWipe:
		return w.wipe(s, step, n)
	case topology.StepSettings:
		return w.giveSettings(n)
	case topology.StepLogin:
		w.password = w.spec.password
		return nil
	}
	return w.seedOrder(s, step, n)
}

func (w *World) newMarker(n *node, origin string) *topology.Marker {
	w.lives++
	return &topology.Marker{ClusterUID: clusterUID, NodeID: n.id, Generation: 1 + n.mounted.raised, Origin: origin, Life: fmt.Sprint(origin, " ", w.lives)}
}

func (w *World) orderGate(n *node, origin string) error {
	v := n.vol
	switch {
	case v.marker != nil && v.marker.Origin == origin && v.marker.ClusterUID == clusterUID && (v.data || !v.hasData):
		return nil
	case v.data || v.marker != nil || v.foreign:
		return refusal("it needs an empty volume")
	case v.seed != nil && v.seed.phase != topology.SeedFailed:
		return refusal("metadata is arriving")
	case n.alive():
		return refusal("the server runs")
	}
	if origin == topology.OriginFounded {
		w.truth = [groupCount]history{} // what an earlier try of the founder told itself counts for nobody
	}
	v.marker = w.newMarker(n, origin)
	n.agent.notBefore = 0
	return nil
}

func (w *World) restart(s topology.Snapshot, n *node) error {
	held := n.agent.held
	n.agent.held = false
	if open, reason := w.gate(n); !open {
		n.agent.held = held
		return refusal("it would not start again: %s", reason)
	}
	for _, m := range s.Members {
		if m.NodeID == n.id && m.Agent != nil && m.Agent.StartedFor == 0 && n.alive() {
			return nil // the one that was meant is gone
		}
	}
	n.agent.quiesced, n.agent.notBefore = false, 0
	w.kill(n, topology.ServerStopped, "")
	return nil
}

// orderUnregister asks the node's own agent once more whether its server is stopped and held, and then the metadata leader.
func (w *World) orderUnregister(n, leader *node) error {
	if !w.asks(n) {
		return fmt.Errorf("%w: whether its server is stopped is not known", errCall)
	}
	if open, _ := w.gate(n); n.alive() || open {
		return refusal("a node that runs is never unregistered")
	}
	if !leader.running() || w.leader(0) != leader {
		return refusal("it does not lead")
	}
	w.unregister(n.id)
	return nil
}

// confirm is the last look before what cannot be taken back (controllers/cluster: confirm).
func (w *World) confirm(s topology.Snapshot, step topology.Step) error {
	v := w.look()
	now := w.observe(v)
	again := s
	again.Members, again.Present = now.Members, now.Present
	if !w.decide(again, v).Takes(step) {
		w.Count.Faults["what cannot be taken back was refused at the last look"]++
		return refusal("what it was decided on has changed since")
	}
	return nil
}

// wipe empties the volume whose marker is the one that was observed.
func (w *World) wipe(s topology.Snapshot, step topology.Step, n *node) error {
	v := n.vol
	var seen *topology.Marker
	for _, m := range s.Members {
		if m.NodeID == n.id && m.Agent != nil {
			seen = m.Agent.Marker
		}
	}
	switch {
	case n.alive():
		return refusal("the server runs: stop it first")
	case v.record != nil && v.record.active():
		return refusal("the leadership of raft groups is being moved")
	case v.marker == nil && !v.data:
		return nil
	case v.marker == nil || seen == nil || v.marker.Life != seen.Life:
		return refusal("its marker is not the one that is named")
	}
	if err := w.confirm(s, step); err != nil {
		return err
	}
	w.checkWipe(n)
	if v.seed != nil {
		w.op.seeds.Failed(n.pod, "wiped", v.seed.donor, w.clock())
	}
	// A newcomer that was never a member is emptied without a look at its copies of messages, which nobody but a short registry can make the last ones.
	w.dropCopies(n, !n.isMember() || v.marker.Member)
	n.vol = &volume{}
	n.agent.held = false
	return nil
}

func (w *World) giveSettings(n *node) error {
	if !n.running() {
		return refusal("its server is down")
	}
	if n.mounted.refused {
		if w.op.refused == nil {
			w.op.refused = map[string]string{}
		}
		w.op.refused["MqttLimit"] = fmt.Sprint(n.mounted.source)
		return refusal("the server refuses them")
	}
	w.store = n.mounted.dynamic
	for _, o := range w.nodes {
		if o.running() && (o == n || w.calm || w.chance(0.9)) {
			o.srv.dynamic = w.store
		}
	}
	return nil
}
