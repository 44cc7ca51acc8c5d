package manifests

import (
	"fmt"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/pod-security-admission/api"
	podsecurity "k8s.io/pod-security-admission/policy"
	"k8s.io/utils/ptr"

	"github.com/robustmq/robustmq-operator/api/v1alpha1"
)

var allRoles = []v1alpha1.Role{v1alpha1.RolePlacementCenter, v1alpha1.RoleMQTTBroker, v1alpha1.RoleJournalServer}

func TestEveryPodPassesThePodSecurityProfileRestricted(t *testing.T) {
	evaluator, err := podsecurity.NewEvaluator(podsecurity.DefaultChecks(), nil)
	if err != nil {
		t.Fatal(err)
	}
	restricted := api.LevelVersion{Level: api.LevelRestricted, Version: api.LatestVersion()}
	for _, name := range samples {
		cluster, in := sample(t, name)
		for _, r := range allRoles {
			pod := StatefulSet(cluster, in, r).Spec.Template
			for _, result := range evaluator.EvaluatePod(restricted, &pod.ObjectMeta, &pod.Spec) {
				if !result.Allowed {
					t.Errorf("%s %s: %s: %s", name, r, result.ForbiddenReason, result.ForbiddenDetail)
				}
			}
		}
	}
}

func TestNoContainerCanWriteToItsRootFileSystem(t *testing.T) {
	cluster, in := sample(t, "production")
	for _, r := range allRoles {
		spec := StatefulSet(cluster, in, r).Spec.Template.Spec
		for _, c := range append(spec.InitContainers, spec.Containers...) {
			if !ptr.Deref(c.SecurityContext.ReadOnlyRootFilesystem, false) {
				t.Errorf("%s %s can", r, c.Name)
			}
		}
		if ptr.Deref(spec.AutomountServiceAccountToken, true) {
			t.Errorf("%s: the pod has a Kubernetes token", r)
		}
	}
}

// A changed template makes a new revision: the pods would have to be replaced for what the agent does in place.
func TestNoConfigurationCredentialOrScaleChangesAPodTemplate(t *testing.T) {
	for name, change := range map[string]func(*v1alpha1.RobustMQCluster, *Inputs){
		"configuration": func(c *v1alpha1.RobustMQCluster, _ *Inputs) { c.Spec.Config = nil },
		"ports": func(c *v1alpha1.RobustMQCluster, _ *Inputs) {
			c.Spec.Listeners.MQTT.Port, c.Spec.Listeners.Admin.Port = 2883, 58081
		},
		"listeners switched": func(c *v1alpha1.RobustMQCluster, _ *Inputs) {
			c.Spec.Listeners.Kafka.Enabled = ptr.To(false)
			c.Spec.Listeners.Service = v1alpha1.ServiceSpec{}
		},
		"ingress":        func(c *v1alpha1.RobustMQCluster, _ *Inputs) { c.Spec.Ingress = nil },
		"certificate":    func(c *v1alpha1.RobustMQCluster, _ *Inputs) { c.Spec.TLS = v1alpha1.TLSSpec{DNSNames: []string{"x"}} },
		"network policy": func(c *v1alpha1.RobustMQCluster, _ *Inputs) { c.Spec.NetworkPolicy.Enabled = ptr.To(false) },
		"retention":      func(c *v1alpha1.RobustMQCluster, _ *Inputs) { c.Spec.VolumeRetention = v1alpha1.VolumesDeleted },
		"storage": func(c *v1alpha1.RobustMQCluster, _ *Inputs) {
			c.Spec.MQTTBroker.Storage = ptr.To(resource.MustParse("1Ti"))
		},
		"scale":            func(c *v1alpha1.RobustMQCluster, in *Inputs) { c.Spec.MQTTBroker.Replicas, in.Members = 9, 7 },
		"a restore":        func(_ *v1alpha1.RobustMQCluster, in *Inputs) { in.Generation = 2 },
		"a missing voter":  func(_ *v1alpha1.RobustMQCluster, in *Inputs) { in.VoterMissing = true },
		"operator's place": func(_ *v1alpha1.RobustMQCluster, in *Inputs) { in.OperatorNamespace = "elsewhere" },
	} {
		t.Run(name, func(t *testing.T) {
			cluster, in := sample(t, "production")
			before := map[v1alpha1.Role]*appsv1.StatefulSet{}
			for _, r := range allRoles {
				before[r] = StatefulSet(cluster, in, r)
			}
			change(cluster, &in)
			for _, r := range allRoles {
				if now := StatefulSet(cluster, in, r); !equality.Semantic.DeepEqual(now.Spec.Template, before[r].Spec.Template) {
					t.Errorf("%s: the template changed", r)
				}
			}
		})
	}
}

func TestAUsersLabelsNeverTakeAPodOutOfItsSelector(t *testing.T) {
	cluster, in := sample(t, "production") // its placement centre is labelled robustmq.io/cluster: somebody-else
	set := StatefulSet(cluster, in, v1alpha1.RolePlacementCenter)
	for key, value := range set.Spec.Selector.MatchLabels {
		if set.Spec.Template.Labels[key] != value {
			t.Errorf("label %s is %q, the selector wants %q", key, set.Spec.Template.Labels[key], value)
		}
	}
	if set.Spec.Template.Labels["team"] != "iot" || set.Spec.Template.Annotations["example.com/note"] != "keep" {
		t.Error("the user's own labels and annotations are gone")
	}
}

