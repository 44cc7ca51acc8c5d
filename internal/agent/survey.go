package agent

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
	"github.com/robustmq/robustmq-operator/internal/robustmq"
	"github.com/robustmq/robustmq-operator/internal/robustmq/admin"
	"github.com/robustmq/robustmq-operator/internal/robustmq/config"
	"github.com/robustmq/robustmq-operator/internal/robustmq/metaclient"
)

// survey is what only the metrics want to know of one server process. Nothing is decided from it, so it may be late, and parts may be missing. Zero: nothing is known.
type survey struct {
	child *child
	at    time.Time
	// lag is how many log entries this member is behind the leader, by group; see lags.
	lag map[string]uint64
	// clients are the MQTT clients of this broker.
	clients *uint64
	// segments are all segments of the cluster; only the metadata leader has them.
	segments *segmentCount
}

// segmentCount counts segments. One that is unavailable is not under-replicated as well; one that is being deleted counts nowhere.
type segmentCount struct {
	at                                  time.Time
	total, underReplicated, unavailable int
}

func (c *segmentCount) add(s robustmq.SegmentRecord) {
	if s.Going() {
		return
	}
	c.total++
	switch {
	case s.Unavailable():
		c.unavailable++
	case !s.Full():
		c.underReplicated++
	}
}

// surveyor keeps the latest survey.
type surveyor struct {
	fresh chan observation // from the loop that observes, to the one that surveys when it waits for work

	mu   sync.Mutex
	last survey
}

// offer gives an observation to the survey, if that is at leisure: what hangs there must not hold up those who decide.
func (a *Agent) offer(seen observation) {
	select {
	case a.surveying.fresh <- seen:
	default:
	}
}

// survey asks, after an observation, what the metrics want to know beside it: positions are compared that were read within milliseconds.
func (a *Agent) survey(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case seen := <-a.surveying.fresh:
			a.surveying.mu.Lock()
			before := a.surveying.last
			a.surveying.mu.Unlock()
			if before.child == seen.child && a.o.Now().Sub(before.at) < a.o.Timings.Survey {
				continue
			}
			got := a.surveyed(ctx, seen, before)
			a.surveying.mu.Lock()
			a.surveying.last = got
			a.surveying.mu.Unlock()
		}
	}
}

// lastSurvey returns the latest survey of the present server without asking.
func (a *Agent) lastSurvey() survey {
	a.mu.Lock()
	c := a.child
	a.mu.Unlock()
	a.surveying.mu.Lock()
	defer a.surveying.mu.Unlock()
	if c == nil || a.surveying.last.child != c {
		return survey{}
	}
	return a.surveying.last
}

// surveyed makes a survey. It takes no longer than Timings.Probe.
func (a *Agent) surveyed(ctx context.Context, seen observation, before survey) survey {
	a.mu.Lock()
	c, m := a.child, a.mounted
	a.mu.Unlock()
	got := survey{at: a.o.Now()}
	if c == nil || seen.child != c {
		return got
	}
	got.child = c
	ctx, cancel := context.WithTimeout(ctx, a.o.Timings.Probe)
	defer cancel()
	var all sync.WaitGroup
	part := func(what string, work func() error) {
		all.Go(func() {
			a.guarded("survey", func() {
				if err := work(); err != nil {
					a.o.Log.Debug("survey", "of", what, "error", err)
				}
			})
		})
	}
	if len(seen.raft) > 0 {
		part("positions", func() error {
			got.lag = lags(seen.raft, a.leaders(ctx, seen.raft, m))
			return nil
		})
	}
	if c.meta && c.traits.Replication && leadsMetadata(seen.raft, c.traits.RaftGroups) {
		if last := before.segments; before.child == c && last != nil && got.at.Sub(last.at) < a.o.Timings.Segments {
			got.segments = last
		} else {
			part("segments", func() (err error) {
				got.segments, err = a.countSegments(ctx, m, got.at)
				return err
			})
		}
	}
	if m.config.Role == config.RoleMQTTBroker {
		part("clients", func() error {
			n, err := a.countClients(ctx, m)
			if err == nil {
				got.clients = &n
			}
			return err
		})
	}
	all.Wait()
	return got
}

