package simulated

import (
	"testing"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/test/simulated/world"
)

// refuse has the API server refuse a Service of the world, as a policy of the platform team or a quota would, until the test lifts that.
func refuse(t *testing.T, w *world.World, service string) (lift func()) {
	t.Helper()
	name := w.Namespace + "-no-" + service
	policy := &admissionv1.ValidatingAdmissionPolicy{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: admissionv1.ValidatingAdmissionPolicySpec{
		FailurePolicy: ptr.To(admissionv1.Fail),
		MatchConstraints: &admissionv1.MatchResources{ResourceRules: []admissionv1.NamedRuleWithOperations{{RuleWithOperations: admissionv1.RuleWithOperations{
			Operations: []admissionv1.OperationType{admissionv1.Create, admissionv1.Update}, Rule: admissionv1.Rule{APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{"services"}},
		}}}},
		Validations: []admissionv1.Validation{{Expression: "object.metadata.name != '" + service + "'", Message: "no more addresses for you"}},
	}}
	binding := &admissionv1.ValidatingAdmissionPolicyBinding{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: admissionv1.ValidatingAdmissionPolicyBindingSpec{
		PolicyName: name, ValidationActions: []admissionv1.ValidationAction{admissionv1.Deny},
		MatchResources: &admissionv1.MatchResources{NamespaceSelector: &metav1.LabelSelector{MatchLabels: map[string]string{corev1.LabelMetadataName: w.Namespace}}},
	}}
	for _, o := range []client.Object{policy, binding} {
		if err := w.Client.Create(w.Context(), o); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = w.Client.Delete(t.Context(), o) })
	}
	w.Await("that the policy is in force", func() (bool, string) {
		err := w.Client.Create(w.Context(), &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: w.Namespace, Name: service}, Spec: corev1.ServiceSpec{Ports: []corev1.ServicePort{{Port: 1}}}}, client.DryRunAll)
		return err != nil && !apierrors.IsAlreadyExists(err), "the Service may be made"
	})
	return func() {
		if err := w.Client.Delete(w.Context(), binding); err != nil {
			t.Fatal(err)
		}
	}
}

func TestAnObjectThatTheAPIServerRefusesIsToldAndTheMembersAreLookedAfterAllTheSame(t *testing.T) {
	t.Parallel()
	w := env.New(t, world.Options{})
	lift := refuse(t, w, "c")
	w.StartOperator()
	c := w.Apply(manifest(newest, 3, 1, ""))
	w.AwaitCondition("c", v1alpha1.ConditionReady, "False", v1alpha1.ReasonApplyFailed, "no more addresses for you")
	w.Await("a placement centre that is whole", func() (bool, string) { return w.OneRaft(c) })
	lift()
	formed(t, w)
}
