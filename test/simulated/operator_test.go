package simulated

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/monitoring"
	"github.com/robustmq/robustmq-operator/test/simulated/world"
)

func TestAConvergedClusterCostsNoWritesAndNothingChanges(t *testing.T) {
	t.Parallel()
	w := env.New(t, world.Options{})
	form(t, w, manifest(newest, 3, 2, ""))
	settle(t, w)
	before, writes, passes := w.Versions(), len(w.Operator().Writes()), passesOf(t, w.Operator())
	// Ten minutes of real life, in which the operator looks at the cluster some twenty times.
	w.Stays(10*time.Minute, "no write", func() (bool, string) {
		if now := w.Operator().Writes(); len(now) != writes {
			return false, fmt.Sprint(now[writes:])
		}
		return true, ""
	})
	assertSame(t, before, w.Versions())
	now := passesOf(t, w.Operator())
	for _, result := range []string{monitoring.ResultChanged, monitoring.ResultError} {
		if now[result] != passes[result] {
			t.Errorf("%v passes were counted as %s", now[result]-passes[result], result)
		}
	}
	if n := now[monitoring.ResultUnchanged] - passes[monitoring.ResultUnchanged]; n < 5 {
		t.Errorf("%v passes found everything as it should be: %v", n, now)
	}
}

// passesOf are the passes over clusters that an operator has counted, by result.
func passesOf(t *testing.T, o *world.Operator) map[string]float64 {
	t.Helper()
	families, err := o.Metrics.Gather()
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == "robustmq_operator_reconciles_total" && m.GetLabel()[0].GetValue() == "robustmqcluster" {
				all[m.GetLabel()[1].GetValue()] = m.GetCounter().GetValue()
			}
		}
	}
	return all
}

// settle waits until the operator has written nothing for a minute of real life: events and the last status write come a moment after Ready.
func settle(t *testing.T, w *world.World) {
	t.Helper()
	last, since := len(w.Operator().Writes()), time.Now()
	w.Await("the operator to settle", func() (bool, string) {
		if n := len(w.Operator().Writes()); n != last {
			last, since = n, time.Now()
		}
		return time.Since(since) > w.Scaled(time.Minute), fmt.Sprint(last, " writes")
	})
}

func assertSame(t *testing.T, before, after map[string]string) {
	t.Helper()
	for name, version := range before {
		if after[name] != version {
			t.Errorf("%s changed: resource version %s, then %q", name, version, after[name])
		}
	}
	for name := range after {
		if _, ok := before[name]; !ok {
			t.Errorf("%s was made", name)
		}
	}
}

func TestApplyingTheSameFileTwiceChangesNothing(t *testing.T) {
	t.Parallel()
	w := env.New(t, world.Options{})
	text := manifest(newest, 3, 2, "")
	form(t, w, text)
	settle(t, w)
	before := w.Versions()
	w.Apply(text)
	settle(t, w)
	assertSame(t, before, w.Versions())
}

