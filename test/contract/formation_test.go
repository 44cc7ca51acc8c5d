package contract

import (
	"context"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/robustmq/robustmq-operator/internal/robustmq"
	"github.com/robustmq/robustmq-operator/test/contract/lab"
)

func TestASingleNodeFoundsAClusterOfItsOwnAndOpensItsPortsInOrder(t *testing.T) {
	l := lab.New(t, lab.Options{Metas: 1})
	n := l.Node(1).Start()
	l.Eventually(5*time.Second, "gRPC and the admin API open first", func() bool { return n.Open(lab.GRPC) && n.Open(lab.HTTP) })
	if n.Open(lab.MQTT) {
		t.Error("MQTT was open together with gRPC")
	}
	started(n)
	for _, port := range []int{lab.Engine, lab.MQTTS, lab.WS, lab.WSS, lab.Kafka, lab.AMQP, lab.NATS} {
		l.Eventually(3*time.Second, "every other port is open", func() bool { return n.Open(port) })
	}
	for name, g := range n.Status() {
		if !g.LeadsWithQuorum() || g.Term != 1 || !slices.Equal(g.Voters(), []uint64{1}) || g.Nodes[1] != "n1.lab:1228" {
			t.Errorf("%s: %+v", name, g)
		}
	}
}

func TestMembersThatStartOneAfterAnotherAllBecomeVotersOfEveryGroup(t *testing.T) {
	l := lab.New(t, lab.Options{})
	nodes := form(l, 1, 2, 3)
	for name, g := range nodes[2].Status() {
		if g.CurrentLeader != 1 || g.Term != 1 || g.State != "Follower" {
			t.Errorf("%s: the founder does not lead: %+v", name, g)
		}
	}
	if !nodes[1].Output.Has("Successfully joined cluster via peer n1.lab:1228") {
		t.Error("the second member does not say that it joined")
	}
	l.Eventually(10*time.Second, "everybody lists everybody", func() bool {
		for _, n := range nodes {
			if !slices.Equal(registered(n), []uint64{1, 2, 3}) {
				return false
			}
		}
		return true
	})
}

func TestAMemberThatJoinsWhileTheFounderStillStartsFindsTheDefaultUser(t *testing.T) {
	l := lab.New(t, lab.Options{Speed: 2}) // two that ask in the same instant both find none, with the real server too: the second's start must be later than that
	founder := l.Node(1).Start()
	l.Eventually(25*time.Second, "the founder leads", func() bool {
		for _, g := range founder.Status() {
			if !g.LeadsWithQuorum() {
				return false
			}
		}
		return len(founder.Status()) > 0
	})
	second := l.Node(2).Start() // its cache is loaded before the founder has made the user
	for _, n := range []*lab.Node{founder, second} {
		if started(n); !n.Running() || n.Output.Has("already exist") {
			t.Errorf("%s tried to make what was there:\n%s", n.Name, n.Output)
		}
	}
	agree(l, []*lab.Node{founder, second}, 1, 2)
}

func TestAFounderWithoutTheRoleOfABrokerListsTheUserThatItMadeLast(t *testing.T) {
	l := lab.New(t, lab.Options{Metas: 1, Speed: 4})
	n := l.Node(1)
	n.Roles = []string{"meta", "engine"} // as a member of the placement centre
	n.Start()
	listed := func(name string) (users []string) {
		page := must[struct{ Data []struct{ Username string } }](n, "GET", "/api/cluster/user/list?tenant=default&user_name="+name, nil)
		for _, u := range page.Data {
			users = append(users, u.Username)
		}
		return users
	}
	l.Eventually(25*time.Second, "it leads", func() bool { return n.Status()[robustmq.GroupMetadata].LeadsWithQuorum() })
	took := l.Elapsed(func() {
		l.Eventually(10*time.Second, "it lists the user of its configuration", func() bool { return slices.Equal(listed(lab.MQTTUser), []string{lab.MQTTUser}) })
	})
	t.Logf("%s after it led", took)
	if users := listed(lab.MQTTUser[1:]); !slices.Equal(users, []string{lab.MQTTUser}) { // a part of the name is enough
		t.Errorf("users: %v", users)
	}
	if users := listed(lab.MQTTUser + "2"); len(users) != 0 {
		t.Errorf("users of another name: %v", users)
	}
}

