package cluster

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
	"github.com/robustmq/robustmq-operator/internal/agent/transfer"
	"github.com/robustmq/robustmq-operator/internal/pause"
	"github.com/robustmq/robustmq-operator/internal/quorum"
	"github.com/robustmq/robustmq-operator/internal/topology"
)

// handover is one transfer of leadership, from its first call to its last. Why its steps stand in this order is in docs/leadership.md.
type handover struct {
	r      *Reconciler
	p      *pass
	id     string
	target topology.Member
	stops  []topology.Member
	// terms are those in which the target shall lead, by group: of the groups that the stopped members lead.
	terms map[string]uint64
	// voters is how many members vote.
	voters int

	began     time.Time     // when the first leader was told to stop
	gap       time.Duration // from then until the target was seen leading
	committed bool
}

// moveLeadership carries StepTransfer and StepEndTransfer out and returns the event's words.
func (r *Reconciler) moveLeadership(ctx context.Context, p *pass, step topology.Step) (string, error) {
	if step.Kind == topology.StepEndTransfer {
		return r.endTransfer(ctx, p, step)
	}
	return r.transfer(ctx, p, step)
}

// transfer carries StepTransfer out: within Timings.Transfer the target leads, or everything is put back. It returns the event's words.
func (r *Reconciler) transfer(ctx context.Context, p *pass, step topology.Step) (string, error) {
	h := &handover{r: r, p: p, id: r.NewUID()}
	err := h.run(ctx, step)
	outcome := "moved"
	if err != nil {
		p.memory.transferFailed = r.Now()
		outcome = "failed"
		if !h.began.IsZero() {
			outcome = "aborted"
			err = fmt.Errorf("%w; %s", err, h.end(context.WithoutCancel(ctx)))
		}
	}
	r.Metrics.Transferred(outcome, h.gap)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%s; it leads %s, nobody led for %.1f s", step.Reason, strings.Join(slices.Sorted(maps.Keys(h.terms)), ", "), h.gap.Seconds()), nil
}

func (h *handover) run(ctx context.Context, step topology.Step) error {
	ctx, cancel := context.WithTimeout(ctx, h.r.Timings.Transfer)
	defer cancel()
	if err := h.prepare(ctx, step); err != nil {
		return err
	}
	// The target's time begins before anybody is stopped, and the leaders' when they are: no message that is held up on its way can turn that round.
	if _, err := h.order(ctx, h.target, protocol.TransferOrder{Action: protocol.TransferReserve, Target: h.target.NodeID}); err != nil {
		return err
	}
	h.began = h.r.Now()
	stopped, err := h.stopLeaders(ctx)
	if err != nil {
		return err
	}
	own, err := h.order(ctx, h.target, protocol.TransferOrder{Action: protocol.TransferPrepare, Target: h.target.NodeID, Terms: h.terms})
	if err != nil {
		return err
	}
	if err := h.compare(own, stopped); err != nil {
		return err
	}
	h.committed = true
	if _, err := h.order(ctx, h.target, protocol.TransferOrder{Action: protocol.TransferCommit}); err != nil {
		return err
	}
	// Of two voters the target alone is enough to keep the other from leading in its old term, and it leads only when that one follows. Its vote is on its disk by now.
	if quorum.Outvoted(h.voters, 1) {
		if err := h.release(ctx); err != nil {
			return err
		}
	}
	if err := h.awaitLeading(ctx); err != nil {
		return err
	}
	h.gap = h.r.Now().Sub(h.began)
	return h.release(ctx)
}

