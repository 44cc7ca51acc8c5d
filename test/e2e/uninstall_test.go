//go:build e2e

package e2e

import (
	"context"
	"strings"
	"testing"
	"time"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/test/e2e/live"
)

// The other orders than `make uninstall`'s (TestUninstallLeavesNothing): nothing of the operator may keep anything from going.

// installAgain puts back at the end of a test what it took away.
func installAgain(t *testing.T) {
	t.Helper()
	ctx := context.WithoutCancel(t.Context())
	t.Cleanup(func() {
		if err := k8s.Install(ctx, installation(), 3*time.Minute); err != nil {
			k8s.DiagnoseOperator(ctx, t.Output())
			t.Error(err)
		}
	})
}

// leaving is a Ready cluster whose volumes go with it.
func leaving(t *testing.T, name string) *scene {
	t.Helper()
	s := newScene(t, name)
	c := small(name)
	c.Spec.VolumeRetention = v1alpha1.VolumesDeleted
	s.apply(c)
	s.ready(3 * time.Minute)
	return s
}

// nothingRuns waits until nothing that the operator made for the cluster is left: Kubernetes itself removes what the cluster owned.
func (s *scene) nothingRuns() {
	s.Helper()
	s.must(live.Until(s.Context(), "nothing of the cluster runs", time.Second, 3*time.Minute, func(ctx context.Context) (bool, string, error) {
		out, err := k8s.Kubectl(ctx, nil, "get", "-n", s.name.Namespace, "-o", "name", "-l", v1alpha1.LabelCluster+"="+s.name.Name, "pods,statefulsets,services,persistentvolumeclaims")
		return strings.TrimSpace(out) == "", out, err
	}))
}

func (s *scene) kubectl(args ...string) {
	s.Helper()
	_, err := k8s.Kubectl(s.Context(), nil, args...)
	s.must(err)
}

func TestTheNamespaceOfAClusterCanGoFirst(t *testing.T) {
	onlyLong(t)
	s := leaving(t, "namespace-first")
	s.must(removeNamespace(t.Context(), s.name.Namespace)) // with everything in it, within its own deadline
}

// TestTheOperatorCanGoFirst: its namespace is deleted, and its webhook configurations are left behind with nobody to answer.
func TestTheOperatorCanGoFirst(t *testing.T) {
	onlyLong(t)
	s := leaving(t, "operator-first")
	installAgain(t)
	s.kubectl("delete", "namespace", live.OperatorNamespace, "--timeout=3m")
	s.messages("e2e/without-an-operator")

	c := small(s.name.Name)
	c.Spec.VolumeRetention, c.Spec.MQTTBroker.Replicas = v1alpha1.VolumesDeleted, 3
	if _, _, err := s.tryApply(c); err == nil || !strings.Contains(err.Error(), "failed calling webhook") {
		t.Errorf("a spec that nobody could judge: %v", err)
	}
	s.kubectl("label", "robustmqcluster", s.name.Name, "-n", s.name.Namespace, "a=b")
	s.kubectl("delete", "robustmqcluster", s.name.Name, "-n", s.name.Namespace, "--timeout=1m")
	s.nothingRuns()
	s.must(removeNamespace(t.Context(), s.name.Namespace))
	s.kubectl("delete", "crd", "robustmqclusters.robustmq.io", "--timeout=1m")
	s.kubectl("delete", "validatingwebhookconfiguration,mutatingwebhookconfiguration", "robustmq-operator")
}

// TestTheDefinitionCanGoFirst: with a cluster in it, and the operator running.
func TestTheDefinitionCanGoFirst(t *testing.T) {
	onlyLong(t)
	s := leaving(t, "definition-first")
	installAgain(t)
	s.kubectl("delete", "crd", "robustmqclusters.robustmq.io", "--timeout=2m")
	s.nothingRuns()
	s.must(removeNamespace(t.Context(), s.name.Namespace))
}
