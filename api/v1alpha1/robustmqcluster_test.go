package v1alpha1_test

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/resource"
	"sigs.k8s.io/yaml"

	"github.com/robustmq/robustmq-operator/api/v1alpha1"
)

func sample(t *testing.T, name string) *v1alpha1.RobustMQCluster {
	t.Helper()
	data, err := os.ReadFile("../../config/samples/" + name)
	if err != nil {
		t.Fatal(err)
	}
	var c v1alpha1.RobustMQCluster
	if err := yaml.UnmarshalStrict(data, &c); err != nil {
		t.Fatal(err)
	}
	return &c
}

func TestDefaultingTwiceIsDefaultingOnceAndKeepsWhatIsGiven(t *testing.T) {
	for _, name := range []string{"cluster.yaml", "production.yaml", "development.yaml"} {
		c := sample(t, name)
		given := c.DeepCopy()
		c.Default()
		once := c.DeepCopy()
		c.Default()
		if !equality.Semantic.DeepEqual(once, c) {
			t.Errorf("%s: the second time changed something", name)
		}
		if c.Spec.PlacementCenter.Replicas != given.Spec.PlacementCenter.Replicas || !c.Spec.PlacementCenter.Storage.Equal(*given.Spec.PlacementCenter.Storage) || c.Spec.Version != given.Spec.Version {
			t.Errorf("%s: defaulting changed what was given", name)
		}
	}
}

func TestAnEmptySpecBecomesAClusterThatIsRightForProduction(t *testing.T) {
	var c v1alpha1.RobustMQCluster
	c.Spec.JournalServer = &v1alpha1.JournalServerSpec{}
	c.Default()
	s := c.Spec
	if s.PlacementCenter.Replicas != 3 || s.MQTTBroker.Replicas != 2 || s.JournalServer.Replicas != 3 || s.VolumeRetention != v1alpha1.VolumesRetained || s.ImagePullPolicy != corev1.PullIfNotPresent {
		t.Errorf("%+v", s)
	}
	for _, r := range s.Roles() {
		if r.Storage.String() != "10Gi" {
			t.Errorf("%s: %s", r.Role, r.Storage)
		}
	}
	if s.Engines() != 8 {
		t.Errorf("%d engines", s.Engines())
	}
	if !*s.NetworkPolicy.Enabled || !*s.Monitoring.Enabled || s.Monitoring.Interval.Duration.String() != "30s" || s.Listeners.Service.Type != corev1.ServiceTypeClusterIP {
		t.Errorf("%+v", s)
	}
}

func TestTheFlatFormOfResourcesIsRequestAndLimit(t *testing.T) {
	got := sample(t, "cluster.yaml").Spec.MQTTBroker.Resources.Requirements()
	for _, list := range []corev1.ResourceList{got.Requests, got.Limits} {
		if list.Cpu().Cmp(resource.MustParse("1")) != 0 || list.Memory().Cmp(resource.MustParse("2Gi")) != 0 {
			t.Errorf("%+v", got)
		}
	}
	got = sample(t, "production.yaml").Spec.MQTTBroker.Resources.Requirements()
	if got.Requests.Cpu().String() != "2" || got.Limits.Memory().String() != "8Gi" || len(got.Limits) != 1 {
		t.Errorf("%+v", got)
	}
	var none *v1alpha1.ResourcesSpec
	if got := none.Requirements(); got.Requests != nil || got.Limits != nil {
		t.Errorf("%+v", got)
	}
}

func TestListenersHaveTheirUsualPortsAndQUICHasThatOfMQTTS(t *testing.T) {
	on := true
	for _, c := range []struct {
		spec v1alpha1.ListenersSpec
		want string
	}{
		{v1alpha1.ListenersSpec{}, "mqtt 1883 on, mqtts 1885 on, ws 8083 on, wss 8085 on, quic 1885, kafka 9092, amqp 5672, nats 4222, admin 58080"},
		{v1alpha1.ListenersSpec{MQTTS: &v1alpha1.ListenerSpec{Port: 2885}, QUIC: &v1alpha1.ListenerSpec{Enabled: &on, Port: 9}, Kafka: &v1alpha1.ListenerSpec{Enabled: &on}},
			"mqtt 1883 on, mqtts 2885 on, ws 8083 on, wss 8085 on, quic 2885 on, kafka 9092 on, amqp 5672, nats 4222, admin 58080"},
	} {
		var got []string
		for _, l := range c.spec.Effective() {
			s := l.Name + " " + resource.NewQuantity(int64(l.Port), resource.DecimalSI).AsDec().String()
			if l.Enabled {
				s += " on"
			}
			got = append(got, s)
		}
		if s := strings.Join(got, ", "); s != c.want {
			t.Errorf("got  %s\nwant %s", s, c.want)
		}
	}
}

func TestEveryRoleHasItsComponent(t *testing.T) {
	for role, want := range map[v1alpha1.Role]string{
		v1alpha1.RolePlacementCenter: "placement-center", v1alpha1.RoleMQTTBroker: "mqtt-broker", v1alpha1.RoleJournalServer: "journal-server", "Other": "",
	} {
		if got := role.Component(); got != want {
			t.Errorf("%s: %q", role, got)
		}
	}
}

func TestASampleSurvivesARoundTrip(t *testing.T) {
	c := sample(t, "production.yaml")
	data, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	var back v1alpha1.RobustMQCluster
	if err := json.Unmarshal(data, &back); err != nil {
		t.Fatal(err)
	}
	if !equality.Semantic.DeepEqual(c, &back) {
		t.Errorf("%s", data)
	}
}
