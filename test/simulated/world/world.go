package world

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/robustmq/robustmq-operator/backup/job"
	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
	"github.com/robustmq/robustmq-operator/internal/robustmq/metaclient"
	"github.com/robustmq/robustmq-operator/test/simulated/kube"
	"github.com/robustmq/robustmq-operator/test/simulated/kubelet"
	"github.com/robustmq/robustmq-operator/test/simulated/network"
)

// Options of a world. Durations are those of real life; the speed divides them.
type Options struct {
	Seed  uint64
	Speed float64 // default SIM_SPEED, else 6: on two busy cores more is mostly time-outs
	Nodes int     // machines; default 3
	// Programs replaces what the images run; default: the agent and the simulator.
	Programs func(w *World) func(image string, container *corev1.Container) kubelet.Program
	// DNSDelay is how long a change of pods takes to show in DNS; default 1 s.
	DNSDelay time.Duration
	// SecretDelay is how long a changed Secret takes to show in volumes; default 20 s.
	SecretDelay time.Duration
	// MaxBackoff of crashing containers; default 40 s.
	MaxBackoff time.Duration
	// RelayOff switches the heartbeat relay of every agent off. Only to show what the relay is for.
	RelayOff bool
	// GatesOpen takes the gate out of every agent: each server starts at once, whatever its volume. Only to show what the gate is for.
	GatesOpen bool
	// HoldJob, when it is there, is called as the program of a Job begins, and may keep it from going on until its context ends.
	HoldJob func(ctx context.Context, pod string, kind job.Kind)
	// LoudServers log at their start what the product silences: their whole configuration.
	LoudServers bool
	// JobDeadline replaces the progress deadline that a Job is told, in wall-clock time.
	JobDeadline time.Duration
}

// World is one namespace with everything in it.
type World struct {
	T         testing.TB
	Namespace string
	Speed     float64
	Client    client.Client // of a user with all rights, past any cache
	Network   *network.Network
	Kubelet   *kubelet.Kubelet
	Env       *Environment
	Options   Options

	ctx    context.Context
	cancel context.CancelFunc
	dir    string
	dns    *zone

	mu       sync.Mutex
	logs     map[string]*os.File
	held     map[string]bool    // claims that stay Pending
	servers  map[string]*server // running, by pod
	clients  map[string]*metaclient.Client
	trouble  []string
	starts   map[string][]int
	poisoned func(pod, version, file string) bool
	release  string // of the operator: the agent's image carries it
	// interfere and amend stand between the operator and its agents, started is told of each server that is started.
	interfere func(ctx context.Context, c Call) error
	amend     func(pod string, s *protocol.State)
	started   func(pod string)
	operator  *Operator
	writes    []Write  // of operators that are gone
	refused   []string // kinds of settings that servers cannot read
	closed    bool
}

// New makes a world; it ends with the test. No operator runs yet.
func (e *Environment) New(t testing.TB, o Options) *World {
	t.Helper()
	if o.Speed == 0 {
		o.Speed = defaultSpeed(t)
	}
	o.DNSDelay = orElse(o.DNSDelay, time.Second)
	o.SecretDelay = orElse(o.SecretDelay, 20*time.Second)
	o.MaxBackoff = orElse(o.MaxBackoff, 40*time.Second)
	w := &World{
		T: t, Namespace: fmt.Sprintf("w%d", e.counter.Add(1)), Speed: o.Speed, Client: e.Client, Env: e, Options: o,
		Network: network.New(o.Seed, o.Speed), logs: map[string]*os.File{}, held: map[string]bool{}, servers: map[string]*server{}, starts: map[string][]int{}, clients: map[string]*metaclient.Client{},
	}
	w.ctx, w.cancel = context.WithCancel(context.Background())
	dir, err := os.MkdirTemp(e.dir, "world-")
	if err != nil {
		t.Fatal(err)
	}
	w.dir = dir
	t.Cleanup(w.close)
	if err := e.Client.Create(w.ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: w.Namespace}}); err != nil {
		t.Fatalf("create namespace: %v", err)
	}
	programs := o.Programs
	if programs == nil {
		programs = images
	}
	w.Kubelet = kubelet.New(w.ctx, kubelet.Options{
		Client: e.Kube.Client, Network: w.Network, Dir: dir, Speed: o.Speed, Nodes: o.Nodes, Prefix: w.Namespace + "-", Programs: programs(w), Log: w.log,
		SecretDelay: o.SecretDelay, MaxBackoff: o.MaxBackoff, Trouble: w.Trouble,
	})
	w.dns = newZone(w)
	e.Kube.Add(w.Namespace, &kube.Namespace{
		HoldClaim: func(claim *corev1.PersistentVolumeClaim) bool {
			w.mu.Lock()
			defer w.mu.Unlock()
			return w.held[claim.Name] || w.held["*"]
		},
		Pods:    w.Kubelet.HandlePod,
		Gone:    func(uid types.UID) { w.Kubelet.HandleGone(uid) },
		Changed: w.dns.changed,
	})
	t.Logf("world %s: seed %d, speed %v, files in %s", w.Namespace, o.Seed, o.Speed, dir)
	return w
}

