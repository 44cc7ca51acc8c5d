package simulated

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/backup/store/s3test"
	"github.com/robustmq/robustmq-operator/test/simulated/world"
)

// former is a version whose servers cannot run beside those of the newest.
const former = "0.4.8"

const hops = "  unsafe: [AllowIncompatibleUpgrade, AllowInsecureS3]\n"

// backedUp is the plan of backups without the escapes.
func backedUp(b *world.Bucket) string {
	return hops + strings.SplitN(destination(b), "\n", 2)[1]
}

// versions notes with which version every server was started, and which servers ran then.
type versions struct {
	mu     sync.Mutex
	starts []string
	mixed  []string
}

// watchVersions notes them from now on. Servers that refuse says so of end at once.
func watchVersions(w *world.World, pods []string, refuse func(version string) bool) *versions {
	v := &versions{}
	running := map[string]string{}
	w.Poison(func(pod, version, _ string) bool {
		v.mu.Lock()
		defer v.mu.Unlock()
		v.starts = append(v.starts, version)
		running[pod] = version
		for _, other := range pods {
			if was, ran := running[other]; other != pod && w.ServerOf(other) != 0 && (ran && was != version || !ran && version != former) {
				v.mixed = append(v.mixed, fmt.Sprintf("%s of %s beside %s", pod, version, other))
			}
		}
		return refuse != nil && refuse(version)
	})
	return v
}

func (v *versions) started(version string) int {
	v.mu.Lock()
	defer v.mu.Unlock()
	n := 0
	for _, s := range v.starts {
		if s == version {
			n++
		}
	}
	return n
}

func (v *versions) assertNeverMixed(t *testing.T) {
	t.Helper()
	v.mu.Lock()
	defer v.mu.Unlock()
	if len(v.mixed) > 0 {
		t.Errorf("servers of two versions ran at once: %v", v.mixed)
	}
}

func backups(t *testing.T, w *world.World) []v1alpha1.RobustMQBackup {
	t.Helper()
	var list v1alpha1.RobustMQBackupList
	if err := w.Client.List(w.Context(), &list, client.InNamespace(w.Namespace)); err != nil {
		t.Fatal(err)
	}
	return list.Items
}

func createKept(t *testing.T, w *world.World) {
	t.Helper()
	if err := w.Create("c-mqtt-broker-0", "user", map[string]any{"tenant": "default", "username": "kept", "password": "fake-pw", "is_superuser": false}); err != nil {
		t.Fatal(err)
	}
}

// ofFormer is a cluster of the former version with a place for backups and a user that has to stay, at rest.
func ofFormer(t *testing.T) (*world.World, *world.Bucket, *v1alpha1.RobustMQCluster) {
	t.Helper()
	w := env.New(t, world.Options{})
	bucket := w.NewBucket()
	plantCredentials(t, w)
	before := form(t, w, manifest(former, 3, 2, backedUp(bucket)))
	createKept(t, w)
	settle(t, w)
	return w, bucket, before
}

func awaitKept(t *testing.T, w *world.World) {
	t.Helper()
	w.Await("the user", func() (bool, string) {
		ok, err := w.Login("c-mqtt-broker-1", "kept", "fake-pw")
		return ok && err == nil, fmt.Sprint(err)
	})
}

func TestAnUpgradeThatCannotRollStopsEverythingSavesItAndStartsTheNewVersionOnTheSameVolumes(t *testing.T) {
	t.Parallel()
	w := env.New(t, world.Options{})
	bucket := w.NewBucket()
	plantCredentials(t, w)
	before := form(t, w, manifest(former, 3, 2, ""))
	createKept(t, w)
	settle(t, w)
	pods := podUIDs(t, w, before)
	seen := watchVersions(w, w.AllPods(before), nil)

	w.Apply(manifest(newest, 3, 2, hops))
	w.AwaitCondition("c", v1alpha1.ConditionConfigApplied, "False", v1alpha1.ReasonVersionPending, "add spec.backup.destination")
	w.Stays(time.Minute, "nothing is touched without a backup", func() (bool, string) {
		return len(w.Cluster("c").Status.Members) == 5 && w.IsReady("c") && seen.started(former)+seen.started(newest) == 0, fmt.Sprint(seen.starts)
	})

	w.Apply(manifest(newest, 3, 2, backedUp(bucket)))
	w.AwaitCondition("c", v1alpha1.ConditionProgressing, "True", v1alpha1.ReasonUpgradeSaving, "")
	if b := backups(t, w); len(b) == 1 {
		for _, name := range []string{"c-mqtt-broker-0", "c-mqtt-broker-1"} {
			if w.ServerOf(name) != 0 {
				t.Errorf("%s runs while the metadata is saved", name)
			}
		}
	}
	w.AwaitCondition("c", v1alpha1.ConditionProgressing, "True", v1alpha1.ReasonUpgradeStarting, "")
	if now := w.Cluster("c").Status; now.Version != former || now.Upgrade == nil || !now.Upgrade.Opened {
		t.Errorf("status.version %q, status.upgrade %+v", now.Version, now.Upgrade)
	}
	after := applied(t, w)
	seen.assertNeverMixed(t)
	if n := seen.started(former); n != 0 {
		t.Errorf("%d servers of %s were started in between", n, former)
	}
	if after.Status.Version != newest || after.Status.Upgrade != nil || after.Status.ClusterUID != before.Status.ClusterUID || !slices.Equal(w.Founders(), []string{"c-placement-center-0"}) {
		t.Errorf("%+v; founders %v", after.Status, w.Founders())
	}
	for name, uid := range podUIDs(t, w, after) {
		if pods[name] == uid {
			t.Errorf("%s is the pod that there was", name)
		}
	}
	awaitKept(t, w)
	all := backups(t, w)
	if len(all) != 1 || !all[0].Restorable() || all[0].Status.Version != former || len(all[0].OwnerReferences) != 0 {
		t.Fatalf("%d backups: %+v", len(all), all)
	}
	if r := restoresOf(t, w); len(r) != 0 {
		t.Errorf("%d restores were made", len(r))
	}
	var told []string
	for _, e := range w.Events() {
		if slices.Contains([]string{v1alpha1.ReasonUpgradeStopping, v1alpha1.ReasonUpgradeSaving, v1alpha1.ReasonUpgradeStarting, v1alpha1.ReasonUpgraded}, e.Reason) {
			told = append(told, e.Reason)
		}
	}
	if want := []string{v1alpha1.ReasonUpgradeStopping, v1alpha1.ReasonUpgradeSaving, v1alpha1.ReasonUpgradeStarting, v1alpha1.ReasonUpgraded}; !slices.Equal(told, want) {
		t.Errorf("events %v, want %v", told, want)
	}
}

