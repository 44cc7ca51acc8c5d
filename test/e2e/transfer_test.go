//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/internal/pause"
	"github.com/robustmq/robustmq-operator/test/e2e/messages"
)

// TestLeadershipMovesTenTimesUnderWrites asks for another leader ten times, as a person does, while users are made without a pause: every one that was acknowledged is there in the end.
func TestLeadershipMovesTenTimesUnderWrites(t *testing.T) {
	onlyLong(t)
	s := newScene(t, "transfer")
	s.apply(small("transfer"))
	s.ready(3 * time.Minute)
	writes, acknowledged := s.writeUsers("moved")
	traffic := s.traffic("e2e/transfer")
	type move struct {
		step     string
		from, to time.Time
	}
	var moves []move
	for i := range 10 {
		leader := s.leader()
		target := s.member((s.ordinal(leader.Name) + 1 + i%2) % 3)
		begin := time.Now()
		s.leadOn(target.Name)
		s.await(target.Name+" leads every raft group", 3*time.Minute, func(c *v1alpha1.RobustMQCluster) bool { return c.Status.Leader == target.Name })
		moves = append(moves, move{fmt.Sprintf("%d: %s to %s", i+1, leader.Name[len(s.name.Name)+1:], target.Name[len(s.name.Name)+1:]), begin, time.Now()})
		s.ready(2 * time.Minute)
	}
	s.leadOn("")
	wrote, refused, last := writes.Stop()
	published := messages.Times(traffic.Acks())
	sum := traffic.Stop(10 * time.Second)
	var gaps []messages.Gap
	var took time.Duration
	for _, m := range moves {
		took = max(took, m.to.Sub(m.from))
		gaps = append(gaps, messages.Gap{Step: m.step, Writes: messages.LongestGap(wrote, m.from, m.to), Publish: messages.LongestGap(published, m.from, m.to)})
	}
	text, longest := messages.GapTable(gaps)
	for _, g := range gaps {
		figures.add(g.Step, "longest gap of metadata writes %.2f s, of MQTT publishes %.2f s", g.Writes.Seconds(), g.Publish.Seconds())
	}
	t.Logf("%d writes acknowledged, %d refused (last %v); MQTT: %s\n%s", len(wrote), refused, last, sum, text)
	if longest > plannedGap {
		t.Errorf("clients stood still for %s while the leadership moved", longest)
	}
	if !realServer && sum.Lost > 0 {
		t.Errorf("acknowledged messages were lost: %s", sum)
	}
	lost := s.missingUsers(acknowledged())
	if len(lost) > 0 {
		t.Errorf("%d of %d acknowledged users are lost: %v", len(lost), len(wrote), lost)
	}
	figures.add("leadership moved 10 times under writes", "slowest %.1f s from the annotation to the status; longest gap of a client %.1f s; %d users acknowledged, %d of them lost; MQTT: %s",
		took.Seconds(), longest.Seconds(), len(wrote), len(lost), sum)
	s.sameKeys("ten transfers")
}

// leadOn names the pod that shall lead; nothing takes the wish back.
func (s *scene) leadOn(pod string) {
	s.Helper()
	value := "null"
	if pod != "" {
		value = fmt.Sprintf("%q", pod)
	}
	s.must(k8s.Patch(s.Context(), s.cluster(), client.RawPatch("application/merge-patch+json", fmt.Appendf(nil, `{"metadata":{"annotations":{%q:%s}}}`, v1alpha1.AnnotationLeadOn, value))))
}

func (s *scene) ordinal(pod string) int {
	s.Helper()
	for i := range 7 {
		if s.member(i).Name == pod {
			return i
		}
	}
	s.Fatalf("%s is no pod of the placement centre", pod)
	return 0
}

// writeUsers makes users without a pause (real servers get one of pace), through the brokers in turn. The names of those that were acknowledged are known when the writes have stopped.
func (s *scene) writeUsers(prefix string) (*messages.Writes, func() []string) {
	s.Helper()
	access, err := messages.Reach(s.Context(), k8s, s.cluster())
	s.must(err)
	var mu sync.Mutex
	var names []string
	var doors []func(context.Context, string) error
	for ordinal := range s.cluster().Spec.MQTTBroker.Replicas {
		doors = append(doors, func(ctx context.Context, name string) error {
			if pause.For(ctx, pace()) != nil {
				return ctx.Err()
			}
			made, err := access.Admin(ordinal).CreateUser(ctx, name, "secret-"+name)
			if err == nil && made {
				mu.Lock()
				names = append(names, name)
				mu.Unlock()
			}
			return err
		})
	}
	return messages.StartWrites(s.Context(), prefix+"-"+messages.NewRun(time.Now()), doors...), func() []string {
		mu.Lock()
		defer mu.Unlock()
		return names
	}
}

// missingUsers are those of the names that can be made once more: whoever exists cannot.
func (s *scene) missingUsers(names []string) []string {
	s.Helper()
	access, err := messages.Reach(s.Context(), k8s, s.cluster())
	s.must(err)
	var mu sync.Mutex
	var missing []string
	var failed error
	var all sync.WaitGroup
	const askers = 8
	for part := range askers {
		all.Go(func() {
			for i := part; i < len(names); i += askers {
				made, err := false, error(nil)
				for try := range 60 { // a broker may be restarted meanwhile
					if made, err = access.Admin(int32((i+try)%2)).CreateUser(s.Context(), names[i], "secret-"+names[i]); err == nil { //nolint:gosec // 0 or 1
						break
					}
					select {
					case <-time.After(time.Second):
					case <-s.Context().Done():
					}
				}
				mu.Lock()
				if err != nil {
					failed = err
				} else if made {
					missing = append(missing, names[i])
				}
				mu.Unlock()
			}
		})
	}
	all.Wait()
	s.must(failed)
	return missing
}
