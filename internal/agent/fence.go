package agent

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
	"github.com/robustmq/robustmq-operator/internal/pause"
)

// fence stops the server of a voter that is cut off from the majority, and lets it start when it is not any more: an isolated live follower campaigns with ever higher
// terms (RobustMQ has no pre-vote) and overthrows the leaders on its return (seen: 21 to 33 s without one); one that was restarted does not.
// What is asked is the other agents' port, not their servers': a cluster whose servers are all stopped is not cut off.
//
// It stops as well the server of a pod that was replaced: its name leads to another pod of the same node id, and two servers of one id overwrite each other's registration and votes. Nobody else
// can stop one that runs on where neither the API server nor the operator reach it.
func (a *Agent) fence(ctx context.Context) {
	var cut, replaced fencing
	cutOff, superseded := false, false
	for {
		if pause.For(ctx, a.o.Timings.FenceProbe) != nil {
			return
		}
		a.mu.Lock()
		m, voters, running, fenced := a.mounted, slices.Clone(a.known.voters), a.child != nil, a.fenced
		a.mu.Unlock()
		reached := 0
		if cares := running || fenced; cares && fenceable(m, voters) {
			reached = a.reached(ctx, m, voters)
			cutOff = cut.next(a.o.Now(), cutOff, reached, len(voters), a.o.Timings.FenceAfter)
		} else {
			cut, cutOff = fencing{}, false
		}
		if cares := running || fenced; cares && m.readable {
			own := 1
			if by := a.supersededBy(ctx, m); by != "" {
				own = 0
				a.o.Log.Warn("the name of this pod leads to another pod of the same node id", "address", by)
			}
			superseded = replaced.next(a.o.Now(), superseded, own, 1, a.o.Timings.FenceAfter)
		} else {
			replaced, superseded = fencing{}, false
		}
		if want := cutOff || superseded; want != fenced {
			a.o.Log.Warn("fence", "on", want, "cutOff", cutOff, "superseded", superseded, "reached", reached, "voters", len(voters))
			a.setFenced(want)
		}
	}
}

// supersededBy is the address of another pod that has this one's name and node id; empty when the name leads here, nowhere, or to somebody who does not say that he is this node.
func (a *Agent) supersededBy(ctx context.Context, m mounted) string {
	ctx, cancel := context.WithTimeout(ctx, a.o.Timings.FenceTimeout)
	defer cancel()
	addresses, err := a.o.Resolve(ctx, m.input.Host())
	if err != nil || slices.Contains(addresses, a.o.PodIP) {
		return ""
	}
	for _, address := range addresses {
		if peer, err := a.peers.askAt(ctx, m, address); err == nil && peer.NodeID == m.nodeID() && !peer.Terminating {
			return address
		}
	}
	return ""
}

// fenceable: only voters of the last membership that the own server reported, and only where a minority can be lost.
func fenceable(m mounted, voters []uint64) bool {
	return m.isVoterRole() && len(voters) >= 3 && slices.Contains(voters, m.nodeID())
}

func (a *Agent) setFenced(on bool) {
	a.update(func() {
		a.fenced = on
		a.notBefore = time.Time{}
	})
}

// reached counts the voters that can be reached, this one included.
func (a *Agent) reached(ctx context.Context, m mounted, voters []uint64) int {
	var all sync.WaitGroup
	var mu sync.Mutex
	reached := map[uint64]bool{m.nodeID(): true}
	reach := func(id uint64) {
		mu.Lock()
		defer mu.Unlock()
		reached[id] = true
	}
	for _, id := range voters {
		member, ok := m.member(id)
		if !ok || id == m.nodeID() {
			continue
		}
		all.Go(func() {
			if a.peers.reachable(ctx, member.Host, a.o.Timings.FenceTimeout) {
				reach(id)
			}
		})
	}
	all.Wait()
	if len(reached) > len(voters)/2 || m.config.AgentsHost == "" {
		return len(reached)
	}
	// A member's name leads nowhere while its pod is not ready, and a pod that waits at its gate with an empty volume never is: its agent is there all the same. Were it not counted, the
	// only member that a lost majority left would fence itself, and nobody could be given its metadata.
	look, cancel := context.WithTimeout(ctx, a.o.Timings.FenceTimeout)
	defer cancel()
	addresses, err := a.o.Resolve(look, m.config.AgentsHost)
	if err != nil {
		a.o.Log.Debug("agents", "host", m.config.AgentsHost, "error", err)
	}
	for _, address := range addresses {
		if address == a.o.PodIP {
			continue
		}
		all.Go(func() {
			if peer, err := a.peers.askAt(look, m, address); err == nil && slices.Contains(voters, peer.NodeID) {
				reach(peer.NodeID)
			}
		})
	}
	all.Wait()
	return len(reached)
}

// fencing decides from a row of probes.
type fencing struct {
	since  time.Time // first probe in a row without a majority
	misses int
}

// minMisses keeps a pod that was itself stopped for a while (a frozen machine: the clock jumps) from counting the gap as an absence of the others.
const minMisses = 4

// next returns whether the server shall be stopped.
func (f *fencing) next(now time.Time, fenced bool, reached, voters int, after time.Duration) bool {
	if reached > voters/2 {
		*f = fencing{}
		return false
	}
	if f.misses == 0 {
		f.since = now
	}
	f.misses++
	return fenced || f.misses >= minMisses && now.Sub(f.since) >= after
}

// peerAnswer is another voter as it answered, or did not.
type peerAnswer struct {
	reached bool
	peer    protocol.Peer
}
