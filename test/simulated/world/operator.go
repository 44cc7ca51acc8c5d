package world

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/controllers/backup"
	"github.com/robustmq/robustmq-operator/controllers/cluster"
	"github.com/robustmq/robustmq-operator/controllers/registration"
	"github.com/robustmq/robustmq-operator/controllers/restore"
	agentclient "github.com/robustmq/robustmq-operator/internal/agent/client"
	"github.com/robustmq/robustmq-operator/internal/topology"
	"github.com/robustmq/robustmq-operator/monitoring"
)

// OperatorHost is the operator's name in the network.
const OperatorHost = "operator"

// Images that the operator gives to pods; {version} stands for RobustMQ's.
const (
	AgentImage  = "simulated/agent"
	ServerImage = "simulated/robustmq:v{version}"
)

// Operator is one process of the operator: a manager with the real controllers.
type Operator struct {
	// Metrics is what it exports.
	Metrics *prometheus.Registry

	w        *World
	api      *recorder
	cancel   context.CancelFunc
	finished chan struct{}

	mu    sync.Mutex
	dead  bool
	conns map[net.Conn]bool
	err   error
	// orders are its calls to agents that changed something, in order; it dies after the number lastOrder (from 1, 0: it does not).
	orders    []Call
	lastOrder int
}

// StartOperator starts an operator for this world's namespace. Only one runs at a time.
func (w *World) StartOperator() *Operator {
	w.T.Helper()
	return w.startOperator(0, 0)
}

// StartOperatorUntil starts an operator that dies after its n-th write to the API (events not counted): the write happens, its answer is never seen, nothing after it is done.
func (w *World) StartOperatorUntil(n int) *Operator {
	w.T.Helper()
	return w.startOperator(n, 0)
}

// StartOperatorUntilOrder starts an operator that dies after its n-th order to an agent (see Orders): the agent carries it out, its answer is never seen, nothing after it is done.
func (w *World) StartOperatorUntilOrder(n int) *Operator {
	w.T.Helper()
	return w.startOperator(0, n)
}

// UpgradeOperator starts an operator of another release in the place of the one that runs: its agents come from another image.
func (w *World) UpgradeOperator(release string) *Operator {
	w.T.Helper()
	w.mu.Lock()
	w.release = release
	w.mu.Unlock()
	return w.startOperator(0, 0)
}

func (w *World) agentImage() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.release == "" {
		return AgentImage
	}
	return AgentImage + ":" + w.release
}

