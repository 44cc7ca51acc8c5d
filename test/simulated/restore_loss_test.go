package simulated

import (
	"fmt"
	"slices"
	"strconv"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
	"github.com/robustmq/robustmq-operator/test/simulated/network"
	"github.com/robustmq/robustmq-operator/test/simulated/world"
)

// automatic waits for the restore that the operator makes by itself for the loss of a generation, and for its end.
func (r *rescue) automatic(generation int64) *v1alpha1.RobustMQRestore {
	r.Helper()
	name := fmt.Sprintf("c-loss-%d", generation)
	r.w.Await("the restore "+name, func() (bool, string) {
		var x v1alpha1.RobustMQRestore
		err := r.w.Client.Get(r.w.Context(), client.ObjectKey{Namespace: r.w.Namespace, Name: name}, &x)
		return err == nil, fmt.Sprintf("%v\n%s", err, r.w.Describe())
	})
	return r.complete(name)
}

func TestAClusterThatLostEveryVolumeComesBackByItselfOnceForEachLoss(t *testing.T) {
	t.Parallel()
	r := rescued(t, world.Options{})
	w := r.w
	start := time.Now()
	wipeAll(t, w)
	x := r.automatic(1)
	t.Logf("whole again %v of real life after the loss", realLife(w, time.Since(start)))
	if x.Spec.Trigger != v1alpha1.RestoreTotalLoss || x.Spec.Source.ClusterUID != w.Cluster("c").Status.ClusterUID || x.Status.SafetyBackupName != "" || x.Status.Generation != 2 {
		t.Errorf("%+v %+v", x.Spec, x.Status)
	}
	if waited := x.CreationTimestamp.Sub(start); waited < w.Scaled(2*time.Minute)-time.Second { // times of objects are whole seconds
		t.Errorf("acted after %v of real life", realLife(w, waited))
	}
	w.Await("the events", func() (bool, string) {
		begun := events(w, v1alpha1.ReasonAutoRestore)
		return len(begun) == 1 && begun[0].Type == corev1.EventTypeWarning, fmt.Sprint(begun)
	})
	if founders := w.Founders(); !slices.Equal(founders, []string{memberZero}) {
		t.Errorf("servers that founded a cluster: %v, want member 0 once, long ago", founders)
	}
	w.Stays(time.Minute, "one restore", func() (bool, string) {
		all := restoresOf(t, w)
		return len(all) == 1, fmt.Sprint(all)
	})

	// The next loss is another one.
	if !allStages() {
		return
	}
	wipeAll(t, w)
	if again := r.automatic(2); again.Status.Generation != 3 {
		t.Errorf("%+v", again.Status)
	}
}

// The status is lost with the object, and the claims still know whose they are and of which generation.
func TestTotalLossIsKnownFromTheClaimsWhenTheClusterWasDeletedMeanwhile(t *testing.T) {
	long(t)
	t.Parallel()
	r := rescued(t, world.Options{})
	w := r.w
	c := w.Cluster("c")
	text := manifest(newest, 3, 2, destination(r.bucket))
	for generation := range int64(2) {
		remove(t, w, c)
		for _, pod := range w.Pods(c, v1alpha1.RolePlacementCenter) {
			w.Wipe(pod)
		}
		w.Apply(text)
		r.automatic(generation + 1)
	}
}

// Two volumes are lost, and of the third nothing is known: it may hold everything. Whatever keeps it away, nothing is restored over it, and when it comes back it is the source.
func TestNothingIsRestoredWhileOneVolumeIsPendingUnmountedOrSlow(t *testing.T) {
	t.Parallel()
	const third = "c-placement-center-2"
	ways := []struct {
		name       string
		keep, back func(t *testing.T, w *world.World)
	}{
		{"its pod is Pending", func(t *testing.T, w *world.World) {
			w.Kubelet.SetUnschedulable(func(p *corev1.Pod) string {
				if p.Name == third {
					return "0/3 nodes are available: 3 Insufficient memory."
				}
				return ""
			})
			if err := w.Client.Delete(w.Context(), pod(t, w, third)); err != nil {
				t.Fatal(err)
			}
		}, func(_ *testing.T, w *world.World) { w.Kubelet.SetUnschedulable(nil) }},
		{"its agent does not answer", func(_ *testing.T, w *world.World) { w.Isolate(third, network.BlackHole) }, func(_ *testing.T, w *world.World) { w.Network.Heal() }},
		{"its agent answers late", func(_ *testing.T, w *world.World) { w.Network.Slow(third, 10*time.Second) }, func(_ *testing.T, w *world.World) { w.Network.Heal() }},
		{"its volume cannot be mounted", func(t *testing.T, w *world.World) {
			if err := w.Kubelet.SetUnwritable(third, true); err != nil {
				t.Skip(err)
			}
		}, func(t *testing.T, w *world.World) {
			if err := w.Kubelet.SetUnwritable(third, false); err != nil {
				t.Error(err)
			}
		}},
	}
	for i, way := range ways {
		t.Run(way.name, func(t *testing.T) {
			if i > 0 {
				long(t)
			}
			t.Parallel()
			r := rescued(t, world.Options{})
			w := r.w
			w.Operator().Crash()
			stopServers(t, w)
			for _, pod := range []string{memberZero, "c-placement-center-1"} {
				w.Wipe(pod)
				w.Kubelet.Crash(pod) // what was stopped by hand starts again with its agent
			}
			way.keep(t, w)
			t.Cleanup(func() { way.back(t, w) }) // a world that ends must be able to remove its files
			w.StartOperator()
			w.Stays(4*time.Minute, "nothing restored, and the third volume as it is", func() (bool, string) {
				m := w.Marker(third)
				return len(restoresOf(t, w)) == 0 && m != nil && m.Generation == 1 && m.Origin != protocol.OriginRestored, fmt.Sprint(restoresOf(t, w), m)
			})
			way.back(t, w)
			w.Kubelet.Crash(third)
			r.has(r.present)
			if m := w.Marker(third); m.Origin == protocol.OriginSeeded || len(restoresOf(t, w)) > 0 {
				t.Errorf("%+v, restores %v: the third volume was to be the source", m, restoresOf(t, w))
			}
		})
	}
}

