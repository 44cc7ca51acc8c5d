package simulated

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/internal/robustmq"
	"github.com/robustmq/robustmq-operator/test/recording"
	"github.com/robustmq/robustmq-operator/test/simulated/world"
)

// prometheus asks the agents of the cluster and its operator. Its clock is the test's: between two rounds half a minute passes for it, and no time for those that it asks, which say how things are now.
type prometheus struct {
	*recording.Recording
	w          *world.World
	begin, now time.Time
}

func newPrometheus(t *testing.T, w *world.World) *prometheus {
	begin := time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
	return &prometheus{recording.Of(t, w.Namespace, "c"), w, begin, begin}
}

func (p *prometheus) since() time.Duration { return p.now.Sub(p.begin) }

// lasts has everybody asked for so long.
func (p *prometheus) lasts(d time.Duration) { p.lastsAsking(d, 30*time.Second) }

func (p *prometheus) lastsAsking(d, every time.Duration) {
	c := p.w.Cluster("c")
	for end := p.now.Add(d); p.now.Before(end); p.now = p.now.Add(every) {
		for _, role := range []v1alpha1.Role{v1alpha1.RolePlacementCenter, v1alpha1.RoleMQTTBroker} {
			for _, pod := range p.w.Pods(c, role) {
				member := strings.TrimPrefix(pod, "c-")
				cut := strings.LastIndexByte(member, '-')
				ordinal, err := strconv.Atoi(member[cut+1:])
				if err != nil {
					p.w.T.Fatal(err)
				}
				if address := p.w.Kubelet.AddressOf(pod); address != "" {
					p.Get(p.now, p.Agent(member[:cut], ordinal), http.DefaultClient, "http://"+address+":7480/metrics")
				} else {
					p.Silent(p.now, p.Agent(member[:cut], ordinal))
				}
			}
		}
		if o := p.w.Operator(); o.Dead() {
			p.Silent(p.now, recording.Operator())
		} else {
			p.Scrape(p.now, recording.Operator(), promhttp.HandlerFor(o.Metrics, promhttp.HandlerOpts{}))
		}
	}
}

// watched is a cluster of so many members and a broker, formed, that Prometheus has seen well for five minutes.
func watched(t *testing.T, members int) (*world.World, *v1alpha1.RobustMQCluster, *prometheus) {
	t.Helper()
	w := env.New(t, world.Options{})
	c := form(t, w, manifest(newest, members, 1, ""))
	p := newPrometheus(t, w)
	p.lasts(5 * time.Minute)
	return w, c, p
}

// says waits until the agent of a pod says so of a group.
func says(t *testing.T, w *world.World, pod, metric, group, value string) {
	t.Helper()
	awaitSaid(t, w, pod, map[string]string{fmt.Sprintf("%s{group=%q}", metric, group): value})
}

func TestAlertMemberHalfJoinedFiresWhileAMemberVotesInTwoOfThreeGroupsAndNobodyMendsIt(t *testing.T) {
	t.Parallel()
	w, c, p := watched(t, 3)
	w.Operator().Crash() // it would end within seconds what is begun here
	cause := p.since()
	if err := w.LeaveHalf(c.Status.Leader, 3); err != nil {
		t.Fatal(err)
	}
	says(t, w, c.Status.Leader, "robustmq_raft_voters", robustmq.GroupMetadata, "2")
	p.lasts(15 * time.Minute)
	cure := p.since()
	w.StartOperator()
	says(t, w, c.Status.Leader, "robustmq_raft_voters", robustmq.GroupMetadata, "3")
	formed(t, w)
	p.lasts(5 * time.Minute)
	p.Fires("RobustMQMemberHalfJoined", 0, cause, cure)
	p.Quiet(0, "RobustMQLearnerStuck")
}