func (w *World) startOperator(killAfter, lastOrder int) *Operator {
	w.T.Helper()
	o := &Operator{Metrics: prometheus.NewRegistry(), w: w, finished: make(chan struct{}), conns: map[net.Conn]bool{}, lastOrder: lastOrder}
	config := rest.CopyConfig(w.Env.operator)
	config.QPS, config.Burst, config.UserAgent = -1, 0, "robustmq-operator"
	config.Wrap(func(next http.RoundTripper) http.RoundTripper {
		o.api = &recorder{next: next, killAfter: killAfter, fatal: o.Crash}
		return o.api
	})
	counts := monitoring.NewOperator()
	if err := counts.Register(o.Metrics); err != nil {
		w.T.Fatalf("operator: %v", err)
	}
	log := w.log("operator", "manager")
	grace := time.Second // a killed process gives none; this bounds how long a test waits for goroutines that can no longer do anything
	mgr, err := ctrl.NewManager(config, ctrl.Options{
		Scheme: w.Env.Scheme, Metrics: metricsserver.Options{BindAddress: "0"}, HealthProbeBindAddress: "0", GracefulShutdownTimeout: &grace,
		Cache:  cache.Options{ByObject: cluster.CacheByObject(), DefaultNamespaces: map[string]cache.Config{w.Namespace: {}}},
		Logger: logr.FromSlogHandler(slog.NewJSONHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug})), // as cmd/operator's
	})
	if err != nil {
		w.T.Fatalf("operator: %v", err)
	}
	host := w.Network.Attach(OperatorHost, "")
	limits := agentclient.Limits{
		Dial: w.scaledAtLeast(2*time.Second, time.Second), State: w.scaledAtLeast(3*time.Second, 2*time.Second+time.Second/2), Order: w.scaledAtLeast(45*time.Second, 2*time.Second),
	}
	agents := &pool{o: o, Pool: agentclient.NewPool(limits, func(ctx context.Context, network, address string) (net.Conn, error) {
		return o.dial(ctx, host.DialContext, network, address)
	})}
	restores := func(ctx context.Context, namespace string) ([]v1alpha1.RobustMQRestore, error) {
		var list v1alpha1.RobustMQRestoreList
		err := mgr.GetClient().List(ctx, &list, client.InNamespace(namespace))
		return list.Items, err
	}
	reconciler := &cluster.Reconciler{
		Agents: agents, Restores: restores, Metrics: counts,
		ServerImage: ServerImage, AgentImage: w.agentImage(), ClusterDomain: ClusterDomain, OperatorNamespace: "robustmq-operator-system",
		Timings: cluster.Timings{
			Busy: w.scaledAtLeast(2*time.Second, 50*time.Millisecond), Quiet: w.Scaled(30 * time.Second),
			Observe: w.scaledAtLeast(5*time.Second, 3*time.Second), Order: w.scaledAtLeast(45*time.Second, 2*time.Second),
			Transfer: w.Scaled(10 * time.Second), TransferCall: w.scaledAtLeast(6*time.Second, 2*time.Second), TransferPoll: 50 * time.Millisecond,
			Census: cluster.CensusTimings{
				Every: w.Scaled(10 * time.Minute), Again: w.scaledAtLeast(20*time.Second, 200*time.Millisecond), After: w.scaledAtLeast(30*time.Second, time.Second),
				Limit: 20 * time.Second, Poll: 50 * time.Millisecond,
			},
		},
		Limits: topology.DefaultLimits().Scale(w.Speed), DisableRelay: w.Options.RelayOff,
	}
	if err := reconciler.SetupWithManager(w.ctx, mgr, cluster.Options{Options: registration.Options{Concurrency: 2, SkipNameValidation: true}}); err != nil {
		w.T.Fatalf("operator: %v", err)
	}
	if err := (&cluster.LeavingPods{Agents: agents, Work: counts.Work}).SetupWithManager(mgr, registration.Options{Concurrency: 2, SkipNameValidation: true}); err != nil {
		w.T.Fatalf("operator: %v", err)
	}
	if err := (&cluster.ArrivingPods{Work: counts.Work}).SetupWithManager(mgr, registration.Options{Concurrency: 2, SkipNameValidation: true}); err != nil {
		w.T.Fatalf("operator: %v", err)
	}
	backups := &backup.Reconciler{
		Agents: agents, AgentImage: AgentImage, Restores: restores, Work: counts.Work,
		Timings: backup.Timings{
			Waiting: w.scaledAtLeast(2*time.Second, 50*time.Millisecond), Progress: w.scaledAtLeast(5*time.Second, 100*time.Millisecond), Observe: w.scaledAtLeast(5*time.Second, 3*time.Second),
			CatchUp: w.scaledAtLeast(15*time.Second, 3*time.Second), Slack: w.scaledAtLeast(30*time.Second, time.Second), Deletion: w.scaledAtLeast(10*time.Minute, 20*time.Second), Retry: w.scaledAtLeast(time.Minute, time.Second),
		},
	}
	if err := backups.SetupWithManager(mgr, registration.Options{Concurrency: 2, SkipNameValidation: true}); err != nil {
		w.T.Fatalf("operator: %v", err)
	}
	restorer := &restore.Reconciler{
		Agents: agents, AgentImage: AgentImage, ClusterDomain: ClusterDomain, Work: counts.Work,
		Timings: restore.Timings{
			Waiting: w.scaledAtLeast(2*time.Second, 50*time.Millisecond), Busy: w.scaledAtLeast(2*time.Second, 50*time.Millisecond), Left: w.scaledAtLeast(30*time.Second, time.Second),
			Progress: w.scaledAtLeast(5*time.Second, 100*time.Millisecond), Observe: w.scaledAtLeast(5*time.Second, 3*time.Second), Order: w.scaledAtLeast(45*time.Second, 2*time.Second),
			Poll: 50 * time.Millisecond, Inspect: w.scaledAtLeast(10*time.Minute, 20*time.Second), Retry: w.scaledAtLeast(15*time.Second, time.Second),
			Brokers: w.scaledAtLeast(2*time.Minute, 5*time.Second), Stuck: w.scaledAtLeast(15*time.Minute, time.Minute), Verify: w.scaledAtLeast(5*time.Minute, 30*time.Second),
			Deletion: w.scaledAtLeast(10*time.Minute, 20*time.Second),
		},
	}
	if err := restorer.SetupWithManager(mgr, registration.Options{Concurrency: 2, SkipNameValidation: true}); err != nil {
		w.T.Fatalf("operator: %v", err)
	}
	ctx, cancel := context.WithCancel(w.ctx)
	o.cancel = cancel
	w.mu.Lock()
	previous := w.operator
	w.operator = o
	w.mu.Unlock()
	if previous != nil {
		previous.Crash()
	}
	go func() {
		defer close(o.finished)
		if err := mgr.Start(ctx); err != nil && !o.isDead() {
			o.err = err
			w.Trouble("the operator's manager ended: %v", err)
		}
	}()
	return o
}

