package backup

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestNumbersAreAskedOfTheFirstBrokerThatServes(t *testing.T) {
	pod := func(name, ip string, ready corev1.ConditionStatus) corev1.Pod {
		return corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name}, Status: corev1.PodStatus{PodIP: ip, Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: ready}}}}
	}
	leaving := pod("b-0", "10.0.0.9", corev1.ConditionTrue)
	leaving.DeletionTimestamp = &metav1.Time{Time: time.Unix(1, 0)}
	for name, c := range map[string]struct {
		pods []corev1.Pod
		want string
	}{
		"none":                {nil, ""},
		"none serves":         {[]corev1.Pod{pod("b-0", "10.0.0.1", corev1.ConditionFalse), pod("b-1", "", corev1.ConditionTrue)}, ""},
		"the first":           {[]corev1.Pod{pod("b-2", "10.0.0.3", corev1.ConditionTrue), pod("b-1", "10.0.0.2", corev1.ConditionTrue), pod("b-0", "10.0.0.1", corev1.ConditionFalse)}, "10.0.0.2"},
		"not one that leaves": {[]corev1.Pod{leaving, pod("b-1", "10.0.0.2", corev1.ConditionTrue)}, "10.0.0.2"},
	} {
		if got := counterOf(c.pods); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}
