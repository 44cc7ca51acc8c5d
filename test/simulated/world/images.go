package world

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/robustmq/robustmq-operator/internal/agent"
	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
	"github.com/robustmq/robustmq-operator/test/simulated/kubelet"
)

// images is the registry of a world: the agent's image, whose init container copies the agent, and RobustMQ's, in which the agent runs with a simulated server as its child.
func images(w *World) func(image string, container *corev1.Container) kubelet.Program {
	return func(image string, container *corev1.Container) kubelet.Program {
		version, isServer := strings.CutPrefix(image, strings.TrimSuffix(ServerImage, "{version}"))
		switch {
		case strings.HasPrefix(image, AgentImage) && strings.Join(container.Command, " ") == "/agent install "+protocol.AgentDir+"/agent":
			return install
		case strings.HasPrefix(image, AgentImage) && len(container.Command) == 4 && strings.Join(container.Command[:2], " ") == "/agent backup":
			return w.runJob
		case isServer && strings.Join(container.Command, " ") == protocol.AgentDir+"/agent version":
			return tellVersion
		case isServer && strings.Join(container.Command, " ") == protocol.AgentDir+"/agent run":
			return func(kill context.Context, term <-chan struct{}, p *kubelet.Process) int {
				return w.runAgent(kill, term, p, version)
			}
		}
		return nil
	}
}

// install leaves a file where the agent's binary would be.
func install(_ context.Context, _ <-chan struct{}, p *kubelet.Process) int {
	if err := os.WriteFile(filepath.Join(p.Root, p.Args[len(p.Args)-1]), []byte("the agent\n"), 0o755); err != nil { //nolint:gosec // as a program is
		_, _ = fmt.Fprintln(p.Log, "install:", err)
		return 1
	}
	return 0
}

// tellVersion is `agent version`.
func tellVersion(_ context.Context, _ <-chan struct{}, p *kubelet.Process) int {
	if _, err := os.Stat(filepath.Join(p.Root, protocol.AgentDir, "agent")); err != nil {
		_, _ = fmt.Fprintln(p.Log, "exec:", err)
		return 127
	}
	return 0
}

// runAgent is `agent run` in the server's container.
func (w *World) runAgent(kill context.Context, term <-chan struct{}, p *kubelet.Process, version string) int {
	if _, err := os.Stat(filepath.Join(p.Root, protocol.AgentDir, "agent")); err != nil {
		_, _ = fmt.Fprintln(p.Log, "exec:", err) // the init container did not do its work
		return 127
	}
	pod := p.Env[protocol.EnvPodName]
	paths := agent.PathsUnder(p.Root)
	if w.Options.GatesOpen {
		if err := forgeMarker(paths, pod); err != nil {
			_, _ = fmt.Fprintln(p.Log, "forge marker:", err)
			return 1
		}
	}
	a, err := agent.New(agent.Options{
		PodName: pod, PodIP: p.Env[protocol.EnvPodIP], Version: "simulated", ServerVersion: p.Env[protocol.EnvServerVersion], Template: p.Env[protocol.EnvTemplate], Paths: paths,
		Launcher:   &launcher{w: w, pod: pod, host: p.Host, version: version},
		ListenHost: p.Host.Address, Loopback: p.Host.Address, Resolve: p.Host.LookupHost, Dial: p.Host.DialContext,
		Timings: patient(agent.DefaultTimings().Scale(w.Speed)), Log: slog.New(slog.NewTextHandler(w.log(pod, "agent"), nil)), Stdout: p.Log, Stderr: p.Log,
		OOMKills: func() (uint64, bool) { return 0, false }, BootID: fmt.Sprintf("%s-%d", pod, time.Now().UnixNano()), CPUs: 4,
	})
	if err != nil {
		_, _ = fmt.Fprintln(p.Log, "agent:", err)
		return 1
	}
	ended := make(chan struct{})
	defer close(ended)
	go func() {
		select {
		case <-term:
			a.Terminate()
		case <-ended:
		}
	}()
	return a.Run(kill)
}

// patient gives what an agent waits for more time in wall clock: a busy machine must not look like a server that hangs.
func patient(t agent.Timings) agent.Timings {
	t.Probe, t.PulseTimeout, t.RelayTimeout = max(t.Probe, time.Second), max(t.PulseTimeout, 2*time.Second), max(t.RelayTimeout, time.Second)
	t.HungAfter = max(t.HungAfter, 8*time.Second)
	return t
}

// forgeMarker takes the gate out: it gives the volume the marker that lets the agent start its server at once, as if every member were the founder.
func forgeMarker(paths agent.Paths, pod string) error {
	text, err := os.ReadFile(paths.ConfigFile)
	if err != nil {
		return err
	}
	var config protocol.Config
	if err := json.Unmarshal(text, &config); err != nil {
		return err
	}
	ordinal, err := strconv.ParseUint(pod[strings.LastIndexByte(pod, '-')+1:], 10, 16)
	if err != nil {
		return err
	}
	name := filepath.Join(paths.VolumeDir, protocol.MarkerFile)
	if _, err := os.Stat(name); err == nil {
		return nil
	}
	marker, err := json.Marshal(protocol.Marker{
		ClusterUID: config.ClusterUID, NodeID: config.BaseID + ordinal, Role: config.Role, Generation: config.Generation, Origin: protocol.OriginFounded, Written: time.Now(),
	})
	if err != nil {
		return err
	}
	return os.WriteFile(name, marker, 0o600)
}

// CrashServer kills a pod's server, not its agent. It reports whether one ran; that writes nothing more, as a killed process does not.
func (w *World) CrashServer(pod string) bool {
	w.mu.Lock()
	server := w.servers[pod]
	w.mu.Unlock()
	if server == nil || server.Signal(syscall.SIGKILL) != nil {
		return false
	}
	<-server.gone
	return true
}
