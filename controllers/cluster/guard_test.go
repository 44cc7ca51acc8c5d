package cluster

import (
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/internal/manifests"
	"github.com/robustmq/robustmq-operator/webhooks/rules"
)

func desiredSample() *v1alpha1.RobustMQCluster {
	c := sample("0.4.11")
	c.Default()
	return c
}

// running is what exists of a cluster: its StatefulSets as they were built.
func running(c *v1alpha1.RobustMQCluster) *observation {
	o := &observation{sets: map[v1alpha1.Role]*appsv1.StatefulSet{}}
	in := manifests.Inputs{ClusterUID: testUID, ClusterDomain: "cluster.local", Replicas: map[v1alpha1.Role]int32{}}
	for _, view := range c.Spec.Roles() {
		in.Replicas[view.Role] = view.Replicas
	}
	for _, view := range c.Spec.Roles() {
		o.sets[view.Role] = manifests.StatefulSet(c, in, view.Role)
	}
	return o
}

func TestTheGuardLetsASoundSpecPass(t *testing.T) {
	c := desiredSample()
	if denied := guard(c, running(c)); len(denied) > 0 {
		t.Error(rules.Summary(denied))
	}
	if denied := guard(c, &observation{}); len(denied) > 0 {
		t.Error(rules.Summary(denied))
	}
}

func TestTheGuardRefusesWhatNoWebhookSaw(t *testing.T) {
	for name, change := range map[string]func(c *v1alpha1.RobustMQCluster) (rule string){
		"an even placement centre": func(c *v1alpha1.RobustMQCluster) string {
			c.Spec.PlacementCenter.Replicas = 4
			return "PlacementCenterOdd"
		},
		"a shrink below the quorum": func(c *v1alpha1.RobustMQCluster) string {
			c.Spec.PlacementCenter.Replicas = 1
			return "NoShrinkBelowQuorum"
		},
		"smaller volumes": func(c *v1alpha1.RobustMQCluster) string {
			small := resource.MustParse("1Mi")
			c.Spec.PlacementCenter.Storage = &small
			return "StorageOnlyGrows"
		},
		"a downgrade": func(c *v1alpha1.RobustMQCluster) string {
			c.Status.Version = "0.4.11"
			c.Spec.Version = "0.4.9"
			return "VersionForward"
		},
	} {
		c := desiredSample()
		o := running(c)
		rule := change(c)
		if problem := rules.Summary(guard(c, o)); !strings.Contains(problem, rule) {
			t.Errorf("%s: %q does not name %s", name, problem, rule)
		}
	}
}

func TestSettingsRunWhereTheServersOfEveryRoleWereGivenThemAndNoOthers(t *testing.T) {
	with := func(raw string) func(*v1alpha1.RobustMQCluster) {
		return func(c *v1alpha1.RobustMQCluster) {
			c.Spec.Config = v1alpha1.Config{"runtime": {"gone_key": apiextensionsv1.JSON{Raw: []byte(raw)}}}
		}
	}
	for what, c := range map[string]struct {
		given, wanted func(*v1alpha1.RobustMQCluster)
		want          bool
	}{
		"the same":                  {with(`1`), with(`1`), true},
		"more bits than a float":    {with(`9007199254740993`), with(`9007199254740992`), false},
		"the same of as many bits":  {with(`9007199254740993`), with(`9007199254740993`), true},
		"another value":             {with(`1`), with(`2`), false},
		"another kind of value":     {with(`1`), with(`"1"`), false},
		"a list":                    {with(`["a",1]`), with(` [ "a", 1 ] `), true},
		"a key more":                {func(*v1alpha1.RobustMQCluster) {}, with(`1`), false},
		"a key less":                {with(`1`), func(*v1alpha1.RobustMQCluster) {}, false},
		"none, and none was":        {func(*v1alpha1.RobustMQCluster) {}, func(c *v1alpha1.RobustMQCluster) { c.Spec.Config = v1alpha1.Config{} }, true},
		"what cannot be read is no": {with(`1`), with(`{`), false},
	} {
		before, after := desiredSample(), desiredSample()
		c.given(before)
		c.wanted(after)
		o := running(before)
		given := map[v1alpha1.Role]*corev1.Secret{}
		for role := range o.sets {
			secret, err := manifests.ConfigSecret(before, manifests.Inputs{ClusterUID: testUID}, role)
			if err != nil {
				t.Fatal(err)
			}
			given[role] = secret
		}
		if got := settingsRun(after, o, given); got != c.want {
			t.Errorf("%s: %t", what, got)
		}
		if settingsRun(after, &observation{}, nil) {
			t.Errorf("%s: nothing exists, and it runs", what)
		}
		given[v1alpha1.RoleMQTTBroker].Data = nil
		if settingsRun(after, o, given) && c.want {
			t.Errorf("%s: what the brokers were given cannot be read, and it runs", what)
		}
		delete(given, v1alpha1.RoleMQTTBroker)
		if settingsRun(after, o, given) {
			t.Errorf("%s: the brokers were given nothing, and it runs", what)
		}
	}
}
