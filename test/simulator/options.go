package simulator

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/robustmq/robustmq-operator/internal/robustmq"
)

// DialFunc opens a TCP connection to host:port, resolving the name. It is net.Dialer's DialContext where nothing is simulated.
type DialFunc func(ctx context.Context, network, address string) (net.Conn, error)

// Options of a simulated server process. The zero value of every field but ConfigPath is usable.
type Options struct {
	// ConfigPath is server.toml (--conf). Relative paths, this one and those in the file, are relative to WorkDir.
	ConfigPath string
	// WorkDir is the process's working directory; default ".". config/version.ini and the certificates are found there.
	WorkDir string
	// Version overrides config/version.ini; it decides the behaviour (0.3.0: islands). Empty and no file: 0.4.11.
	Version string
	// Environ is the process's environment (ROBUST_MQ_SERVER_*, ROBUSTMQ_BROKER_IP); nil: none.
	Environ []string

	// ListenHost is where every port is opened; default 0.0.0.0, as RobustMQ does. Several nodes in one process have a loopback address each.
	ListenHost string
	// LoopbackHost is where the server reaches itself for its own checks; default 127.0.0.1, or ListenHost when that is given.
	LoopbackHost string
	// Loopback tells whether an admin call comes from the same machine and needs no token; default: the peer's address is a loopback address,
	// or, with a ListenHost of its own, equals ListenHost.
	Loopback func(peer netip.Addr) bool
	// Dial reaches other nodes; default: a net.Dialer.
	Dial DialFunc

	// Speed divides every duration of the server; default 1.
	Speed float64
	// Seed drives everything that is random: election timeouts, lost error lines.
	Seed uint64

	// Refuses tells which kinds of config/set this server cannot read, whatever is in them: what a catalogue that is wrong about a version would meet. nil: none.
	Refuses func(kind string) bool

	Stdout, Stderr io.Writer // default: discarded
	// PID1 says that the process has process id 1: signals without a handler are ignored instead of ending it.
	PID1 bool
}

// ExitStatus is how the process ended.
type ExitStatus struct {
	Code int
	// Signal is the signal that ended it, nil when it exited by itself. Code is then 128 plus its number.
	Signal os.Signal
}

func (o Options) withDefaults() Options {
	if o.WorkDir == "" {
		o.WorkDir = "."
	}
	if o.ListenHost == "" {
		o.ListenHost = "0.0.0.0"
	}
	if o.LoopbackHost == "" {
		o.LoopbackHost = "127.0.0.1"
		if o.ListenHost != "0.0.0.0" {
			o.LoopbackHost = o.ListenHost
		}
	}
	if o.Loopback == nil {
		own, err := netip.ParseAddr(o.ListenHost)
		single := err == nil && !own.IsUnspecified()
		o.Loopback = func(peer netip.Addr) bool {
			if single {
				return peer.Unmap() == own
			}
			return peer.IsLoopback()
		}
	}
	if o.Dial == nil {
		o.Dial = (&net.Dialer{}).DialContext
	}
	if o.Speed <= 0 {
		o.Speed = 1
	}
	if o.Stdout == nil {
		o.Stdout = io.Discard
	}
	if o.Stderr == nil {
		o.Stderr = io.Discard
	}
	return o
}

func (o Options) path(p string) string {
	if filepath.IsAbs(p) {
		return p
	}
	return filepath.Join(o.WorkDir, p)
}

// VersionOf reads the version that a server started in workDir would report: config/version.ini there, or 0.4.11.
func VersionOf(workDir string) string {
	content, err := os.ReadFile(filepath.Join(workDir, "config", "version.ini"))
	if err != nil || strings.TrimSpace(string(content)) == "" {
		return robustmq.Newest.String()
	}
	return strings.TrimSpace(string(content))
}

// behaviour is the generation of the version, which must be one that ParseVersion reads.
func (o Options) behaviour() (generation, string, error) {
	text := o.Version
	if text == "" {
		text = VersionOf(o.WorkDir)
	}
	v, err := robustmq.ParseVersion(strings.TrimPrefix(text, "v"))
	if err != nil {
		return generation{}, "", fmt.Errorf("version of the simulator: %w", err)
	}
	return generationOf(v), text, nil
}

// timing divides what lasts.
type timing struct{ speed float64 }

func (t timing) of(d time.Duration) time.Duration { return time.Duration(float64(d) / t.speed) }

// patience is how long something may take before it counts as failed: it shrinks with the speed, but not below floor, since a busy test machine does not become faster by it.
func (t timing) patience(d, floor time.Duration) time.Duration { return max(t.of(d), min(d, floor)) }

// simulated is the reverse: how long d of the test's time is for the server.
func (t timing) simulated(d time.Duration) time.Duration {
	return time.Duration(float64(d) * t.speed)
}

// sleep waits for d of the server's time; false when ctx ended first.
func (t timing) sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(t.of(d))
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// every calls f each d of the server's time until ctx ends.
func (t timing) every(ctx context.Context, d time.Duration, f func()) {
	ticker := time.NewTicker(max(t.of(d), time.Millisecond))
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			f()
		case <-ctx.Done():
			return
		}
	}
}

func newRand(seed, stream uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, stream)) }
