package cluster

import (
	"reflect"
	"strconv"
	"strings"
	"testing"
	"unsafe"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
)

func sizedClaim(name string) *corev1.PersistentVolumeClaim {
	class := strings.Clone("fast")
	return &corev1.PersistentVolumeClaim{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: strings.Clone("space"), Labels: map[string]string{strings.Clone("key"): strings.Clone("value")},
			OwnerReferences: []metav1.OwnerReference{{Kind: strings.Clone("Set")}}},
		Spec: corev1.PersistentVolumeClaimSpec{StorageClassName: &class, AccessModes: []corev1.PersistentVolumeAccessMode{corev1.PersistentVolumeAccessMode(strings.Clone("ReadWriteOnce"))},
			Resources: corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("10Gi")}}},
	}
}

func TestEqualStringsOfObjectsAreOneAndTheObjectsSayTheSame(t *testing.T) {
	var i interner
	a, b := sizedClaim("a"), sizedClaim("b")
	i.within(a)
	i.within(b)
	if !reflect.DeepEqual(a, sizedClaim("a")) || !reflect.DeepEqual(b, sizedClaim("b")) {
		t.Errorf("%+v %+v", a, b)
	}
	for what, pair := range map[string][2]string{
		"namespace": {a.Namespace, b.Namespace}, "label": {a.Labels["key"], b.Labels["key"]}, "owner": {a.OwnerReferences[0].Kind, b.OwnerReferences[0].Kind},
		"behind a pointer": {*a.Spec.StorageClassName, *b.Spec.StorageClassName}, "in a list": {string(a.Spec.AccessModes[0]), string(b.Spec.AccessModes[0])},
	} {
		if unsafe.StringData(pair[0]) != unsafe.StringData(pair[1]) {
			t.Errorf("%s: %q is in memory twice", what, pair[0])
		}
	}
}

func TestEqualMapsQuantitiesFieldsAndContainersOfObjectsAreOne(t *testing.T) {
	var i interner
	pod := func(image string) *corev1.Pod {
		return &corev1.Pod{Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "server", Image: image}}, InitContainers: []corev1.Container{{Name: "agent", Image: image}}}}
	}
	service := func(raw string) *corev1.Service {
		return &corev1.Service{ObjectMeta: metav1.ObjectMeta{ManagedFields: []metav1.ManagedFieldsEntry{{FieldsV1: metav1.NewFieldsV1(raw)}}}, Spec: corev1.ServiceSpec{Selector: map[string]string{"role": raw}}}
	}
	a, b, large := sizedClaim("a"), sizedClaim("b"), sizedClaim("c")
	large.Spec.Resources.Requests[corev1.ResourceStorage] = resource.MustParse("11Gi")
	one, two, other := pod("i:1"), pod("i:1"), pod("i:2")
	beside := pod("i:1")
	beside.Spec.InitContainers[0].RestartPolicy = ptr.To(corev1.ContainerRestartPolicyAlways)
	mine, yours, theirs := service("f:1"), service("f:1"), service("f:2")
	for _, object := range []any{a, b, large, one, two, other, beside, mine, yours, theirs} {
		i.within(object)
	}
	same := func(x, y any) bool { return reflect.ValueOf(x).Pointer() == reflect.ValueOf(y).Pointer() }
	raw := func(s *corev1.Service) any { return s.ManagedFields[0].FieldsV1.GetRawBytes() }
	for what, is := range map[string]bool{
		"labels": same(a.Labels, b.Labels), "quantities": same(a.Spec.Resources.Requests, b.Spec.Resources.Requests), "containers": same(one.Spec.Containers, two.Spec.Containers),
		"fields": same(raw(mine), raw(yours)), "selectors": same(mine.Spec.Selector, yours.Spec.Selector),
	} {
		if !is {
			t.Errorf("%s are in memory twice", what)
		}
	}
	if size := large.Spec.Resources.Requests[corev1.ResourceStorage]; size.String() != "11Gi" || other.Spec.Containers[0].Image != "i:2" || one.Spec.InitContainers[0].Name != "agent" || beside.Spec.InitContainers[0].RestartPolicy == nil ||
		theirs.ManagedFields[0].FieldsV1.GetRawString() != "f:2" || theirs.Spec.Selector["role"] != "f:2" {
		t.Errorf("what differs became the same: %+v %+v %+v", large, other, theirs)
	}
}

// Two that have one hash are told apart by what they are.
func TestWhatIsSharedIsComparedAndNotOnlyHashed(t *testing.T) {
	var i interner
	if got := share(&i, 7, "a", func(a, b string) bool { return a == b }); got != "a" {
		t.Error(got)
	}
	if got := share(&i, 7, "b", func(a, b string) bool { return a == b }); got != "b" {
		t.Error(got)
	}
	for n := range uint64(sharedAtMost + 10) {
		share(&i, n, "c", func(a, b string) bool { return a == b })
	}
	if len(i.shared) > sharedAtMost {
		t.Errorf("%d are kept", len(i.shared))
	}
}

func TestWhatIsKeptOfStringsHasABound(t *testing.T) {
	var i interner
	long := strings.Repeat("x", internedLength+1)
	i.of(long)
	for n := range internedAtMost + 10 {
		if s := strconv.Itoa(n); i.of(s) != s {
			t.Fatalf("%q became another", s)
		}
	}
	if len(i.known) > internedAtMost || i.known[long] != "" {
		t.Errorf("%d strings are kept", len(i.known))
	}
}

func TestOfAListNoMoreRoomIsKeptThanItNeeds(t *testing.T) {
	var i interner
	pod := &corev1.Pod{Status: corev1.PodStatus{Conditions: append(make([]corev1.PodCondition, 0, 8), corev1.PodCondition{Type: corev1.PodReady})}}
	i.within(pod)
	if got := pod.Status.Conditions; len(got) != 1 || cap(got) != 1 || got[0].Type != corev1.PodReady {
		t.Errorf("%d of %d: %v", len(got), cap(got), got)
	}
	pod.Status.Conditions = []corev1.PodCondition{}
	if i.within(pod); pod.Status.Conditions == nil {
		t.Error("an empty list became none")
	}
}

func TestPortsOfServicesAreOneAndWhatOnlyOneObjectSaysIsNotKept(t *testing.T) {
	var i interner
	made := func(name string, node int32) *corev1.Service {
		return &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: name, UID: types.UID("uid of " + name), ResourceVersion: "version of " + name, Namespace: "space"},
			Spec: corev1.ServiceSpec{Ports: []corev1.ServicePort{{Name: "mqtt", Port: 1883, NodePort: node}}}}
	}
	one, two, other := made("one", 0), made("two", 0), made("other", 30000)
	for _, s := range []*corev1.Service{one, two, other} {
		i.within(s)
	}
	if &one.Spec.Ports[0] != &two.Spec.Ports[0] {
		t.Error("equal ports are in memory twice")
	}
	if !reflect.DeepEqual(one, made("one", 0)) || !reflect.DeepEqual(two, made("two", 0)) || !reflect.DeepEqual(other, made("other", 30000)) {
		t.Errorf("%+v %+v %+v", one, two, other)
	}
	for _, own := range []string{"one", "uid of one", "version of one"} {
		if _, kept := i.known[own]; kept {
			t.Errorf("%q is kept", own)
		}
	}
	if _, kept := i.known["space"]; !kept {
		t.Error("the namespace is not kept")
	}
}
