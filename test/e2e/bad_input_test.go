//go:build e2e

package e2e

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
)

// What the user has to mend is said with the object's name, and once it is mended the cluster forms by itself.

func TestAMissingSecretIsNamedUntilItIsThere(t *testing.T) {
	onlyLong(t)
	s := newScene(t, "no-secret")
	c := small("no-secret")
	c.Spec.Auth.MQTTSecretName = "my-users"
	s.apply(c)
	s.says(time.Minute, v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.ReasonWaitingForSecret, `"my-users"`, "mqttSecretName")
	s.must(k8s.Create(t.Context(), &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: s.name.Namespace, Name: "my-users"},
		StringData: map[string]string{"username": "me", "password": "of no other use 1"},
	}))
	s.ready(4 * time.Minute)
	s.messages("e2e/secret")
}

func TestAnImageThatCannotBePulledIsNamedUntilItIsCorrected(t *testing.T) {
	onlyLong(t)
	s := newScene(t, "no-image")
	c := small("no-image")
	c.Spec.Image = "bed.local/no-such-image:v0"
	s.apply(c)
	s.says(2*time.Minute, v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.ReasonImagePullFailed, "bed.local/no-such-image:v0", s.member(0).Name)
	c.Spec.Image = ""
	s.apply(c)
	s.ready(4 * time.Minute)
}

func TestAVolumeThatIsNotBoundIsNamedUntilItIs(t *testing.T) {
	onlyLong(t)
	s := newScene(t, "no-volume")
	// of a name of its own: storage classes are nobody's in particular
	class := &storagev1.StorageClass{ObjectMeta: metav1.ObjectMeta{Name: "e2e-late"}, VolumeBindingMode: ptr.To(storagev1.VolumeBindingWaitForFirstConsumer)}
	s.must(client.IgnoreNotFound(k8s.Delete(t.Context(), class)))
	c := small("no-volume")
	c.Spec.PlacementCenter.StorageClassName = ptr.To(class.Name)
	s.apply(c)
	s.says(time.Minute, v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.ReasonWaitingForVolume, "data-"+s.member(0).Name, class.Name)

	var classes storagev1.StorageClassList
	s.must(k8s.List(t.Context(), &classes))
	for _, other := range classes.Items {
		if other.Annotations["storageclass.kubernetes.io/is-default-class"] == "true" {
			class.Provisioner, class.Parameters = other.Provisioner, other.Parameters
		}
	}
	class.ResourceVersion = ""
	s.must(k8s.Create(t.Context(), class))
	t.Cleanup(func() { _ = k8s.Delete(contextWithoutCancel(t), class) })
	s.ready(4 * time.Minute)
}

func TestANodeThatIsFullIsSaidUntilTheRequestFits(t *testing.T) {
	onlyLong(t)
	s := newScene(t, "no-room")
	c := small("no-room")
	cpu := quantity("500")
	c.Spec.MQTTBroker.Resources = &v1alpha1.ResourcesSpec{CPU: &cpu}
	s.apply(c)
	s.says(2*time.Minute, v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.ReasonUnschedulable, s.broker(0).Name, "cpu")
	c.Spec.MQTTBroker.Resources = small("x").Spec.MQTTBroker.Resources
	s.apply(c)
	s.ready(4 * time.Minute)
}