func TestAnUpgradeThatCannotBeSavedStopsNoMemberAndIsTakenBack(t *testing.T) {
	long(t)
	t.Parallel()
	w, bucket, before := ofFormer(t)
	bucket.Faults.Choose(func(r *http.Request) s3test.Fault {
		if r.Method == http.MethodPut {
			return s3test.Denied
		}
		return s3test.None
	})
	pods := podUIDs(t, w, before)
	seen := watchVersions(w, w.AllPods(before), nil)
	w.Apply(manifest(newest, 3, 2, backedUp(bucket)))
	w.AwaitCondition("c", v1alpha1.ConditionDegraded, "True", v1alpha1.ReasonSafetyBackupFailed, "everything starts again as it was")
	for _, name := range w.Pods(before, v1alpha1.RolePlacementCenter) {
		if p := pod(t, w, name); p == nil || p.UID != pods[name] || w.ServerOf(name) == 0 {
			t.Errorf("%s was stopped without a backup", name)
		}
	}
	w.Apply(manifest(former, 3, 2, backedUp(bucket)))
	after := formed(t, w)
	if after.Status.Version != former || after.Status.Upgrade != nil || seen.started(newest) != 0 {
		t.Errorf("version %q, upgrade %+v, %d servers of %s", after.Status.Version, after.Status.Upgrade, seen.started(newest), newest)
	}
	awaitKept(t, w)
}

func TestWhenTheNewVersionDoesNotComeUpNothingIsRestoredAndTheWayOutIsTold(t *testing.T) {
	long(t)
	t.Parallel()
	w, bucket, before := ofFormer(t)
	seen := watchVersions(w, w.AllPods(before), func(version string) bool { return version == newest })
	w.Apply(manifest(newest, 3, 2, backedUp(bucket)))
	w.AwaitFor(2*world.Patience, "servers of the new version", func() (bool, string) { return seen.started(newest) > 3, "none" })
	w.AwaitCondition("c", v1alpha1.ConditionDegraded, "True", "", "spec.bootstrap.restoreFrom")
	w.Apply(manifest(former, 3, 2, backedUp(bucket)))
	w.AwaitCondition("c", v1alpha1.ConditionDegraded, "True", v1alpha1.ReasonSpecInvalid, "VersionForward")
	w.Apply(manifest(newest, 3, 2, backedUp(bucket)))
	w.Stays(5*time.Minute, "nothing is taken for lost", func() (bool, string) {
		for _, x := range w.Cluster("c").Status.Conditions {
			if x.Reason == v1alpha1.ReasonDataLost {
				return false, x.Message
			}
		}
		return len(restoresOf(t, w)) == 0 && seen.started(former) == 0, "restored, or gone back"
	})
	watchVersions(w, nil, nil)
	if after := applied(t, w); after.Status.Version != newest || after.Status.Upgrade != nil || after.Status.ClusterUID != before.Status.ClusterUID {
		t.Errorf("%+v", after.Status)
	}
	awaitKept(t, w)
}

func TestAnOperatorKilledAtEveryWriteOfAnUpgradeThatCannotRollFinishesIt(t *testing.T) {
	long(t)
	t.Parallel()
	w, bucket, before := ofFormer(t)
	seen := watchVersions(w, w.AllPods(before), nil)
	w.Operator().Crash()
	w.Apply(manifest(newest, 3, 2, backedUp(bucket)))
	over := func() bool { return w.Cluster("c").Status.Version == newest }
	n := 0
	for ; !over() && n < 80; n++ {
		op := w.StartOperatorUntil(1)
		w.AwaitFor(2*world.Patience, "the operator's death, or the end", func() (bool, string) { return op.Dead() || over(), "it lives" })
		op.Crash()
	}
	w.StartOperator()
	after := applied(t, w)
	seen.assertNeverMixed(t)
	if all := backups(t, w); len(all) != 1 || seen.started(former) != 0 || after.Status.ClusterUID != before.Status.ClusterUID || len(w.Founders()) != 1 {
		t.Errorf("after %d operators: %d backups, %d servers of %s started, cluster UID %s, then %s; founders %v", n, len(all), seen.started(former), former, before.Status.ClusterUID, after.Status.ClusterUID, w.Founders())
	}
	awaitKept(t, w)
}
