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

// judged is a Prometheus whose clock is the test's: between two rounds half a minute passes for it, and no more time for the servers than what they are asked to do takes.
type judged struct {
	*recording.Recording
	l          *lab.Lab
	nodes      []*lab.Node
	begin, now time.Time
	every      time.Duration // between two rounds
}

func newJudged(l *lab.Lab, nodes ...*lab.Node) *judged {
	begin := time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
	return &judged{recording.New(l.T), l, nodes, begin, begin, 30 * time.Second}
}

func (j *judged) since() time.Duration { return j.now.Sub(j.begin) }

// lasts has the servers asked for so long. What happens between two rounds is for do; nil: nothing.
func (j *judged) lasts(d time.Duration, do func()) {
	j.l.T.Helper()
	for end := j.now.Add(d); j.now.Before(end); j.now = j.now.Add(j.every) {
		if do != nil {
			do()
		}
		for _, n := range j.nodes {
			of := j.Server("placement-center", int(n.ID)-1)
			a, err := ask(n, "GET", "/metrics", "", nil)
			if err != nil || a.Status != 200 {
				j.Silent(j.now, of)
				continue
			}
			j.Add(j.now, of, string(a.Body))
		}
	}
}

func TestAlertAuthorizationFailuresFiresWhileAClientTriesWhatAnAccessRuleForbidsIt(t *testing.T) {
	l := lab.New(t, lab.Options{Metas: 1})
	n := form(l, 1)[0]
	l.Eventually(20*time.Second, "the user is made", func() bool { return createUser(n, "limited") })
	createTopic(n, "access/closed", 1)
	rule(n, "closed", "limited", "access/closed", "Publish", "Deny")
	j, c := newJudged(l, n), limited(n, 5, "stubborn")
	tries := func() {
		for range 40 {
			if _, err := c.publish("access/closed", "x", 15*time.Second); err != nil {
				t.Fatal(err)
			}
		}
	}
	j.lasts(10*time.Minute, nil)
	cause := j.since()
	j.lasts(25*time.Minute, tries)
	cure := j.since()
	j.lasts(10*time.Minute, nil)
	j.Fires("RobustMQAuthorizationFailures", 0, cause, cure)
}
