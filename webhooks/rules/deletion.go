package rules

import (
	"fmt"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/robustmq/robustmq-operator/api/v1alpha1"
)

// DeleteCluster judges the deletion of a cluster.
func DeleteCluster(c *v1alpha1.RobustMQCluster, ctx Context) []Violation {
	ctx.Operation = Delete
	return Evaluate(Clusters, c, nil, ctx, nothingAllowed)
}

func deletionProtected(old, _ *cluster, _ Context) []Violation {
	value := old.Annotations[v1alpha1.AnnotationDeletionProtection]
	if value != "true" {
		return nil
	}
	return []Violation{{
		Field: field.NewPath("metadata", "annotations").Key(v1alpha1.AnnotationDeletionProtection), Value: value,
		Message: "somebody protects this cluster from deletion; if its namespace is being deleted, everything else in it, volume claims included, goes all the same",
		WayOut:  fmt.Sprintf("if it shall go, take the annotation off first: kubectl annotate robustmqcluster %s -n %s %s-", old.Name, old.Namespace, v1alpha1.AnnotationDeletionProtection),
	}}
}
