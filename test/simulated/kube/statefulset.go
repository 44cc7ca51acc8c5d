package kube

import (
	"context"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"reflect"
	"slices"
	"strconv"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/rand"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
)

// Indexes of pods: by the uids of their owners, and, of budgets, too, by the cluster that their label names.
const (
	ownerIndex   = "owner-uid"
	clusterIndex = "cluster"
)

func ownersOf(o client.Object) []string {
	var uids []string
	for _, ref := range o.GetOwnerReferences() {
		uids = append(uids, string(ref.UID))
	}
	return uids
}

func clusterOf(o client.Object) []string {
	if name, ok := o.GetLabels()[v1alpha1.LabelCluster]; ok {
		return []string{name}
	}
	return nil
}

// ofCluster finds the objects of the cluster that the labels name, if they do: without looking at those of the many others that share a namespace where thousands are measured.
func ofCluster(labels map[string]string) []client.ListOption {
	if name, ok := labels[v1alpha1.LabelCluster]; ok {
		return []client.ListOption{client.MatchingFields{clusterIndex: name}}
	}
	return nil
}

// selecting finds the pods of a namespace that have all of the labels. They belong to the cache.
func selecting(namespace string, labels map[string]string) []client.ListOption {
	return append(ofCluster(labels), client.InNamespace(namespace), client.MatchingLabels(labels), client.UnsafeDisableDeepCopy)
}

// statefulSets is the StatefulSet controller.
type statefulSets struct{ *ControlPlane }

// Reconcile implements reconcile.Reconciler.
func (r *statefulSets) Reconcile(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	if r.namespace(req.Namespace) == nil {
		return reconcile.Result{}, nil
	}
	var set appsv1.StatefulSet
	if err := r.Client.Get(ctx, req.NamespacedName, &set); err != nil {
		return reconcile.Result{}, client.IgnoreNotFound(err)
	}
	if set.DeletionTimestamp != nil || r.written.outdated(&set) {
		return reconcile.Result{}, nil
	}
	if set.Spec.PodManagementPolicy != appsv1.ParallelPodManagement || set.Spec.UpdateStrategy.Type != appsv1.OnDeleteStatefulSetStrategyType {
		return reconcile.Result{}, reconcile.TerminalError(fmt.Errorf("StatefulSet %s: only Parallel with OnDelete is simulated", req))
	}
	if err := r.adopt(ctx, &set); err != nil {
		return retryConflict(err)
	}
	var pods corev1.PodList
	if err := r.Client.List(ctx, &pods, client.InNamespace(req.Namespace), client.MatchingFields{ownerIndex: string(set.UID)}); err != nil {
		return reconcile.Result{}, fmt.Errorf("list pods: %w", err)
	}
	revision := revisionOf(&set)
	status := countPods(&set, pods.Items, revision)
	wanted := ordinals(&set)
	byName := map[string]*corev1.Pod{}
	for i := range pods.Items {
		byName[pods.Items[i].Name] = &pods.Items[i]
	}
	var problem error
	for _, ordinal := range wanted {
		if err := r.keepPod(ctx, &set, ordinal, byName[podName(&set, ordinal)], revision); err != nil {
			problem = err // the others are independent (Parallel): go on, and come back for this one
		}
	}
	for i := range pods.Items {
		pod := &pods.Items[i]
		if !slices.Contains(wanted, ordinalOf(pod)) && pod.DeletionTimestamp == nil {
			if err := r.ownClaims(ctx, &set, ordinalOf(pod), pod); err != nil {
				return reconcile.Result{}, err
			}
			if err := r.Client.Delete(ctx, pod, client.Preconditions{UID: &pod.UID}); client.IgnoreNotFound(err) != nil {
				return reconcile.Result{}, fmt.Errorf("delete condemned pod %s: %w", pod.Name, err)
			}
		}
	}
	if !reflect.DeepEqual(status, set.Status) {
		set.Status = status
		if result, err := r.writeStatus(ctx, &set); err != nil || !result.IsZero() {
			return result, err
		}
	}
	return retryConflict(problem)
}

// adopt takes pods that its selector matches, that have its names, and that no controller owns any more: those of a set that was deleted without them.
func (r *statefulSets) adopt(ctx context.Context, set *appsv1.StatefulSet) error {
	var pods corev1.PodList
	if err := r.Client.List(ctx, &pods, selecting(set.Namespace, set.Spec.Selector.MatchLabels)...); err != nil {
		return fmt.Errorf("list pods to adopt: %w", err)
	}
	for i := range pods.Items {
		pod := &pods.Items[i]
		if metav1.GetControllerOf(pod) != nil || pod.DeletionTimestamp != nil || !strings.HasPrefix(pod.Name, set.Name+"-") {
			continue
		}
		base := pod
		pod = pod.DeepCopy() // what is listed belongs to the cache
		pod.OwnerReferences = append(pod.OwnerReferences, *metav1.NewControllerRef(set, appsv1.SchemeGroupVersion.WithKind("StatefulSet")))
		if err := r.Client.Patch(ctx, pod, client.MergeFromWithOptions(base, client.MergeFromWithOptimisticLock{})); err != nil {
			return fmt.Errorf("adopt pod %s: %w", pod.Name, err)
		}
	}
	return nil
}

