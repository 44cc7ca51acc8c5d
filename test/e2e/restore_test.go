//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/test/e2e/bed"
	"github.com/robustmq/robustmq-operator/test/e2e/live"
)

// savedScene is a cluster with users, a topic with messages, and a backup called "first" of both; then come more users.
func savedScene(t *testing.T, name string) (s *scene, c *v1alpha1.RobustMQCluster, s3 bed.S3, inBackup []string) {
	t.Helper()
	s, c, s3 = planned(t, name, bed.MinIO, nil)
	s.makeUsers("old", 30)
	s.messages("e2e/" + name)
	inBackup = s.users()
	s.ask("first", v1alpha1.RobustMQBackupSpec{})
	s.complete("first", s3, 2*time.Minute)
	s.makeUsers("new", 10)
	return s, c, s3, inBackup
}

// takeBack is the step of TestOnePass: what was done to the users since the backup is undone by a restore of it.
func (s *scene) takeBack() {
	s.Helper()
	want := s.users()
	s.must(s.access().Admin(0).DeleteUser(s.Context(), "kept-0"))
	s.makeUsers("late", 1)
	begin := time.Now()
	s.askRestore("take-back", v1alpha1.RobustMQRestoreSpec{Source: v1alpha1.RestoreSource{BackupName: "by-hand"}})
	x := s.follow("take-back", 4*time.Minute)
	s.isComplete(x.restore)
	s.ready(2 * time.Minute)
	figures.add("restored in place, from the RobustMQRestore to Ready", "%.1f s: %v", time.Since(begin).Seconds(), x.stages)
	s.hasUsers(want)
	s.fullLists(time.Minute)
}

// TestEveryVolumeWipedTheClusterComesBackByItselfFromTheBucket: nobody does anything after the loss.
func TestEveryVolumeWipedTheClusterComesBackByItselfFromTheBucket(t *testing.T) {
	onlyLong(t)
	onBed(t)
	s, _, _, want := savedScene(t, "lost")
	generation := max(s.cluster().Status.Generation, 1)
	begin := s.wipe(0, 1, 2)
	name := fmt.Sprintf("lost-loss-%d", generation)
	s.must(live.Until(t.Context(), "the restore that nobody asked for", 250*time.Millisecond, 6*time.Minute, func(ctx context.Context) (bool, string, error) {
		all := s.restores(ctx)
		return len(all) == 1 && all[0].Name == name && all[0].Spec.Trigger == v1alpha1.RestoreTotalLoss, fmt.Sprintf("%d restores; %s", len(all), live.Summary(s.cluster())), nil
	}))
	noticed := time.Since(begin)
	x := s.follow(name, 10*time.Minute)
	s.ready(3 * time.Minute)
	figures.add("every volume of the placement centre wiped, from the power cut to Ready", "%.1f s; the restore was begun after %.1f s", time.Since(begin).Seconds(), noticed.Seconds())
	s.isComplete(x.restore)
	s.fullLists(time.Minute)
	s.hasUsers(want)
	s.sameKeys("a restore after the loss of every volume")
	s.messages("e2e/lost")
	if n := len(s.restores(t.Context())); n != 1 {
		t.Errorf("%d restores for one loss", n)
	}
	told := map[string]int32{}
	for _, e := range s.events() {
		told[e.Reason] += e.Count
	}
	if told[v1alpha1.ReasonAutoRestore] != 1 || told[v1alpha1.ReasonFounded] != 1 {
		t.Errorf("events: %v; want %s once, and %s once, long ago", told, v1alpha1.ReasonAutoRestore, v1alpha1.ReasonFounded)
	}
}

// TestUsersAndTopicsDeletedByMistakeAreRestoredInPlaceAndNoMessageIsLost: messages are not part of a backup, and those of topics that stayed are read as before.
func TestUsersAndTopicsDeletedByMistakeAreRestoredInPlaceAndNoMessageIsLost(t *testing.T) {
	onlyLong(t)
	s, _, _, want := savedScene(t, "undone")
	topics := s.topics()
	s.undo(want, topics, "e2e/undone")
}

// undo deletes users, sends messages, makes a topic and deletes one, and takes all back by a restore of the backup "first".
func (s *scene) undo(users, topics []string, topic string) {
	s.Helper()
	access := s.access()
	for i := range 20 {
		s.must(access.Admin(0).DeleteUser(s.Context(), fmt.Sprintf("old-%d", i)))
	}
	s.messages(topic) // after the backup
	sent := s.read(topic)
	if len(sent) != 40 {
		s.Fatalf("%d messages in %s, 20 of before the backup and 20 of after it are wanted", len(sent), topic)
	}
	s.topic(access, "e2e/after")
	begin := time.Now()
	s.askRestore("undo", v1alpha1.RobustMQRestoreSpec{Source: v1alpha1.RestoreSource{BackupName: "first"}})
	x := s.follow("undo", 8*time.Minute)
	s.isComplete(x.restore)
	s.ready(2 * time.Minute)
	away := x.restore.Status.CompletionTime.Sub(x.restore.Status.StoppedTime.Time)
	figures.add("restored in place, from the RobustMQRestore to Ready", "%.1f s, of which clients were turned away %.0f s; safety backup %s", time.Since(begin).Seconds(), away.Seconds(), x.restore.Status.SafetyBackupName)
	s.hasUsers(users)
	if got := s.topics(); !slices.Equal(got, topics) {
		s.Errorf("topics %v, wanted %v", got, topics)
	}
	if got := s.read(topic); !slices.Equal(got, sent) {
		s.Errorf("%d messages of %s can be read, %d could before", len(got), topic, len(sent))
	}
	if b := s.saved(x.restore.Status.SafetyBackupName); !b.Restorable() {
		s.Errorf("the safety backup: %s", said(b))
	}
	s.fullLists(time.Minute)
	s.sameKeys("a restore in place")
	s.messages(topic)
}

