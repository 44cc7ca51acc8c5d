package topology

import (
	"fmt"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
)

// Machine is a Kubernetes node as the API server has it. (A node, in this package, is one of RobustMQ's: something with a node id.)
type Machine struct {
	// Gone: no Node of that name exists. Whoever runs the machines (a cloud, a person) deletes it when the machine is no more; a kubelet that lives makes it again.
	Gone bool
	// OutOfService: it carries the taint node.kubernetes.io/out-of-service, by which a person, or what fences machines, says that it is powered off.
	OutOfService bool
	// Ready: its kubelet reports. One that does not may run on with every pod: its network, its API server's address or its kubelet alone may be what failed.
	Ready bool
	// Cordoned: nothing new is scheduled to it, usually because it is about to be drained.
	Cordoned bool
}

// LocalVolume is a pod's volume that can be reached on one machine alone.
type LocalVolume struct {
	// Name is that of the PersistentVolume.
	Name    string
	Machine string
	// Kept: what is on it stays when its claim is deleted (reclaim policy Retain).
	Kept bool
}

// StepForceDelete removes the object of a pod whose machine does not look after it any more, without waiting for the machine: its StatefulSet makes it anew elsewhere.
const StepForceDelete StepKind = "ForceDelete"

// machine is what is known of the machine that carries the pod; false when nothing is.
func (s Snapshot) machine(m Member) (Machine, bool) {
	at, known := s.Machines[m.Node]
	return at, known && m.Node != ""
}

// cordoned reports whether the pod is on a machine that is about to be drained.
func (s Snapshot) cordoned(m Member) bool {
	at, known := s.machine(m)
	return known && at.Cordoned
}

// dead reports whether it is proven that nothing runs on the machine. That it does not report proves nothing.
func (at Machine) dead() bool { return at.Gone || at.OutOfService && !at.Ready }

// away reports whether the machine is dead, or does not report.
func (at Machine) away() bool { return at.Gone || !at.Ready }

// lost reports whether a pod is on a machine that does not look after it any more. A pod that still answers there and that nobody deleted is not lost: it serves.
func lost(s Snapshot, m Member) bool {
	at, known := s.machine(m)
	if !known || !at.away() {
		return false
	}
	return m.State == PodTerminating || m.State == PodRunning && (m.Agent == nil || at.dead())
}

// fenced reports whether the pod's server is stopped and will not be started again by its agent, by its agent's own word: held by order, or because the pod is being ended.
// A voter that fenced itself is not enough: it starts its server again when it reaches the others.
func fenced(m Member) bool {
	return m.Agent != nil && m.Agent.Server == ServerStopped && (m.Agent.Terminating || held(m))
}

// replaceLost has pods made anew elsewhere whose machine does not look after them any more. Kubernetes itself never does while the Node is merely not ready: nobody ends the pod, and its name stays
// taken, because two pods of one name would be two servers of one node id.
//
// So it has to be proven that the old one does not run: the machine is dead, by its Node's absence or by the taint, and the agent, which knows better, does not answer from there; or the agent answers
// and has stopped its server for good. Anything else waits for a person, and is told what the person can do.
func replaceLost(s Snapshot, _ Health, p *Plan) bool {
	for _, m := range s.Members {
		if !lost(s, m) {
			continue
		}
		at, _ := s.machine(m)
		switch {
		case m.Agent == nil && at.dead(), fenced(m):
			if lasted := s.Seen[Symptom{SymptomMachineLost, m.Pod}]; lasted <= s.Limits.MachineLost {
				p.wait(v1alpha1.ReasonNodeLost, "%s is on node %s, which %s; it is made anew elsewhere when that has been so for %s", m.Pod, m.Node, at.words(), s.Limits.MachineLost)
				continue
			}
			p.step(Step{Kind: StepForceDelete, Pod: m.Pod, NodeID: m.NodeID, Cures: SymptomMachineLost, Reason: fmt.Sprintf("it does not run any more: %s", proof(m, at))})
		case m.Agent != nil && m.Agent.Fenced && m.State == PodTerminating:
			// Its server is stopped already; so that it stays so when it reaches the others again:
			p.step(Step{Kind: StepStop, Pod: m.Pod, NodeID: m.NodeID, Reason: fmt.Sprintf("node %s, which carries it, %s, and does not end it: it is to be made anew elsewhere", m.Node, at.words())})
		case m.Agent != nil:
			p.trouble(v1alpha1.ReasonNodeLost, "%s is on node %s, which %s, and its agent answers from there: its server was not stopped, so it cannot be made anew elsewhere. Bring the node back, or power the machine off; its agent will then be silent",
				m.Pod, m.Node, at.words())
		default:
			p.trouble(v1alpha1.ReasonNodeLost, "%s is on node %s, which %s, and its agent does not answer: it may still run there. Bring the node back; or, when the machine is certainly off, say so with `kubectl taint nodes %s %s=nodeshutdown:NoExecute`, or, when it is gone for good, with `kubectl delete node %s`: the pod is then made anew elsewhere",
				m.Pod, m.Node, at.words(), m.Node, TaintOutOfService, m.Node)
		}
	}
	return true
}

// TaintOutOfService is the key of the taint by which somebody says that a machine is powered off (Kubernetes: non-graceful node shutdown).
const TaintOutOfService = "node.kubernetes.io/out-of-service"

func (at Machine) words() string {
	switch {
	case at.Gone:
		return "no longer exists"
	case at.OutOfService && !at.Ready:
		return "is tainted as out of service"
	case at.OutOfService:
		return "is tainted as out of service and reports all the same"
	}
	return "does not report (it is not Ready)"
}

func proof(m Member, at Machine) string {
	if fenced(m) {
		return fmt.Sprintf("its agent has stopped its server for good, on node %s, which %s", m.Node, at.words())
	}
	return fmt.Sprintf("node %s, which carried it, %s", m.Node, at.words())
}
