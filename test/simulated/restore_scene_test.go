package simulated

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
	"github.com/robustmq/robustmq-operator/test/e2e/messages"
	"github.com/robustmq/robustmq-operator/test/simulated/world"
)

// A rescue is a cluster with a bucket, a backup called "first" in it, and what was there when that was taken.
type rescue struct {
	*testing.T
	w      *world.World
	bucket *world.Bucket
	// saved are the users in the backup, present those that there are now.
	saved, present []string
	watch          *mixture
}

// rescued forms a cluster, makes ten users, takes the backup, and then deletes three of the users and makes ten others.
func rescued(t *testing.T, o world.Options, more ...func(*rescue)) *rescue {
	t.Helper()
	w := env.New(t, o)
	_, bucket := savable(t, w)
	r := &rescue{T: t, w: w, bucket: bucket, watch: watchMixture(w, "c")}
	users(t, w, memberZero, "old", 10)
	for _, change := range more {
		change(r)
	}
	r.saved = r.users()
	back(t, w, "first")
	completed(t, w, "first")
	r.change()
	return r
}

// change deletes three users by mistake, and makes ten others.
func (r *rescue) change() {
	r.Helper()
	for i := range 3 {
		if err := r.w.DeleteUser(memberZero, fmt.Sprintf("old-%d", i)); err != nil {
			r.Fatal(err)
		}
	}
	users(r.T, r.w, memberZero, "new", 10)
	if r.present = r.users(); len(r.present) != len(r.saved)+7 {
		r.Fatalf("users were %v and are %v", r.saved, r.present)
	}
}

// users are those that every broker lists, once all list the same.
func (r *rescue) users() []string {
	r.Helper()
	return usersOf(r.T, r.w)
}

func usersOf(t *testing.T, w *world.World) []string {
	t.Helper()
	var all []string
	since := time.Now()
	w.Await("every broker to list the same users, for a while", func() (bool, string) {
		for _, pod := range w.Pods(w.Cluster("c"), v1alpha1.RoleMQTTBroker) {
			listed, err := w.Users(pod)
			if err != nil {
				return false, fmt.Sprintf("%s: %v", pod, err)
			}
			if !slices.Equal(all, listed) { // news reach the brokers one by one
				all, since = listed, time.Now()
			}
		}
		return len(all) > 0 && time.Since(since) > time.Second, fmt.Sprintf("%d users", len(all))
	})
	return all
}

// restore asks for one, of the backup "first" where nothing else is said.
func (r *rescue) restore(name string, change ...func(*v1alpha1.RobustMQRestoreSpec)) {
	r.Helper()
	spec := v1alpha1.RobustMQRestoreSpec{ClusterName: "c", Source: v1alpha1.RestoreSource{BackupName: "first"}}
	for _, c := range change {
		c(&spec)
	}
	if err := r.w.Client.Create(r.w.Context(), &v1alpha1.RobustMQRestore{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: r.w.Namespace}, Spec: spec}); err != nil {
		r.Fatal(err)
	}
}

// quick leaves the safety backup out, where it is not what is looked at.
func quick(s *v1alpha1.RobustMQRestoreSpec) { s.Unsafe = append(s.Unsafe, v1alpha1.SkipSafetyBackup) }

func restoreOf(t *testing.T, w *world.World, name string) *v1alpha1.RobustMQRestore {
	t.Helper()
	var x v1alpha1.RobustMQRestore
	if err := w.Client.Get(w.Context(), client.ObjectKey{Namespace: w.Namespace, Name: name}, &x); err != nil {
		t.Fatal(err)
	}
	return &x
}

func restoresOf(t *testing.T, w *world.World) []v1alpha1.RobustMQRestore {
	t.Helper()
	var list v1alpha1.RobustMQRestoreList
	if err := w.Client.List(w.Context(), &list, client.InNamespace(w.Namespace)); err != nil {
		t.Fatal(err)
	}
	return list.Items
}

// sayRestore is what a restore says of itself.
func sayRestore(x *v1alpha1.RobustMQRestore) string {
	text := fmt.Sprintf("%s: stage %q, %s, awaits %q", x.Name, x.Status.Stage, x.Status.Progress.Summary, x.Status.Awaits)
	for _, c := range x.Status.Conditions {
		text += fmt.Sprintf("; %s=%s %s: %s", c.Type, c.Status, c.Reason, c.Message)
	}
	return text
}

