//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/test/e2e/live"
	"github.com/robustmq/robustmq-operator/test/e2e/messages"
)

// TestAMemberWhoseVolumeWasWipedWhileItsClusterWasAwayIsSeededBeforeItStarts deletes one volume while the cluster is deleted. When it comes back, that member is a voter of a quorum that remembers it, and its
// server, on an empty volume, would be given almost nothing and look healthy.
func TestAMemberWhoseVolumeWasWipedWhileItsClusterWasAwayIsSeededBeforeItStarts(t *testing.T) {
	onlyLong(t)
	s := newScene(t, "wiped")
	c := small("wiped")
	s.apply(c)
	s.ready(3 * time.Minute)
	s.fill(10)
	s.messages("e2e/wiped")
	before := s.cluster().Status.ClusterUID
	s.deleteCluster()
	_, err := k8s.Kubectl(t.Context(), nil, "delete", "pvc", "data-"+s.member(1).Name, "-n", s.name.Namespace, "--timeout=60s")
	s.must(err)

	begin := time.Now()
	s.apply(c)
	s.ready(4 * time.Minute)
	figures.add("cluster made again, one of three volumes gone, until Ready", "%.0f s", time.Since(begin).Seconds())
	// They are those of the new object alone.
	seeded := slices.ContainsFunc(s.events(), func(e live.Event) bool {
		return e.Reason == v1alpha1.ReasonSeeded && strings.HasPrefix(e.Message, s.member(1).Name+":")
	})
	if !seeded {
		t.Error("no event says that the wiped member was seeded")
	}
	if after := s.cluster().Status.ClusterUID; after != before {
		t.Errorf("it is the cluster %s, and was %s", after, before)
	}
	s.messages("e2e/wiped")
	s.sameKeys("one volume was lost while the cluster was away")
}

// TestTheSampleOfRobustMQ030IsAdmittedWithAWarningAndServes: its brokers cannot cluster, so one of them serves.
func TestTheSampleOfRobustMQ030IsAdmittedWithAWarningAndServes(t *testing.T) {
	onlyLong(t)
	if realServer {
		t.Skip("ROBUSTMQ_BIN is of one version only")
	}
	s := newScene(t, "my-cluster")
	out, warnings, err := k8s.KubectlAll(t.Context(), nil, "apply", "-n", s.name.Namespace, "-f", root+"/config/samples/cluster.yaml")
	s.must(err)
	if !strings.Contains(warnings, "0.3.0") || !strings.Contains(warnings, "0.4.11") {
		t.Errorf("kubectl apply said %s%s: want a warning that names 0.3.0 and the way out, 0.4.11", out, warnings)
	}
	c, took := s.ready(4 * time.Minute)
	figures.add("config/samples/cluster.yaml (0.3.0, islands), from apply to Ready", "%.1f s", took.Seconds())
	supported := meta.FindStatusCondition(c.Status.Conditions, v1alpha1.ConditionVersionSupported)
	if supported == nil || supported.Status != metav1.ConditionFalse || supported.Reason != v1alpha1.ReasonIslandsOnly {
		t.Errorf("VersionSupported: %+v", supported)
	}
	var slices discoveryv1.EndpointSliceList
	s.must(k8s.List(t.Context(), &slices, client.InNamespace(s.name.Namespace), client.MatchingLabels{discoveryv1.LabelServiceName: s.name.Name}))
	var behind []string
	for _, slice := range slices.Items {
		for _, e := range slice.Endpoints {
			behind = append(behind, e.TargetRef.Name)
		}
	}
	if len(behind) != 1 || behind[0] != s.broker(0).Name {
		t.Errorf("the client Service leads to %v: only broker 0 must serve", behind)
	}
	access, err := messages.Reach(t.Context(), k8s, c)
	s.must(err)
	r, err := messages.Exchange(t.Context(), access.Broker(0), access.Broker(0), "e2e/islands", "run", 20, time.Minute)
	if err != nil || r.Received != 20 {
		t.Errorf("%+v, %v", r, err)
	}
}

// TestUninstallLeavesNothing removes the operator, and installs it again.
func TestUninstallLeavesNothing(t *testing.T) {
	onlyLong(t)
	ctx := t.Context()
	t.Cleanup(func() {
		if err := k8s.Install(context.WithoutCancel(ctx), installation(), 2*time.Minute); err != nil {
			t.Error(err)
		}
	})
	s := newScene(t, "leaving")
	c := small("leaving")
	c.Spec.VolumeRetention = v1alpha1.VolumesDeleted
	s.apply(c)
	s.ready(3 * time.Minute)
	if err := live.Uninstall(ctx, installation(), k8s.KubectlCommand); err == nil {
		t.Error("it was uninstalled although there is a cluster")
	}
	s.deleteCluster()
	s.must(live.Until(ctx, "no volume, Secret or Service of the cluster is left", time.Second, time.Minute, func(ctx context.Context) (bool, string, error) {
		out, err := k8s.Kubectl(ctx, nil, "get", "-n", s.name.Namespace, "-o", "name", "-l", v1alpha1.LabelCluster+"="+s.name.Name,
			"pods,persistentvolumeclaims,secrets,services,statefulsets,poddisruptionbudgets,networkpolicies,serviceaccounts,ingresses")
		return strings.TrimSpace(out) == "", out, err
	}))
	s.must(live.Uninstall(ctx, installation(), k8s.KubectlCommand))
	s.must(live.Until(ctx, "nothing of the operator is left", time.Second, 2*time.Minute, func(ctx context.Context) (bool, string, error) {
		left, err := k8s.Kubectl(ctx, nil, "get", "-A", "-o", "name", "-l", "app.kubernetes.io/name=robustmq-operator", "--ignore-not-found",
			"deployments,pods,services,secrets,serviceaccounts,roles,rolebindings,clusterroles,clusterrolebindings,validatingwebhookconfigurations,mutatingwebhookconfigurations,networkpolicies,poddisruptionbudgets")
		if err != nil {
			return false, "", err
		}
		crds, err := k8s.Kubectl(ctx, nil, "get", "crd", "-o", "name")
		if err != nil {
			return false, "", err
		}
		for line := range strings.Lines(crds) {
			if strings.Contains(line, "robustmq.io") {
				left += line
			}
		}
		var ns corev1.Namespace
		if k8s.Get(ctx, client.ObjectKey{Name: live.OperatorNamespace}, &ns) == nil {
			left += fmt.Sprintf("namespace/%s (%s)", ns.Name, ns.Status.Phase)
		}
		return strings.TrimSpace(left) == "", left, nil
	}))
}
