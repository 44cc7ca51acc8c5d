//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/test/e2e/live"
	"github.com/robustmq/robustmq-operator/test/e2e/messages"
)

// calm is the growth of a metadata log, entries a second, below which nothing is wrong (design: more without new clients is a sign of trouble).
const calm = 10.0

// An outage takes a node away in one of two ways, and gives it back.
type outage struct {
	name       string
	begin, end func(ctx context.Context, node string) error
}

func outages() []outage {
	return []outage{
		{"power cut", theBed.PowerCut, theBed.PowerOn},
		{"black hole", theBed.CutCable, theBed.MendCable},
	}
}

// TestTheLossOfTheFirstMembersNodeIsBorne takes away the node of member 0, whose address comes first in every server's list: with RobustMQ alone all nodes would
// leave the registry.
func TestTheLossOfTheFirstMembersNodeIsBorne(t *testing.T) {
	onlyLong(t)
	onBed(t)
	long := lasting(t, "E2E_OUTAGE", 3*time.Minute)
	s := newScene(t, "outage")
	s.apply(small("outage"))
	s.ready(3 * time.Minute)
	for _, o := range outages() {
		if !t.Run(o.name, func(t *testing.T) {
			s := &scene{T: t, name: s.name, pool: s.pool}
			seen := s.endure(o, long)
			if len(seen.gone) > 0 {
				t.Errorf("nodes that live left the registry: %v", seen.gone)
			}
			if seen.growth > calm {
				t.Errorf("the metadata log grew by %.1f entries a second", seen.growth)
			}
			if !realServer && seen.traffic.Lost > 0 {
				t.Errorf("acknowledged messages were lost: %s", seen.traffic)
			}
			if seen.traffic.LongestGap > time.Minute {
				t.Errorf("MQTT stood still: %s", seen.traffic)
			}
		}) {
			return
		}
	}
}

// TestWithoutTheHeartbeatRelayTheRegistryEmpties shows what the relay is for: the same power cut, with the relay switched off, takes healthy nodes along.
func TestWithoutTheHeartbeatRelayTheRegistryEmpties(t *testing.T) {
	onlyLong(t)
	onBed(t)
	ctx := t.Context()
	if err := k8s.Install(ctx, installation("--disable-heartbeat-relay"), 2*time.Minute); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := k8s.Install(context.WithoutCancel(ctx), installation(), 2*time.Minute); err != nil {
			t.Error(err)
		}
	})
	s := newScene(t, "no-relay")
	s.apply(small("no-relay"))
	s.ready(3 * time.Minute)
	seen := s.endure(outages()[0], lasting(t, "E2E_OUTAGE", 90*time.Second))
	switch {
	case len(seen.gone) > 0:
		t.Logf("as expected, healthy nodes left the registry: %v", seen.gone)
	case seen.nameGone < 30*time.Second:
		t.Skipf("the dead member's name vanished after %s, before RobustMQ gives nodes up (30 s): start the bed with BED_NODE_GRACE=50s, as usual clusters have it", seen.nameGone)
	default:
		t.Error("no healthy node left the registry: then the relay is of no use, or this test does not see it")
	}
}

// seen is what was watched during an outage.
type seen struct {
	// gone are nodes on living hosts that a living member's registry lacked at some time.
	gone []uint64
	// growth of the metadata log, entries a second.
	growth float64
	// nameGone is when the dead member's pod stopped being ready: then its name stops resolving.
	nameGone time.Duration
	traffic  messages.Figures
}

