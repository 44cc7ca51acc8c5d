package plan_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/events"
	"k8s.io/client-go/util/retry"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	"sigs.k8s.io/controller-runtime/pkg/log"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/backup/job"
	"github.com/robustmq/robustmq-operator/controllers/backup/plan"
	"github.com/robustmq/robustmq-operator/internal/manifests"
	"github.com/robustmq/robustmq-operator/monitoring"
)

// apiServer is one for all tests of the package; each has a namespace of its own.
var apiServer struct {
	once   sync.Once
	env    *envtest.Environment
	config *rest.Config
	err    error
	worlds int
}

func TestMain(m *testing.M) {
	log.SetLogger(logr.Discard())
	code := m.Run()
	if apiServer.env != nil {
		_ = apiServer.env.Stop()
	}
	os.Exit(code)
}

func scheme() *runtime.Scheme {
	s := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, v1alpha1.AddToScheme} {
		if err := add(s); err != nil {
			panic(err)
		}
	}
	return s
}

// world is a namespace of a real API server, a clock, and whoever else takes part: users, the backup controller, and Kubernetes' Jobs.
type world struct {
	client.Client
	raw      client.WithWatch
	t        *testing.T
	config   *rest.Config
	ns       string
	now      time.Time
	events   *events.FakeRecorder
	metrics  *monitoring.Backups
	registry *prometheus.Registry
	restores []v1alpha1.RobustMQRestore
	// made are the backups that were created by the operator, in order; writes all that it wrote but events.
	made   []string
	writes []string
	// fail, if set, makes a write fail after it was done (the operator dies), or in its place.
	fail func(what string) (before, after error)
}

func newWorld(t *testing.T) *world {
	t.Helper()
	if os.Getenv("KUBEBUILDER_ASSETS") == "" {
		t.Skip("KUBEBUILDER_ASSETS does not name a folder with kube-apiserver, etcd and kubectl: `test/bed/bed assets` prints one")
	}
	apiServer.once.Do(func() {
		apiServer.env = &envtest.Environment{ErrorIfCRDPathMissing: true}
		for _, kind := range []string{"robustmqclusters", "robustmqbackups"} {
			apiServer.env.CRDDirectoryPaths = append(apiServer.env.CRDDirectoryPaths, "../../../config/crd/robustmq.io_"+kind+".yaml")
		}
		apiServer.config, apiServer.err = apiServer.env.Start()
	})
	if apiServer.err != nil {
		t.Fatal(apiServer.err)
	}
	config := rest.CopyConfig(apiServer.config)
	config.QPS = -1
	c, err := client.NewWithWatch(config, client.Options{Scheme: scheme()})
	if err != nil {
		t.Fatal(err)
	}
	apiServer.worlds++
	w := &world{
		Client: c, raw: c, t: t, config: config, ns: fmt.Sprint("w", apiServer.worlds), now: time.Date(2026, 11, 25, 0, 30, 0, 0, time.UTC),
		events: events.NewFakeRecorder(10000), metrics: monitoring.NewBackups(), registry: prometheus.NewRegistry(),
	}
	w.registry.MustRegister(w.metrics)
	w.must(c.Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: w.ns}}))
	return w
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// cluster that was founded, with these schedules and a destination that needs no Secret.
func (w *world) cluster(schedules ...v1alpha1.BackupSchedule) {
	w.t.Helper()
	storage := resource.MustParse("1Gi")
	c := &v1alpha1.RobustMQCluster{ObjectMeta: metav1.ObjectMeta{Name: "c", Namespace: w.ns}}
	c.Spec.Version = "0.4.11"
	c.Spec.PlacementCenter.Replicas, c.Spec.PlacementCenter.Storage = 3, &storage
	c.Spec.MQTTBroker.Replicas = 2
	c.Spec.Backup = &v1alpha1.BackupSpec{Destination: v1alpha1.S3Destination{Bucket: "backups", Prefix: w.ns + "/c"}, Schedules: schedules}
	w.must(w.Create(w.t.Context(), c))
	c.Status.ClusterUID, c.Status.Founded, c.Status.Generation = "uid-"+w.ns+"-c", true, 1
	w.must(w.Status().Update(w.t.Context(), c))
}

