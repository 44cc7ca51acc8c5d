package plan

import (
	"context"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/robustmq/robustmq-operator/controllers/backup/outcome"
	"github.com/robustmq/robustmq-operator/internal/manifests"
)

// keepProbing begins a probe when one is due. One that tries another destination than that of now is of no use to anybody.
func (r *Reconciler) keepProbing(ctx context.Context, p *pass) error {
	w := p.probe
	if w.active() {
		if w.job.Annotations[annotationFingerprint] != p.place.fingerprint {
			return r.remove(ctx, w)
		}
		return nil
	}
	if p.place.problem != "" {
		return nil
	}
	if due := probeDue(p.next.Storage, p.place.fingerprint, p.now); due.After(p.now) {
		p.wakeAt(due)
		return nil
	}
	request, err := r.request(ctx, p.cluster)
	if err != nil {
		return err
	}
	request.ProgressDeadlineSeconds = 120
	_, err = r.start(ctx, p, w, request, manifests.JobOptions{
		Deadline: 5 * time.Minute, Annotations: map[string]string{annotationFingerprint: p.place.fingerprint},
	})
	return err
}

// keepCollecting begins a collection when one is due and nothing else is at work: the lock in the bucket is what keeps them apart, this keeps them from meeting there.
func (r *Reconciler) keepCollecting(ctx context.Context, p *pass, ready metav1.Condition) error {
	w, key := p.collection, client.ObjectKeyFromObject(p.cluster)
	if w.active() {
		// Backups go first. What a collection has deleted is deleted; the next one goes on there.
		if wait := p.now.Sub(w.state.Since); p.wanted && (w.state.Phase == outcome.Pending || wait >= r.Timings.Yield) {
			return r.remove(ctx, w)
		} else if p.wanted {
			p.wakeAt(p.now.Add(r.Timings.Yield - wait))
		}
		return nil
	}
	newest, any := newestScheduled(p.own)
	due, is := collectDue(collecting{last: p.next.Collection, newest: newest, any: any, deleted: r.wasDeleted(key)}, p.now)
	if !is || p.wanted || p.running != "" || ready.Status != metav1.ConditionTrue {
		return nil
	}
	if due.After(p.now) {
		p.wakeAt(due)
		return nil
	}
	request, err := r.request(ctx, p.cluster)
	if err != nil {
		return err
	}
	request.Collect = collectRequest(p.cluster.Spec.Backup.Schedules)
	begun, err := r.start(ctx, p, w, request, manifests.JobOptions{Deadline: time.Hour})
	if begun {
		r.setDeleted(key, false)
	}
	return err
}

// pendingOf is how a Job is going that has not ended; nil when there is none.
func pendingOf(w *work) *outcome.Outcome {
	if !w.active() {
		return nil
	}
	return &w.state
}
