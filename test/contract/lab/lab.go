package lab

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/robustmq/robustmq-operator/internal/robustmq"
	"github.com/robustmq/robustmq-operator/internal/robustmq/metaclient"
	"github.com/robustmq/robustmq-operator/internal/robustmq/metaservice"
)

// EnvBinary names a real broker-server; the suite then runs against it instead of the simulator.
const EnvBinary = "ROBUSTMQ_BIN"

// Credentials of every server of the lab. They guard nothing.
const (
	AdminUser     = "opadmin"
	AdminPassword = "fake-admin-pw-1"
	MQTTUser      = "mqadmin"
	MQTTPassword  = "fake-mqtt-pw-1"
	JWTSecret     = "fake-jwt-secret-0123456789abcdef"
)

// Lab is a set of servers that can reach each other as n1.lab, n2.lab and so on.
type Lab struct {
	T       testing.TB
	Speed   float64 // 1 for real servers
	Seed    uint64
	Version string
	// MetaHosts are the ids in everybody's meta_addrs.
	MetaHosts []uint64

	place place
	dir   string
	mu    sync.Mutex
	nodes map[uint64]*Node
}

// place is where servers run.
type place interface {
	// prepare makes the machine of a node.
	prepare(n *Node)
	// start runs a server that logs into output.
	start(n *Node, output *Output) (process, error)
	dial(ctx context.Context, from, address string) (net.Conn, error)
	// hole makes every packet of a node vanish, or lets them through again.
	hole(n *Node, closed bool)
	close()
}

// process is a running server.
type process interface {
	signal(os.Signal)
	kill()
	ended() <-chan struct{}
	exitCode() int // once it has ended
}

// Options of a lab.
type Options struct {
	Speed   float64 // of simulated servers; default 20
	Seed    uint64
	Version string // default 0.4.11
	Metas   int    // how many ids meta_addrs lists; default 3
	Alone   bool   // no other test of the package runs meanwhile
}

var parallel sync.Map // of testing.TB

// Real reports whether the suite runs against a real server.
func Real() bool { return os.Getenv(EnvBinary) != "" }

// New makes a lab that ends with the test.
func New(t testing.TB, o Options) *Lab {
	t.Helper()
	if o.Speed == 0 {
		o.Speed = 20
	}
	if o.Version == "" {
		o.Version = robustmq.Newest.String()
	}
	if o.Metas == 0 {
		o.Metas = 3
	}
	if o.Seed == 0 {
		o.Seed = 1
	}
	// Simulated labs wait more than they compute. A test with several labs says it once.
	if p, ok := t.(interface{ Parallel() }); ok && !Real() && !o.Alone {
		if _, said := parallel.LoadOrStore(t, true); !said {
			p.Parallel()
		}
	}
	l := &Lab{T: t, Speed: o.Speed, Seed: o.Seed, Version: o.Version, dir: t.TempDir(), nodes: map[uint64]*Node{}}
	for id := range o.Metas {
		l.MetaHosts = append(l.MetaHosts, uint64(id)+1)
	}
	if Real() {
		if o.Version != robustmq.Newest.String() {
			t.Skipf("%s is a binary of %s, the test is about %s", EnvBinary, robustmq.Newest, o.Version)
		}
		l.Speed = 1
		l.place = newNamespaces(l)
	} else {
		l.place = newLoopback(l)
	}
	t.Cleanup(func() {
		l.mu.Lock()
		nodes := l.nodes
		l.mu.Unlock()
		for _, n := range nodes {
			n.Kill()
			if t.Failed() {
				t.Logf("--- output of %s\n%s", n.Name, tail(n.Output.String(), 6000))
			}
		}
		l.place.close()
	})
	return l
}

func tail(s string, n int) string {
	if len(s) > n {
		return "..." + s[len(s)-n:]
	}
	return s
}

// Node is one server's machine: its name, its volume, and the process on it.
type Node struct {
	ID   uint64
	Name string // n1.lab
	Dir  string // working directory; the volume is data/ in it
	Lab  *Lab
	// Roles, and more lines for server.toml: top are top-level keys, sections whole sections.
	Roles         []string
	Top, Sections string
	// Config replaces the whole server.toml.
	Config  string
	Environ []string
	Output  *Output

	mu      sync.Mutex
	process process
	address string
	calls   *metaservice.Client
	client  *metaclient.Client
}

