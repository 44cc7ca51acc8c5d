package agent

import (
	"context"
	"slices"
	"time"

	"github.com/robustmq/robustmq-operator/backup/image"
	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
	"github.com/robustmq/robustmq-operator/internal/agent/transfer"
	"github.com/robustmq/robustmq-operator/internal/robustmq"
)

const maxTransferID = 100

// orderTransfer carries out one step of a transfer.
func (a *Agent) orderTransfer(ctx context.Context, order protocol.TransferOrder) (protocol.Transfer, error) {
	if order.ID == "" || len(order.ID) > maxTransferID {
		return protocol.Transfer{}, badRequest("id must have 1 to %d characters", maxTransferID)
	}
	a.orders.Lock()
	defer a.orders.Unlock()
	a.o.Log.Info("transfer order", "id", order.ID, "action", order.Action, "target", order.Target)
	a.mu.Lock()
	record, unread := a.transfer.record, a.transfer.trouble
	if !a.transfer.unread {
		unread = ""
	}
	a.mu.Unlock()
	var err error
	switch {
	case unread != "":
		err = conflict("what an earlier agent left of a transfer cannot be read: %s", unread)
	case record != nil && record.ID == order.ID:
		err = a.continueTransfer(ctx, *record, order)
	default:
		return a.newTransfer(ctx, record, order)
	}
	if err != nil {
		return protocol.Transfer{}, err
	}
	return a.transferAnswer(), nil
}

// transferAnswer is the record as it is now.
func (a *Agent) transferAnswer() protocol.Transfer {
	a.mu.Lock()
	defer a.mu.Unlock()
	answer := *a.transfer.record.State()
	answer.Message = a.transfer.trouble
	return answer
}

// newTransfer handles an ID that is not known here.
func (a *Agent) newTransfer(ctx context.Context, other *transfer.Record, order protocol.TransferOrder) (protocol.Transfer, error) {
	a.mu.Lock()
	self := a.mounted.nodeID()
	a.mu.Unlock()
	fresh := transfer.Record{ID: order.ID, Role: protocol.TransferTarget, Self: self, Target: order.Target}
	ends := map[protocol.TransferAction]protocol.TransferOutcome{
		protocol.TransferAbort: protocol.TransferUndone, protocol.TransferRelease: protocol.TransferResumed, protocol.TransferSettle: protocol.TransferResumed,
	}
	if outcome, ok := ends[order.Action]; ok {
		// It never took part. That is noted, so that an order of the same transfer that was held up on its way is refused when it arrives.
		if order.Action != protocol.TransferAbort {
			fresh.Role = protocol.TransferLeader
		}
		fresh.Phase, fresh.Outcome = protocol.TransferEnded, outcome
		if other.Active() {
			return *fresh.State(), nil
		}
		if err := a.saveTransfer(fresh); err != nil {
			return protocol.Transfer{}, err
		}
		return a.transferAnswer(), nil
	}
	if other.Active() {
		return protocol.Transfer{}, &refusal{protocol.ReasonBusy, "transfer " + other.ID + " is under way here"}
	}
	var err error
	switch order.Action {
	case protocol.TransferReserve:
		err = a.reserveTransfer(fresh)
	case protocol.TransferPrepare:
		fresh.Role, fresh.Terms = protocol.TransferLeader, order.Terms
		err = a.prepareLeader(ctx, fresh)
	case protocol.TransferCommit:
		err = conflict("transfer %s: %v", order.ID, errNotReserved)
	default:
		err = badRequest("action %q is none of Reserve, Prepare, Commit, Abort, Release, Settle", order.Action)
	}
	if err != nil {
		return protocol.Transfer{}, err
	}
	return a.transferAnswer(), nil
}

// continueTransfer handles an ID that is known here.
func (a *Agent) continueTransfer(ctx context.Context, record transfer.Record, order protocol.TransferOrder) error {
	target := record.Role == protocol.TransferTarget
	switch order.Action {
	case protocol.TransferAbort, protocol.TransferRelease, protocol.TransferSettle:
		switch {
		case target != (order.Action == protocol.TransferAbort):
			return conflict("transfer %s: this member is its %s", record.ID, record.Role)
		case !record.Active():
			return nil
		case order.Action == protocol.TransferAbort:
			return a.abortTransfer(ctx, record)
		case order.Action == protocol.TransferRelease:
			return a.endTransfer(record, protocol.TransferResumed)
		}
		return a.settleTransfer(ctx, record)
	case protocol.TransferReserve, protocol.TransferPrepare, protocol.TransferCommit:
	default:
		return badRequest("action %q is none of Reserve, Prepare, Commit, Abort, Release, Settle", order.Action)
	}
	switch {
	case record.Outcome == protocol.TransferLeads:
		return nil // it did what was ordered
	case !record.Active():
		return conflict("transfer %s has ended here: %s", record.ID, record.Outcome)
	case order.Action == protocol.TransferReserve && target:
		return nil
	case order.Action == protocol.TransferCommit && target:
		return a.commitTransfer(ctx, record)
	case order.Action != protocol.TransferPrepare:
		return conflict("transfer %s: this member is its %s", record.ID, record.Role)
	case record.Phase == protocol.TransferReserved:
		return a.prepareTarget(ctx, record, order.Terms)
	case record.Phase == protocol.TransferCommitted || a.transferRead():
		return nil
	}
	return a.stopForTransfer(ctx, record, a.transferUntil(), nil)
}

