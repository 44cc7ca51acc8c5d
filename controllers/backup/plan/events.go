package plan

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
)

// tell what changed, one event a transition.
func (r *Reconciler) tell(ctx context.Context, p *pass, conditions []metav1.Condition) {
	for _, c := range conditions {
		was := meta.FindStatusCondition(p.cluster.Status.Conditions, c.Type)
		if was == nil {
			was = &metav1.Condition{Status: metav1.ConditionUnknown}
		}
		switch {
		case c.Status == metav1.ConditionFalse && (was.Status != c.Status || was.Reason != c.Reason):
			r.event(ctx, p.cluster, nil, corev1.EventTypeWarning, c.Reason, c.Type+" is false: "+c.Message)
		case c.Status == metav1.ConditionTrue && was.Status != c.Status:
			r.event(ctx, p.cluster, nil, corev1.EventTypeNormal, c.Reason, c.Message)
		}
	}
	before := v1alpha1.CollectionStatus{}
	if p.cluster.Status.Backup != nil {
		before = p.cluster.Status.Backup.Collection
	}
	switch c := p.next.Collection; {
	case c.JobUID == before.JobUID:
	case c.Failures > 0 && c.Reason != before.Reason:
		r.event(ctx, p.cluster, nil, corev1.EventTypeWarning, v1alpha1.ReasonCollectionFailed, c.Reason+": "+c.Message)
	case c.Failures == 0 && (c.ExpiredBackups > 0 || c.DeletedObjects > 0):
		r.event(ctx, p.cluster, nil, corev1.EventTypeNormal, v1alpha1.ReasonBackupsCollected, fmt.Sprintf("deleted from the bucket: %d backups that no retention keeps, %d objects that no backup needs (%d bytes)", c.ExpiredBackups, c.DeletedObjects, c.FreedBytes))
	}
}

// event is one of the cluster, and a line in the log.
func (r *Reconciler) event(ctx context.Context, cluster *v1alpha1.RobustMQCluster, related *v1alpha1.RobustMQBackup, eventType, reason, message string) {
	ctrl.LoggerFrom(ctx).Info("changed", "cluster", cluster.Namespace+"/"+cluster.Name, "step", "none", "reason", reason, "message", message)
	if related == nil {
		r.Events.Eventf(cluster, nil, eventType, reason, reason, "%s", bounded(message, 1000))
		return
	}
	ref := &corev1.ObjectReference{APIVersion: v1alpha1.GroupVersion.String(), Kind: "RobustMQBackup", Namespace: related.Namespace, Name: related.Name, UID: related.UID}
	r.Events.Eventf(cluster, ref, eventType, reason, reason, "%s", bounded(message, 1000))
}
