package world

import (
	"context"
	"fmt"
	"hash/fnv"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"

	"github.com/robustmq/robustmq-operator/internal/agent/process"
	"github.com/robustmq/robustmq-operator/test/simulated/network"
	"github.com/robustmq/robustmq-operator/test/simulator"
)

// pids are given out to simulated servers; none is one of the machine's.
var pids atomic.Int64

func init() { pids.Store(10_000_000) }

// launcher starts simulated servers where a pod would start a program.
type launcher struct {
	w       *World
	pod     string
	host    *network.Host
	version string
}

// server is one simulated process.
type server struct {
	pid    int
	node   *simulator.Node
	gone   chan struct{}        // closed when nothing of it runs any more
	status simulator.ExitStatus // how it ended, from then on
}

// Start implements process.Launcher.
func (l *launcher) Start(ctx context.Context, spec process.Spec) (process.Process, error) {
	pid := int(pids.Add(1))
	l.w.mu.Lock()
	poisoned, started := l.w.poisoned, l.w.started
	l.w.starts[l.pod] = append(l.w.starts[l.pod], pid)
	l.w.mu.Unlock()
	if started != nil {
		started(l.pod)
	}
	if poisoned != nil {
		file, err := os.ReadFile(spec.Conf)
		if err != nil {
			return nil, err
		}
		if poisoned(l.pod, l.version, string(file)) {
			_, _ = io.WriteString(spec.Stderr, "Error: poisoned\n")
			return ended(pid), nil
		}
	}
	if l.w.Options.LoudServers {
		if err := makeLoud(filepath.Join(filepath.Dir(spec.Conf), "logger.toml")); err != nil {
			return nil, err
		}
	}
	seed := fnv.New64a()
	_, _ = seed.Write([]byte(l.pod))
	node, err := simulator.New(simulator.Options{
		ConfigPath: spec.Conf, WorkDir: spec.Dir, Version: l.version, ListenHost: l.host.Address, Dial: l.host.DialContext, Speed: l.w.Speed,
		Seed:   l.w.Options.Seed ^ seed.Sum64() + uint64(pid), //nolint:gosec // a start's own luck
		Stdout: spec.Stdout, Stderr: spec.Stderr, Refuses: l.w.refuses,
	})
	if err != nil {
		return nil, err
	}
	s := &server{pid: pid, node: node, gone: make(chan struct{})}
	l.w.mu.Lock()
	l.w.servers[l.pod] = s
	l.w.mu.Unlock()
	go func() {
		s.status = node.Run(ctx)
		l.w.mu.Lock()
		if l.w.servers[l.pod] == s {
			delete(l.w.servers, l.pod)
		}
		l.w.mu.Unlock()
		close(s.gone)
	}()
	return s, nil
}

// makeLoud lets a server log what the product tells it not to.
func makeLoud(file string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	loud := strings.ReplaceAll(string(text), `level = "warn"`, `level = "info"`)
	if loud == string(text) {
		return fmt.Errorf("%s silences nothing", file)
	}
	return os.WriteFile(file, []byte(loud), 0o600)
}

// ended is a process that ends with code 1 as soon as it was started.
type ended int

// PID implements process.Process.
func (e ended) PID() int { return int(e) }

// Signal implements process.Process.
func (ended) Signal(os.Signal) error { return os.ErrProcessDone }

// Wait implements process.Process.
func (ended) Wait() process.ExitStatus { return process.ExitStatus{Code: 1} }

// Poison makes servers end as soon as they are started where f says so of pod, version and server.toml; nil ends it.
func (w *World) Poison(f func(pod, version, file string) bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.poisoned = f
}

// OnStart has f called before each start of a server, with its pod; nil ends it.
func (w *World) OnStart(f func(pod string)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.started = f
}

// Starts are the process ids of the servers that were started in a pod of that name, in order.
func (w *World) Starts(pod string) []int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.starts[pod])
}

// ServerOf is the process id of the pod's server, 0 when none runs.
func (w *World) ServerOf(pod string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	if s := w.servers[pod]; s != nil {
		return s.pid
	}
	return 0
}

// StallApplying has the state machines of the pod's server stand still while its logs go on, or go on.
func (w *World) StallApplying(pod string, stalled bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.servers[pod].node.StallApplying(stalled)
}

// PID implements process.Process.
func (s *server) PID() int { return s.pid }

// Signal implements process.Process.
func (s *server) Signal(sig os.Signal) error {
	s.node.Signal(sig)
	return nil
}

// Wait implements process.Process.
func (s *server) Wait() process.ExitStatus {
	<-s.gone
	exit := process.ExitStatus{Code: s.status.Code}
	if sig, ok := s.status.Signal.(syscall.Signal); ok {
		exit.Signal = sig
	}
	return exit
}