// A cluster at rest is compared with what it shall be only when something changed, so each such change has to be noticed.
func TestWhatOthersChangeOfAClusterAtRestIsPutRight(t *testing.T) {
	t.Parallel()
	w := env.New(t, world.Options{})
	c := form(t, w, manifest(newest, 3, 2, ""))
	settle(t, w)
	pods := podUIDs(t, w, c)
	get := func(object client.Object) error {
		return w.Client.Get(w.Context(), client.ObjectKeyFromObject(object), object)
	}
	named := func(name string) metav1.ObjectMeta {
		return metav1.ObjectMeta{Namespace: w.Namespace, Name: name}
	}
	agents := &corev1.Service{ObjectMeta: named("c-placement-center-agents")}
	clients := &corev1.Service{ObjectMeta: named("c")}
	budget := &policyv1.PodDisruptionBudget{ObjectMeta: named("c-placement-center")}
	account := &corev1.ServiceAccount{ObjectMeta: named("c-robustmq")}
	brokers := &appsv1.StatefulSet{ObjectMeta: named("c-mqtt-broker")}
	unwanted := &networkingv1.Ingress{ObjectMeta: named("c"), Spec: networkingv1.IngressSpec{DefaultBackend: &networkingv1.IngressBackend{
		Service: &networkingv1.IngressServiceBackend{Name: "c", Port: networkingv1.ServiceBackendPort{Number: 1883}},
	}}}
	unwanted.Labels = map[string]string{v1alpha1.LabelManaged: v1alpha1.ManagedBy, v1alpha1.LabelCluster: "c"}
	unwanted.OwnerReferences = []metav1.OwnerReference{*metav1.NewControllerRef(c, v1alpha1.GroupVersion.WithKind("RobustMQCluster"))}
	update := func(object client.Object, change func()) func() error {
		return func() error {
			if err := get(object); err != nil {
				return err
			}
			change()
			return w.Client.Update(w.Context(), object)
		}
	}
	for _, c := range []struct {
		what   string
		change func() error
		right  func() (bool, error)
	}{
		{"a Service's field", update(agents, func() { agents.Spec.PublishNotReadyAddresses = false }),
			func() (bool, error) { err := get(agents); return agents.Spec.PublishNotReadyAddresses, err }},
		{"a Service's labels", update(clients, func() { clients.Labels = nil }),
			func() (bool, error) { err := get(clients); return clients.Labels[v1alpha1.LabelCluster] == "c", err }},
		{"a budget that is deleted", func() error { return w.Client.Delete(w.Context(), budget) },
			func() (bool, error) { err := get(budget); return err == nil, client.IgnoreNotFound(err) }},
		{"an account that is deleted", func() error { return w.Client.Delete(w.Context(), account) },
			func() (bool, error) { err := get(account); return err == nil, client.IgnoreNotFound(err) }},
		{"a StatefulSet's label", update(brokers, func() { brokers.Labels[v1alpha1.LabelRole] = "other" }),
			func() (bool, error) { err := get(brokers); return brokers.Labels[v1alpha1.LabelRole] != "other", err }},
		{"a StatefulSet's spec", update(brokers, func() { brokers.Spec.UpdateStrategy.Type = appsv1.RollingUpdateStatefulSetStrategyType }),
			func() (bool, error) {
				err := get(brokers)
				return brokers.Spec.UpdateStrategy.Type == appsv1.OnDeleteStatefulSetStrategyType, err
			}},
		{"an object that nobody wants", func() error { return w.Client.Create(w.Context(), unwanted) },
			func() (bool, error) {
				err := get(unwanted)
				return apierrors.IsNotFound(err), client.IgnoreNotFound(err)
			}},
	} {
		w.Await("a change: "+c.what, func() (bool, string) { err := c.change(); return err == nil, fmt.Sprint(err) })
		w.Await(c.what+" put right", func() (bool, string) { right, err := c.right(); return right && err == nil, fmt.Sprint(err) })
	}
	settle(t, w)
	if now := podUIDs(t, w, w.Cluster("c")); !maps.Equal(now, pods) {
		t.Errorf("pods %v, before %v", now, pods)
	}
}

func TestAnOperatorThatStartsAnewWritesNothing(t *testing.T) {
	t.Parallel()
	w := env.New(t, world.Options{})
	form(t, w, manifest(newest, 3, 2, ""))
	settle(t, w)
	before := w.Versions()
	fresh := w.StartOperator()
	w.Stays(2*time.Minute, "no write of the new operator", func() (bool, string) {
		writes := fresh.Writes()
		return len(writes) == 0, fmt.Sprint(writes)
	})
	assertSame(t, before, w.Versions())
}

