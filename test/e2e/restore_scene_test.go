//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/internal/robustmq"
	"github.com/robustmq/robustmq-operator/test/e2e/live"
	"github.com/robustmq/robustmq-operator/test/e2e/messages"
)

// askRestore applies a RobustMQRestore as a user does.
func (s *scene) askRestore(name string, spec v1alpha1.RobustMQRestoreSpec) {
	s.Helper()
	spec.ClusterName = s.name.Name
	text, err := yaml.Marshal(map[string]any{"apiVersion": v1alpha1.GroupVersion.String(), "kind": "RobustMQRestore", "metadata": map[string]any{"name": name}, "spec": spec})
	s.must(err)
	_, err = k8s.Kubectl(s.Context(), strings.NewReader(string(text)), "apply", "-n", s.name.Namespace, "-f", "-")
	s.must(err)
}

// restores are all of the namespace.
func (s *scene) restores(ctx context.Context) []v1alpha1.RobustMQRestore {
	s.Helper()
	var list v1alpha1.RobustMQRestoreList
	s.must(k8s.List(ctx, &list, client.InNamespace(s.name.Namespace)))
	return list.Items
}

// saidRestore is what a restore says of itself, in one line.
func saidRestore(r *v1alpha1.RobustMQRestore) string {
	line := fmt.Sprintf("%s: %s %s, awaits %q", r.Name, r.Status.Stage, r.Status.Progress.Summary, r.Status.Awaits)
	if c := meta.FindStatusCondition(r.Status.Conditions, v1alpha1.ConditionComplete); c != nil {
		line += fmt.Sprintf(" (%s: %s)", c.Reason, c.Message)
	}
	return line
}

// A course is what was seen of a restore, from its beginning to its end.
type course struct {
	restore *v1alpha1.RobustMQRestore
	stages  []string // with the seconds since the first look, in order
	opened  time.Time
	led     time.Time // one leader in every group, by every member's word
}

// follow looks at a restore until it is complete; the members' agents are asked meanwhile when their gates opened, and when one leader led every group.
func (s *scene) follow(name string, within time.Duration) course {
	s.Helper()
	var c course
	begin := time.Now()
	s.must(live.Until(s.Context(), "restore "+name+" is complete", 100*time.Millisecond, within, func(ctx context.Context) (bool, string, error) {
		var r v1alpha1.RobustMQRestore
		if err := k8s.Get(ctx, client.ObjectKey{Namespace: s.name.Namespace, Name: name}, &r); err != nil {
			return false, err.Error(), nil //nolint:nilerr // it is tried again
		}
		c.restore = &r
		if stage := string(r.Status.Stage); len(c.stages) == 0 || !strings.HasPrefix(c.stages[len(c.stages)-1], stage+" ") {
			c.stages = append(c.stages, fmt.Sprintf("%s %.1f", stage, time.Since(begin).Seconds()))
		}
		if slices.Contains([]v1alpha1.RestoreStage{v1alpha1.RestoreOpening, v1alpha1.RestoreVerifying, v1alpha1.RestoreStarting}, r.Status.Stage) && c.led.IsZero() {
			open, led := s.gates(ctx, r.Status.Generation)
			if open && c.opened.IsZero() {
				c.opened = time.Now()
			}
			if led {
				c.led = time.Now()
				if c.opened.IsZero() {
					c.opened = c.led
				}
			}
		}
		if r.Ended() && r.Status.Stage != v1alpha1.RestoreComplete {
			return false, "", fmt.Errorf("%s; stages %v", saidRestore(&r), c.stages)
		}
		return r.Ended(), saidRestore(&r), nil
	}))
	s.Logf("%s: %s", name, strings.Join(c.stages, ", "))
	if c.led.IsZero() {
		s.Error("nobody was seen to lead every group before the end of the restore")
	} else if took := c.led.Sub(c.opened); took > 5*time.Second {
		s.Errorf("one leader in every group %.1f s after the gates opened, at most 5 s are wanted", took.Seconds())
	} else {
		figures.add(s.T.Name()+": one leader in every group, after the gates opened", "%.1f s", took.Seconds())
	}
	return c
}

// gates says whether all gates of the placement centre are open on a generation, and whether one member leads every group by everybody's word.
func (s *scene) gates(ctx context.Context, generation int64) (open, led bool) {
	open, led = true, true
	leaders := map[uint64]bool{}
	for ordinal := range int(s.cluster().Spec.PlacementCenter.Replicas) {
		state, err := s.state(ctx, s.member(ordinal))
		if err != nil || state.Volume.Marker == nil || state.Volume.Marker.Generation != generation || !state.Gate.Open {
			return false, false
		}
		for _, group := range robustmq.Groups {
			leader := state.Raft[group].CurrentLeader
			leaders[leader] = true
			led = led && leader != 0
		}
	}
	return open, led && len(leaders) == 1
}

