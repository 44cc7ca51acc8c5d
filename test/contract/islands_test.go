package contract

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/robustmq/robustmq-operator/test/contract/lab"
)

const islandsVersion = "0.3.0"

// metadata is the one group that ClusterStatus of 0.3.0 shows, as package robustmq names it.
const metadata = "metadata"

// forever keeps the leader from expiring nodes, which it does not survive.
const forever = "[meta_runtime]\nheartbeat_timeout_ms = 315360000000\nheartbeat_check_time_ms = 1000\nraft_write_timeout_sec = 30\n"

func oldMembers(l *lab.Lab, sections string) []*lab.Node {
	var nodes []*lab.Node
	for id := range uint64(3) {
		n := l.Node(id + 1)
		n.Roles, n.Sections = []string{"meta"}, sections
		nodes = append(nodes, n)
	}
	return nodes
}

// settle starts members as a kubelet does: one that loses the race of initialisation and ends with 1 is started again.
func settle(l *lab.Lab, nodes []*lab.Node) {
	l.T.Helper()
	for _, n := range nodes {
		n.Start()
	}
	l.Eventually(60*time.Second, "one leader, three voters", func() bool {
		leader := uint64(0)
		for _, n := range nodes {
			if !n.Running() {
				n.Start()
				return false
			}
			g, ok := n.Status()[metadata]
			if !ok || g.CurrentLeader == 0 || leader != 0 && g.CurrentLeader != leader || !slices.Equal(g.Voters(), []uint64{1, 2, 3}) {
				return false
			}
			leader = g.CurrentLeader
			// Who has not registered yet dies of a leader's loss (a panic), and would be started again by the kubelet.
			if !n.Output.Has("has been successfully registered") {
				return false
			}
		}
		return true
	})
}

func TestAnIslandServesMQTT311AndTellsMQTT5ClientsSomethingIllegal(t *testing.T) {
	l := lab.New(t, lab.Options{Metas: 1, Version: islandsVersion, Speed: 10})
	n := started(l.Node(1).Start())
	raw, err := os.ReadFile(filepath.Join("testdata", "v0.3.0", "single_clusterstatus.json"))
	if err != nil {
		t.Fatal(err)
	}
	compare(t, "single_clusterstatus", json.RawMessage(raw), []byte(n.RawStatus()))
	l.Eventually(20*time.Second, "a client gets through", func() bool {
		c, err := connect(n, 4, "a", lab.MQTTUser, lab.MQTTPassword)
		if err != nil || c.connack.ReasonCode != 0 {
			return false
		}
		defer c.close()
		if c.subscribe("t/x") != nil {
			return false
		}
		if code, err := c.publish("t/x", "hello", 5*time.Second); err != nil || code != 0 {
			return false
		}
		return c.gets("hello", 2*time.Second)
	})
	c, err := connect(n, 5, "b", lab.MQTTUser, lab.MQTTPassword)
	if err != nil {
		t.Fatal(err)
	}
	defer c.close()
	if !strings.Contains(string(c.raw), "\x24\x02") {
		t.Errorf("no Maximum QoS 2 in the CONNACK % x", c.raw)
	}
	for path, want := range map[string]string{"/api": "RobustMQ API " + islandsVersion, "/api/status": "missing field `last_quorum_acked`"} {
		if a, err := ask(n, "GET", path, "", nil); err != nil || !strings.Contains(string(a.Body), want) {
			t.Errorf("%s: %s %v", path, a.Body, err)
		}
	}
	for _, path := range []string{"/health/ready", "/api/health/ready", "/api/info", "/metrics"} {
		if a, err := ask(n, "GET", path, "", nil); err != nil || a.Status != 404 {
			t.Errorf("%s: %d %v", path, a.Status, err)
		}
	}
	if !n.Open(lab.Prometheus) {
		t.Error("no metrics port")
	}
	raw, err = os.ReadFile(filepath.Join("testdata", "v0.3.0", "single_api_mqtt_overview.txt"))
	if err != nil {
		t.Fatal(err)
	}
	recorded, _, _ := strings.Cut(string(raw), "\n")
	compare(t, "overview", json.RawMessage(recorded), call(n, "GET", "/api/mqtt/overview", nil).Body)
}

func TestTheOldServerEndsOnSIGINTAloneWhenItIsTheFirstProcess(t *testing.T) {
	l := lab.New(t, lab.Options{Metas: 1, Version: islandsVersion})
	n := started(l.Node(1).Start())
	n.Signal(syscall.SIGTERM)
	l.Throughout(15*time.Second, "SIGTERM is ignored", n.Running)
	n.Signal(syscall.SIGINT)
	took := l.Elapsed(func() {
		if code := n.Exit(15 * time.Second); code != 0 {
			t.Errorf("exit %d", code)
		}
	})
	if took < 8*time.Second || took > 14*time.Second+l.Slack() {
		t.Errorf("it took %v, seen were 9 s", took)
	}
}

