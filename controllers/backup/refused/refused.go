package refused

import (
	"context"
	"fmt"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/fields"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

const (
	// After is how long the pod of a Job may take to be made before somebody is asked why.
	After = 5 * time.Second
	// failedCreate is the reason of the Job controller's events (k8s.io/kubernetes/pkg/controller, FailedCreatePodReason).
	failedCreate = "FailedCreate"
	maxEvents    = 20
)

// Why is what Kubernetes said last of a pod of the Job that it could not make, for people: a quota, an admission rule, a service account that is missing. Empty: nothing is known. An operator that
// may not read events knows nothing, and goes on. reader reads past the cache.
func Why(ctx context.Context, reader client.Reader, j *batchv1.Job, now time.Time) string {
	if now.Sub(j.CreationTimestamp.Time) < After {
		return ""
	}
	var list corev1.EventList
	of := fields.SelectorFromSet(fields.Set{"involvedObject.uid": string(j.UID), "reason": failedCreate})
	if err := reader.List(ctx, &list, client.InNamespace(j.Namespace), client.MatchingFieldsSelector{Selector: of}, client.Limit(maxEvents)); err != nil {
		ctrl.LoggerFrom(ctx).V(1).Info("why a Job has no pod is not known", "job", j.Name, "error", err)
		return ""
	}
	var newest *corev1.Event
	for i := range list.Items {
		if e := &list.Items[i]; newest == nil || last(e).After(last(newest)) {
			newest = e
		}
	}
	if newest == nil || newest.Message == "" {
		return ""
	}
	return fmt.Sprintf("Kubernetes refuses to make the pod of Job %s: %s", j.Name, newest.Message)
}

func last(e *corev1.Event) time.Time {
	at := e.CreationTimestamp.Time
	for _, t := range []time.Time{e.LastTimestamp.Time, e.EventTime.Time} {
		if t.After(at) {
			at = t
		}
	}
	if e.Series != nil && e.Series.LastObservedTime.After(at) {
		at = e.Series.LastObservedTime.Time
	}
	return at
}
