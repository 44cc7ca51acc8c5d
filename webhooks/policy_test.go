package webhooks

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	admissionv1 "k8s.io/api/admission/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/webhooks/rules"
)

// known are policies of the namespace "ns".
type known []v1alpha1.RobustMQPolicy

func (k known) In(_ context.Context, namespace string) []rules.Policy {
	if namespace != "ns" {
		return nil
	}
	return rules.PoliciesFor(k, nil)
}

// stuck never knows.
type stuck struct{}

func (stuck) In(ctx context.Context, _ string) []rules.Policy {
	<-ctx.Done()
	return nil
}

// mostBrokers is a policy that allows so many.
func mostBrokers(name string, n int32) v1alpha1.RobustMQPolicy {
	p := v1alpha1.RobustMQPolicy{}
	p.Name, p.Spec.Requirements.Maximum = name, &v1alpha1.MaximumRequirement{Brokers: &n}
	return p
}

func scaleTo(n int) admission.Request {
	return request(admissionv1.Update, runtime.RawExtension{Raw: fmt.Appendf(nil, `{"kind":"Scale","apiVersion":"autoscaling/v1","spec":{"replicas":%d}}`, n)}, runtime.RawExtension{})
}

func TestADenialNamesEveryPolicyThatDenies(t *testing.T) {
	held := platform{policies: known{mostBrokers("b", 5), mostBrokers("a", 3), mostBrokers("wide", 100)}}
	c := defaulted(t)
	c.Spec.MQTTBroker.Replicas = 6
	got := clusterValidator{held}.Handle(t.Context(), request(admissionv1.Create, raw(t, c), runtime.RawExtension{}))
	if got.Allowed || got.Result.Code != 422 || len(got.Result.Details.Causes) != 2 {
		t.Fatalf("%+v", got)
	}
	for _, want := range []string{"PolicyMaximumBrokers (policy a): 6 brokers are more than 3", "PolicyMaximumBrokers (policy b): 6 brokers are more than 5"} {
		if !strings.Contains(got.Result.Message, want) {
			t.Errorf("%q lacks %q", got.Result.Message, want)
		}
	}
	other := request(admissionv1.Create, raw(t, c), runtime.RawExtension{})
	other.Namespace = "other"
	if got := (clusterValidator{held}).Handle(t.Context(), other); !got.Allowed {
		t.Errorf("in a namespace without policies: %+v", got)
	}
}

func TestScaleIsHeldToPoliciesTooAndTowardsThemAlwaysAllowed(t *testing.T) {
	c := defaulted(t)
	c.Spec.MQTTBroker.Replicas = 9
	v := scaleValidator{clusters: reader{cluster: c}, platform: platform{policies: known{mostBrokers("p", 5)}}}
	for n, allowed := range map[int]bool{10: false, 8: true, 5: true} {
		got := v.Handle(t.Context(), scaleTo(n))
		if got.Allowed != allowed || (n == 10) != (got.Result != nil && strings.Contains(got.Result.Message, "(policy p)")) {
			t.Errorf("%d: %+v", n, got)
		}
		if warned := strings.Contains(strings.Join(got.Warnings, "\n"), "it was so before"); warned != (n == 8) {
			t.Errorf("%d: %q", n, got.Warnings)
		}
	}
}

func TestANewPolicyBlocksNoUnrelatedChange(t *testing.T) {
	was := defaulted(t)
	was.Spec.MQTTBroker.Replicas = 9
	is := was.DeepCopy()
	is.Spec.PlacementCenter.Replicas = 7
	got := clusterValidator{platform{policies: known{mostBrokers("p", 5)}}}.Handle(t.Context(), request(admissionv1.Update, raw(t, is), raw(t, was)))
	if !got.Allowed || !strings.Contains(strings.Join(got.Warnings, "\n"), "PolicyMaximumBrokers (policy p)") {
		t.Errorf("%+v", got)
	}
}

func TestPoliciesThatDoNotComeMakeNobodyWaitForASecondAndTheBuiltInRulesHold(t *testing.T) {
	c := defaulted(t)
	began := time.Now()
	got := clusterValidator{platform{policies: stuck{}}}.Handle(t.Context(), request(admissionv1.Create, raw(t, c), runtime.RawExtension{}))
	if took := time.Since(began); !got.Allowed || took > policyPatience+2*time.Second || policyPatience >= time.Second {
		t.Errorf("%s: %+v", took, got)
	}
	c.Spec.PlacementCenter.Replicas = 9
	if got := (clusterValidator{platform{policies: stuck{}}}).Handle(t.Context(), request(admissionv1.Create, raw(t, c), runtime.RawExtension{})); got.Allowed {
		t.Errorf("%+v", got)
	}
}

func TestAPolicyIsJudgedWhenItsSpecChangesAndLetGoAlways(t *testing.T) {
	good, bad := mostBrokers("p", 5), mostBrokers("p", 5)
	bad.Spec.Rules = []v1alpha1.PolicyRule{{Name: "NoSuch", Action: "Deny"}}
	none := runtime.RawExtension{}
	for what, c := range map[string]struct {
		req     admission.Request
		allowed bool
	}{
		"a good one":                          {request(admissionv1.Create, raw(t, good), none), true},
		"a bad one":                           {request(admissionv1.Create, raw(t, bad), none), false},
		"one that turns bad":                  {request(admissionv1.Update, raw(t, bad), raw(t, good)), false},
		"one that was bad and stays":          {request(admissionv1.Update, raw(t, bad), raw(t, bad)), true},
		"one that is deleted":                 {request(admissionv1.Delete, none, raw(t, bad)), true},
		"nothing":                             {request(admissionv1.Create, none, none), false},
		"a quantity that takes half a minute": {request(admissionv1.Create, runtime.RawExtension{Raw: []byte(`{"spec":{"requirements":{"maximum":{"resources":{"cpu":"1e99999999999"}}}}}`)}, none), false},
	} {
		began := time.Now()
		if got := (policyValidator{}).Handle(t.Context(), c.req); got.Allowed != c.allowed || time.Since(began) > 5*time.Second {
			t.Errorf("%s: %+v", what, got)
		}
	}
}