func TestAMemberThatReachesNoPeerFoundsASecondCluster(t *testing.T) {
	l := lab.New(t, lab.Options{Metas: 2})
	first := started(l.Node(1).Start())
	second := l.Node(2)
	second.Hole(true)
	second.Start()
	l.Eventually(20*time.Second, "the lonely member bootstraps", func() bool {
		return second.Output.Has("No reachable peers, bootstrapping single-node cluster (node 2)")
	})
	second.Hole(false)
	l.Eventually(10*time.Second, "it says so itself", func() bool {
		g := second.Status()[robustmq.GroupMetadata]
		return slices.Equal(g.Voters(), []uint64{2}) && g.State == "Leader"
	})
	second.Kill()
	second.Start()
	started(second)
	l.Throughout(5*time.Second, "the clusters do not merge", func() bool {
		// An answer that does not come in time says nothing.
		is := func(n *lab.Node) bool {
			g, answered := n.Status()[robustmq.GroupMetadata]
			return !answered || slices.Equal(g.Voters(), []uint64{n.ID})
		}
		return is(first) && is(second)
	})
	// From outside it looks healthy: registered with the first cluster, since the first address of meta_addrs answers.
	l.Eventually(10*time.Second, "it is listed in the first cluster", func() bool { return slices.Equal(registered(second), []uint64{1, 2}) })
}

func TestAVoterAloneWaitsForItsQuorumWithoutEnd(t *testing.T) {
	l := lab.New(t, lab.Options{Metas: 2})
	nodes := form(l, 1, 2)
	for _, n := range nodes {
		n.Kill()
	}
	alone := nodes[1].Start()
	l.Eventually(5*time.Second, "gRPC opens", func() bool { return alone.Open(lab.GRPC) && alone.Open(lab.HTTP) })
	l.Throughout(15*time.Second, "it waits, without MQTT", func() bool { return alone.Running() && !alone.Open(lab.MQTT) })
	if !alone.Output.Has("Waiting for Meta Service cluster to be ready") {
		t.Error("it does not say what it waits for")
	}
	var code int
	took := l.Elapsed(func() { code = alone.Stop() })
	if code != 0 || took < 19*time.Second || took > 24*time.Second+l.Slack() {
		t.Errorf("SIGTERM while waiting: exit %d after %v, want 0 after 20 s", code, took)
	}
}

func TestARunningServerStopsWithinASecondOfSIGTERM(t *testing.T) {
	l := lab.New(t, lab.Options{Metas: 1})
	n := started(l.Node(1).Start())
	var code int
	took := l.Elapsed(func() { code = n.Stop() })
	if code != 0 || took > 3*time.Second+l.Slack() {
		t.Errorf("exit %d after %v", code, took)
	}
	n.Start()
	started(n)
	n.Signal(syscall.SIGINT)
	if code := n.Exit(5 * time.Second); code != 0 {
		t.Errorf("SIGINT: exit %d", code)
	}
}

func TestALeaderThatIsBackSoonLeadsOnInItsTermWithoutAnElection(t *testing.T) {
	l := lab.New(t, lab.Options{})
	nodes := form(l, 1, 2, 3)
	nodes[0].Stop()
	nodes[0].Start()
	started(nodes[0])
	l.Eventually(10*time.Second, "the leader leads again", func() bool { return leaders(nodes)[robustmq.GroupMetadata] == 1 })
	for name, g := range nodes[1].Status() {
		if g.Term != 1 || g.CurrentLeader != 1 {
			t.Errorf("%s: %+v", name, g)
		}
	}
}

