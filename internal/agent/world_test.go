package agent

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/robustmq/robustmq-operator/internal/agent/client"
	"github.com/robustmq/robustmq-operator/internal/agent/process"
	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
	"github.com/robustmq/robustmq-operator/internal/agent/volume"
	"github.com/robustmq/robustmq-operator/internal/robustmq/config"
)

// world is a few pods with agents and fake servers, their names and their network, in this process.
type world struct {
	t       testing.TB
	ca      *authority
	version string
	timings Timings

	mu      sync.Mutex
	names   map[string]string          // DNS
	cut     map[string]map[string]bool // address -> addresses that it cannot reach: connects hang
	scripts map[uint64]*script
	running map[uint64]*fakeServer
	starts  map[uint64]int
	pods    []*pod
	// launcher starts something else than fake servers.
	launcher func(p *pod) process.Launcher
}

// pod is one agent.
type pod struct {
	w      *world
	Name   string
	Host   string
	IP     string
	Root   string
	Paths  Paths
	ID     uint64
	Role   string
	config protocol.Config
	agent  *Agent
	exit   chan int
	kill   context.CancelFunc
	stdout *safeBuffer
	// kills are the out-of-memory kills that the kernel has counted.
	kills *atomic.Uint64
}

type safeBuffer struct {
	mu sync.Mutex
	b  strings.Builder
}

func (b *safeBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *safeBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// speed of the timings in these tests.
const speed = 20

var addresses struct {
	sync.Mutex
	next int
}

// address returns a loopback address that no other test of this process, and hardly one of another, uses.
func address() string {
	addresses.Lock()
	defer addresses.Unlock()
	addresses.next++
	p := os.Getpid()
	return fmt.Sprintf("127.%d.%d.%d", 128+(p>>7)&127, (p&127)*2+addresses.next>>8, addresses.next&255)
}

func newWorld(t testing.TB) *world {
	t.Helper()
	return &world{
		t: t, ca: newAuthority(t), version: "0.4.11", timings: DefaultTimings().Scale(speed), names: map[string]string{}, cut: map[string]map[string]bool{},
		scripts: map[uint64]*script{}, running: map[uint64]*fakeServer{}, starts: map[uint64]int{},
	}
}

func (w *world) script(id uint64) *script {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.scripts[id] == nil {
		w.scripts[id] = &script{}
	}
	return w.scripts[id]
}

func (w *world) started(s *fakeServer) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.running[s.id] = s
	w.starts[s.id]++
}

func (w *world) gone(s *fakeServer) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.running[s.id] == s {
		delete(w.running, s.id)
	}
}

// server is the running server of a node, or nil.
func (w *world) server(id uint64) *fakeServer {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.running[id]
}

func (w *world) startsOf(id uint64) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.starts[id]
}

// separate makes two pods unable to reach one another, or able again.
func (w *world) separate(a, b *pod, apart bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, pair := range [][2]string{{a.IP, b.IP}, {b.IP, a.IP}} {
		if w.cut[pair[0]] == nil {
			w.cut[pair[0]] = map[string]bool{}
		}
		w.cut[pair[0]][pair[1]] = apart
	}
}

func (w *world) publish(p *pod, on bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if on {
		w.names[p.Host] = p.IP
	} else {
		delete(w.names, p.Host)
	}
}

func (w *world) resolve(_ context.Context, host string) ([]string, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if ip, ok := w.names[host]; ok {
		return strings.Fields(ip), nil
	}
	return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
}

// dialFrom is the network as a pod sees it.
func (w *world) dialFrom(ip string) func(ctx context.Context, network, addr string) (net.Conn, error) {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		host, port, err := net.SplitHostPort(addr)
		if err != nil {
			return nil, err
		}
		if net.ParseIP(host) == nil {
			found, err := w.resolve(ctx, host)
			if err != nil {
				return nil, err
			}
			host = found[0]
		}
		w.mu.Lock()
		apart := w.cut[ip][host]
		w.mu.Unlock()
		if apart {
			<-ctx.Done()
			return nil, ctx.Err()
		}
		conn, err := (&net.Dialer{}).DialContext(ctx, network, net.JoinHostPort(host, port))
		if err != nil {
			return nil, err
		}
		return &line{Conn: conn, w: w, from: ip, to: host}, nil
	}
}

