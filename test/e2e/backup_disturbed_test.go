//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/backup/archive"
	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
	"github.com/robustmq/robustmq-operator/test/e2e/bed"
	"github.com/robustmq/robustmq-operator/test/e2e/live"
)

// slowly is how long the upload of a backup shall last while it is disturbed.
const slowly = 8 * time.Second

// TestABackupThatIsDisturbedIsNeverWronglyComplete takes everything that a backup needs away from it, in each of its stages: it ends as Failed, or as Complete and then everything is in the
// bucket; nothing of it stays behind, and the next one works.
func TestABackupThatIsDisturbedIsNeverWronglyComplete(t *testing.T) {
	onlyLong(t)
	s := newScene(t, "disturbed")
	s3 := s.s3(bed.MinIO)
	way := s.narrowWay(s3)
	c := small("disturbed")
	d := s.place(s3)
	d.Endpoint = "https://" + way.Address()
	c.Spec.Backup = &v1alpha1.BackupSpec{Destination: d}
	s.apply(c)
	s.ready(3 * time.Minute)
	s.messages("e2e/disturbed")
	s.storage(time.Minute)
	s.ask("undisturbed", v1alpha1.RobustMQBackupSpec{})
	b, _ := s.complete("undisturbed", s3, 2*time.Minute)
	rate := max(int(float64(*b.Status.SizeBytes)/slowly.Seconds()), 2<<10)

	for _, victim := range victims(s3) {
		for _, stage := range []protocol.ImageStage{protocol.StageStaging, protocol.StageUploading, protocol.StageVerifying} {
			name := strings.ToLower(victim.name + "-" + string(stage))
			t.Run(name, func(t *testing.T) {
				s := &scene{T: t, name: s.name, pool: s.pool}
				way.Widen(rate)
				s.ask(name, v1alpha1.RobustMQBackupSpec{})
				var source client.ObjectKey
				var hit protocol.ImageStage
				thaw := func() {}
				if stage == protocol.StageStaging {
					source, hit, thaw = s.staging(name, 2*time.Minute)
				} else {
					source, hit = s.reaches(name, stage, 2*time.Minute)
				}
				begin := time.Now()
				mend := victim.strike(s, name, source)
				thaw()
				way.Widen(0)
				mend()
				b := s.ended(name, 5*time.Minute)
				took := time.Since(begin)
				s.honest(b, s3)
				s.nothingStaged(protocol.ImageLease + time.Minute)
				figures.add(fmt.Sprintf("%s taken away while %s", victim.name, strings.ToLower(string(stage))), "hit while %s; %s after %.0f s, nothing left after %.0f s", hit, outcome(b), took.Seconds(), time.Since(begin).Seconds())
				s.ready(3 * time.Minute)
			})
		}
	}
	s.ask("afterwards", v1alpha1.RobustMQBackupSpec{})
	s.complete("afterwards", s3, 2*time.Minute)
}

func (s *scene) narrowWay(s3 bed.S3) *bed.Narrow {
	s.Helper()
	endpoint, err := url.Parse(s3.FromHere)
	s.must(err)
	host, _, err := net.SplitHostPort(endpoint.Host)
	s.must(err)
	way, err := bed.Open(host, endpoint.Host, 0)
	s.must(err)
	s.Cleanup(func() { _ = way.Close() })
	return way
}

// A victim is what is taken away. strike returns what brings it back, where that does not happen by itself.
type victim struct {
	name   string
	strike func(s *scene, backup string, source client.ObjectKey) (mend func())
}

func victims(s3 bed.S3) []victim {
	nothing := func() {}
	own := func(s *scene, backup string) []client.ListOption {
		return []client.ListOption{client.InNamespace(s.name.Namespace), client.MatchingLabels{v1alpha1.LabelBackup: backup}}
	}
	return []victim{
		{"pod-of-the-job", func(s *scene, backup string, _ client.ObjectKey) func() {
			var pods corev1.PodList
			s.must(k8s.List(s.Context(), &pods, own(s, backup)...))
			for i := range pods.Items {
				s.must(client.IgnoreNotFound(k8s.Delete(s.Context(), &pods.Items[i], client.GracePeriodSeconds(0))))
			}
			return nothing
		}},
		{"job", func(s *scene, backup string, _ client.ObjectKey) func() {
			var jobs batchv1.JobList
			s.must(k8s.List(s.Context(), &jobs, own(s, backup)...))
			for i := range jobs.Items {
				s.must(client.IgnoreNotFound(k8s.Delete(s.Context(), &jobs.Items[i], client.PropagationPolicy(metav1.DeletePropagationBackground))))
			}
			return nothing
		}},
		{"agent", func(s *scene, _ string, source client.ObjectKey) func() {
			p := s.getPod(source)
			s.must(theBed.KillContainer(s.Context(), p.Spec.NodeName, p.Status.ContainerStatuses[0].ContainerID))
			return nothing
		}},
		{"source-pod", func(s *scene, _ string, source client.ObjectKey) func() {
			s.must(k8s.Delete(s.Context(), s.getPod(source), client.GracePeriodSeconds(0)))
			return nothing
		}},
		{"minio", func(s *scene, _ string, _ client.ObjectKey) func() {
			s.must(theBed.EndS3(s.Context(), bed.MinIO))
			return func() {
				s.quietFor(5 * time.Second)
				again, err := theBed.S3(s.Context(), bed.MinIO)
				s.must(err)
				if again.Endpoint != s3.Endpoint {
					s.Errorf("MinIO came back as %s", again.Endpoint)
				}
			}
		}},
	}
}

