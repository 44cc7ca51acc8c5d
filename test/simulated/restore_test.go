package simulated

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"

	"github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/internal/robustmq"
	"github.com/robustmq/robustmq-operator/test/e2e/messages"
	"github.com/robustmq/robustmq-operator/test/simulated/world"
)

func TestARestoreInPlaceBringsBackWhatWasDeletedTakesAwayWhatCameAfterAndLeavesMessagesAlone(t *testing.T) {
	t.Parallel()
	sent := map[string][]*messages.Traffic{}
	r := rescued(t, world.Options{}, func(r *rescue) {
		r.topic("kept")
		sent["kept"] = append(sent["kept"], r.publish("kept"))
	})
	w := r.w
	sent["kept"] = append(sent["kept"], r.publish("kept")) // after the backup
	r.topic("late")                                        // and a topic that the backup does not know
	r.publish("late")
	before := allTerms(t, w)
	threeGroups(t, before)

	r.restore("undo")
	x := r.complete("undo")
	for topic, traffics := range sent {
		for i, traffic := range traffics {
			w.Await("the messages of "+topic, func() (bool, string) {
				missing, err := w.Missing(memberZero, topic, traffic)
				return err == nil && len(missing) == 0, fmt.Sprintf("traffic %d: %d of %d acknowledged messages are gone: %v %v", i, len(missing), traffic.Acknowledged(), missing, err)
			})
		}
	}
	if _, err := w.Segment(memberZero, "late"); err == nil {
		t.Error("the topic late, which the backup does not know, is still there")
	}
	r.safety("undo")

	first := backupOf(t, w, "first").Status
	s := x.Status
	if s.Source.Key != first.Key || s.Source.ClusterUID != first.ClusterUID || s.Source.Version != newest || !s.Source.RecoveryPoint.Time.Equal(&first.RecoveryPoint.Time) || s.Source.SizeBytes == nil || *s.Source.SizeBytes != *first.SizeBytes ||
		len(s.Source.ManifestSHA256) != 64 {
		t.Errorf("the source is %+v, the backup %+v", s.Source, first)
	}
	if s.Generation != 2 || len(s.Members) != 3 || s.StartTime.IsZero() || s.StoppedTime.IsZero() || s.CompletionTime.IsZero() || s.Awaits != "" || s.Progress.Percent != 100 {
		t.Errorf("%+v", s)
	}
	for _, m := range s.Members {
		if m.Bytes == 0 || m.Generation != 2 || !m.Serving {
			t.Errorf("%+v", m)
		}
	}
	// A member of the same term with another content would not be noticed: the term is new in every group.
	for group, term := range allTerms(t, w) {
		if term <= before[group] {
			t.Errorf("group %s: term %d, before the restore %d", group, term, before[group])
		}
	}
	w.Await("the events", func() (bool, string) {
		told := map[string]int{}
		for _, e := range events(w, v1alpha1.ReasonRestoreComplete) {
			told[e.Object]++
		}
		return maps.Equal(told, map[string]int{"undo": 1, "c": 1}), fmt.Sprint(told)
	})

	// It is over: nothing is written for it again, and the cluster can be saved and goes on.
	settle(t, w)
	writes := len(w.Operator().Writes())
	w.Stays(2*time.Minute, "no write", func() (bool, string) {
		now := w.Operator().Writes()
		return len(now) == writes, fmt.Sprint(now[writes:])
	})
	users(t, w, memberZero, "later", 3)
	back(t, w, "afterwards")
	completed(t, w, "afterwards")
}

// safety checks that the cluster was saved before it was overwritten.
func (r *rescue) safety(name string) {
	r.Helper()
	x := restoreOf(r.T, r.w, name)
	b := backupOf(r.T, r.w, x.Status.SafetyBackupName)
	if b.Name != name+"-safety" || b.Labels[v1alpha1.LabelRestore] != name || !b.Restorable() || !b.Status.CompletionTime.Before(&x.Status.StoppedTime) && !b.Status.CompletionTime.Equal(&x.Status.StoppedTime) {
		r.Errorf("the safety backup %s (%s, %v) of a restore that stopped the cluster at %s", b.Name, why(b), b.Labels, x.Status.StoppedTime)
	}
}

// What was there before a restore is in the safety backup: a restore of that takes the first one back.
func TestARestoreIsTakenBackByARestoreOfItsSafetyBackup(t *testing.T) {
	long(t)
	t.Parallel()
	r := rescued(t, world.Options{})
	r.restore("undo")
	r.complete("undo")
	r.restore("redo", func(s *v1alpha1.RobustMQRestoreSpec) {
		quick(s)
		s.Source.BackupName = "undo-safety"
	})
	awaitRestore(t, r.w, "redo", v1alpha1.RestoreComplete)
	r.has(r.present)
	r.marked(3, "")
}

// clone is the spec of a cluster that begins with the newest backup in a bucket.
func clone(b *world.Bucket) string {
	place := fmt.Sprintf("{bucket: %s, prefix: eu, endpoint: %q, region: us-east-1, pathStyle: true, credentialsSecretName: s3}", world.BucketName, b.URL)
	return fmt.Sprintf("  unsafe: [AllowInsecureS3]\n  bootstrap: {restoreFrom: {destination: %s}}\n", place)
}

