package manifests

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	apilabels "k8s.io/apimachinery/pkg/labels"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
)

func TestTheBudgetOfThePlacementCentreIsWhatTheQuorumCanSpare(t *testing.T) {
	for _, c := range []struct {
		voters  int32
		missing bool
		want    string
	}{{1, false, "none"}, {1, true, "none"}, {2, false, "0"}, {3, false, "1"}, {3, true, "0"}, {4, false, "1"}, {5, false, "2"}, {5, true, "0"}, {7, false, "3"}} {
		cluster, in := sample(t, "sample-0.4.11")
		in.Replicas[v1alpha1.RolePlacementCenter], in.VoterMissing = c.voters, c.missing
		got := "none"
		if b := PodDisruptionBudget(cluster, in, v1alpha1.RolePlacementCenter); b != nil {
			got = b.Spec.MaxUnavailable.String()
			if *b.Spec.UnhealthyPodEvictionPolicy != policyv1.IfHealthyBudget {
				t.Error("a voter that answered its probe too late could be evicted while another is missing")
			}
		}
		if got != c.want {
			t.Errorf("%d voters, missing %v: %s, want %s", c.voters, c.missing, got, c.want)
		}
	}
}

func TestASingleBrokerHasNoBudgetAndTwoHave(t *testing.T) {
	cluster, in := sample(t, "single")
	if PodDisruptionBudget(cluster, in, v1alpha1.RoleMQTTBroker) != nil {
		t.Error("a single broker's budget would block every drain")
	}
	in.Replicas[v1alpha1.RoleMQTTBroker] = 2
	if b := PodDisruptionBudget(cluster, in, v1alpha1.RoleMQTTBroker); b == nil || b.Spec.MaxUnavailable.String() != "1" {
		t.Errorf("%v", b)
	}
}

// allowed lists "from port/protocol" of everything that may come in to a pod of a role.
func allowed(cluster *v1alpha1.RobustMQCluster, in Inputs, r v1alpha1.Role) []string {
	var out []string
	pod := apilabels.Set(StatefulSet(cluster, in, r).Spec.Template.Labels)
	for _, p := range NetworkPolicies(cluster, in) {
		if s, err := metav1.LabelSelectorAsSelector(&p.Spec.PodSelector); err != nil || !s.Matches(pod) {
			continue
		}
		for _, rule := range p.Spec.Ingress {
			for _, port := range rule.Ports {
				for _, from := range peers(rule.From) {
					out = append(out, fmt.Sprintf("%s %s/%s", from, port.Port.String(), *port.Protocol))
				}
			}
		}
	}
	slices.Sort(out)
	return out
}

func peers(from []networkingv1.NetworkPolicyPeer) []string {
	if len(from) == 0 {
		return []string{"everyone"}
	}
	var out []string
	for _, p := range from {
		switch {
		case p.IPBlock != nil:
			out = append(out, p.IPBlock.CIDR)
		case p.NamespaceSelector != nil && p.PodSelector != nil:
			out = append(out, "operator")
		case p.NamespaceSelector != nil && len(p.NamespaceSelector.MatchLabels) > 0:
			out = append(out, "monitoring")
		case p.NamespaceSelector != nil:
			out = append(out, "pods")
		default:
			out = append(out, "cluster")
		}
	}
	return out
}

