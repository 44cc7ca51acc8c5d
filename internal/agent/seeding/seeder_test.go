package seeding

import (
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/robustmq/robustmq-operator/internal/agent/images"
	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
	"github.com/robustmq/robustmq-operator/internal/agent/volume"
	"github.com/robustmq/robustmq-operator/internal/robustmq"
)

func groups(change func(name string, g *protocol.ImageGroup)) map[string]protocol.ImageGroup {
	found := map[string]protocol.ImageGroup{}
	for _, name := range robustmq.Groups {
		g := protocol.ImageGroup{
			Vote: protocol.RaftVote{Term: 4, NodeID: 1, Committed: true}, Membership: protocol.RaftMembership{Voters: []uint64{1, 2, 3}}, LastApplied: &robustmq.LogID{Term: 4, NodeID: 1, Index: 7},
		}
		if change != nil {
			change(name, &g)
		}
		found[name] = g
	}
	return found
}

func TestAnImageIsUsedOnlyWhereItCannotHurt(t *testing.T) {
	last := robustmq.Groups[len(robustmq.Groups)-1]
	changing := func(o *protocol.SeedOrder) { o.Changing = true }
	votes := func(term uint64) map[string]protocol.RaftVote {
		v := map[string]protocol.RaftVote{}
		for _, name := range robustmq.Groups {
			v[name] = protocol.RaftVote{Term: term, NodeID: 2, Committed: true}
		}
		return v
	}
	for name, c := range map[string]struct {
		order  func(*protocol.SeedOrder)
		groups func(name string, g *protocol.ImageGroup)
		part   string // of the refusal; empty: it is used
	}{
		"as it is": {nil, nil, ""},
		"newcomer": {nil, func(_ string, g *protocol.ImageGroup) { g.Membership.Voters = []uint64{1, 3} }, ""},
		"voters in another order": {nil, func(name string, g *protocol.ImageGroup) {
			g.Membership.Voters = map[bool][]uint64{true: {3, 1, 2}, false: {1, 2, 3}}[name == last]
		}, ""},
		"a vote for the target": {nil, func(name string, g *protocol.ImageGroup) {
			g.Vote.NodeID = map[bool]uint64{true: 2, false: 1}[name == last]
		}, "names node 2 itself"},
		"donor is no voter": {nil, func(_ string, g *protocol.ImageGroup) { g.Membership.Voters = []uint64{1, 2} }, "is no voter"},
		"half a join": {nil, func(name string, g *protocol.ImageGroup) {
			g.Membership.Voters = map[bool][]uint64{true: {1, 3}, false: {1, 2, 3}}[name == last]
		}, "half done"},
		"ends too early":           {func(o *protocol.SeedOrder) { o.Least[last] = 8 }, nil, "ends before entry 8"},
		"says nothing of the end":  {nil, func(name string, g *protocol.ImageGroup) { g.LastApplied = nil }, "ends before entry 7"},
		"votes that make it lead":  {func(o *protocol.SeedOrder) { o.Votes = votes(5) }, nil, ""},
		"votes that are not newer": {func(o *protocol.SeedOrder) { o.Votes = votes(4) }, nil, "must be newer"},
		"votes for some groups":    {func(o *protocol.SeedOrder) { o.Votes = votes(5); delete(o.Votes, last) }, nil, "none for raft group"},
		"a group is missing":       {nil, nil, "has no raft group"},
		"of a membership that is being changed": {nil, func(name string, g *protocol.ImageGroup) {
			g.Membership.Voters, g.Configs = nil, [][]uint64{{3}, {2, 3}}
		}, "is being changed"},
		"half a join, wanted": {changing, func(name string, g *protocol.ImageGroup) {
			g.Vote.NodeID, g.Membership.Voters = 3, []uint64{3}
			if name == last {
				g.Membership.Voters, g.Configs = nil, [][]uint64{{3}, {2, 3}}
			}
		}, ""},
		"half a join, done in one group, wanted": {changing, func(name string, g *protocol.ImageGroup) {
			g.Vote.NodeID, g.Membership.Voters = 3, map[bool][]uint64{true: {2, 3}, false: {3}}[name == last]
		}, ""},
		"half a join of three, wanted": {changing, func(name string, g *protocol.ImageGroup) {
			g.Vote.NodeID, g.Membership.Voters, g.Configs = 3, nil, [][]uint64{{3}, {1, 2, 3}}
		}, "without the donor"},
		"half a join of others, wanted": {changing, func(_ string, g *protocol.ImageGroup) { g.Vote.NodeID, g.Membership.Voters = 3, []uint64{2} }, "without the donor"},
		"half a join, its vote for another, wanted": {changing, func(_ string, g *protocol.ImageGroup) {
			g.Vote.NodeID, g.Membership.Voters = 2, []uint64{2, 3}
		}, "did not vote for itself but for node 2"},
		"half a join, its vote for another replaced": {func(o *protocol.SeedOrder) {
			changing(o)
			o.Votes = map[string]protocol.RaftVote{last: {Term: 5}}
		}, func(name string, g *protocol.ImageGroup) {
			g.Membership.Voters, g.Vote.NodeID = []uint64{2, 3}, map[bool]uint64{true: 2, false: 3}[name == last]
		}, ""},
		"half a join, its vote replaced by an older": {func(o *protocol.SeedOrder) {
			changing(o)
			o.Votes = map[string]protocol.RaftVote{last: {Term: 4}}
		}, func(_ string, g *protocol.ImageGroup) { g.Membership.Voters, g.Vote.NodeID = []uint64{2, 3}, 3 }, "must be newer"},
		"nothing is wanted of it":   {func(o *protocol.SeedOrder) { o.Least = nil }, func(_ string, g *protocol.ImageGroup) { g.LastApplied = nil }, ""},
		"a vote that is overridden": {func(o *protocol.SeedOrder) { o.Votes = votes(5) }, func(_ string, g *protocol.ImageGroup) { g.Vote.NodeID = 2 }, ""},
	} {
		o := order("a")
		if c.order != nil {
			c.order(&o)
		}
		found := groups(c.groups)
		if name == "a group is missing" {
			delete(found, last)
		}
		err := judgeImage(o, found, robustmq.Groups)
		if (err == nil) != (c.part == "") || err != nil && !strings.Contains(err.Error(), c.part) {
			t.Errorf("%s: %v, want %q", name, err, c.part)
		}
	}
}