// prepare looks at everybody once more, just before, and chooses the terms: each above every one that any member has seen.
func (h *handover) prepare(ctx context.Context, step topology.Step) error {
	h.terms = map[string]uint64{}
	health := topology.Assess(h.p.snapshot)
	for _, m := range h.p.snapshot.Members {
		if m.Pod == step.Pod {
			h.target = m
		}
	}
	h.stops = health.Stops(h.target.NodeID, step.Via)
	led := map[string]uint64{}
	for _, m := range h.stops {
		for _, group := range health.LeaderOf(m.NodeID) {
			led[group] = m.NodeID
		}
	}
	voters, err := h.states(ctx)
	if err != nil {
		return err
	}
	h.voters = len(voters)
	for group, leader := range led {
		for pod, state := range voters {
			g, ok := state.Raft[group]
			switch {
			case !ok || !g.Running:
				return fmt.Errorf("raft group %s does not run on %s", group, pod)
			case state.NodeID == leader && !g.LeadsWithQuorum():
				return fmt.Errorf("%s leads raft group %s no more", pod, group)
			case g.CurrentLeader != leader:
				return fmt.Errorf("%s follows node %d in raft group %s, which node %d leads", pod, g.CurrentLeader, group, leader)
			}
			h.terms[group] = max(h.terms[group], g.Term+1)
		}
	}
	if len(h.terms) == 0 {
		return errors.New("nobody leads anything that could be moved")
	}
	return nil
}

// states asks the agents of all voters.
func (h *handover) states(ctx context.Context) (map[string]protocol.State, error) {
	health := topology.Assess(h.p.snapshot)
	var mu sync.Mutex
	out := map[string]protocol.State{}
	err := h.each(h.votersOf(health), func(m topology.Member) error {
		agent, err := h.p.agent(m.Pod)
		if err != nil {
			return err
		}
		ctx, cancel := context.WithTimeout(ctx, h.r.Timings.TransferCall)
		defer cancel()
		state, err := agent.State(ctx)
		if err != nil {
			return fmt.Errorf("%s: %w", m.Pod, err)
		}
		if state.NodeID != m.NodeID {
			return fmt.Errorf("%s: its agent is that of node %d", m.Pod, state.NodeID)
		}
		mu.Lock()
		defer mu.Unlock()
		out[m.Pod] = state
		return nil
	})
	return out, err
}

func (h *handover) votersOf(health topology.Health) []topology.Member {
	var out []topology.Member
	for _, m := range h.p.snapshot.Members {
		if m.Role == v1alpha1.RolePlacementCenter && len(health.VoterIn(m.NodeID)) > 0 {
			out = append(out, m)
		}
	}
	return out
}

// each does something with all members at once and returns what went wrong.
func (h *handover) each(members []topology.Member, do func(topology.Member) error) error {
	var all sync.WaitGroup
	errs := make([]error, len(members))
	for i, m := range members {
		all.Go(func() { errs[i] = do(m) })
	}
	all.Wait()
	return errors.Join(errs...)
}

