package kube

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// retryAfter is how soon a conflict with a stale cache is tried again.
const retryAfter = 20 * time.Millisecond

// podOf is the pod of an ordinal, with the identity that a StatefulSet gives: name, hostname, subdomain, claims, labels.
func podOf(set *appsv1.StatefulSet, ordinal int, revision string) *corev1.Pod {
	name := podName(set, ordinal)
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Name: name, Namespace: set.Namespace,
			Labels: maps.Clone(set.Spec.Template.Labels), Annotations: maps.Clone(set.Spec.Template.Annotations),
			OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(set, appsv1.SchemeGroupVersion.WithKind("StatefulSet"))},
		},
		Spec: *set.Spec.Template.Spec.DeepCopy(),
	}
	if pod.Labels == nil {
		pod.Labels = map[string]string{}
	}
	pod.Labels[appsv1.StatefulSetPodNameLabel] = name
	pod.Labels[appsv1.PodIndexLabel] = strconv.Itoa(ordinal)
	pod.Labels[appsv1.ControllerRevisionHashLabelKey] = revision
	pod.Spec.Hostname = name
	pod.Spec.Subdomain = set.Spec.ServiceName
	for _, template := range set.Spec.VolumeClaimTemplates {
		pod.Spec.Volumes = slices.DeleteFunc(pod.Spec.Volumes, func(v corev1.Volume) bool { return v.Name == template.Name })
		pod.Spec.Volumes = append(pod.Spec.Volumes, corev1.Volume{
			Name:         template.Name,
			VolumeSource: corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: claimName(template.Name, name)}},
		})
	}
	return pod
}

func claimName(template, pod string) string { return template + "-" + pod }

// keepClaims makes the claims of an ordinal that do not exist. Existing ones are taken as they are: that is how retained volumes come back.
func (r *statefulSets) keepClaims(ctx context.Context, set *appsv1.StatefulSet, ordinal int) error {
	for _, template := range set.Spec.VolumeClaimTemplates {
		name := claimName(template.Name, podName(set, ordinal))
		var found corev1.PersistentVolumeClaim
		err := r.Client.Get(ctx, client.ObjectKey{Namespace: set.Namespace, Name: name}, &found)
		if err == nil {
			if found.DeletionTimestamp != nil {
				return fmt.Errorf("claim %s is being deleted", name) // the real controller waits too
			}
			continue
		}
		if !apierrors.IsNotFound(err) {
			return fmt.Errorf("get claim %s: %w", name, err)
		}
		claim := &corev1.PersistentVolumeClaim{
			ObjectMeta: metav1.ObjectMeta{
				Name: name, Namespace: set.Namespace,
				Labels: maps.Clone(template.Labels), Annotations: maps.Clone(template.Annotations),
			},
			Spec: *template.Spec.DeepCopy(),
		}
		if claim.Labels == nil {
			claim.Labels = map[string]string{}
		}
		maps.Copy(claim.Labels, set.Spec.Selector.MatchLabels)
		if err := r.Client.Create(ctx, claim); err != nil && !apierrors.IsAlreadyExists(err) {
			return fmt.Errorf("create claim %s: %w", name, err)
		}
	}
	return nil
}

// ownClaims applies persistentVolumeClaimRetentionPolicy: whenDeleted Delete makes the set an owner of the claims, whenScaled Delete makes a condemned pod one.
func (r *statefulSets) ownClaims(ctx context.Context, set *appsv1.StatefulSet, ordinal int, condemned *corev1.Pod) error {
	policy := appsv1.StatefulSetPersistentVolumeClaimRetentionPolicy{WhenDeleted: appsv1.RetainPersistentVolumeClaimRetentionPolicyType, WhenScaled: appsv1.RetainPersistentVolumeClaimRetentionPolicyType}
	if set.Spec.PersistentVolumeClaimRetentionPolicy != nil {
		policy = *set.Spec.PersistentVolumeClaimRetentionPolicy
	}
	for _, template := range set.Spec.VolumeClaimTemplates {
		var claim corev1.PersistentVolumeClaim
		name := claimName(template.Name, podName(set, ordinal))
		if err := r.Client.Get(ctx, client.ObjectKey{Namespace: set.Namespace, Name: name}, &claim); err != nil {
			if apierrors.IsNotFound(err) {
				continue // made a moment ago, or gone: the next pass sees it
			}
			return fmt.Errorf("get claim %s: %w", name, err)
		}
		isOurs := func(ref metav1.OwnerReference) bool { return ref.Kind == "StatefulSet" || ref.Kind == "Pod" }
		want := slices.DeleteFunc(slices.Clone(claim.OwnerReferences), isOurs)
		switch {
		case condemned != nil && policy.WhenScaled == appsv1.DeletePersistentVolumeClaimRetentionPolicyType:
			want = append(want, metav1.OwnerReference{APIVersion: "v1", Kind: "Pod", Name: condemned.Name, UID: condemned.UID})
		case policy.WhenDeleted == appsv1.DeletePersistentVolumeClaimRetentionPolicyType:
			want = append(want, metav1.OwnerReference{APIVersion: "apps/v1", Kind: "StatefulSet", Name: set.Name, UID: set.UID})
		}
		if slices.EqualFunc(want, claim.OwnerReferences, func(a, b metav1.OwnerReference) bool { return a.UID == b.UID }) {
			continue
		}
		claim.OwnerReferences = want
		if err := r.Client.Update(ctx, &claim); err != nil {
			return fmt.Errorf("own claim %s: %w", name, err)
		}
	}
	return nil
}
