package raft

import (
	"context"
	"fmt"
	"time"

	"github.com/robustmq/robustmq-operator/test/simulator/store"
)

// progress is what a leader knows of one other member.
type progress struct {
	matched *LogID
	next    uint64
	ackAt   time.Time // when the last request was sent that it answered
	wake    chan struct{}
	cancel  context.CancelFunc
}

func (p *progress) poke() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// lead starts the replication to every member.
func (g *Group) lead() {
	g.state = Leader
	g.leading = g.vote
	g.progress = map[uint64]*progress{}
	g.followMembership()
	g.notify()
}

// followMembership starts and ends replications as members come and go.
func (g *Group) followMembership() {
	nodes := g.effective().Membership.Nodes
	for id := range g.progress {
		if _, still := nodes[id]; !still {
			g.progress[id].cancel()
			delete(g.progress, id)
		}
	}
	for id, n := range nodes {
		if g.progress[id] != nil {
			continue
		}
		p := &progress{wake: make(chan struct{}, 1), next: 0}
		if l := g.last(); l != nil {
			p.next = l.Index + 1
		}
		ctx, cancel := context.WithCancel(g.ctx)
		p.cancel = cancel
		g.progress[id] = p
		if id == g.o.ID {
			p.matched = g.last()
			continue
		}
		p.poke()
		vote := g.leading
		g.tasks.Add(1)
		go func() {
			defer g.tasks.Done()
			defer cancel()
			g.replicate(ctx, p, n.RPCAddr, vote)
		}()
	}
}

func (g *Group) stopReplication() {
	for _, p := range g.progress {
		p.cancel()
	}
	g.progress = nil
}

const maxEntries = 300

// replicate brings one member up to date, and keeps it so, while this node leads with vote.
func (g *Group) replicate(ctx context.Context, p *progress, addr string, vote Vote) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-p.wake:
		}
		for ctx.Err() == nil && g.replicateOnce(ctx, p, addr, vote) {
		}
	}
}

// replicateOnce sends one request. True: there is more to send at once.
func (g *Group) replicateOnce(ctx context.Context, p *progress, addr string, vote Vote) (more bool) {
	g.mu.Lock()
	if g.state != Leader || g.leading != vote || ctx.Err() != nil || g.frozen {
		g.mu.Unlock()
		return false
	}
	if g.purged != nil && p.next <= g.purged.Index {
		return g.sendSnapshot(ctx, p, addr, vote)
	}
	request := AppendRequest{Vote: vote, Committed: g.committed}
	if p.next > 0 {
		request.Prev = g.at(p.next - 1)
	}
	for i := p.next; len(request.Entries) < maxEntries; i++ {
		e := g.entry(i)
		if e == nil {
			break
		}
		request.Entries = append(request.Entries, *e)
	}
	g.mu.Unlock()
	sent := time.Now()
	rpc, cancel := context.WithTimeout(ctx, g.o.Timing.RPC)
	reply, err := g.o.Transport.Append(rpc, addr, g.o.Name, request)
	cancel()
	g.mu.Lock()
	defer g.mu.Unlock()
	if err != nil || g.state != Leader || g.leading != vote || ctx.Err() != nil {
		return false
	}
	if reply.Higher != nil {
		g.refuse(p, *reply.Higher)
		return false
	}
	p.ackAt = sent
	if reply.Conflict {
		// The member has lost, or never had, what it once acknowledged (it was wiped): start again from its end.
		p.matched = nil
		back := uint64(0)
		if p.next > 0 {
			back = p.next - 1
		}
		if reply.Last == nil {
			back = 0
		} else if reply.Last.Index+1 < back {
			back = reply.Last.Index + 1
		}
		p.next = back
		return true
	}
	if n := len(request.Entries); n > 0 {
		id := request.Entries[n-1].LogID
		p.matched, p.next = &id, id.Index+1
	} else if request.Prev != nil {
		p.matched = request.Prev
	}
	g.advance()
	g.notify()
	return g.entry(p.next) != nil
}

// sendSnapshot brings a member over a purged log. It is called with the lock held and gives it back.
func (g *Group) sendSnapshot(ctx context.Context, p *progress, addr string, vote Vote) (more bool) {
	if g.o.LosesLogAtStart || g.snapshot == nil {
		g.logf("ERROR", "openraft::replication", "snapshot not found")
		g.fail(`{"StorageError":{"IO":{"source":{"subject":{"Snapshot":null},"verb":"Read","source":{"typ":null,"msg":"snapshot not found","source":null,"context":[],"backtrace":null},"backtrace":null}}}}`)
		g.mu.Unlock()
		return false
	}
	request := SnapshotRequest{Vote: vote, ID: fmt.Sprintf("%s-%d", machine(g.o.Name), time.Now().UnixNano()), Last: *g.snapshot, Membership: g.snapshotted}
	g.mu.Unlock()
	sent := time.Now()
	rpc, cancel := context.WithTimeout(ctx, g.o.Timing.RPC)
	reply, err := g.o.Transport.Snapshot(rpc, addr, g.o.Name, request)
	cancel()
	g.mu.Lock()
	defer g.mu.Unlock()
	if err != nil || g.state != Leader || g.leading != vote || ctx.Err() != nil {
		return false
	}
	if reply.Vote.Compare(vote) > 0 {
		g.refuse(p, reply.Vote)
		return false
	}
	p.ackAt = sent
	id := request.Last
	p.matched, p.next = &id, id.Index+1
	g.advance()
	g.notify()
	return true
}

