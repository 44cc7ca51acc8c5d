package simulator

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/robustmq/robustmq-operator/test/simulator/store"
)

// Node is one server process. New makes it, Run runs it to its end; Signal and Kill may be called from anywhere.
type Node struct {
	o       Options
	gen     generation
	version string // as reported: the content of version.ini
	t       timing
	log     *logger

	file    *settings // server.toml as it was read
	id      uint64
	addr    string // own entry of meta_addrs
	host    string // broker_ip
	started time.Time
	// foundData: the volume was initialised before this start.
	foundData bool

	storage store.Storage
	state   *state
	rafts   *multiRaft
	meta    *metaService
	calls   *pool
	cache   *cache
	admin   *adminServer
	engine  *engine
	mqtt    *mqttBroker
	// connectors are those that run here.
	connectors *connectors
	offsets    *groupOffsets
	metrics    *metrics

	ctx    context.Context
	cancel context.CancelFunc // ends every goroutine of the process
	tasks  sync.WaitGroup

	exit     chan ExitStatus
	exitOnce sync.Once
	signals  chan os.Signal
	running  atomic.Bool // fully started
	epoch    atomic.Uint64
	frozen   freezer
	// disk and messages are how long a write takes, see SlowDisk and SlowMessages.
	disk, messages atomic.Int64

	mu        sync.Mutex
	listeners []net.Listener
	closers   []func()
	killed    bool
	random    *rand.Rand
}

// New makes a process that has not started yet. The error is one of the options; what is wrong with files shows when it runs, as exit codes.
func New(o Options) (*Node, error) {
	o = o.withDefaults()
	if o.ConfigPath == "" {
		o.ConfigPath = "config/server.toml"
	}
	gen, version, err := o.behaviour()
	if err != nil {
		return nil, err
	}
	n := &Node{
		o: o, gen: gen, version: version, t: timing{o.Speed}, exit: make(chan ExitStatus, 1), signals: make(chan os.Signal, 8), random: newRand(o.Seed, 1),
	}
	n.log = newLogger(o.Stdout, newRand(o.Seed, 2))
	n.ctx, n.cancel = context.WithCancel(context.Background())
	return n, nil
}

// rand draws a number below limit.
func (n *Node) draw(limit int) int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.random.IntN(limit)
}

// Run runs the process to its end. When ctx ends, the process is killed as with SIGKILL.
func (n *Node) Run(ctx context.Context) ExitStatus {
	n.started = time.Now()
	stop := context.AfterFunc(ctx, n.Kill)
	defer stop()
	n.tasks.Add(1)
	go func() {
		defer n.tasks.Done()
		n.boot()
	}()
	n.tasks.Add(1)
	go func() {
		defer n.tasks.Done()
		n.handleSignals()
	}()
	status := <-n.exit
	n.log.close()
	n.shutdown()
	return status
}

// shutdown takes the process away: sockets, goroutines, locks.
func (n *Node) shutdown() {
	n.frozen.set(false)
	n.cancel()
	n.mu.Lock()
	listeners, closers := n.listeners, n.closers
	n.listeners, n.closers, n.killed = nil, nil, true
	n.mu.Unlock()
	for _, l := range listeners {
		_ = l.Close()
	}
	for i := len(closers) - 1; i >= 0; i-- {
		closers[i]()
	}
	n.tasks.Wait()
	if n.storage != nil {
		_ = n.storage.Close()
	}
}

// end makes Run return. Only the first call counts.
func (n *Node) end(s ExitStatus) {
	n.exitOnce.Do(func() { n.exit <- s })
}

// die ends the process with a code, after a last line of the log that may get lost.
func (n *Node) die(name, format string, args ...any) {
	if n.ctx.Err() != nil {
		return
	}
	n.log.last(name, format, args...)
	n.end(ExitStatus{Code: 1})
}

// panicked ends the process as a Rust panic in main does: the text on stderr is never lost.
func (n *Node) panicked(where, text string) {
	_, _ = fmt.Fprintf(n.o.Stderr, "\nthread 'main' (1) panicked at %s:\n%s\nstack backtrace:\nnote: Some details are omitted, run with `RUST_BACKTRACE=full` for a verbose backtrace.\n", where, text)
	n.end(ExitStatus{Code: 101})
}

