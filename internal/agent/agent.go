package agent

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"sync"
	"syscall"
	"time"

	"github.com/robustmq/robustmq-operator/internal/agent/images"
	"github.com/robustmq/robustmq-operator/internal/agent/process"
	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
	"github.com/robustmq/robustmq-operator/internal/agent/seeding"
	"github.com/robustmq/robustmq-operator/internal/agent/volume"
	"github.com/robustmq/robustmq-operator/internal/pause"
)

// Agent looks after one pod. Make it with New, run it with Run, end it with Terminate.
type Agent struct {
	o       Options
	volume  volume.Volume
	pki     *identity
	peers   *peers
	metrics *metrics
	source  *images.Source
	target  *images.Target
	census  *images.Censuses
	seeds   *seeding.Seeder
	wake    chan struct{}

	orders sync.Mutex // one order after another
	marker sync.Mutex // one writer of the marker

	observing observer
	surveying surveyor
	over      <-chan struct{} // closed when Run ends; Run sets it before anything can ask
	last      ending

	mu sync.Mutex
	// changed is closed and replaced whenever something below changes.
	changed chan struct{}

	mounted   mounted
	vol       protocol.VolumeState
	unwritten string // why the volume could not be written when it was tried last
	unsettled string // why an interrupted exchange of databases could not be settled
	gate      protocol.GateState

	held        bool // ServerOrder Stop
	quiesced    bool // ServerOrder Quiesce
	transfer    transferring
	restart     string // a restart is ordered: its reason
	fenced      bool
	terminating bool
	mayStop     bool // terminating, and the quorum stands without this voter or cannot be helped

	child       *child
	attempt     *attempt
	backoff     process.Backoff
	notBefore   time.Time
	starts      int
	lastExit    *protocol.Exit
	lastCode    int    // exit code of the last server that ended
	running     string // mounted.hash at the start of the server that runs
	runningLive string // mounted.live then
	settings    checkedSettings
	login       checkedLogin
	known       known
}

// known is what the server said when it last answered; it outlives the server, for the fence, the hold and the readiness.
type known struct {
	voters  []uint64 // of the metadata group
	inList  bool     // own id in own node list, for this process
	member  bool     // voter of every group, beside others
	serving bool     // every raft group runs
	// empty are the groups that took a snapshot without its entries into the present data, with its index; 0 when that is not known.
	empty map[string]uint64
}

// New returns an agent; the error says which option is wrong.
func New(o Options) (*Agent, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	a := &Agent{
		o: o, volume: volume.At(o.Paths.VolumeDir), wake: make(chan struct{}, 1), changed: make(chan struct{}),
		backoff: process.Backoff{First: o.Timings.BackoffFirst, Max: o.Timings.BackoffMax, Stable: o.Timings.BackoffStable},
		gate:    protocol.GateState{Reason: protocol.GateConfigInvalid, Message: "nothing was looked at yet"},
	}
	a.surveying.fresh = make(chan observation)
	a.last.over = make(chan struct{})
	a.pki = newIdentity(o.Paths.PKIDir, o.Now)
	a.peers = newPeers(a)
	a.metrics = newMetrics(a)
	a.source, a.target = newSource(a), newTarget(a)
	a.census = images.NewCensuses(a.source)
	a.seeds = newSeeder(a)
	return a, nil
}

// Run serves and supervises until the agent was told to terminate and the server has ended; it returns the server's exit code (0 when none ran, 1 when the agent could
// not listen). The end of ctx is SIGKILL: the server dies at once.
func (a *Agent) Run(ctx context.Context) int {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	a.over = ctx.Done()
	if a.endedForGood() {
		a.o.Log.Info("nothing is started: this pod is being deleted, and the one after it may use the volume already")
		return 0
	}
	servers, err := a.listen()
	if err != nil {
		a.o.Log.Error("cannot listen", "error", err)
		return 1
	}
	a.orders.Lock() // until the volume is settled; supervise unlocks it
	var background sync.WaitGroup
	start := func(name string, work func(context.Context)) {
		background.Go(func() { a.forever(ctx, name, work) })
	}
	var listeners sync.WaitGroup
	servers.serve(ctx, func(name string, work func(context.Context)) {
		listeners.Go(func() { a.forever(ctx, name, work) })
	})
	start("pulse", a.pulse)
	start("observe", a.observe)
	start("survey", a.survey)
	start("relay", a.relay)
	start("fence", a.fence)
	start("hold", a.hold)
	start("images", a.tickImages)
	start("transfer", a.transfers)
	code := a.supervise(ctx)
	cancel()
	background.Wait()
	a.source.Wait()
	a.census.Wait()
	a.seeds.Wait()
	a.target.Wait()
	a.observing.open.Wait()
	last := context.WithoutCancel(ctx)
	if a.end(last) {
		servers.sendLast(last)
	}
	servers.close()
	listeners.Wait()
	a.peers.close()
	return code
}

