package restore

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/backup/archive"
	"github.com/robustmq/robustmq-operator/backup/job"
	agentclient "github.com/robustmq/robustmq-operator/internal/agent/client"
	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
	"github.com/robustmq/robustmq-operator/internal/manifests"
	"github.com/robustmq/robustmq-operator/internal/robustmq"
)

const (
	clusterUID = "0b6c6a2e-54b1-4d0c-a0a4-4c9a1c9f2f55"
	restoreUID = "00000000-0000-4000-8000-0000000000e1"
	digits     = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	backupID   = "20261125T020000Z-hourly"
	imageBytes = 1000
)

// noon is when the restores of these tests are asked for.
var noon = time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)

// world is a cluster with agents, Jobs and what controllers/cluster does beside a restore, in one goroutine and without time of its own.
type world struct {
	t      testing.TB
	kube   client.WithWatch
	agents []*fakeAgent

	mu     sync.Mutex // of the agents
	clock  time.Time
	events []string

	// faults: die decides at each call that changes something whether the operator dies there; dead is that it did.
	faultMu sync.Mutex
	die     func(what string) bool
	dead    bool
	uids    int
	log     []string
	broken  []string // invariants that were broken
	addrs   int
	// jobFails decides what becomes of a Job at each step of it: "" lets it go on.
	jobFails func(kind job.Kind) job.Reason
	safetyOK bool
}

var errDead = errors.New("the operator was killed")

func (w *world) now() time.Time { return w.clock }

// fault is the operator's death.
func (w *world) fault(what string) error {
	w.faultMu.Lock()
	defer w.faultMu.Unlock()
	if w.dead {
		return errDead
	}
	if w.die != nil && w.die(what) {
		w.dead = true
		w.log = append(w.log, "the operator dies "+what)
		return errDead
	}
	return nil
}

// check holds at every moment: who runs has the same data as the others who run. The lock is held.
func (w *world) check(what string) {
	runs := map[string][]string{}
	for _, a := range w.agents {
		if a.running && a.role == v1alpha1.RolePlacementCenter {
			runs[a.data] = append(runs[a.data], a.pod)
		}
	}
	if len(runs) > 1 {
		w.broken = append(w.broken, fmt.Sprintf("after %s a mix runs: %v", what, runs))
	}
	if strings.HasPrefix(what, "Open ") || strings.HasPrefix(what, "Place ") {
		for _, a := range w.agents {
			if !strings.HasPrefix(what, "Open ") || a.role != v1alpha1.RolePlacementCenter {
				continue
			}
			if p := a.placement; p == nil || p.Phase != protocol.PlacementPlaced && p.Phase != protocol.PlacementOpen {
				w.broken = append(w.broken, fmt.Sprintf("%s, and %s has nothing in place", what, a.pod))
			}
		}
	}
}

func newCluster(change ...func(*v1alpha1.RobustMQCluster)) *v1alpha1.RobustMQCluster {
	c := &v1alpha1.RobustMQCluster{ObjectMeta: metav1.ObjectMeta{Name: "c", Namespace: "ns", UID: "00000000-0000-4000-8000-0000000000c1"}}
	c.Spec.Version = "0.4.11"
	c.Spec.PlacementCenter.Replicas, c.Spec.MQTTBroker.Replicas = 3, 2
	c.Spec.Backup = &v1alpha1.BackupSpec{Destination: v1alpha1.S3Destination{Bucket: "backups", Prefix: "eu"}}
	c.Status.Founded, c.Status.ClusterUID, c.Status.Version, c.Status.Generation = true, clusterUID, "0.4.11", 1
	c.Default()
	for _, f := range change {
		f(c)
	}
	return c
}

func newRestore(change ...func(*v1alpha1.RobustMQRestore)) *v1alpha1.RobustMQRestore {
	x := &v1alpha1.RobustMQRestore{
		ObjectMeta: metav1.ObjectMeta{Name: "r", Namespace: "ns", UID: restoreUID, Generation: 1, CreationTimestamp: metav1.NewTime(noon)},
		Spec: v1alpha1.RobustMQRestoreSpec{
			ClusterName: "c", Trigger: v1alpha1.RestoreManual, Source: v1alpha1.RestoreSource{Destination: &v1alpha1.S3Destination{Bucket: "backups", Prefix: "eu"}},
			Unsafe: []v1alpha1.RestoreEscape{v1alpha1.SkipSafetyBackup},
		},
	}
	for _, f := range change {
		f(x)
	}
	return x
}

