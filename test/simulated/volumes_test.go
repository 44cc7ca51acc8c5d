package simulated

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
	"github.com/robustmq/robustmq-operator/test/simulated/world"
)

// remove deletes the cluster and waits until its pods are gone.
func remove(t *testing.T, w *world.World, c *v1alpha1.RobustMQCluster) {
	t.Helper()
	if err := w.Client.Delete(w.Context(), c); err != nil {
		t.Fatal(err)
	}
	w.Await("the pods to go", func() (bool, string) {
		for _, name := range w.AllPods(c) {
			if pod(t, w, name) != nil {
				return false, name + " is there"
			}
		}
		return true, ""
	})
}

func TestADeletedClusterIsAdoptedFromItsRetainedVolumesAndNeverFoundedAgain(t *testing.T) {
	t.Parallel()
	w := env.New(t, world.Options{})
	text := manifest(newest, 3, 2, "")
	before := form(t, w, text)
	remove(t, w, before)
	w.Apply(text)
	after := formed(t, w)
	if after.UID == before.UID || after.Status.ClusterUID != before.Status.ClusterUID {
		t.Errorf("cluster UID %s, then %s; want the same for a new object", before.Status.ClusterUID, after.Status.ClusterUID)
	}
	if founders := w.Founders(); !slices.Equal(founders, []string{"c-placement-center-0"}) {
		t.Errorf("servers that founded a cluster: %v, want member 0 once in both lives", founders)
	}
	for _, e := range events(w, v1alpha1.ReasonFounding) {
		if e.When.After(after.CreationTimestamp.Add(time.Second)) {
			t.Errorf("founded again: %s", e.Message)
		}
	}
	if told := events(w, v1alpha1.ReasonAdopted); len(told) != 1 || !strings.Contains(told[0].Message, after.Status.ClusterUID) {
		t.Errorf("told of the adoption: %+v, want once, in the second life, with the UID", told)
	}
}

func TestADeletedClusterTakesItsVolumesAlongWhenToldSo(t *testing.T) {
	t.Parallel()
	w := env.New(t, world.Options{})
	c := form(t, w, manifest(newest, 3, 2, "  volumeRetention: Delete\n"))
	remove(t, w, c)
	w.Await("everything to go", func() (bool, string) {
		left := []string{}
		for name := range w.Versions() {
			left = append(left, name)
		}
		return len(left) == 0, strings.Join(left, ", ")
	})
}

func TestAMemberWipedWhileStoppedIsNeverStartedEmptyAndSeededByTheOthers(t *testing.T) {
	t.Parallel()
	w := env.New(t, world.Options{})
	text := manifest(newest, 3, 2, "")
	c := form(t, w, text)
	remove(t, w, c)
	w.Wipe("c-placement-center-1")
	w.Apply(text)
	w.Await("the quorum of the other two", func() (bool, string) { return quorumOfTwo(w, "c-placement-center-0", "c-placement-center-2") })
	formed(t, w)
	if m := w.Marker("c-placement-center-1"); m.Origin != protocol.OriginSeeded {
		t.Errorf("%+v", m)
	}
	if ids := w.Founders(); len(ids) != 1 {
		t.Errorf("servers that founded a cluster: %v, want one", ids)
	}
}

// quorumOfTwo reports whether each group has a leader that a quorum acknowledges among two members.
func quorumOfTwo(w *world.World, pods ...string) (bool, string) {
	led := map[string]bool{}
	for _, pod := range pods {
		status, err := w.Raft(pod)
		if err != nil {
			return false, pod + ": " + err.Error()
		}
		for name, group := range status {
			led[name] = led[name] || group.LeadsWithQuorum()
		}
	}
	for name, ok := range led {
		if !ok {
			return false, "group " + name + " has no leader with a quorum"
		}
	}
	return len(led) > 0, "no group"
}

func TestTotalLossIsNeverFoundedAgain(t *testing.T) {
	t.Parallel()
	w := env.New(t, world.Options{})
	text := manifest(newest, 3, 2, "")
	c := form(t, w, text)
	remove(t, w, c)
	for _, pod := range w.Pods(c, v1alpha1.RolePlacementCenter) {
		w.Wipe(pod)
	}
	w.Apply(text)
	w.AwaitCondition("c", v1alpha1.ConditionReady, "False", v1alpha1.ReasonDataLost, "")
	w.Stays(3*time.Minute, "no founding", func() (bool, string) {
		for _, pod := range w.Pods(c, v1alpha1.RolePlacementCenter) {
			if m := w.Marker(pod); m != nil {
				return false, pod + " was marked"
			}
		}
		return len(w.Founders()) == 1, "a server founded again"
	})
}

func TestAForeignVolumeIsNeverOverwritten(t *testing.T) {
	t.Parallel()
	w := env.New(t, world.Options{})
	text := manifest(newest, 3, 2, "")
	c := form(t, w, text)
	remove(t, w, c)
	// Another cluster's volume in the place of member 2's.
	marker := filepath.Join(w.VolumeDir("c-placement-center-2"), protocol.MarkerFile)
	foreign := strings.ReplaceAll(read(t, marker), c.Status.ClusterUID, "00000000-0000-0000-0000-000000000000")
	if err := os.WriteFile(marker, []byte(foreign), 0o600); err != nil {
		t.Fatal(err)
	}
	w.Apply(text)
	w.AwaitCondition("c", v1alpha1.ConditionDegraded, "True", v1alpha1.ReasonForeignVolume, "c-placement-center-2")
	w.Stays(time.Minute, "the foreign marker", func() (bool, string) { now := read(t, marker); return now == foreign, now })
}

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestClaimsOfTwoClustersUnderOneNameAreRefused(t *testing.T) {
	t.Parallel()
	w := env.New(t, world.Options{})
	text := manifest(newest, 3, 2, "")
	c := form(t, w, text)
	remove(t, w, c)
	claim := w.Claim("c-placement-center-1")
	patch := client.MergeFrom(claim.DeepCopy())
	claim.Annotations[v1alpha1.AnnotationClusterUID] = "00000000-0000-0000-0000-000000000000"
	if err := w.Client.Patch(w.Context(), claim, patch); err != nil {
		t.Fatal(err)
	}
	w.Apply(text)
	w.AwaitCondition("c", v1alpha1.ConditionReady, "False", v1alpha1.ReasonForeignVolume, c.Status.ClusterUID)
}