func defaultSpeed(t testing.TB) float64 {
	t.Helper()
	text := os.Getenv("SIM_SPEED")
	if text == "" {
		return 6
	}
	speed, err := strconv.ParseFloat(text, 64)
	if err != nil || speed < 1 {
		t.Fatalf("SIM_SPEED %q: a number of at least 1", text)
	}
	return speed
}

func orElse(d, otherwise time.Duration) time.Duration {
	if d == 0 {
		return otherwise
	}
	return d
}

// Scaled is a duration of real life at this world's speed.
func (w *World) Scaled(d time.Duration) time.Duration { return time.Duration(float64(d) / w.Speed) }

// scaledAtLeast keeps a floor: two busy cores do not get faster by the speed.
func (w *World) scaledAtLeast(d, floor time.Duration) time.Duration { return max(w.Scaled(d), floor) }

// Context ends with the world.
func (w *World) Context() context.Context { return w.ctx }

// Trouble notes what must not happen in the simulation itself; the test fails with it.
func (w *World) Trouble(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.trouble = append(w.trouble, fmt.Sprintf(format, args...))
}

// HoldClaim keeps a claim ("*": every one) Pending, or lets it go.
func (w *World) HoldClaim(name string, hold bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.held[name] = hold
}

// log is where a container, or the operator, writes to.
func (w *World) log(pod, container string) io.Writer {
	w.mu.Lock()
	defer w.mu.Unlock()
	name := filepath.Join(w.dir, pod+"."+container+".log")
	if f := w.logs[name]; f != nil {
		return f
	}
	f, err := os.OpenFile(name, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		w.trouble = append(w.trouble, err.Error())
		return io.Discard
	}
	w.logs[name] = f
	return f
}

// Close ends the world before its test does: a test that makes many must not let them all live to its end.
func (w *World) Close() { w.close() }

// close ends everything of this world; what it left in the API stays, nobody looks at it again. The files stay when the test failed.
func (w *World) close() {
	w.mu.Lock()
	if w.closed {
		w.mu.Unlock()
		return
	}
	w.closed = true
	operator := w.operator
	w.mu.Unlock()
	if operator != nil {
		operator.Crash()
	}
	w.Kubelet.Close()
	w.Env.Kube.Remove(w.Namespace)
	w.cancel()
	w.mu.Lock()
	for _, c := range w.clients {
		_ = c.Close()
	}
	for _, f := range w.logs {
		_ = f.Close()
	}
	for _, t := range w.trouble {
		w.T.Errorf("simulation: %s", t)
	}
	w.mu.Unlock()
	if w.T.Failed() || os.Getenv("SIM_KEEP") != "" {
		w.T.Logf("world %s (seed %d) left its logs and volumes in %s", w.Namespace, w.Options.Seed, w.dir)
		return
	}
	w.clean()
	if err := os.RemoveAll(w.dir); err != nil {
		w.T.Errorf("remove the files of the world: %v", err)
	}
}

// clean removes the objects, so that the caches of a long run stay small. Finalizers go with them: no controller cares for the namespace any more.
func (w *World) clean() {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	for _, kind := range everything() {
		zero := int64(0)
		if err := w.Client.DeleteAllOf(ctx, kind, client.InNamespace(w.Namespace), &client.DeleteAllOfOptions{DeleteOptions: client.DeleteOptions{GracePeriodSeconds: &zero}}); err != nil {
			w.T.Logf("clean %T: %v", kind, err)
		}
	}
	w.cleanNodes(ctx)
	var claims corev1.PersistentVolumeClaimList
	if err := w.Client.List(ctx, &claims, client.InNamespace(w.Namespace)); err != nil {
		return
	}
	for i := range claims.Items {
		claims.Items[i].Finalizers = nil
		_ = w.Client.Update(ctx, &claims.Items[i])
	}
}
