//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"filippo.io/age"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/test/e2e/live"
	"github.com/robustmq/robustmq-operator/test/e2e/messages"
)

// TestTheRunbooksOfAClusterThatLives follows the pages about what can be lost while every volume is whole.
func TestTheRunbooksOfAClusterThatLives(t *testing.T) {
	s, d := runbookScene(t)
	s.withUsers("old", 4)
	s.messages("e2e/kept")
	s.messages("e2e/gone")
	s.ask(pageBackup, v1alpha1.RobustMQBackupSpec{})
	s.complete(pageBackup, d.s3, 2*time.Minute)
	s.follows(t, "deleted-by-mistake.md", d, followDeletedByMistake)
	s.follows(t, "restore-gone-wrong.md", d, followRestoreGoneWrong)
	s.follows(t, "encryption-identity-lost.md", d, followEncryptionIdentityLost)
	s.follows(t, "bucket-lost.md", d, followBucketLost)
}

// followDeletedByMistake: a user, and a topic with its messages, are deleted; a user and a topic are made; and messages go on being published.
func followDeletedByMistake(s *scene, d *desk) {
	p := s.page("deleted-by-mistake.md", d)
	users, topics := s.users(), s.topics()
	access := s.access()
	s.must(access.Admin(0).DeleteUser(s.Context(), "old-0"))
	s.must(access.Admin(0).DeleteTopic(s.Context(), "e2e/gone"))
	s.makeUsers("late", 1)
	s.topic(access, "e2e/late")
	s.messages("e2e/kept")
	kept := s.read("e2e/kept")

	p.run(`"path":"/spec/backup/schedules/0/suspend","value":true`)
	if !s.cluster().Spec.Backup.Schedules[0].Suspend {
		s.Error("the schedule is not suspended")
	}
	p.sees(p.run("kubectl get rmqb --sort-by"), pageBackup)
	p.sees(p.run("robustmq-operator backup show"), "Counts", "users", "topics", pageBackup)
	p.run("name: undo-deletion}")
	p.watch("kubectl get rmqr undo-deletion -w", in(v1alpha1.RestoreComplete), 5*time.Minute)
	p.run(`"path":"/spec/backup/schedules/0/suspend","value":false`)
	if s.cluster().Spec.Backup.Schedules[0].Suspend {
		s.Error("the schedule is suspended still")
	}

	p.run("kubectl wait rmqr/undo-deletion")
	p.run("kubectl wait rmqc/my-cluster")
	p.sees(p.run("orphanTopicCount"), "1", "e2e/late")
	s.hasUsers(users)
	if got := s.topics(); !slices.Equal(got, topics) {
		s.Errorf("topics %v, wanted %v", got, topics)
	}
	if got := s.read("e2e/kept"); len(got) != 40 || !slices.Equal(got, kept) {
		s.Errorf("%d messages of e2e/kept can be read, %d could before, and 20 were published before the backup and 20 after it", len(got), len(kept))
	}
	// "The topic comes back, and what was removed by then does not."
	if got := s.read("e2e/gone"); len(got) != 0 {
		s.Errorf("%d messages of a topic that had been deleted can be read", len(got))
	}
	s.messages("e2e/gone")
	// "Log in as one of the users that were gone, and read from one of the topics."
	back := s.access()
	user := back.Broker(0)
	user.Username, user.Password = "old-0", "secret"
	r, err := messages.Exchange(s.Context(), user, back.Broker(1), "e2e/kept", messages.NewRun(time.Now()), 3, time.Minute)
	if err != nil || r.Received != 3 {
		s.Errorf("the user that was gone reads %+v, %v", r, err)
	}
}