// line is a connection whose bytes vanish while its ends are separated.
type line struct {
	net.Conn
	w        *world
	from, to string
}

func (l *line) apart() bool {
	l.w.mu.Lock()
	defer l.w.mu.Unlock()
	return l.w.cut[l.from][l.to]
}

func (l *line) Write(p []byte) (int, error) {
	if l.apart() {
		return len(p), nil
	}
	return l.Conn.Write(p)
}

// add makes a pod with an empty volume; it is not started. All placement-centre pods must be added before one is started.
func (w *world) add(role string, ordinal int) *pod {
	w.t.Helper()
	component := map[string]string{config.RolePlacementCenter: "placement-center", config.RoleMQTTBroker: "mqtt-broker", config.RoleJournalServer: "journal-server"}[role]
	base := map[string]uint64{config.RolePlacementCenter: 1, config.RoleMQTTBroker: 1001, config.RoleJournalServer: 2001}[role]
	name := fmt.Sprintf("%s-%s-%d", testCluster, component, ordinal)
	suffix := "." + testCluster + "-" + component + "." + testNamespace + ".svc.cluster.local"
	p := &pod{w: w, Name: name, Host: name + suffix, IP: address(), Root: w.t.TempDir(), ID: base + uint64(ordinal), Role: role, exit: make(chan int, 1), stdout: &safeBuffer{}, kills: &atomic.Uint64{}}
	p.Paths = PathsUnder(p.Root)
	p.config = protocol.Config{
		Cluster: testCluster, Namespace: testNamespace, ClusterUID: "uid", Generation: 1, Version: w.version, Role: role, BaseID: base, HostSuffix: suffix, Engines: 5, WorkerThreads: 4,
		Ports: protocol.Ports{
			GRPC: 1228, HTTP: 58080, Engine: 1778, MQTT: 1883, MQTTS: 1885, WS: 8083, WSS: 8085, Kafka: 9092, AMQP: 5672, NATS: 4222, NATSTLS: 4223, NATSWS: 4080, NATSWSS: 4443, Prometheus: 9091,
		},
	}
	for _, dir := range []string{p.Paths.VolumeDir, p.Paths.RunDir} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			w.t.Fatal(err)
		}
	}
	w.ca.install(p.Paths.PKIDir)
	cert, key := w.ca.issue("localhost", "", time.Now().Add(time.Hour))
	put(w.t, filepath.Join(p.Paths.ServerTLSDir, "tls.crt"), cert)
	put(w.t, filepath.Join(p.Paths.ServerTLSDir, "tls.key"), key)
	for file, content := range map[string]string{
		"admin/username": "admin", "admin/password": "admin-password-1", "mqtt/username": "mqtt", "mqtt/password": "mqtt-password-1", "jwt/secret": "jwt-secret-1",
	} {
		put(w.t, filepath.Join(p.Paths.CredentialsDir, file), []byte(content))
	}
	w.mu.Lock()
	w.pods = append(w.pods, p)
	w.mu.Unlock()
	w.publish(p, true)
	return p
}

// configure writes config.json after a change.
func (p *pod) configure(change func(*protocol.Config)) {
	p.w.t.Helper()
	if change != nil {
		change(&p.config)
	}
	p.config.Members = nil
	p.w.mu.Lock()
	for _, other := range p.w.pods {
		if other.Role == config.RolePlacementCenter {
			p.config.Members = append(p.config.Members, protocol.Member{NodeID: other.ID, Pod: other.Name, Host: other.Host})
		}
	}
	p.w.mu.Unlock()
	raw, err := json.Marshal(p.config)
	if err != nil {
		p.w.t.Fatal(err)
	}
	put(p.w.t, p.Paths.ConfigFile, raw)
}