func (n *Node) nameOf() string { return fmt.Sprintf("n%d.lab", n.ID) }

// Node returns the machine with an id, and makes it at the first call.
func (l *Lab) Node(id uint64) *Node {
	l.mu.Lock()
	defer l.mu.Unlock()
	if n := l.nodes[id]; n != nil {
		return n
	}
	n := &Node{ID: id, Name: fmt.Sprintf("n%d.lab", id), Lab: l, Roles: []string{"meta", "broker", "engine"}, Output: &Output{}}
	n.Dir = filepath.Join(l.dir, n.Name)
	l.nodes[id] = n
	l.place.prepare(n)
	n.write("config/logger.toml", "[stdout]\nkind = \"console\"\nlevel = \"info\"\nansi = false\n")
	n.write("config/certs/cert.pem", string(certificate))
	n.write("config/certs/key.pem", string(certificateKey))
	n.write("config/version.ini", l.Version+"\n")
	return n
}

func (n *Node) write(name, content string) {
	path := filepath.Join(n.Dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		n.Lab.T.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		n.Lab.T.Fatal(err)
	}
}

// Start runs the server with its present configuration.
func (n *Node) Start() *Node {
	n.Lab.T.Helper()
	config := n.Config
	if config == "" {
		config = n.Render()
	}
	n.write("config/server.toml", config)
	n.mu.Lock()
	defer n.mu.Unlock()
	p, err := n.Lab.place.start(n, n.Output)
	if err != nil {
		n.Lab.T.Fatalf("start %s: %v", n.Name, err)
	}
	n.process = p
	return n
}

// Running is whether the process has not ended.
func (n *Node) Running() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.process == nil {
		return false
	}
	select {
	case <-n.process.ended():
		return false
	default:
		return true
	}
}

// Exit waits, for server time, until the process has ended, and returns its code. It fails the test when it does not end.
func (n *Node) Exit(within time.Duration) int {
	n.Lab.T.Helper()
	n.mu.Lock()
	p := n.process
	n.mu.Unlock()
	timer := time.NewTimer(n.Lab.Deadline(within))
	defer timer.Stop()
	select {
	case <-p.ended():
		return p.exitCode()
	case <-timer.C:
		n.Lab.T.Fatalf("%s has not ended within %v", n.Name, within)
		return -1
	}
}

// Signal sends the process a signal.
func (n *Node) Signal(s os.Signal) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.process != nil {
		n.process.signal(s)
	}
}

// Pause stops the process as SIGSTOP does, or lets it go on.
func (n *Node) Pause(stopped bool) {
	if stopped {
		n.Signal(syscall.SIGSTOP)
	} else {
		n.Signal(syscall.SIGCONT)
	}
}

// Kill ends the process with SIGKILL and waits for it.
func (n *Node) Kill() {
	n.mu.Lock()
	p := n.process
	n.mu.Unlock()
	if p != nil {
		p.kill()
		<-p.ended()
	}
}

// Stop ends the process with SIGTERM and returns its exit code.
func (n *Node) Stop() int {
	n.Lab.T.Helper()
	n.Signal(syscall.SIGTERM)
	return n.Exit(25 * time.Second)
}

// Database is the folder of the node's RocksDB (0.4.1 and later), Snapshots the one of raft's snapshots beside it.
func (n *Node) Database() string { return filepath.Join(n.Dir, "data", "meta", "_rocksdb") }

// Snapshots see Database.
func (n *Node) Snapshots() string { return filepath.Join(n.Dir, "data", "meta", "_snapshot") }

// Wipe empties the volume of a stopped node.
func (n *Node) Wipe() {
	if err := os.RemoveAll(filepath.Join(n.Dir, "data")); err != nil {
		n.Lab.T.Fatal(err)
	}
}

// Hole makes the node's packets vanish (link down), or lets them through again.
func (n *Node) Hole(closed bool) { n.Lab.place.hole(n, closed) }

