package backup

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/managedfields"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/backup/job"
	"github.com/robustmq/robustmq-operator/controllers/backup/outcome"
	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
	"github.com/robustmq/robustmq-operator/internal/manifests"
)

var testScheme = func() *runtime.Scheme {
	s := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, v1alpha1.AddToScheme} {
		if err := add(s); err != nil {
			panic(err)
		}
	}
	return s
}()

// dice is a world of backups in which everything happens in an order that a seed decides, and the operator sees it late, or half, or is gone.
type dice struct {
	*rand.Rand
	t     *testing.T
	trail []string // what happened
	now   time.Time
	uids  int

	truth client.Client
	cache map[string]snapshot // by kind: the API server's objects at some earlier time
	r     *Reconciler

	writes   int
	breakIn  int // how many writes until one fails, or its answer is lost; 0: none does
	lost     bool
	agents   bool
	released int // images
	progress protocol.ImageProgress

	said    map[types.UID]bool // by backup: its own program said that it is complete
	last    map[types.UID]v1alpha1.RobustMQBackupStatus
	made    map[types.UID]int
	removed map[types.UID]int // Jobs removed by somebody else
}

var errBroken = errors.New("the connection to the API server broke")

func newDice(t *testing.T, seed uint64) *dice {
	t.Helper()
	d := &dice{
		Rand: rand.New(rand.NewPCG(seed, 1)), t: t, now: noon, agents: true, said: map[types.UID]bool{}, last: map[types.UID]v1alpha1.RobustMQBackupStatus{},
		made: map[types.UID]int{}, removed: map[types.UID]int{}, cache: map[string]snapshot{},
	}
	secret := func(name string, keys ...string) *corev1.Secret {
		s := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "ns"}, Data: map[string][]byte{}}
		for _, k := range keys {
			s.Data[k] = []byte("x")
		}
		return s
	}
	objects := []client.Object{
		newCluster(), secret("s3", "accessKey", "secretKey"), secret("c-operator-pki", "tls.crt", "tls.key"), secret("c-job-pki", "tls.crt", "tls.key"),
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "kube-system", UID: "11111111-0000-4000-8000-000000000000"}},
	}
	for node := range 3 {
		objects = append(objects, &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("c-placement-center-%d", node), Namespace: "ns", Labels: manifests.Selector(newCluster(), v1alpha1.RolePlacementCenter)},
			Status:     corev1.PodStatus{Phase: corev1.PodRunning, PodIP: fmt.Sprintf("10.0.0.%d", node+1)},
		})
	}
	d.truth = fake.NewClientBuilder().WithScheme(testScheme).WithTypeConverters(managedfields.NewDeducedTypeConverter()).WithObjects(objects...).WithStatusSubresource(&v1alpha1.RobustMQBackup{}, &batchv1.Job{}, &corev1.Pod{}).Build()
	for i := range 3 {
		b := newBackup(func(b *v1alpha1.RobustMQBackup) {
			b.Name, b.UID = fmt.Sprintf("b%d", i), types.UID(fmt.Sprintf("00000000-0000-4000-8000-00000000000%d", i))
			if d.IntN(2) == 0 {
				b.Spec.DeletionPolicy = v1alpha1.BackupDeleted
			}
		})
		d.must(d.truth.Create(t.Context(), b))
	}
	d.restart()
	return d
}

func (d *dice) must(err error) {
	d.t.Helper()
	if err != nil {
		d.fail("%v", err)
	}
}

func (d *dice) fail(format string, args ...any) {
	d.t.Helper()
	for _, line := range d.trail {
		d.t.Log(line)
	}
	d.t.Fatalf(format, args...)
}

func (d *dice) note(format string, args ...any) {
	d.trail = append(d.trail, fmt.Sprintf(format, args...))
}

