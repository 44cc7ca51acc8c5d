package solevoter

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/robustmq/robustmq-operator/backup/image"
	"github.com/robustmq/robustmq-operator/backup/image/imagetest"
	"github.com/robustmq/robustmq-operator/internal/agent/images"
	"github.com/robustmq/robustmq-operator/internal/robustmq"
)

// two is what the first of two voters says.
func two(change func(name string, g *robustmq.GroupState)) robustmq.ClusterStatus {
	s := robustmq.ClusterStatus{}
	for _, name := range robustmq.Groups {
		g := robustmq.GroupState{
			Running: true, Term: 4, Configs: [][]uint64{{1, 2}}, Nodes: map[uint64]string{1: "a:1", 2: "b:1"},
			LastApplied: &robustmq.LogID{Term: 4, NodeID: 1, Index: 30}, MembershipLog: &robustmq.LogID{Term: 3, NodeID: 1, Index: 30},
		}
		if change != nil {
			change(name, &g)
		}
		s[name] = g
	}
	return s
}

func TestAMemberGoesOnAloneOnlyWhereItAndTheOtherAreAllVotersForGood(t *testing.T) {
	in := func(group string, change func(g *robustmq.GroupState)) robustmq.ClusterStatus {
		return two(func(name string, g *robustmq.GroupState) {
			if name == group {
				change(g)
			}
		})
	}
	missing := two(nil)
	delete(missing, robustmq.GroupOffset)
	for what, c := range map[string]struct {
		status robustmq.ClusterStatus
		says   string // a part of the refusal; empty: it may
	}{
		"two voters":                        {two(nil), ""},
		"it is the only one already":        {two(func(_ string, g *robustmq.GroupState) { g.Configs = [][]uint64{{1}} }), ""},
		"it is so in one group":             {in(robustmq.GroupMetadata, func(g *robustmq.GroupState) { g.Configs = [][]uint64{{1}} }), ""},
		"a third votes":                     {in(robustmq.GroupData, func(g *robustmq.GroupState) { g.Configs = [][]uint64{{1, 2, 3}} }), "data_0"},
		"others vote":                       {in(robustmq.GroupData, func(g *robustmq.GroupState) { g.Configs = [][]uint64{{2, 3}} }), "data_0"},
		"only the other votes":              {in(robustmq.GroupData, func(g *robustmq.GroupState) { g.Configs = [][]uint64{{2}} }), "data_0"},
		"the membership is changing":        {in(robustmq.GroupOffset, func(g *robustmq.GroupState) { g.Configs = [][]uint64{{1, 2, 3}, {1, 2}} }), "changing"},
		"nobody was ever told":              {in(robustmq.GroupOffset, func(g *robustmq.GroupState) { g.Configs = nil }), "changing"},
		"the membership is not applied yet": {in(robustmq.GroupMetadata, func(g *robustmq.GroupState) { g.MembershipLog = &robustmq.LogID{Index: 31} }), "not applied"},
		"nothing is applied":                {in(robustmq.GroupMetadata, func(g *robustmq.GroupState) { g.LastApplied = nil }), "not applied"},
		"a core has stopped":                {in(robustmq.GroupMetadata, func(g *robustmq.GroupState) { g.Running = false }), "does not run"},
		"its own address is not known":      {in(robustmq.GroupMetadata, func(g *robustmq.GroupState) { delete(g.Nodes, 1) }), "no address"},
		"a group is missing":                {missing, "does not run"},
		"nothing":                           {nil, "does not run"},
	} {
		_, err := Check(c.status, 1, 2)
		if (err == nil) != (c.says == "") || err != nil && !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want %q", what, err, c.says)
		}
	}
}

func TestTheOnlyVoterLeadsInALaterTermAndTheLogStays(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "_rocksdb")
	if err := imagetest.Unpack(imagetest.Follower, dir); err != nil {
		t.Fatal(err)
	}
	read := func() *image.RaftLogs {
		logs, err := image.ReadRaftLogs(t.Context(), images.OS{}, dir, 0)
		if err != nil {
			t.Fatal(err)
		}
		return logs
	}
	before := read()
	status := two(func(name string, g *robustmq.GroupState) {
		if name == robustmq.GroupData {
			g.Configs = [][]uint64{{1}} // done already
		}
	})
	m, err := Check(status, 1, 2)
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Rewrite(t.Context(), images.OS{}, dir); err != nil {
		t.Fatal(err)
	}
	after := read()
	for _, name := range []string{robustmq.GroupMetadata, robustmq.GroupOffset} {
		if v := after.Groups[name].Vote; v == nil || v.Node != 1 || !v.Committed || v.Term != 5 {
			t.Errorf("%s: vote %+v, want a committed one for node 1 in term 5", name, v)
		}
		if a, b := after.Groups[name].Last, before.Groups[name].Last; a != b && (a == nil || b == nil || *a != *b) {
			t.Errorf("%s: the log ended at %v, and now at %v", name, b, a)
		}
	}
	was, is := before.Groups[robustmq.GroupData].Vote, after.Groups[robustmq.GroupData].Vote
	if was != is && (was == nil || is == nil || *was != *is) {
		t.Errorf("a group in which it was the only voter: vote %+v, and then %+v", was, is)
	}
	// A term that only the database knows counts, too.
	if err := image.Append(t.Context(), images.OS{}, dir, []image.Edit{image.SetVote(robustmq.GroupOffset, image.Vote{Term: 9, Node: 2})}); err != nil {
		t.Fatal(err)
	}
	if err := m.Rewrite(t.Context(), images.OS{}, dir); err != nil {
		t.Fatal(err)
	}
	if v := read().Groups[robustmq.GroupOffset].Vote; v == nil || v.Term != 10 || v.Node != 1 {
		t.Errorf("vote %+v, want term 10", v)
	}
}

func TestADatabaseInWhichNothingIsToBeChangedIsNotTouched(t *testing.T) {
	m, err := Check(two(func(_ string, g *robustmq.GroupState) { g.Configs = [][]uint64{{1}} }), 1, 2)
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "_rocksdb")
	if err := imagetest.Unpack(imagetest.Follower, dir); err != nil {
		t.Fatal(err)
	}
	files := func() int {
		found, err := filepath.Glob(filepath.Join(dir, "*"))
		if err != nil {
			t.Fatal(err)
		}
		return len(found)
	}
	n := files()
	if err := m.Rewrite(t.Context(), images.OS{}, dir); err != nil || files() != n {
		t.Errorf("%v: %d files, and then %d", err, n, files())
	}
}
