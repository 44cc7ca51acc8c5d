//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/backup/archive"
	"github.com/robustmq/robustmq-operator/test/e2e/bed"
	"github.com/robustmq/robustmq-operator/test/e2e/live"
)

// bucket of all end-to-end tests; every scene has a prefix of its own in it.
const bucket = "e2e"

// s3 is a server of the bed with the bucket; the namespace gets the Secrets by which it is reached.
func (s *scene) s3(server string) bed.S3 {
	s.Helper()
	if !theBed.IsUp(s.Context()) {
		s.Skip("needs the bed: its S3 servers")
	}
	s3, err := theBed.S3(s.Context(), server)
	s.must(err)
	s.must(s3.MakeBucket(s.Context(), bucket))
	for _, secret := range s3.Secrets(s.name.Namespace) {
		err := k8s.Create(s.Context(), secret)
		if apierrors.IsAlreadyExists(err) {
			err = k8s.Update(s.Context(), secret)
		}
		s.must(err)
	}
	return s3
}

// place is where this run of the scene saves to. A namespace that is made anew begins anew in the bucket, too.
func (s *scene) place(s3 bed.S3) v1alpha1.S3Destination {
	s.Helper()
	var ns corev1.Namespace
	s.must(k8s.Get(s.Context(), client.ObjectKey{Name: s.name.Namespace}, &ns))
	return s3.Destination(bucket, s.name.Name+"/"+string(ns.UID)[:8])
}

// storage waits until the probe of the destination that the spec names has ended well.
func (s *scene) storage(within time.Duration) time.Duration {
	s.Helper()
	begin := time.Now()
	s.await("StorageReady", within, func(c *v1alpha1.RobustMQCluster) bool {
		ready := meta.FindStatusCondition(c.Status.Conditions, v1alpha1.ConditionStorageReady)
		return ready != nil && ready.Status == metav1.ConditionTrue && ready.ObservedGeneration == c.Generation
	})
	return time.Since(begin)
}

// ask applies a RobustMQBackup as a user does.
func (s *scene) ask(name string, spec v1alpha1.RobustMQBackupSpec) {
	s.Helper()
	spec.ClusterName = s.name.Name
	text, err := yaml.Marshal(map[string]any{"apiVersion": v1alpha1.GroupVersion.String(), "kind": "RobustMQBackup", "metadata": map[string]any{"name": name}, "spec": spec})
	s.must(err)
	_, err = k8s.Kubectl(s.Context(), strings.NewReader(string(text)), "apply", "-n", s.name.Namespace, "-f", "-")
	s.must(err)
}

// saved reads a backup.
func (s *scene) saved(name string) *v1alpha1.RobustMQBackup {
	s.Helper()
	var b v1alpha1.RobustMQBackup
	s.must(k8s.Get(s.Context(), client.ObjectKey{Namespace: s.name.Namespace, Name: name}, &b))
	return &b
}

// ended waits until a backup is Complete or has failed.
func (s *scene) ended(name string, within time.Duration) *v1alpha1.RobustMQBackup {
	s.Helper()
	var b *v1alpha1.RobustMQBackup
	s.must(live.Until(s.Context(), "backup "+name+" has ended", 250*time.Millisecond, within, func(context.Context) (bool, string, error) {
		b = s.saved(name)
		return b.Ended(), said(b), nil
	}))
	return b
}

// complete waits until a backup is complete, and compares it with what is in the bucket.
func (s *scene) complete(name string, s3 bed.S3, within time.Duration) (*v1alpha1.RobustMQBackup, archive.Backup) {
	s.Helper()
	b := s.ended(name, within)
	if !b.Restorable() {
		s.Fatalf("backup %s: %s", name, said(b))
	}
	return b, s.inTheBucket(b, s3)
}

// said is what a backup says of itself, in one line.
func said(b *v1alpha1.RobustMQBackup) string {
	line := fmt.Sprintf("%s %s", b.Status.Stage, b.Status.Progress.Summary)
	if c := meta.FindStatusCondition(b.Status.Conditions, v1alpha1.ConditionComplete); c != nil {
		line += fmt.Sprintf(" (%s: %s)", c.Reason, c.Message)
	}
	return line
}

// archive is the cluster's folder in the bucket, read without the product's Jobs.
func (s *scene) archive(d v1alpha1.S3Destination, uid string, s3 bed.S3) *archive.Archive {
	s.Helper()
	objects, err := s3.Store(d.Bucket)
	s.must(err)
	a, err := archive.New(objects, d.Prefix, uid)
	s.must(err)
	return a
}

