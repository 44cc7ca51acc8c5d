package cluster

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
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
	if m.compared[ref{}] == first {
		t.Error("nothing was seen yet")
	}
	m.same(ref{}, first)
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
		if got := compare(c.live, c.wanted); (m.compared[ref{}] == got) != c.known {
			t.Errorf("%s: known %t, want %t", c.name, !c.known, c.known)
		}
	}
}

func TestWhatTheAPIServerRefusesForAWhileIsToldAndWhatMayEndAtOnceIsTriedAgain(t *testing.T) {
	object := service("u", "7", 1)
	resource := schema.GroupResource{Resource: "services"}
	for _, c := range []struct {
		name   string
		err    error
		reason string // empty: it is not told
	}{
		{"a quota or a policy", apierrors.NewForbidden(resource, "s", errors.New("exceeded quota")), v1alpha1.ReasonApplyFailed},
		{"a form that it does not take", apierrors.NewInvalid(schema.GroupKind{Kind: "Service"}, "s", nil), v1alpha1.ReasonApplyFailed},
		{"no address left", apierrors.NewInternalError(errors.New("range is full")), v1alpha1.ReasonApplyFailed},
		{"a kind that is not there", &meta.NoKindMatchError{GroupKind: schema.GroupKind{Kind: "Certificate"}}, v1alpha1.ReasonApplyFailed},
		{"an object of somebody else", &takenError{"Service", "s", "Deployment d"}, v1alpha1.ReasonNameTaken},
		{"a conflict", apierrors.NewConflict(resource, "s", errors.New("changed")), ""},
		{"a namespace that is gone", apierrors.NewNotFound(resource, "s"), ""},
		{"a busy API server", apierrors.NewTooManyRequests("later", 1), ""},
		{"one that is too slow", apierrors.NewTimeoutError("slow", 1), ""},
		{"one that gives up", apierrors.NewServerTimeout(resource, "patch", 1), ""},
		{"one that is going", apierrors.NewServiceUnavailable("shutting down"), ""},
		{"no answer", context.DeadlineExceeded, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			wait, told := toldOf(object, fmt.Errorf("applying Service s: %w", c.err))
			if told != (c.reason != "") || wait.Reason != c.reason || told && (!wait.Trouble || !strings.Contains(wait.Message, "s")) {
				t.Errorf("told %t: %+v, want the reason %q", told, wait, c.reason)
			}
		})
	}
}
