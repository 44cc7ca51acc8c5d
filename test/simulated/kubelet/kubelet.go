package kubelet

import (
	"context"
	"io"
	"maps"
	"path/filepath"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/robustmq/robustmq-operator/test/simulated/network"
)

// Program is what an image runs: it returns the exit code. It must end soon after kill is done (SIGKILL), and may take its time after term is closed (SIGTERM).
type Program func(kill context.Context, term <-chan struct{}, p *Process) int

// Process is what a container's process sees of the world.
type Process struct {
	Pod       *corev1.Pod
	Container string
	Args      []string
	Env       map[string]string
	Root      string // the container's mounts lie under it, at their mount paths
	Host      *network.Host
	Log       io.Writer
}

// Options of a Kubelet. Durations are those of real life; Speed divides them.
type Options struct {
	Client  client.Client // reads come from a cache
	Network *network.Network
	Dir     string
	Speed   float64
	// Programs returns what an image runs; nil when no registry has it.
	Programs func(image string, container *corev1.Container) Program
	// Log returns where a container writes to.
	Log func(pod, container string) io.Writer
	// Nodes is how many machines there are; default 3, named node-0... after Prefix. Each registers its Node, and reports while it has power.
	Nodes  int
	Prefix string
	// NodeMonitorGrace: after it the pods of a dead machine are marked not ready; default 40 s, as in kube-controller-manager up to 1.31 (50 s later).
	NodeMonitorGrace time.Duration
	// SecretDelay is how long a changed Secret takes to appear in a mounted volume; default 60 s.
	SecretDelay time.Duration
	// MaxBackoff of crashing containers; default 5 min.
	MaxBackoff time.Duration
	// Trouble is called for what must not happen in a simulated kubelet (a program that does not end, an API call that fails for good).
	Trouble func(format string, args ...any)
}

// Kubelet is the scheduler and the kubelets of all machines of a namespace.
type Kubelet struct {
	Options
	ctx    context.Context
	cancel context.CancelFunc
	done   sync.WaitGroup

	mu      sync.Mutex
	changed chan struct{} // closed and replaced when a fault, a machine or a pod changes
	pods    map[types.UID]*worker
	names   map[string]*worker   // the worker that holds a pod's name and volumes
	claims  map[types.UID]string // claim -> machine that has its data
	nodes   map[string]*machine
	// faults on demand: a reason, or "" for none
	unschedulable func(pod *corev1.Pod) string
	pull          func(image string) string
	unwritable    map[string]bool // pods whose data volumes cannot be written
	told          map[string]bool // events already written
	oom           map[string]bool // pods whose container was killed for its memory
	cordoned      map[string]bool // machines that take no new pods
}

// machine is a node; ctx ends with its power.
type machine struct {
	name   string
	on     bool
	off    time.Time // since when it has no power
	ctx    context.Context
	cancel context.CancelFunc
}

// New returns a kubelet without pods. Close ends it.
func New(ctx context.Context, o Options) *Kubelet {
	if o.Nodes == 0 {
		o.Nodes = 3
	}
	o.NodeMonitorGrace = orElse(o.NodeMonitorGrace, 40*time.Second)
	o.SecretDelay = orElse(o.SecretDelay, time.Minute)
	o.MaxBackoff = orElse(o.MaxBackoff, 5*time.Minute)
	k := &Kubelet{
		Options: o, changed: make(chan struct{}), pods: map[types.UID]*worker{}, names: map[string]*worker{}, claims: map[types.UID]string{},
		nodes: map[string]*machine{}, unwritable: map[string]bool{}, told: map[string]bool{}, oom: map[string]bool{}, cordoned: map[string]bool{},
	}
	k.ctx, k.cancel = context.WithCancel(ctx)
	for i := range o.Nodes {
		m := &machine{name: o.machineName(i), on: true}
		m.ctx, m.cancel = context.WithCancel(k.ctx)
		k.nodes[m.name] = m
	}
	k.done.Add(1)
	go func() {
		defer k.done.Done()
		k.report()
	}()
	return k
}

func orElse(d, otherwise time.Duration) time.Duration {
	if d == 0 {
		return otherwise
	}
	return d
}

// scaled is a duration of real life at this speed.
func (k *Kubelet) scaled(d time.Duration) time.Duration { return time.Duration(float64(d) / k.Speed) }

// Close kills everything and waits until it ended.
func (k *Kubelet) Close() {
	k.cancel()
	k.done.Wait()
}

