package monitoring

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
)

func TestTheConditionTellsTheGravestTroubleInFull(t *testing.T) {
	quota := fmt.Errorf("applying: %w", apierrors.NewForbidden(serviceMonitors.gvr().GroupResource(), "c", errors.New("exceeded quota: q")))
	vanished := fmt.Errorf("applying: %w", apierrors.NewNotFound(serviceMonitors.gvr().GroupResource(), "c"))
	taken := &takenError{"ServiceMonitor", "c", "Helm"}
	for name, c := range map[string]struct {
		outcomes []outcome
		reason   string
		words    []string
	}{
		"all is there":                     {[]outcome{{serviceMonitors, available, nil}, {prometheusRules, available, nil}}, v1alpha1.ReasonMonitored, nil},
		"nothing is wanted":                {nil, v1alpha1.ReasonMonitored, nil},
		"no kind":                          {[]outcome{{serviceMonitors, absent, nil}, {prometheusRules, absent, nil}}, v1alpha1.ReasonKindsMissing, []string{"no ServiceMonitor and no PrometheusRule", "install the Prometheus operator,"}},
		"one kind":                         {[]outcome{{serviceMonitors, available, nil}, {prometheusRules, absent, nil}}, v1alpha1.ReasonKindsMissing, []string{"no PrometheusRule"}},
		"a kind that went in this moment":  {[]outcome{{serviceMonitors, available, vanished}, {prometheusRules, available, nil}}, v1alpha1.ReasonKindsMissing, []string{"no ServiceMonitor"}},
		"no rights":                        {[]outcome{{serviceMonitors, forbidden, nil}, {prometheusRules, absent, nil}}, v1alpha1.ReasonMonitoringForbidden, []string{"ServiceMonitors"}},
		"a quota is no lack of rights":     {[]outcome{{serviceMonitors, available, quota}}, v1alpha1.ReasonApplyFailed, []string{"exceeded quota"}},
		"a name that is taken":             {[]outcome{{serviceMonitors, available, taken}, {prometheusRules, available, quota}}, v1alpha1.ReasonNameTaken, []string{`ServiceMonitor "c"`, "Helm"}},
		"the API server does not answer":   {[]outcome{{serviceMonitors, available, errors.New("connection refused")}}, v1alpha1.ReasonApplyFailed, []string{"connection refused", "tried again"}},
		"what is forbidden before a quota": {[]outcome{{serviceMonitors, available, quota}, {prometheusRules, forbidden, nil}}, v1alpha1.ReasonMonitoringForbidden, []string{"PrometheusRules"}},
	} {
		t.Run(name, func(t *testing.T) {
			got := judge(c.outcomes)
			if got.Reason != c.reason || (got.Status == metav1.ConditionTrue) != (c.reason == v1alpha1.ReasonMonitored) {
				t.Errorf("%+v", got)
			}
			for _, w := range c.words {
				if !strings.Contains(got.Message, w) {
					t.Errorf("%q lacks %q", got.Message, w)
				}
			}
		})
	}
}

func TestWhatAPersonHasToChangeIsLookedAtInAWhileAndTheRestSoon(t *testing.T) {
	denied := fmt.Errorf("applying: %w", apierrors.NewForbidden(serviceMonitors.gvr().GroupResource(), "c", errors.New("exceeded quota")))
	for name, c := range map[string]struct {
		err   error
		after time.Duration
		fails bool
	}{
		"nothing": {nil, 0, false}, "refused": {denied, time.Minute, false}, "taken": {&takenError{}, time.Minute, false}, "no answer": {errors.New("connection refused"), 0, true},
		"the kind went": {apierrors.NewNotFound(serviceMonitors.gvr().GroupResource(), "c"), time.Minute, false},
	} {
		if result, err := next([]outcome{{serviceMonitors, available, c.err}}, time.Minute); result.RequeueAfter != c.after || (err != nil) != c.fails {
			t.Errorf("%s: %+v %v", name, result, err)
		}
	}
}

