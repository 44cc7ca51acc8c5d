package robustmq

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"testing"
)

// recordedStatus is the JSON content of a recorded ClusterStatus answer.
func recordedStatus(t testing.TB, file string) []byte {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("testdata", file))
	if err != nil {
		t.Fatal(err)
	}
	var reply struct {
		Content *string `json:"content"`
	}
	if err := json.Unmarshal(raw, &reply); err != nil {
		t.Fatal(err)
	}
	if reply.Content != nil {
		return []byte(*reply.Content)
	}
	return raw
}

func parsed(t *testing.T, file string) ClusterStatus {
	t.Helper()
	status, err := ParseClusterStatus(recordedStatus(t, file))
	if err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	return status
}

func TestALeaderAndItsFollowersAreReadFromTheirOwnAnswers(t *testing.T) {
	leader, follower := parsed(t, "clusterstatus-0.4.11-3m-n1.json"), parsed(t, "clusterstatus-0.4.11-3m-n2.json")
	for _, group := range Groups {
		l, f := leader[group], follower[group]
		if !l.LeadsWithQuorum() || l.CurrentLeader != 1 || !reflect.DeepEqual(l.Voters(), []uint64{1, 2, 3}) || l.Nodes[3] != "n3.lab:1228" || len(l.Replication) != 3 {
			t.Errorf("%s of the leader: %+v", group, l)
		}
		if f.LeadsWithQuorum() || f.ID != 2 || f.State != "Follower" || f.CurrentLeader != 1 || f.Replication != nil || f.MillisSinceQuorumAck != nil {
			t.Errorf("%s of a follower: %+v", group, f)
		}
	}
}

func TestTheMembershipsLogEntryIsRead(t *testing.T) {
	follower := parsed(t, "clusterstatus-0.4.11-3m-n2.json")
	for group, index := range map[string]uint64{GroupMetadata: 30, GroupOffset: 7, GroupData: 15} {
		if got := follower[group].MembershipLog; got == nil || *got != (LogID{Term: 1, NodeID: 1, Index: index}) {
			t.Errorf("%s: %+v, want index %d", group, got, index)
		}
	}
	if got := parsed(t, "clusterstatus-half-member-n2-own-view.json")[GroupOffset].MembershipLog; got != nil {
		t.Errorf("a group without a membership has its log entry: %+v", got)
	}
}

func TestAHalfMemberHasGroupsWithoutMembership(t *testing.T) {
	status := parsed(t, "clusterstatus-half-member-n2-own-view.json")
	if !status[GroupMetadata].Initialised() || status[GroupOffset].Initialised() || status[GroupData].Initialised() {
		t.Errorf("status: %+v", status)
	}
}

func TestMembersWithoutAVoteAreLearners(t *testing.T) {
	nodes := map[uint64]string{1: "a", 2: "b", 3: "c", 1001: "d"}
	for _, c := range []struct {
		configs  [][]uint64
		learners []uint64
	}{
		{[][]uint64{{1, 2, 3}}, []uint64{1001}},
		{[][]uint64{{1}}, []uint64{2, 3, 1001}},
		{[][]uint64{{1, 2}, {1, 3, 1001}}, nil}, // whoever votes on either side of a change has a vote
		{nil, []uint64{1, 2, 3, 1001}},
	} {
		if got := (GroupState{Configs: c.configs, Nodes: nodes}).Learners(); !reflect.DeepEqual(got, c.learners) {
			t.Errorf("%v: %v", c.configs, got)
		}
	}
	for group, g := range parsed(t, "clusterstatus-0.4.11-3m-n1.json") {
		if got := g.Learners(); got != nil {
			t.Errorf("%s of a settled cluster: %v", group, got)
		}
	}
}

func TestALeaderWithoutQuorumDoesNotLead(t *testing.T) {
	for group, g := range parsed(t, "clusterstatus-no-quorum-n5.json") {
		if g.LeadsWithQuorum() {
			t.Errorf("%s: %+v", group, g)
		}
	}
}

func TestTheSingleGroupOf030IsReadUnderItsName(t *testing.T) {
	if g := parsed(t, "clusterstatus-0.3.0-single.json")["metadata"]; !g.Running || g.CurrentLeader == 0 || !g.Initialised() {
		t.Errorf("single: %+v", g)
	}
	if g := parsed(t, "clusterstatus-0.3.0-follower.json")["metadata"]; !g.Running || g.State != "Follower" {
		t.Errorf("follower: %+v", g)
	}
	if g := parsed(t, "clusterstatus-0.3.0-poisoned.json")["metadata"]; g.Running || g.RunningError == "" {
		t.Errorf("a shut down raft counts as running: %+v", g)
	}
}

func FuzzParseClusterStatus(f *testing.F) {
	files, err := filepath.Glob("testdata/clusterstatus-*.json")
	if err != nil || len(files) == 0 {
		f.Fatal("no fixtures", err)
	}
	for _, file := range files {
		f.Add(recordedStatus(f, filepath.Base(file)))
	}
	f.Add([]byte(`{}`))
	f.Add([]byte(`{"metadata_0":null}`))
	f.Add([]byte(`{"metadata_0":{"membership_config":{"membership":{"configs":[[1],[1,2]],"nodes":{"x":{}}}}}}`))
	f.Fuzz(func(t *testing.T, content []byte) {
		status, err := ParseClusterStatus(content)
		if err != nil && status != nil {
			t.Error("a status beside an error")
		}
		for _, g := range status {
			_ = g.Voters()
			_ = g.LeadsWithQuorum()
		}
	})
}
