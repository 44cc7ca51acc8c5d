package planner

import (
	"time"

	"github.com/robustmq/robustmq-operator/internal/topology"
)

// template is what a role's pods are made from.
type template struct {
	image      int
	shape      int // all but the image: what a pod has to be made anew for
	unpullable bool
	crashes    bool // its server does not start
}

// set is a StatefulSet: Parallel, OnDelete, its claims are kept.
type set struct {
	exists   bool
	replicas int32
	template int
	asleep   int32 // how many pods it had before it was put to sleep; 0: it is awake
}

// pull is a Job that pulls an image on a machine.
type pull struct {
	machine, image int
	until          time.Duration
	failed, done   bool
}

// kube is what the API server has beside the pods.
type kube struct {
	templates []template
	sets      [roleCount]set
	secrets   [roleCount]settings
	mountAt   [roleCount]time.Duration // when the machines bring the newest secret
	pulls     []pull
	founded   bool  // the status says so
	raised    int64 // by how much the generation on the claims was raised
	pods      int
}

func (k *kube) pull(machine, image int) *pull {
	for i := range k.pulls {
		if k.pulls[i].machine == machine && k.pulls[i].image == image {
			return &k.pulls[i]
		}
	}
	return nil
}

// tickKube is the StatefulSet controller, the scheduler and the kubelets.
func (w *World) tickKube() {
	for i := range w.kube.pulls {
		p := &w.kube.pulls[i]
		if !p.done && !p.failed && w.now >= p.until && !w.off[p.machine] {
			bad := false
			for _, t := range w.kube.templates {
				bad = bad || t.image == p.image && t.unpullable
			}
			p.failed, p.done = bad, !bad
		}
	}
	for i, role := range roles {
		set := &w.kube.sets[i]
		for _, n := range w.of(role) {
			w.tickPod(n, set, i)
		}
	}
}

func (w *World) tickPod(n *node, set *set, role int) {
	if set.exists && n.ordinal < set.replicas && n.state == topology.PodMissing {
		w.createPod(n, set)
	}
	switch {
	case n.state == topology.PodMissing:
	case set.exists && n.ordinal >= set.replicas && n.state != topology.PodTerminating:
		w.deletePod(n)
	case n.state == topology.PodPending:
		if w.off[n.machine] || w.kube.templates[n.template].unpullable && !w.hasImage(n) || n.claimTerminating || w.now < n.until {
			n.claimGone()
			return
		}
		if !n.claimExists {
			n.claimExists, n.claimFounded = true, false
		}
		if n.vol == nil {
			n.vol = &volume{}
		}
		n.state = topology.PodRunning
		w.startAgent(n)
		n.mounted = w.kube.secrets[role]
	case n.state == topology.PodTerminating:
		if w.off[n.machine] {
			return
		}
		if !n.agent.mayStop {
			n.agent.mayStop = w.endHold(n)
			n.until = w.now + tick
			return
		}
		if w.now >= n.until {
			w.kill(n, topology.ServerStopped, "")
			n.state = topology.PodMissing
			n.srv, n.agent = server{}, agent{}
			n.claimGone()
		}
	case n.started != n.template:
		w.tickImage(n)
	case n.mounted != w.kube.secrets[role] && w.now >= w.kube.mountAt[role] && !w.off[n.machine]:
		n.mounted = w.kube.secrets[role]
	}
}

// startAgent is the start of a pod's container.
func (w *World) startAgent(n *node) {
	n.agent, n.started = agent{}, n.template
	n.srv = server{phase: topology.ServerStopped}
	w.wakeVolume(n)
}

// changeImage gives a running pod the image of another template. Its kubelet hears of it in its time.
func (w *World) changeImage(n *node) {
	n.template = w.spec.template
	n.until = w.now + w.between(0, 20) // a busy one takes long
}

// tickImage ends the container of a pod that was given another image, and starts it with that.
func (w *World) tickImage(n *node) {
	switch {
	case w.off[n.machine] || w.now < n.until:
	case !n.agent.terminating:
		n.agent.terminating, n.agent.mayStop = true, false
		n.agent.endBy = w.now + 25*time.Second
	case !n.agent.mayStop:
		if n.agent.mayStop = w.endHold(n); n.agent.mayStop {
			w.kill(n, topology.ServerStopped, "")
			n.until = w.now + w.between(0, 2)
		}
	default:
		w.startAgent(n)
	}
}

// claimGone removes a claim that is being deleted and that no pod uses any more, and its volume with it.
func (n *node) claimGone() {
	if n.claimTerminating && (n.state == topology.PodMissing || n.state == topology.PodPending) {
		n.claimExists, n.claimFounded, n.claimTerminating, n.vol = false, false, false, nil
	}
}

// hasImage reports whether the machine has the image of the pod's template.
func (w *World) hasImage(n *node) bool {
	p := w.kube.pull(n.machine, w.kube.templates[n.template].image)
	return p != nil && p.done
}

func (w *World) createPod(n *node, set *set) {
	w.kube.pods++
	n.uid, n.template, n.state = w.kube.pods, set.template, topology.PodPending
	n.until = w.now + w.between(1, 4)
	if !n.claimExists {
		n.claimExists, n.claimFounded, n.claimTerminating = true, false, false
	}
}

// deletePod begins a pod's end: its agent is told, and holds the server of a voter as long as the quorum needs it, at most for the grace period.
func (w *World) deletePod(n *node) {
	if n.state == topology.PodMissing || n.state == topology.PodTerminating {
		return
	}
	if n.state == topology.PodPending {
		n.state = topology.PodMissing
		n.claimGone()
		return
	}
	n.state = topology.PodTerminating
	n.agent.terminating = true
	n.agent.endBy = w.now + 25*time.Second
	n.until = w.now + tick
}

// wakeVolume is what an agent does with what an earlier one left.
func (w *World) wakeVolume(n *node) {
	if r := n.vol.record; r != nil && r.active() {
		if r.leader {
			n.agent.shut = true
		} else {
			r.until = w.now
			n.agent.shut = r.phase == committed
		}
	}
	if s := n.vol.seed; s != nil {
		s.since = w.now
	}
}