// Terminate is SIGTERM: the server is stopped as soon as the quorum can bear it, then Run returns.
func (a *Agent) Terminate() {
	a.update(func() { a.terminating = true })
}

// Forward passes a signal on to the server as it is.
func (a *Agent) Forward(signal os.Signal) {
	a.mu.Lock()
	c := a.child
	a.mu.Unlock()
	if c == nil {
		return
	}
	if err := c.proc.Signal(signal); err != nil {
		a.o.Log.Error("forward", "signal", signal, "error", err)
	}
}

// forever runs work again when it panics, so that a defect in one loop costs that loop's round and nothing else.
func (a *Agent) forever(ctx context.Context, name string, work func(context.Context)) {
	for ctx.Err() == nil {
		a.guarded(name, func() { work(ctx) })
		_ = pause.For(ctx, a.o.Timings.Tick)
	}
}

// guarded keeps a panic from ending the process, and with it the server.
func (a *Agent) guarded(name string, work func()) {
	defer func() {
		if p := recover(); p != nil {
			a.metrics.panics.WithLabelValues(name).Inc()
			a.o.Log.Error("panic", "in", name, "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
		}
	}()
	work()
}

// update changes the state under the lock, tells those who wait for a change and makes the loop look.
func (a *Agent) update(change func()) {
	a.mu.Lock()
	change()
	a.notify()
	a.mu.Unlock()
	a.look()
}

// notify tells waiters that something changed; the lock is held.
func (a *Agent) notify() {
	close(a.changed)
	a.changed = make(chan struct{})
}

func (a *Agent) look() {
	select {
	case a.wake <- struct{}{}:
	default:
	}
}

// until waits until cond (called under the lock) is true; false when ctx ended first.
func (a *Agent) until(ctx context.Context, cond func() bool) bool {
	for {
		a.mu.Lock()
		ok, changed := cond(), a.changed
		a.mu.Unlock()
		if ok {
			return true
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return false
		}
	}
}

// supervise is the loop that owns the server. It returns the exit code.
func (a *Agent) supervise(ctx context.Context) int {
	ticker := time.NewTicker(a.o.Timings.Tick)
	defer ticker.Stop()
	if err := a.volume.Sweep(); err != nil {
		a.o.Log.Warn("left-overs in the volume", "error", err)
	}
	a.loadTransfer()
	var settled settling
	a.guarded("settle", func() { a.settleAll(ctx, &settled) })
	a.orders.Unlock()
	var look looking
	for {
		done := false
		a.guarded("supervise", func() {
			a.settleAll(ctx, &settled)
			a.inspect(&look)
			done = a.step(ctx)
		})
		if done {
			a.mu.Lock()
			defer a.mu.Unlock()
			return a.lastCode
		}
		a.mu.Lock()
		var exited <-chan process.ExitStatus
		if a.child != nil {
			exited = a.child.exited
		}
		a.mu.Unlock()
		select {
		case status := <-exited:
			a.guarded("exit", func() { a.ended(status) })
		case <-a.wake:
		case <-ticker.C:
		case <-ctx.Done():
			return a.killed()
		}
	}
}

// killed is what SIGKILL of the agent does to the server.
func (a *Agent) killed() int {
	a.mu.Lock()
	c, attempt := a.child, a.attempt
	a.mu.Unlock()
	if attempt != nil {
		attempt.cancel()
		<-attempt.done
		a.mu.Lock()
		c = a.child
		a.mu.Unlock()
	}
	if c != nil {
		if err := c.proc.Signal(syscall.SIGKILL); err != nil {
			a.o.Log.Error("kill", "error", err)
		}
		<-c.exited
	}
	return 128 + int(syscall.SIGKILL)
}

// step acts on the state as it is; true when the agent is done.
func (a *Agent) step(ctx context.Context) bool {
	a.remember()
	a.mu.Lock()
	defer a.mu.Unlock()
	a.decide()
	now := a.o.Now()
	stopping := a.terminating && a.mayStop
	wanted := a.gate.Open && !a.fenced && !stopping
	if a.child != nil {
		a.tend(now, wanted, stopping)
		return false
	}
	switch {
	case a.attempt != nil && (!wanted || a.restart != "" || a.terminating):
		a.attempt.cancel() // it ends soon, and wakes this loop
		a.restart = ""
		return false
	case a.attempt != nil:
		return false
	case a.terminating: // nothing runs, so nothing is held and nothing is started any more
		return true
	}
	a.restart = ""
	if wanted && !now.Before(a.notBefore) {
		a.try(ctx)
	}
	return false
}

var errServerDown = errors.New("the server does not run")