// mayTransfer says why this member takes part in no transfer now, or nil.
func (a *Agent) mayTransfer() error {
	placement := a.target.State()
	a.mu.Lock()
	defer a.mu.Unlock()
	m := a.mounted
	switch {
	case !m.readable || !m.isVoterRole() || m.islands():
		return conflict("only members of a placement centre have a leadership to move")
	case m.problem != "":
		return conflict("its server would not start again: %s", m.problem)
	case a.terminating:
		return conflict("the pod is being ended")
	case a.held || a.fenced || a.restart != "" || !a.gate.Open:
		return conflict("its server is stopped, or is to be: %s", a.gate.Reason)
	case a.target.Working() || placement != nil && placement.Phase != protocol.PlacementOpen:
		return conflict("an image is being put in place here")
	case !a.live():
		return errServerDown
	}
	return nil
}

// reserveTransfer starts the target's time. From here on nothing that is held up on its way can make it take over later: its time began before anybody was stopped.
func (a *Agent) reserveTransfer(record transfer.Record) error {
	if err := a.mayTransfer(); err != nil {
		return err
	}
	if record.Target != record.Self {
		return conflict("node %d shall lead, this is node %d", record.Target, record.Self)
	}
	now := a.o.Now()
	until := now.Add(a.o.Timings.TransferLead)
	record.Phase, record.Until = protocol.TransferReserved, until.UTC()
	if err := a.saveTransfer(record); err != nil {
		return err
	}
	a.update(func() {
		a.transfer = transferring{record: a.transfer.record, until: until, commitBy: now.Add(a.o.Timings.TransferCommit)}
	})
	return nil
}

// prepareLeader stops a leader.
func (a *Agent) prepareLeader(ctx context.Context, record transfer.Record) error {
	if err := a.mayTransfer(); err != nil {
		return err
	}
	if record.Target == record.Self {
		return conflict("transfer %s: %v", record.ID, errNotReserved)
	}
	status, err := a.ownStatus(ctx)
	if err != nil {
		return err
	}
	if record.Voters, err = movable(status, record.Terms); err != nil {
		return err
	}
	leads := false
	for group := range record.Terms {
		leads = leads || status[group].LeadsWithQuorum()
	}
	if !leads {
		return conflict("this member leads none of the groups that are moved")
	}
	until := a.o.Now().Add(a.o.Timings.TransferHold)
	record.Until = until.UTC()
	return a.stopForTransfer(ctx, record, until, status)
}

// prepareTarget stops the target.
func (a *Agent) prepareTarget(ctx context.Context, record transfer.Record, terms map[string]uint64) error {
	if err := a.mayTransfer(); err != nil {
		return err
	}
	status, err := a.ownStatus(ctx)
	if err != nil {
		return err
	}
	record.Terms = terms
	if record.Voters, err = movable(status, terms); err != nil {
		return err
	}
	return a.stopForTransfer(ctx, record, a.transferUntil(), status)
}

// movable returns the voters of the groups that are moved: one and the same uniform membership, and no term of a new leader that was reached already.
func movable(status robustmq.ClusterStatus, terms map[string]uint64) ([]uint64, error) {
	if len(terms) == 0 {
		return nil, badRequest("terms are missing")
	}
	var voters []uint64
	for group, term := range terms {
		g, ok := status[group]
		own := g.Voters()
		switch {
		case !ok || !g.Running:
			return nil, conflict("raft group %s does not run here", group)
		case len(own) == 0 || voters != nil && !slices.Equal(own, voters):
			return nil, conflict("the membership of raft group %s is changing, or is not that of the other groups", group)
		case g.Term >= term:
			return nil, conflict("raft group %s is in term %d already, and the target was to lead in term %d", group, g.Term, term)
		}
		voters = own
	}
	return voters, nil
}

// commitTransfer makes the target the leader. The record with the old votes is on the disk before the new ones are.
func (a *Agent) commitTransfer(ctx context.Context, record transfer.Record) error {
	a.mu.Lock()
	read, late, runs := a.transfer.read, !a.o.Now().Before(a.transfer.commitBy), a.child != nil || a.attempt != nil
	a.mu.Unlock()
	switch {
	case record.Phase == protocol.TransferCommitted:
		return nil
	case record.Phase != protocol.TransferPrepared || !read || runs:
		return conflict("transfer %s: the target is not prepared", record.ID)
	case late:
		return conflict("transfer %s: its time is over", record.ID)
	}
	if err := record.MayCommit(); err != nil {
		return conflict("%v", err)
	}
	record.Phase = protocol.TransferCommitted
	if err := a.saveTransfer(record); err != nil {
		return err
	}
	if err := image.Append(ctx, a.o.FS, a.database(), record.TakeOver()); err != nil {
		return err // the gate is shut, and the next look takes back what may have been written
	}
	a.openAfterTransfer()
	return nil
}

// abortTransfer makes the target give up, unless it leads.
func (a *Agent) abortTransfer(ctx context.Context, record transfer.Record) error {
	switch {
	case record.Phase != protocol.TransferCommitted:
		return a.endTransfer(record, protocol.TransferUndone)
	case a.leadsMoved(ctx, record):
		return a.endTransfer(record, protocol.TransferLeads)
	}
	return a.undoTransfer(ctx, record)
}

func (a *Agent) transferUntil() time.Time {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.transfer.until
}

func (a *Agent) transferRead() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.transfer.read
}
