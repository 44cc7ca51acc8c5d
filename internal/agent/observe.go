package agent

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
	"github.com/robustmq/robustmq-operator/internal/pause"
	"github.com/robustmq/robustmq-operator/internal/robustmq"
	"github.com/robustmq/robustmq-operator/internal/robustmq/admin"
	"github.com/robustmq/robustmq-operator/internal/robustmq/metaclient"
)

// observation is what one server process said of itself at one moment. Zero: nothing.
type observation struct {
	child         *child
	at            time.Time
	raft          robustmq.ClusterStatus
	raftErr       string
	nodes         []uint64
	nodesErr      string
	version       string // as the server's own page has it
	registry      []uint64
	registrations []protocol.Registration
}

// observer keeps the latest observation and lets one question run for all who ask at once.
type observer struct {
	mu     sync.Mutex
	last   observation
	asking chan struct{} // closed when the running question is answered
	open   sync.WaitGroup
}

// observe keeps the observation fresh for metrics, readiness, fence and marker.
func (a *Agent) observe(ctx context.Context) {
	for {
		a.offer(a.observed(ctx, 0))
		wait := a.o.Timings.Observe
		a.mu.Lock()
		if ready, _ := a.ready(); !ready || a.isMemberRole() && !a.known.member {
			wait = a.o.Timings.ObserveSoon
		}
		a.mu.Unlock()
		if pause.For(ctx, wait) != nil {
			return
		}
	}
}

func (a *Agent) isMemberRole() bool { return a.mounted.isVoterRole() }

// observed returns an observation of the present server that is at most maxAge old, asking when there is none; it takes no longer than twice Timings.Probe.
func (a *Agent) observed(ctx context.Context, maxAge time.Duration) observation {
	a.mu.Lock()
	c, m := a.child, a.mounted
	a.mu.Unlock()
	if c == nil {
		return observation{at: a.o.Now()}
	}
	o := &a.observing
	o.mu.Lock()
	if o.last.child == c && a.o.Now().Sub(o.last.at) <= maxAge {
		defer o.mu.Unlock()
		return o.last
	}
	asking := o.asking
	if asking == nil {
		asking = make(chan struct{})
		o.asking = asking
		// Not bound to the caller: others wait for the same answer. It ends by its own limit, or with the agent.
		o.open.Go(func() { a.guarded("observation", func() { a.ask(context.WithoutCancel(ctx), c, m, asking) }) })
	}
	o.mu.Unlock()
	select {
	case <-asking:
	case <-ctx.Done():
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.last.child != c {
		return observation{at: a.o.Now()}
	}
	return o.last
}

// lastObserved returns the latest observation of the present server without asking.
func (a *Agent) lastObserved() observation {
	a.mu.Lock()
	c := a.child
	a.mu.Unlock()
	a.observing.mu.Lock()
	defer a.observing.mu.Unlock()
	if c == nil || a.observing.last.child != c {
		return observation{}
	}
	return a.observing.last
}

// ask puts all questions at once, each with its own limit.
func (a *Agent) ask(ctx context.Context, c *child, m mounted, asking chan struct{}) {
	got := observation{child: c}
	defer func() {
		got.at = a.o.Now()
		a.learn(got, m)
		a.observing.mu.Lock()
		a.observing.last, a.observing.asking = got, nil
		a.observing.mu.Unlock()
		close(asking)
	}()
	limit := a.o.Timings.Probe
	ctx, cancel := context.WithTimeout(ctx, 2*limit)
	defer cancel()
	answered := make(chan struct{})
	defer close(answered)
	go func() {
		select {
		case <-a.over:
			cancel()
		case <-answered:
		}
	}()
	var all sync.WaitGroup
	part := func(work func(context.Context)) {
		all.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, limit)
			defer cancel()
			a.guarded("observation", func() { work(ctx) })
		})
	}
	part(func(ctx context.Context) {
		info, err := a.info(ctx, c, m)
		if err != nil {
			got.nodesErr = err.Error()
			return
		}
		got.nodes, got.version = info.IDs(), info.Version
	})
	if a.loginDue(c, m) {
		part(func(ctx context.Context) {
			if err := a.checkLogin(ctx, c, m); err != nil {
				a.o.Log.Debug("login", "error", err)
			}
		})
	}
	if a.foundingNow() {
		part(func(ctx context.Context) {
			if err := a.checkBegun(ctx, c, m); err != nil {
				a.o.Log.Debug("founding", "error", err)
			}
		})
	}
	if a.settingsDue(c, m) {
		part(func(ctx context.Context) {
			if err := a.checkSettings(ctx, c, m); err != nil {
				a.o.Log.Debug("settings", "error", err)
			}
		})
	}
	if c.meta {
		// Its own address, not the name in the member list: this member's view, whoever else answers for the name.
		addr := hostPort(a.o.Loopback, m.config.Ports.GRPC)
		meta, err := metaclient.New(addr, a.o.Dial)
		if err != nil {
			got.raftErr = err.Error()
		} else {
			defer meta.Close() //nolint:errcheck // nothing to lose
			part(func(ctx context.Context) {
				status, err := meta.Status(ctx)
				if err != nil {
					got.raftErr = err.Error()
					return
				}
				got.raft = status
			})
			part(func(ctx context.Context) {
				nodes, err := meta.Registry(ctx)
				if err != nil {
					a.o.Log.Debug("registry", "error", err)
					return
				}
				got.registry, got.registrations = make([]uint64, len(nodes)), make([]protocol.Registration, len(nodes))
				for i, n := range nodes {
					got.registry[i], got.registrations[i] = n.ID, protocol.Registration{NodeID: n.ID, Host: n.IP, At: n.Registered}
				}
			})
		}
	}
	all.Wait()
}

