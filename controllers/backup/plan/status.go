package plan

import (
	"context"
	"encoding/json"
	"fmt"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
)

// FieldManager owns status.backup and the conditions StorageReady and BackupsVerified of a RobustMQCluster, and nothing else of it. The rest of the status is written by package controllers/cluster, by another.
const FieldManager = "robustmq-operator-backup"

// since keeps the time at which a condition changed, where it did not.
func since(conditions []metav1.Condition, c metav1.Condition, now metav1.Time) metav1.Condition {
	c.LastTransitionTime = now
	if was := meta.FindStatusCondition(conditions, c.Type); was != nil && was.Status == c.Status {
		c.LastTransitionTime = was.LastTransitionTime
	}
	return c
}

// sameConditions reports whether every condition of the plan is there as it shall be, and no other of its types.
func sameConditions(there, wanted []metav1.Condition) bool {
	for _, kind := range conditionTypes {
		was, is := meta.FindStatusCondition(there, kind), meta.FindStatusCondition(wanted, kind)
		if (was == nil) != (is == nil) || was != nil && *was != *is {
			return false
		}
	}
	return true
}

// conditionTypes are the plan's.
var conditionTypes = []string{v1alpha1.ConditionStorageReady, v1alpha1.ConditionBackupsVerified}

// writeStatus applies what the plan says of a cluster where it differs from what is there, and reports whether it did. What was read must still be so: this status is a memory, and an
// older one must not be written over a newer. A conflict is for the caller to start again.
func (r *Reconciler) writeStatus(ctx context.Context, cluster *v1alpha1.RobustMQCluster, next *v1alpha1.BackupPlanStatus, conditions []metav1.Condition) (bool, error) {
	if sameConditions(cluster.Status.Conditions, conditions) && equality.Semantic.DeepEqual(cluster.Status.Backup, next) {
		return false, nil
	}
	content, err := json.Marshal(map[string]any{
		"apiVersion": v1alpha1.GroupVersion.String(), "kind": "RobustMQCluster",
		"metadata": map[string]any{"name": cluster.Name, "namespace": cluster.Namespace, "uid": cluster.UID, "resourceVersion": cluster.ResourceVersion},
		"status":   map[string]any{"backup": next, "conditions": conditions},
	})
	if err != nil {
		return false, fmt.Errorf("encoding the backup status of cluster %s: %w", cluster.Name, err)
	}
	u := &unstructured.Unstructured{}
	if err := u.UnmarshalJSON(content); err != nil {
		return false, fmt.Errorf("encoding the backup status of cluster %s: %w", cluster.Name, err)
	}
	if err := r.Status().Apply(ctx, client.ApplyConfigurationFromUnstructured(u), client.FieldOwner(FieldManager), client.ForceOwnership); err != nil {
		return false, fmt.Errorf("writing the backup status of cluster %s: %w", cluster.Name, err)
	}
	return true, nil
}

// clearStatus takes away what the plan said of a cluster that has none any more. It is an update, not an apply of nothing: that would leave what somebody else had come to own.
func (r *Reconciler) clearStatus(ctx context.Context, cluster *v1alpha1.RobustMQCluster) error {
	after := cluster.DeepCopy()
	after.Status.Backup = nil
	for _, kind := range conditionTypes {
		meta.RemoveStatusCondition(&after.Status.Conditions, kind)
	}
	if equality.Semantic.DeepEqual(cluster.Status, after.Status) {
		return nil
	}
	if err := r.Status().Update(ctx, after, client.FieldOwner(FieldManager)); err != nil {
		return fmt.Errorf("clearing the backup status of cluster %s: %w", cluster.Name, err)
	}
	return nil
}
