package simulated

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/robustmq/robustmq-operator/api/v1alpha1"
	agentclient "github.com/robustmq/robustmq-operator/internal/agent/client"
	"github.com/robustmq/robustmq-operator/internal/robustmq"
	"github.com/robustmq/robustmq-operator/test/simulated/world"
)

// userNamed is what RobustMQ's admin API makes an MQTT user of. Each is an entry of the metadata group's log, and a key of meta_metadata.
func userNamed(name string) map[string]any {
	return map[string]any{"tenant": "default", "username": name, "password": "p4ssword-of-a-user", "is_superuser": false}
}

// createUser asks a pod for a user, past its agent. One that is there already is what was asked for: the server repeats a write whose answer was late.
func createUser(ctx context.Context, agent agentclient.Client, name string) error {
	_, err := agent.Admin(ctx, "POST", "/api/cluster/user/create", userNamed(name))
	if err != nil && strings.Contains(err.Error(), "already exist") {
		return nil
	}
	return err
}

// users makes n users, one after another, each until it is acknowledged.
func users(t *testing.T, w *world.World, pod, prefix string, n int) {
	t.Helper()
	agent := agents(t, w, w.Cluster("c"))(pod)
	for i := range n {
		name := fmt.Sprintf("%s-%d", prefix, i)
		w.Await("the user "+name, func() (bool, string) {
			err := createUser(w.Context(), agent, name)
			return err == nil, fmt.Sprint(err)
		})
	}
}

// usersOfARound is how many users fillLog makes at a time: RobustMQ keeps about 1000 entries of a log behind its snapshots.
const usersOfARound = 8 * 160

// fillLog makes users through the leader until its metadata log no longer begins with its first entry, so that nobody may join empty.
func fillLog(t *testing.T, w *world.World, c *v1alpha1.RobustMQCluster) {
	t.Helper()
	fillLogPast(t, w, c, 0)
}

// fillLogPast makes users through the leader, usersOfARound at least, until its metadata log begins behind an entry.
func fillLogPast(t *testing.T, w *world.World, c *v1alpha1.RobustMQCluster, index uint64) {
	t.Helper()
	agent := agents(t, w, c)(c.Status.Leader)
	for round := 0; ; round++ {
		var all sync.WaitGroup
		failed := make(chan error, 8)
		for part := range cap(failed) {
			all.Go(func() {
				for i := range usersOfARound / cap(failed) {
					if err := createUser(t.Context(), agent, fmt.Sprintf("u%d-%d-%d", round, part, i)); err != nil {
						failed <- err
						return
					}
				}
			})
		}
		all.Wait()
		close(failed)
		if err := <-failed; err != nil {
			t.Fatal(err)
		}
		var purged uint64
		w.Await("a log that was purged", func() (bool, string) {
			status, err := w.Raft(c.Status.Leader)
			g := status[robustmq.GroupMetadata]
			if err == nil && g.Purged != nil {
				purged = g.Purged.Index
			}
			return purged > 0, fmt.Sprintf("%+v %v", g, err)
		})
		if purged > index {
			t.Logf("purged to entry %d", purged)
			return
		}
	}
}