func TestTheNetworkPolicyLetsInExactlyWhoHasToCome(t *testing.T) {
	inside := "cluster 1228/TCP, cluster 1778/TCP, cluster 58080/TCP, cluster 7443/TCP"
	for _, c := range []struct {
		name   string
		sample string
		role   v1alpha1.Role
		change func(*v1alpha1.RobustMQCluster)
		want   string
	}{
		{"placement centre: no client", "sample-0.4.11", v1alpha1.RolePlacementCenter, nil, inside + ", operator 7443/TCP, pods 7480/TCP, pods 7481/TCP"},
		{
			"brokers: the usual listeners", "sample-0.4.11", v1alpha1.RoleMQTTBroker, nil,
			inside + ", everyone 1883/TCP, everyone 1885/TCP, everyone 8083/TCP, everyone 8085/TCP, operator 7443/TCP, pods 7480/TCP, pods 7481/TCP",
		},
		{"0.3.0: metrics on their own port", "sample-0.3.0", v1alpha1.RolePlacementCenter, nil, inside + ", operator 7443/TCP, pods 7480/TCP, pods 7481/TCP, pods 9091/TCP"},
		{
			"the admin API is closed to clients and scrapers", "sample-0.4.11", v1alpha1.RoleMQTTBroker,
			func(c *v1alpha1.RobustMQCluster) { c.Spec.Listeners.MQTT.Enabled = ptr.To(false) },
			inside + ", everyone 1885/TCP, everyone 8083/TCP, everyone 8085/TCP, operator 7443/TCP, pods 7480/TCP, pods 7481/TCP",
		},
		{
			"production: named clients, named monitoring, the Ingress with the admin UI", "production", v1alpha1.RoleMQTTBroker, nil,
			"192.0.2.0/24 58080/TCP, 192.0.2.0/24 8083/TCP, 192.0.2.0/24 8085/TCP, 192.0.2.0/24 8883/TCP, 192.0.2.0/24 8883/UDP, 192.0.2.0/24 9092/TCP, " +
				inside + ", monitoring 7480/TCP, monitoring 7481/TCP, operator 7443/TCP",
		},
		{"switched off", "single", v1alpha1.RoleMQTTBroker, nil, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			cluster, in := sample(t, c.sample)
			if c.change != nil {
				c.change(cluster)
			}
			if got := strings.Join(allowed(cluster, in, c.role), ", "); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}

func TestAPlacementCentreNameVanishesWithItsPodAndTheOthersDoNot(t *testing.T) {
	cluster, _ := sample(t, "production")
	for r, publish := range map[v1alpha1.Role]bool{v1alpha1.RolePlacementCenter: false, v1alpha1.RoleMQTTBroker: true, v1alpha1.RoleJournalServer: true} {
		s := GoverningService(cluster, r)
		if s.Spec.PublishNotReadyAddresses != publish || s.Spec.ClusterIP != corev1.ClusterIPNone || s.Name != StatefulSet(cluster, Inputs{}, r).Spec.ServiceName {
			t.Errorf("%s: %+v", r, s.Spec)
		}
	}
}

func TestOnlyBrokerZeroIsServedWhereBrokersAreIslands(t *testing.T) {
	for version, want := range map[string]int{"sample-0.4.11": 5, "sample-0.3.0": 1} {
		cluster, in := sample(t, version)
		selector := apilabels.SelectorFromSet(ClientService(cluster, in).Spec.Selector)
		served := 0
		for o := range cluster.Spec.MQTTBroker.Replicas {
			pod := apilabels.Set(StatefulSet(cluster, in, v1alpha1.RoleMQTTBroker).Spec.Template.Labels)
			pod["statefulset.kubernetes.io/pod-name"] = PodName(cluster, v1alpha1.RoleMQTTBroker, o)
			if selector.Matches(pod) {
				served++
			}
		}
		if served != want {
			t.Errorf("%s: %d brokers are served, want %d", version, served, want)
		}
	}
}

func TestAClusterWithoutListenersHasNoClientService(t *testing.T) {
	cluster, in := sample(t, "sample-0.4.11")
	l := &cluster.Spec.Listeners
	for _, one := range []*v1alpha1.ListenerSpec{l.MQTT, l.MQTTS, l.WS, l.WSS} {
		one.Enabled = ptr.To(false)
	}
	if ClientService(cluster, in) != nil {
		t.Error("a Service without ports would be refused")
	}
	if !slices.ContainsFunc(Absent(cluster, in), func(o client.Object) bool { return o.GetName() == "my-cluster" && kindOf(o) == "Service" }) {
		t.Error("the one that an earlier spec made stays")
	}
}

func TestWhatOneSpecMakesAnotherRemoves(t *testing.T) {
	production, _ := sample(t, "production")
	bare := production.DeepCopy()
	bare.Spec.Ingress, bare.Spec.TLS.IssuerRef, bare.Spec.NetworkPolicy.Enabled = nil, nil, ptr.To(false)
	bare.Spec.PlacementCenter.Replicas, bare.Spec.MQTTBroker.Replicas, bare.Spec.JournalServer.Replicas = 1, 1, 1
	made, still := map[string]bool{}, map[string]bool{}
	for into, cluster := range map[*map[string]bool]*v1alpha1.RobustMQCluster{&made: production, &still: bare} {
		objects, err := Objects(cluster, inputsFor(cluster))
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range objects {
			(*into)[kindOf(o)+"/"+o.GetName()] = true
		}
	}
	absent := map[string]bool{}
	for _, o := range Absent(bare, inputsFor(bare)) {
		absent[kindOf(o)+"/"+o.GetName()] = true
		if kindOf(o) == "StatefulSet" || kindOf(o) == "Secret" {
			t.Errorf("%s %s would be deleted", kindOf(o), o.GetName())
		}
	}
	for name := range made {
		if still[name] == absent[name] {
			t.Errorf("%s: still made %v, removed %v", name, still[name], absent[name])
		}
	}
	if len(absent) != 8 {
		t.Errorf("%v", absent)
	}
}

func TestRetainedVolumesKeepTheirCredentials(t *testing.T) {
	cluster, _ := sample(t, "sample-0.4.11")
	cluster.Spec.VolumeRetention = v1alpha1.VolumesRetained
	for _, s := range []*corev1.Secret{AdminSecret(cluster, "x"), MQTTSecret(cluster, "x"), JWTSecret(cluster, "x")} {
		if len(s.OwnerReferences) != 0 {
			t.Errorf("%s goes with the cluster, its data stays", s.Name)
		}
	}
	cluster.Spec.VolumeRetention = v1alpha1.VolumesDeleted
	for _, s := range []*corev1.Secret{AdminSecret(cluster, "x"), MQTTSecret(cluster, "x"), JWTSecret(cluster, "x")} {
		if !metav1.IsControlledBy(s, cluster) {
			t.Errorf("%s stays behind", s.Name)
		}
	}
}

func TestConfigurationKeepsNumbersAsTheyWereWritten(t *testing.T) {
	cluster, in := sample(t, "production") // cluster_id: 2^64-1, no float64
	s, err := ConfigSecret(cluster, in, v1alpha1.RoleMQTTBroker)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(s.Data["config.json"]), `"cluster_id":18446744073709551615`) {
		t.Errorf("%s", s.Data["config.json"])
	}
	var c protocol.Config
	if err := json.Unmarshal(s.Data["config.json"], &c); err != nil {
		t.Fatal(err)
	}
	if c.BaseID != 1001 || len(c.Members) != 5 || c.Engines != 15 || c.WorkerThreads != 64 || c.Ports.MQTTS != 8883 {
		t.Errorf("%+v", c)
	}
}

func TestRandomTextIsFairAndComesFromItsSource(t *testing.T) {
	source := make([]byte, 512)
	for i := range source {
		source[i] = byte(i)
	}
	got, err := RandomText(strings.NewReader(string(source)), 256)
	if err != nil {
		t.Fatal(err)
	}
	count := map[rune]int{}
	for _, r := range got {
		count[r]++
	}
	if len(got) != 256 || len(count) != 62 {
		t.Fatalf("%d characters, %d different", len(got), len(count))
	}
	for r, n := range count { // 256 bytes hold every character four times, and eight bytes that have to be thrown away
		if n < 4 || n > 5 {
			t.Errorf("%c stands %d times", r, n)
		}
	}
	if _, err := RandomText(strings.NewReader("short"), 32); err == nil {
		t.Error("a source that ends was taken for randomness")
	}
}

func kindOf(o client.Object) string { return o.GetObjectKind().GroupVersionKind().Kind }
