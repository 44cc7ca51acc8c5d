package contract

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/robustmq/robustmq-operator/backup/image"
	"github.com/robustmq/robustmq-operator/backup/image/rocksdb"
	"github.com/robustmq/robustmq-operator/internal/robustmq"
	"github.com/robustmq/robustmq-operator/test/contract/lab"
	"github.com/robustmq/robustmq-operator/test/simulator/store"
)

// puts is what the WALs of a database that is not in use say last: family and key to value. Of servers that were never started again that is everything.
func puts(t *testing.T, dir string) map[string][]byte {
	t.Helper()
	found := map[string][]byte{}
	err := image.Entries(t.Context(), image.OS{}, dir, func(family string, op rocksdb.Op) error {
		switch op.Kind {
		case rocksdb.Put:
			found[family+" "+string(op.Key)] = op.Value
		case rocksdb.RangeDelete:
			for key := range found {
				if key >= family+" "+string(op.Key) && key < family+" "+string(op.Value) {
					delete(found, key)
				}
			}
		default:
			delete(found, family+" "+string(op.Key))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

const userPrefix = image.FamilyMetadata + " /meta/mqtt/user/default/"

func users(found map[string][]byte) []string {
	var names []string
	for key := range found {
		if name, ok := strings.CutPrefix(key, userPrefix); ok {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

func createUser(n *lab.Node, name string) bool {
	a, err := ask(n, "POST", "/api/cluster/user/create", "Bearer "+token(), map[string]any{"tenant": "default", "username": name, "password": "p" + name, "is_superuser": false})
	if err != nil {
		return false
	}
	_, err = a.data()
	return err == nil || strings.Contains(err.Error(), "already exist")
}

func createUsers(l *lab.Lab, n *lab.Node, prefix string, count int) {
	l.T.Helper()
	for i := range count {
		name := fmt.Sprintf("%s%03d", prefix, i)
		l.Eventually(30*time.Second, "user "+name+" is created", func() bool { return createUser(n, name) })
	}
}

// hasUsers waits until a node's own list has exactly so many users with a prefix.
func hasUsers(l *lab.Lab, n *lab.Node, prefix string, count int) {
	l.T.Helper()
	got := -1
	defer func() {
		if l.T.Failed() {
			l.T.Logf("%s has %d users %s…", n.Name, got, prefix)
		}
	}()
	l.Eventually(30*time.Second, fmt.Sprintf("%s has %d users %s…", n.Name, count, prefix), func() bool {
		a, err := ask(n, "GET", "/api/cluster/user/list?limit=10000", "Bearer "+token(), nil)
		if err != nil {
			return false
		}
		data, err := a.data()
		got = strings.Count(string(data), `"username":"`+prefix)
		return err == nil && got == count
	})
}

// settled waits until members have applied all of their logs, and the same.
func settled(l *lab.Lab, nodes []*lab.Node) {
	l.T.Helper()
	l.Eventually(60*time.Second, "all members have applied the same", func() bool {
		for _, name := range robustmq.Groups {
			var at uint64
			for i, n := range nodes {
				g, ok := n.Status()[name]
				if !ok || g.LastApplied == nil || g.LastApplied.Index != g.LastLogIndex || i > 0 && g.LastApplied.Index != at {
					return false
				}
				at = g.LastApplied.Index
			}
		}
		return true
	})
}

// membershipOf is the edit that writes the membership that a member shows.
func membershipOf(group string, g robustmq.GroupState) image.Edit {
	return image.SetMembership(group, image.Membership{LogID: g.MembershipLog, Addresses: g.Nodes})
}

func TestTheFolderOfAStoppedServerHoldsWhatClusterStatusSaid(t *testing.T) {
	l := lab.New(t, lab.Options{})
	nodes := form(l, 1, 2, 3)
	createUsers(l, nodes[0], "u", 5)
	settled(l, nodes)
	for _, n := range nodes[1:] {
		said := n.Status()
		n.Kill()
		found := puts(t, n.Database())
		inspection, err := image.Inspect(t.Context(), image.OS{}, n.Database())
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range robustmq.Groups {
			g, has := said[name], inspection.Groups[name]
			if want := (image.Vote{Term: g.Term, Node: g.VoteNode, Committed: g.VoteCommitted}); has.Vote == nil || *has.Vote != want {
				t.Errorf("%s, %s: vote %+v, ClusterStatus said %+v", n.Name, name, has.Vote, want)
			}
			want := membershipOf(name, g)
			if got := found[image.FamilyRaft+" "+string(want.Key)]; !bytes.Equal(got, want.Value) {
				t.Errorf("%s, %s: membership\n% x, ClusterStatus said\n% x", n.Name, name, got, want.Value)
			}
			// The server may have gone on by a moment; it never goes back.
			if has.Applied == nil || has.Applied.Term != g.LastApplied.Term || has.Applied.Index < g.LastApplied.Index || has.LastLog == nil || *has.LastLog < has.Applied.Index {
				t.Errorf("%s, %s: applied %+v of a log to %v, ClusterStatus said %+v", n.Name, name, has.Applied, has.LastLog, g.LastApplied)
			}
		}
		if got := users(found); !slices.Contains(got, "u004") || len(got) < 5 {
			t.Errorf("%s: users %v", n.Name, got)
		}
		for id := range 3 {
			record := found[fmt.Sprintf("%s /meta/clusters/node/%d", image.FamilyMetadata, id+1)]
			// Behind the record of NodeList stands when this member stored it.
			if len(record) < 8 {
				t.Errorf("%s: node %d is not registered", n.Name, id+1)
			} else if node, err := robustmq.ParseNodeRecord(record[:len(record)-8]); err != nil || node.ID != uint64(id)+1 {
				t.Errorf("%s: record of node %d: %+v, %v", n.Name, id+1, node, err)
			}
		}
	}
}

// logs checks the raft logs of an image: without holes, not shorter than what is applied.
func logs(t *testing.T, what string, found map[string][]byte, inspection *image.Inspection) {
	t.Helper()
	indexes := map[string][]uint64{}
	for key := range found {
		if rest, ok := strings.CutPrefix(key, image.FamilyRaft+" L"); ok && len(rest) == 16 {
			indexes[rest[:8]] = append(indexes[rest[:8]], binary.BigEndian.Uint64([]byte(rest[8:])))
		}
	}
	if len(indexes) != len(robustmq.Groups) {
		t.Errorf("%s: logs of %d groups", what, len(indexes))
	}
	for _, list := range indexes {
		slices.Sort(list)
		if list[len(list)-1]-list[0] != uint64(len(list))-1 {
			t.Errorf("%s: a log from %d to %d has %d entries", what, list[0], list[len(list)-1], len(list))
		}
	}
	for _, name := range robustmq.Groups {
		if g := inspection.Groups[name]; g.Applied == nil || g.LastLog == nil || g.Vote == nil || *g.LastLog < g.Applied.Index {
			t.Errorf("%s, %s: %+v", what, name, g)
		}
	}
}

func TestEveryImageOfAServerUnderWritesIsOneMomentOfIt(t *testing.T) {
	const count = 50
	l := lab.New(t, lab.Options{})
	nodes := form(l, 1, 2, 3)
	var started, acknowledged atomic.Int64
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for ctx.Err() == nil {
			if name := fmt.Sprintf("w%06d", started.Add(1)-1); createUser(nodes[0], name) {
				acknowledged.Add(1)
			}
		}
	}()
	defer func() { stop(); <-ended }()
	l.Eventually(30*time.Second, "users are written", func() bool { return acknowledged.Load() > 10 })
	cache := image.Cache{Dir: filepath.Join(nodes[1].Dir, "data", ".images", "cache")}
	stage, out := filepath.Join(nodes[1].Dir, "data", ".images", "stage"), filepath.Join(nodes[1].Dir, "data", ".images", "out")
	if err := os.MkdirAll(filepath.Dir(stage), 0o750); err != nil {
		t.Fatal(err)
	}
	before, attempts := 0, 0
	for n := range count {
		taken := acknowledged.Load()
		staged, err := image.Taker{Reserve: 1 << 20}.Take(t.Context(), nodes[1].Database(), stage, image.MetadataFamilies)
		if err != nil {
			t.Fatalf("image %d: %v", n, err)
		}
		attempts += staged.Attempts
		if _, err := staged.Extract(t.Context(), out, cache); err != nil {
			t.Fatalf("image %d: %v", n, err)
		}
		if err := staged.Release(); err != nil {
			t.Fatal(err)
		}
		inspection, err := image.Inspect(t.Context(), image.OS{}, out)
		if err != nil {
			t.Fatalf("image %d: %v", n, err)
		}
		found := puts(t, out)
		what := fmt.Sprintf("image %d", n)
		logs(t, what, found, inspection)
		written := slices.DeleteFunc(users(found), func(name string) bool { return name[0] != 'w' })
		if len(written) < before || int64(len(written)) > started.Load() {
			t.Errorf("%s: %d users after %d, %d were asked for", what, len(written), before, started.Load())
		}
		for i, name := range written {
			if name != fmt.Sprintf("w%06d", i) {
				t.Fatalf("%s: user %d is %s: one before it is missing", what, i, name)
			}
		}
		// A follower is behind the leader by what is on its way: not by much.
		if int64(len(written))+200 < taken {
			t.Errorf("%s: %d users, %d were acknowledged before it", what, len(written), taken)
		}
		before = len(written)
		if err := os.RemoveAll(out); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d images in %d attempts, the last with %d users", count, attempts, before)
}

// extracted takes an image of a running member.
func extracted(t *testing.T, n *lab.Node) string {
	t.Helper()
	root := t.TempDir()
	stage := filepath.Join(n.Dir, "data", ".stage") // links need the same file system
	staged, err := image.Taker{Reserve: 1 << 20}.Take(t.Context(), n.Database(), stage, image.MetadataFamilies)
	if err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(root, "image")
	if _, err := staged.Extract(t.Context(), out, image.Cache{}); err != nil {
		t.Fatal(err)
	}
	if err := staged.Release(); err != nil {
		t.Fatal(err)
	}
	return out
}

func place(t *testing.T, n *lab.Node, from string, keep []string, edits ...image.Edit) {
	t.Helper()
	p := image.Placement{Image: from, Target: n.Database(), Keep: keep, Edits: edits, Beside: []string{n.Snapshots()}}
	if _, err := p.Place(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// A restore as the product makes it: one image into all members, one committed vote in a term that nobody has seen, the registry kept (seen-backup.md 4 and 6).
func TestRestoredMembersAreLedAtOnceByTheOneThatTheVoteNames(t *testing.T) {
	for _, wiped := range []bool{true, false} {
		t.Run(map[bool]string{true: "total loss", false: "in place"}[wiped], func(t *testing.T) {
			l := lab.New(t, lab.Options{})
			nodes := form(l, 1, 2, 3)
			createUsers(l, nodes[0], "early", 20)
			settled(l, nodes)
			said := nodes[1].Status()
			from := extracted(t, nodes[1])
			createUsers(l, nodes[0], "late", 20)
			var edits []image.Edit
			for _, name := range robustmq.Groups {
				edits = append(edits, image.SetVote(name, image.Vote{Term: said[name].Term + 1, Node: 3, Committed: true}))
			}
			for _, n := range nodes {
				n.Kill()
			}
			for _, n := range nodes {
				keep := image.EngineFamilies
				if wiped {
					n.Wipe()
					keep = nil
					if err := os.MkdirAll(filepath.Dir(n.Database()), 0o750); err != nil {
						t.Fatal(err)
					}
				}
				place(t, n, from, keep, edits...)
			}
			took := l.Elapsed(func() {
				for _, n := range nodes {
					n.Start()
				}
				l.Eventually(30*time.Second, "n3 leads every group, in the next term", func() bool {
					for _, n := range nodes {
						s := n.Status()
						for _, name := range robustmq.Groups {
							if g := s[name]; g.CurrentLeader != 3 || g.Term != said[name].Term+1 {
								return false
							}
						}
					}
					return true
				})
			})
			// No election takes less than 10 s (0.4.11).
			if limit := 9*time.Second + l.Slack(); took > limit {
				t.Errorf("led after %v", took)
			}
			for _, n := range nodes {
				started(n)
				hasUsers(l, n, "early", 20)
				hasUsers(l, n, "late", 0)
				if ids := registered(n); !slices.Equal(ids, []uint64{1, 2, 3}) {
					t.Errorf("%s lists nodes %v", n.Name, ids)
				}
				if !n.Output.Has("has persisted state, recovering existing cluster") {
					t.Errorf("%s did not find its state", n.Name)
				}
			}
			createUsers(l, nodes[0], "after", 3)
			for _, n := range nodes {
				hasUsers(l, n, "after", 3)
			}
		})
	}
}

// A wiped member that is seeded with a live follower's image, unedited, goes on from its log; no snapshot is sent (seen-backup.md 7).
func TestASeededMemberGoesOnFromItsLog(t *testing.T) {
	l := lab.New(t, lab.Options{})
	nodes := form(l, 1, 2, 3)
	createUsers(l, nodes[0], "before", 20)
	leader := led(l, nodes, robustmq.GroupMetadata)
	target := node(nodes, map[uint64]uint64{1: 3, 2: 3, 3: 2}[leader.ID])
	donor := without(without(nodes, leader.ID), target.ID)[0]
	target.Kill()
	target.Wipe()
	createUsers(l, leader, "meanwhile", 20)
	if err := os.MkdirAll(filepath.Dir(target.Database()), 0o750); err != nil {
		t.Fatal(err)
	}
	place(t, target, extracted(t, donor), nil)
	createUsers(l, leader, "later", 20)
	started(target.Start())
	settled(l, nodes)
	target.Kill()
	donor.Kill()
	mine, others := liveKeys(t, target), liveKeys(t, donor)
	if !maps.Equal(mine, others) {
		t.Errorf("%d keys of metadata, the donor has %d", len(mine), len(others))
	}
	if target.Output.Has("entries from snapshot") {
		t.Error("a snapshot was installed")
	}
	if len(mine) < 60 {
		t.Errorf("only %d keys", len(mine))
	}
}

// The vote that a restore must not write: without a quorum's yes nobody leads before an election (12 to 17 s on a real cluster, seen-backup.md 4).
func TestAnUncommittedVoteCostsAnElection(t *testing.T) {
	l := lab.New(t, lab.Options{})
	nodes := form(l, 1, 2, 3)
	settled(l, nodes)
	said := nodes[1].Status()
	from := extracted(t, nodes[1])
	var edits []image.Edit
	for _, name := range robustmq.Groups {
		edits = append(edits, image.SetVote(name, image.Vote{Term: said[name].Term + 1, Node: 1}))
	}
	for _, n := range nodes {
		n.Kill()
	}
	for _, n := range nodes {
		place(t, n, from, image.EngineFamilies, edits...)
	}
	took := l.Elapsed(func() {
		for _, n := range nodes {
			n.Start()
		}
		led(l, nodes, robustmq.GroupMetadata)
	})
	if took < 9*time.Second {
		t.Errorf("led after %v", took)
	}
	for _, n := range nodes {
		if g := n.Status()[robustmq.GroupMetadata]; g.Term < said[robustmq.GroupMetadata].Term+2 {
			t.Errorf("%s is in term %d", n.Name, g.Term)
		}
	}
}

// A new id that is seeded before it is a member waits for its call; the log that it has is the cluster's (seen-backup.md 7).
func TestASeededNewMemberWaitsUntilItIsLetIn(t *testing.T) {
	l := lab.New(t, lab.Options{Metas: 4})
	nodes := form(l, 1, 2, 3)
	createUsers(l, nodes[0], "u", 20)
	settled(l, nodes)
	fresh := l.Node(4)
	if err := os.MkdirAll(filepath.Dir(fresh.Database()), 0o750); err != nil {
		t.Fatal(err)
	}
	place(t, fresh, extracted(t, nodes[1]), nil)
	started(fresh.Start())
	for _, name := range robustmq.Groups {
		if g := fresh.Status()[name]; g.State != "Learner" || !slices.Equal(g.Voters(), []uint64{1, 2, 3}) {
			t.Errorf("%s before it joins: %s, voters %v", name, g.State, g.Voters())
		}
	}
	leader := led(l, nodes, robustmq.GroupMetadata)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if err := leader.Calls().JoinCluster(ctx, 4, fresh.Name+":1228"); err != nil {
		t.Fatal(err)
	}
	nodes = append(nodes, fresh)
	agree(l, nodes, 1, 2, 3, 4)
	settled(l, nodes)
	fresh.Kill()
	nodes[1].Kill()
	if mine, others := liveKeys(t, fresh), liveKeys(t, nodes[1]); !maps.Equal(mine, others) || len(mine) < 20 {
		t.Errorf("%d keys of metadata, the donor has %d", len(mine), len(others))
	}
	if fresh.Output.Has("entries from snapshot") {
		t.Error("a snapshot was installed")
	}
}

// liveKeys are the keys of both metadata families, read from a copy of a stopped server's folder, tables included.
func liveKeys(t *testing.T, n *lab.Node) map[string]bool {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "_rocksdb")
	if err := os.CopyFS(dir, os.DirFS(n.Database())); err != nil {
		t.Fatal(err)
	}
	s, err := store.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	keys := map[string]bool{}
	for _, family := range []string{image.FamilyMetadata, image.FamilyData} {
		err := s.Each(family, func(key, _ []byte) error {
			keys[family+" "+string(key)] = true
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return keys
}
