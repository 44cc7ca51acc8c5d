package simulated

import (
	"fmt"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/test/simulated/world"
)

// storageClass makes a class that allows volumes to grow, or does not. Classes belong to no namespace: tests share them.
func storageClass(t *testing.T, w *world.World, expandable bool) string {
	t.Helper()
	class := &storagev1.StorageClass{
		ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("expandable-%v", expandable)}, Provisioner: "simulated", AllowVolumeExpansion: ptr.To(expandable),
	}
	if err := w.Client.Create(w.Context(), class); err != nil && !apierrors.IsAlreadyExists(err) {
		t.Fatal(err)
	}
	return class.Name
}

func sized(class, size string, members int) string {
	return fmt.Sprintf(`apiVersion: robustmq.io/v1alpha1
kind: RobustMQCluster
metadata: {name: c}
spec:
  version: %q
  placementCenter: {replicas: %d, storage: %s, storageClassName: %s}
  mqttBroker: {replicas: 2}
`, newest, members, size, class)
}

// lives are what changes when a pod, or the server in it, is started anew.
func lives(w *world.World, c *v1alpha1.RobustMQCluster) string {
	var out []string
	for _, name := range w.AllPods(c) {
		var p corev1.Pod
		if err := w.Client.Get(w.Context(), types.NamespacedName{Namespace: c.Namespace, Name: name}, &p); err != nil {
			out = append(out, name+": "+err.Error())
			continue
		}
		out = append(out, fmt.Sprintf("%s %s", name, p.UID))
	}
	for _, m := range c.Status.Members {
		out = append(out, fmt.Sprintf("%s restarted %d times", m.Pod, m.Restarts))
	}
	return strings.Join(out, "\n")
}

// grown reports whether the claims of the members have a size, and the set those of members to come.
func grown(w *world.World, c *v1alpha1.RobustMQCluster, size string) (bool, string) {
	wanted := resource.MustParse(size)
	for _, name := range w.Pods(c, v1alpha1.RolePlacementCenter) {
		claim := w.Claim(name)
		if claim == nil {
			return false, name + " has no volume claim"
		}
		if has := claim.Status.Capacity[corev1.ResourceStorage]; has.Cmp(wanted) != 0 {
			return false, fmt.Sprintf("the volume of %s has %s", name, has.String())
		}
	}
	var set appsv1.StatefulSet
	if err := w.Client.Get(w.Context(), types.NamespacedName{Namespace: c.Namespace, Name: "c-placement-center"}, &set); err != nil {
		return false, err.Error()
	}
	if next := set.Spec.VolumeClaimTemplates[0].Spec.Resources.Requests[corev1.ResourceStorage]; next.Cmp(wanted) != 0 || set.DeletionTimestamp != nil {
		return false, "the set makes volumes of " + next.String()
	}
	return true, ""
}

func TestVolumesGrowWithoutARestartAndNewMembersGetTheLargerSize(t *testing.T) {
	t.Parallel()
	w := env.New(t, world.Options{})
	class := storageClass(t, w, true)
	c := form(t, w, sized(class, "10Gi", 1))
	before := lives(w, c)
	w.Apply(sized(class, "20Gi", 1))
	w.Await("larger volumes", func() (bool, string) { return grown(w, c, "20Gi") })
	w.AwaitReady("c")
	if after := lives(w, w.Cluster("c")); after != before {
		t.Errorf("before:\n%s\nafter:\n%s", before, after)
	}
	w.Apply(sized(class, "20Gi", 3))
	c = formed(t, w)
	if ok, why := grown(w, c, "20Gi"); !ok {
		t.Error(why)
	}
}

func TestAnOperatorThatDiesBetweenDeletingASetAndMakingItAnewLeavesNoDamage(t *testing.T) {
	long(t)
	t.Parallel()
	w := env.New(t, world.Options{})
	class := storageClass(t, w, true)
	c := form(t, w, sized(class, "10Gi", 3))
	before := lives(w, c)
	w.Operator().Crash()
	w.Apply(sized(class, "20Gi", 3))
	for n := 1; ; n++ {
		op := w.StartOperatorUntil(n)
		done := false
		w.Await("the operator's death or its work", func() (bool, string) {
			done, _ = grown(w, w.Cluster("c"), "20Gi")
			return done || op.Dead(), "it lives, and the volumes are small"
		})
		op.Crash()
		if done {
			break
		}
	}
	w.StartOperator()
	w.AwaitReady("c")
	w.Await("one whole cluster", func() (bool, string) { return w.Whole(w.Cluster("c")) })
	if after := lives(w, w.Cluster("c")); after != before {
		t.Errorf("before:\n%s\nafter:\n%s", before, after)
	}
}

func TestAStorageClassThatCannotGrowIsNamedAndTheServersGoOn(t *testing.T) {
	t.Parallel()
	w := env.New(t, world.Options{})
	class := storageClass(t, w, false)
	c := form(t, w, sized(class, "10Gi", 1))
	before := lives(w, c)
	w.Apply(sized(class, "20Gi", 1))
	w.AwaitCondition("c", v1alpha1.ConditionDegraded, "True", v1alpha1.ReasonVolumeNotExpandable, class)
	if after := lives(w, w.Cluster("c")); after != before {
		t.Errorf("before:\n%s\nafter:\n%s", before, after)
	}
	if ok, why := grown(w, c, "10Gi"); !ok {
		t.Error(why)
	}
}
