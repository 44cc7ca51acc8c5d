package cluster

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	agentclient "github.com/robustmq/robustmq-operator/internal/agent/client"
	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
	"github.com/robustmq/robustmq-operator/internal/pause"
	"github.com/robustmq/robustmq-operator/internal/robustmq"
	"github.com/robustmq/robustmq-operator/internal/topology"
)

// CensusTimings say when the members' data is counted and compared. Zero values: never.
type CensusTimings struct {
	// Every is how often a quiet cluster is counted, Again how soon after a round in which members differed, After how long after a member was started or got other data.
	Every, Again, After time.Duration
	// Limit bounds a round, Poll is how often an agent is asked how far it is.
	Limit, Poll time.Duration
}

// DefaultCensusTimings are the times at real speed. A member is given 30 s to catch up before it is compared: replaying 1000 entries takes a few.
func DefaultCensusTimings() CensusTimings {
	return CensusTimings{Every: 10 * time.Minute, Again: 20 * time.Second, After: 30 * time.Second, Limit: 2 * time.Minute, Poll: time.Second}
}

// censuses are the rounds in which the members of one cluster were counted. They live in memory only: losing them delays a finding.
type censuses struct {
	mu      sync.Mutex
	rounds  []topology.Round // at most two, the older first
	running bool
	last    time.Time // when a round ended
	at      time.Time // when the last one of rounds did
	seen    string    // the lives and starts of the members at the last pass
	changed time.Time // when seen became what it is
	counted string    // seen, as of the last round
}

// facts are the rounds, for a snapshot, and how long ago the last one ended.
func (c *censuses) facts(now time.Time) ([]topology.Round, time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.rounds), now.Sub(c.at)
}

// due reports whether a round is to be made now of members whose lives and starts are seen.
// soon: members differed, or something waits for the next round.
func (c *censuses) due(t CensusTimings, now time.Time, seen string, soon bool) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.seen != seen {
		c.seen, c.changed = seen, now
	}
	switch {
	case t.Every == 0 || c.running || now.Sub(c.changed) < t.After:
		return false
	case c.counted != seen || c.last.IsZero():
		return true
	case soon:
		return now.Sub(c.last) >= t.Again
	}
	return now.Sub(c.last) >= t.Every
}

// begin marks a round as running; false when one is.
func (c *censuses) begin(seen string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.running {
		return false
	}
	c.running, c.counted = true, seen
	return true
}

func (c *censuses) end(now time.Time, round topology.Round) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.running, c.last = false, now
	if len(round) > 1 { // one alone is compared with nobody
		c.rounds, c.at = append(c.rounds, round), now
		c.rounds = c.rounds[max(0, len(c.rounds)-2):]
	}
}

// countKeys has the members counted when that is due, in the background: nothing waits for it, and what it finds is a fact of a later pass.
//
// Only a placement centre that is whole is counted: while a member is down or on its way, there is something better to do, and the members would stand at different positions anyway.
func (r *Reconciler) countKeys(ctx context.Context, p *pass, health topology.Health) {
	members, seen := countable(p, health)
	if len(members) < 2 || !p.memory.censuses.due(r.Timings.Census, r.Now(), seen, topology.Differ(p.snapshot) || topology.AwaitsCount(p.snapshot)) {
		return
	}
	agents := map[uint64]agentclient.Client{}
	lives := map[uint64]string{}
	for _, m := range members {
		agent, err := p.agent(m.Pod)
		if err != nil {
			return
		}
		agents[m.NodeID], lives[m.NodeID] = agent, m.Agent.Marker.Life
	}
	if !p.memory.censuses.begin(seen) {
		return
	}
	log := p.log
	go func() {
		var round topology.Round
		defer func() { p.memory.censuses.end(r.Now(), round) }()
		ctx, cancel := context.WithTimeout(ctx, r.Timings.Census.Limit)
		defer cancel()
		round = r.countRound(ctx, agents, lives)
		log.Info("the members' data was counted", "members", len(agents), "counted", len(round))
	}()
}

// countable are the members that can be compared now, and in words which data and which servers they are; nobody while the placement centre is not whole.
func countable(p *pass, health topology.Health) (members []topology.Member, seen string) {
	if !p.snapshot.Wanted.Founded || p.snapshot.Wanted.Static || p.snapshot.Wanted.Islands || health.QuorumProblem() != "" {
		return nil, ""
	}
	var words []string
	for _, id := range health.Voters() {
		for _, m := range p.snapshot.Members {
			if m.NodeID != id {
				continue
			}
			if m.Agent == nil || m.Agent.Marker == nil {
				return nil, ""
			}
			members = append(members, m)
			started := time.Time{}
			if at := p.observed.states[m.Pod].Server.Started; at != nil {
				started = *at
			}
			words = append(words, fmt.Sprintf("%d %s %d", id, m.Agent.Marker.Life, started.UnixMilli()))
		}
	}
	return members, strings.Join(words, "; ")
}

// countTries is how often all are counted until they stand at one position. Who did not move since is counted once only, so that tries cost little.
const countTries = 5

// countRound counts all members at once, and again where they were met at different positions.
func (r *Reconciler) countRound(ctx context.Context, agents map[uint64]agentclient.Client, lives map[uint64]string) topology.Round {
	var round topology.Round
	for try := 0; try < countTries && ctx.Err() == nil; try++ {
		got := r.countOnce(ctx, agents, lives)
		if len(got) > 0 || round == nil {
			round = got
		}
		positions := map[string]bool{}
		for _, c := range round {
			positions[c.Applied] = true
		}
		if len(round) == len(agents) && len(positions) == 1 {
			break
		}
		if pause.For(ctx, r.Timings.Census.Poll) != nil {
			break
		}
	}
	return round
}

func (r *Reconciler) countOnce(ctx context.Context, agents map[uint64]agentclient.Client, lives map[uint64]string) topology.Round {
	round := topology.Round{}
	id := "census-" + r.NewUID()
	var mu sync.Mutex
	var all sync.WaitGroup
	for node, agent := range agents {
		all.Go(func() {
			census, ok := r.awaitCensus(ctx, agent, id)
			if !ok {
				return
			}
			mu.Lock()
			defer mu.Unlock()
			round[node] = newCensus(census, lives[node])
		})
	}
	all.Wait()
	return round
}

// awaitCensus asks until the census is there; false when nothing can be said of the member, for whatever reason: then nothing is concluded either.
func (r *Reconciler) awaitCensus(ctx context.Context, agent agentclient.Client, id string) (protocol.Census, bool) {
	for {
		census, err := agent.Census(ctx, id)
		switch {
		case err != nil && agentclient.Reason(err) != protocol.ReasonBusy:
			return protocol.Census{}, false
		case err == nil && census.Phase == protocol.CensusReady:
			return census, true
		case err == nil && census.Phase == protocol.CensusFailed:
			return protocol.Census{}, false
		}
		if pause.For(ctx, r.Timings.Census.Poll) != nil {
			return protocol.Census{}, false
		}
	}
}

func newCensus(c protocol.Census, life string) topology.Census {
	out := topology.Census{Life: life, Applied: applied(c.Applied), Families: map[string]topology.Family{}}
	for name, f := range c.Families {
		out.Families[name] = topology.Family{Keys: f.Keys, Digest: f.KeyDigest}
	}
	return out
}

// applied writes positions in one order.
func applied(positions map[string]robustmq.LogID) string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(positions)) {
		at := positions[name]
		parts = append(parts, fmt.Sprintf("%s %d/%d/%d", name, at.Term, at.NodeID, at.Index))
	}
	return strings.Join(parts, ", ")
}
