package bench

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	"sigs.k8s.io/controller-runtime/pkg/log"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/yaml"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/controllers/cluster"
	"github.com/robustmq/robustmq-operator/controllers/registration"
	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
	"github.com/robustmq/robustmq-operator/internal/manifests"
	"github.com/robustmq/robustmq-operator/internal/robustmq"
)

// p99Limit is what a reconcile of a converged cluster may take.
const p99Limit = 100 * time.Millisecond

// BenchmarkReconcileOfAConvergedCluster reports the time and the allocations of one pass over the quickstart sample (3 members, 5 brokers) that finds nothing to do,
// and fails when its 99th percentile is over the limit, or when a pass wrote anything.
func BenchmarkReconcileOfAConvergedCluster(b *testing.B) {
	if os.Getenv("KUBEBUILDER_ASSETS") == "" {
		b.Skip("KUBEBUILDER_ASSETS is not set: run `make bench`")
	}
	log.SetLogger(logr.Discard())
	r, writes, key := converged(b)
	before := *writes
	var took []time.Duration
	b.ReportAllocs()
	for b.Loop() {
		start := time.Now()
		if _, err := r.Reconcile(b.Context(), reconcile.Request{NamespacedName: key}); err != nil {
			b.Fatal(err)
		}
		took = append(took, time.Since(start))
	}
	slices.Sort(took)
	p := func(q float64) time.Duration { return took[min(len(took)-1, int(q*float64(len(took))))] }
	b.ReportMetric(float64(p(0.5).Microseconds())/1000, "p50-ms")
	b.ReportMetric(float64(p(0.99).Microseconds())/1000, "p99-ms")
	if *writes != before {
		b.Errorf("%d writes while nothing was to be done", *writes-before)
	}
	if p(0.99) > p99Limit {
		b.Errorf("p99 %v, limit %v", p(0.99), p99Limit)
	}
}

// counting counts the writes that pass through it.
type counting struct {
	client.Client
	writes *int
}

func (c counting) Apply(ctx context.Context, o runtime.ApplyConfiguration, opts ...client.ApplyOption) error {
	*c.writes++
	return c.Client.Apply(ctx, o, opts...)
}

func (c counting) Create(ctx context.Context, o client.Object, opts ...client.CreateOption) error {
	*c.writes++
	return c.Client.Create(ctx, o, opts...)
}

func (c counting) Patch(ctx context.Context, o client.Object, p client.Patch, opts ...client.PatchOption) error {
	*c.writes++
	return c.Client.Patch(ctx, o, p, opts...)
}

func (c counting) Status() client.SubResourceWriter {
	return countingStatus{c.Client.Status(), c.writes}
}

type countingStatus struct {
	client.SubResourceWriter
	writes *int
}

func (c countingStatus) Patch(ctx context.Context, o client.Object, p client.Patch, opts ...client.SubResourcePatchOption) error {
	*c.writes++
	return c.SubResourceWriter.Patch(ctx, o, p, opts...)
}

// converged starts an API server, brings the sample to rest with agents that answer, and returns the reconciler and its count of writes.
func converged(b testing.TB) (*cluster.Reconciler, *int, types.NamespacedName) {
	b.Helper()
	scheme := runtime.NewScheme()
	must(b, clientgoscheme.AddToScheme(scheme))
	must(b, v1alpha1.AddToScheme(scheme))
	// A control plane that could not take the CRD is stopped as well.
	env := &envtest.Environment{CRDDirectoryPaths: []string{filepath.Join("..", "..", "config", "crd")}, ErrorIfCRDPathMissing: true, Scheme: scheme}
	b.Cleanup(func() { _ = env.Stop() })
	config, err := env.Start()
	must(b, err)
	mgr, err := ctrl.NewManager(config, ctrl.Options{Scheme: scheme, Metrics: metricsserver.Options{BindAddress: "0"}, Cache: cache.Options{ByObject: cluster.CacheByObject()}})
	must(b, err)

	writes := 0
	agents := pool{}
	timings := cluster.DefaultTimings()
	timings.Census = cluster.CensusTimings{} // these agents count nothing
	r := &cluster.Reconciler{
		Timings: timings,
		Client:  counting{mgr.GetClient(), &writes}, Agents: agents, ServerImage: "example.org/robustmq:v{version}", AgentImage: "example.org/agent:1",
		OperatorNamespace: "operators",
	}
	// Registered, so that every cache that the reconciler reads is there; the passes are made by the benchmark itself.
	must(b, r.SetupWithManager(b.Context(), mgr, cluster.Options{Options: registration.Options{Name: "bench"}}))
	go func() { _ = mgr.GetCache().Start(b.Context()) }()
	if !mgr.GetCache().WaitForCacheSync(b.Context()) {
		b.Fatal("the cache did not fill")
	}

	raw, err := os.ReadFile(filepath.Join("..", "..", "config", "samples", "quickstart.yaml"))
	must(b, err)
	var sample v1alpha1.RobustMQCluster
	must(b, yaml.UnmarshalStrict(raw, &sample))
	sample.Namespace = "default"
	direct, err := client.New(config, client.Options{Scheme: scheme})
	must(b, err)
	must(b, direct.Create(b.Context(), &sample))
	key := client.ObjectKeyFromObject(&sample)

	pass := func() { // conflicts with a cache that lags are repeated
		_, _ = r.Reconcile(b.Context(), reconcile.Request{NamespacedName: key})
	}
	read := func() (*v1alpha1.RobustMQCluster, bool) {
		var got v1alpha1.RobustMQCluster
		err := mgr.GetClient().Get(b.Context(), key, &got)
		return &got, err == nil
	}
	await(b, "the identity", func() bool { pass(); c, ok := read(); return ok && c.Status.ClusterUID != "" })
	c, _ := read()
	makePods(b, direct, c, agents)
	await(b, "rest", func() bool {
		before := writes
		pass()
		c, ok := read()
		return ok && meta.IsStatusConditionTrue(c.Status.Conditions, v1alpha1.ConditionReady) && writes == before
	})
	return r, &writes, key
}