// reaches waits until the Job of a backup tells the agent that it copies from that it is in a stage, or beyond; it says which member that is, and in which stage the backup was seen.
func (s *scene) reaches(backup string, stage protocol.ImageStage, within time.Duration) (source client.ObjectKey, seen protocol.ImageStage) {
	s.Helper()
	order := []protocol.ImageStage{protocol.StageStaging, protocol.StageUploading, protocol.StageVerifying}
	s.must(live.Until(s.Context(), fmt.Sprintf("backup %s is %s", backup, stage), 50*time.Millisecond, within, func(ctx context.Context) (bool, string, error) {
		b := s.saved(backup)
		if b.Ended() {
			return false, "", fmt.Errorf("it has ended already: %s", said(b))
		}
		if b.Status.Source.Pod == "" {
			return false, said(b), nil
		}
		source = client.ObjectKey{Namespace: s.name.Namespace, Name: b.Status.Source.Pod}
		state, err := s.state(ctx, source)
		if err != nil || state.Images.Image == nil || state.Images.Image.Progress == nil {
			return false, fmt.Sprintf("%s; nothing is told yet (%v)", said(b), err), nil
		}
		seen = state.Images.Image.Progress.Stage
		return slices.Index(order, seen) >= slices.Index(order, stage), string(seen), nil
	}))
	return source, seen
}

// staging holds a backup in the stage in which its Job has asked for an image and has none: the agent that it copies from is stopped before the Job runs, because an image of so little takes
// milliseconds. thaw lets the agent go on, if it still lives.
func (s *scene) staging(backup string, within time.Duration) (source client.ObjectKey, seen protocol.ImageStage, thaw func()) {
	s.Helper()
	var agent *corev1.Pod
	s.must(live.Until(s.Context(), fmt.Sprintf("backup %s has a source", backup), 20*time.Millisecond, within, func(context.Context) (bool, string, error) {
		b := s.saved(backup)
		source = client.ObjectKey{Namespace: s.name.Namespace, Name: b.Status.Source.Pod}
		return source.Name != "", said(b), nil
	}))
	agent = s.getPod(source)
	container := agent.Status.ContainerStatuses[0].ContainerID
	s.must(theBed.FreezeContainer(s.Context(), agent.Spec.NodeName, container))
	thaw = func() { _ = theBed.ThawContainer(context.WithoutCancel(s.Context()), agent.Spec.NodeName, container) }
	s.Cleanup(thaw)
	s.must(live.Until(s.Context(), fmt.Sprintf("the Job of backup %s runs", backup), 50*time.Millisecond, within, func(context.Context) (bool, string, error) {
		b := s.saved(backup)
		if b.Ended() {
			return false, "", fmt.Errorf("it has ended already: %s", said(b))
		}
		return b.Status.Stage == v1alpha1.BackupStaging, said(b), nil
	}))
	s.quietFor(2 * time.Second) // its question is on its way
	if stage := s.saved(backup).Status.Stage; stage != v1alpha1.BackupStaging {
		s.Fatalf("%s is %s while the agent of %s is stopped", backup, stage, source.Name)
	}
	return source, protocol.StageStaging, thaw
}

func outcome(b *v1alpha1.RobustMQBackup) string {
	if c := meta.FindStatusCondition(b.Status.Conditions, v1alpha1.ConditionComplete); c != nil {
		return fmt.Sprintf("%s (%s)", b.Status.Stage, c.Reason)
	}
	return string(b.Status.Stage)
}

// honest compares what a backup says of itself with the bucket.
func (s *scene) honest(b *v1alpha1.RobustMQBackup, s3 bed.S3) {
	s.Helper()
	if b.Restorable() {
		s.inTheBucket(b, s3)
		return
	}
	c := meta.FindStatusCondition(b.Status.Conditions, v1alpha1.ConditionComplete)
	if c == nil || c.Reason == "" || c.Message == "" {
		s.Errorf("it failed and says not why: %+v", b.Status)
	}
	a := s.archive(s.cluster().Spec.Backup.Destination, s.cluster().Status.ClusterUID, s3)
	all, err := a.List(s.Context())
	s.must(err)
	for _, found := range all {
		if found.Manifest.Name != b.Name {
			continue
		}
		// A Job that is taken away may have finished before its pod was told to end, and then nobody saw its result: the manifest may be there, and then all else is.
		s.must(a.Verify(s.Context(), &found.Manifest, archive.Full, "", nil))
		figures.add(b.Name+" has failed", "%s, and whole it is in the bucket", outcome(b))
	}
}