// inTheBucket reads all of a backup that says it is complete, from outside of the cluster, and compares it with what its status says.
func (s *scene) inTheBucket(b *v1alpha1.RobustMQBackup, s3 bed.S3) archive.Backup {
	s.Helper()
	if b.Status.Destination == nil || b.Status.SizeBytes == nil || b.Status.UploadedBytes == nil {
		s.Fatalf("a backup that is complete has destination, sizeBytes and uploadedBytes: %+v", b.Status)
	}
	a := s.archive(*b.Status.Destination, b.Status.ClusterUID, s3)
	id := path.Base(path.Dir(b.Status.Key))
	found, err := a.Read(s.Context(), id)
	s.must(err)
	m := found.Manifest
	s.must(a.Verify(s.Context(), &m, archive.Full, "", nil))
	if a.ManifestKey(id) != b.Status.Key || m.Name != b.Name || m.Size() != *b.Status.SizeBytes || m.Cluster.UID != b.Status.ClusterUID || m.Member.Pod != b.Status.Source.Pod {
		s.Errorf("status %+v, and in the bucket %s: %+v", b.Status, a.ManifestKey(id), m)
	}
	if len(m.Groups) != 3 || len(b.Status.RecoveryPoint.Groups) != 3 {
		s.Errorf("raft groups in the manifest %+v, in the status %+v: 3 are wanted", m.Groups, b.Status.RecoveryPoint.Groups)
	}
	return found
}

// verifyOffline asks the command that people use when the cluster is gone.
func (s *scene) verifyOffline(b *v1alpha1.RobustMQBackup, s3 bed.S3) {
	s.Helper()
	s.offline(s3, "verify", path.Base(path.Dir(b.Status.Key)), "--bucket", b.Status.Destination.Bucket, "--prefix", b.Status.Destination.Prefix)
}

// offline is robustmq-operator backup, which needs no cluster.
func (s *scene) offline(s3 bed.S3, args ...string) {
	s.Helper()
	archives := strings.Fields(os.Getenv("E2E_ARCHIVES"))
	if len(archives) == 0 {
		s.Skip("E2E_ARCHIVES names no images, and so no operator that was built with them")
	}
	ca := filepath.Join(s.TempDir(), "ca.crt")
	s.must(os.WriteFile(ca, s3.CA, 0o600))
	args = append([]string{"backup"}, append(args, "--endpoint", s3.FromHere, "--path-style", "--region", s3.Region, "--ca-file", ca)...)
	cmd := exec.CommandContext(s.Context(), filepath.Join(filepath.Dir(archives[0]), "bin", "operator"), args...)
	cmd.Env = append(os.Environ(), "AWS_ACCESS_KEY_ID="+s3.AccessKey, "AWS_SECRET_ACCESS_KEY="+string(s3.SecretKey))
	if out, err := cmd.CombinedOutput(); err != nil {
		s.Errorf("robustmq-operator %s: %v: %s", strings.Join(args, " "), err, out)
	}
}

// gone waits until an object is no more.
func (s *scene) gone(o client.Object, within time.Duration) {
	s.Helper()
	s.must(live.Until(s.Context(), o.GetName()+" is gone", 250*time.Millisecond, within, func(ctx context.Context) (bool, string, error) {
		err := k8s.Get(ctx, client.ObjectKeyFromObject(o), o)
		return apierrors.IsNotFound(err), fmt.Sprintf("finalizers %v, %v", o.GetFinalizers(), err), nil
	}))
}

// nothingStaged waits until no agent holds an image for a Job, and no Job of a backup runs.
func (s *scene) nothingStaged(within time.Duration) {
	s.Helper()
	s.must(live.Until(s.Context(), "nothing of a backup is left", time.Second, within, func(ctx context.Context) (bool, string, error) {
		var left []string
		for i := range 3 {
			state, err := s.state(ctx, s.member(i))
			if err != nil {
				return false, err.Error(), nil
			}
			if state.Images.Image != nil || state.Images.StagingBytes > 0 {
				left = append(left, fmt.Sprintf("%s holds an image, and %d bytes for it", s.member(i).Name, state.Images.StagingBytes))
			}
		}
		var jobs batchv1.JobList
		if err := k8s.List(ctx, &jobs, client.InNamespace(s.name.Namespace), client.HasLabels{v1alpha1.LabelBackup}); err != nil {
			return false, "", err
		}
		for _, j := range jobs.Items {
			if j.Status.Active > 0 {
				left = append(left, "Job "+j.Name+" runs")
			}
		}
		slices.Sort(left)
		return len(left) == 0, strings.Join(left, "; "), nil
	}))
}