// A volume that turns up while a restore after a total loss is being prepared: nothing is overwritten.
func TestACopyThatTurnsUpBeforeAnythingIsTransferredEndsTheRestore(t *testing.T) {
	t.Parallel()
	const third = "c-placement-center-2"
	inspecting, goOn := make(chan struct{}), make(chan struct{})
	r := rescued(t, world.Options{HoldJob: holdAt("inspect", inspecting, goOn)})
	w := r.w
	keep := t.TempDir()
	w.Operator().Crash()
	stopServers(t, w)
	copyTree(t, w.VolumeDir(third), keep)
	wipeAll(t, w)
	within(t, w, inspecting, "the restore to look at its source")
	// Its disk is found again.
	copyTree(t, keep, w.VolumeDir(third))
	w.Kubelet.Crash(third)
	w.Await("the agent to see its data", func() (bool, string) {
		s, err := agents(t, w, w.Cluster("c"))(third).State(t.Context())
		return err == nil && s.Volume.Phase == protocol.VolumeInitialised, fmt.Sprintf("%+v %v", s.Volume, err)
	})
	close(goOn)
	x := awaitRestore(t, w, "c-loss-1", v1alpha1.RestoreFailed)
	if !failedFor(x, v1alpha1.ReasonCopyLeft) {
		t.Errorf("%s; want %s", sayRestore(x), v1alpha1.ReasonCopyLeft)
	}
	r.has(r.present)
}

func TestWithoutABackupALossIsSaidAndTheClusterStartsEmptyOnceWhenItIsTold(t *testing.T) {
	t.Parallel()
	w := env.New(t, world.Options{})
	watch := watchMixture(w, "c")
	c := form(t, w, manifest(newest, 3, 2, ""))
	users(t, w, memberZero, "lost", 5)
	lose := func() {
		wipeAll(t, w)
		w.AwaitCondition("c", v1alpha1.ConditionReady, "False", v1alpha1.ReasonDataLost, v1alpha1.AnnotationStartEmpty)
		founded := len(w.Founders())
		w.Stays(150*time.Second, "nobody founds anything", func() (bool, string) {
			return len(w.Founders()) == founded && len(restoresOf(t, w)) == 0, fmt.Sprint(w.Founders())
		})
	}
	lose()
	annotateCluster(t, w, v1alpha1.AnnotationStartEmpty, strconv.FormatInt(c.Status.Generation, 10))
	fresh := &rescue{T: t, w: w, watch: watch}
	w.Await("a generation that is new", func() (bool, string) { now := w.Cluster("c").Status.Generation; return now == 2, fmt.Sprint(now) })
	formed(t, w)
	for _, name := range fresh.users() {
		if name == "lost-0" {
			t.Errorf("users %v: it was to be empty", fresh.users())
		}
	}
	fresh.fullLists(w.Cluster("c"))
	watch.check(t)
	fresh.marked(2, "")
	if founders := w.Founders(); !slices.Equal(founders, []string{memberZero, memberZero}) {
		t.Errorf("servers that founded a cluster: %v, want member 0 twice", founders)
	}
	w.Await("the event", func() (bool, string) { return told(w, v1alpha1.ReasonStartedEmpty), fmt.Sprint(w.Events()) })
	// The annotation still stands there, and says nothing about the next loss.
	lose()
}

func annotateCluster(t *testing.T, w *world.World, key, value string) {
	t.Helper()
	w.Await("the annotation", func() (bool, string) {
		c := w.Cluster("c")
		before := c.DeepCopy()
		if c.Annotations == nil {
			c.Annotations = map[string]string{}
		}
		c.Annotations[key] = value
		err := w.Client.Patch(w.Context(), c, client.MergeFrom(before))
		return err == nil, fmt.Sprint(err)
	})
}

func TestAClusterThatMustNotRestoreItselfWaitsForARestoreByHand(t *testing.T) {
	t.Parallel()
	w := env.New(t, world.Options{})
	b := w.NewBucket()
	plantCredentials(t, w)
	place := fmt.Sprintf("{bucket: %s, prefix: eu, endpoint: %q, region: us-east-1, pathStyle: true, credentialsSecretName: s3}", world.BucketName, b.URL)
	r := &rescue{T: t, w: w, bucket: b, watch: watchMixture(w, "c")}
	form(t, w, manifest(newest, 3, 2, fmt.Sprintf("  unsafe: [AllowInsecureS3]\n  backup: {autoRestore: Disabled, destination: %s}\n", place)))
	users(t, w, memberZero, "old", 5)
	r.saved = r.users()
	back(t, w, "first")
	completed(t, w, "first")
	wipeAll(t, w)
	w.AwaitCondition("c", v1alpha1.ConditionReady, "False", v1alpha1.ReasonDataLost, "")
	w.Stays(150*time.Second, "nothing is restored", func() (bool, string) { all := restoresOf(t, w); return len(all) == 0, fmt.Sprint(all) })
	// There is nothing left to save: who restores says that he does without.
	r.restore("by-hand", quick)
	r.complete("by-hand")
}
