package agent

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/robustmq/robustmq-operator/backup/image"
	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
	"github.com/robustmq/robustmq-operator/internal/agent/transfer"
	"github.com/robustmq/robustmq-operator/internal/pause"
	"github.com/robustmq/robustmq-operator/internal/robustmq"
	"github.com/robustmq/robustmq-operator/internal/robustmq/metaclient"
)

// transferring is what this member does in a transfer of leadership. Its fields are guarded by Agent.mu; record points to a value that never changes.
type transferring struct {
	record *transfer.Record // the latest; nil: none yet
	// trouble is why a transfer cannot go on or end here; it is tried again.
	trouble string
	unread  bool // the record cannot be read
	// shut keeps the gate shut.
	shut bool
	// until is when this member ends it by itself, commitBy until when a target may take over: by this process's clock, which no one sets.
	until, commitBy time.Time
	// status is the last answer of the server before it was stopped; read says that the stopped database was read since.
	status robustmq.ClusterStatus
	read   bool
}

// message is what the gate says; empty while it is not shut by this.
func (t *transferring) message() string {
	switch {
	case !t.shut:
		return ""
	case t.trouble != "":
		return t.trouble
	case t.record.Role == protocol.TransferLeader:
		return fmt.Sprintf("the leadership of raft groups moves to node %d, and this member waits until it has", t.record.Target)
	}
	return "this member is about to take over the leadership of raft groups"
}

// transferState is the transfer that is under way here, if any; the lock is held.
func (a *Agent) transferState() *protocol.Transfer {
	t := &a.transfer
	if !t.unread && !t.record.Active() {
		return nil
	}
	s := t.record.State()
	if s == nil {
		s = &protocol.Transfer{Phase: protocol.TransferPrepared}
	}
	s.Message = t.trouble
	return s
}

// loadTransfer reads what an earlier life of this agent has left, before anything is started. Nothing runs then: a container's processes end together.
func (a *Agent) loadTransfer() {
	record, err := transfer.Load(a.o.FS, a.volume.Path(protocol.TransferFile))
	a.mu.Lock()
	defer a.mu.Unlock()
	t, now := &a.transfer, a.o.Now()
	switch {
	case err != nil:
		a.o.Log.Error("transfer", "error", err)
		t.unread, t.shut, t.trouble = true, true, err.Error()
		return
	case !record.Active():
		t.record = record
		return
	case record.Role == protocol.TransferLeader:
		// The machine's clock may have been set: it is never more than the whole time.
		t.until, t.shut = now.Add(min(record.Until.Sub(now), a.o.Timings.TransferHold)), true
	default:
		// A target gives up at once. Its votes, if it had changed them, are put right before its server starts.
		t.until, t.shut = now, record.Phase == protocol.TransferCommitted
	}
	t.record = record
	a.o.Log.Warn("a transfer of leadership was under way when the agent ended", "id", record.ID, "role", record.Role, "phase", record.Phase)
}

// transfers ends what has to end by itself.
func (a *Agent) transfers(ctx context.Context) {
	for pause.For(ctx, a.o.Timings.TransferTick) == nil {
		a.mu.Lock()
		active := a.transfer.record.Active()
		a.mu.Unlock()
		if !active {
			continue
		}
		a.orders.Lock()
		a.guarded("transfer", func() { a.advanceTransfer(ctx) })
		a.orders.Unlock()
	}
}

// advanceTransfer looks at a transfer that is under way; the orders' lock is held.
func (a *Agent) advanceTransfer(ctx context.Context) {
	a.mu.Lock()
	record, over, shut := a.transfer.record, !a.o.Now().Before(a.transfer.until), a.transfer.shut
	a.mu.Unlock()
	var err error
	switch {
	case !record.Active():
		return
	case record.Phase == protocol.TransferCommitted && !shut && a.leadsMoved(ctx, *record):
		err = a.endTransfer(*record, protocol.TransferLeads)
	case record.Phase == protocol.TransferCommitted && (over || shut):
		err = a.undoTransfer(ctx, *record)
	case record.Phase == protocol.TransferCommitted, !over:
		return
	case record.Role == protocol.TransferTarget:
		err = a.endTransfer(*record, protocol.TransferUndone)
	default:
		err = a.settleTransfer(ctx, *record)
	}
	if err != nil {
		a.o.Log.Error("transfer", "id", record.ID, "error", err)
		a.update(func() {
			a.transfer.trouble = err.Error()
			a.decide()
		})
		_ = pause.For(ctx, a.o.Timings.Pulse)
	}
}

// leadsMoved reports whether this pod's server leads every group that is moved, in the term of the transfer and with a quorum behind it.
func (a *Agent) leadsMoved(ctx context.Context, record transfer.Record) bool {
	status, err := a.ownStatus(ctx)
	if err != nil {
		return false
	}
	for group, term := range record.Terms {
		if g := status[group]; !g.LeadsWithQuorum() || g.Term != term {
			return false
		}
	}
	return true
}

// ownStatus asks this pod's server for its raft state, now.
func (a *Agent) ownStatus(ctx context.Context) (robustmq.ClusterStatus, error) {
	a.mu.Lock()
	m, running := a.mounted, a.child != nil && a.child.stopping == ""
	a.mu.Unlock()
	if !running {
		return nil, errServerDown
	}
	meta, err := metaclient.New(hostPort(a.o.Loopback, m.config.Ports.GRPC), a.o.Dial)
	if err != nil {
		return nil, err
	}
	defer meta.Close() //nolint:errcheck // nothing to lose
	ctx, cancel := context.WithTimeout(ctx, a.o.Timings.Probe)
	defer cancel()
	return meta.Status(ctx)
}

