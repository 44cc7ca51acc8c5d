//go:build e2e

package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/test/e2e/bed"
)

// backUp is the step of TestOnePass: the cluster gets a destination, and a backup of it is in the bucket.
func (s *scene) backUp(c *v1alpha1.RobustMQCluster) {
	s.Helper()
	s3 := s.s3(bed.MinIO)
	c.Spec.Backup = &v1alpha1.BackupSpec{Destination: s.place(s3)}
	s.apply(c)
	s.makeUsers("kept", 2)
	begin := time.Now()
	s.ask("by-hand", v1alpha1.RobustMQBackupSpec{Verification: v1alpha1.VerificationFull})
	b, found := s.complete("by-hand", s3, time.Minute)
	figures.add("backup to MinIO, from apply to Complete", "%.1f s, %s", time.Since(begin).Seconds(), b.Status.Size)
	if found.Manifest.Counts["topics"] < 1 || found.Manifest.Counts["users"] < 1 {
		s.Errorf("counts in the manifest: %v; there are a user and a topic", found.Manifest.Counts)
	}
	s.verifyOffline(b, s3)
	figures.add("StorageReady after the backup", "%.1f s", s.storage(time.Minute).Seconds())
}

// plan is a Ready cluster of a scene of its own, with a destination and schedules.
func planned(t *testing.T, name, server string, change func(*v1alpha1.RobustMQCluster)) (*scene, *v1alpha1.RobustMQCluster, bed.S3) {
	t.Helper()
	s := newScene(t, name)
	s3 := s.s3(server)
	c := small(name)
	c.Spec.Backup = &v1alpha1.BackupSpec{Destination: s.place(s3)}
	if change != nil {
		change(c)
	}
	s.apply(c)
	s.ready(3 * time.Minute)
	return s, c, s3
}

func TestBackupsReachEveryServerInEveryStyle(t *testing.T) {
	onlyLong(t)
	s, c, minio := planned(t, "styles", bed.MinIO, nil)
	s.messages("e2e/styles")
	versitygw, err := theBed.S3(t.Context(), bed.Versitygw)
	s.must(err)
	s.must(versitygw.MakeBucket(t.Context(), bucket))
	s.webIdentity(minio)
	base := s.place(minio).Prefix

	for _, way := range []struct {
		name   string
		s3     bed.S3
		change func(*v1alpha1.S3Destination)
	}{
		{"minio-path", minio, func(*v1alpha1.S3Destination) {}},
		{"minio-host", minio, func(d *v1alpha1.S3Destination) { d.PathStyle = false }},
		{"minio-web-identity", minio, func(d *v1alpha1.S3Destination) {
			d.CredentialsSecretName, d.ServiceAccountName = "", webIdentityAccount
		}},
		{"minio-web-identity-host", minio, func(d *v1alpha1.S3Destination) {
			d.PathStyle, d.CredentialsSecretName, d.ServiceAccountName = false, "", webIdentityAccount
		}},
		{"versitygw-path", versitygw, func(*v1alpha1.S3Destination) {}},
		{"versitygw-host", versitygw, func(d *v1alpha1.S3Destination) { d.PathStyle = false }},
	} {
		t.Run(way.name, func(t *testing.T) {
			s := &scene{T: t, name: s.name, pool: s.pool}
			d := way.s3.Destination(bucket, base+"/"+way.name)
			way.change(&d)
			c.Spec.Backup.Destination = d
			s.apply(c)
			probed := s.storage(2 * time.Minute)
			begin := time.Now()
			s.ask(way.name, v1alpha1.RobustMQBackupSpec{Verification: v1alpha1.VerificationFull, DeletionPolicy: v1alpha1.BackupDeleted})
			b, _ := s.complete(way.name, way.s3, 2*time.Minute)
			figures.add("backup, "+way.name, "StorageReady after %.1f s, Complete after %.1f s, %s", probed.Seconds(), time.Since(begin).Seconds(), b.Status.Size)

			// Its deletion takes it out of the bucket.
			s.must(k8s.Delete(t.Context(), b))
			s.gone(b, 2*time.Minute)
			left, err := s.archive(d, b.Status.ClusterUID, way.s3).List(t.Context())
			if err != nil || len(left) != 0 {
				t.Errorf("after its deletion the bucket holds %d backups, %v", len(left), err)
			}
		})
	}
}

func TestASecondBackupUploadsOnlyWhatIsNew(t *testing.T) {
	onlyLong(t)
	s, _, s3 := planned(t, "second", bed.MinIO, nil)
	s.messages("e2e/second")
	var sizes [2]v1alpha1.RobustMQBackupStatus
	for i, name := range []string{"first", "second"} {
		s.ask(name, v1alpha1.RobustMQBackupSpec{})
		b, _ := s.complete(name, s3, 2*time.Minute)
		sizes[i] = b.Status
		if i == 0 {
			// What is in the log is in a table after a restart of the member that the next backup is taken from; all are restarted, as any may be.
			for m := range 3 {
				s.killPod("member", s.member(m))
			}
		}
	}
	figures.add("uploaded by the first backup, and by one after it", "%d of %d bytes; %d of %d bytes", *sizes[0].UploadedBytes, *sizes[0].SizeBytes, *sizes[1].UploadedBytes, *sizes[1].SizeBytes)
	s.ask("third", v1alpha1.RobustMQBackupSpec{})
	third, _ := s.complete("third", s3, 2*time.Minute)
	if third.Status.Source.Pod == sizes[1].Source.Pod && *third.Status.UploadedBytes >= *third.Status.SizeBytes {
		t.Errorf("the third, from the same member as the second, uploaded %d of %d bytes: no table was used again", *third.Status.UploadedBytes, *third.Status.SizeBytes)
	}
}

