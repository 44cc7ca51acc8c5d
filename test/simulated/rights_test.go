package simulated

import (
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/robustmq/robustmq-operator/test/simulated/world"
)

// Every other test of this package runs its operators with the rights of config/rbac; this one shows that these are in force.
func TestTheOperatorsOfTheseTestsHaveOnlyTheRightsTheyAreInstalledWith(t *testing.T) {
	t.Parallel()
	w := env.New(t, world.Options{})
	operator, err := env.OperatorClient()
	if err != nil {
		t.Fatal(err)
	}
	if err := operator.List(w.Context(), &corev1.PodList{}, client.InNamespace(w.Namespace)); err != nil {
		t.Errorf("list pods: %v", err)
	}
	if err := operator.Delete(w.Context(), &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "x", Namespace: w.Namespace}}); !apierrors.IsForbidden(err) {
		t.Errorf("delete a Secret, which volumes may still need: %v, want forbidden", err)
	}
	if err := operator.Delete(w.Context(), &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Name: "x", Namespace: w.Namespace}}); !apierrors.IsForbidden(err) {
		t.Errorf("delete a Deployment: %v, want forbidden", err)
	}
}