// fullLists waits until every node's own list has every node.
func (s *scene) fullLists(within time.Duration) {
	s.Helper()
	var want []uint64
	for _, m := range s.cluster().Status.Members {
		want = append(want, uint64(m.NodeID)) //nolint:gosec // never negative
	}
	slices.Sort(want)
	s.must(live.Until(s.Context(), "every node's list has every node", 250*time.Millisecond, within, func(ctx context.Context) (bool, string, error) {
		for _, m := range s.cluster().Status.Members {
			state, err := s.state(ctx, client.ObjectKey{Namespace: s.name.Namespace, Name: m.Pod})
			nodes := slices.Sorted(slices.Values(state.Nodes))
			if err != nil || !slices.Equal(nodes, want) {
				return false, fmt.Sprintf("%s knows %v of %v: %v %s", m.Pod, nodes, want, err, state.NodesError), nil
			}
		}
		return true, "", nil
	}))
}

// access is how clients reach the cluster.
func (s *scene) access() *messages.Access {
	s.Helper()
	a, err := messages.Reach(s.Context(), k8s, s.cluster())
	s.must(err)
	return a
}

// makeUsers makes some, through both brokers.
func (s *scene) makeUsers(prefix string, count int) {
	s.Helper()
	access := s.access()
	for i := range count {
		_, err := access.Admin(int32(i%2)).CreateUser(s.Context(), fmt.Sprintf("%s-%d", prefix, i), "secret") //nolint:gosec // 0 or 1
		s.must(err)
	}
}

// users are those that every broker lists, once all list the same.
func (s *scene) users() []string {
	s.Helper()
	return s.listed("users", func(ctx context.Context, a messages.Admin) ([]string, error) { return a.Users(ctx) })
}

// topics are those that every broker lists, without the servers' own.
func (s *scene) topics() []string {
	s.Helper()
	return slices.DeleteFunc(s.listed("topics", func(ctx context.Context, a messages.Admin) ([]string, error) { return a.Topics(ctx) }), func(name string) bool { return !strings.HasPrefix(name, "e2e/") })
}

func (s *scene) listed(what string, list func(context.Context, messages.Admin) ([]string, error)) []string {
	s.Helper()
	var first []string
	access := s.access()
	s.must(live.Until(s.Context(), "every broker lists the same "+what, 250*time.Millisecond, time.Minute, func(ctx context.Context) (bool, string, error) {
		for ordinal := range s.cluster().Spec.MQTTBroker.Replicas {
			names, err := list(ctx, access.Admin(ordinal))
			if err != nil {
				return false, err.Error(), nil //nolint:nilerr // it is tried again
			}
			slices.Sort(names)
			if ordinal == 0 {
				first = names
			} else if !slices.Equal(names, first) {
				return false, fmt.Sprintf("broker %d lists %d, broker 0 %d", ordinal, len(names), len(first)), nil
			}
		}
		return true, "", nil
	}))
	return first
}

// hasUsers checks that the brokers list these users and no others.
func (s *scene) hasUsers(want []string) {
	s.Helper()
	if got := s.users(); !slices.Equal(got, want) {
		s.Errorf("%d users, wanted %d; too many: %v; missing: %v", len(got), len(want), without(got, want), without(want, got))
	}
}

// without is what the first has and the second does not.
func without(a, b []string) []string {
	return slices.DeleteFunc(slices.Clone(a), func(name string) bool { return slices.Contains(b, name) })
}

// read is what is stored of a topic, by every broker's word.
func (s *scene) read(topic string) []string {
	s.Helper()
	return s.listed("messages of "+topic, func(ctx context.Context, a messages.Admin) ([]string, error) { return a.Read(ctx, topic) })
}

// isComplete checks the conditions of a restore that has ended well.
func (s *scene) isComplete(r *v1alpha1.RobustMQRestore) {
	s.Helper()
	for _, kind := range []string{v1alpha1.ConditionComplete, v1alpha1.ConditionVerified} {
		if !meta.IsStatusConditionPresentAndEqual(r.Status.Conditions, kind, metav1.ConditionTrue) {
			s.Errorf("%s: condition %s: %+v", saidRestore(r), kind, r.Status.Conditions)
		}
	}
}

// wipe empties the volumes of members while their nodes are without power. It returns when the power was cut.
func (s *scene) wipe(ordinals ...int) time.Time {
	s.Helper()
	type disk struct{ node, volume string }
	var disks []disk
	nodes := map[string]bool{}
	for _, ordinal := range ordinals {
		pod := s.getPod(s.member(ordinal))
		var claim corev1.PersistentVolumeClaim
		s.must(k8s.Get(s.Context(), client.ObjectKey{Namespace: pod.Namespace, Name: "data-" + pod.Name}, &claim))
		disks = append(disks, disk{pod.Spec.NodeName, claim.Spec.VolumeName})
		nodes[pod.Spec.NodeName] = true
	}
	begin := time.Now()
	for node := range nodes {
		s.must(theBed.PowerCut(s.Context(), node))
		s.Cleanup(func() { _ = theBed.PowerOn(contextWithoutCancel(s.T), node) }) // if the test ends in between
	}
	for _, d := range disks {
		s.must(theBed.WipeVolume(s.Context(), d.node, d.volume))
	}
	for node := range nodes {
		s.must(theBed.PowerOn(s.Context(), node))
	}
	return begin
}