// foundBackup is what an inspection says of a backup of three members.
func foundBackup(change ...func(*job.Result)) job.Result {
	r := job.Result{
		Kind: job.Inspect, Reason: job.BackupFound, Message: "found", ID: backupID, Key: "eu/" + clusterUID + "/backups/" + backupID + "/manifest.json", ManifestSHA256: digits, SizeBytes: imageBytes,
		RecoveryPoint: noon.Add(-10 * time.Hour), Counts: map[string]int64{"users": 3, "topics": 1},
		Inspected: &job.Inspected{
			ClusterUID: clusterUID, ClusterName: "c", Namespace: "ns", Version: "0.4.11", Nodes: archive.Nodes{PlacementCenter: 3, MQTTBroker: 2}, Bytes: imageBytes, Files: 3, Tables: 1,
		},
	}
	for _, name := range robustmq.Groups {
		r.Inspected.Groups = append(r.Inspected.Groups, archive.Group{
			Name: name, Term: 2, LastApplied: 40, Vote: archive.Vote{Term: 2, NodeID: 1, Committed: true}, Membership: archive.Membership{Term: 1, NodeID: 1, Index: 5, Voters: []uint64{1, 2, 3}},
		})
	}
	for _, f := range change {
		f(&r)
	}
	return r
}

// newWorld has a cluster of three members and two brokers that run, and a restore that begins.
func newWorld(t testing.TB, x *v1alpha1.RobustMQRestore, c *v1alpha1.RobustMQCluster) *world {
	scheme := runtime.NewScheme()
	if err := errors.Join(clientgoscheme.AddToScheme(scheme), v1alpha1.AddToScheme(scheme)); err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, clock: noon, safetyOK: true}
	objects := []client.Object{
		x, c, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: metav1.NamespaceSystem, UID: "11111111-0000-4000-8000-000000000000"}},
		&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: manifests.OperatorPKISecretName(c), Namespace: "ns"}},
		&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: manifests.JobPKISecretName(c), Namespace: "ns"}, Data: map[string][]byte{corev1.TLSCertKey: []byte("x"), corev1.TLSPrivateKeyKey: []byte("x")}},
	}
	for _, view := range c.Spec.Roles() {
		for ordinal := range view.Replicas {
			a := &fakeAgent{w: w, pod: manifests.PodName(c, view.Role, ordinal), role: view.Role, nodeID: view.Role.BaseNodeID() + uint64(ordinal), data: "old", alive: true, generation: 1, free: 10 << 30}
			a.marker = &protocol.Marker{ClusterUID: clusterUID, NodeID: a.nodeID, Role: string(view.Role), Generation: 1, Origin: protocol.OriginJoined, Member: true, HasData: true}
			a.settle()
			w.agents = append(w.agents, a)
			objects = append(objects, w.podOf(a))
		}
	}
	w.kube = interceptor.NewClient(fake.NewClientBuilder().WithScheme(scheme).WithObjects(objects...).WithStatusSubresource(&v1alpha1.RobustMQRestore{}, &v1alpha1.RobustMQBackup{}, &v1alpha1.RobustMQCluster{}, &batchv1.Job{}).Build(), interceptor.Funcs{
		Create: func(ctx context.Context, c client.WithWatch, o client.Object, opts ...client.CreateOption) error {
			w.uids++
			o.SetUID(types.UID(fmt.Sprintf("00000000-0000-4000-9000-%012d", w.uids)))
			o.SetCreationTimestamp(metav1.NewTime(w.clock))
			return c.Create(ctx, o, opts...)
		},
	})
	return w
}

// podOf is an agent's pod, under a new address.
func (w *world) podOf(a *fakeAgent) *corev1.Pod {
	w.addrs++
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: a.pod, Namespace: "ns", Labels: map[string]string{v1alpha1.LabelCluster: "c", v1alpha1.LabelRole: a.role.Component()}},
		Status:     corev1.PodStatus{Phase: corev1.PodRunning, PodIP: fmt.Sprintf("10.0.%d.%d", w.addrs/250, w.addrs%250+1)},
	}
}