// awaitRestore waits until a restore is in one of some stages, or has ended.
func awaitRestore(t *testing.T, w *world.World, name string, stages ...v1alpha1.RestoreStage) *v1alpha1.RobustMQRestore {
	t.Helper()
	var x *v1alpha1.RobustMQRestore
	w.Await(fmt.Sprintf("restore %s to be %v", name, stages), func() (bool, string) {
		x = restoreOf(t, w, name)
		return slices.Contains(stages, x.Status.Stage) || x.Ended(), sayRestore(x)
	})
	if !slices.Contains(stages, x.Status.Stage) {
		t.Fatalf("%s; wanted %v\n%s", sayRestore(x), stages, w.Describe())
	}
	return x
}

// complete waits for the end of a restore, and checks that the cluster has what the backup held, and nothing else.
func (r *rescue) complete(name string) *v1alpha1.RobustMQRestore {
	r.Helper()
	x := awaitRestore(r.T, r.w, name, v1alpha1.RestoreComplete)
	for kind, reason := range map[string]string{v1alpha1.ConditionComplete: v1alpha1.ReasonRestoreComplete, v1alpha1.ConditionVerified: v1alpha1.ReasonRestoreVerified} {
		if c := meta.FindStatusCondition(x.Status.Conditions, kind); c == nil || c.Status != metav1.ConditionTrue || c.Reason != reason {
			r.Errorf("condition %s of a restore that is complete: %+v", kind, c)
		}
	}
	r.has(r.saved)
	r.marked(x.Status.Generation, protocol.OriginRestored)
	hash := x.Status.Members[0].ImageSHA256
	for _, m := range x.Status.Members {
		if m.ImageSHA256 != hash || hash == "" {
			r.Errorf("the members say they built %+v", x.Status.Members)
		}
	}
	return x
}

// untouched waits until the cluster is whole with what it had before a restore that did not happen, or was taken back.
func (r *rescue) untouched(generation int64) {
	r.Helper()
	r.has(r.present)
	r.marked(generation, "")
}

// has waits for a whole cluster, and checks that it has exactly these users; that every member holds the same keys, and every node knows every other; and that no start was one that loses data.
func (r *rescue) has(want []string) {
	r.Helper()
	c := formed(r.T, r.w)
	want = slices.Sorted(slices.Values(want))
	if got := r.users(); !slices.Equal(got, want) {
		r.Errorf("users are %v, want %v", got, want)
	}
	sameKeys(r.T, r.w, c)
	r.fullLists(c)
	r.nothingLeft(c)
	for name, text := range r.w.Logs() {
		if strings.Contains(text, "recovered 0 entries") {
			r.Errorf("%s: a snapshot was installed, which loses data", name)
		}
	}
	r.watch.check(r.T)
}

// fullLists waits until every node's own list has every node: a registry that was dropped leaves them incomplete for good.
func (r *rescue) fullLists(c *v1alpha1.RobustMQCluster) {
	r.Helper()
	agent := agents(r.T, r.w, c)
	want := r.w.NodeIDs(c)
	r.w.Await("every node to know every other", func() (bool, string) {
		for _, pod := range r.w.AllPods(c) {
			s, err := agent(pod).State(r.w.Context())
			nodes := slices.Sorted(slices.Values(s.Nodes))
			if err != nil || !slices.Equal(nodes, want) {
				return false, fmt.Sprintf("%s knows %v, wanted %v: %v %s", pod, nodes, want, err, s.NodesError)
			}
		}
		return true, ""
	})
}

// nothingLeft waits until no agent has anything of a placement, and checks that no directory of one is left.
func (r *rescue) nothingLeft(c *v1alpha1.RobustMQCluster) {
	r.Helper()
	agent := agents(r.T, r.w, c)
	r.w.Await("nothing of a placement to be left", func() (bool, string) {
		for _, pod := range r.w.Pods(c, v1alpha1.RolePlacementCenter) {
			s, err := agent(pod).State(r.w.Context())
			if p := s.Images.Placement; err != nil || p != nil && p.Phase != protocol.PlacementReverted {
				return false, fmt.Sprintf("%s: %+v %v", pod, p, err)
			}
		}
		return true, ""
	})
	for _, pod := range r.w.Pods(c, v1alpha1.RolePlacementCenter) {
		for _, name := range databases(r.T, r.w, pod) {
			if name != "_rocksdb" {
				r.Errorf("%s still has %s beside its database", pod, name)
			}
		}
	}
}

// databases are the folders of a pod's volume that hold a database, by their names.
func databases(t *testing.T, w *world.World, pod string) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(w.VolumeDir(pod), "data", "*", "CURRENT"))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, path := range found {
		names = append(names, filepath.Base(filepath.Dir(path)))
	}
	return names
}

