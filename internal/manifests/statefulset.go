package manifests

import (
	"strconv"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/robustmq/robustmq-operator/api/v1alpha1"
)

// StatefulSet of one role. Parallel: in order, a full restart would wait for a member that waits for the quorum. OnDelete: which member goes when is the operator's decision.
func StatefulSet(cluster *v1alpha1.RobustMQCluster, in Inputs, r v1alpha1.Role) *appsv1.StatefulSet {
	row := roleOf(cluster, r)
	object := meta(cluster, WorkloadName(cluster, r), row.Role.Component())
	if n, asleep := in.Asleep[r]; asleep {
		object.Annotations = map[string]string{v1alpha1.AnnotationAwake: strconv.Itoa(int(n))}
	}
	return &appsv1.StatefulSet{
		TypeMeta:   metav1.TypeMeta{APIVersion: "apps/v1", Kind: "StatefulSet"},
		ObjectMeta: object,
		Spec: appsv1.StatefulSetSpec{
			Replicas:             ptr.To(in.Replicas[r]),
			ServiceName:          WorkloadName(cluster, r),
			Selector:             labelSelector(cluster, row.Role.Component()),
			PodManagementPolicy:  appsv1.ParallelPodManagement,
			UpdateStrategy:       appsv1.StatefulSetUpdateStrategy{Type: appsv1.OnDeleteStatefulSetStrategyType},
			Template:             stamped(podTemplate(cluster, in, row)),
			VolumeClaimTemplates: []corev1.PersistentVolumeClaim{dataVolumeClaim(cluster, in, row)},
			PersistentVolumeClaimRetentionPolicy: &appsv1.StatefulSetPersistentVolumeClaimRetentionPolicy{
				WhenDeleted: whenDeleted(cluster.Spec.VolumeRetention),
				WhenScaled:  appsv1.RetainPersistentVolumeClaimRetentionPolicyType, // a node's volume is deleted only once nothing depends on it any more
			},
		},
	}
}

// Present is how many pods a StatefulSet has, or had before it was put to sleep.
func Present(set *appsv1.StatefulSet) int32 {
	n := ptr.Deref(set.Spec.Replicas, 1)
	if awake, err := strconv.ParseInt(set.Annotations[v1alpha1.AnnotationAwake], 10, 32); err == nil && n == 0 {
		return int32(awake)
	}
	return n
}

// Asleep reports whether a StatefulSet was put to sleep.
func Asleep(set *appsv1.StatefulSet) bool { return set.Annotations[v1alpha1.AnnotationAwake] != "" }

func whenDeleted(retention v1alpha1.VolumeRetention) appsv1.PersistentVolumeClaimRetentionPolicyType {
	if retention == v1alpha1.VolumesDeleted {
		return appsv1.DeletePersistentVolumeClaimRetentionPolicyType
	}
	return appsv1.RetainPersistentVolumeClaimRetentionPolicyType
}

// KeepImmutable puts back into wanted what the API server would refuse to change on live, and names what it put back. Without it one such difference (storage that grew) would
// keep every other change of the StatefulSet from being applied; what was put back is for the caller to bring about in another way, or to report.
func KeepImmutable(live, wanted *appsv1.StatefulSet) (kept []string) {
	// Beside replicas, template, strategy, retention and minReadySeconds nothing of a StatefulSet's spec can change (Kubernetes 1.37, ValidateStatefulSetUpdate).
	if live.Spec.ServiceName != wanted.Spec.ServiceName {
		wanted.Spec.ServiceName = live.Spec.ServiceName
		kept = append(kept, "serviceName")
	}
	if live.Spec.PodManagementPolicy != wanted.Spec.PodManagementPolicy {
		wanted.Spec.PodManagementPolicy = live.Spec.PodManagementPolicy
		kept = append(kept, "podManagementPolicy")
	}
	if !equality.Semantic.DeepEqual(live.Spec.Selector, wanted.Spec.Selector) {
		wanted.Spec.Selector = live.Spec.Selector.DeepCopy()
		kept = append(kept, "selector")
	}
	if templates := claimTemplates(live); !equality.Semantic.DeepEqual(templates, claimTemplates(wanted)) {
		wanted.Spec.VolumeClaimTemplates = templates
		kept = append(kept, "volumeClaimTemplates")
	}
	return kept
}

// claimTemplates without their kind, which is there or not as the API server likes.
func claimTemplates(set *appsv1.StatefulSet) []corev1.PersistentVolumeClaim {
	var templates []corev1.PersistentVolumeClaim
	for i := range set.Spec.VolumeClaimTemplates {
		template := set.Spec.VolumeClaimTemplates[i].DeepCopy()
		template.TypeMeta = metav1.TypeMeta{}
		templates = append(templates, *template)
	}
	return templates
}