func TestANewClusterBeginsWithABackupWhileTheOldOneRunsAndNeverTalksToIt(t *testing.T) {
	t.Parallel()
	old := rescued(t, world.Options{})
	was := allTerms(t, old.w)

	w := env.New(t, world.Options{Seed: 1})
	plantCredentials(t, w)
	watch := watchMixture(w, "c")
	c := form(t, w, manifest(newest, 3, 2, clone(old.bucket)))
	fresh := &rescue{T: t, w: w, bucket: old.bucket, watch: watch}
	fresh.has(old.saved)
	if founders := w.Founders(); len(founders) != 0 {
		t.Errorf("servers that founded a cluster: %v", founders)
	}
	all := restoresOf(t, w)
	if len(all) != 1 || all[0].Name != "c-bootstrap" || all[0].Spec.Trigger != v1alpha1.RestoreBootstrap || len(all[0].OwnerReferences) != 1 || all[0].OwnerReferences[0].UID != c.UID {
		t.Errorf("%+v", all)
	}
	awaitRestore(t, w, "c-bootstrap", v1alpha1.RestoreComplete)
	if other := old.w.Cluster("c"); c.Status.ClusterUID == other.Status.ClusterUID || !c.Status.Founded {
		t.Errorf("the clone is %q, founded %v; the cluster that it was made of %q", c.Status.ClusterUID, c.Status.Founded, other.Status.ClusterUID)
	}

	// What is made in one is not in the other.
	users(t, w, memberZero, "of-the-clone", 3)
	users(t, old.w, memberZero, "of-the-old", 3)
	has := func(w *world.World, name string) bool { return slices.Contains(usersOf(t, w), name) }
	w.Await("the clone's own users alone", func() (bool, string) {
		return has(w, "of-the-clone-2") && !has(w, "of-the-old-2"), fmt.Sprint(usersOf(t, w))
	})
	old.w.Await("the old cluster's own users alone", func() (bool, string) {
		return has(old.w, "of-the-old-2") && !has(old.w, "of-the-clone-2"), fmt.Sprint(usersOf(t, old.w))
	})
	if now := allTerms(t, old.w); !maps.Equal(now, was) {
		t.Errorf("terms of the old cluster: %v, then %v", was, now)
	}

	// Nobody of either ever looked for the other, by name or address.
	for _, pair := range [][2]*world.World{{w, old.w}, {old.w, w}} {
		here, there := pair[0], pair[1]
		addresses := map[string]bool{}
		for _, pod := range there.AllPods(c) {
			addresses[there.Kubelet.AddressOf(pod)] = true
		}
		asked := here.Network.Asked()
		if !slices.ContainsFunc(asked, func(what string) bool { return strings.Contains(what, "."+here.Namespace+".") }) {
			t.Errorf("%s looked for nobody of its own: %v", here.Namespace, asked)
		}
		for _, what := range asked {
			if strings.Contains(what, "."+there.Namespace+".") || addresses[what] {
				t.Errorf("somebody of %s looked for %s, which is of %s", here.Namespace, what, there.Namespace)
			}
		}
	}
	// One leader of all groups, at once: no election was needed.
	for _, group := range robustmq.Groups {
		if term := allTerms(t, w)[group]; term != was[group]+1 {
			t.Errorf("group %s of the clone is in term %d; the backup's was %d, and the vote for the next one was given to every member", group, term, was[group])
		}
	}

	// The source is consumed: when every volume is lost later, it is not what the cluster goes back to. Nobody is asked, and nothing is founded.
	wipeAll(t, w)
	w.AwaitCondition("c", v1alpha1.ConditionReady, "False", v1alpha1.ReasonDataLost, "")
	w.Stays(150*time.Second, "no other restore, and no server", func() (bool, string) {
		for _, pod := range w.Pods(c, v1alpha1.RolePlacementCenter) {
			if w.Marker(pod) != nil || w.ServerOf(pod) != 0 {
				return false, fmt.Sprintf("%s: %+v", pod, w.Marker(pod))
			}
		}
		return len(restoresOf(t, w)) == 1 && len(w.Founders()) == 0, fmt.Sprint(restoresOf(t, w), w.Founders())
	})
	old.has(append(slices.Clone(old.present), "of-the-old-0", "of-the-old-1", "of-the-old-2"))
}

// wipeAll loses every volume of the placement centre at once.
func wipeAll(t *testing.T, w *world.World) {
	t.Helper()
	// A server that is started again while its disk is being emptied founds something of its own: on a real disk the mount is gone first.
	w.Operator().Crash()
	stopServers(t, w)
	for _, pod := range w.Pods(w.Cluster("c"), v1alpha1.RolePlacementCenter) {
		w.Wipe(pod)
		w.Kubelet.Crash(pod) // what was stopped by hand starts again with its agent
	}
	w.StartOperator()
}

// AllowFewerNodes and a placement centre of another size are not the same: voters are those of the backup, and members beyond them join afterwards.
func TestANewClusterWithMoreMembersThanTheBackupHasIsWholeInTheEnd(t *testing.T) {
	long(t)
	t.Parallel()
	old := rescued(t, world.Options{})
	w := env.New(t, world.Options{Seed: 1, Nodes: 5})
	plantCredentials(t, w)
	fresh := &rescue{T: t, w: w, bucket: old.bucket, watch: watchMixture(w, "c")}
	fresh.watch.restored = 3
	form(t, w, manifest(newest, 5, 3, clone(old.bucket)))
	fresh.has(old.saved)
	if !meta.IsStatusConditionTrue(w.Cluster("c").Status.Conditions, v1alpha1.ConditionQuorumHealthy) {
		t.Error(w.Describe())
	}
}