// saveTransfer writes the record and then knows it.
func (a *Agent) saveTransfer(record transfer.Record) error {
	if err := transfer.Save(a.o.FS, a.volume.Path(protocol.TransferFile), record); err != nil {
		return err
	}
	a.o.Log.Info("transfer", "id", record.ID, "role", record.Role, "phase", record.Phase, "outcome", record.Outcome, "target", record.Target)
	a.update(func() { a.transfer.record, a.transfer.trouble = &record, "" })
	return nil
}

// endTransfer notes the end and lets the server start, unless something else holds it.
func (a *Agent) endTransfer(record transfer.Record, outcome protocol.TransferOutcome) error {
	record.Phase, record.Outcome = protocol.TransferEnded, outcome
	if err := a.saveTransfer(record); err != nil {
		return err
	}
	a.openAfterTransfer()
	return nil
}

func (a *Agent) openAfterTransfer() {
	a.update(func() {
		a.transfer.shut = false
		a.backoff.Reset()
		a.notBefore = time.Time{}
		a.decide()
	})
}

// undoTransfer kills the server of a target that does not lead and gives it its old votes back.
func (a *Agent) undoTransfer(ctx context.Context, record transfer.Record) error {
	a.update(func() {
		a.transfer.shut = true
		a.decide()
		if c := a.child; c != nil && !c.killed {
			// Not softly: a server that is still starting takes 20 s to end (seen), and every moment of it could bring it followers.
			c.stopping, c.killAt = protocol.ExitOrdered, a.o.Now()
			a.kill(c)
		}
	})
	if err := a.awaitGone(ctx, nil); err != nil {
		return err
	}
	outcome, err := transfer.Undo(ctx, a.o.FS, a.database(), record)
	if err != nil {
		return fmt.Errorf("taking the new votes back: %w", err)
	}
	return a.endTransfer(record, outcome)
}

// settleTransfer starts a former leader that was not told what became of the target: as it was where the others have turned away from it, so that it can do no harm; else without its leadership.
func (a *Agent) settleTransfer(ctx context.Context, record transfer.Record) error {
	if err := a.awaitGone(ctx, nil); err != nil {
		return err
	}
	if record.Passed(a.askVoters(ctx, record)) {
		return a.endTransfer(record, protocol.TransferResumed)
	}
	if err := transfer.Yield(ctx, a.o.FS, a.database(), record); err != nil {
		return fmt.Errorf("giving the old leadership up: %w", err)
	}
	return a.endTransfer(record, protocol.TransferYielded)
}

// askVoters asks the servers of the other voters.
func (a *Agent) askVoters(ctx context.Context, record transfer.Record) map[uint64]robustmq.ClusterStatus {
	a.mu.Lock()
	m := a.mounted
	a.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, a.o.Timings.PeerTimeout)
	defer cancel()
	var all sync.WaitGroup
	var mu sync.Mutex
	answers := map[uint64]robustmq.ClusterStatus{}
	for _, id := range record.Voters {
		member, ok := m.member(id)
		if !ok || id == record.Self {
			continue
		}
		all.Go(func() {
			meta, err := metaclient.New(hostPort(member.Host, m.config.Ports.GRPC), a.o.Dial)
			if err != nil {
				return
			}
			defer meta.Close() //nolint:errcheck // nothing to lose
			status, err := meta.Status(ctx)
			if err != nil {
				a.o.Log.Info("transfer", "asked", id, "error", err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			answers[id] = status
		})
	}
	all.Wait()
	return answers
}

// stopForTransfer notes that the server is stopped for a transfer, stops it and reads how far its logs reach.
func (a *Agent) stopForTransfer(ctx context.Context, record transfer.Record, until time.Time, status robustmq.ClusterStatus) error {
	if status != nil {
		said, err := transfer.Position(&image.RaftLogs{}, status, groupsOf(record))
		if err != nil {
			return conflict("%v", err)
		}
		record.Phase, record.Before = protocol.TransferPrepared, said
		if err := a.saveTransfer(record); err != nil {
			return err
		}
		a.update(func() {
			t := &a.transfer
			t.shut, t.until, t.status, t.read = true, until, status, false
			a.decide()
		})
	}
	ctx, cancel := context.WithTimeout(ctx, a.o.Timings.TransferStop)
	defer cancel()
	if err := a.awaitGone(ctx, nil); err != nil {
		return err
	}
	a.mu.Lock()
	status = a.transfer.status
	a.mu.Unlock()
	logs, err := image.ReadRaftLogs(ctx, a.o.FS, a.database(), 0)
	if err != nil {
		return err
	}
	position, err := transfer.Position(logs, status, groupsOf(record))
	if err != nil {
		return err
	}
	voted := record.Before
	record.Before, record.WAL = position, logs.Next
	for group, g := range position {
		if voted[group].Vote != g.Vote {
			if err := a.saveTransfer(record); err != nil {
				return err
			}
			break
		}
	}
	a.update(func() { a.transfer.record, a.transfer.read = &record, true })
	return nil
}

func groupsOf(record transfer.Record) []string {
	groups := make([]string, 0, len(record.Terms))
	for group := range record.Terms {
		groups = append(groups, group)
	}
	return groups
}

var errNotReserved = errors.New("the target was not reserved")