// keepPod makes a missing pod with its claims, and clears away one that ended.
func (r *statefulSets) keepPod(ctx context.Context, set *appsv1.StatefulSet, ordinal int, pod *corev1.Pod, revision string) error {
	if pod != nil && pod.DeletionTimestamp != nil {
		return nil
	}
	if err := r.keepClaims(ctx, set, ordinal); err != nil {
		return err
	}
	if err := r.ownClaims(ctx, set, ordinal, nil); err != nil {
		return err
	}
	switch {
	case pod == nil:
		made := podOf(set, ordinal, revision)
		if err := r.Client.Create(ctx, made); err != nil && !apierrors.IsAlreadyExists(err) {
			return fmt.Errorf("create pod %s: %w", made.Name, err)
		}
	case pod.Status.Phase == corev1.PodFailed || pod.Status.Phase == corev1.PodSucceeded:
		if err := r.Client.Delete(ctx, pod, client.Preconditions{UID: &pod.UID}); client.IgnoreNotFound(err) != nil {
			return fmt.Errorf("delete ended pod %s: %w", pod.Name, err)
		}
	}
	return nil
}

// writeStatus writes the status of what was read from the cache.
func (cp *ControlPlane) writeStatus(ctx context.Context, o client.Object) (reconcile.Result, error) {
	err := cp.Client.Status().Update(ctx, o)
	if err == nil {
		cp.written.note(o)
	}
	return retryConflict(err)
}

func retryConflict(err error) (reconcile.Result, error) {
	if apierrors.IsConflict(err) {
		return ctrl.Result{RequeueAfter: retryAfter}, nil
	}
	return reconcile.Result{}, client.IgnoreNotFound(err)
}

func ordinals(set *appsv1.StatefulSet) []int {
	start, count := 0, 1
	if set.Spec.Ordinals != nil {
		start = int(set.Spec.Ordinals.Start)
	}
	if set.Spec.Replicas != nil {
		count = int(*set.Spec.Replicas)
	}
	all := make([]int, count)
	for i := range all {
		all[i] = start + i
	}
	return all
}

func podName(set *appsv1.StatefulSet, ordinal int) string {
	return set.Name + "-" + strconv.Itoa(ordinal)
}

func ordinalOf(pod *corev1.Pod) int {
	n, err := strconv.Atoi(pod.Name[strings.LastIndexByte(pod.Name, '-')+1:])
	if err != nil {
		return -1
	}
	return n
}

// revisionOf names the template as the controller names its ControllerRevisions: <set>-<hash>.
func revisionOf(set *appsv1.StatefulSet) string {
	text, err := json.Marshal(set.Spec.Template)
	if err != nil {
		panic(err) // a decoded template always encodes
	}
	h := fnv.New32()
	_, _ = h.Write(text)
	return set.Name + "-" + rand.SafeEncodeString(strconv.FormatUint(uint64(h.Sum32()), 10))
}

func countPods(set *appsv1.StatefulSet, pods []corev1.Pod, revision string) appsv1.StatefulSetStatus {
	status := *set.Status.DeepCopy()
	status.ObservedGeneration = set.Generation
	status.UpdateRevision = revision
	if status.CurrentRevision == "" {
		status.CurrentRevision = revision
	}
	if status.CollisionCount == nil {
		status.CollisionCount = new(int32)
	}
	status.Replicas, status.ReadyReplicas, status.AvailableReplicas, status.CurrentReplicas, status.UpdatedReplicas = 0, 0, 0, 0, 0
	for i := range pods {
		pod := &pods[i]
		status.Replicas++
		if pod.DeletionTimestamp != nil {
			continue
		}
		if isReady(pod) {
			status.ReadyReplicas++
			status.AvailableReplicas++
		}
		switch pod.Labels[appsv1.ControllerRevisionHashLabelKey] {
		case revision:
			status.UpdatedReplicas++
		case status.CurrentRevision:
			status.CurrentReplicas++
		}
	}
	if status.CurrentRevision == revision {
		status.CurrentReplicas = status.UpdatedReplicas
	}
	// After the last old pod was deleted by hand the current revision follows (seen on 1.37.2).
	if status.UpdatedReplicas == status.Replicas && status.ReadyReplicas == status.Replicas && int(status.Replicas) == len(ordinals(set)) {
		status.CurrentRevision, status.CurrentReplicas = revision, status.UpdatedReplicas
	}
	return status
}

func isReady(pod *corev1.Pod) bool {
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodReady {
			return c.Status == corev1.ConditionTrue
		}
	}
	return false
}
