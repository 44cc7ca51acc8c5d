package refused

import (
	"context"
	"errors"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
)

var noon = time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)

func event(name, job, reason, message string, at time.Duration) *corev1.Event {
	return &corev1.Event{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "ns"}, InvolvedObject: corev1.ObjectReference{Kind: "Job", Name: "b-backup", UID: "j"}, Reason: reason, Message: message,
		LastTimestamp: metav1.NewTime(noon.Add(at)), Source: corev1.EventSource{Component: job},
	}
}

func reader(asked *int, objects ...client.Object) client.Reader {
	return fake.NewClientBuilder().WithScheme(clientgoscheme.Scheme).WithObjects(objects...).
		WithIndex(&corev1.Event{}, "involvedObject.uid", func(o client.Object) []string { return []string{string(o.(*corev1.Event).InvolvedObject.UID)} }).
		WithIndex(&corev1.Event{}, "reason", func(o client.Object) []string { return []string{o.(*corev1.Event).Reason} }).
		WithInterceptorFuncs(interceptor.Funcs{List: func(ctx context.Context, c client.WithWatch, list client.ObjectList, opts ...client.ListOption) error {
			*asked++
			return c.List(ctx, list, opts...)
		}}).Build()
}

func TestWhatKubernetesSaidLastOfAPodThatItCouldNotMakeIsTold(t *testing.T) {
	j := &batchv1.Job{ObjectMeta: metav1.ObjectMeta{Name: "b-backup", Namespace: "ns", UID: "j", CreationTimestamp: metav1.NewTime(noon)}}
	other := event("d", "job", "FailedCreate", "of another Job", 9*time.Second)
	other.InvolvedObject.UID = "somebody"
	asked := 0
	r := reader(&asked, event("a", "job", "FailedCreate", "exceeded quota: small", 2*time.Second), event("b", "job", "FailedCreate", "denied by a rule", 3*time.Second),
		event("c", "job", "SuccessfulCreate", "made", 8*time.Second), other)
	if got := Why(t.Context(), r, j, noon.Add(After)); got != "Kubernetes refuses to make the pod of Job b-backup: denied by a rule" {
		t.Error(got)
	}
	if got := Why(t.Context(), r, j, noon.Add(After-1)); got != "" || asked != 1 {
		t.Errorf("a Job that was made a moment ago: %q, asked %d times", got, asked)
	}
	if got := Why(t.Context(), reader(&asked), j, noon.Add(After)); got != "" {
		t.Errorf("nothing is known: %q", got)
	}
}

func TestAnOperatorThatMayNotReadEventsGoesOn(t *testing.T) {
	j := &batchv1.Job{ObjectMeta: metav1.ObjectMeta{Name: "b-backup", Namespace: "ns", UID: "j", CreationTimestamp: metav1.NewTime(noon)}}
	denied := interceptor.NewClient(fake.NewClientBuilder().Build(), interceptor.Funcs{List: func(context.Context, client.WithWatch, client.ObjectList, ...client.ListOption) error {
		return errors.New("forbidden")
	}})
	if got := Why(t.Context(), denied, j, noon.Add(time.Hour)); got != "" {
		t.Error(got)
	}
}
