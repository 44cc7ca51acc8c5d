// Command agent is process 1 of a RobustMQ pod, and the program with which an init container puts it there.
package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"syscall"

	"github.com/robustmq/robustmq-operator/backup/job"
	"github.com/robustmq/robustmq-operator/internal/agent"
	"github.com/robustmq/robustmq-operator/internal/agent/process"
	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
)

// version is set by the build: -ldflags "-X main.version=v1.2.3".
var version = "dev"

const usage = `usage:
  agent run             be process 1 of a RobustMQ pod
  agent install TARGET  copy this program to TARGET (a file, or a folder that gets the file "agent")
  agent backup take|probe|collect|delete|verify|inspect|restore --request=JSON
                        be the Job that makes a backup, tries the destination, collects, deletes or verifies
  agent version
`

func main() { os.Exit(dispatch(os.Args[1:], os.Stdout, os.Stderr)) }

func dispatch(args []string, stdout, stderr io.Writer) int {
	switch {
	case len(args) == 1 && args[0] == "run":
		return run(stdout, stderr, nil)
	case len(args) == 2 && args[0] == "install":
		if err := install(args[1]); err != nil {
			fmt.Fprintln(stderr, "install:", err)
			return 1
		}
		return 0
	case len(args) > 1 && args[0] == "backup":
		return backup(args[1:], stderr, job.TerminationMessage, nil)
	case len(args) == 1 && args[0] == "version":
		fmt.Fprintln(stdout, version, runtime.Version())
		return 0
	}
	fmt.Fprint(stderr, usage)
	return 2
}

// memoryLimit is soft: the collector works harder above it. The agent's part of the pod's memory must be small beside the server's.
const memoryLimit = 24 << 20

// run is process 1. adjust lets a test move it out of the pod's paths and addresses.
func run(stdout, stderr io.Writer, adjust func(*agent.Options)) int {
	debug.SetMemoryLimit(memoryLimit)
	log := slog.New(slog.NewJSONHandler(stderr, nil)).With("component", "agent")
	reaper, err := process.NewReaper()
	if err != nil {
		log.Error("reaper", "error", err)
		return 1
	}
	options := agent.Options{
		PodName: os.Getenv(protocol.EnvPodName), PodIP: os.Getenv(protocol.EnvPodIP), Version: version, ServerVersion: os.Getenv(protocol.EnvServerVersion), Template: os.Getenv(protocol.EnvTemplate),
		Launcher: process.Exec{Reaper: reaper}, Log: log, Stdout: stdout, Stderr: stderr,
		BootID: bootID(), CPUs: runtime.GOMAXPROCS(0), // the control group's quota, as the server sees it
	}
	if adjust != nil {
		adjust(&options)
	}
	a, err := agent.New(options)
	if err != nil {
		log.Error("cannot start", "error", err)
		return 1
	}
	if err := raiseFileLimit(); err != nil {
		log.Warn("open files", "error", err)
	}
	done := make(chan struct{})
	defer close(done)
	orphans := make(chan os.Signal, 1)
	signal.Notify(orphans, syscall.SIGCHLD)
	go reaper.Run(done, orphans)
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGQUIT, syscall.SIGUSR1, syscall.SIGUSR2)
	go func() {
		for {
			select {
			case s := <-signals:
				if s == syscall.SIGTERM || s == syscall.SIGINT {
					log.Info("told to end", "signal", s.String())
					a.Terminate()
					continue
				}
				a.Forward(s)
			case <-done:
				return
			}
		}
	}()
	return a.Run(context.Background())
}

// raiseFileLimit lets the server open as many files as the container may: RocksDB wants up to 100000, and some container runtimes give a soft limit of 1024.
// Setting it explicitly makes Go hand it down to the child.
func raiseFileLimit() error {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return os.NewSyscallError("getrlimit", err)
	}
	limit.Cur = limit.Max
	return os.NewSyscallError("setrlimit", syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit))
}

func bootID() string {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails: crypto/rand ends the program instead
	return hex.EncodeToString(b[:])
}

// install copies the running program so that TARGET is never half written: the main container may be started again at any moment.
func install(target string) error {
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("finding this program: %w", err)
	}
	if info, err := os.Stat(target); err == nil && info.IsDir() {
		target = filepath.Join(target, "agent")
	}
	in, err := os.Open(self)
	if err != nil {
		return fmt.Errorf("reading this program: %w", err)
	}
	defer in.Close()
	out, err := os.CreateTemp(filepath.Dir(target), ".agent-")
	if err != nil {
		return fmt.Errorf("writing %s: %w", target, err)
	}
	_, err = io.Copy(out, in)
	if err = errors.Join(err, out.Chmod(0o755), out.Close()); err == nil {
		err = os.Rename(out.Name(), target)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("writing %s: %w", target, err), os.Remove(out.Name()))
	}
	return nil
}