// order gives one member its next step.
func (h *handover) order(ctx context.Context, m topology.Member, order protocol.TransferOrder) (protocol.Transfer, error) {
	agent, err := h.p.agent(m.Pod)
	if err != nil {
		return protocol.Transfer{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, h.r.Timings.TransferCall)
	defer cancel()
	order.ID = h.id
	answer, err := agent.Transfer(ctx, order)
	if err != nil {
		return protocol.Transfer{}, fmt.Errorf("%s of %s: %w", order.Action, m.Pod, err)
	}
	return answer, nil
}

// stopLeaders stops all of them at once and returns how far their logs reach.
func (h *handover) stopLeaders(ctx context.Context) (map[string]protocol.Transfer, error) {
	var mu sync.Mutex
	out := map[string]protocol.Transfer{}
	err := h.each(h.stops, func(m topology.Member) error {
		answer, err := h.order(ctx, m, protocol.TransferOrder{Action: protocol.TransferPrepare, Target: h.target.NodeID, Terms: h.terms})
		if err != nil {
			return err
		}
		mu.Lock()
		defer mu.Unlock()
		out[m.Pod] = answer
		return nil
	})
	return out, err
}

// compare makes sure that the target has everything that the stopped leaders have: what was ever acknowledged is in the log of the one that led the group.
func (h *handover) compare(own protocol.Transfer, stopped map[string]protocol.Transfer) error {
	for group := range h.terms {
		mine, ok := own.Groups[group]
		if !ok || mine.Last == nil {
			return fmt.Errorf("how far %s is in raft group %s cannot be told", h.target.Pod, group)
		}
		for pod, answer := range stopped {
			theirs, ok := answer.Groups[group]
			switch {
			case !ok || theirs.Last == nil:
				return fmt.Errorf("how far %s was in raft group %s cannot be told", pod, group)
			case !transfer.AtLeast(mine.Last, theirs.Last):
				return fmt.Errorf("%s has raft group %s up to %s, and %s up to %s", h.target.Pod, group, position(mine), pod, position(theirs))
			case theirs.Vote.Term >= h.terms[group]:
				return fmt.Errorf("%s has voted in term %d of raft group %s", pod, theirs.Vote.Term, group)
			}
		}
	}
	return nil
}

func position(g protocol.TransferGroup) string {
	return fmt.Sprintf("entry %d of term %d", g.Last.Index, g.Last.Term)
}

// awaitLeading waits until the target says that it leads every group that is moved with a quorum behind it. From then on a quorum has turned to it, and the old leaders can do no harm.
func (h *handover) awaitLeading(ctx context.Context) error {
	agent, err := h.p.agent(h.target.Pod)
	if err != nil {
		return err
	}
	for {
		var last string
		asked, cancel := context.WithTimeout(ctx, h.r.Timings.TransferCall)
		state, err := agent.State(asked)
		cancel()
		if err == nil {
			if last = h.missing(state); last == "" {
				return nil
			}
		} else {
			last = err.Error()
		}
		if pause.For(ctx, h.r.Timings.TransferPoll) != nil {
			return fmt.Errorf("%s did not come to lead in time: %s", h.target.Pod, last)
		}
	}
}

// missing says what the target does not lead yet.
func (h *handover) missing(state protocol.State) string {
	for group, term := range h.terms {
		if g := state.Raft[group]; !g.LeadsWithQuorum() || g.Term != term {
			return fmt.Sprintf("raft group %s: server %s %s, term %d, leader %d %s", group, state.Server.Phase, g.State, g.Term, g.CurrentLeader, state.RaftError)
		}
	}
	return ""
}

// release starts the former leaders as they were: they follow at the first word of the new one. The target's own record was closed when it saw itself leading.
func (h *handover) release(ctx context.Context) error {
	return h.each(h.stops, func(m topology.Member) error {
		_, err := h.order(ctx, m, protocol.TransferOrder{Action: protocol.TransferRelease})
		return err
	})
}

// end puts everything back, as far as the target answers: its word decides. Without it the former leaders are left to themselves: they ask the others, and go on as they may.
func (h *handover) end(ctx context.Context) string {
	ctx, cancel := context.WithTimeout(ctx, h.r.Timings.Transfer)
	defer cancel()
	answer, err := h.order(ctx, h.target, protocol.TransferOrder{Action: protocol.TransferAbort})
	switch {
	case err != nil:
		h.p.log.Info("the target of a transfer does not answer", "pod", h.target.Pod, "error", err.Error())
		return "whether " + h.target.Pod + " took over is not known: the former leaders find out and start by themselves"
	case answer.Outcome == protocol.TransferKept:
		if err := h.awaitLeading(ctx); err != nil {
			return h.target.Pod + " may have taken over: the former leaders find out and start by themselves"
		}
	}
	if err := h.release(ctx); err != nil {
		h.p.log.Info("a former leader does not answer", "error", err.Error())
		return "who does not answer starts by itself"
	}
	if answer.Outcome == protocol.TransferUndone {
		return "everything is as it was"
	}
	return h.target.Pod + " leads all the same"
}

// endTransfer carries StepEndTransfer out: a transfer that another operator has begun.
func (r *Reconciler) endTransfer(ctx context.Context, p *pass, step topology.Step) (string, error) {
	h := &handover{r: r, p: p, id: step.Transfer, terms: map[string]uint64{}}
	for _, m := range p.snapshot.Members {
		switch {
		case m.Pod == step.Pod:
			h.target = m
		case m.Agent != nil && m.Agent.Transfer != nil && m.Agent.Transfer.ID == step.Transfer:
			h.stops = append(h.stops, m)
			for group, term := range p.observed.states[m.Pod].Transfer.Terms {
				h.terms[group] = term
			}
		}
	}
	return step.Reason + "; " + h.end(ctx), nil
}
