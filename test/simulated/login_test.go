package simulated

import (
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/test/simulated/world"
)

func TestANewPasswordInTheSecretIsTheOneThatBrokersAccept(t *testing.T) {
	t.Parallel()
	w := env.New(t, world.Options{})
	c := form(t, w, manifest(newest, 3, 2, ""))
	var secret corev1.Secret
	if err := w.Client.Get(w.Context(), types.NamespacedName{Namespace: c.Namespace, Name: "c-mqtt"}, &secret); err != nil {
		t.Fatal(err)
	}
	user, old := string(secret.Data["username"]), string(secret.Data["password"])
	accepts := func(password string, wanted bool) (bool, string) {
		for _, pod := range w.Pods(c, v1alpha1.RoleMQTTBroker) {
			if got, err := w.Login(pod, user, password); err != nil || got != wanted {
				return false, fmt.Sprintf("%s accepts %q: %v (%v)", pod, password, got, err)
			}
		}
		return true, ""
	}
	if ok, why := accepts(old, true); !ok {
		t.Fatal(why)
	}
	before := lives(w, c)
	secret.Data["password"] = []byte("fake-mqtt-pw-2")
	if err := w.Client.Update(w.Context(), &secret); err != nil {
		t.Fatal(err)
	}
	w.Await("the new password everywhere", func() (bool, string) { return accepts("fake-mqtt-pw-2", true) })
	w.Await("the old one nowhere", func() (bool, string) { return accepts(old, false) })
	w.AwaitReady("c")
	if after := lives(w, w.Cluster("c")); after != before {
		t.Errorf("before:\n%s\nafter:\n%s", before, after)
	}
	w.Await("the event", func() (bool, string) { return told(w, v1alpha1.ReasonPasswordRenewed), "none" })
}