// followRestoreGoneWrong: first a restore that is complete and was wrong, then one that stands still because a member's agent does not answer, and is taken back when it has begun to change things.
func followRestoreGoneWrong(s *scene, d *desk) {
	p := s.page("restore-gone-wrong.md", d)
	if len(s.restores(s.Context())) == 0 { // the page before was not followed
		s.askRestore("undo-deletion", v1alpha1.RobustMQRestoreSpec{Source: v1alpha1.RestoreSource{BackupName: pageBackup}})
		s.restoreIn("undo-deletion", 5*time.Minute, v1alpha1.RestoreComplete)
		s.ready(2 * time.Minute)
	}
	p.sees(p.run("{.status.safetyBackupName}"), "undo-deletion-safety")
	p.run("name: back-again}")
	s.restoreIn("back-again", 5*time.Minute, v1alpha1.RestoreComplete)
	s.ready(2 * time.Minute)
	p.sees(p.run("kubectl describe rmqb undo-deletion-safety"), "BackupComplete")
	s.kubectl("delete", "rmqr", "undo-deletion", "-n", s.name.Namespace)
	s.kubectl("delete", "rmqb", "undo-deletion-safety", "-n", s.name.Namespace)

	want := s.withUsers("since", 2)
	victim := s.member(2)
	if s.leader() == victim {
		victim = s.member(1)
	}
	pod := s.getPod(victim)
	s.askRestore("undo-deletion", v1alpha1.RobustMQRestoreSpec{Source: v1alpha1.RestoreSource{BackupName: pageBackup}})
	s.restoreIn("undo-deletion", 3*time.Minute, v1alpha1.RestoreSaving)
	s.must(live.Until(s.Context(), "the safety backup is complete, all but", 20*time.Millisecond, 2*time.Minute, func(ctx context.Context) (bool, string, error) {
		var b v1alpha1.RobustMQBackup
		err := k8s.Get(ctx, client.ObjectKey{Namespace: s.name.Namespace, Name: "undo-deletion-safety"}, &b)
		return err == nil && b.Restorable(), fmt.Sprint(err), nil
	}))
	container := pod.Status.ContainerStatuses[0].ContainerID
	s.must(theBed.FreezeContainer(s.Context(), pod.Spec.NodeName, container))
	thaw := func() { _ = theBed.ThawContainer(contextWithoutCancel(s.T), pod.Spec.NodeName, container) }
	s.Cleanup(thaw)
	p.until("kubectl get rmqr", time.Minute, "Stopping", victim.Name)
	p.sees(p.run("kubectl describe rmqr undo-deletion"), "Stopping", victim.Name)
	p.sees(p.run("sha256={.imageSHA256}"), victim.Name)
	p.run("kubectl describe pod -l robustmq.io/restore=undo-deletion")
	p.run("kubectl logs -l robustmq.io/restore=undo-deletion")
	thaw() // "bring the pod back; it is named"
	s.restoreIn("undo-deletion", 3*time.Minute, v1alpha1.RestoreOpening, v1alpha1.RestoreVerifying, v1alpha1.RestoreStarting)
	p.run("kubectl annotate rmqr undo-deletion robustmq.io/abort=true")
	p.watch("kubectl get rmqr undo-deletion -w", in(v1alpha1.RestoreAborted), 5*time.Minute)
	p.sees(p.run("{.status.stage}"), "Aborted RestoreAborted")
	p.run("kubectl wait rmqc/my-cluster")
	s.hasUsers(want)
	for _, m := range s.cluster().Status.Members {
		if m.Gate != "Open" {
			s.Errorf("%s: gate %s", m.Pod, m.Gate)
		}
	}
}

// identity is a new one, with what age-keygen writes into its file.
func identity(s *scene) (file, recipient string) {
	s.Helper()
	i, err := age.GenerateX25519Identity()
	s.must(err)
	return "# public key: " + i.Recipient().String() + "\n" + i.String() + "\n", i.Recipient().String()
}

// encrypt has the cluster's backups encrypted for a new identity, which the Secret has, and returns its file.
func (s *scene) encrypt(secret string) (file, recipient string) {
	s.Helper()
	file, recipient = identity(s)
	s.keepIdentity(secret, file)
	s.patch(map[string]any{"backup": map[string]any{"encryption": map[string]any{"recipients": []string{recipient}, "identitySecretName": secret}}})
	return file, recipient
}

// keepIdentity makes the Secret with an identity, or changes it.
func (s *scene) keepIdentity(secret, file string) {
	s.Helper()
	o := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: s.name.Namespace, Name: secret}, StringData: map[string]string{"identity": file}}
	s.must(client.IgnoreNotFound(k8s.Delete(s.Context(), o.DeepCopy())))
	s.must(k8s.Create(s.Context(), o))
}

