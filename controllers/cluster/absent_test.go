package cluster

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
)

// bare is an API server that has nothing, and counts how often it is asked.
type bare struct {
	client.Client
	asked int
}

func (*bare) Scheme() *runtime.Scheme { return clientgoscheme.Scheme }

func (b *bare) Get(_ context.Context, _ client.ObjectKey, object client.Object, _ ...client.GetOption) error {
	b.asked++
	return &meta.NoKindMatchError{GroupKind: object.GetObjectKind().GroupVersionKind().GroupKind()}
}

func (*bare) Apply(context.Context, runtime.ApplyConfiguration, ...client.ApplyOption) error {
	return errors.New("there is no such kind")
}

func TestWhatWasSeenNotToExistAndIsInNoCacheIsLookedForAgainInAnHourOrWhenItWasWanted(t *testing.T) {
	certificate := &unstructured.Unstructured{}
	certificate.SetGroupVersionKind(schema.GroupVersionKind{Group: "cert-manager.io", Version: "v1", Kind: "Certificate"})
	certificate.SetName("c")
	cached := &corev1.Service{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Service"}, ObjectMeta: metav1.ObjectMeta{Name: "c"}}

	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	server := &bare{}
	r := &Reconciler{Client: server, Now: func() time.Time { return now }, Timings: DefaultTimings()}
	p := &pass{log: logr.Discard(), cluster: &v1alpha1.RobustMQCluster{}, memory: &memory{}}
	asked := func(object client.Object) int {
		t.Helper()
		before := server.asked
		if gone, err := r.remove(t.Context(), p, refOf(object)); err != nil || !gone {
			t.Fatal(gone, err)
		}
		return server.asked - before
	}
	if n := asked(certificate); n != 1 {
		t.Errorf("asked %d times at first", n)
	}
	now = now.Add(r.Timings.Absent - time.Second)
	if n := asked(certificate); n != 0 {
		t.Errorf("asked %d times within the hour", n)
	}
	now = now.Add(time.Second)
	if n := asked(certificate); n != 1 {
		t.Errorf("asked %d times after the hour", n)
	}
	if _, err := r.apply(t.Context(), p, certificate); err == nil {
		t.Error("it was made by a server that cannot")
	}
	if n := asked(certificate); n != 0 {
		t.Errorf("asked %d times within a minute after the kind was seen to be lacking", n)
	}
	now = now.Add(lackingFor)
	if n := asked(certificate); n != 1 {
		t.Errorf("asked %d times after it was wanted", n)
	}
	p = &pass{log: logr.Discard(), cluster: &v1alpha1.RobustMQCluster{}, memory: &memory{}}
	if n := asked(certificate); n != 0 {
		t.Errorf("asked %d times for another cluster within the minute", n)
	}
	now = now.Add(lackingFor)
	if n := asked(certificate); n != 1 {
		t.Errorf("asked %d times for another cluster after the minute", n)
	}
	if n := asked(cached) + asked(cached); n != 2 {
		t.Errorf("the cache was asked %d times of 2", n)
	}
}

func TestCertificatesAreLookedIntoAnewWhenASecretChangesOneIsDueOrTheClockGoesBack(t *testing.T) {
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	settled := settledCertificates{of: "u 7", at: at, until: at.Add(time.Hour)}
	for _, c := range []struct {
		what string
		of   string
		now  time.Time
		want bool
	}{
		{"nothing changed", "u 7", at, true},
		{"just before one is due", "u 7", at.Add(time.Hour - 1), true},
		{"one is due", "u 7", at.Add(time.Hour), false},
		{"a Secret was written", "u 8", at, false},
		{"the clock went back", "u 7", at.Add(-1), false},
	} {
		if got := settled.stillAre(c.of, c.now); got != c.want {
			t.Errorf("%s: %t", c.what, got)
		}
	}
	if (settledCertificates{}).stillAre("", time.Time{}) {
		t.Error("nothing was looked into yet")
	}
}
