package cluster

import (
	"reflect"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	toolscache "k8s.io/client-go/tools/cache"
	"k8s.io/utils/ptr"
)

func entry(manager string, operation metav1.ManagedFieldsOperationType, subresource string) metav1.ManagedFieldsEntry {
	return metav1.ManagedFieldsEntry{Manager: manager, Operation: operation, Subresource: subresource, FieldsV1: &metav1.FieldsV1{}}
}

func TestOfFieldOwnersTheCacheKeepsTheOperatorsOwnApplyOnly(t *testing.T) {
	ours := entry(FieldManager, metav1.ManagedFieldsOperationApply, "")
	for _, c := range []struct {
		name string
		have []metav1.ManagedFieldsEntry
		want []metav1.ManagedFieldsEntry
	}{
		{"beside others", []metav1.ManagedFieldsEntry{entry("kubectl", metav1.ManagedFieldsOperationApply, ""), ours, entry("kube-controller-manager", metav1.ManagedFieldsOperationUpdate, "status")}, []metav1.ManagedFieldsEntry{ours}},
		{"written, not applied", []metav1.ManagedFieldsEntry{entry(FieldManager, metav1.ManagedFieldsOperationUpdate, "")}, nil},
		{"applied a status", []metav1.ManagedFieldsEntry{entry(FieldManager, metav1.ManagedFieldsOperationApply, "status")}, nil},
		{"none", nil, nil},
	} {
		got, err := Slim(&corev1.Service{ObjectMeta: metav1.ObjectMeta{ManagedFields: c.have}})
		if err != nil || !reflect.DeepEqual(got.(*corev1.Service).ManagedFields, c.want) {
			t.Errorf("%s: %v %v, want %v", c.name, got, err, c.want)
		}
	}
}

func TestOfAPodTheCacheKeepsWhatIsDecidedOn(t *testing.T) {
	began := metav1.NewTime(time.Unix(1, 0))
	status := corev1.PodStatus{
		Phase: corev1.PodRunning, PodIP: "10.0.0.1", Reason: "Evicted", Message: "why", Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}},
		ContainerStatuses: []corev1.ContainerStatus{{Name: "server", Image: "i:1", RestartCount: 2, Ready: true, State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: began}},
			LastTerminationState: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: 1}}}},
	}
	about := metav1.ObjectMeta{Name: "c-0", Namespace: "n", UID: "u", Labels: map[string]string{"a": "b", appsv1.ControllerRevisionHashLabelKey: "r"}, Annotations: map[string]string{"c": "d"}, OwnerReferences: []metav1.OwnerReference{{Name: "set"}}}
	full := &corev1.Pod{ObjectMeta: *about.DeepCopy(), Status: *status.DeepCopy(), Spec: corev1.PodSpec{
		NodeName: "node-1", ServiceAccountName: "account", Volumes: []corev1.Volume{{Name: "data"}, *mountedAgent.DeepCopy()},
		InitContainers: []corev1.Container{{Name: "agent", Image: "a:1", Args: []string{"x"}}, {Name: "sidecar", Image: "s:1", RestartPolicy: ptr.To(corev1.ContainerRestartPolicyAlways)}},
		Containers:     []corev1.Container{{Name: "server", Image: "i:1", Env: []corev1.EnvVar{{Name: "e"}}}},
	}}
	full.Labels[appsv1.StatefulSetPodNameLabel], full.Labels[appsv1.PodIndexLabel] = "c-0", "0"
	full.Status.HostIP, full.Status.PodIPs = "192.0.2.1", []corev1.PodIP{{IP: "10.0.0.1"}}
	full.Status.Conditions = append(full.Status.Conditions, corev1.PodCondition{Type: corev1.ContainersReady, Status: corev1.ConditionTrue})
	full.Status.ContainerStatuses[0].ImageID, full.Status.ContainerStatuses[0].ContainerID = "sha256:1", "containerd://1"
	want := &corev1.Pod{ObjectMeta: about, Status: status, Spec: corev1.PodSpec{
		NodeName: "node-1", InitContainers: []corev1.Container{{Name: "agent", Image: "a:1"}, {Name: "sidecar", Image: "s:1", RestartPolicy: ptr.To(corev1.ContainerRestartPolicyAlways)}}, Containers: []corev1.Container{{Name: "server", Image: "i:1"}},
		Volumes: []corev1.Volume{mountedAgent},
	}}
	got, err := Slim(full)
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v %v\nwant %+v", got, err, want)
	}
}

func TestWhatHasNoMetadataGoesThroughTheCacheAsItIs(t *testing.T) {
	gone := toolscache.DeletedFinalStateUnknown{Key: "n/c"}
	if got, err := Slim(gone); err != nil || !reflect.DeepEqual(got, gone) {
		t.Errorf("%v %v", got, err)
	}
}
