package contract

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/robustmq/robustmq-operator/internal/robustmq"
	"github.com/robustmq/robustmq-operator/test/contract/lab"
)

// A member that is taken away as the operator does it: stopped, unregistered at once, out of every group, twice; started again with what it had, it believes that it still belongs.
func TestAMemberThatWasStoppedAndUnregisteredLeavesAndComesBackWithAStaleMembershipUnlessItIsEmptied(t *testing.T) {
	l := lab.New(t, lab.Options{})
	nodes := form(l, 1, 2, 3)
	leader, last := nodes[0], nodes[2]
	ctx := context.Background()
	last.Stop()
	if err := leader.Client().Unregister(ctx, 3); err != nil {
		t.Fatal(err)
	}
	l.Eventually(5*time.Second, "every list is without it", func() bool {
		return !slices.ContainsFunc(nodes[:2], func(n *lab.Node) bool { return !slices.Equal(registered(n), []uint64{1, 2}) })
	})
	for range 2 { // it is idempotent
		if err := leader.Client().Leave(ctx, 3); err != nil {
			t.Fatal(err)
		}
	}
	agree(l, nodes[:2], 1, 2)

	last.Start()
	started(last)
	for name, g := range last.Status() {
		if !slices.Contains(g.Voters(), 3) && len(g.Configs) < 2 {
			t.Errorf("%s: it knows that it left: %v", name, g.Configs)
		}
	}
	l.Throughout(5*time.Second, "nobody counts it again", func() bool {
		for _, n := range nodes[:2] {
			if s := n.Status(); len(s) > 0 && !votersAre(s, []uint64{1, 2}) {
				return false
			}
		}
		return true
	})
	last.Stop()
	last.Wipe()
	last.Start()
	started(last)
	agree(l, nodes, 1, 2, 3)
}

// LeaveCluster walks the groups on one member, and stops at the first that another leads: the ones before it are changed. Asked of whoever leads the rest, it stops at the first group.
func TestALeaveStopsHalfWayWhenAnotherMemberLeadsTheNextGroup(t *testing.T) {
	if lab.Real() {
		t.Skip("where leaders land after a loss is chance on a real server")
	}
	l := lab.New(t, lab.Options{Metas: 4, Seed: splitSeed})
	nodes := form(l, 1, 2, 3, 4)
	nodes[0].Kill()
	l.Eventually(60*time.Second, "new leaders", func() bool { return len(leaders(nodes[1:])) == 3 })
	at := leaders(nodes[1:])
	if at[robustmq.GroupMetadata] == at[robustmq.GroupOffset] && at[robustmq.GroupOffset] == at[robustmq.GroupData] {
		t.Fatalf("seed %d does not split the leaders: %v", splitSeed, at)
	}
	nodes[0].Start()
	started(nodes[0])
	ctx := context.Background()
	err := node(nodes, at[robustmq.GroupMetadata]).Client().Leave(ctx, 1)
	if err == nil || !strings.Contains(err.Error(), "has to forward request to") {
		t.Fatalf("leave: %v", err)
	}
	in := func() (groups []string) {
		for _, name := range robustmq.Groups {
			if slices.Contains(node(nodes, at[name]).Status()[name].Voters(), 1) {
				groups = append(groups, name)
			}
		}
		return groups
	}
	half := in()
	if slices.Contains(half, robustmq.GroupMetadata) || !slices.Contains(half, robustmq.GroupData) && !slices.Contains(half, robustmq.GroupOffset) {
		t.Fatalf("it is a voter of %v still: not half left", half)
	}
	for _, id := range []uint64{at[robustmq.GroupOffset], at[robustmq.GroupData]} {
		if err := node(nodes, id).Client().Leave(ctx, 1); err == nil && id != at[robustmq.GroupMetadata] {
			t.Errorf("leave on node %d, which does not lead every group, is accepted", id)
		}
	}
	if got := in(); !slices.Equal(got, half) {
		t.Errorf("it is a voter of %v, then of %v", half, got)
	}
}

// innerShard is a shard as nodes list it.
type innerShard struct {
	Info struct {
		Name   string `json:"shard_name"`
		Topic  string `json:"topic_name"`
		Config struct {
			Inner  bool `json:"is_inner_topic"`
			Copies int  `json:"replica_num"`
		} `json:"config"`
	} `json:"shard_info"`
}

func shardsOf(n *lab.Node) []innerShard {
	var all struct {
		Data []innerShard `json:"data"`
	}
	answered(n, "/api/storage-engine/shard/list", map[string]int{"limit": 1000, "page": 1}, &all)
	return all.Data
}

// answered asks for a list; while a shard is being made that may fail.
func answered(n *lab.Node, path string, body, into any) bool {
	raw, err := call(n, "POST", path, body).data()
	return err == nil && json.Unmarshal(raw, into) == nil
}

// Inner topics are filled up to the number of copies in their own record, which is that of the day they were made: one, where meta_addrs had one entry. Members that join later,
// and a restart of the founder with all of them in its meta_addrs, change nothing about it.
func TestInnerTopicsThatWereMadeByALonelyMemberKeepOneCopyWhenOthersJoin(t *testing.T) {
	l := lab.New(t, lab.Options{})
	l.MetaHosts = []uint64{1}
	first := started(l.Node(1).Start())
	early := map[string]bool{} // what is made when the others are there has copies
	l.Eventually(20*time.Second, "the founder lists the inner topics", func() bool {
		for _, s := range shardsOf(first) {
			early[s.Info.Name] = s.Info.Config.Inner
		}
		return len(early) >= 7
	})
	first.Stop()
	l.MetaHosts = []uint64{1, 2, 3}
	nodes := form(l, 1, 2, 3)
	l.Eventually(20*time.Second, "everybody is listed", func() bool { return len(registered(nodes[0])) == 3 })
	type segments struct {
		List []struct {
			Segment struct {
				Replicas []struct{} `json:"replicas"`
			} `json:"segment"`
		} `json:"segment_list"`
	}
	seen := 0
	l.Throughout(75*time.Second, "one copy", func() bool {
		for _, s := range shardsOf(nodes[0]) {
			var of segments
			if !early[s.Info.Name] || !answered(nodes[0], "/api/storage-engine/segment/list", map[string]any{"shard_name": s.Info.Name}, &of) {
				continue
			}
			for _, row := range of.List {
				seen++
				if len(row.Segment.Replicas) != 1 || s.Info.Config.Copies != 1 {
					t.Logf("%s: replica_num %d, %d replicas", s.Info.Topic, s.Info.Config.Copies, len(row.Segment.Replicas))
					return false
				}
			}
		}
		return true
	})
	if seen == 0 {
		t.Error("no inner topic was seen")
	}
}
