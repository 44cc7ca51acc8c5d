package policies

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/internal/manifests"
)

// given makes the servers' configuration what a release of the operator wrote that let the settings in.
func (l *living) given(t *testing.T, settings string) {
	t.Helper()
	c := l.read(t)
	for _, role := range []v1alpha1.Role{v1alpha1.RolePlacementCenter, v1alpha1.RoleMQTTBroker} {
		var secret corev1.Secret
		if err := l.admin.Get(t.Context(), client.ObjectKey{Namespace: l.namespace, Name: manifests.ConfigSecretName(c, role)}, &secret); err != nil {
			t.Fatal(err)
		}
		for file, text := range secret.Data {
			config := map[string]json.RawMessage{}
			if err := json.Unmarshal(text, &config); err != nil {
				t.Fatal(err)
			}
			config["sections"] = json.RawMessage(settings)
			changed, err := json.Marshal(config)
			if err != nil {
				t.Fatal(err)
			}
			secret.Data[file] = changed
		}
		if err := l.operator.Update(t.Context(), &secret); err != nil {
			t.Fatal(err)
		}
	}
}

// TestAClusterWhoseSettingsANewerOperatorRefusesIsStillRepaired: the schema lets any key in, so the servers may run with one that a newer catalogue does not have any more.
func TestAClusterWhoseSettingsANewerOperatorRefusesIsStillRepaired(t *testing.T) {
	s := server(t)
	s.webhooks(t, false)
	l := s.tenant(t, nil).stand(t, 3)
	broker := l.waiting(t)
	write := func(spec string) {
		t.Helper()
		if err := l.Patch(t.Context(), bare(l.namespace), client.RawPatch(types.MergePatchType, []byte(`{"spec":`+spec+`}`))); err != nil {
			t.Fatal(err)
		}
	}
	// look is one pass: what the conditions say of the spec, what the agents were ordered, and whether the data plane was written.
	look := func() (refused string, orders []string, wrote bool) {
		t.Helper()
		before := l.written(t)
		l.orders = nil
		c := l.pass(t)
		for _, name := range []string{v1alpha1.ConditionReady, v1alpha1.ConditionDegraded} {
			condition := meta.FindStatusCondition(c.Status.Conditions, name)
			if condition == nil || condition.Reason != v1alpha1.ReasonSpecInvalid {
				return "", l.orders, l.written(t) != before
			}
			refused = condition.Message
		}
		return refused, l.orders, l.written(t) != before
	}
	join := []string{broker + ": Join"}
	const newKey, oldKey = `{"runtime":{"no_such_key":1}}`, `{"runtime":{"no_such_key":2}}`

	write(`{"config":` + newKey + `}`)
	if refused, orders, wrote := look(); !strings.Contains(refused, "ConfigKnownKeys") || len(orders) > 0 || wrote {
		t.Errorf("a key that no server was given: %q, ordered %q, written %t", refused, orders, wrote)
	}
	l.given(t, newKey)
	if refused, orders, wrote := look(); !strings.Contains(refused, "ConfigKnownKeys") || !strings.Contains(refused, "kept in service") || !slices.Equal(orders, join) || wrote {
		t.Errorf("a key that the servers run with: %q, ordered %q, written %t", refused, orders, wrote)
	}
	write(`{"config":` + oldKey + `}`)
	if refused, orders, wrote := look(); !strings.Contains(refused, "ConfigKnownKeys") || len(orders) > 0 || wrote {
		t.Errorf("another value than they run with: %q, ordered %q, written %t", refused, orders, wrote)
	}
	write(`{"config":` + newKey + `,"mqttBroker":{"replicas":7},"listeners":{"service":{"type":"NodePort"}}}`)
	if refused, orders, wrote := look(); refused == "" || !slices.Equal(orders, join) || wrote {
		t.Errorf("other changes beside it: %q, ordered %q, written %t", refused, orders, wrote)
	}
	write(`{"backup":{"destination":{"bucket":"backups"},"schedules":[{"name":"never","cron":"0 0 30 2 *"}]}}`)
	if refused, orders, wrote := look(); !strings.Contains(refused, "ScheduleValid") || len(orders) > 0 || wrote {
		t.Errorf("another rule beside it: %q, ordered %q, written %t", refused, orders, wrote)
	}
	write(`{"backup":null,"config":null}`)
	if refused, _, wrote := look(); refused != "" || !wrote {
		t.Errorf("corrected: %q, written %t", refused, wrote)
	}
}
