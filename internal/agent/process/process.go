package process

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
)

// Spec is what to start.
type Spec struct {
	Binary string
	Conf   string // server.toml, given with --conf
	Dir    string // working directory: RobustMQ finds version.ini and its UI relative to it
	Stdout io.Writer
	Stderr io.Writer
}

// Process is a started server.
type Process interface {
	PID() int
	// Signal sends a signal; a process that has ended is no error.
	Signal(sig os.Signal) error
	// Wait blocks until the process is gone for good: its locks are free and its output is written. It may be called once.
	Wait() ExitStatus
}

// ExitStatus is how a process ended: with a code, or by a signal.
type ExitStatus struct {
	Code   int            // 0 to 255; 128+signal when a signal ended it
	Signal syscall.Signal // 0: none
	// Err: the end could not be learned.
	Err error
}

// Launcher starts servers. Tests start the simulator in-process.
type Launcher interface {
	Start(ctx context.Context, spec Spec) (Process, error)
}

// LauncherFunc makes a function a Launcher.
type LauncherFunc func(ctx context.Context, spec Spec) (Process, error)

// Start implements Launcher.
func (f LauncherFunc) Start(ctx context.Context, spec Spec) (Process, error) { return f(ctx, spec) }

// Exec starts real programs. The context's end kills them.
type Exec struct {
	// Reaper is told of every child, so that it leaves their status to Wait; nil when the program does not reap.
	Reaper *Reaper
}

// outputDelay is how long a process that has ended may still be waited for because a grandchild holds its output open.
const outputDelay = 3 * time.Second

// Start implements Launcher.
func (e Exec) Start(ctx context.Context, spec Spec) (Process, error) {
	cmd := exec.CommandContext(ctx, spec.Binary, "--conf="+spec.Conf)
	cmd.Dir = spec.Dir
	cmd.Env = serverEnvironment(os.Environ())
	cmd.Stdout, cmd.Stderr = spec.Stdout, spec.Stderr
	cmd.WaitDelay = outputDelay
	// A group of its own: a Ctrl-C at a terminal reaches the agent alone, which then stops the server in its way.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := e.Reaper.start(cmd); err != nil {
		return nil, fmt.Errorf("starting %s: %w", spec.Binary, err)
	}
	return &child{cmd: cmd, reaper: e.Reaper}, nil
}

// serverEnvironment drops what would rewrite the rendered configuration behind the agent's back: ROBUST_MQ_SERVER_* overrides keys of the file, ROBUSTMQ_* sets addresses.
func serverEnvironment(env []string) []string {
	kept := make([]string, 0, len(env))
	for _, e := range env {
		if !strings.HasPrefix(e, "ROBUST_MQ_SERVER_") && !strings.HasPrefix(e, "ROBUSTMQ_") {
			kept = append(kept, e)
		}
	}
	return kept
}

type child struct {
	cmd    *exec.Cmd
	reaper *Reaper
}

func (c *child) PID() int { return c.cmd.Process.Pid }

func (c *child) Signal(sig os.Signal) error {
	if err := c.cmd.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("signal %s to process %d: %w", sig, c.PID(), err)
	}
	return nil
}

func (c *child) Wait() ExitStatus {
	err := c.cmd.Wait()
	c.reaper.forget(c.PID())
	if c.cmd.ProcessState == nil {
		return ExitStatus{Code: -1, Err: err}
	}
	status, ok := c.cmd.ProcessState.Sys().(syscall.WaitStatus)
	if !ok {
		return ExitStatus{Code: c.cmd.ProcessState.ExitCode()}
	}
	if status.Signaled() {
		return ExitStatus{Code: 128 + int(status.Signal()), Signal: status.Signal()}
	}
	return ExitStatus{Code: status.ExitStatus()}
}

// Classify names the reason of an end that nobody ordered. oom says that the control group counted an out-of-memory kill since the start.
// Codes of RobustMQ as seen on 0.3.0 and 0.4.11.
func Classify(status ExitStatus, oom bool) string {
	switch {
	case status.Err != nil:
		return protocol.ExitUnknown
	case status.Signal == syscall.SIGKILL && oom:
		return protocol.ExitOOMKilled
	case status.Signal == syscall.SIGKILL, status.Signal == syscall.SIGTERM, status.Signal == syscall.SIGINT, status.Signal == syscall.SIGHUP:
		return protocol.ExitKilled
	case status.Signal != 0:
		return protocol.ExitCrashed
	case status.Code == 101:
		return protocol.ExitConfigPanic
	case status.Code == 1:
		return protocol.ExitStartFailed
	case status.Code == 0:
		return protocol.ExitEnded
	}
	return protocol.ExitUnknown
}

// SignalName is "SIGKILL" for 9, and empty for 0.
func SignalName(s syscall.Signal) string {
	names := map[syscall.Signal]string{
		syscall.SIGHUP: "SIGHUP", syscall.SIGINT: "SIGINT", syscall.SIGQUIT: "SIGQUIT", syscall.SIGILL: "SIGILL", syscall.SIGTRAP: "SIGTRAP", syscall.SIGABRT: "SIGABRT",
		syscall.SIGBUS: "SIGBUS", syscall.SIGFPE: "SIGFPE", syscall.SIGKILL: "SIGKILL", syscall.SIGSEGV: "SIGSEGV", syscall.SIGPIPE: "SIGPIPE", syscall.SIGTERM: "SIGTERM",
		syscall.SIGXCPU: "SIGXCPU", syscall.SIGXFSZ: "SIGXFSZ", syscall.SIGSYS: "SIGSYS",
	}
	if s == 0 {
		return ""
	}
	if name, ok := names[s]; ok {
		return name
	}
	return fmt.Sprintf("signal %d", int(s))
}