// restart is a new operator: without memory, with a cache that is filled once, from an API server that may be behind for some kinds.
func (d *dice) restart() {
	for _, kind := range kinds {
		if d.cache[kind] == nil || d.IntN(3) > 0 {
			d.sync(kind)
		}
	}
	api := interceptor.NewClient(d.truth.(client.WithWatch), interceptor.Funcs{
		Create: func(ctx context.Context, c client.WithWatch, o client.Object, opts ...client.CreateOption) error {
			d.uids++
			o.SetUID(types.UID(fmt.Sprintf("00000000-0000-4000-8000-1%011d", d.uids)))
			o.SetCreationTimestamp(metav1.NewTime(d.now))
			d.mayBeMade(o)
			return d.write("create "+o.GetName(), func() error {
				err := c.Create(ctx, o, opts...)
				if j, ok := o.(*batchv1.Job); ok && err == nil && j.Labels[v1alpha1.LabelJob] == string(manifests.JobTake) {
					d.made[j.OwnerReferences[0].UID]++
				}
				return err
			})
		},
		Delete: func(ctx context.Context, c client.WithWatch, o client.Object, opts ...client.DeleteOption) error {
			return d.write("delete "+o.GetName(), func() error { return c.Delete(ctx, o, opts...) })
		},
		Patch: func(ctx context.Context, c client.WithWatch, o client.Object, p client.Patch, opts ...client.PatchOption) error {
			return d.write("patch "+o.GetName(), func() error { return c.Patch(ctx, o, p, opts...) })
		},
		SubResourceUpdate: func(ctx context.Context, c client.Client, sub string, o client.Object, opts ...client.SubResourceUpdateOption) error {
			d.mayBeSaid(o.(*v1alpha1.RobustMQBackup))
			return d.write(fmt.Sprintf("status of %s: %s", o.GetName(), o.(*v1alpha1.RobustMQBackup).Status.Stage), func() error { return c.SubResource(sub).Update(ctx, o, opts...) })
		},
		Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, o client.Object, opts ...client.GetOption) error {
			if kind := kindOf(o); kind != "" {
				return d.cache[kind].get(key, o)
			}
			return c.Get(ctx, key, o, opts...)
		},
		List: func(_ context.Context, _ client.WithWatch, list client.ObjectList, opts ...client.ListOption) error {
			return d.cache[kindOf(list)].list(list, opts...)
		},
	})
	d.r = &Reconciler{
		Client: api, Reader: d.truth, Events: quiet{}, Agents: d, AgentImage: "agent", Timings: DefaultTimings(),
		Now: func() time.Time { return d.now },
	}
}

// write does a write, unless its time has come to fail; one half of those that fail were carried out.
func (d *dice) write(what string, do func() error) error {
	d.breakIn--
	if d.breakIn != 0 {
		err := do()
		d.note("  %s: %v", what, err)
		if err == nil {
			d.writes++
		}
		return err
	}
	if d.lost {
		_ = do()
	}
	d.note("  %s: broken (carried out: %t)", what, d.lost)
	return errBroken
}

// mayBeMade: no Job is made for a backup that has begun or ended, whatever the operator believes, and none beside another.
func (d *dice) mayBeMade(o client.Object) {
	j, ok := o.(*batchv1.Job)
	if !ok || j.Labels[v1alpha1.LabelJob] != string(manifests.JobTake) {
		return
	}
	var b v1alpha1.RobustMQBackup
	if err := d.truth.Get(d.t.Context(), types.NamespacedName{Namespace: "ns", Name: j.Labels[v1alpha1.LabelBackup]}, &b); err == nil && (b.Status.JobName != "" || b.Ended() || b.DeletionTimestamp != nil) {
		d.fail("a Job is made for %s, which is %s", b.Name, b.Status.Stage)
	}
	for other := range d.jobs() {
		if !outcome.Finished(other) && other.Name != j.Name {
			d.fail("Job %s is made beside %s", j.Name, other.Name)
		}
	}
}

