package cluster

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

func service(uid, version string, port int32) *corev1.Service {
	return &corev1.Service{TypeMeta: metav1.TypeMeta{Kind: "Service", APIVersion: "v1"}, ObjectMeta: metav1.ObjectMeta{Name: "s", UID: types.UID(uid), ResourceVersion: version},
		Spec: corev1.ServiceSpec{Ports: []corev1.ServicePort{{Port: port}}}}
}

func TestWhatWasSeenAsWantedIsComparedAnewWhenEitherChanges(t *testing.T) {
	compare := func(live, wanted *corev1.Service) comparison {
		t.Helper()
		c, err := comparisonOf(live, wanted)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	var m memory
	first := compare(service("u", "7", 1), service("", "", 1))
	if m.compared[first.key] == first {
		t.Error("nothing was seen yet")
	}
	m.same(first)
	for _, c := range []struct {
		name         string
		live, wanted *corev1.Service
		known        bool
	}{
		{"nothing changed", service("u", "7", 1), service("", "", 1), true},
		{"somebody wrote it", service("u", "8", 1), service("", "", 1), false},
		{"it was made anew", service("v", "7", 1), service("", "", 1), false},
		{"something else is wanted", service("u", "7", 1), service("", "", 2), false},
	} {
		if got := compare(c.live, c.wanted); (m.compared[got.key] == got) != c.known {
			t.Errorf("%s: known %t, want %t", c.name, !c.known, c.known)
		}
	}
}