// followEncryptionIdentityLost: backups are encrypted, and the Secret with their identity is deleted; what is found in its place is another's.
func followEncryptionIdentityLost(s *scene, d *desk) {
	p := s.page("encryption-identity-lost.md", d)
	s.encrypt("backup-identity")
	s.ask("encrypted", v1alpha1.RobustMQBackupSpec{})
	s.complete("encrypted", d.s3, 2*time.Minute)
	another, _ := identity(s)
	d.file(s, "backup-identity.txt", another)
	p.refused("robustmq-operator backup verify latest", "identit")
	s.kubectl("delete", "secret", "backup-identity", "-n", s.name.Namespace)
	s.askRestore("without-it", v1alpha1.RobustMQRestoreSpec{Source: v1alpha1.RestoreSource{BackupName: "encrypted"}})
	s.restoreSays("without-it", v1alpha1.RestoreWaiting, v1alpha1.ReasonWaitingForSecret, "backup-identity")
	s.keepIdentity("backup-identity", another)
	s.restoreSays("without-it", v1alpha1.RestoreFailed, v1alpha1.ReasonRestoreRefused, v1alpha1.ReasonEncryptionInvalid)

	s.must(os.Remove(filepath.Join(d.folder, "backup-identity.txt"))) // age-keygen overwrites nothing
	found := regexp.MustCompile(`age1[a-z0-9]+`).FindString(p.run("age-keygen"))
	if found == "" {
		s.Fatal("age-keygen names no recipient")
	}
	p.run("kubectl create secret generic backup-identity-2")
	p.run("kubectl patch rmqc my-cluster", pageRecipient, found)
	p.run("name: first-with-the-new-key}")
	p.run("kubectl wait rmqb/first-with-the-new-key")
	p.sees(p.run("robustmq-operator backup verify latest"), "good", "read, hashed and opened", "first-with-the-new-key")
}

// restoreSays waits for a stage of a restore, with a reason and words in its message.
func (s *scene) restoreSays(name string, stage v1alpha1.RestoreStage, reason string, words ...string) {
	s.Helper()
	s.must(live.Until(s.Context(), fmt.Sprintf("restore %s says %s, %s, %q", name, stage, reason, words), 250*time.Millisecond, 2*time.Minute, func(ctx context.Context) (bool, string, error) {
		var r v1alpha1.RobustMQRestore
		if err := k8s.Get(ctx, client.ObjectKey{Namespace: s.name.Namespace, Name: name}, &r); err != nil {
			return false, "", err
		}
		said := saidRestore(&r)
		missing := slices.ContainsFunc(append(slices.Clone(words), "("+reason+":"), func(w string) bool { return !strings.Contains(said, w) })
		return r.Status.Stage == stage && !missing, said, nil
	}))
}

// followBucketLost: the bucket is deleted with all that is in it.
func followBucketLost(s *scene, d *desk) {
	p := s.page("bucket-lost.md", d)
	old := []string{"lost-with-the-bucket"}
	s.ask(old[0], v1alpha1.RobustMQBackupSpec{})
	s.complete(old[0], d.s3, 2*time.Minute)
	s.must(d.s3.RemoveBucket(s.Context(), pageBucket))
	s.patch(map[string]any{"backup": map[string]any{"verifyEvery": "24h"}})
	s.ask("too-late", v1alpha1.RobustMQBackupSpec{})
	if b := s.ended("too-late", 3*time.Minute); b.Restorable() || !strings.Contains(said(b), v1alpha1.ReasonBucketMissing) {
		s.Errorf("too-late: %s", said(b))
	}
	p.until(`@.type=="StorageReady"`, 2*time.Minute, "False BucketMissing")
	p.until(`@.type=="BackupsVerified"`, 2*time.Minute, "BucketMissing")
	s.must(d.s3.MakeBucket(s.Context(), pageBucket+"-2")) // "make a bucket"
	p.run("kubectl patch rmqc my-cluster")
	p.run("kubectl wait rmqc/my-cluster --for=condition=StorageReady")
	p.run("name: first-in-the-new-bucket}")
	p.run("kubectl wait rmqb/first-in-the-new-bucket")
	listed := p.run("kubectl get rmqb")
	for line := range strings.Lines(listed) {
		if name, _, _ := strings.Cut(line, " "); name != "NAME" && name != "first-in-the-new-bucket" {
			p.run("kubectl delete rmqb NAME", "NAME", name)
		}
	}
	p.sees(p.run("robustmq-operator backup verify latest"), "good", "first-in-the-new-bucket")
	s.says(2*time.Minute, v1alpha1.ConditionStorageReady, metav1.ConditionTrue, v1alpha1.ReasonDestinationWritable)
	s.says(3*time.Minute, v1alpha1.ConditionBackupsVerified, metav1.ConditionTrue, v1alpha1.ReasonBackupVerified, "first-in-the-new-bucket")
}