func TestAUsersAffinityStandsBesideOursUnlessItIsAntiAffinity(t *testing.T) {
	cluster, in := sample(t, "production")
	placement := StatefulSet(cluster, in, v1alpha1.RolePlacementCenter).Spec.Template.Spec
	if placement.Affinity.NodeAffinity == nil || len(placement.Affinity.PodAntiAffinity.PreferredDuringSchedulingIgnoredDuringExecution) != 1 {
		t.Errorf("node affinity took our anti-affinity away: %v", placement.Affinity)
	}
	broker := StatefulSet(cluster, in, v1alpha1.RoleMQTTBroker).Spec.Template.Spec
	if len(broker.Affinity.PodAntiAffinity.PreferredDuringSchedulingIgnoredDuringExecution) != 0 || len(broker.TopologySpreadConstraints) != 1 || broker.TopologySpreadConstraints[0].MaxSkew != 2 {
		t.Errorf("the user's own rules were not left alone: %v %v", broker.Affinity, broker.TopologySpreadConstraints)
	}
}

func TestEqualRequestsAndLimitsGiveAGuaranteedPod(t *testing.T) {
	cluster, in := sample(t, "sample-0.4.11") // brokers: {memory: 2Gi, cpu: 1000m}
	spec := StatefulSet(cluster, in, v1alpha1.RoleMQTTBroker).Spec.Template.Spec
	for _, c := range append(spec.InitContainers, spec.Containers...) {
		if len(c.Resources.Limits) != 2 || !equality.Semantic.DeepEqual(c.Resources.Requests, c.Resources.Limits) {
			t.Errorf("%s: %v", c.Name, c.Resources)
		}
	}
}

func TestNamesFitTheDNSLimitsForTheLongestCluster(t *testing.T) {
	cluster, in := sample(t, "production")
	cluster.Name = strings.Repeat("n", v1alpha1.MaxNameLength)
	cluster.Namespace = strings.Repeat("s", 63)
	cluster.Spec.TLS, cluster.Spec.Auth = v1alpha1.TLSSpec{}, v1alpha1.AuthSpec{}
	for _, object := range everything(t, cluster, in) {
		if problems := validation.IsDNS1123Subdomain(object.GetName()); len(problems) > 0 {
			t.Errorf("%T %s: %v", object, object.GetName(), problems)
		}
		for key, value := range object.GetLabels() {
			if problems := validation.IsValidLabelValue(value); len(problems) > 0 {
				t.Errorf("%T %s: label %s=%s: %v", object, object.GetName(), key, value, problems)
			}
		}
		switch object := object.(type) {
		case *corev1.Service:
			if problems := validation.IsDNS1035Label(object.Name); len(problems) > 0 {
				t.Errorf("Service %s: %v", object.Name, problems)
			}
		case *appsv1.StatefulSet:
			// The controller labels its pods with controller-revision-hash: <name>-<10 characters>, and with the pod's own name.
			for _, value := range []string{object.Name + "-" + strings.Repeat("x", 10), object.Name + "-999"} {
				if problems := validation.IsValidLabelValue(value); len(problems) > 0 {
					t.Errorf("label %s: %v", value, problems)
				}
			}
		}
	}
	for _, r := range allRoles {
		if host := PodHost(cluster, in, r, 999); len(host) > 253 || len(validation.IsDNS1123Subdomain(host)) > 0 {
			t.Errorf("%d characters: %s", len(host), host)
		}
	}
}

func TestKeepImmutablePutsBackOnlyWhatCannotChange(t *testing.T) {
	cluster, in := sample(t, "production")
	live := StatefulSet(cluster, in, v1alpha1.RoleMQTTBroker)
	live.Spec.VolumeClaimTemplates[0].Kind = "PersistentVolumeClaim" // as some API servers have it
	live.Spec.VolumeClaimTemplates[0].APIVersion = "v1"
	if kept := KeepImmutable(live, StatefulSet(cluster, in, v1alpha1.RoleMQTTBroker)); len(kept) > 0 {
		t.Errorf("nothing changed, and %v was kept", kept)
	}
	cluster.Spec.MQTTBroker.Storage = ptr.To(resource.MustParse("1Ti"))
	in.ServerImage, in.Replicas[v1alpha1.RoleMQTTBroker] = "new", 9
	wanted := StatefulSet(cluster, in, v1alpha1.RoleMQTTBroker)
	if kept := KeepImmutable(live, wanted); fmt.Sprint(kept) != "[volumeClaimTemplates]" {
		t.Errorf("kept %v", kept)
	}
	if wanted.Spec.Template.Spec.Containers[0].Image != "new" || *wanted.Spec.Replicas != 9 {
		t.Error("what can change was put back too")
	}
	if got := wanted.Spec.VolumeClaimTemplates[0].Spec.Resources.Requests.Storage().String(); got != "100Gi" {
		t.Errorf("storage of the template is %s", got)
	}
}
