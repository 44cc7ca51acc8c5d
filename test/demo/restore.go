package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/test/e2e/live"
	"github.com/robustmq/robustmq-operator/test/e2e/messages"
)

// patience with a restore: it stops and starts every server.
const patience = 5 * time.Minute

// victim is the user that is deleted by mistake.
const victim = "demo-user"

// protect takes a backup, loses something, and restores it.
func protect(ctx context.Context, n *narrator, k *live.Kubernetes, cluster *v1alpha1.RobustMQCluster, run string) error {
	islands, err := isIslands(cluster)
	if err != nil {
		return err
	}
	backup := "demo-" + run
	if islands {
		n.say("The brokers of RobustMQ %s are islands that a restore does not reach: it is not shown", cluster.Spec.Version)
		return save(ctx, n, k, client.ObjectKeyFromObject(cluster), backup)
	}
	access, err := messages.Reach(ctx, k, cluster)
	if err != nil {
		return err
	}
	if _, err := n.step(fmt.Sprintf("Create MQTT user %s through the admin API", victim), func() error {
		made, err := access.Admin(0).CreateUser(ctx, victim, run)
		if err == nil && !made {
			fmt.Fprintln(n.detail(), "it exists already")
		}
		return err
	}); err != nil {
		return err
	}
	if err := save(ctx, n, k, client.ObjectKeyFromObject(cluster), backup); err != nil {
		return err
	}
	return undo(ctx, n, k, cluster, backup, run)
}

// undo deletes a user by mistake and restores the backup.
func undo(ctx context.Context, n *narrator, k *live.Kubernetes, cluster *v1alpha1.RobustMQCluster, backup, run string) error {
	access, err := messages.Reach(ctx, k, cluster)
	if err != nil {
		return err
	}
	if _, err := n.step(fmt.Sprintf("Delete MQTT user %s, by mistake; it is in the backup", victim), func() error {
		return access.Admin(0).DeleteUser(ctx, victim)
	}); err != nil {
		return err
	}
	name := "undo-" + run
	r := &v1alpha1.RobustMQRestore{
		ObjectMeta: metav1.ObjectMeta{Namespace: cluster.Namespace, Name: name},
		Spec:       v1alpha1.RobustMQRestoreSpec{ClusterName: cluster.Name, Source: v1alpha1.RestoreSource{BackupName: backup}},
	}
	if _, err := n.step(fmt.Sprintf("Restore the backup in place: RobustMQRestore %s (the cluster is saved first; clients are turned away while it is stopped; messages stay)", name), func() error {
		if err := k.Create(ctx, r); err != nil {
			return fmt.Errorf("making the restore: %w", err)
		}
		r, err = follow(ctx, n, k, client.ObjectKeyFromObject(r))
		if err != nil {
			return err
		}
		fmt.Fprintf(n.detail(), "clients were turned away for %s; what was there before is in the backup %s\n", seconds(r.Status.CompletionTime.Sub(r.Status.StoppedTime.Time)), r.Status.SafetyBackupName)
		_, err := k.AwaitCluster(ctx, "Ready", client.ObjectKeyFromObject(cluster), patience, nil, live.IsReady)
		return err
	}); err != nil {
		return err
	}
	_, err = n.step(fmt.Sprintf("See that the user is back, and that messages go on, on topic %s", topic), func() error {
		users, err := access.Admin(0).Users(ctx)
		if err != nil {
			return err
		}
		if !slices.Contains(users, victim) {
			return fmt.Errorf("%s is not among the users %s", victim, strings.Join(users, ", "))
		}
		last := cluster.Spec.MQTTBroker.Replicas - 1
		r, err := messages.Exchange(ctx, access.Broker(0), access.Broker(last), topic, messages.NewRun(time.Now()), count, time.Minute)
		fmt.Fprintf(n.detail(), "%d users; %d messages sent, %d received\n", len(users), r.Sent, r.Received)
		return err
	})
	return err
}

// follow tells each change of a restore until it has ended.
func follow(ctx context.Context, n *narrator, k *live.Kubernetes, key client.ObjectKey) (*v1alpha1.RobustMQRestore, error) {
	var r *v1alpha1.RobustMQRestore
	var last string
	err := live.Until(ctx, "restore "+key.Name+" has ended", 250*time.Millisecond, patience, func(ctx context.Context) (bool, string, error) {
		r = &v1alpha1.RobustMQRestore{}
		if err := k.Get(ctx, key, r); err != nil {
			return false, err.Error(), nil //nolint:nilerr // it is tried again
		}
		if line := course(r); line != last {
			n.say("  %s", line)
			last = line
		}
		return r.Ended(), last, nil
	})
	if err == nil && r.Status.Stage != v1alpha1.RestoreComplete {
		err = errors.New(last)
	}
	return r, err
}

// course is what a restore says of itself, in one line.
func course(r *v1alpha1.RobustMQRestore) string {
	line := string(r.Status.Stage)
	switch c := meta.FindStatusCondition(r.Status.Conditions, v1alpha1.ConditionComplete); {
	case line == "":
		return "not looked at yet"
	case r.Ended() && r.Status.Stage != v1alpha1.RestoreComplete && c != nil:
		return fmt.Sprintf("%s: %s: %s", line, c.Reason, c.Message)
	case r.Ended():
		return line
	}
	if r.Status.Progress.Summary != "" && r.Status.Stage == v1alpha1.RestoreTransferring {
		line += ", " + r.Status.Progress.Summary
	}
	if r.Status.Awaits != "" {
		line += "; waits for " + r.Status.Awaits
	}
	return line
}