// marked checks that every volume of the placement centre is of a generation and, if one is given, an origin; those of the others have no generations.
func (r *rescue) marked(generation int64, origin protocol.Origin) {
	r.Helper()
	c := r.w.Cluster("c")
	if c.Status.Generation != max(generation, 1) {
		r.Errorf("the cluster says generation %d, want %d", c.Status.Generation, generation)
	}
	for _, pod := range r.w.AllPods(c) {
		m := r.w.Marker(pod)
		want := int64(1)
		if m != nil && m.Role == string(v1alpha1.RolePlacementCenter) {
			want = generation
		}
		if m == nil || m.Generation != want || m.Placement != "" || origin != "" && want > 1 && m.Origin != origin {
			r.Errorf("%s is marked %+v, want generation %d %s", pod, m, want, origin)
		}
	}
}

// A mixture would be servers that run at once on volumes of different generations, or one that is started on what was restored before every member has it. It is looked for at every start.
type mixture struct {
	w        *world.World
	cluster  string
	restored int // so many members get a backup, at most; who comes later joins them

	mu    sync.Mutex
	found []string
	ran   map[string]int64 // by pod, the generation that its server was started on last
}

func watchMixture(w *world.World, cluster string) *mixture {
	m := &mixture{w: w, cluster: cluster, restored: 7, ran: map[string]int64{}}
	w.OnStart(m.started)
	return m
}

// started is called before each start of a server.
func (m *mixture) started(pod string) {
	if !strings.HasPrefix(pod, m.cluster+"-"+v1alpha1.ComponentPlacementCenter+"-") {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	own := m.marker(pod)
	if own == nil {
		return // a test of gates that are open writes none
	}
	first := m.ran[pod] != own.Generation
	m.ran[pod] = own.Generation
	for i := range m.restored {
		other := fmt.Sprintf("%s-%s-%d", m.cluster, v1alpha1.ComponentPlacementCenter, i)
		if other == pod || m.w.Kubelet.AddressOf(other) == "" {
			continue
		}
		its := m.marker(other)
		switch {
		case m.w.ServerOf(other) != 0 && its != nil && its.Generation != own.Generation:
			m.found = append(m.found, fmt.Sprintf("%s was started on generation %d while %s ran on %d", pod, own.Generation, other, its.Generation))
		case first && own.Origin == protocol.OriginRestored && (its == nil || its.Generation < own.Generation):
			m.found = append(m.found, fmt.Sprintf("%s was started on what was restored (%+v) while %s does not have it (%+v)", pod, *own, other, its))
		}
	}
}

func (m *mixture) marker(pod string) *protocol.Marker {
	claim := m.w.ClaimOf(pod)
	if claim == nil {
		return nil
	}
	marker, err := world.ReadMarker(m.w.Kubelet.ClaimDir(claim.UID))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		m.found = append(m.found, fmt.Sprintf("%s: %v", pod, err))
	}
	return marker
}

func (m *mixture) check(t *testing.T) {
	t.Helper()
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, text := range m.found {
		t.Error(text)
	}
	m.found = nil
}

// publish sends messages to a topic until some are acknowledged, and returns which.
func (r *rescue) publish(topic string) *messages.Traffic {
	r.Helper()
	traffic, err := messages.Start(r.Context(), r.w.MQTT(broker(0), broker(1)), topic, messages.NewRun(time.Now()), 20*time.Millisecond)
	if err != nil {
		r.Fatal(err)
	}
	r.w.Await("ten messages", func() (bool, string) {
		n := traffic.Acknowledged()
		return n >= 10, fmt.Sprint(n)
	})
	traffic.Stop(time.Second)
	return traffic
}

// topic makes one with two copies that every server knows.
func (r *rescue) topic(name string) {
	r.Helper()
	r.w.CreateTopic(memberZero, name, 2)
	r.w.Await("every server to know "+name, func() (bool, string) {
		for _, pod := range r.w.AllPods(r.w.Cluster("c")) {
			if _, err := r.w.Segment(pod, name); err != nil {
				return false, fmt.Sprintf("%s: %v", pod, err)
			}
		}
		return true, ""
	})
}

// allTerms are the highest terms that any member shows, by group.
func allTerms(t *testing.T, w *world.World) map[string]uint64 {
	t.Helper()
	highest := map[string]uint64{}
	for _, pod := range w.Pods(w.Cluster("c"), v1alpha1.RolePlacementCenter) {
		for group, term := range terms(t, w, pod) {
			highest[group] = max(highest[group], term)
		}
	}
	return highest
}

// fewer than three groups would make every comparison of them hold.
func threeGroups(t *testing.T, of map[string]uint64) {
	t.Helper()
	if len(of) != 3 {
		t.Fatalf("three raft groups are wanted: %v", slices.Sorted(maps.Keys(of)))
	}
}