// initialised gives the pod's volume data and the marker of an earlier life.
func (p *pod) initialised(change func(*protocol.Marker)) *pod {
	p.w.t.Helper()
	put(p.w.t, filepath.Join(p.Paths.VolumeDir, "data", "_rocksdb", "CURRENT"), nil)
	marker := protocol.Marker{ClusterUID: "uid", NodeID: p.ID, Role: p.Role, Generation: 1, Origin: protocol.OriginJoined, Member: true, HasData: true}
	if change != nil {
		change(&marker)
	}
	if err := volume.At(p.Paths.VolumeDir).WriteMarker(marker); err != nil {
		p.w.t.Fatal(err)
	}
	return p
}

// start runs the agent until the test ends.
func (p *pod) start() *pod {
	p.w.t.Helper()
	if p.config.Members == nil {
		p.configure(nil)
	}
	launcher := p.w.launcherAt(p.IP)
	if p.w.launcher != nil {
		launcher = p.w.launcher(p)
	}
	a, err := New(Options{
		PodName: p.Name, PodIP: p.IP, Version: "test", Paths: p.Paths, Launcher: launcher, ListenHost: p.IP, Loopback: p.IP,
		Resolve: p.w.resolve, Dial: p.w.dialFrom(p.IP), Timings: p.w.timings, Stdout: p.stdout, Stderr: p.stdout,
		Log:      slog.New(slog.NewTextHandler(testLog{p.w.t, p.Name}, &slog.HandlerOptions{Level: slog.LevelInfo})),
		OOMKills: func() (uint64, bool) { return p.kills.Load(), true }, BootID: "boot", CPUs: 2,
	})
	if err != nil {
		p.w.t.Fatal(err)
	}
	p.agent = a
	ctx, cancel := context.WithCancel(context.Background())
	p.kill = cancel
	done := make(chan struct{})
	go func() {
		defer close(done)
		p.exit <- a.Run(ctx)
	}()
	p.w.t.Cleanup(func() {
		cancel()
		<-done
	})
	return p
}

type testLog struct {
	t   testing.TB
	pod string
}

func (l testLog) Write(p []byte) (int, error) {
	l.t.Helper()
	l.t.Log(l.pod, strings.TrimSpace(string(p)))
	return len(p), nil
}

// as returns a client of the pod's agent.
func (p *pod) as(kind protocol.ClientKind) client.Client {
	p.w.t.Helper()
	c, err := client.NewPool(client.Limits{}, nil).Client("uid", p.w.ca.client(kind), p.IP)
	if err != nil {
		p.w.t.Fatal(err)
	}
	return c
}

func (p *pod) operator() client.Client { return p.as(protocol.ClientOperator) }

func (p *pod) gateOrder(action protocol.GateAction) protocol.GateOrder {
	return protocol.GateOrder{Action: action, ClusterUID: "uid", NodeID: p.ID, Generation: p.config.Generation}
}

const patience = 20 * time.Second

// eventually waits for a state.
func (p *pod) eventually(what string, ok func(protocol.State) bool) protocol.State {
	p.w.t.Helper()
	var s protocol.State
	eventually(p.w.t, p.Name+": "+what, func() bool {
		s = p.agent.State(context.Background())
		return ok(s)
	}, func() any { return s })
	return s
}

func eventually(t testing.TB, what string, ok func() bool, show func() any) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for !ok() {
		if time.Now().After(deadline) {
			raw, _ := json.Marshal(show())
			t.Fatalf("never: %s\nlast: %s", what, raw)
		}
		<-time.After(10 * time.Millisecond)
	}
}

func never(t testing.TB, what string, during time.Duration, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(during); time.Now().Before(deadline); <-time.After(10 * time.Millisecond) {
		if ok() {
			t.Fatalf("happened: %s", what)
		}
	}
}

func runs(s protocol.State) bool { return s.Server.Phase == protocol.ServerRunning }

// get asks the public port.
func (p *pod) get(path string) (int, string) {
	p.w.t.Helper()
	response, err := http.Get("http://" + net.JoinHostPort(p.IP, "7480") + path)
	if err != nil {
		return 0, err.Error()
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		p.w.t.Fatal(err)
	}
	return response.StatusCode, string(body)
}
