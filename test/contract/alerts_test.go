package contract

import (
	"testing"
	"time"

	"github.com/robustmq/robustmq-operator/test/contract/lab"
	"github.com/robustmq/robustmq-operator/test/recording"
)

// A leader counts the messages to a member that is gone as failures (seen-api.md: raft_rpc_failures_total of append_entries).
func TestAlertRaftPeerUnreachedFiresAtTheLeaderOfAMemberThatIsGone(t *testing.T) {
	if lab.Real() {
		t.Skip("a real server's clock is the wall's: this takes minutes then")
	}
	l := lab.New(t, lab.Options{})
	nodes := form(l, 1, 2, 3)
	r := recording.New(t)
	begin := time.Now()
	since := func() time.Duration { return time.Duration(float64(time.Since(begin)) * l.Speed) } // on the servers' clock
	record := func() {
		for _, n := range nodes {
			of := r.Server("placement-center", int(n.ID)-1)
			a, err := ask(n, "GET", "/metrics", "", nil)
			if err != nil || a.Status != 200 {
				r.Silent(begin.Add(since()), of)
				continue
			}
			r.Add(begin.Add(since()), of, string(a.Body))
		}
	}
	// lasts records every second of the servers until so much of their time has passed.
	lasts := func(d time.Duration) {
		end := since() + d
		l.Eventually(2*d, "time passes", func() bool {
			record()
			return since() >= end
		})
	}
	lasts(time.Minute)
	r.Quiet(time.Minute, "RobustMQRaftPeerUnreached")
	leader := leaders(nodes)
	cause := since()
	gone := without(nodes, leader["metadata_0"])[0]
	gone.Kill()
	lasts(4 * time.Minute)
	r.Fires("RobustMQRaftPeerUnreached", time.Minute, cause, 0)
}
