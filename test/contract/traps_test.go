package contract

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/robustmq/robustmq-operator/internal/robustmq"
	"github.com/robustmq/robustmq-operator/test/contract/lab"
)

// purge writes so much metadata that the leader drops the begin of its log (a snapshot every 100 entries, 1000 kept).
func purge(l *lab.Lab, n *lab.Node) {
	l.T.Helper()
	for i := range 1250 {
		name := fmt.Sprintf("fill-%04d", i)
		l.Eventually(10*time.Second, name+" is created", func() bool { return writes(n, name) })
	}
	l.Eventually(10*time.Second, "the log is purged", func() bool {
		g := n.Status()[robustmq.GroupMetadata]
		return g.Purged != nil && g.Purged.Index > 20
	})
}

func TestAMemberJoinedAfterAPurgeIsASilentVoterWithoutTheDataBefore(t *testing.T) {
	if lab.Real() {
		t.Skip("1250 writes through one real server on a shared machine take minutes; it was seen by hand")
	}
	l := lab.New(t, lab.Options{})
	nodes := form(l, 1, 2)
	purge(l, nodes[0])
	if g := nodes[0].Status()[robustmq.GroupMetadata]; g.Snapshot.Index-g.Purged.Index != 1000 {
		t.Errorf("a healthy member keeps %d entries before its snapshot", g.Snapshot.Index-g.Purged.Index)
	}
	third := started(l.Node(3).Start())
	agree(l, append(nodes, third), 1, 2, 3)
	g := third.Status()[robustmq.GroupMetadata]
	if g.Purged == nil || g.Snapshot == nil || g.Purged.Index != g.Snapshot.Index {
		t.Errorf("right after the install: %+v", g)
	}
	if !third.Output.Has("[metadata] Successfully recovered 0 entries from snapshot") {
		t.Error("its log does not tell")
	}
	if a := call(third, "GET", "/api/health/ready", nil); a.Status != 200 {
		t.Errorf("and it is not even ready: %d", a.Status)
	}
	// Its own metadata has holes: a configuration that was stored before is not there.
	ctx := context.Background()
	config := []byte(`{"enable":true,"strategy":"ALL","failed_operation":"Discard","echo_log":true,"log_level":"info"}`)
	if err := nodes[0].Calls().SetResourceConfig(ctx, []string{"cluster", "MqttSchema"}, config); err != nil {
		t.Fatal(err)
	}
	l.Eventually(10*time.Second, "what comes later arrives", func() bool {
		stored, err := third.Calls().GetResourceConfig(ctx, []string{"cluster", "MqttSchema"})
		return err == nil && string(stored) == string(config)
	})
	if records, err := third.Client().Registry(ctx); err != nil || len(records) == 2+1 {
		t.Errorf("the new member knows nodes that registered before the purge: %v %v", records, err)
	}
}

func TestAWipedVoterIsOverwrittenByItsLeader(t *testing.T) {
	l := lab.New(t, lab.Options{})
	nodes := form(l, 1, 2, 3)
	nodes[2].Kill()
	nodes[2].Wipe()
	nodes[2].Start()
	started(nodes[2])
	agree(l, nodes, 1, 2, 3)
	l.Eventually(10*time.Second, "it has the whole log again", func() bool {
		g, leader := nodes[2].Status()[robustmq.GroupMetadata], nodes[0].Status()[robustmq.GroupMetadata]
		return g.State == "Follower" && g.LastApplied != nil && leader.LastApplied != nil && g.LastApplied.Index >= leader.LastApplied.Index-2 && g.Purged == nil
	})
}

func TestAFollowerThatWasCutOffDeposesTheLeaderWhenItReturns(t *testing.T) {
	l := lab.New(t, lab.Options{})
	nodes := form(l, 1, 2, 3)
	nodes[2].Hole(true)
	before := nodes[0].Status()[robustmq.GroupMetadata].Term
	l.Eventually(120*time.Second, "it has campaigned in every group", func() bool {
		// Its own view cannot be asked from outside while it is cut off; its log tells.
		return strings.Count(nodes[2].Output.String(), "new candidate: {T2-N3") >= 3
	})
	if !lab.Real() {
		if g := nodes[0].Status()[robustmq.GroupMetadata]; g.LastLogIndex > 200 {
			t.Errorf("the loss of the last address made a storm: log %d", g.LastLogIndex)
		}
	}
	l.Throughout(2*time.Second, "the others do not care", func() bool { return nodes[0].Status()[robustmq.GroupMetadata].State == "Leader" })
	nodes[2].Hole(false)
	l.Eventually(60*time.Second, "the leader lost its term", func() bool { return nodes[0].Status()[robustmq.GroupMetadata].Term > before })
	l.Eventually(90*time.Second, "the cluster comes to rest", func() bool { return len(leaders(nodes)) == 3 })
	agree(l, nodes, 1, 2, 3)
}