// faulty is the operator's client: it may die before or after each write.
func (w *world) faulty() client.Client {
	guard := func(what string, do func() error) error {
		if err := w.fault("before " + what); err != nil {
			return err
		}
		if err := do(); err != nil {
			return err
		}
		return w.fault("after " + what)
	}
	return interceptor.NewClient(w.kube, interceptor.Funcs{
		Create: func(ctx context.Context, c client.WithWatch, o client.Object, opts ...client.CreateOption) error {
			return guard(fmt.Sprintf("create %T %s", o, o.GetName()), func() error { return c.Create(ctx, o, opts...) })
		},
		Delete: func(ctx context.Context, c client.WithWatch, o client.Object, opts ...client.DeleteOption) error {
			return guard(fmt.Sprintf("delete %T %s", o, o.GetName()), func() error { return c.Delete(ctx, o, opts...) })
		},
		Patch: func(ctx context.Context, c client.WithWatch, o client.Object, p client.Patch, opts ...client.PatchOption) error {
			return guard(fmt.Sprintf("patch %T %s", o, o.GetName()), func() error { return c.Patch(ctx, o, p, opts...) })
		},
		SubResourceUpdate: func(ctx context.Context, c client.Client, sub string, o client.Object, opts ...client.SubResourceUpdateOption) error {
			return guard(fmt.Sprintf("status %T %s", o, o.GetName()), func() error { return c.SubResource(sub).Update(ctx, o, opts...) })
		},
	})
}

// Client makes the world an AgentPool: an address leads to the agent whose pod has it.
func (w *world) Client(_ string, _ agentclient.Identity, ip string) (agentclient.Client, error) {
	if a := w.agentAt(ip); a != nil {
		return a, nil
	}
	return nil, fmt.Errorf("no route to %s", ip)
}

func (w *world) agentAt(ip string) *fakeAgent {
	var pods corev1.PodList
	if err := w.kube.List(context.Background(), &pods, client.InNamespace("ns")); err != nil {
		w.t.Fatal(err)
	}
	for i := range pods.Items {
		if pods.Items[i].Status.PodIP == ip {
			return w.agent(pods.Items[i].Name)
		}
	}
	return nil
}

func (w *world) agent(pod string) *fakeAgent {
	if i := slices.IndexFunc(w.agents, func(a *fakeAgent) bool { return a.pod == pod }); i >= 0 {
		return w.agents[i]
	}
	return nil
}

// Eventf makes the world an EventRecorder.
func (w *world) Eventf(regarding, _ runtime.Object, kind, reason, _, note string, args ...any) {
	if _, ofRestore := regarding.(*v1alpha1.RobustMQRestore); ofRestore {
		w.events = append(w.events, kind+" "+reason+": "+fmt.Sprintf(note, args...))
	}
}

var _ events.EventRecorder = (*world)(nil)

// operator is a new one: it remembers nothing.
func (w *world) operator() *Reconciler {
	t := DefaultTimings()
	t.Poll, t.Observe, t.Order = time.Millisecond, time.Second, time.Second
	c := w.faulty()
	return &Reconciler{Client: c, Reader: c, Events: w, Agents: w, AgentImage: "agent", ClusterDomain: "cluster.local", Timings: t, Now: w.now}
}

// pass lets the operator look once; it reports whether it lived through it.
func (w *world) pass(r *Reconciler) bool {
	w.faultMu.Lock()
	w.dead = false
	w.faultMu.Unlock()
	_, err := r.Reconcile(context.Background(), ctrl.Request{NamespacedName: types.NamespacedName{Namespace: "ns", Name: "r"}})
	w.faultMu.Lock()
	defer w.faultMu.Unlock()
	if err != nil && !w.dead && !apierrors.IsConflict(err) {
		w.log = append(w.log, "error: "+err.Error())
	}
	return !w.dead
}