// recording notes what the operator writes.
func (w *world) recording(c client.WithWatch) client.WithWatch {
	note := func(what string, do func() error) error {
		var before, after error
		if w.fail != nil {
			before, after = w.fail(what)
		}
		if before != nil {
			return before
		}
		if err := do(); err != nil {
			return err
		}
		w.writes = append(w.writes, what)
		return after
	}
	return interceptor.NewClient(c, interceptor.Funcs{
		Create: func(ctx context.Context, c client.WithWatch, o client.Object, opts ...client.CreateOption) error {
			return note(fmt.Sprintf("create %T %s", o, o.GetName()), func() error {
				err := c.Create(ctx, o, opts...)
				if _, ok := o.(*v1alpha1.RobustMQBackup); ok && err == nil {
					w.made = append(w.made, o.GetName())
				}
				return err
			})
		},
		Delete: func(ctx context.Context, c client.WithWatch, o client.Object, opts ...client.DeleteOption) error {
			return note(fmt.Sprintf("delete %T %s", o, o.GetName()), func() error { return c.Delete(ctx, o, opts...) })
		},
		SubResourceApply: func(ctx context.Context, c client.Client, sub string, o runtime.ApplyConfiguration, opts ...client.SubResourceApplyOption) error {
			return note("apply "+sub, func() error { return c.SubResource(sub).Apply(ctx, o, opts...) })
		},
		SubResourceUpdate: func(ctx context.Context, c client.Client, sub string, o client.Object, opts ...client.SubResourceUpdateOption) error {
			return note("update "+sub, func() error { return c.SubResource(sub).Update(ctx, o, opts...) })
		},
	})
}

// operator is one that has just started: it knows nothing but what the API server has.
func (w *world) operator() *plan.Reconciler {
	w.t.Helper()
	return &plan.Reconciler{
		Client: w.recording(w.raw), Reader: w.raw, Events: w.events, AgentImage: "example.org/agent:1", Metrics: w.metrics, Timings: plan.DefaultTimings(), Now: func() time.Time { return w.now },
		Restores: func(context.Context, string) ([]v1alpha1.RobustMQRestore, error) { return w.restores, nil },
	}
}

// look is one pass of an operator.
func (w *world) look(r *plan.Reconciler) ctrl.Result {
	w.t.Helper()
	result, err := r.Reconcile(w.t.Context(), request(w))
	w.must(err)
	return result
}

func request(w *world) ctrl.Request {
	return ctrl.Request{NamespacedName: client.ObjectKey{Namespace: w.ns, Name: "c"}}
}

// settle lets an operator that has just started look until it writes nothing more, and returns when it wants to look again.
func (w *world) settle() time.Duration {
	w.t.Helper()
	r := w.operator()
	for range 20 {
		before := len(w.writes)
		if result := w.look(r); len(w.writes) == before {
			return result.RequeueAfter
		}
	}
	w.t.Fatalf("it never comes to rest: %v", w.writes[max(0, len(w.writes)-8):])
	return 0
}

func (w *world) status() (v1alpha1.BackupPlanStatus, metav1.Condition) {
	w.t.Helper()
	var c v1alpha1.RobustMQCluster
	w.must(w.Get(w.t.Context(), client.ObjectKey{Namespace: w.ns, Name: "c"}, &c))
	var st v1alpha1.BackupPlanStatus
	if c.Status.Backup != nil {
		st = *c.Status.Backup
	}
	var ready metav1.Condition
	if found := meta.FindStatusCondition(c.Status.Conditions, v1alpha1.ConditionStorageReady); found != nil {
		ready = *found
	}
	return st, ready
}

// change the cluster as a user does, again when somebody else wrote in between.
func (w *world) change(change func(*v1alpha1.RobustMQCluster)) {
	w.t.Helper()
	w.must(retry.RetryOnConflict(retry.DefaultBackoff, func() error {
		var c v1alpha1.RobustMQCluster
		if err := w.Get(w.t.Context(), client.ObjectKey{Namespace: w.ns, Name: "c"}, &c); err != nil {
			return err
		}
		change(&c)
		return w.Update(w.t.Context(), &c)
	}))
}

func (w *world) backups() []string {
	w.t.Helper()
	var list v1alpha1.RobustMQBackupList
	w.must(w.List(w.t.Context(), &list, client.InNamespace(w.ns)))
	var out []string
	for _, b := range list.Items {
		out = append(out, b.Name)
	}
	slices.Sort(out)
	return out
}

// end plays the backup controller: the backup is complete, or has failed for a reason.
func (w *world) end(name, reason string) {
	w.t.Helper()
	var b v1alpha1.RobustMQBackup
	w.must(w.Get(w.t.Context(), client.ObjectKey{Namespace: w.ns, Name: name}, &b))
	var c v1alpha1.RobustMQCluster
	w.must(w.Get(w.t.Context(), client.ObjectKey{Namespace: w.ns, Name: b.Spec.ClusterName}, &c))
	b.Status.ClusterUID = c.Status.ClusterUID
	b.Status.StartTime, b.Status.CompletionTime = metav1.NewTime(w.now.Add(-30*time.Second).UTC().Truncate(time.Second)), metav1.NewTime(w.now.UTC().Truncate(time.Second))
	complete := metav1.Condition{Type: v1alpha1.ConditionComplete, LastTransitionTime: metav1.NewTime(w.now), Status: metav1.ConditionFalse, Reason: reason, Message: "said so"}
	b.Status.Stage = v1alpha1.BackupFailed
	if reason == "" {
		d := c.Spec.Backup.Destination
		size, uploaded := int64(4096), int64(1024)
		b.Status.Stage, b.Status.Destination = v1alpha1.BackupComplete, &d
		b.Status.SizeBytes, b.Status.UploadedBytes = &size, &uploaded
		b.Status.RecoveryPoint.Time = metav1.NewTime(w.now.UTC().Truncate(time.Second))
		b.Status.Key = d.Prefix + "/" + c.Status.ClusterUID + "/backups/" + id(&b) + "/manifest.json"
		complete.Status, complete.Reason = metav1.ConditionTrue, v1alpha1.ReasonBackupComplete
	}
	b.Status.Conditions = []metav1.Condition{complete}
	w.must(w.Status().Update(w.t.Context(), &b))
}