// leadsMetadata reports whether this member leads the metadata group, the first one, with a quorum behind it.
func leadsMetadata(status robustmq.ClusterStatus, groups []string) bool {
	return len(groups) > 0 && status[groups[0]].LeadsWithQuorum()
}

// leaders asks the servers that this member takes for leaders of its groups for their state. Who gives no word is left out.
func (a *Agent) leaders(ctx context.Context, own robustmq.ClusterStatus, m mounted) map[uint64]robustmq.ClusterStatus {
	var mu sync.Mutex
	answers, asked := map[uint64]robustmq.ClusterStatus{}, map[uint64]bool{m.nodeID(): true}
	var all sync.WaitGroup
	for _, g := range own {
		id := g.CurrentLeader
		member, known := m.member(id)
		if !known || asked[id] {
			continue
		}
		asked[id] = true
		all.Go(func() {
			a.guarded("survey", func() {
				// The relay's connection. That it is made anew when its other end is gone is the relay's business: here a slow answer is no reason to break a heartbeat.
				meta, err := a.peers.metaAt(hostPort(member.Host, m.config.Ports.GRPC))
				if err != nil {
					return
				}
				status, err := meta.Status(ctx)
				if err != nil {
					a.o.Log.Debug("survey", "of", "leader", "node", id, "error", err)
					return
				}
				mu.Lock()
				defer mu.Unlock()
				answers[id] = status
			})
		})
	}
	all.Wait()
	return answers
}

// lags is by how many log entries this member's state is behind the end of the leader's log, by group. The leader's word counts while it has a quorum behind it; a group of which no such word
// was had is left out: nothing is known of it, least of all that the member keeps up.
func lags(own robustmq.ClusterStatus, leaders map[uint64]robustmq.ClusterStatus) map[string]uint64 {
	out := map[string]uint64{}
	for name, g := range own {
		leader := g
		if !g.LeadsWithQuorum() {
			leader = leaders[g.CurrentLeader][name]
		}
		if !leader.LeadsWithQuorum() || !g.Running {
			continue
		}
		var applied uint64
		if g.LastApplied != nil {
			applied = g.LastApplied.Index
		}
		out[name] = leader.LastLogIndex - min(applied, leader.LastLogIndex)
	}
	return out
}

// unregistered counts the nodes that the configuration speaks of and that are not in the registry: members of the placement centre by their ids, the others by their number, since only that is known here.
// It is meant to be more than 0 for a while when a cluster grows, and while a node is away for longer than RobustMQ takes to forget it (27 to 30 s).
func unregistered(c protocol.Config, traits robustmq.Traits, registry []uint64) int {
	missing, members := 0, 0
	for _, member := range c.Members {
		if slices.Contains(registry, member.NodeID) {
			members++
		} else {
			missing++
		}
	}
	if !traits.EngineEverywhere { // otherwise Engines counts all nodes
		return missing
	}
	others := int(c.Engines) - len(c.Members)
	return missing + max(0, others-(len(registry)-members))
}

// countSegments reads the list of this member's own server, which is the present state while it leads. The admin API's lists are caches that can stay wrong for ever.
func (a *Agent) countSegments(ctx context.Context, m mounted, now time.Time) (*segmentCount, error) {
	meta, err := metaclient.New(hostPort(a.o.Loopback, m.config.Ports.GRPC), a.o.Dial)
	if err != nil {
		return nil, err
	}
	defer meta.Close() //nolint:errcheck // nothing to lose
	count := &segmentCount{at: now}
	if err := meta.Segments(ctx, count.add); err != nil {
		return nil, err // half a list would look like a loss
	}
	return count, nil
}

// countClients asks the broker how many MQTT clients it has. Its metric mqtt_connections_count counts its connections with other nodes, too (16 of them were seen without any client).
func (a *Agent) countClients(ctx context.Context, m mounted) (uint64, error) {
	const path = "/api/mqtt/client/list?limit=1&page=1" // the rows are a sample of at most 100, the total is a counter: since 0.3.5 the answer costs the same with any number of clients
	data, err := a.admin(m).Call(ctx, http.MethodGet, path, nil)
	if err != nil {
		return 0, err
	}
	n, err := admin.ParseTotal(data)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", path, err)
	}
	return n, nil
}
