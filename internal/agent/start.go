package agent

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/robustmq/robustmq-operator/internal/agent/process"
	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
	"github.com/robustmq/robustmq-operator/internal/pause"
	"github.com/robustmq/robustmq-operator/internal/robustmq"
	"github.com/robustmq/robustmq-operator/internal/robustmq/config"
)

// attempt is a start on its way: files, name, peer, process.
type attempt struct {
	cancel context.CancelFunc
	done   chan struct{}
	stage  string // what it waits for
}

// try begins a start; the lock is held.
func (a *Agent) try(ctx context.Context) {
	attemptCtx, cancel := context.WithCancel(ctx)
	at := &attempt{cancel: cancel, done: make(chan struct{})}
	a.attempt = at
	m, marker := a.mounted, *a.vol.Marker
	a.notify()
	go func() {
		defer close(at.done)
		defer cancel()
		err := errors.New("the start panicked")
		a.guarded("start", func() { err = a.start(ctx, attemptCtx, at, m, marker) })
		a.update(func() {
			a.attempt = nil
			if err != nil && attemptCtx.Err() == nil {
				now := a.o.Now()
				a.o.Log.Error("start", "error", err)
				a.lastExit = &protocol.Exit{Code: -1, Reason: protocol.ExitNotStarted, Message: err.Error(), At: now.UTC().Truncate(time.Millisecond)}
				a.notBefore = now.Add(a.backoff.Next(0))
			}
		})
	}()
}

// start prepares everything and starts the server. lifetime is the server's, ctx this attempt's.
func (a *Agent) start(lifetime, ctx context.Context, at *attempt, m mounted, marker protocol.Marker) error {
	if err := a.volume.CheckWritable(); err != nil {
		return err
	}
	if err := a.settle(); err != nil {
		return err
	}
	if err := a.writeFiles(m); err != nil {
		return err
	}
	unfinished := joinUnfinished(m, marker)
	if !unfinished && a.stoppedJustNow() {
		return a.launch(lifetime, ctx, at, m)
	}
	if err := a.awaitName(ctx, at, m, unfinished); err != nil {
		return err
	}
	if unfinished {
		if err := a.awaitPeer(ctx, at, m); err != nil {
			return err
		}
	}
	return a.launch(lifetime, ctx, at, m)
}

// joinUnfinished reports that this start could found a second cluster: an empty member of the placement centre that reaches no peer makes one of its own (0.4.4 and later).
func joinUnfinished(m mounted, marker protocol.Marker) bool {
	return m.isVoterRole() && m.traits.Formation == robustmq.FormationSequential && marker.Origin == protocol.OriginJoined && !marker.Member
}

// writeFiles renders server.toml and logger.toml, which are read once, at the start; they hold secrets and lie in memory.
func (a *Agent) writeFiles(m mounted) error {
	for _, dir := range []string{filepath.Join(a.o.Paths.RunDir, logDir), a.volume.Path(dataDir), a.volume.Path(engineDir)} {
		if err := os.MkdirAll(dir, 0o750); err != nil {
			return fmt.Errorf("preparing the start: %w", err)
		}
	}
	for name, content := range map[string][]byte{serverFile: m.rendered.ServerTOML, loggerFile: config.LoggerTOML()} {
		if err := os.WriteFile(filepath.Join(a.o.Paths.RunDir, name), content, 0o600); err != nil {
			return fmt.Errorf("preparing the start: %w", err)
		}
	}
	return nil
}

func (a *Agent) stage(at *attempt, text string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if at.stage != text {
		at.stage = text
		a.o.Log.Info("start", "waiting", text)
		a.notify()
	}
}

// stoppedJustNow reports that the server on this volume ended so lately with its pod that the others still list it, under the name that it has again: nobody has to be told of it,
// and nobody will call it by that name before it serves. So it starts while the name travels to the new address; that takes seconds, and so does the start.
func (a *Agent) stoppedJustNow() bool {
	at, known := a.volume.Stopped()
	ago := a.o.Now().Sub(at)
	return known && ago >= 0 && ago < a.o.Timings.NameSkip
}

// awaitName waits until the pod's own name leads to its own address, for a bounded time: the others must reach it at the address that is in their lists.
// An unfinished join waits without a bound, since a member that the leader cannot call back ends as a half member.
func (a *Agent) awaitName(ctx context.Context, at *attempt, m mounted, must bool) error {
	host, deadline := m.input.Host(), a.o.Now().Add(a.o.Timings.NameWait)
	for {
		addresses, err := a.o.Resolve(ctx, host)
		if err == nil && slices.Contains(addresses, a.o.PodIP) {
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		why := fmt.Sprintf("it resolves to %v", addresses)
		if err != nil {
			why = err.Error()
		}
		if !must && a.o.Now().After(deadline) {
			a.o.Log.Warn("starting although the own name is not there", "host", host, "why", why)
			return nil
		}
		a.stage(at, fmt.Sprintf("%s must resolve to %s: %s", host, a.o.PodIP, why))
		if pause.For(ctx, a.o.Timings.NamePoll) != nil {
			return ctx.Err()
		}
	}
}

// awaitPeer waits until a server of another member accepts a connection; the server probes its peers itself a moment later, and founds its own cluster if none answers.
func (a *Agent) awaitPeer(ctx context.Context, at *attempt, m mounted) error {
	for {
		for _, member := range m.config.Members {
			if member.NodeID == m.nodeID() {
				continue
			}
			dial, cancel := context.WithTimeout(ctx, a.o.Timings.JoinDial)
			conn, err := a.o.Dial(dial, "tcp", hostPort(member.Host, m.config.Ports.GRPC))
			cancel()
			if err == nil {
				return conn.Close()
			}
		}
		a.stage(at, "another member's server must accept connections: an empty member that reaches none founds a second cluster")
		if pause.For(ctx, a.o.Timings.JoinPoll) != nil {
			return ctx.Err()
		}
	}
}

// launch starts the process, unless the attempt was called off meanwhile.
func (a *Agent) launch(lifetime, ctx context.Context, at *attempt, m mounted) error {
	output := process.NewOutput(m.input.Credentials.Secrets())
	output.Hear(func(line string) { a.heard(output, line) })
	stdout, stderr := output.Writer(a.o.Stdout), output.Writer(a.o.Stderr)
	kills, _ := a.o.OOMKills()
	a.mu.Lock()
	defer a.mu.Unlock()
	if ctx.Err() != nil || a.attempt != at {
		return ctx.Err()
	}
	proc, err := a.o.Launcher.Start(lifetime, process.Spec{
		Binary: a.o.Paths.ServerBinary, Conf: filepath.Join(a.o.Paths.RunDir, serverFile), Dir: a.o.Paths.ServerDir, Stdout: stdout, Stderr: stderr,
	})
	if err != nil {
		return err
	}
	c := &child{
		proc: proc, exited: make(chan process.ExitStatus, 1), output: output, streams: [2]interface{ Close() error }{stdout, stderr},
		started: a.o.Now(), traits: m.traits, version: m.config.Version, meta: m.isMeta(), oom: kills, tokenKey: m.input.Credentials.JWTSecret, user: m.mqttUser()[0],
	}
	go func() { c.exited <- proc.Wait() }()
	a.child, a.running, a.runningLive, a.starts = c, m.hash, m.live, a.starts+1
	a.known.inList, a.known.serving = false, false
	a.o.Log.Info("the server was started", "pid", proc.PID(), "version", m.config.Version, "config", m.hash)
	a.notify()
	return nil
}