func id(b *v1alpha1.RobustMQBackup) string {
	return b.CreationTimestamp.UTC().Format("20060102T150405Z") + "-" + b.Name
}

// job finds a Job of the plan; nil when there is none.
func (w *world) job(name string) *batchv1.Job {
	w.t.Helper()
	var j batchv1.Job
	err := w.Get(w.t.Context(), client.ObjectKey{Namespace: w.ns, Name: name}, &j)
	if client.IgnoreNotFound(err) != nil {
		w.t.Fatal(err)
	}
	if err != nil {
		return nil
	}
	return &j
}

// endJob plays Kubernetes: the Job's pod ran and left this result.
func (w *world) endJob(name string, result job.Result) {
	w.t.Helper()
	j := w.job(name)
	if j == nil {
		w.t.Fatalf("there is no Job %s", name)
	}
	at := metav1.NewTime(w.now.UTC().Truncate(time.Second))
	w.pod(j, corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{
		ExitCode: map[bool]int32{true: 0, false: 1}[result.OK()], Message: string(result.Encode()), FinishedAt: at, StartedAt: at,
	}}, map[bool]corev1.PodPhase{true: corev1.PodSucceeded, false: corev1.PodFailed}[result.OK()])
	j.Status.StartTime = &at
	first, last := batchv1.JobFailureTarget, batchv1.JobFailed
	if result.OK() {
		first, last = batchv1.JobSuccessCriteriaMet, batchv1.JobComplete
		j.Status.Succeeded, j.Status.CompletionTime = 1, &at
	} else {
		j.Status.Failed = 1
	}
	for _, kind := range []batchv1.JobConditionType{first, last} {
		j.Status.Conditions = append(j.Status.Conditions, batchv1.JobCondition{Type: kind, Status: corev1.ConditionTrue, LastTransitionTime: at, Reason: "Test"})
	}
	w.must(w.Status().Update(w.t.Context(), j))
}

// pod of a Job, in a state.
func (w *world) pod(j *batchv1.Job, state corev1.ContainerState, phase corev1.PodPhase) {
	w.t.Helper()
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{GenerateName: j.Name + "-", Namespace: w.ns, Labels: j.Spec.Template.Labels, OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(j, batchv1.SchemeGroupVersion.WithKind("Job"))}},
		Spec:       *j.Spec.Template.Spec.DeepCopy(),
	}
	w.must(w.Create(w.t.Context(), pod))
	pod.Status.Phase = phase
	pod.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: manifests.ContainerJob, Image: "x", State: state}}
	w.must(w.Status().Update(w.t.Context(), pod))
}

// asked is the request that a Job was made with.
func (w *world) asked(name string, kind job.Kind) job.Request {
	w.t.Helper()
	for _, argument := range w.job(name).Spec.Template.Spec.Containers[0].Command {
		if text, ok := strings.CutPrefix(argument, "--request="); ok {
			r, err := job.Parse(kind, text)
			w.must(err)
			return r
		}
	}
	w.t.Fatalf("Job %s has no request", name)
	return job.Request{}
}

// told are the events since the last call, without those of other types than asked for.
func (w *world) told(reasons ...string) []string {
	var out []string
	for {
		select {
		case e := <-w.events.Events:
			if len(reasons) == 0 || slices.Contains(reasons, strings.Fields(e)[1]) {
				out = append(out, e)
			}
		default:
			return out
		}
	}
}

func text(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(b)
}

func stamp(at time.Time) metav1.Time { return metav1.NewTime(at.UTC().Truncate(time.Second)) }

// verifiedIs is the metric of verifications with a value.
func verifiedIs(w *world, value int) *strings.Reader {
	return strings.NewReader(fmt.Sprintf(`
# HELP robustmq_backup_verified 1 if the last verification found the bucket to have what the manifest says, 0 if not; absent if it could not find that out.
# TYPE robustmq_backup_verified gauge
robustmq_backup_verified{cluster="c",namespace=%q} %d
`, w.ns, value))
}
