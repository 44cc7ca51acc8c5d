package world

import (
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/robustmq/robustmq-operator/api/v1alpha1"
)

// Patience is how long, in wall-clock time, a wait lasts before it fails: far more than anything takes on two idle cores, because they may be busy.
const Patience = 2 * time.Minute

// Await waits until holds returns true; the text that it returns otherwise is printed when the patience is over.
func (w *World) Await(what string, holds func() (bool, string)) {
	w.T.Helper()
	w.AwaitFor(Patience, what, holds)
}

// AwaitFor is Await with another patience.
func (w *World) AwaitFor(patience time.Duration, what string, holds func() (bool, string)) {
	w.T.Helper()
	if why := w.try(patience, holds); why != "" {
		w.T.Fatalf("%s: waited %v for %s; last seen: %s\n%s", w.Namespace, patience, what, why, w.Describe())
	}
}

// try returns "" as soon as holds does, else what was seen last.
func (w *World) try(patience time.Duration, holds func() (bool, string)) string {
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	tick := time.NewTicker(25 * time.Millisecond)
	defer tick.Stop()
	for {
		ok, why := holds()
		if ok {
			return ""
		}
		select {
		case <-deadline.C:
			if why == "" {
				why = "no"
			}
			return why
		case <-w.ctx.Done():
			return "the world ended: " + why
		case <-tick.C:
		}
	}
}

// Stays fails if holds turns false within d of real life at this world's speed.
func (w *World) Stays(d time.Duration, what string, holds func() (bool, string)) {
	w.T.Helper()
	over := time.NewTimer(w.Scaled(d))
	defer over.Stop()
	tick := time.NewTicker(25 * time.Millisecond)
	defer tick.Stop()
	for {
		if ok, why := holds(); !ok {
			w.T.Fatalf("%s: %s did not stay so: %s\n%s", w.Namespace, what, why, w.Describe())
		}
		select {
		case <-over.C:
			return
		case <-tick.C:
		}
	}
}

// Lasting makes a condition that is sampled blind to lapses shorter than two seconds of wall-clock time: a busy machine makes a leader's last acknowledgement look old for a moment.
func Lasting(holds func() (bool, string)) func() (bool, string) {
	last := time.Now()
	return func() (bool, string) {
		ok, why := holds()
		if ok {
			last = time.Now()
		}
		return ok || time.Since(last) < 2*time.Second, why
	}
}

// Cluster reads the cluster of this world.
func (w *World) Cluster(name string) *v1alpha1.RobustMQCluster {
	w.T.Helper()
	var c v1alpha1.RobustMQCluster
	if err := w.Client.Get(w.ctx, client.ObjectKey{Namespace: w.Namespace, Name: name}, &c); err != nil {
		w.T.Fatalf("get RobustMQCluster %s: %v", name, err)
	}
	return &c
}

// AwaitCondition waits until a condition of the cluster has a status, and, if given, a reason and a part of a message.
func (w *World) AwaitCondition(cluster, condition, status, reason, part string) {
	w.T.Helper()
	w.Await(fmt.Sprintf("condition %s %s %s %q", condition, status, reason, part), func() (bool, string) {
		c := w.Cluster(cluster)
		found := meta.FindStatusCondition(c.Status.Conditions, condition)
		if found == nil {
			return false, "no such condition"
		}
		ok := string(found.Status) == status && (reason == "" || found.Reason == reason) && strings.Contains(found.Message, part) && found.ObservedGeneration == c.Generation
		return ok, fmt.Sprintf("%s %s: %s", found.Status, found.Reason, found.Message)
	})
}

// AwaitReady waits until the cluster says Ready.
func (w *World) AwaitReady(cluster string) {
	w.T.Helper()
	w.AwaitCondition(cluster, v1alpha1.ConditionReady, "True", "", "")
}

// IsReady reports whether the cluster says Ready.
func (w *World) IsReady(cluster string) bool {
	w.T.Helper()
	return meta.IsStatusConditionTrue(w.Cluster(cluster).Status.Conditions, v1alpha1.ConditionReady)
}

// Describe is what a reader of a failed test wants to see: conditions, members, pods, events.
func (w *World) Describe() string {
	var b strings.Builder
	var clusters v1alpha1.RobustMQClusterList
	if err := w.Client.List(w.ctx, &clusters, client.InNamespace(w.Namespace)); err != nil {
		return err.Error()
	}
	for _, c := range clusters.Items {
		fmt.Fprintf(&b, "cluster %s: leader %q, founded %v\n", c.Name, c.Status.Leader, c.Status.Founded)
		for _, x := range c.Status.Conditions {
			fmt.Fprintf(&b, "  %s=%s %s: %s\n", x.Type, x.Status, x.Reason, x.Message)
		}
		for _, m := range c.Status.Members {
			fmt.Fprintf(&b, "  member %+v\n", m)
		}
	}
	var pods corev1.PodList
	if err := w.Client.List(w.ctx, &pods, client.InNamespace(w.Namespace)); err == nil {
		for _, p := range pods.Items {
			fmt.Fprintf(&b, "pod %s: %s ip %s ready %v", p.Name, p.Status.Phase, p.Status.PodIP, podReady(&p))
			for _, c := range p.Status.ContainerStatuses {
				fmt.Fprintf(&b, "; %s restarts %d %+v", c.Name, c.RestartCount, c.State)
			}
			b.WriteString("\n")
		}
	}
	for _, e := range w.Events() {
		fmt.Fprintf(&b, "event %s %s %s: %s\n", e.When.Format("05.000"), e.Object, e.Reason, e.Message)
	}
	return b.String()
}

func (w *World) clusters() []v1alpha1.RobustMQCluster {
	var list v1alpha1.RobustMQClusterList
	if err := w.Client.List(w.ctx, &list, client.InNamespace(w.Namespace)); err != nil && w.ctx.Err() == nil {
		w.Trouble("list clusters: %v", err)
	}
	return list.Items
}
