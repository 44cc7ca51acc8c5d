package raft

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/robustmq/robustmq-operator/test/simulator/store"
)

// The states of a group on a node.
const (
	Leader    = "Leader"
	Follower  = "Follower"
	Candidate = "Candidate"
	Learner   = "Learner"
	Shutdown  = "Shutdown"
)

// Timing of a group, in real time (already divided by the speed).
type Timing struct {
	Heartbeat                time.Duration
	ElectionMin, ElectionMax time.Duration
	Lease                    time.Duration // of a leader: openraft takes ElectionMax
	RPC                      time.Duration // an append that is not answered within it has failed
	// Simulated converts what has passed into simulated time, for what is shown.
	Simulated func(time.Duration) time.Duration
	// Grace is how late, in real time, an acknowledgement may come before it shows: a busy test machine is no loss of quorum.
	Grace time.Duration
}

// Options of a group on a node.
type Options struct {
	Name      string
	ID        uint64
	Timing    Timing
	Storage   store.Storage
	Snapshots Snapshots
	Transport Transport
	// Apply gives a committed command to the state machine; its result goes to the writer.
	Apply func(LogID, []byte) any
	Rand  *rand.Rand
	// Log writes one line of the server's log.
	Log func(level, target, format string, args ...any)

	// SnapshotEvery and Keep: a snapshot after so many entries, and so many entries kept before it (100 and 1000 since 0.4.4, 5000 and 1000 before).
	SnapshotEvery, Keep uint64
	// LosesLogAtStart: up to 0.4.3 a restarted member believes that its log ends where it was applied, and purges all of it; a follower that needs
	// anything of it kills the leader's group, which has no snapshot that fits.
	LosesLogAtStart bool
}

// Group is one raft group on one node.
type Group struct {
	o     Options
	keys  keys
	ctx   context.Context
	stop  context.CancelFunc
	tasks sync.WaitGroup

	mu          sync.Mutex
	state       string
	fatal       string // the JSON of running_state's Err
	vote        Vote
	leading     Vote // a leader's own: openraft keeps it apart from the vote of the node, which may move past it (see meetVote)
	voteAt      time.Time
	election    time.Duration
	greaterLog  bool
	grants      map[uint64]bool
	log         []Entry
	purged      *LogID
	committed   *LogID
	applied     *LogID
	snapshot    *LogID
	snapshotted StoredMembership   // membership at the snapshot
	stored      StoredMembership   // of the state machine: the newest that was applied
	memberships []StoredMembership // those of the log behind it, and applied ones that are still in the log
	progress    map[uint64]*progress
	waiting     map[uint64][]*waiter
	changed     chan struct{} // closed and replaced when something moved
	frozen      bool          // the process is stopped (SIGSTOP)
	held        bool          // the state machine waits
}

type waiter struct {
	id   LogID
	done chan outcome
}

type outcome struct {
	result any
	err    error
}

// New opens the group as it was left. Start lets it run.
func New(o Options) (*Group, error) {
	ctx, stop := context.WithCancel(context.Background())
	g := &Group{o: o, keys: newKeys(o.Name), ctx: ctx, stop: stop, waiting: map[uint64][]*waiter{}, changed: make(chan struct{}), voteAt: time.Now()}
	g.drawElection()
	if err := g.load(); err != nil {
		stop()
		return nil, fmt.Errorf("raft group %s: %w", o.Name, err)
	}
	return g, nil
}

func (g *Group) drawElection() {
	g.election = g.o.Timing.ElectionMin
	if span := g.o.Timing.ElectionMax - g.o.Timing.ElectionMin; span > 0 {
		g.election += time.Duration(g.o.Rand.Int64N(int64(span)))
	}
}

// Start lets the group take part: a committed leader goes on in its term without an election.
func (g *Group) Start() {
	g.mu.Lock()
	g.voteAt = time.Now()
	g.applyCommitted() // what a killed process had committed and not applied yet (openraft reads the committed position for this)
	switch {
	case g.vote.Committed && g.vote.LeaderID.NodeID == g.o.ID:
		g.lead()
	case g.effective().Membership.voter(g.o.ID):
		g.state = Follower
	default:
		g.state = Learner
	}
	g.mu.Unlock()
	g.tasks.Add(1)
	go func() {
		defer g.tasks.Done()
		ticker := time.NewTicker(g.o.Timing.Heartbeat)
		defer ticker.Stop()
		for {
			select {
			case <-g.ctx.Done():
				return
			case <-ticker.C:
				g.tick()
			}
		}
	}()
}