func TestAFirstAddressThatHangsEmptiesTheRegistryOfEverybody(t *testing.T) {
	l := lab.New(t, lab.Options{Seed: 5})
	nodes := form(l, 1, 2, 3)
	// The leader must be another one than the node that vanishes: the registry of a leader that is cut off itself proves nothing.
	nodes[0].Kill()
	l.Eventually(60*time.Second, "new leaders", func() bool { return len(leaders(nodes[1:])) == 3 })
	nodes[0].Start()
	started(nodes[0])
	l.Eventually(10*time.Second, "all three are listed", func() bool { return len(registered(nodes[0])) == 3 })
	leader := led(l, nodes, robustmq.GroupMetadata)
	before := leader.Status()[robustmq.GroupMetadata].LastLogIndex
	nodes[0].Hole(true)
	l.Eventually(80*time.Second, "the leader deletes every node, the healthy ones too", func() bool {
		for id := 1; id <= 3; id++ {
			if !leader.Output.Has(fmt.Sprintf("Heartbeat of the Node times out and is deleted from the cluster. Node ID: %d,", id)) {
				return false
			}
		}
		return true
	})
	if lab.Real() {
		// How many entries follow depends on the segments and their traffic: 150 came within a minute in one run, not in another.
		t.Logf("the metadata log went from %d to %d", before, leader.Status()[robustmq.GroupMetadata].LastLogIndex)
		return
	}
	l.Eventually(60*time.Second, "and a storm of proposals fills the log", func() bool { return leader.Status()[robustmq.GroupMetadata].LastLogIndex > before+150 })
}

func TestWithAHelperThatReportsToEveryMemberOnlyTheDeadNodeIsDeleted(t *testing.T) {
	l := lab.New(t, lab.Options{Seed: 5})
	nodes := form(l, 1, 2, 3)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	relayed := make(chan struct{})
	go func() {
		defer close(relayed)
		ticker := time.NewTicker(time.Duration(float64(3*time.Second) / l.Speed))
		defer ticker.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
			}
			for _, target := range nodes[1:] {
				for _, id := range []uint64{2, 3} {
					limit, done := context.WithTimeout(ctx, time.Second)
					_ = target.Client().Heartbeat(limit, id)
					done()
				}
			}
		}
	}()
	nodes[0].Hole(true)
	l.Eventually(80*time.Second, "the survivors list each other and nobody else", func() bool {
		for _, n := range nodes[1:] {
			if !slices.Equal(registered(n), []uint64{2, 3}) {
				return false
			}
		}
		return true
	})
	l.Throughout(40*time.Second, "and it stays so", func() bool {
		for _, n := range nodes[1:] {
			for _, id := range []int{2, 3} {
				if n.Output.Has(fmt.Sprintf("is deleted from the cluster. Node ID: %d,", id)) {
					return false
				}
			}
		}
		return true
	})
	cancel()
	<-relayed
}

func TestUnregisteringAStoppedBrokerMovesItsSegmentsAway(t *testing.T) {
	l := lab.New(t, lab.Options{})
	nodes := form(l, 1, 2, 3)
	broker := l.Node(1001)
	broker.Roles = []string{"broker", "engine"}
	started(broker.Start())
	l.Eventually(10*time.Second, "four nodes are listed", func() bool { return len(registered(nodes[0])) == 4 })
	type segments struct {
		List []struct {
			Segment struct {
				Replicas []struct {
					NodeID uint64 `json:"node_id"`
				} `json:"replicas"`
				ISR    []uint64 `json:"isr"`
				Leader uint64   `json:"leader"`
				Status string   `json:"status"`
			} `json:"segment"`
		} `json:"segment_list"`
	}
	var shards []string
	for i := range 4 {
		name := fmt.Sprintf("moving-%d", i)
		body := map[string]any{"tenant": "default", "topic_name": name, "storage_type": "EngineRocksDB", "source": "MQTT", "partition": 1, "replication": 2}
		created := must[struct {
			Storage map[string]string `json:"storage_name_list"`
		}](nodes[0], "POST", "/api/cluster/topic/create", body)
		shards = append(shards, created.Storage["0"])
	}
	names := func() (naming int, full bool) {
		full = true
		for _, s := range shards {
			for _, row := range must[segments](nodes[0], "POST", "/api/storage-engine/segment/list", map[string]any{"shard_name": s}).List {
				for _, r := range row.Segment.Replicas {
					if r.NodeID == 1001 {
						naming++
					}
				}
				full = full && len(row.Segment.ISR) == 2 && row.Segment.Status == "Write"
			}
		}
		return naming, full
	}
	l.Eventually(10*time.Second, "a segment lies on the broker, as the node that is asked has heard by now", func() bool {
		n, _ := names()
		return n > 0
	})
	broker.Stop()
	if err := nodes[0].Client().Unregister(context.Background(), 1001); err != nil {
		t.Fatal(err)
	}
	l.Eventually(15*time.Second, "no segment names it, and every one is in sync elsewhere", func() bool {
		n, full := names()
		return n == 0 && full
	})
	l.Eventually(5*time.Second, "it is out of the list", func() bool { return len(registered(nodes[0])) == 3 })
	if err := nodes[0].Client().Unregister(context.Background(), 1001); err != nil {
		t.Errorf("a second time: %v", err)
	}
}

func TestHeartbeatsOfNodesThatAreNotRegisteredAreRefused(t *testing.T) {
	l := lab.New(t, lab.Options{Metas: 1})
	n := started(l.Node(1).Start())
	err := n.Client().Heartbeat(context.Background(), 77)
	if err == nil || !strings.Contains(err.Error(), "Node 77 does not exist") {
		t.Errorf("heartbeat: %v", err)
	}
	if err := n.Client().Heartbeat(context.Background(), 1); err != nil {
		t.Errorf("its own heartbeat: %v", err)
	}
	records, err := n.Client().Registry(context.Background())
	if err != nil || len(records) != 1 || records[0].ID != 1 || records[0].IP != "n1.lab" {
		t.Errorf("registry: %+v %v", records, err)
	}
}