// info is the server's own page, with the pod's own node list.
func (a *Agent) info(ctx context.Context, c *child, m mounted) (admin.Info, error) {
	path := c.traits.InfoPath
	if path == "/api/status" {
		path = "/api/mqtt/overview" // 0.3.x: /api/status answers an error in every case that was seen
	}
	data, err := a.admin(m).Call(ctx, http.MethodGet, path, nil)
	if err != nil {
		return admin.Info{}, err
	}
	info, err := admin.ParseInfo(data)
	if err != nil {
		return admin.Info{}, fmt.Errorf("%s: %w", path, err)
	}
	return info, nil
}

func (a *Agent) admin(m mounted) *admin.Client {
	return &admin.Client{
		Base: "http://" + hostPort(a.o.Loopback, m.config.Ports.HTTP), HTTP: a.loopback(), Now: a.o.Now,
		Secret: func() string {
			if !m.traits.JWT {
				return ""
			}
			// The key of the server that runs: a new one that is mounted counts when it starts again.
			a.mu.Lock()
			defer a.mu.Unlock()
			if a.child != nil {
				return a.child.tokenKey
			}
			return m.input.Credentials.JWTSecret
		},
	}
}

// learn keeps what outlives the server or a question without answer.
func (a *Agent) learn(got observation, m mounted) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.child != got.child {
		return
	}
	before := a.known.summary()
	if got.nodesErr == "" {
		// A list that could not be had says nothing: /api/info hangs for seconds while the first member is away, and brokers must not leave their Service for that.
		a.known.inList = slices.Contains(got.nodes, m.nodeID())
	}
	if got.raftErr == "" && got.raft != nil {
		a.known.learnRaft(got.raft, m.traits.RaftGroups, m.nodeID())
		a.known.lookForEmptySnapshots(got.raft)
	}
	if a.known.summary() != before {
		a.notify()
		a.look()
	}
}

func (k *known) summary() string {
	return fmt.Sprint(k.voters, k.inList, k.member, k.serving, k.empty)
}

// learnRaft reads the membership out of this node's own raft state.
func (k *known) learnRaft(status robustmq.ClusterStatus, groups []string, self uint64) {
	member, serving := true, true
	for i, name := range groups {
		g, ok := status[name]
		voters := g.Voters()
		serving = serving && ok && g.Running
		member = member && len(voters) > 1 && slices.Contains(voters, self)
		if i == 0 && len(voters) > 0 {
			k.voters = voters
		}
	}
	if len(status) < len(groups) && len(status) == 1 { // 0.3.0 to 0.3.2 show one group of three
		if g, ok := status[groups[0]]; ok {
			serving, member = g.Running, len(k.voters) > 1 && slices.Contains(k.voters, self)
		}
	}
	k.member, k.serving = k.member || member, serving
}