// mayBeSaid: nothing is called lost that is there.
func (d *dice) mayBeSaid(b *v1alpha1.RobustMQBackup) {
	var now v1alpha1.RobustMQBackup
	if err := d.truth.Get(d.t.Context(), client.ObjectKeyFromObject(b), &now); err != nil || now.ResourceVersion != b.ResourceVersion || b.Status.Stage != v1alpha1.BackupFailed {
		return // it will be refused
	}
	reason := meta.FindStatusCondition(b.Status.Conditions, v1alpha1.ConditionComplete).Reason
	for j, pod := range d.jobs() {
		if !ours(j, b) {
			continue
		}
		if reason == v1alpha1.ReasonJobLost {
			d.fail("%s has failed because its Job is lost, and Job %s is there", b.Name, j.Name)
		}
		if pod != nil && reason != v1alpha1.ReasonClusterDeleted && reason != v1alpha1.ReasonDeadline && reason != v1alpha1.ReasonRequestInvalid && outcome.Of(job.Take, j, []*corev1.Pod{pod}, d.now).OK() {
			d.fail("%s has failed (%s), and its pod says that it is complete", b.Name, reason)
		}
	}
}

func (d *dice) pass(name string) ctrl.Result {
	d.note("pass of %s", name)
	result, err := d.r.Reconcile(d.t.Context(), ctrl.Request{NamespacedName: types.NamespacedName{Namespace: "ns", Name: name}})
	if err != nil && !errors.Is(err, errBroken) && !apierrors.IsConflict(err) {
		d.fail("pass of %s: %v", name, err)
	}
	return result
}

// step is one thing that happens.
func (d *dice) step() {
	ctx := d.t.Context()
	name := fmt.Sprintf("b%d", d.IntN(3))
	switch n := d.IntN(100); {
	case n < 40:
		d.breakIn, d.lost = 0, d.IntN(2) == 0
		if d.IntN(6) == 0 {
			d.breakIn = 1 + d.IntN(3)
		}
		d.pass(name)
	case n < 60:
		kind := kinds[d.IntN(len(kinds))]
		d.note("the cache sees every %s", kind)
		d.sync(kind)
	case n < 80:
		d.kubernetes(d.IntN(10))
	case n < 85:
		d.now = d.now.Add(time.Duration(d.IntN(90)) * time.Second)
		d.progress = protocol.ImageProgress{Stage: []protocol.ImageStage{protocol.StageStaging, protocol.StageUploading, protocol.StageVerifying}[d.IntN(3)], Bytes: int64(d.IntN(10)), Total: 10}
	case n < 88:
		d.note("a new operator")
		d.restart()
	case n < 90:
		d.agents = !d.agents
	case n < 92:
		if j, _ := d.anyJob(); j != nil && d.IntN(2) == 0 {
			d.note("somebody removes %s", j.Name)
			if owner := metav1.GetControllerOf(j); owner != nil {
				d.removed[owner.UID]++
			}
			d.must(d.truth.Delete(ctx, j))
		}
	case n < 94:
		if _, pod := d.anyJob(); pod != nil {
			d.note("somebody removes %s", pod.Name)
			d.must(d.truth.Delete(ctx, pod))
		}
	case n < 95:
		var b v1alpha1.RobustMQBackup
		if err := d.truth.Get(ctx, types.NamespacedName{Namespace: "ns", Name: name}, &b); err == nil {
			d.note("%s is deleted", name)
			d.must(d.truth.Delete(ctx, &b))
		}
	case n == 95 && d.IntN(8) == 0:
		var c v1alpha1.RobustMQCluster
		if err := d.truth.Get(ctx, types.NamespacedName{Namespace: "ns", Name: "c"}, &c); err == nil {
			d.note("the cluster is deleted")
			d.must(d.truth.Delete(ctx, &c))
		}
	default:
		d.collect()
	}
	d.check()
}

