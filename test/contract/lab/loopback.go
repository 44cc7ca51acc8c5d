package lab

import (
	"context"
	"fmt"
	"net"
	"os"
	"sync"
	"sync/atomic"

	"github.com/robustmq/robustmq-operator/test/simulated/network"
	"github.com/robustmq/robustmq-operator/test/simulator"
)

// loopback runs simulated servers as goroutines, each on a loopback address of its own.
type loopback struct {
	lab     *Lab
	network *network.Network
	outside *network.Host

	mu    sync.Mutex
	hosts map[string]*network.Host
	zone  map[string][]string
	runs  sync.WaitGroup
}

// addresses counts what this process gave out. Other test processes run at the same time: the second byte comes from the process id.
var addresses atomic.Uint32

func nextAddress() string {
	n := addresses.Add(1)
	return fmt.Sprintf("127.%d.%d.%d", 160+os.Getpid()%90, n/250%250, 1+n%250)
}

func newLoopback(l *Lab) *loopback {
	n := network.New(l.Seed, l.Speed)
	return &loopback{lab: l, network: n, outside: n.Attach("outside", nextAddress()), hosts: map[string]*network.Host{}, zone: map[string][]string{}}
}

func (p *loopback) prepare(n *Node) {
	p.mu.Lock()
	defer p.mu.Unlock()
	n.address = nextAddress()
	p.hosts[n.Name] = p.network.Attach(n.Name, n.address)
	p.zone[n.Name] = []string{n.address}
	// Machines that exist in the configuration only refuse, as in the recorded lab.
	for _, id := range p.lab.MetaHosts {
		name := (&Node{ID: id}).nameOf()
		if p.zone[name] == nil {
			p.zone[name] = []string{nextAddress()}
		}
	}
	zone := map[string][]string{}
	for k, v := range p.zone {
		zone[k] = v
	}
	p.network.Publish(zone)
}

func (p *loopback) start(n *Node, output *Output) (process, error) {
	p.mu.Lock()
	host := p.hosts[n.Name]
	p.mu.Unlock()
	node, err := simulator.New(simulator.Options{
		WorkDir: n.Dir, ListenHost: n.address, Dial: host.DialContext, Speed: p.lab.Speed, Seed: p.lab.Seed*1000 + n.ID, Environ: n.Environ, Stdout: output, Stderr: output, PID1: true,
	})
	if err != nil {
		return nil, err
	}
	run := &simulated{node: node, end: make(chan struct{})}
	p.runs.Add(1)
	go func() {
		defer p.runs.Done()
		run.code = node.Run(context.Background()).Code
		close(run.end)
	}()
	return run, nil
}

func (p *loopback) dial(ctx context.Context, _, address string) (net.Conn, error) {
	return p.outside.DialContext(ctx, "tcp", address)
}

func (p *loopback) hole(n *Node, closed bool) {
	fault := network.Sound
	if closed {
		fault = network.BlackHole
	}
	p.mu.Lock()
	var others []string
	for name := range p.hosts {
		if name != n.Name {
			others = append(others, name)
		}
	}
	p.mu.Unlock()
	for _, name := range append(others, "outside") {
		p.network.Set(n.Name, name, fault)
	}
}

func (p *loopback) close() { p.runs.Wait() }

type simulated struct {
	node *simulator.Node
	end  chan struct{}
	code int
}

// Simulated is the node's process where that is simulated, for what only a test can do to a machine; nil where the server is real.
func (n *Node) Simulated() *simulator.Node {
	n.mu.Lock()
	defer n.mu.Unlock()
	if s, ok := n.process.(*simulated); ok {
		return s.node
	}
	return nil
}

func (s *simulated) signal(sig os.Signal)   { s.node.Signal(sig) }
func (s *simulated) kill()                  { s.node.Kill() }
func (s *simulated) ended() <-chan struct{} { return s.end }
func (s *simulated) exitCode() int          { return s.code }
