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
