//go:build e2e

package e2e

import (
	"fmt"
	"time"

	"github.com/robustmq/robustmq-operator/test/e2e/messages"
)

// serverCauses happen to servers and their agents.
var serverCauses = []cause{
	{
		what: "a client with a wrong password tries 450 times", alerts: []string{"RobustMQAuthenticationFailures"},
		do: func(w *watched) func() {
			access, err := messages.Reach(w.Context(), k8s, w.cluster())
			w.must(err)
			door := access.Broker(0)
			door.Password = "wrong"
			for i := range 450 {
				if _, err := messages.Exchange(w.Context(), door, door, "e2e/wrong", messages.NewRun(time.Now()), 1, 20*time.Second); err == nil {
					w.Fatalf("attempt %d: a client with a wrong password was let in", i)
				}
			}
			return func() {}
		},
	},
	{
		what: "the agent of a broker is stopped (SIGSTOP), its server goes on", alerts: []string{"RobustMQAgentDown", "RobustMQServerTargetDown"},
		do: func(w *watched) func() {
			pod := w.getPod(w.broker(1))
			container := pod.Status.ContainerStatuses[0].ContainerID
			w.must(theBed.FreezeContainer(w.Context(), pod.Spec.NodeName, container))
			return func() { _ = theBed.ThawContainer(contextWithoutCancel(w.T), pod.Spec.NodeName, container) } // the kubelet may have started it anew
		},
	},
	{
		what: "the server of a broker hangs (SIGSTOP)", alerts: []string{"RobustMQServerNotAnswering", "RobustMQServerHung", "RobustMQNodeMissing"},
		do: func(w *watched) func() { return w.hangs(w.broker(0)) },
	},
	{
		what: "the servers of all brokers hang (SIGSTOP), and have topics with one copy", alerts: []string{"RobustMQNoBroker", "RobustMQRegistryShort", "RobustMQSegmentsUnavailable", "RobustMQSegmentsUnderReplicated"},
		do: func(w *watched) func() {
			access, err := messages.Reach(w.Context(), k8s, w.cluster())
			w.must(err)
			for i := range 10 { // members of the placement centre take copies, too: of ten some are the brokers'
				_, err := access.Admin(0).CreateTopic(w.Context(), fmt.Sprintf("e2e/one-copy/%d", i), 1)
				w.must(err)
			}
			goOn := w.hangs(w.broker(0), w.broker(1))
			return func() {
				goOn()
				w.ready(3 * time.Minute)
			}
		},
	},
	{
		what: "the servers of two of three members hang (SIGSTOP)", alerts: []string{"RobustMQQuorumLost", "RobustMQMajorityDown", "RobustMQLeaderWithoutQuorum", "RobustMQMemberMissing", "RobustMQClusterNotReady", "RobustMQClusterDegraded", "RobustMQTroubleLasts"},
		do: func(w *watched) func() { return w.hangs(w.followers()...) },
	},
	{
		what: "the server of a broker is killed seven times", alerts: []string{"RobustMQServerRestarts", "RobustMQServerCrashLoop"}, within: 4 * time.Minute,
		do: func(w *watched) func() {
			for range 7 {
				w.signal(w.broker(1), "KILL")
			}
			return func() { w.ready(2 * time.Minute) }
		},
	},
}