func TestAScheduleMakesOneBackupATick(t *testing.T) {
	onlyLong(t)
	s, c, s3 := planned(t, "ticking", bed.MinIO, func(c *v1alpha1.RobustMQCluster) {
		c.Spec.Backup.Schedules = []v1alpha1.BackupSchedule{{Name: "minutely", Cron: "* * * * *"}}
	})
	begin := time.Now()
	var made []v1alpha1.RobustMQBackup
	s.await("two backups of the schedule are complete", 4*time.Minute, func(*v1alpha1.RobustMQCluster) bool {
		var list v1alpha1.RobustMQBackupList
		s.must(k8s.List(t.Context(), &list, client.InNamespace(s.name.Namespace)))
		made = made[:0]
		for _, b := range list.Items {
			if b.Restorable() {
				made = append(made, b)
			}
		}
		return len(made) >= 2
	})
	figures.add("two backups of a schedule that ticks every minute", "%.0f s", time.Since(begin).Seconds())
	minutes := map[string]bool{}
	for i := range made {
		b := &made[i]
		s.inTheBucket(b, s3)
		minute, ok := strings.CutPrefix(b.Name, c.Name+"-minutely-")
		if !ok || minutes[minute] {
			t.Errorf("a backup of the schedule is called %s", b.Name)
		}
		minutes[minute] = true
	}
	row := s.await("the plan tells its last success", time.Minute, func(c *v1alpha1.RobustMQCluster) bool {
		return c.Status.Backup != nil && len(c.Status.Backup.Schedules) == 1 && !c.Status.Backup.Schedules[0].LastSuccessTime.IsZero()
	}).Status.Backup.Schedules[0]
	if !row.NextScheduleTime.After(row.LastScheduleTime.Time) {
		t.Errorf("the schedule's row: %+v", row)
	}

	// Suspended it makes no more.
	c.Spec.Backup.Schedules[0].Suspend = true
	s.apply(c)
	s.await("no next tick", time.Minute, func(c *v1alpha1.RobustMQCluster) bool {
		return c.Status.Backup != nil && len(c.Status.Backup.Schedules) == 1 && c.Status.Backup.Schedules[0].NextScheduleTime.IsZero()
	})
}

func TestWhatIsWrongWithADestinationIsSaidAndOnceItIsMendedTheNextBackupWorks(t *testing.T) {
	onlyLong(t)
	s, c, s3 := planned(t, "mended", bed.MinIO, nil)
	good := c.Spec.Backup.Destination
	for i, wrong := range []struct {
		reason string
		change func(*v1alpha1.S3Destination)
	}{
		{"BucketMissing", func(d *v1alpha1.S3Destination) { d.Bucket = "no-such-bucket" }},
		{"CertificateInvalid", func(d *v1alpha1.S3Destination) { d.CASecretName = "" }},
		{"CredentialsInvalid", func(d *v1alpha1.S3Destination) { d.CredentialsSecretName = "wrong-keys" }},
	} {
		t.Run(wrong.reason, func(t *testing.T) {
			s := &scene{T: t, name: s.name, pool: s.pool}
			if i == 2 {
				s.must(k8s.Create(t.Context(), &corev1.Secret{
					ObjectMeta: metav1.ObjectMeta{Namespace: s.name.Namespace, Name: "wrong-keys"},
					StringData: map[string]string{"accessKey": s3.AccessKey, "secretKey": "planted-wrong-key"},
				}))
			}
			c.Spec.Backup.Destination = good
			wrong.change(&c.Spec.Backup.Destination)
			s.apply(c)
			s.says(2*time.Minute, v1alpha1.ConditionStorageReady, metav1.ConditionFalse, wrong.reason)
			name := fmt.Sprintf("wrong-%d", i)
			s.ask(name, v1alpha1.RobustMQBackupSpec{})
			b := s.ended(name, 3*time.Minute)
			got := meta.FindStatusCondition(b.Status.Conditions, v1alpha1.ConditionComplete)
			if b.Restorable() || got == nil || got.Reason != wrong.reason || strings.Contains(got.Message, "planted-wrong-key") {
				t.Errorf("%s: want failed for %s, without the key", said(b), wrong.reason)
			}
		})
	}
	c.Spec.Backup.Destination = good
	s.apply(c)
	s.storage(2 * time.Minute)
	s.ask("mended", v1alpha1.RobustMQBackupSpec{})
	s.complete("mended", s3, 2*time.Minute)
}