// restore as it is; nil when it is gone.
func (w *world) restore() *v1alpha1.RobustMQRestore {
	var x v1alpha1.RobustMQRestore
	if err := w.kube.Get(context.Background(), types.NamespacedName{Namespace: "ns", Name: "r"}, &x); err != nil {
		if apierrors.IsNotFound(err) {
			return nil
		}
		w.t.Fatal(err)
	}
	return &x
}

// clusterController does what controllers/cluster does beside a restore: the generation travels, and what is held is released when it need not stand aside. Each agent gets the configuration when
// arrives says so.
func (w *world) clusterController(arrives func() bool) {
	x := w.restore()
	generation, aside := int64(1), false
	if x != nil {
		switch x.Status.Stage {
		case v1alpha1.RestoreTransferring, v1alpha1.RestoreOpening, v1alpha1.RestoreVerifying, v1alpha1.RestoreStarting, v1alpha1.RestoreComplete:
			generation = max(x.Status.Generation, 1)
		}
		switch x.Status.Stage {
		case v1alpha1.RestoreStopping, v1alpha1.RestoreTransferring, v1alpha1.RestoreOpening, v1alpha1.RestoreVerifying, v1alpha1.RestoreAborting:
			aside = true
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, a := range w.agents {
		if a.role == v1alpha1.RolePlacementCenter && a.alive && arrives() {
			a.generation = generation
		}
		if !aside && a.held && a.alive {
			a.held = false
		}
		a.settle()
	}
	w.check("the cluster's controller")
}

// jobs lets every Job go one step: it ends, or sends some bytes.
func (w *world) jobs(bytes int64) {
	ctx := context.Background()
	var list batchv1.JobList
	if err := w.kube.List(ctx, &list, client.InNamespace("ns")); err != nil {
		w.t.Fatal(err)
	}
	for i := range list.Items {
		j := &list.Items[i]
		kind := job.Kind(j.Labels[v1alpha1.LabelJob])
		var pods corev1.PodList
		if err := w.kube.List(ctx, &pods, client.InNamespace("ns"), client.MatchingLabels{batchv1.JobNameLabel: j.Name}); err != nil {
			w.t.Fatal(err)
		}
		if slices.ContainsFunc(pods.Items, func(p corev1.Pod) bool { return metav1.IsControlledBy(&p, j) }) {
			continue // it has ended
		}
		reason, message := job.Reason(""), "as the test wants"
		if w.jobFails != nil {
			reason = w.jobFails(kind)
		}
		result := foundBackup()
		if kind == job.Restore && reason == "" {
			request, err := requestOf(job.Restore, j)
			if err != nil {
				w.t.Fatal(err)
			}
			done, err := w.send(request.Restore, bytes)
			switch {
			case err != nil:
				reason, message = job.AgentLost, err.Error()
			case !done:
				continue
			}
			result.Kind, result.Reason, result.Inspected = job.Restore, job.BackupPlaced, nil
		}
		code := int32(0)
		if reason != "" {
			result, code = job.Result{Kind: kind, Reason: reason, Message: message}, 1
		}
		w.end(j, result, code)
	}
}

// send is a step of the Job that sends a backup.
func (w *world) send(r *job.RestoreRequest, bytes int64) (done bool, err error) {
	done = true
	for _, m := range r.Members {
		host, _, _ := strings.Cut(m.Agent, ":")
		a := w.agentAt(host)
		if a == nil || a.pod != m.Pod {
			return false, fmt.Errorf("no route to %s", m.Agent)
		}
		if err := a.begin(r.PlacementID, r.Generation, imageBytes, "new", r.Edits); err != nil {
			return false, err
		}
		all, err := a.receive(r.PlacementID, bytes)
		if err != nil {
			return false, err
		}
		done = done && all
	}
	return done, nil
}

// end is the end of a Job.
func (w *world) end(j *batchv1.Job, r job.Result, code int32) {
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: j.Name + "-pod", Namespace: "ns", Labels: j.Spec.Template.Labels, OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(j, batchv1.SchemeGroupVersion.WithKind("Job"))}},
		Status: corev1.PodStatus{Phase: corev1.PodSucceeded, ContainerStatuses: []corev1.ContainerStatus{{
			Name: manifests.ContainerJob, State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: code, FinishedAt: metav1.NewTime(w.clock), Message: string(r.Encode())}},
		}}},
	}
	pod.Labels = map[string]string{batchv1.JobNameLabel: j.Name}
	if err := w.kube.Delete(context.Background(), pod.DeepCopy()); client.IgnoreNotFound(err) != nil {
		w.t.Fatal(err)
	}
	if err := w.kube.Create(context.Background(), pod); err != nil {
		w.t.Fatal(err)
	}
	j.Status.Conditions = []batchv1.JobCondition{{Type: batchv1.JobComplete, Status: corev1.ConditionTrue, LastTransitionTime: metav1.NewTime(w.clock)}}
	if err := w.kube.Status().Update(context.Background(), j); err != nil {
		w.t.Fatal(err)
	}
}

