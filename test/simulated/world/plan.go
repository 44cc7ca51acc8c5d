package world

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
	"github.com/robustmq/robustmq-operator/test/simulated/network"
)

// Fault is one thing that goes wrong during a formation. Times are those of real life, from the moment the cluster was applied.
type Fault struct {
	Kind     FaultKind
	At, Lift time.Duration // when it begins, and how long it lasts where it lasts
	Pod      string        // whom it meets
	Other    string        // the other end of a line
	N        int
}

func (f Fault) String() string {
	parts := []string{fmt.Sprintf("%v %s", f.At.Round(100*time.Millisecond), f.Kind)}
	for _, s := range []string{f.Pod, f.Other} {
		if s != "" {
			parts = append(parts, s)
		}
	}
	if f.Lift > 0 {
		parts = append(parts, "for "+f.Lift.Round(100*time.Millisecond).String())
	}
	if f.N > 0 {
		parts = append(parts, fmt.Sprint("n=", f.N))
	}
	return strings.Join(parts, " ")
}

// FaultKind names a fault.
type FaultKind string

// The faults of a plan.
const (
	CrashOperator FaultKind = "operator crashes"
	CrashAgent    FaultKind = "agent crashes"
	CrashServer   FaultKind = "server crashes"
	DeletePod     FaultKind = "pod is deleted"
	DNSOutage     FaultKind = "DNS is unreachable for"
	BlackHole     FaultKind = "black hole between"
	Refused       FaultKind = "connections are refused between"
	Isolated      FaultKind = "is cut off from all"
	LoseOrders    FaultKind = "answers to the operator are lost by"
	LoseCalls     FaultKind = "answers of the meta service are lost by"
	PowerCut      FaultKind = "machine loses its power under"
)

// window is the time in which faults begin: a formation of three members and two brokers takes about a minute on real servers.
const window = time.Minute

// NewPlan draws faults for pods, the same for the same seed.
func NewPlan(r *rand.Rand, pods []string) []Fault {
	kinds := []FaultKind{CrashOperator, CrashOperator, CrashAgent, CrashAgent, CrashServer, CrashServer, DeletePod, DNSOutage, BlackHole, Refused, Isolated, LoseOrders, LoseOrders, LoseCalls, PowerCut}
	between := func(least, most time.Duration) time.Duration {
		return least + time.Duration(r.Int64N(int64(most-least)))
	}
	var plan []Fault
	for range 1 + r.IntN(6) {
		f := Fault{Kind: kinds[r.IntN(len(kinds))], At: between(0, window), Pod: pods[r.IntN(len(pods))]}
		switch f.Kind {
		case CrashOperator:
			f.Pod, f.Lift = "", between(time.Second, 15*time.Second)
		case DNSOutage, Isolated:
			f.Lift = between(2*time.Second, 40*time.Second)
		case PowerCut:
			f.Lift = between(5*time.Second, 90*time.Second)
		case BlackHole, Refused:
			f.Lift = between(2*time.Second, 40*time.Second)
			others := append([]string{OperatorHost}, pods...)
			f.Other = others[r.IntN(len(others))]
		case LoseOrders, LoseCalls:
			f.N = 1 + r.IntN(3)
		}
		plan = append(plan, f)
	}
	slices.SortFunc(plan, func(a, b Fault) int { return int(a.At - b.At) })
	return plan
}

// Suffer carries a plan out, in the background. The function that it returns waits until every fault is over, and heals what is left.
func (w *World) Suffer(plan []Fault) (heal func()) {
	start := time.Now()
	done := make(chan struct{})
	go func() {
		defer close(done)
		type action struct {
			at time.Duration
			do func()
		}
		var actions []action
		for _, f := range plan {
			actions = append(actions, action{f.At, func() { w.begin(f) }})
			if f.Lift > 0 {
				actions = append(actions, action{f.At + f.Lift, func() { w.lift(f) }})
			}
		}
		slices.SortStableFunc(actions, func(a, b action) int { return int(a.at - b.at) })
		for _, a := range actions {
			timer := time.NewTimer(time.Until(start.Add(w.Scaled(a.at))))
			select {
			case <-timer.C:
				a.do()
			case <-w.ctx.Done():
				timer.Stop()
				return
			}
		}
	}()
	return func() {
		<-done
		w.Network.Heal()
		for _, node := range w.Kubelet.Nodes() {
			w.Kubelet.PowerOn(node)
		}
		if w.ctx.Err() == nil && w.Operator().Dead() {
			w.StartOperator()
		}
	}
}

func (w *World) begin(f Fault) {
	switch f.Kind {
	case CrashOperator:
		w.Operator().Crash()
	case CrashAgent:
		w.Kubelet.Crash(f.Pod)
	case CrashServer:
		w.CrashServer(f.Pod)
	case DeletePod:
		err := w.Client.Delete(w.ctx, &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: f.Pod, Namespace: w.Namespace}})
		if client.IgnoreNotFound(err) != nil {
			w.Trouble("delete pod %s: %v", f.Pod, err)
		}
	case DNSOutage:
		w.Network.DNSOutage(f.Pod, true)
	case BlackHole:
		w.Network.Set(f.Pod, f.Other, network.BlackHole)
	case Refused:
		w.Network.Set(f.Pod, f.Other, network.Refusing)
	case Isolated:
		w.Isolate(f.Pod, network.BlackHole)
	case LoseOrders:
		w.Network.LoseAnswers(network.Loss{From: OperatorHost, To: f.Pod, Port: protocol.Port, Skip: 2, Left: f.N})
	case LoseCalls:
		w.Network.LoseAnswers(network.Loss{To: f.Pod, Port: 1228, Skip: 1, Left: f.N})
	case PowerCut:
		if node := w.Kubelet.NodeOf(f.Pod); node != "" {
			w.Kubelet.PowerCut(node)
		}
	}
}

func (w *World) lift(f Fault) {
	switch f.Kind {
	case CrashOperator:
		w.StartOperator()
	case DNSOutage:
		w.Network.DNSOutage(f.Pod, false)
	case BlackHole, Refused:
		w.Network.Set(f.Pod, f.Other, network.Sound)
	case Isolated:
		w.Isolate(f.Pod, network.Sound)
	case PowerCut:
		for _, node := range w.Kubelet.Nodes() {
			w.Kubelet.PowerOn(node)
		}
	}
}

// Isolate puts a fault between a pod and everybody else of this namespace, the operator too.
func (w *World) Isolate(pod string, fault network.Fault) {
	w.Network.Set(pod, OperatorHost, fault)
	for _, c := range w.clusters() {
		for _, other := range w.AllPods(&c) {
			if other != pod {
				w.Network.Set(pod, other, fault)
			}
		}
	}
}