// refuse takes the vote over that a member has against this leader. The stream to that member has ended with it, whatever comes of the vote: only a new leadership opens another one.
func (g *Group) refuse(p *progress, higher Vote) {
	p.cancel()
	g.updateVote(higher)
}

// machine is a group's name without its number, as RobustMQ names snapshots.
func machine(group string) string {
	for i, c := range group {
		if c == '_' {
			return group[:i]
		}
	}
	return group
}

// advance commits what a quorum has, applies it, and snapshots. Only entries of the leadership that the node's vote names are committed by counting: a leader whose node has met a later vote
// goes on appending, and commits nothing any more.
func (g *Group) advance() {
	if p := g.progress[g.o.ID]; p != nil {
		p.matched = g.last()
	}
	m := g.effective().Membership
	for i := len(g.log) - 1; i >= 0; i-- {
		id := g.log[i].LogID
		if id.LeaderID != g.vote.LeaderID || g.committed != nil && id.Index <= g.committed.Index {
			break
		}
		if m.quorum(func(member uint64) bool {
			p := g.progress[member]
			return p != nil && p.matched != nil && p.matched.Index >= id.Index
		}) {
			g.committed = &id
			break
		}
	}
	g.applyCommitted()
}

// applyCommitted feeds the state machine, answers writers, and takes snapshots.
func (g *Group) applyCommitted() {
	if g.committed == nil || g.held {
		return
	}
	from := uint64(0)
	if g.applied != nil {
		from = g.applied.Index + 1
	}
	if from > g.committed.Index {
		return
	}
	if g.write(g.logIDRecord(keyCommitted, g.committed)) != nil {
		return
	}
	var removed bool
	for i := from; i <= g.committed.Index; i++ {
		e := g.entry(i)
		if e == nil {
			continue // the entries of a log that was replaced underneath are never applied
		}
		var result any
		if e.Command != nil {
			result = g.o.Apply(e.LogID, e.Command)
		}
		id := e.LogID
		if e.Membership != nil {
			g.stored = StoredMembership{&id, *e.Membership}
			if g.write(g.membershipRecord()) != nil {
				return
			}
		}
		g.applied = &id
		for _, w := range g.waiting[i] {
			if w.id == id {
				w.done <- outcome{result: result}
			} else {
				w.done <- outcome{err: &ForwardError{g.currentLeader()}}
			}
		}
		delete(g.waiting, i)
		removed = removed || e.Membership != nil && len(e.Membership.Configs) == 1 && !e.Membership.voter(g.o.ID)
	}
	if g.applied != nil && (from == 0 || g.applied.Index >= from) {
		if g.write(g.logIDRecord(keyApplied, g.applied)) != nil {
			return
		}
		g.takeSnapshot()
	}
	if removed && g.state == Leader {
		g.stopReplication()
		g.state = Learner
	}
}

func (g *Group) takeSnapshot() {
	since := uint64(0)
	if g.snapshot != nil {
		since = g.snapshot.Index + 1
	}
	if g.o.SnapshotEvery == 0 || g.applied == nil || g.applied.Index+1-since < g.o.SnapshotEvery {
		return
	}
	g.snapshotted = g.committedMembership()
	g.snapshot = g.applied
	if g.saveSnapshot() != nil {
		return
	}
	if g.snapshot.Index > g.o.Keep {
		_ = g.write(g.purge(g.snapshot.Index - g.o.Keep)...)
	}
}

// saveSnapshot keeps position and membership of the snapshot; an error ends the group.
func (g *Group) saveSnapshot() error {
	err := g.o.Snapshots.save(g.o.Name, *g.snapshot, g.snapshotted)
	if err != nil {
		g.failStorage("Snapshot", "Write", err)
	}
	return err
}

// purge drops entries up to index and returns the records that say so.
func (g *Group) purge(index uint64) []store.Record {
	if len(g.log) == 0 || g.log[0].LogID.Index > index {
		return nil
	}
	from := g.log[0].LogID.Index
	for len(g.log) > 0 && g.log[0].LogID.Index <= index {
		id := g.log[0].LogID
		g.purged = &id
		g.log = g.log[1:]
	}
	kept := g.memberships[:0:0]
	for _, m := range g.memberships {
		if m.LogID.Index > index || m.LogID == g.effective().LogID {
			kept = append(kept, m)
		}
	}
	g.memberships = kept
	return []store.Record{g.logIDRecord(keyPurged, g.purged), g.entriesRecord(from, g.purged.Index+1)}
}