// Dial connects to a port of the node from outside: not from its own loopback address.
func (n *Node) Dial(ctx context.Context, port int) (net.Conn, error) {
	return n.Lab.place.dial(ctx, "", net.JoinHostPort(n.Name, fmt.Sprint(port)))
}

// Open reports whether a port accepts connections.
func (n *Node) Open(port int) bool {
	ctx, cancel := context.WithTimeout(context.Background(), 500*time.Millisecond)
	defer cancel()
	c, err := n.Dial(ctx, port)
	if err != nil {
		return false
	}
	_ = c.Close()
	return true
}

// Client is the product's own client of the node's meta service. It ends with the test.
func (n *Node) Client() *metaclient.Client {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.client == nil {
		c, err := metaclient.New(n.Name+":1228", func(ctx context.Context, _, address string) (net.Conn, error) {
			return n.Lab.place.dial(ctx, "", address)
		})
		if err != nil {
			n.Lab.T.Fatal(err)
		}
		n.Lab.T.Cleanup(func() { _ = c.Close() })
		n.client = c
	}
	return n.client
}

// Status is the node's own view of the raft groups, nil while it does not answer.
func (n *Node) Status() robustmq.ClusterStatus {
	content := n.RawStatus()
	if content == "" {
		return nil
	}
	s, err := robustmq.ParseClusterStatus([]byte(content))
	if err != nil {
		n.Lab.T.Errorf("%s: %v", n.Name, err)
	}
	return s
}

// Deadline turns server time into the time that a test waits at most: there is a floor, since a busy machine is not faster by the speed.
func (l *Lab) Deadline(within time.Duration) time.Duration {
	return max(time.Duration(float64(within)/l.Speed)*3/2, 30*time.Second)
}

// Eventually waits until cond holds, and fails with what when it does not within server time.
func (l *Lab) Eventually(within time.Duration, what string, cond func() bool) {
	l.T.Helper()
	end := time.Now().Add(l.Deadline(within))
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for !cond() {
		if time.Now().After(end) {
			l.T.Fatalf("not within %v: %s", within, what)
		}
		<-ticker.C
	}
}

// Throughout checks that cond holds for as long as d of server time.
func (l *Lab) Throughout(d time.Duration, what string, cond func() bool) {
	l.T.Helper()
	end := time.Now().Add(time.Duration(float64(d) / l.Speed))
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for time.Now().Before(end) {
		if !cond() {
			l.T.Fatalf("not throughout %v: %s", d, what)
		}
		<-ticker.C
	}
}

// Slack is what a busy machine may add to something measured, in server time: 2 s of the test's own.
func (l *Lab) Slack() time.Duration { return time.Duration(float64(2*time.Second) * l.Speed) }

// Elapsed is how much server time f took.
func (l *Lab) Elapsed(f func()) time.Duration {
	start := time.Now()
	f()
	return time.Duration(float64(time.Since(start)) * l.Speed)
}

// Output collects what a server writes.
type Output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *Output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *Output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

// Has reports whether the output contains text.
func (o *Output) Has(text string) bool { return strings.Contains(o.String(), text) }

// Calls is the bare meta service of the node, without anything that interprets its errors. It ends with the test.
func (n *Node) Calls() *metaservice.Client {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.calls == nil {
		conn, err := grpc.NewClient("passthrough:///"+n.Name+":1228", grpc.WithTransportCredentials(insecure.NewCredentials()),
			grpc.WithContextDialer(func(ctx context.Context, address string) (net.Conn, error) { return n.Lab.place.dial(ctx, "", address) }),
			grpc.WithConnectParams(grpc.ConnectParams{Backoff: backoff.Config{BaseDelay: 20 * time.Millisecond, Multiplier: 1.2, MaxDelay: 200 * time.Millisecond}, MinConnectTimeout: time.Second}))
		if err != nil {
			n.Lab.T.Fatal(err)
		}
		n.Lab.T.Cleanup(func() { _ = conn.Close() })
		n.calls = metaservice.NewClient(conn)
	}
	return n.calls
}

// RawStatus is ClusterStatus's content as the server sent it, "" while it does not answer.
func (n *Node) RawStatus() string {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	content, err := n.Calls().ClusterStatus(ctx)
	if err != nil {
		return ""
	}
	return content
}