// Kill ends the process at once, as SIGKILL or a power cut: nothing is said to anybody, what was written stays.
func (n *Node) Kill() { n.end(ExitStatus{Code: 128 + int(syscall.SIGKILL), Signal: syscall.SIGKILL}) }

// Signal sends the process a signal: SIGTERM, SIGINT, SIGKILL, SIGSTOP or SIGCONT.
func (n *Node) Signal(s os.Signal) {
	switch s {
	case syscall.SIGKILL:
		n.Kill()
	case syscall.SIGSTOP:
		n.freeze(true)
	case syscall.SIGCONT:
		n.freeze(false)
	default:
		select {
		case n.signals <- s:
		default:
		}
	}
}

// Running reports whether every start-up phase is done.
func (n *Node) Running() bool { return n.running.Load() }

func (n *Node) freeze(frozen bool) {
	n.frozen.set(frozen)
	n.mu.Lock()
	rafts := n.rafts
	n.mu.Unlock()
	if rafts != nil {
		rafts.freeze(frozen)
	}
}

// handleSignals: SIGTERM and SIGINT since 0.4.4, from the first moment; SIGINT alone before, and only once started.
func (n *Node) handleSignals() {
	for {
		var s os.Signal
		select {
		case <-n.ctx.Done():
			return
		case s = <-n.signals:
		}
		n.frozen.wait(n.ctx)
		switch {
		case n.gen.sigterm:
			n.stopGracefully()
			return
		case s == syscall.SIGINT && n.running.Load():
			n.stopIslands()
			return
		case s == syscall.SIGTERM && !n.o.PID1:
			n.end(ExitStatus{Code: 128 + int(syscall.SIGTERM), Signal: syscall.SIGTERM})
			return
		}
	}
}

// stopGracefully: 0.2 s when idle; a process that is still starting only ends by the watchdog, 20 s later.
func (n *Node) stopGracefully() {
	const target = "broker_server::daemon"
	n.log.info(target, "Received shutdown signal, stopping...")
	if !n.running.Load() {
		if !n.t.sleep(n.ctx, 20*time.Second) {
			return
		}
		n.log.warn(target, "Graceful shutdown did not finish in 20s, forcing exit")
		n.end(ExitStatus{})
		return
	}
	n.engine.close(200 * time.Millisecond)
	n.end(ExitStatus{})
}

// stopIslands: three seconds each for the broker, the engine and raft (seen-v0.3.0.md, section 1).
func (n *Node) stopIslands() {
	pause := 9 * time.Second
	if !n.file.role("broker") {
		pause = 6 * time.Second
	}
	n.t.sleep(n.ctx, pause)
	n.end(ExitStatus{})
}

// listen opens a port, and remembers it for the end. Errors are the operating system's.
func (n *Node) listen(port int64) (net.Listener, error) {
	if port < 1 || port > 65535 {
		return nil, errors.New("invalid port value")
	}
	l, err := net.Listen("tcp", net.JoinHostPort(n.o.ListenHost, fmt.Sprint(port)))
	if err != nil {
		return nil, err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.killed {
		_ = l.Close()
		return nil, net.ErrClosed
	}
	n.listeners = append(n.listeners, l)
	return l, nil
}

// onEnd registers what must happen when the process ends.
func (n *Node) onEnd(f func()) {
	n.mu.Lock()
	killed := n.killed
	if !killed {
		n.closers = append(n.closers, f)
	}
	n.mu.Unlock()
	if killed {
		f()
	}
}

// spawn runs a task of the process.
func (n *Node) spawn(f func()) {
	n.tasks.Add(1)
	go func() {
		defer n.tasks.Done()
		f()
	}()
}

// freezer holds everybody back while the process is stopped.
type freezer struct {
	mu   sync.Mutex
	gate chan struct{} // nil: not frozen
}

func (f *freezer) set(frozen bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case frozen && f.gate == nil:
		f.gate = make(chan struct{})
	case !frozen && f.gate != nil:
		close(f.gate)
		f.gate = nil
	}
}

func (f *freezer) wait(ctx context.Context) {
	f.mu.Lock()
	gate := f.gate
	f.mu.Unlock()
	if gate == nil {
		return
	}
	select {
	case <-gate:
	case <-ctx.Done():
	}
}