func TestAPausedClusterIsReportedAndNeverWritten(t *testing.T) {
	t.Parallel()
	w := env.New(t, world.Options{})
	form(t, w, manifest(newest, 3, 2, ""))
	w.Apply(manifest(newest, 3, 3, "  paused: true\n"))
	w.AwaitCondition("c", v1alpha1.ConditionPaused, "True", v1alpha1.ReasonPaused, "")
	settle(t, w)
	before := len(w.Operator().Changes())
	set := statefulSet(t, w, "c-mqtt-broker").Generation
	w.Kubelet.Crash("c-mqtt-broker-0")
	w.Stays(2*time.Minute, "no write but to the status", func() (bool, string) {
		for _, write := range w.Operator().Changes()[before:] {
			if write.Resource != "robustmqclusters" || write.Subresource != "status" {
				return false, write.String()
			}
		}
		return true, ""
	})
	if now := statefulSet(t, w, "c-mqtt-broker").Generation; now != set {
		t.Errorf("the StatefulSet of the brokers was changed while paused: generation %d, then %d", set, now)
	}
	w.Apply(manifest(newest, 3, 3, ""))
	formed(t, w)
}

func statefulSet(t *testing.T, w *world.World, name string) *appsv1.StatefulSet {
	t.Helper()
	var s appsv1.StatefulSet
	if err := w.Client.Get(w.Context(), client.ObjectKey{Namespace: w.Namespace, Name: name}, &s); err != nil {
		t.Fatal(err)
	}
	return &s
}

// crashes is how many of a formation's writes get an operator of their own that dies after it: SIM_CRASHES, "all", default 8, spread evenly.
func crashes(t *testing.T, writes int) []int {
	t.Helper()
	count := 8
	switch text := os.Getenv("SIM_CRASHES"); text {
	case "":
	case "all":
		count = writes
	default:
		n, err := strconv.Atoi(text)
		if err != nil {
			t.Fatalf("SIM_CRASHES: %v", err)
		}
		count = n
	}
	count = min(count, writes)
	var after []int
	for i := range count {
		after = append(after, 1+i*writes/count)
	}
	return after
}

func TestAnOperatorKilledAfterAnyWriteLeavesTheSameEndState(t *testing.T) {
	t.Parallel()
	text := manifest(newest, 3, 2, "")
	w := env.New(t, world.Options{})
	c := form(t, w, text)
	settle(t, w)
	writes := w.Operator().Changes()
	want := shape(w, c)
	t.Logf("a formation takes %d writes (events not counted): %v", len(writes), writes)
	w.Close()
	for _, n := range crashes(t, len(writes)) {
		t.Run(fmt.Sprintf("after write %d, %s", n, writes[n-1]), func(t *testing.T) {
			t.Parallel()
			w := env.New(t, world.Options{Seed: uint64(n)}) //nolint:gosec // small
			first := w.StartOperatorUntil(n)
			w.Apply(text)
			// A run may need fewer writes than the recorded one: then nothing is left to crash, and the end state is the test.
			w.Await("the operator's death, or a formed cluster", func() (bool, string) {
				return first.Dead() || w.IsReady("c"), fmt.Sprintf("%d of %d writes", len(first.Changes()), n)
			})
			w.StartOperator()
			c := formed(t, w)
			if founders := w.Founders(); !slices.Equal(founders, []string{"c-placement-center-0"}) {
				t.Errorf("servers that founded a cluster: %v, want member 0 once", founders)
			}
			settle(t, w)
			if got := shape(w, c); !slices.Equal(got, want) {
				t.Errorf("end state\n%v\nwanted\n%v", got, want)
			}
		})
	}
}

// shape is what two clusters that ended the same way have in common: the names of all objects, and who is what.
func shape(w *world.World, c *v1alpha1.RobustMQCluster) []string {
	var all []string
	for name := range w.Versions() {
		all = append(all, name)
	}
	for _, pod := range w.AllPods(c) {
		m := w.Marker(pod)
		if m == nil {
			all = append(all, pod+" has no marker")
			continue
		}
		all = append(all, fmt.Sprintf("%s is node %d, %s, generation %d", pod, m.NodeID, m.Origin, m.Generation))
	}
	slices.Sort(all)
	return all
}
