package agent

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"

	"github.com/robustmq/robustmq-operator/internal/pause"
)

// hold decides, once the pod is being ended, when the server may be stopped. Readiness-bound names make two voters that go at once a loss of quorum that the
// PodDisruptionBudget cannot prevent (it counts pods, not voters), so a voter asks the others first.
func (a *Agent) hold(ctx context.Context) {
	if !a.until(ctx, func() bool { return a.terminating }) {
		return
	}
	deadline := a.o.Now().Add(a.o.Timings.HoldMax)
	a.outlastName(ctx)
	for {
		a.mu.Lock()
		m, voters, live, done := a.mounted, slices.Clone(a.known.voters), a.live(), a.mayStop
		a.mu.Unlock()
		if done {
			<-ctx.Done()
			return
		}
		reason := "the server does not serve"
		held := false
		if live && m.isVoterRole() && slices.Contains(voters, m.nodeID()) {
			held, reason = holds(m.nodeID(), voters, a.askAll(ctx, m, voters))
		}
		if held && a.o.Now().Before(deadline) {
			a.o.Log.Info("the server is held although the pod is being ended", "because", reason)
			if pause.For(ctx, a.o.Timings.HoldPoll) != nil {
				return
			}
			continue
		}
		if held {
			reason = "the grace period is over: " + reason
		}
		a.o.Log.Info("the server may be stopped", "because", reason)
		a.update(func() { a.mayStop = true })
	}
}

// outlastName keeps the server serving, for a bounded time, until its name leads elsewhere or nowhere: it leaves the DNS when the pod begins to be deleted, a member's because it follows readiness, the others'
// by the operator's hand. Whoever asks for a name that is gone is told so at once and asks again; who connects to an address that answers nobody any more hangs for seconds, and his clients with him (13 s,
// test/contract). A container that is started again within its pod keeps its name, and then this waits in vain, while everybody is served.
func (a *Agent) outlastName(ctx context.Context) {
	deadline := a.o.Now().Add(a.o.Timings.NameGone)
	for a.o.Now().Before(deadline) {
		a.mu.Lock()
		m, live := a.mounted, a.live()
		a.mu.Unlock()
		if !live || m.islands() {
			return
		}
		addresses, err := a.o.Resolve(ctx, m.input.Host())
		if notFound := (*net.DNSError)(nil); err == nil && !slices.Contains(addresses, a.o.PodIP) || errors.As(err, &notFound) && notFound.IsNotFound {
			return
		}
		if pause.For(ctx, a.o.Timings.NameGonePoll) != nil {
			return
		}
	}
}

func (a *Agent) askAll(ctx context.Context, m mounted, voters []uint64) map[uint64]peerAnswer {
	ctx, cancel := context.WithTimeout(ctx, a.o.Timings.PeerTimeout)
	defer cancel()
	var all sync.WaitGroup
	var mu sync.Mutex
	answers := map[uint64]peerAnswer{}
	for _, id := range voters {
		member, ok := m.member(id)
		if !ok || id == m.nodeID() {
			continue
		}
		all.Go(func() {
			peer, err := a.peers.ask(ctx, m, member.Host)
			mu.Lock()
			defer mu.Unlock()
			answers[id] = peerAnswer{reached: err == nil, peer: peer}
		})
	}
	all.Wait()
	return answers
}

// holds decides whether a terminating voter must keep its server, and says why (not).
//   - The others make a quorum without it: go.
//   - All that can be reached are terminating too, or none can be reached: the cluster is being stopped, or this voter is of no use to it: go.
//   - Else hold. Of several that terminate at once the one with the lowest id goes first, as the higher ones wait for it: to it they still stand.
func holds(self uint64, voters []uint64, answers map[uint64]peerAnswer) (bool, string) {
	reached, ending, standing := 0, 0, 0
	for _, id := range voters {
		answer, ok := answers[id]
		if !ok || !answer.reached {
			continue
		}
		reached++
		if answer.peer.Terminating {
			ending++
		}
		if answer.peer.Serving && (!answer.peer.Terminating || id > self) {
			standing++
		}
	}
	quorum := len(voters)/2 + 1
	switch {
	case len(voters) < 2:
		return false, "it is the only voter"
	case reached == ending:
		return false, "every voter that can be reached is being ended too"
	case standing >= quorum:
		return false, fmt.Sprintf("%d of %d voters stand without it", standing, len(voters))
	}
	return true, fmt.Sprintf("%d of %d voters stand without it, a quorum is %d", standing, len(voters), quorum)
}
