package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/test/e2e/bed"
	"github.com/robustmq/robustmq-operator/test/e2e/live"
)

// bucket in the bed's MinIO.
const bucket = "robustmq-backups"

// save gives the cluster a destination and takes a backup.
func save(ctx context.Context, n *narrator, k *live.Kubernetes, key client.ObjectKey, name string) error {
	if _, err := n.step("Give the cluster a place for backups: a bucket in MinIO, its keys and its private authority in Secrets", func() error {
		return destination(ctx, n, k, key)
	}); err != nil {
		return err
	}
	b := &v1alpha1.RobustMQBackup{ObjectMeta: metav1.ObjectMeta{Namespace: key.Namespace, Name: name}, Spec: v1alpha1.RobustMQBackupSpec{ClusterName: key.Name}}
	_, err := n.step(fmt.Sprintf("Back up the metadata while everything runs: RobustMQBackup %s (users, ACLs, topics, sessions; messages are not part of it)", name), func() error {
		if err := k.Create(ctx, b); err != nil {
			return fmt.Errorf("making the backup: %w", err)
		}
		var w watched
		if err := live.Until(ctx, "backup "+name+" has ended", 250*time.Millisecond, 2*time.Minute, func(ctx context.Context) (bool, string, error) {
			b = &v1alpha1.RobustMQBackup{}
			if err := k.Get(ctx, client.ObjectKey{Namespace: key.Namespace, Name: name}, b); err != nil {
				return false, err.Error(), nil
			}
			if line := w.news(b); line != "" {
				n.say("  %s", line)
			}
			return b.Ended(), w.last, nil
		}); err != nil {
			return err
		}
		if !b.Restorable() {
			return errors.New(w.last)
		}
		fmt.Fprintln(n.detail(), summary(b))
		return nil
	})
	return err
}

// destination makes bucket and Secrets, names them in the spec, and waits until the operator has tried them.
func destination(ctx context.Context, n *narrator, k *live.Kubernetes, key client.ObjectKey) error {
	s3, err := bed.In(".").S3(ctx, bed.MinIO)
	if err != nil {
		return err
	}
	if err := s3.MakeBucket(ctx, bucket); err != nil {
		return err
	}
	for _, secret := range s3.Secrets(key.Namespace) {
		err := k.Create(ctx, secret)
		if apierrors.IsAlreadyExists(err) {
			err = k.Update(ctx, secret) // the MinIO of another bed has other keys
		}
		if err != nil {
			return fmt.Errorf("writing Secret %s: %w", secret.Name, err)
		}
	}
	var cluster v1alpha1.RobustMQCluster
	if err := k.Get(ctx, key, &cluster); err != nil {
		return fmt.Errorf("reading the cluster: %w", err)
	}
	wanted := s3.Destination(bucket, "demo")
	if cluster.Spec.Backup != nil && reflect.DeepEqual(cluster.Spec.Backup.Destination, wanted) {
		fmt.Fprintln(n.detail(), "it has one already")
		return nil
	}
	patch, err := json.Marshal(map[string]any{"spec": map[string]any{"backup": map[string]any{"destination": wanted}}})
	if err != nil {
		return err
	}
	out, warnings, err := k.KubectlAll(ctx, nil, "patch", "rmqc", key.Name, "-n", key.Namespace, "--type=merge", "--patch", string(patch))
	fmt.Fprint(n.detail(), out, warnings)
	if err != nil {
		return err
	}
	fmt.Fprintf(n.detail(), "spec.backup.destination: bucket %s at %s, prefix %s\n", wanted.Bucket, wanted.Endpoint, wanted.Prefix)
	_, err = k.AwaitCluster(ctx, "StorageReady", key, time.Minute, nil, func(c *v1alpha1.RobustMQCluster) bool {
		ready := meta.FindStatusCondition(c.Status.Conditions, v1alpha1.ConditionStorageReady)
		return ready != nil && ready.Status == metav1.ConditionTrue && ready.ObservedGeneration == c.Generation
	})
	return err
}

// watched tells a backup's progress: a line for each thing that changed.
type watched struct{ last string }

func (w *watched) news(b *v1alpha1.RobustMQBackup) string {
	line := string(b.Status.Stage)
	if line == "" {
		line = "not looked at yet"
	}
	if b.Status.Source.Pod != "" {
		line += ", from " + b.Status.Source.Pod
	}
	if b.Status.Progress.Summary != "" && !b.Ended() {
		line += ", " + b.Status.Progress.Summary
	}
	if c := meta.FindStatusCondition(b.Status.Conditions, v1alpha1.ConditionComplete); c != nil && b.Status.Stage == v1alpha1.BackupFailed {
		line += fmt.Sprintf(": %s: %s", c.Reason, c.Message)
	}
	if line == w.last {
		return ""
	}
	w.last = line
	return line
}

// summary of a complete backup.
func summary(b *v1alpha1.RobustMQBackup) string {
	line := b.Status.Size
	if b.Status.UploadedBytes != nil && b.Status.SizeBytes != nil && *b.Status.UploadedBytes < *b.Status.SizeBytes {
		line += fmt.Sprintf(", %d of %d bytes uploaded: the rest was in the bucket already", *b.Status.UploadedBytes, *b.Status.SizeBytes)
	}
	return fmt.Sprintf("%s, read back; %d raft groups at one instant", line, len(b.Status.RecoveryPoint.Groups))
}