// makePods stands in for the StatefulSet controller, the kubelets and the agents.
func makePods(b testing.TB, c client.Client, sample *v1alpha1.RobustMQCluster, agents pool) {
	b.Helper()
	var nodes []uint64
	for _, role := range sample.Spec.Roles() {
		for o := range role.Replicas {
			nodes = append(nodes, role.Role.BaseNodeID()+uint64(o))
		}
	}
	for _, role := range sample.Spec.Roles() {
		for o := range role.Replicas {
			name := manifests.PodName(sample, role.Role, o)
			id := role.Role.BaseNodeID() + uint64(o)
			ip := fmt.Sprintf("10.0.%d.%d", id/1000, id%1000)
			labels := map[string]string{v1alpha1.LabelCluster: sample.Name, v1alpha1.LabelManaged: v1alpha1.ManagedBy, v1alpha1.LabelRole: role.Role.Component()}
			claim := &corev1.PersistentVolumeClaim{
				ObjectMeta: metav1.ObjectMeta{Name: "data-" + name, Namespace: sample.Namespace, Labels: labels, Annotations: map[string]string{v1alpha1.AnnotationClusterUID: sample.Status.ClusterUID}},
				Spec: corev1.PersistentVolumeClaimSpec{AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
					Resources: corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceStorage: *role.Storage}}},
			}
			must(b, c.Create(b.Context(), claim))
			pod := &corev1.Pod{
				ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: sample.Namespace, Labels: labels},
				Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "server", Image: "example.org/robustmq:1"}}},
			}
			must(b, c.Create(b.Context(), pod))
			pod.Status = corev1.PodStatus{Phase: corev1.PodRunning, PodIP: ip, PodIPs: []corev1.PodIP{{IP: ip}},
				ContainerStatuses: []corev1.ContainerStatus{{Name: "server", Image: "example.org/robustmq:1", State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}}}}
			must(b, c.Status().Update(b.Context(), pod))
			agents[ip] = answers{state: stateOf(sample, role.Role, name, id, nodes)}
		}
	}
}

func stateOf(sample *v1alpha1.RobustMQCluster, role v1alpha1.Role, pod string, id uint64, nodes []uint64) protocol.State {
	st := protocol.State{
		Pod: pod, NodeID: id, Role: string(role), ClusterUID: sample.Status.ClusterUID,
		Volume: protocol.VolumeState{Phase: protocol.VolumeInitialised, Marker: &protocol.Marker{ClusterUID: sample.Status.ClusterUID, NodeID: id, Generation: 1, Origin: protocol.OriginJoined, Member: true}},
		Gate:   protocol.GateState{Open: true, Reason: protocol.GateOpen},
		Server: protocol.ServerState{Phase: protocol.ServerRunning, Version: sample.Spec.Version, MQTTOpen: role == v1alpha1.RoleMQTTBroker},
		Nodes:  nodes,
	}
	if role != v1alpha1.RolePlacementCenter {
		return st
	}
	st.Registry, st.Raft = nodes, robustmq.ClusterStatus{}
	ack := uint64(10)
	for _, group := range robustmq.Groups {
		g := robustmq.GroupState{Running: true, ID: id, Term: 1, State: "Follower", CurrentLeader: 1, Configs: [][]uint64{{1, 2, 3}}}
		if id == 1 {
			g.State, g.MillisSinceQuorumAck = "Leader", &ack
		}
		st.Raft[group] = g
	}
	return st
}

func await(b testing.TB, what string, done func() bool) {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.Context(), time.Minute)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-ctx.Done():
			b.Fatalf("waiting for %s: %v", what, ctx.Err())
		case <-tick.C:
		}
	}
}

func must(b testing.TB, err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}