// backups completes safety backups, or fails them.
func (w *world) backups() {
	var list v1alpha1.RobustMQBackupList
	if err := w.kube.List(context.Background(), &list, client.InNamespace("ns")); err != nil {
		w.t.Fatal(err)
	}
	for i := range list.Items {
		b := &list.Items[i]
		if b.Ended() {
			continue
		}
		b.Status.Stage = v1alpha1.BackupComplete
		status := metav1.ConditionTrue
		if !w.safetyOK {
			b.Status.Stage, status = v1alpha1.BackupFailed, metav1.ConditionFalse
		}
		meta.SetStatusCondition(&b.Status.Conditions, metav1.Condition{Type: v1alpha1.ConditionComplete, Status: status, Reason: v1alpha1.ReasonBackupComplete, Message: "as the test wants", LastTransitionTime: metav1.NewTime(w.clock)})
		if err := w.kube.Status().Update(context.Background(), b); err != nil {
			w.t.Fatal(err)
		}
	}
}

// kill ends a pod, and rise makes it anew, under another address.
func (w *world) kill(a *fakeAgent) {
	a.die()
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: a.pod, Namespace: "ns"}}
	if err := w.kube.Delete(context.Background(), pod); client.IgnoreNotFound(err) != nil {
		w.t.Fatal(err)
	}
}

func (w *world) rise(a *fakeAgent, generation int64) {
	if err := w.kube.Create(context.Background(), w.podOf(a)); err != nil {
		w.t.Fatal(err)
	}
	a.wake(generation)
	w.mu.Lock()
	w.check("a new pod of " + a.pod)
	w.mu.Unlock()
}

// step is what happens between two passes when all goes well.
func (w *world) step() {
	w.clock = w.clock.Add(2 * time.Second)
	w.jobs(400)
	w.backups()
	for _, a := range w.agents {
		a.advance()
	}
	w.clusterController(func() bool { return true })
}

// run goes on until the restore has ended and let go, or is gone.
func (w *world) run(passes int) *v1alpha1.RobustMQRestore {
	w.t.Helper()
	r := w.operator()
	for range passes {
		x := w.restore()
		if x == nil || x.Ended() && len(x.Finalizers) == 0 {
			return x
		}
		w.pass(r)
		w.step()
	}
	x := w.restore()
	w.t.Fatalf("not ended after %d passes: %s\n%s", passes, w.story(), strings.Join(w.log, "\n"))
	return x
}

// story is how it stands, for a failure's message.
func (w *world) story() string {
	var b strings.Builder
	if x := w.restore(); x != nil {
		fmt.Fprintf(&b, "stage %s, awaits %q, conditions %+v\n", x.Status.Stage, x.Status.Awaits, x.Status.Conditions)
	}
	for _, a := range w.agents {
		fmt.Fprintf(&b, "%s: data %q marker %+v alive %t held %t running %t generation %d placement %+v\n", a.pod, a.data, a.marker, a.alive, a.held, a.running, a.generation, a.placement)
	}
	return b.String()
}

// dataOf are the members' data, each once.
func (w *world) dataOf() []string {
	var out []string
	for _, a := range w.agents {
		if a.role == v1alpha1.RolePlacementCenter && !slices.Contains(out, a.data) {
			out = append(out, a.data)
		}
	}
	return out
}

// random is a source of chance from a seed.
func random(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 7)) } //nolint:gosec // a test's
