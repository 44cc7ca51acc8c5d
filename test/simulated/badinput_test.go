package simulated

import (
	"errors"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/test/simulated/kubelet"
	"github.com/robustmq/robustmq-operator/test/simulated/world"
)

// Each of these says in the Ready condition what is wrong and with which object, and the cluster forms as soon as it is put right.

func TestAMissingSecretIsNamedAndTheClusterFormsOnceItExists(t *testing.T) {
	t.Parallel()
	w := env.New(t, world.Options{})
	w.StartOperator()
	w.Apply(manifest(newest, 3, 2, "  auth: {adminSecretName: chosen-by-user}\n"))
	w.AwaitCondition("c", v1alpha1.ConditionReady, "False", v1alpha1.ReasonWaitingForSecret, "chosen-by-user")
	create(t, w, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "chosen-by-user", Namespace: w.Namespace}, Type: corev1.SecretTypeBasicAuth,
		StringData: map[string]string{"username": "root", "password": "long-enough-for-anyone"}})
	formed(t, w)
	for name, text := range w.Logs() {
		if strings.Contains(text, "long-enough-for-anyone") {
			t.Errorf("%s holds the user's password", name)
		}
	}
}

func TestAPodThatNoNodeTakesIsNamedAndTheClusterFormsOnceOneDoes(t *testing.T) {
	t.Parallel()
	w := env.New(t, world.Options{})
	w.Kubelet.SetUnschedulable(func(pod *corev1.Pod) string {
		if pod.Name == "c-placement-center-1" {
			return "0/3 nodes are available: 3 Insufficient memory."
		}
		return ""
	})
	w.StartOperator()
	w.Apply(manifest(newest, 3, 2, ""))
	w.AwaitCondition("c", v1alpha1.ConditionReady, "False", v1alpha1.ReasonUnschedulable, "c-placement-center-1")
	w.AwaitCondition("c", v1alpha1.ConditionReady, "False", v1alpha1.ReasonUnschedulable, "Insufficient memory")
	w.Kubelet.SetUnschedulable(nil)
	formed(t, w)
}

func TestAnImageThatCannotBePulledIsNamedAndTheClusterFormsOnceItCan(t *testing.T) {
	t.Parallel()
	w := env.New(t, world.Options{})
	w.Kubelet.SetPullFailure(func(image string) string {
		if strings.Contains(image, "robustmq:v") {
			return "failed to resolve reference: not found"
		}
		return ""
	})
	w.StartOperator()
	w.Apply(manifest(newest, 3, 2, ""))
	w.AwaitCondition("c", v1alpha1.ConditionReady, "False", v1alpha1.ReasonImagePullFailed, "simulated/robustmq:v"+newest)
	w.Kubelet.SetPullFailure(nil)
	formed(t, w)
}

func TestAClaimThatStaysPendingIsNamedAndTheClusterFormsOnceItIsBound(t *testing.T) {
	t.Parallel()
	w := env.New(t, world.Options{})
	w.HoldClaim("data-c-placement-center-2", true)
	w.StartOperator()
	w.Apply(manifest(newest, 3, 2, ""))
	w.AwaitCondition("c", v1alpha1.ConditionReady, "False", v1alpha1.ReasonWaitingForVolume, "data-c-placement-center-2")
	w.HoldClaim("data-c-placement-center-2", false)
	formed(t, w)
}

func TestAVolumeWithoutWritePermissionIsNamedAndTheClusterFormsOnceItHasIt(t *testing.T) {
	t.Parallel()
	w := env.New(t, world.Options{})
	const pod = "c-placement-center-1"
	if err := w.Kubelet.SetUnwritable(pod, true); err != nil {
		t.Fatal(err)
	}
	w.StartOperator()
	w.Apply(manifest(newest, 3, 2, ""))
	w.Await("the pod to run", func() (bool, string) { return w.Kubelet.AddressOf(pod) != "", "no address" })
	if err := w.Kubelet.SetUnwritable(pod, true); errors.Is(err, kubelet.ErrCannotMakeUnwritable) {
		t.Skip(err)
	}
	w.AwaitCondition("c", v1alpha1.ConditionDegraded, "True", v1alpha1.ReasonVolumeUnusable, pod)
	if err := w.Kubelet.SetUnwritable(pod, false); err != nil {
		t.Fatal(err)
	}
	formed(t, w)
}