// check is what must hold at every moment.
func (d *dice) check() {
	var all v1alpha1.RobustMQBackupList
	d.must(d.truth.List(d.t.Context(), &all))
	for i := range all.Items {
		b := &all.Items[i]
		was := d.last[b.UID]
		if b.Status.Stage == v1alpha1.BackupComplete && !d.said[b.UID] {
			d.fail("%s is Complete, and its program never said so", b.Name)
		}
		if b.Status.Stage == v1alpha1.BackupComplete != b.Restorable() {
			d.fail("%s is in stage %s, and its condition says restorable %t", b.Name, b.Status.Stage, b.Restorable())
		}
		if over(was.Stage) && !equalStatus(was, b.Status) {
			d.fail("%s had ended and moved from %+v to %+v", b.Name, was, b.Status)
		}
		if !over(b.Status.Stage) && order[b.Status.Stage] < order[was.Stage] {
			d.fail("%s went back from %s to %s", b.Name, was.Stage, b.Status.Stage)
		}
		if d.made[b.UID] > 1+d.removed[b.UID] {
			d.fail("%s got %d Jobs, and %d were removed by somebody", b.Name, d.made[b.UID], d.removed[b.UID])
		}
		d.last[b.UID] = b.Status
	}
	running := 0
	for j := range d.jobs() {
		if !outcome.Finished(j) && j.Labels[v1alpha1.LabelJob] == string(manifests.JobTake) {
			running++
		}
	}
	if running > 1 {
		d.fail("%d backups of one cluster are made at once", running)
	}
}

// settle lets everything that was begun come to its end, with good luck, and an operator that sees everything.
func (d *dice) settle() {
	d.agents, d.breakIn = true, 0
	for range 40 {
		d.now = d.now.Add(45 * time.Second)
		for range 3 {
			d.kubernetes(0)
		}
		d.collect()
		for i := range 3 {
			for _, kind := range kinds {
				d.sync(kind)
			}
			d.pass(fmt.Sprintf("b%d", i))
			d.check()
		}
	}
	for j := range d.jobs() {
		if !outcome.Finished(j) {
			d.fail("Job %s was left behind", j.Name)
		}
	}
	var all v1alpha1.RobustMQBackupList
	d.must(d.truth.List(d.t.Context(), &all))
	for i := range all.Items {
		if b := &all.Items[i]; !b.Ended() || b.DeletionTimestamp != nil {
			d.fail("%s never ends: %s, to be deleted since %v", b.Name, b.Status.Stage, b.DeletionTimestamp)
		}
	}
	before := d.writes
	for i := range 6 {
		d.sync("backup")
		if result := d.pass(fmt.Sprintf("b%d", i%3)); result.RequeueAfter != 0 {
			d.fail("what has ended is looked at again in %s", result.RequeueAfter)
		}
	}
	if d.writes != before {
		d.fail("%d writes when nothing is to be done", d.writes-before)
	}
}

// Hundreds of worlds: Jobs killed, pods gone, answers lost, operators that begin anew, caches that are late, each kind by itself.
func TestCompleteOnlyEverFollowsAResultThatSaysSoWhateverHappens(t *testing.T) {
	worlds := uint64(200)
	if testing.Short() {
		worlds = 50
	}
	stages := map[v1alpha1.BackupStage]int{}
	reasons := map[string]int{}
	released := 0
	for seed := range worlds {
		d := newDice(t, seed)
		for range 150 {
			d.step()
		}
		d.settle()
		released += d.released
		for _, s := range d.last {
			stages[s.Stage]++
			for _, c := range s.Conditions {
				if c.Type == v1alpha1.ConditionComplete {
					reasons[c.Reason]++
				}
			}
		}
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
	t.Logf("%v %v, %d images released", stages, reasons, released)
	if stages[v1alpha1.BackupComplete] < int(worlds)/4 || stages[v1alpha1.BackupFailed] < int(worlds)/4 || len(reasons) < 6 || released < int(worlds)/10 {
		t.Errorf("the worlds are too tame: %v %v", stages, reasons)
	}
}