// Operator is the one that runs.
func (w *World) Operator() *Operator {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.operator == nil {
		w.T.Fatal("no operator was started")
	}
	return w.operator
}

// dial is the only way of an operator to its agents; a dead one has none.
func (o *Operator) dial(ctx context.Context, dial func(context.Context, string, string) (net.Conn, error), network, address string) (net.Conn, error) {
	if o.isDead() {
		return nil, errDead
	}
	conn, err := dial(ctx, network, address)
	if err != nil {
		return nil, err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.dead {
		_ = conn.Close()
		return nil, errDead
	}
	o.conns[conn] = true
	return conn, nil
}

func (o *Operator) isDead() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.dead
}

// Crash kills the operator as SIGKILL does: no call of it reaches anything any more. It returns when its goroutines have ended.
func (o *Operator) Crash() {
	o.mu.Lock()
	first := !o.dead
	o.dead = true
	for conn := range o.conns {
		_ = conn.Close()
	}
	clear(o.conns)
	o.mu.Unlock()
	if o.api != nil {
		o.api.kill()
	}
	if first {
		o.cancel()
	}
	select {
	case <-o.finished:
	case <-time.After(20 * time.Second):
		o.w.Trouble("an operator did not end within 20 s of its death")
	}
	if first {
		o.w.mu.Lock()
		o.w.writes = append(o.w.writes, o.api.seen()...)
		o.w.mu.Unlock()
	}
}

// ordered takes note of a call that changed something, and reports whether the operator is dead: it may die of this one.
func (o *Operator) ordered(c Call) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.dead {
		return true
	}
	o.orders = append(o.orders, c)
	if len(o.orders) != o.lastOrder {
		return false
	}
	go o.Crash()
	return true
}

// Orders are its calls to agents that stopped, started, filled or emptied something, in order.
func (o *Operator) Orders() []Call {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.orders)
}

// Dead reports whether this operator was killed.
func (o *Operator) Dead() bool { return o.isDead() }

// Writes are what this operator changed through the API so far, in order.
func (o *Operator) Writes() []Write { return o.api.seen() }

// Changes are its writes without events.
func (o *Operator) Changes() []Write {
	var all []Write
	for _, write := range o.api.seen() {
		if !write.IsEvent() {
			all = append(all, write)
		}
	}
	return all
}

// Writes are what all operators of this world have changed so far: those that are gone first.
func (w *World) Writes() []Write {
	w.mu.Lock()
	all, operator := append([]Write{}, w.writes...), w.operator
	w.mu.Unlock()
	if operator != nil && !operator.isDead() {
		all = append(all, operator.Writes()...)
	}
	return all
}