func TestALostLeaderIsReplacedAfterHalfAMinuteAndWritesAreRefusedFastUntilThen(t *testing.T) {
	l := lab.New(t, lab.Options{Seed: 3})
	nodes := form(l, 1, 2, 3)
	nodes[0].Kill()
	rest := nodes[1:]
	took := l.Elapsed(func() {
		if writes(rest[0], "too-early") {
			t.Error("a write succeeded without a leader")
		}
		if g := rest[0].Status()[robustmq.GroupMetadata]; g.CurrentLeader != 1 {
			t.Errorf("a follower forgot its dead leader at once: %+v", g)
		}
		l.Eventually(60*time.Second, "all groups have a leader with a quorum", func() bool { return len(leaders(rest)) == 3 })
	})
	if took < 28*time.Second || took > 50*time.Second+l.Slack() {
		t.Errorf("the election took %v, seen were 31 to 38 s", took)
	}
	l.Eventually(10*time.Second, "writes are accepted again", func() bool { return writes(rest[0], "later") })
	for name, g := range rest[0].Status() {
		if g.Term < 2 {
			t.Errorf("%s is still in term %d", name, g.Term)
		}
	}
	l.Eventually(20*time.Second, "the dead node leaves the list, the others stay", func() bool { return slices.Equal(registered(rest[1]), []uint64{2, 3}) })
	nodes[0].Start()
	started(nodes[0])
	l.Eventually(10*time.Second, "it is back as a follower, up to date", func() bool {
		g, leader := nodes[0].Status()[robustmq.GroupMetadata], rest[0].Status()[robustmq.GroupMetadata]
		return g.State == "Follower" && g.LastApplied != nil && g.LastApplied.Index >= leader.LastLogIndex-2
	})
}

func TestALeaderWithoutQuorumCallsItselfLeaderAndOnlyItsAcknowledgementTells(t *testing.T) {
	l := lab.New(t, lab.Options{})
	nodes := form(l, 1, 2, 3)
	last := led(l, nodes, robustmq.GroupMetadata)
	for _, n := range without(nodes, last.ID) {
		n.Kill()
	}
	l.Eventually(20*time.Second, "the acknowledgement grows old", func() bool {
		g := last.Status()[robustmq.GroupMetadata]
		return g.State == "Leader" && g.CurrentLeader == last.ID && g.MillisSinceQuorumAck != nil && *g.MillisSinceQuorumAck > 5000
	})
	last.Kill()
	last.Start()
	l.Eventually(10*time.Second, "restarted alone, it says Leader with no acknowledgement at all", func() bool {
		g := last.Status()[robustmq.GroupMetadata]
		return g.State == "Leader" && g.CurrentLeader == last.ID && g.MillisSinceQuorumAck == nil && g.Running
	})
}

func TestAllMembersRestartedTogetherAgreeAgainWithoutAnElection(t *testing.T) {
	l := lab.New(t, lab.Options{})
	nodes := form(l, 1, 2, 3)
	for _, n := range nodes {
		n.Signal(syscall.SIGTERM)
	}
	for _, n := range nodes {
		if code := n.Exit(10 * time.Second); code != 0 {
			t.Errorf("%s: exit %d", n.Name, code)
		}
	}
	for _, n := range nodes {
		n.Start()
	}
	for _, n := range nodes {
		started(n)
	}
	for name, g := range nodes[2].Status() {
		if g.Term != 1 || g.CurrentLeader != 1 {
			t.Errorf("%s: %+v", name, g)
		}
	}
}