// HandlePod takes a new state of a pod.
func (k *Kubelet) HandlePod(pod *corev1.Pod) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.ctx.Err() != nil {
		return
	}
	w := k.pods[pod.UID]
	if w == nil {
		if pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed {
			return
		}
		w = newWorker(k, pod)
		k.pods[pod.UID] = w
		k.done.Add(1)
		go func() {
			defer k.done.Done()
			w.run()
			k.mu.Lock()
			delete(k.pods, pod.UID)
			if k.names[pod.Name] == w {
				delete(k.names, pod.Name)
			}
			k.notifyLocked()
			k.mu.Unlock()
		}()
		return
	}
	w.update(pod)
}

// HandleGone takes note that an object was removed: a pod's processes are killed.
func (k *Kubelet) HandleGone(uid types.UID) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if w := k.pods[uid]; w != nil {
		w.cancel()
	}
}

func (k *Kubelet) notifyLocked() {
	close(k.changed)
	k.changed = make(chan struct{})
}

// worker returns the worker of the pod that has this name now, or nil.
func (k *Kubelet) worker(pod string) *worker {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.names[pod]
}

// Crash kills the containers of a pod as SIGKILL of their first processes does; they are started again with the usual back-off. It reports whether something ran.
func (k *Kubelet) Crash(pod string) bool {
	w := k.worker(pod)
	return w != nil && w.crash()
}

// KillForMemory kills the containers of a pod as the kernel does when they want more memory than their limit. It reports whether something ran.
func (k *Kubelet) KillForMemory(pod string) bool {
	k.mu.Lock()
	k.oom[pod] = true
	k.mu.Unlock()
	return k.Crash(pod)
}

func (k *Kubelet) takeOOM(pod string) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	was := k.oom[pod]
	delete(k.oom, pod)
	return was
}

// PowerCut takes the power from a machine: its processes are gone, its addresses silent, its pods keep their status until the node monitor's grace is over.
func (k *Kubelet) PowerCut(node string) {
	k.mu.Lock()
	m := k.nodes[node]
	m.on, m.off = false, time.Now()
	for _, w := range k.pods {
		if w.nodeName() == node {
			if ip := w.address(); ip != "" {
				k.Network.PowerCut(ip)
			}
		}
	}
	m.cancel() // after the addresses went silent: nobody may see a socket close
	k.notifyLocked()
	k.mu.Unlock()
}

// PowerOn brings a machine back; its pods start again, with new addresses.
func (k *Kubelet) PowerOn(node string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	m := k.nodes[node]
	if m.on {
		return
	}
	m.on = true
	m.ctx, m.cancel = context.WithCancel(k.ctx)
	k.notifyLocked()
}

// Nodes are the machines' names, in order.
func (k *Kubelet) Nodes() []string {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.Sorted(maps.Keys(k.nodes))
}

// NodeOf is the machine a pod runs on, "" when it was not placed.
func (k *Kubelet) NodeOf(pod string) string {
	if w := k.worker(pod); w != nil {
		return w.nodeName()
	}
	return ""
}

// AddressOf is a pod's address, "" when it has none.
func (k *Kubelet) AddressOf(pod string) string {
	if w := k.worker(pod); w != nil {
		return w.address()
	}
	return ""
}

// SetUnschedulable makes the scheduler refuse pods for the reason that f returns; nil ends it.
func (k *Kubelet) SetUnschedulable(f func(pod *corev1.Pod) string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.unschedulable = f
	k.notifyLocked()
}

// SetPullFailure makes pulls of images fail for the reason that f returns; nil ends it.
func (k *Kubelet) SetPullFailure(f func(image string) string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.pull = f
	k.notifyLocked()
}

// ClaimDir is the folder that holds a claim's data.
func (k *Kubelet) ClaimDir(claim types.UID) string {
	return filepath.Join(k.Dir, "claims", string(claim))
}

func (k *Kubelet) pullFailure(image string) string {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.pull == nil {
		return ""
	}
	return k.pull(image)
}

// await waits until a fault, a machine or a pod changes, but no longer than d, and reports whether ctx goes on.
func (k *Kubelet) await(ctx context.Context, changed <-chan struct{}, d time.Duration) bool {
	timer := time.NewTimer(k.scaled(d))
	defer timer.Stop()
	select {
	case <-changed:
	case <-timer.C:
	case <-ctx.Done():
	}
	return ctx.Err() == nil
}

func (k *Kubelet) change() <-chan struct{} {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.changed
}