func TestASectionOfTheOldDialectNeedsAllOfItsKeys(t *testing.T) {
	for _, c := range []struct{ from, want string }{
		{"max_segment_size = 1073741824\n", "missing field `max_segment_size`"},
		{`tls_key = "./config/certs/key.pem"` + "\n", "missing field `tls_key`"},
		{"max_open_files = 10000\n", "missing field `max_open_files`"},
	} {
		l := lab.New(t, lab.Options{Metas: 1, Version: islandsVersion})
		n := l.Node(1)
		n.Config = strings.Replace(n.Render(), c.from, "", 1)
		n.Start()
		if code := n.Exit(10 * time.Second); code != 101 || !n.Output.Has(c.want) {
			t.Errorf("exit %d, want %q", code, c.want)
		}
	}
}

func TestOldMembersFormTogetherAndElectWithinSeconds(t *testing.T) {
	l := lab.New(t, lab.Options{Version: islandsVersion, Speed: 4})
	nodes := oldMembers(l, forever)
	settle(l, nodes)
	leader := node(nodes, nodes[0].Status()[metadata].CurrentLeader)
	leader.Kill()
	rest := without(nodes, leader.ID)
	l.Eventually(10*time.Second, "another one leads", func() bool {
		g := rest[0].Status()[metadata]
		return g.CurrentLeader != 0 && g.CurrentLeader != leader.ID
	})
	leader.Start()
	settleOne(l, nodes)
	for _, n := range nodes {
		if g := n.Status()[metadata]; !g.Running {
			t.Errorf("%s: %s", n.Name, g.RunningError)
		}
	}
}

func settleOne(l *lab.Lab, nodes []*lab.Node) {
	l.T.Helper()
	l.Eventually(30*time.Second, "all follow one leader", func() bool {
		leader := nodes[0].Status()[metadata].CurrentLeader
		for _, n := range nodes {
			if g, ok := n.Status()[metadata]; !ok || g.CurrentLeader == 0 || g.CurrentLeader != leader {
				return false
			}
		}
		return true
	})
}

func TestAnOldLeaderStopsApplyingOnceItExpiresANode(t *testing.T) {
	l := lab.New(t, lab.Options{Version: islandsVersion, Speed: 10})
	nodes := oldMembers(l, "")
	settle(l, nodes)
	// Heartbeats reach one fixed member only, the second: another leader expires everybody.
	l.Eventually(20*time.Second, "another member than the second leads", func() bool {
		leader := nodes[0].Status()[metadata].CurrentLeader
		if leader == 2 {
			nodes[1].Kill()
			nodes[1].Start()
			return false
		}
		return leader != 0
	})
	l.Eventually(120*time.Second, "the leader's state machine stands still", func() bool {
		for _, n := range nodes {
			if n.Output.Has("Raft write timed out. machine=metadata, data_type=ClusterDeleteNode, timeout=30s") {
				return true
			}
		}
		return false
	})
}

func TestAWipedOldMemberTakesTheHealthyOnesDown(t *testing.T) {
	l := lab.New(t, lab.Options{Version: islandsVersion, Speed: 4})
	nodes := oldMembers(l, forever)
	settle(l, nodes)
	for _, n := range nodes {
		n.Kill()
	}
	nodes[1].Wipe()
	healthy := []*lab.Node{nodes[0], nodes[2]}
	for _, n := range healthy {
		n.Start()
	}
	l.Eventually(30*time.Second, "two of three elect a leader", func() bool {
		for _, n := range healthy {
			if !n.Running() {
				n.Start()
				return false
			}
		}
		leader := healthy[0].Status()[metadata].CurrentLeader
		return leader != 0 && leader != 2 && leader == healthy[1].Status()[metadata].CurrentLeader
	})
	nodes[1].Start()
	l.Eventually(30*time.Second, "a healthy member that led has shut its group down", func() bool {
		down := 0
		for _, n := range healthy {
			g := n.Status()[metadata]
			if g.State == "Shutdown" && !g.Running && strings.Contains(g.RunningError, "snapshot not found") {
				down++
			}
		}
		return down >= 1
	})
	down := healthy[0]
	if g := down.Status()[metadata]; g.State != "Shutdown" {
		down = healthy[1]
	}
	if !down.Running() || !down.Open(lab.GRPC) || !down.Open(lab.HTTP) {
		t.Errorf("%s: its process should live on", down.Name)
	}
}

func TestABrokerBesideOldMembersIsNeverToldOfItsTopicsAndEnds(t *testing.T) {
	l := lab.New(t, lab.Options{Version: islandsVersion, Speed: 8})
	nodes := oldMembers(l, forever)
	settle(l, nodes)
	broker := l.Node(1001)
	broker.Roles, broker.Sections = []string{"broker", "engine"}, forever
	broker.Start()
	took := l.Elapsed(func() {
		if code := broker.Exit(60 * time.Second); code != 1 {
			t.Errorf("exit %d", code)
		}
	})
	if took < 29*time.Second {
		t.Errorf("it ended after %v, seen were 31.8 s", took)
	}
}