// Stop ends the group; what it wrote stays.
func (g *Group) Stop() {
	g.stop()
	g.mu.Lock()
	g.failWaiters(0, &FatalError{"stopped"})
	g.notify()
	g.mu.Unlock()
	g.tasks.Wait()
}

// Freeze stops or continues the group as SIGSTOP and SIGCONT do: time goes on.
func (g *Group) Freeze(frozen bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.frozen = frozen
}

func (g *Group) notify() {
	close(g.changed)
	g.changed = make(chan struct{})
}

// effective is the newest membership in the log, committed or not.
func (g *Group) effective() StoredMembership {
	if n := len(g.memberships); n > 0 {
		return g.memberships[n-1]
	}
	return g.stored
}

// committedMembership is the newest one that is committed.
func (g *Group) committedMembership() StoredMembership {
	for _, m := range slices.Backward(g.memberships) {
		if g.committed != nil && m.LogID.Index <= g.committed.Index {
			return m
		}
	}
	return g.stored
}

func (g *Group) last() *LogID {
	if n := len(g.log); n > 0 {
		id := g.log[n-1].LogID
		return &id
	}
	return g.purged
}

// entry returns the entry at index, if it is still there.
func (g *Group) entry(index uint64) *Entry {
	if len(g.log) == 0 || index < g.log[0].LogID.Index {
		return nil
	}
	i := index - g.log[0].LogID.Index
	if i >= uint64(len(g.log)) {
		return nil
	}
	return &g.log[i]
}

// at returns the position at index: of an entry, or of the purge.
func (g *Group) at(index uint64) *LogID {
	if e := g.entry(index); e != nil {
		id := e.LogID
		return &id
	}
	if g.purged != nil && g.purged.Index == index {
		return g.purged
	}
	return nil
}

func (g *Group) currentLeader() *NodeAddr {
	if !g.vote.Committed {
		return nil
	}
	id := g.vote.LeaderID.NodeID
	m := g.effective().Membership
	if !m.voter(id) {
		return nil
	}
	n := m.Nodes[id]
	return &n
}

// Initialised reports whether the group has ever voted or logged.
func (g *Group) Initialised() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.last() != nil || g.vote != Vote{}
}

// IsLeader reports whether this node calls itself leader.
func (g *Group) IsLeader() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.state == Leader
}

// Initialise makes the group with the given members; every node of a static formation does it. It is refused once there is a log or a vote.
func (g *Group) Initialise(members []NodeAddr) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.last() != nil || (g.vote != Vote{}) {
		return fmt.Errorf("not allowed to initialize due to current raft state: last_log_id: %s vote: %s", debug(g.last()), g.vote)
	}
	m := Membership{Nodes: map[uint64]NodeAddr{}}
	var voters []uint64
	for _, n := range members {
		voters = append(voters, n.NodeID)
		m.Nodes[n.NodeID] = n
	}
	slices.Sort(voters)
	m.Configs = [][]uint64{voters}
	if err := g.appendLocal(Entry{Membership: &m}); err != nil {
		return err
	}
	g.state = Follower
	g.elect()
	return nil
}

func (g *Group) fail(reason string) {
	g.fatal, g.state = reason, Shutdown
	g.stopReplication()
	g.failWaiters(0, &FatalError{reason})
	g.notify()
}

// failWaiters ends the writers of entries from index on.
func (g *Group) failWaiters(index uint64, err error) {
	for i, list := range g.waiting {
		if i < index {
			continue
		}
		for _, w := range list {
			w.done <- outcome{err: err}
		}
		delete(g.waiting, i)
	}
}

func (g *Group) logf(level, target, format string, args ...any) {
	if g.o.Log != nil {
		g.o.Log(level, target, format, args...)
	}
}

// HoldApplying stops the state machine of this node, until it is released, while the log goes on: what a leader of 0.3.0 does to itself when a node expires.
func (g *Group) HoldApplying() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.held = true
}

// ReleaseApplying lets the state machine go on.
func (g *Group) ReleaseApplying() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.held = false
	g.applyCommitted()
	g.notify()
}