func TestAJoinStopsHalfWayWhenAnotherMemberLeadsTheNextGroup(t *testing.T) {
	if lab.Real() {
		t.Skip("where leaders land after a loss is chance on a real server")
	}
	l := lab.New(t, lab.Options{Metas: 4, Seed: splitSeed})
	nodes := form(l, 1, 2, 3)
	nodes[0].Kill()
	l.Eventually(60*time.Second, "new leaders", func() bool { return len(leaders(nodes[1:])) == 3 })
	at := leaders(nodes[1:])
	if at[robustmq.GroupMetadata] == at[robustmq.GroupOffset] && at[robustmq.GroupOffset] == at[robustmq.GroupData] {
		t.Fatalf("seed %d does not split the leaders: %v", splitSeed, at)
	}
	nodes[0].Start()
	started(nodes[0])
	fourth := l.Node(4).Start()
	if code := fourth.Exit(15 * time.Second); code != 1 {
		t.Fatalf("exit %d", code)
	}
	fourth.Start()
	started(fourth)
	if !fourth.Output.Has("Node 4 has persisted state, recovering existing cluster") {
		t.Error("the second start does not believe that it is a member")
	}
	s := fourth.Status()
	whole, half := 0, 0
	for _, name := range robustmq.Groups {
		if slices.Contains(s[name].Voters(), 4) {
			whole++
		} else {
			half++
		}
	}
	if whole == 0 || half == 0 {
		t.Fatalf("not a half member: %+v", s)
	}
	for _, n := range nodes {
		err := n.Client().Join(context.Background(), 4, "n4.lab:1228")
		if err == nil || !strings.Contains(err.Error(), "has to forward request to") {
			t.Errorf("join on %s: %v", n.Name, err)
		}
	}
}

// splitSeed puts the leaders of the groups on different members after the loss of the first.
const splitSeed = 3

func TestMembersLeaveDownToTwoVotersAndNoFurther(t *testing.T) {
	l := lab.New(t, lab.Options{})
	nodes := form(l, 1, 2, 3)
	if got := refused(nodes[0], "POST", "/api/cluster/node/leave", map[string]any{"node_id": 3}); !strings.Contains(got, "Node 3 is still registered (alive). Stop its process first, or pass force=true") {
		t.Errorf("leave of a live node: %q", got)
	}
	nodes[2].Stop()
	l.Eventually(45*time.Second, "node 3 leaves the list", func() bool { return slices.Equal(registered(nodes[0]), []uint64{1, 2}) })
	for range 2 { // it is idempotent
		if got := refused(nodes[0], "POST", "/api/cluster/node/leave", map[string]any{"node_id": 3}); got != "" {
			t.Fatalf("leave: %q", got)
		}
	}
	agree(l, nodes[:2], 1, 2)
	err := nodes[0].Client().Leave(context.Background(), 2)
	if err == nil || !strings.Contains(err.Error(), "refuse to remove node 2: only 2 voters, removing one would break quorum (need >= 3 voters to safely remove one)") {
		t.Errorf("leave below two voters: %v", err)
	}
}

// TestMembersThatStartTogetherFromEmptyAreALottery restarts what ends, as a kubelet does: whatever comes out, there is one cluster, and who ends ends with 1.
// A half member, which nothing heals, is one of the recorded results.
func TestMembersThatStartTogetherFromEmptyAreALottery(t *testing.T) {
	for seed := range uint64(4) {
		l := lab.New(t, lab.Options{Seed: seed + 1})
		nodes := []*lab.Node{l.Node(1).Start(), l.Node(2).Start(), l.Node(3).Start()}
		exits := 0
		l.Eventually(150*time.Second, "every process stays up", func() bool {
			calm := true
			for _, n := range nodes {
				if !n.Running() {
					// A registration that fails is a panic: 101.
					if code := n.Exit(time.Second); code != 1 && (code != 101 || !n.Output.Has("registration failed")) {
						t.Fatalf("%s ended with %d", n.Name, code)
					}
					exits++
					n.Start()
					calm = false
				}
				calm = calm && n.Open(lab.MQTT)
			}
			return calm
		})
		founders := map[uint64]bool{}
		half := 0
		for _, n := range nodes {
			if n.Output.Has("bootstrapping single-node cluster") {
				founders[n.ID] = true
			}
			for _, name := range robustmq.Groups {
				if !slices.Contains(n.Status()[name].Voters(), n.ID) {
					half++
				}
			}
		}
		if len(founders) != 1 {
			t.Errorf("seed %d: founders %v", seed+1, founders)
		}
		t.Logf("seed %d: founder %v, %d exits, %d groups without their member", seed+1, founders, exits, half)
	}
}
