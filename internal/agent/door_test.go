package agent

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/robustmq/robustmq-operator/internal/agent/client"
	"github.com/robustmq/robustmq-operator/internal/agent/process"
	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
	"github.com/robustmq/robustmq-operator/internal/robustmq/admin"
	"github.com/robustmq/robustmq-operator/internal/robustmq/config"
)

func TestOnlyTheOperatorMayGiveOrders(t *testing.T) {
	w := newWorld(t)
	p := w.add(config.RolePlacementCenter, 0).start()
	p.eventually("the configuration is read", func(s protocol.State) bool { return s.NodeID == 1 })
	for _, kind := range []protocol.ClientKind{protocol.ClientAgent, protocol.ClientJob, "intruder"} {
		if _, err := p.as(kind).State(t.Context()); client.Reason(err) != protocol.ReasonForbidden {
			t.Errorf("%s: %v", kind, err)
		}
	}
	if _, err := p.operator().State(t.Context()); err != nil {
		t.Error(err)
	}
	p.agent.mu.Lock()
	m := p.agent.mounted
	p.agent.mu.Unlock()
	if peer, err := p.agent.peers.ask(t.Context(), m, p.Host); err != nil || peer.NodeID != 1 {
		t.Errorf("an agent may ask another: %+v, %v", peer, err)
	}
	pool := client.NewPool(client.Limits{}, nil)
	stranger := newAuthority(t)
	foreign := w.ca.client(protocol.ClientOperator)
	foreign.Cert, foreign.Key = stranger.issue("", protocol.ClientURI(testNamespace, testCluster, protocol.ClientOperator), time.Now().Add(time.Hour))
	elsewhere := w.ca.client(protocol.ClientOperator)
	elsewhere.Cert, elsewhere.Key = w.ca.issue("", protocol.ClientURI(testNamespace, "another", protocol.ClientOperator), time.Now().Add(time.Hour))
	expired := w.ca.client(protocol.ClientOperator)
	expired.Cert, expired.Key = w.ca.issue("", protocol.ClientURI(testNamespace, testCluster, protocol.ClientOperator), time.Now().Add(-time.Hour))
	wrongName := w.ca.client(protocol.ClientOperator)
	wrongName.ServerName = protocol.ServerName(testNamespace, "another")
	for name, identity := range map[string]client.Identity{"another CA": foreign, "another cluster": elsewhere, "expired": expired, "another cluster's agent": wrongName} {
		c, err := pool.Client(name, identity, p.IP)
		if err != nil {
			t.Fatal(err)
		}
		if s, err := c.State(t.Context()); err == nil {
			t.Errorf("%s: answered %+v", name, s)
		} else if name != "another cluster" && !client.IsUnreachable(err) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAJobMovesImagesAndReadsListsAndNothingElse(t *testing.T) {
	for _, c := range []struct {
		method, path string
		want         bool
	}{
		{http.MethodGet, "/v1/admin/api/cluster/user/list", true}, {http.MethodGet, "/v1/admin/api/cluster/topic/list", true},
		{http.MethodPost, "/v1/admin/api/cluster/user/list", false}, {http.MethodDelete, "/v1/admin/api/cluster/user/list", false},
		{http.MethodGet, "/v1/admin/api/cluster/user/list/", false}, {http.MethodGet, "/v1/adminx/api/cluster/user/list", false}, {http.MethodGet, "/api/cluster/user/list", false},
		{http.MethodGet, "/v1/admin/api/cluster/config/get", false}, {http.MethodPost, "/v1/admin/api/cluster/user/create", false},
		{http.MethodPost, protocol.PathImages, true}, {http.MethodDelete, protocol.PathImages + "/a", true}, {http.MethodGet, protocol.PathImages + "x", false},
		{http.MethodPost, protocol.PathSeed, false}, {http.MethodDelete, protocol.PathSeed + "/a", false},
		{http.MethodGet, protocol.PathState, false}, {http.MethodGet, protocol.PathEnd, false}, {http.MethodGet, protocol.PathPeer, false}, {http.MethodPost, protocol.PathWipe, false}, {http.MethodPost, protocol.PathServer, false},
	} {
		if got := allowed(protocol.ClientJob, c.method, c.path); got != c.want {
			t.Errorf("%s %s: %t", c.method, c.path, got)
		}
		if allowed(protocol.ClientAgent, c.method, c.path) != (c.path == protocol.PathPeer || takesImage(c.path)) || !allowed(protocol.ClientOperator, c.method, c.path) || allowed("", c.method, c.path) {
			t.Errorf("%s %s for others", c.method, c.path)
		}
	}
}

func TestCertificatesAreRotatedWithoutARestart(t *testing.T) {
	w := newWorld(t)
	p := w.add(config.RolePlacementCenter, 0).start()
	p.eventually("the configuration is read", func(s protocol.State) bool { return s.NodeID == 1 })
	old := p.operator()
	if _, err := old.State(t.Context()); err != nil {
		t.Fatal(err)
	}
	next := newAuthority(t)
	next.install(p.Paths.PKIDir)
	w.ca = next
	eventually(t, "the new authority's clients are served", func() bool {
		_, err := p.operator().State(t.Context())
		return err == nil
	}, func() any { return nil })
	// A file that cannot be read (half of a rotation) leaves the last good identity in use.
	put(t, filepath.Join(p.Paths.PKIDir, "tls.key"), []byte("garbage"))
	never(t, "a broken rotation takes the door away", 1500*time.Millisecond, func() bool {
		_, err := p.operator().State(t.Context())
		return err != nil
	})
}

func TestTheAdminAPIIsReachedWithAToken(t *testing.T) {
	w := newWorld(t)
	p := w.add(config.RolePlacementCenter, 0).initialised(nil)
	p.start()
	p.eventually("the server runs", runs)
	data, err := p.operator().Admin(t.Context(), http.MethodPost, "/api/echo?limit=1000&x=a%2Fb", map[string]string{"k": "v"})
	var echo struct{ Method, Query, Body string }
	if err != nil || json.Unmarshal(data, &echo) != nil || echo.Method != http.MethodPost || echo.Query != "limit=1000&x=a%2Fb" || echo.Body != `{"k":"v"}` {
		t.Errorf("%s, %v", data, err)
	}
	_, err = p.operator().Admin(t.Context(), http.MethodGet, "/api/fail", nil)
	var failed *admin.Error
	if !errors.As(err, &failed) || failed.Code != 100 || client.IsUnreachable(err) {
		t.Errorf("%v", err)
	}
	if _, err = p.operator().Admin(t.Context(), http.MethodGet, "/api/nope", nil); !errors.As(err, &failed) || failed.Status != 404 {
		t.Errorf("%v", err)
	}
	if _, err = p.operator().Admin(t.Context(), http.MethodGet, "/metrics", nil); err == nil {
		t.Error("a path outside of the API is passed on")
	}
	server := w.server(1)
	server.mu.Lock()
	bearer := 0
	for _, token := range server.tokens {
		if strings.HasPrefix(token, "Bearer ey") {
			bearer++
		}
	}
	server.mu.Unlock()
	if bearer == 0 {
		t.Error("no token was sent")
	}
	if _, err := p.operator().Server(t.Context(), protocol.ServerOrder{Action: protocol.ServerStop}); err != nil {
		t.Fatal(err)
	}
	if _, err = p.operator().Admin(t.Context(), http.MethodGet, "/api/echo", nil); client.Reason(err) != protocol.ReasonServerDown {
		t.Errorf("%v", err)
	}
}

func TestMembershipIsChangedThroughTheOwnServer(t *testing.T) {
	w := newWorld(t)
	p := w.add(config.RolePlacementCenter, 0).initialised(nil).start()
	p.eventually("the server runs", runs)
	order := protocol.MembershipOrder{NodeID: 2, Addr: "two:1228"}
	if _, err := p.operator().Join(t.Context(), order); err != nil {
		t.Fatal(err)
	}
	server := w.server(1)
	server.mu.Lock()
	if len(server.joins) != 1 || server.joins[0] != "2 two:1228" {
		t.Errorf("joins: %v", server.joins)
	}
	server.mu.Unlock()
	w.script(1).set(func(b *behaviour) {
		b.refuseJoin = `has to forward request to: Some(3), Some(Node { node_id: 3, rpc_addr: "n3:1228" })`
	})
	if _, err := p.operator().Join(t.Context(), order); client.Reason(err) != protocol.ReasonServerFailed || !strings.Contains(err.Error(), "n3:1228") {
		t.Errorf("%v", err)
	}
	for name, call := range map[string]func() error{
		"no node": func() error { _, err := p.operator().Leave(t.Context(), protocol.MembershipOrder{}); return err },
		"no address": func() error {
			_, err := p.operator().Join(t.Context(), protocol.MembershipOrder{NodeID: 2})
			return err
		},
		"no action": func() error { _, err := p.operator().Server(t.Context(), protocol.ServerOrder{}); return err },
	} {
		if err := call(); client.Reason(err) != protocol.ReasonBadRequest {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := p.operator().Server(t.Context(), protocol.ServerOrder{Action: protocol.ServerStop}); err != nil {
		t.Fatal(err)
	}
	if _, err := p.operator().Unregister(t.Context(), order); client.Reason(err) != protocol.ReasonServerDown {
		t.Errorf("%v", err)
	}
}

func TestAPanicInAHandlerIsAnsweredAndCounted(t *testing.T) {
	w := newWorld(t)
	p := w.add(config.RolePlacementCenter, 0).initialised(nil).start()
	before := p.eventually("the server runs", runs)
	recorder := httptest.NewRecorder()
	p.agent.recovering("handler", http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("defect") })).
		ServeHTTP(recorder, httptest.NewRequest(http.MethodGet, "/", nil))
	if recorder.Code != http.StatusInternalServerError || testutil.ToFloat64(p.agent.metrics.panics.WithLabelValues("handler")) != 1 {
		t.Errorf("%d %s", recorder.Code, recorder.Body)
	}
	if s := p.agent.State(t.Context()); !s.Server.Started.Equal(*before.Server.Started) {
		t.Errorf("the server was touched: %+v", s.Server)
	}
}

func TestALoopThatPanicsIsRunAgain(t *testing.T) {
	w := newWorld(t)
	p := w.add(config.RolePlacementCenter, 0).start()
	ctx, cancel := context.WithCancel(t.Context())
	runs := 0
	p.agent.forever(ctx, "loop", func(context.Context) {
		runs++
		if runs == 3 {
			cancel()
			return
		}
		panic("defect")
	})
	if runs != 3 || testutil.ToFloat64(p.agent.metrics.panics.WithLabelValues("loop")) != 2 {
		t.Errorf("%d rounds", runs)
	}
}

func TestALauncherThatPanicsOrFailsIsTriedAgain(t *testing.T) {
	w := newWorld(t)
	p := w.add(config.RolePlacementCenter, 0).initialised(nil).start()
	p.eventually("the server runs", runs)
	calls := 0
	launcher := p.agent.o.Launcher
	p.agent.mu.Lock()
	p.agent.o.Launcher = process.LauncherFunc(func(ctx context.Context, spec process.Spec) (process.Process, error) {
		calls++
		switch calls {
		case 1:
			panic("defect")
		case 2:
			return nil, errors.New("no such file")
		}
		return launcher.Start(ctx, spec)
	})
	p.agent.mu.Unlock()
	if _, err := p.operator().Server(t.Context(), protocol.ServerOrder{Action: protocol.ServerRestart}); err != nil {
		t.Fatal(err)
	}
	s := p.eventually("the server runs again", func(s protocol.State) bool { return runs(s) && calls == 3 })
	if s.Server.LastExit.Reason != protocol.ExitNotStarted || !strings.Contains(s.Server.LastExit.Message, "no such file") {
		t.Errorf("%+v", s.Server.LastExit)
	}
}

func TestMetricsTellWhatTheServerDoesNot(t *testing.T) {
	_, pods := three(t, nil)
	var body string
	eventually(t, "metrics of the leader", func() bool {
		_, body = pods[0].get("/metrics")
		return strings.Contains(body, `robustmq_raft_leader{group="metadata_0"} 1`)
	}, func() any { return body })
	for _, want := range []string{
		`robustmq_raft_voters{group="data_0"} 3`, `robustmq_raft_quorum_ack_age_seconds{group="offset_0"} 0.003`, `robustmq_raft_applied_index{group="metadata_0"} 7`,
		`robustmq_gate_open{reason="Open"} 1`, `robustmq_server_up 1`, `robustmq_pod_ready 1`, `robustmq_registered_nodes 1`, `robustmq_server_restarts 0`,
		`robustmq_config_pending 0`, `robustmq_certificate_expiry_timestamp_seconds{certificate="server"}`, `robustmq_certificate_expiry_timestamp_seconds{certificate="agent"}`,
		`robustmq_volume_free_bytes`, `robustmq_agent_info{node="1",role="PlacementCenter",server_version="0.4.11",version="test"} 1`, "process_resident_memory_bytes",
	} {
		if !strings.Contains(body, want) {
			t.Errorf("missing: %s", want)
		}
	}
	if strings.Contains(body, "password-1") || strings.Contains(body, "secret-1") {
		t.Error("a secret in the metrics")
	}
	problems, err := testutil.GatherAndLint(pods[0].agent.metrics.registry)
	if err != nil || len(problems) > 0 {
		t.Errorf("%v, %v", problems, err)
	}
}

func TestWhatTheServerWouldDieOfIsFoundBefore(t *testing.T) {
	w := newWorld(t)
	p := w.add(config.RolePlacementCenter, 0)
	w.add(config.RolePlacementCenter, 1)
	p.configure(nil)
	o := Options{PodName: p.Name, PodIP: p.IP, Paths: p.Paths}
	good := readFiles(p.Paths)
	if m := o.read(good); m.problem != "" || m.hash == "" {
		t.Fatalf("%+v", m.problem)
	}
	edit := func(change func(*protocol.Config)) files {
		c := p.config
		c.Members = append([]protocol.Member(nil), c.Members...)
		change(&c)
		raw, err := json.Marshal(c)
		if err != nil {
			t.Fatal(err)
		}
		f := good
		f.config = raw
		return f
	}
	with := func(change func(*files)) files { f := good; change(&f); return f }
	otherCert, _ := w.ca.issue("x", "", time.Now().Add(time.Hour))
	for name, c := range map[string]struct {
		files files
		want  string
	}{
		"no file":                    {with(func(f *files) { f.config = nil }), "is missing"},
		"not JSON":                   {with(func(f *files) { f.config = []byte("{") }), "cannot be read"},
		"no cluster":                 {edit(func(c *protocol.Config) { c.ClusterUID = "" }), "clusterUID"},
		"version":                    {edit(func(c *protocol.Config) { c.Version = "v1" }), "version"},
		"old version":                {edit(func(c *protocol.Config) { c.Version = "0.2.0" }), "older than"},
		"role":                       {edit(func(c *protocol.Config) { c.Role = "Meta" }), "role"},
		"no members":                 {edit(func(c *protocol.Config) { c.Members = nil }), "empty"},
		"not in the list":            {edit(func(c *protocol.Config) { c.Members = c.Members[1:] }), "node 1 is not in the list"},
		"listed elsewhere":           {edit(func(c *protocol.Config) { c.Members[0].Host = "elsewhere" }), "is listed as"},
		"listed twice":               {edit(func(c *protocol.Config) { c.Members[1].NodeID = 1 }), "twice"},
		"port out of range":          {edit(func(c *protocol.Config) { c.Ports.HTTP = 99999 }), "http is 99999"},
		"port missing":               {edit(func(c *protocol.Config) { c.Ports.NATSWSS = 0 }), "natsWSS is 0"},
		"port twice":                 {edit(func(c *protocol.Config) { c.Ports.Kafka = 1883 }), "both 1883"},
		"port of the agent":          {edit(func(c *protocol.Config) { c.Ports.WS = protocol.Port }), "the agent"},
		"no password":                {with(func(f *files) { f.mqttPassword = nil }), "mqtt/password"},
		"no key of tokens":           {with(func(f *files) { f.jwtSecret = []byte("") }), "jwt/secret"},
		"no certificate":             {with(func(f *files) { f.cert = nil }), "tls.crt"},
		"certificate garbage":        {with(func(f *files) { f.cert = []byte("x") }), "server certificate"},
		"key of another certificate": {with(func(f *files) { f.cert = otherCert }), "server certificate"},
		"a file that cannot be read": {with(func(f *files) { f.problem = "permission denied" }), "permission denied"},
	} {
		if m := o.read(c.files); !strings.Contains(m.problem, c.want) {
			t.Errorf("%s: %q, want %q in it", name, m.problem, c.want)
		}
	}
	expired, key := w.ca.issue("x", "", time.Now().Add(-time.Minute))
	if m := o.read(with(func(f *files) { f.cert, f.key = expired, key })); m.problem != "" || !strings.Contains(m.warning(time.Now()), "expired") {
		t.Errorf("an expired certificate: %q, %q", m.problem, m.warning(time.Now()))
	}
	for _, name := range []string{"", "x", "-1", "demo-", "demo-x", "demo--"} {
		if n, err := ordinalOf(name); err == nil {
			t.Errorf("ordinal of %q: %d", name, n)
		}
	}
	if n, err := ordinalOf("demo-placement-center-12"); err != nil || n != 12 {
		t.Error(n, err)
	}
}

func FuzzAnyConfigurationIsReadOrRefused(f *testing.F) {
	f.Add([]byte(`{"cluster":"c","namespace":"n","clusterUID":"u","version":"0.4.11","role":"MQTTBroker","baseID":1001,"members":[{"nodeID":1,"host":"h"}],"sections":{"":{"a":null},"b":{"c":[1,{}]}}}`))
	f.Add([]byte(`{"clusterUID":"u","version":"0.3.0","role":"PlacementCenter","islands":true,"sections":{"x":{"y":1e999}}}`))
	f.Add([]byte(`null`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		m := Options{PodName: "demo-mqtt-broker-0", PodIP: "127.0.0.1"}.read(files{config: raw})
		if m.problem == "" {
			t.Errorf("accepted without credentials or a certificate: %q", raw)
		}
	})
}

func TestAVolumeThatCannotBeWrittenClosesTheGate(t *testing.T) {
	w := newWorld(t)
	p := w.add(config.RolePlacementCenter, 0)
	if err := os.Remove(p.Paths.VolumeDir); err != nil {
		t.Fatal(err)
	}
	p.start()
	p.eventually("the gate names the volume", func(s protocol.State) bool {
		return s.Gate.Reason == protocol.GateVolumeUnusable && s.Volume.Phase == protocol.VolumeUnusable && s.Gate.Message != ""
	})
	if err := os.Mkdir(p.Paths.VolumeDir, 0o755); err != nil {
		t.Fatal(err)
	}
	p.eventually("it is found again", func(s protocol.State) bool { return s.Gate.Reason == protocol.GateAwaitsOrder })
}

func TestScaledTimingsKeepRealInputAndOutputPossible(t *testing.T) {
	fast := DefaultTimings().Scale(1000)
	if fast.PeerTimeout < ioFloor || fast.Tick < waitFloor || fast.HungAfter != 30*time.Millisecond || fast.JoinDial != DefaultTimings().JoinDial {
		t.Errorf("%+v", fast)
	}
	if DefaultTimings().Scale(1) != DefaultTimings() {
		t.Error("a speed of 1 changes timings")
	}
	if hold := DefaultTimings().HoldMax; hold+DefaultTimings().Stop >= protocol.TerminationGracePeriod {
		t.Errorf("hold %s and stop do not fit into the grace period", hold)
	}
}
