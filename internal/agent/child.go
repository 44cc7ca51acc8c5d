package agent

import (
	"syscall"
	"time"

	"github.com/robustmq/robustmq-operator/internal/agent/process"
	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
	"github.com/robustmq/robustmq-operator/internal/robustmq"
)

// child is a server that was started. Its fields are guarded by Agent.mu, but for those that never change.
type child struct {
	proc    process.Process
	exited  chan process.ExitStatus
	output  *process.Output
	streams [2]interface{ Close() error }
	started time.Time
	traits  robustmq.Traits
	version string // that it was started as
	meta    bool   // it has raft groups
	// tokenKey signs the tokens that its admin API takes.
	tokenKey string
	// user is the MQTT user that it makes at its start, if there is none of that name.
	user string
	oom  uint64

	stopping string    // why it was told to end; empty while it shall run
	killAt   time.Time // when it is killed if it does not
	killed   bool

	answered   bool // HTTP, at least once
	lastAnswer time.Time
	misses     int // questions without an answer since then
	mqtt       bool
	begun      bool // its start came to its end; looked at while it is the only voter
}

// silent is for how long the server has given no answer after it had given one.
func (c *child) silent(now time.Time) time.Duration {
	if !c.answered {
		return 0
	}
	return now.Sub(c.lastAnswer)
}

// minMissedBeats keeps a machine that was frozen for a while (the clock jumps) from counting the gap as silence of the server.
const minMissedBeats = 3

// hangs reports that the server is silent for limit, and was asked often enough in that time.
func (c *child) hangs(now time.Time, limit time.Duration) bool {
	return c.misses >= minMissedBeats && c.silent(now) >= limit
}

// phase of a server that has not ended.
func (a *Agent) phase(c *child, now time.Time) string {
	switch {
	case !c.answered:
		return protocol.ServerStarting
	case c.stopping == "" && c.hangs(now, a.o.Timings.HungAfter/2):
		return protocol.ServerHung
	}
	return protocol.ServerRunning
}

// tend stops a server that shall not run (any more, or as it is); the lock is held.
func (a *Agent) tend(now time.Time, wanted, terminating bool) {
	c := a.child
	switch {
	case c.stopping != "":
		if !c.killed && !now.Before(c.killAt) {
			a.o.Log.Warn("the server did not end in time and is killed", "after", a.o.Timings.Stop, "reason", c.stopping)
			a.kill(c)
		}
	case terminating:
		a.stop(c, now, protocol.ExitTerminating)
	case a.held:
		a.stop(c, now, protocol.ExitOrdered)
	case a.restart != "":
		a.o.Log.Info("restart in place", "reason", a.restart)
		a.restart = ""
		a.stop(c, now, protocol.ExitOrdered)
	case a.fenced:
		a.stop(c, now, protocol.ExitFenced)
	case !wanted:
		a.stop(c, now, protocol.ExitOrdered)
	case c.hangs(now, a.o.Timings.HungAfter):
		// It would not hear a soft signal either (seen: a broker whose threads all sat in one lock wait).
		a.o.Log.Warn("the server hangs and is killed", "silent", c.silent(now))
		c.stopping = protocol.ExitHung
		a.kill(c)
		a.notify()
	}
}

// stop asks the server to end: by SIGTERM, or by SIGINT before 0.4.4, which had no handler for SIGTERM. The lock is held.
func (a *Agent) stop(c *child, now time.Time, reason string) {
	signal := syscall.SIGTERM
	if !c.traits.SIGTERM {
		signal = syscall.SIGINT
	}
	a.o.Log.Info("stopping the server", "reason", reason, "signal", process.SignalName(signal))
	c.stopping, c.killAt = reason, now.Add(a.o.Timings.Stop)
	if err := c.proc.Signal(signal); err != nil {
		a.o.Log.Error("stop", "error", err)
	}
	a.notify()
}

func (a *Agent) kill(c *child) {
	c.killed = true
	if err := c.proc.Signal(syscall.SIGKILL); err != nil {
		a.o.Log.Error("kill", "error", err)
	}
}

// ended records how the server ended and when it may start again.
func (a *Agent) ended(status process.ExitStatus) {
	a.mu.Lock()
	c := a.child
	a.mu.Unlock()
	for _, s := range c.streams {
		if err := s.Close(); err != nil {
			a.o.Log.Warn("server output", "error", err)
		}
	}
	if c.stopping == protocol.ExitTerminating {
		if err := a.volume.NoteStopped(a.o.Now()); err != nil {
			a.o.Log.Warn("the next start will wait for its name", "error", err)
		}
	}
	kills, counted := a.o.OOMKills()
	a.mu.Lock()
	defer a.mu.Unlock()
	now := a.o.Now()
	exit := &protocol.Exit{Code: status.Code, Signal: process.SignalName(status.Signal), Reason: c.stopping, At: now.UTC().Truncate(time.Millisecond)}
	if exit.Reason == "" {
		exit.Reason = process.Classify(status, counted && kills > c.oom)
		if status.Code != 0 {
			exit.Message = c.output.Message()
		}
	}
	a.lastExit, a.lastCode = exit, status.Code
	a.metrics.exits.WithLabelValues(exit.Reason).Inc()
	a.o.Log.Info("the server ended", "code", exit.Code, "signal", exit.Signal, "reason", exit.Reason, "message", exit.Message)
	a.child, a.running, a.runningLive = nil, "", ""
	a.known.inList, a.known.serving = false, false
	if r := a.transfer.record; r.Active() && r.Phase == protocol.TransferCommitted {
		// One try only: a second start would write into tables what tells whether the first one has led.
		a.transfer.shut = true
		a.decide()
	}
	a.notBefore = now
	if c.stopping == "" || c.stopping == protocol.ExitHung {
		a.notBefore = now.Add(a.backoff.Next(now.Sub(c.started)))
	}
	a.notify()
}