// TestACloneInAnotherNamespaceLivesBesideTheClusterThatItWasMadeOf: other name, other namespace, other addresses, the same data; and neither ever talks to the other.
func TestACloneInAnotherNamespaceLivesBesideTheClusterThatItWasMadeOf(t *testing.T) {
	onlyLong(t)
	onBed(t)
	s, c, _, want := savedScene(t, "original")
	before := s.terms(s.leader())

	clone := newScene(t, "clone")
	clone.s3(bed.MinIO)
	fresh := small("clone")
	place := c.Spec.Backup.Destination
	fresh.Spec.Bootstrap = &v1alpha1.BootstrapSpec{RestoreFrom: &v1alpha1.RestoreSource{Destination: &place}}
	begin := time.Now()
	sockets := watchSockets(t, s.name.Namespace, clone.name.Namespace)
	clone.apply(fresh)
	clone.ready(8 * time.Minute)
	figures.add("clone into another namespace, from apply to Ready", "%.1f s", time.Since(begin).Seconds())
	x := clone.restores(t.Context())
	if len(x) != 1 || x[0].Name != "clone-bootstrap" || x[0].Status.Stage != v1alpha1.RestoreComplete {
		t.Errorf("restores in the namespace of the clone: %v", x)
	}
	clone.hasUsers(want)
	clone.fullLists(time.Minute)
	clone.sameKeys("the clone was made")
	clone.messages("e2e/original")

	// Each is its own.
	clone.makeUsers("of-the-clone", 3)
	s.makeUsers("of-the-original", 3)
	if both := s.users(); slices.Contains(both, "of-the-clone-0") || !slices.Contains(both, "of-the-original-2") {
		t.Errorf("users of the original: %v", both)
	}
	if both := clone.users(); slices.Contains(both, "of-the-original-0") || !slices.Contains(both, "of-the-clone-2") {
		t.Errorf("users of the clone: %v", both)
	}
	if s.cluster().Status.ClusterUID == clone.cluster().Status.ClusterUID {
		t.Error("both have one cluster UID")
	}
	s.messages("e2e/original")
	s.sameTerms(before, s.terms(s.leader()))
	s.quietFor(20 * time.Second)
	sockets.stop()
	figures.add("connections between the clone and its original", "%d of %d that were seen in %d looks at every pod", len(sockets.between), sockets.seen, sockets.looks)
	for _, line := range sockets.between {
		t.Error(line)
	}
	if sockets.seen == 0 || sockets.pods < 10 {
		t.Errorf("%d connections were seen in %d pods: the look is not one", sockets.seen, sockets.pods)
	}
}

// TestWhatLivesIsTheSourceAndNotTheBucket: while one copy of the metadata is left, it has what was acknowledged since the backup.
func TestWhatLivesIsTheSourceAndNotTheBucket(t *testing.T) {
	onlyLong(t)
	onBed(t)
	s, _, _, _ := savedScene(t, "living")
	want := s.users()
	for _, x := range []struct {
		what     string
		ordinals []int
		within   time.Duration
	}{{"one volume wiped, with a backup in the bucket", []int{1}, 5 * time.Minute}, {"two of three volumes wiped, with a backup in the bucket", []int{1, 2}, 12 * time.Minute}} {
		begin := s.wipe(x.ordinals...)
		s.await("the loss noticed", 2*time.Minute, func(c *v1alpha1.RobustMQCluster) bool { return !live.IsReady(c) })
		s.members(int32(3), x.within)
		figures.add(x.what+", from the power cut to Ready", "%.1f s", time.Since(begin).Seconds())
		s.hasUsers(want)
		s.sameKeys(x.what)
		if all := s.restores(t.Context()); len(all) != 0 {
			t.Errorf("%s: restored from the bucket: %s", x.what, saidRestore(&all[0]))
		}
		s.fullLists(time.Minute)
	}
	s.messages("e2e/living")
}

// TestWithoutABackupALossIsSaidAndTheClusterStartsEmptyWhenItIsTold: nothing is founded behind anybody's back.
func TestWithoutABackupALossIsSaidAndTheClusterStartsEmptyWhenItIsTold(t *testing.T) {
	onlyLong(t)
	onBed(t)
	s := newScene(t, "empty")
	s.apply(small("empty"))
	s.ready(3 * time.Minute)
	s.makeUsers("old", 3)
	s.wipe(0, 1, 2)
	s.says(6*time.Minute, v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.ReasonDataLost, v1alpha1.AnnotationStartEmpty)
	c := s.cluster()
	_, err := k8s.Kubectl(t.Context(), nil, "annotate", "rmqc", s.name.Name, "-n", s.name.Namespace, fmt.Sprintf("%s=%d", v1alpha1.AnnotationStartEmpty, max(c.Status.Generation, 1)))
	s.must(err)
	s.await("Ready again", 6*time.Minute, func(now *v1alpha1.RobustMQCluster) bool {
		return live.IsReady(now) && now.Status.Generation > c.Status.Generation
	})
	if users := s.users(); slices.Contains(users, "old-0") {
		t.Errorf("users %v in a cluster that began empty", users)
	}
	s.fullLists(time.Minute)
	s.messages("e2e/empty")
}
