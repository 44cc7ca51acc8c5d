package agent

import (
	"context"
	"os"
	"reflect"
	"slices"
	"syscall"
	"testing"

	"github.com/robustmq/robustmq-operator/internal/agent/process"
	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
	"github.com/robustmq/robustmq-operator/internal/robustmq"
	"github.com/robustmq/robustmq-operator/internal/robustmq/config"
	"github.com/robustmq/robustmq-operator/test/simulator"
)

// simulated is a simulator node as a process.
type simulated struct {
	node *simulator.Node
	end  chan simulator.ExitStatus
}

func (s *simulated) PID() int { return 1 }

func (s *simulated) Signal(sig os.Signal) error {
	s.node.Signal(sig)
	return nil
}

func (s *simulated) Wait() process.ExitStatus {
	status := <-s.end
	signal, _ := status.Signal.(syscall.Signal) // nil when it exited by itself
	return process.ExitStatus{Code: status.Code, Signal: signal}
}

// simulatedSpeed leaves a busy machine time for real calls between the server's deadlines.
const simulatedSpeed = 6

// simulate makes every pod's server a simulator at the pod's address.
func simulate(w *world) {
	w.launcher = func(p *pod) process.Launcher {
		return process.LauncherFunc(func(ctx context.Context, spec process.Spec) (process.Process, error) {
			node, err := simulator.New(simulator.Options{
				ConfigPath: spec.Conf, Version: w.version, ListenHost: p.IP, LoopbackHost: p.IP, Dial: w.dialFrom(p.IP), Speed: simulatedSpeed, Seed: p.ID, Stdout: spec.Stdout, Stderr: spec.Stderr,
			})
			if err != nil {
				return nil, err
			}
			s := &simulated{node: node, end: make(chan simulator.ExitStatus, 1)}
			go func() { s.end <- node.Run(ctx) }()
			return s, nil
		})
	}
}

func votesIn(s protocol.State, voters []uint64) bool {
	for _, group := range robustmq.Groups {
		if !reflect.DeepEqual(s.Raft[group].Voters(), voters) {
			return false
		}
	}
	return true
}

// formed is a cluster of simulated servers: three members, one broker.
func formed(t *testing.T) []*pod {
	t.Helper()
	w := newWorld(t)
	w.timings = DefaultTimings().Scale(simulatedSpeed)
	simulate(w)
	var centre []*pod
	for i := range 3 {
		centre = append(centre, w.add(config.RolePlacementCenter, i))
	}
	broker := w.add(config.RoleMQTTBroker, 0)
	for _, p := range append(slices.Clone(centre), broker) {
		p.start()
	}
	for i, p := range centre {
		p.eventually("the gate awaits an order", func(s protocol.State) bool { return s.Gate.Reason == protocol.GateAwaitsOrder })
		action := protocol.GateJoin
		if i == 0 {
			action = protocol.GateFound
		}
		if _, err := p.operator().Gate(t.Context(), p.gateOrder(action)); err != nil {
			t.Fatal(err)
		}
		voters := []uint64{1, 2, 3}[:i+1]
		for _, member := range centre[:i+1] {
			member.eventually("every member is a voter in every group, as it sees itself", func(s protocol.State) bool { return votesIn(s, voters) })
		}
	}
	broker.eventually("the gate awaits an order", func(s protocol.State) bool { return s.Gate.Reason == protocol.GateAwaitsOrder })
	if _, err := broker.operator().Gate(t.Context(), broker.gateOrder(protocol.GateJoin)); err != nil {
		t.Fatal(err)
	}
	broker.eventually("the broker's MQTT port is open and it knows all nodes", func(s protocol.State) bool {
		return s.Server.MQTTOpen && slices.Equal(s.Nodes, []uint64{1, 2, 3, 1001})
	})
	return centre
}

func TestThreeAgentsFormAClusterOfSimulatedServersOneAfterAnother(t *testing.T) {
	centre := formed(t)
	for _, p := range centre {
		p.eventually("whole member, registry complete", func(s protocol.State) bool {
			return s.Volume.Marker.Member && s.Volume.Marker.HasData && slices.Equal(s.Registry, []uint64{1, 2, 3, 1001})
		})
	}
	// The leader of all groups, restarted in place, is back in the same term.
	before := centre[0].agent.State(t.Context())
	s, err := centre[0].operator().Server(t.Context(), protocol.ServerOrder{Action: protocol.ServerRestart, Reason: "test"})
	if err != nil || s.Server.LastExit == nil || s.Server.LastExit.Code != 0 {
		t.Fatalf("%+v, %v", s.Server, err)
	}
	centre[0].eventually("it leads again in its term", func(s protocol.State) bool {
		g := s.Raft[robustmq.GroupMetadata]
		return g.LeadsWithQuorum() && g.Term == before.Raft[robustmq.GroupMetadata].Term
	})
}