// endure takes the node of member 0 away for so long, with clients at work, and waits until everything has settled without hands.
func (s *scene) endure(o outage, long time.Duration) seen {
	s.Helper()
	ctx := s.Context()
	victim := s.getPod(s.member(0))
	node := victim.Spec.NodeName
	traffic := s.traffic("e2e/outage")
	living := s.livingNodes(node)
	before := s.metadataLog(node)
	what := fmt.Sprintf("%s of the node of member 0 (was leader: %t) for %s", o.name, s.cluster().Status.Leader == victim.Name, long)

	begin := time.Now()
	s.must(o.begin(ctx, node))
	back := sync.OnceValue(func() error { return o.end(context.WithoutCancel(ctx), node) })
	s.Cleanup(func() { _ = back() }) // other tests need the node
	result := s.watch(node, living, begin, long)
	after := s.metadataLog(node)
	result.growth = float64(after-before) / time.Since(begin).Seconds()
	s.must(back())

	healed := time.Now()
	s.await("Ready again after "+o.name, 4*time.Minute, func(c *v1alpha1.RobustMQCluster) bool {
		return live.IsReady(c) && time.Since(healed) > 5*time.Second // the operator needs a moment to see that anything is different
	})
	settled := time.Since(healed)
	result.traffic = traffic.Stop(20 * time.Second)
	figures.add(what, "nodes that wrongly left the registry: %v; metadata log %.2f entries/s; dead pod unready after %.0f s; Ready %.0f s after the node came back", result.gone, result.growth, result.nameGone.Seconds(), settled.Seconds())
	figures.add("MQTT during it", "%s", result.traffic)
	return result
}

// watch asks the living members for their registry, again and again.
func (s *scene) watch(node string, living []uint64, begin time.Time, long time.Duration) seen {
	s.Helper()
	var r seen
	members := s.membersElsewhere(node)
	err := live.Until(s.Context(), "the outage's end", time.Second, long+time.Minute, func(ctx context.Context) (bool, string, error) {
		for _, m := range members {
			state, err := s.state(ctx, m)
			if err != nil || state.Registry == nil {
				continue
			}
			for _, id := range living {
				if !slices.Contains(state.Registry, id) && !slices.Contains(r.gone, id) {
					r.gone = append(r.gone, id)
					s.Logf("%.0f s: node %d is missing in the registry of %s: %v", time.Since(begin).Seconds(), id, m.Name, state.Registry)
				}
			}
		}
		if r.nameGone == 0 && !podReady(s.getPod(s.member(0))) {
			r.nameGone = time.Since(begin)
		}
		return time.Since(begin) >= long, "", nil
	})
	s.must(err)
	slices.Sort(r.gone)
	return r
}

func podReady(p *corev1.Pod) bool {
	for _, c := range p.Status.Conditions {
		if c.Type == corev1.PodReady {
			return c.Status == corev1.ConditionTrue
		}
	}
	return false
}

func (s *scene) pods() []corev1.Pod {
	s.Helper()
	var list corev1.PodList
	s.must(k8s.List(s.Context(), &list, client.InNamespace(s.name.Namespace), client.MatchingLabels{v1alpha1.LabelCluster: s.name.Name}))
	return list.Items
}

// livingNodes are the RobustMQ node ids of the pods that are not on that node.
func (s *scene) livingNodes(node string) []uint64 {
	s.Helper()
	elsewhere := map[string]bool{}
	for _, p := range s.pods() {
		elsewhere[p.Name] = p.Spec.NodeName != node
	}
	var ids []uint64
	for _, m := range s.cluster().Status.Members {
		if elsewhere[m.Pod] {
			ids = append(ids, uint64(m.NodeID))
		}
	}
	return ids
}

func (s *scene) membersElsewhere(node string) []client.ObjectKey {
	s.Helper()
	var keys []client.ObjectKey
	for _, p := range s.pods() {
		if p.Spec.NodeName != node && p.Labels[v1alpha1.LabelRole] == v1alpha1.ComponentPlacementCenter {
			keys = append(keys, client.ObjectKeyFromObject(&p))
		}
	}
	if len(keys) < 2 {
		s.Fatalf("the members are not spread: only %v are not on %s", keys, node)
	}
	return keys
}

// metadataLog is the highest index of the metadata group's log among the members that live.
func (s *scene) metadataLog(node string) uint64 {
	s.Helper()
	var last uint64
	for _, m := range s.membersElsewhere(node) {
		state, err := s.state(s.Context(), m)
		s.must(err)
		for name, g := range state.Raft {
			if strings.HasPrefix(name, "metadata") {
				last = max(last, g.LastLogIndex)
			}
		}
	}
	if last == 0 {
		s.Fatal("no member tells its metadata log")
	}
	return last
}