func TestAVolumeIsFilledByWhoWasNeededForEverythingWhileTheNodeJoined(t *testing.T) {
	for changing, want := range map[bool]protocol.SeedPhase{true: protocol.SeedPlaced, false: protocol.SeedFailed} {
		g := newGiver(t)
		status := calm()
		for name, s := range status {
			s.VoteNode, s.State, s.CurrentLeader, s.Configs = 3, "Leader", 3, [][]uint64{{3}}
			if name == robustmq.GroupMetadata {
				s.Configs = [][]uint64{{3}, {2, 3}}
			}
			status[name] = s
		}
		g.set(func() { g.status = status })
		m := newTaker(t, g)
		o := order("a")
		o.Changing = changing
		if _, err := m.seeder.Begin(o); err != nil {
			t.Fatal(err)
		}
		if s := m.ended(); s == nil || s.Phase != want {
			t.Errorf("changing %t: %+v", changing, s)
		}
	}
}

func TestADonorMustBeTheOneThatIsNamedAndOfThisCluster(t *testing.T) {
	good := protocol.Peer{NodeID: 3, ClusterUID: "uid", Generation: 2}
	if err := judgePeer(order("a"), good); err != nil {
		t.Error(err)
	}
	for name, change := range map[string]func(*protocol.Peer){
		"another node": func(p *protocol.Peer) { p.NodeID = 1 }, "another cluster": func(p *protocol.Peer) { p.ClusterUID = "other" },
		"an older agent": func(p *protocol.Peer) { p.ClusterUID = "" }, "before a restore": func(p *protocol.Peer) { p.Generation = 1 },
	} {
		p := good
		change(&p)
		var f *failure
		if err := judgePeer(order("a"), p); !errors.As(err, &f) || f.reason != protocol.SeedDonorWrong {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAnAbandonedSeedLeavesNothingAtEitherEnd(t *testing.T) {
	g := newGiver(t)
	m := newTaker(t, g)
	reached := make(chan struct{})
	g.fault = func(call int) error {
		if call == 12 { // in the middle of a stream
			g.cut = true
			close(reached)
		}
		return nil
	}
	if _, err := m.seeder.Begin(order("a")); err != nil {
		t.Fatal(err)
	}
	<-reached
	if err := m.seeder.Abandon("a"); err != nil {
		t.Fatal(err)
	}
	g.set(func() { g.cut = false })
	if m.seeder.State() != nil || m.target.State() != nil || m.gate() != protocol.GateAwaitsOrder {
		t.Errorf("%+v, %+v, gate %s", m.seeder.State(), m.target.State(), m.gate())
	}
	if _, err := g.source.Get("a"); err == nil {
		t.Error("the donor still has the image")
	}
	if names, err := os.ReadDir(m.volume.Dir); err != nil || len(names) != 0 {
		t.Errorf("left behind: %v, %v", names, err)
	}
	m.finish()
}

func TestAnOrderThatCannotBeReadKeepsTheGateShutUntilItIsAbandoned(t *testing.T) {
	m := newTaker(t, newGiver(t))
	if err := os.WriteFile(m.volume.Path(volume.SeedFile), []byte(`{"order":{}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	m.stop()
	if err := m.seeder.Start(t.Context()); err == nil {
		t.Fatal("it was read")
	}
	if m.gate() != protocol.GatePlacing {
		t.Errorf("gate %s", m.gate())
	}
	var refusal *images.Refusal
	if _, err := m.seeder.Begin(order("a")); !errors.As(err, &refusal) || refusal.Reason != protocol.ReasonConflict {
		t.Errorf("%v", err)
	}
	if err := m.seeder.Abandon("any"); err != nil {
		t.Fatal(err)
	}
	if m.gate() != protocol.GateAwaitsOrder {
		t.Errorf("gate %s", m.gate())
	}
	m.restart()
	m.finish()
}

// FuzzRecord reads what may stand in a volume: it never fails otherwise than with an error, and what it takes is as good as an order.
func FuzzRecord(f *testing.F) {
	good, err := json.Marshal(record{Order: order("a"), Seed: protocol.Seed{ID: "a", Phase: protocol.SeedReceiving}})
	if err != nil {
		f.Fatal(err)
	}
	for _, seed := range []string{string(good), "", "{}", "null", `{"order":{"id":"../a"}}`, strings.Replace(string(good), "Receiving", "x", 1), strings.Replace(string(good), `"id":"a"`, `"id":"b"`, 1)} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		r, err := parseRecord(content)
		if err != nil {
			return
		}
		if err := check(r.Order); err != nil || r.Seed.ID != r.Order.ID {
			t.Errorf("%q: %+v, %v", content, r, err)
		}
		if _, err := json.Marshal(r); err != nil {
			t.Error(err)
		}
	})
}