// The newcomer's server has asked to be let in, and was lost before it had caught up; nobody is there to make another.
func TestAlertLearnerStuckFiresWhileANewcomerThatIsLostDoesNotCatchUp(t *testing.T) {
	t.Parallel()
	w, c, p := watched(t, 1)
	w.Operator().Crash()
	cause := p.since()
	if err := w.JoinHalf("c-placement-center-0", "c-placement-center-1", 2); err == nil {
		t.Fatal("a member that nobody runs has caught up")
	}
	says(t, w, c.Status.Leader, "robustmq_raft_learners", robustmq.GroupMetadata, "1")
	p.lasts(20 * time.Minute)
	cure := p.since()
	w.Apply(manifest(newest, 3, 1, ""))
	w.StartOperator()
	settled(t, w)
	says(t, w, c.Status.Leader, "robustmq_raft_learners", robustmq.GroupMetadata, "0")
	p.lasts(5 * time.Minute)
	p.Fires("RobustMQLearnerStuck", 0, cause, cure)
}

func TestAlertRaftLagFiresWhileTheStateMachineOfAFollowerStandsStill(t *testing.T) {
	t.Parallel()
	w, c, p := watched(t, 3)
	w.Operator().Crash() // the follower is not to be mended
	cause := p.since()
	follower := "c-placement-center-1"
	if c.Status.Leader == follower {
		follower = "c-placement-center-2"
	}
	w.StallApplying(follower, true)
	fillLog(t, w, c)
	lag := func() float64 {
		behind, err := strconv.ParseFloat(agentSays(t, w, follower)[fmt.Sprintf("robustmq_raft_lag{group=%q}", robustmq.GroupMetadata)], 64)
		if err != nil {
			return -1 // it does not say
		}
		return behind
	}
	w.Await("a follower that is far behind", func() (bool, string) { return lag() > 1000, fmt.Sprint(lag()) })
	p.lasts(10 * time.Minute)
	cure := p.since()
	w.StallApplying(follower, false)
	w.Await("a follower that has caught up", func() (bool, string) { return lag() == 0, fmt.Sprint(lag()) })
	w.StartOperator()
	formed(t, w)
	p.lasts(5 * time.Minute)
	p.Fires("RobustMQRaftLag", 0, cause, cure)
}

// Each time the target is reserved and the leader's agent cannot be asked to stop its server: everything is put back, and tried again later.
func TestAlertLeadershipTransfersFailFiresWhileTheLeadersAgentCannotBeAskedToStop(t *testing.T) {
	long(t)
	t.Parallel()
	const target = "c-placement-center-1"
	w := env.New(t, world.Options{})
	c := form(t, w, manifest(newest, 3, 1, ""))
	settle(t, w)
	p := newPrometheus(t, w)
	p.lasts(5 * time.Minute)
	cause := p.since()
	w.Interfere(func(_ context.Context, call world.Call) error {
		if call.Name == "Transfer" && call.Pod == c.Status.Leader {
			return errors.New("no route to host")
		}
		return nil
	})
	leadOn(w, target)
	for tries := 1; tries <= 4; tries++ {
		w.Await(fmt.Sprintf("%d tries that were put back", tries), func() (bool, string) {
			n := counted(t, w.Operator(), "robustmq_leadership_transfers_total", "outcome", "aborted")
			return n >= tries, fmt.Sprint(n)
		})
		p.lasts(5 * time.Minute)
	}
	cure := p.since()
	w.Interfere(nil)
	w.Await("a transfer that succeeds", func() (bool, string) { return leads(w, target) })
	p.lasts(time.Hour)
	p.Fires("RobustMQLeadershipTransfersFail", 0, cause, cure)
}

// counted is how often an operator has counted something: the sum of a metric's series that have a label's value.
func counted(t *testing.T, o *world.Operator, name, label, value string) int {
	t.Helper()
	families, err := o.Metrics.Gather()
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.GetMetric() {
			for _, l := range m.GetLabel() {
				if l.GetName() == label && l.GetValue() == value {
					n += int(m.GetCounter().GetValue()) + int(m.GetHistogram().GetSampleCount())
				}
			}
		}
	}
	return n
}