func TestAKindIsAskedForAsRarelyAsWhatIsKnownOfItAllows(t *testing.T) {
	for _, c := range []struct {
		there defined
		state availability
		want  time.Duration
	}{
		{no, absent, 0}, // the watch on definitions tells when it comes
		{yes, absent, servedSoon}, {yes, unknown, servedSoon}, {yes, forbidden, lookAgain},
		{perhaps, absent, lookAgain}, {perhaps, forbidden, lookAgain}, {perhaps, unknown, lookAgain},
	} {
		if got := patienceFor(c.there, c.state, lookAgain); got != c.want {
			t.Errorf("%v %v: %v, want %v", c.there, c.state, got, c.want)
		}
	}
}

func TestAnObjectOfSomebodyElseIsNeverTaken(t *testing.T) {
	wanted := &unstructured.Unstructured{}
	wanted.SetGroupVersionKind(serviceMonitors.GroupVersionKind)
	wanted.SetName("c")
	wanted.SetOwnerReferences(owner("RobustMQCluster", "c", "1"))
	for name, c := range map[string]struct {
		owners  []metav1.OwnerReference
		managed string
		want    string // mine, leaving, taken
	}{
		"this cluster's":                            {owner("RobustMQCluster", "c", "1"), v1alpha1.ManagedBy, "mine"},
		"this cluster's, its label was taken":       {owner("RobustMQCluster", "c", "1"), "", "mine"},
		"ours, its owner was taken":                 {nil, v1alpha1.ManagedBy, "mine"},
		"an earlier cluster's of this name":         {owner("RobustMQCluster", "c", "0"), v1alpha1.ManagedBy, "leaving"},
		"another cluster's":                         {owner("RobustMQCluster", "d", "2"), v1alpha1.ManagedBy, "taken"},
		"another kind's of this name":               {owner("Kafka", "c", "3"), "", "taken"},
		"a person's":                                {nil, "", "taken"},
		"a person's, who says that Helm manages it": {nil, "Helm", "taken"},
	} {
		live := &unstructured.Unstructured{}
		live.SetName("c")
		live.SetOwnerReferences(c.owners)
		live.SetLabels(map[string]string{v1alpha1.LabelManaged: c.managed})
		err := mine(live, wanted)
		var taken *takenError
		got := map[bool]string{true: "mine"}[err == nil]
		switch {
		case errors.Is(err, errLeaving):
			got = "leaving"
		case errors.As(err, &taken):
			got = "taken"
		}
		if got != c.want {
			t.Errorf("%s: %q, want %q (%v)", name, got, c.want, err)
		}
	}
}

func owner(kind, name, uid string) []metav1.OwnerReference {
	yes := true
	return []metav1.OwnerReference{{APIVersion: "robustmq.io/v1alpha1", Kind: kind, Name: name, UID: types.UID(uid), Controller: &yes}}
}

func TestWhatWasFoundForAnotherSpecIsNotTold(t *testing.T) {
	r := NewRecord()
	c := &v1alpha1.RobustMQCluster{ObjectMeta: metav1.ObjectMeta{Name: "c", Namespace: "ns", Generation: 1}}
	if _, ok := r.Of(c); ok {
		t.Error("told before anybody looked")
	}
	r.set(c, judge(nil))
	if f, ok := r.Of(c); !ok || f.Reason != v1alpha1.ReasonMonitored {
		t.Errorf("%+v", f)
	}
	broken := judge([]outcome{{configMaps, forbidden, nil}})
	r.setDashboards(&broken)
	if f, _ := r.Of(c); f.Reason != v1alpha1.ReasonMonitoringForbidden {
		t.Errorf("%+v", f)
	}
	without := c.DeepCopy()
	without.Spec.Monitoring.Dashboards = new(bool)
	if f, _ := r.Of(without); f.Reason != v1alpha1.ReasonMonitored {
		t.Errorf("one that wants no dashboards: %+v", f)
	}
	c.Generation = 2
	if f, ok := r.Of(c); ok {
		t.Errorf("%+v", f)
	}
}
