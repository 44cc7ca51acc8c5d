package cluster

import (
	"hash/maphash"
	"maps"
	"reflect"
	"slices"
	"strings"
	"sync"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// strings that are kept once: at most so many, of at most so many bytes each. Thousands of objects say the same few words: labels, names of containers and volumes, phases, owners.
const (
	internedAtMost = 1 << 16
	internedLength = 64
)

// sharedAtMost is how many maps, quantities and lists of fields are kept to be shared.
const sharedAtMost = 1 << 15

var sharedSeed = maphash.MakeSeed()

// interner gives equal strings, maps of strings, quantities and lists of fields one copy in memory. What it hands out belongs to many objects, and must not be changed in place: an object of the cache is
// copied before it is changed anyway.
type interner struct {
	mu     sync.Mutex
	known  map[string]string
	shared map[uint64]any
}

// share returns what is kept under a hash if it is equal, else keeps v.
func share[T any](i *interner, hash uint64, v T, equal func(a, b T) bool) T {
	if kept, ok := i.shared[hash].(T); ok && equal(kept, v) {
		return kept
	}
	if i.shared == nil || len(i.shared) >= sharedAtMost { // what was handed out stays as it is
		i.shared = map[uint64]any{}
	}
	i.shared[hash] = v
	return v
}

func (i *interner) labels(m map[string]string) map[string]string {
	hash := uint64(len(m))
	own := make(map[string]string, len(m))
	for key, value := range m {
		hash += maphash.Comparable(sharedSeed, [2]string{key, value})
		own[i.of(key)] = i.of(value)
	}
	return share(i, hash, own, maps.Equal)
}

// quantities are few: how large volumes are.
func (i *interner) quantities(list corev1.ResourceList) corev1.ResourceList {
	hash := uint64(len(list))
	for key, value := range list {
		hash += maphash.Comparable(sharedSeed, [2]string{string(key), value.String()})
	}
	return share(i, hash, list, func(a, b corev1.ResourceList) bool {
		return maps.EqualFunc(a, b, func(x, y resource.Quantity) bool { return x.Format == y.Format && x.String() == y.String() })
	})
}

// containers of a pod that was made slim: an image for every name, the same for all pods of a role.
func (i *interner) containers(list []corev1.Container) []corev1.Container {
	hash := uint64(0)
	for _, c := range list {
		hash = 31*hash + maphash.Comparable(sharedSeed, [2]string{c.Name, c.Image})
	}
	return share(i, hash, list, func(a, b []corev1.Container) bool {
		return slices.EqualFunc(a, b, func(x, y corev1.Container) bool {
			return x.Name == y.Name && x.Image == y.Image && isSidecar(x) == isSidecar(y)
		})
	})
}

// ports of a Service: the same in every cluster, as long as they are given none of the nodes.
func (i *interner) ports(list []corev1.ServicePort) []corev1.ServicePort {
	hash := uint64(len(list))
	for _, p := range list {
		hash = 31*hash + maphash.Comparable(sharedSeed, [2]string{p.Name, p.TargetPort.String()}) + maphash.Comparable(sharedSeed, [2]int32{p.Port, p.NodePort})
	}
	return share(i, hash, list, func(a, b []corev1.ServicePort) bool { return reflect.DeepEqual(a, b) })
}

// fields that somebody owns are the same in every cluster.
func (i *interner) fields(f metav1.FieldsV1) metav1.FieldsV1 {
	return share(i, maphash.String(sharedSeed, f.GetRawString()), f, metav1.FieldsV1.Equal)
}

func (i *interner) of(s string) string {
	if s == "" || len(s) > internedLength {
		return s
	}
	if known, ok := i.known[s]; ok {
		return known
	}
	if i.known == nil || len(i.known) >= internedAtMost { // what was handed out stays as it is
		i.known = map[string]string{}
	}
	own := strings.Clone(s)
	i.known[own] = own
	return own
}

// within replaces what an object holds by those copies, wherever that is settable. It changes the object, not what it says.
func (i *interner) within(object any) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.walk(reflect.ValueOf(object))
	switch object := object.(type) {
	case *corev1.Pod:
		object.Spec.InitContainers, object.Spec.Containers = i.containers(object.Spec.InitContainers), i.containers(object.Spec.Containers)
	case *corev1.Service:
		object.Spec.Ports = i.ports(object.Spec.Ports)
	}
}

// ownWords are the fields of an object's metadata that no other object has: keeping them to be shared would cost more than it saves, and push out what is shared.
var (
	ownWords     = []string{"Name", "UID", "ResourceVersion"}
	aboutObjects = reflect.TypeFor[metav1.ObjectMeta]()
)

func (i *interner) walk(v reflect.Value) {
	if v.CanInterface() && v.CanSet() {
		switch is := v.Interface().(type) {
		case metav1.FieldsV1:
			v.Set(reflect.ValueOf(i.fields(is)))
			return
		case corev1.ResourceList:
			if is != nil {
				v.Set(reflect.ValueOf(i.quantities(is)))
			}
			return
		}
	}
	if v.Type() == aboutObjects {
		for n := range v.NumField() {
			if !slices.Contains(ownWords, v.Type().Field(n).Name) {
				i.walk(v.Field(n))
			}
		}
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			i.walk(v.Elem())
		}
	case reflect.Struct:
		for n := range v.NumField() {
			if f := v.Field(n); f.CanSet() {
				i.walk(f)
			}
		}
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			return
		}
		if v.Cap() > v.Len() && v.CanSet() {
			// Decoding leaves room for half as many again, and taking items out leaves theirs.
			own := reflect.MakeSlice(v.Type(), v.Len(), v.Len())
			reflect.Copy(own, v)
			v.Set(own)
		}
		for n := range v.Len() {
			i.walk(v.Index(n))
		}
	case reflect.Map:
		words, ok := v.Interface().(map[string]string)
		if !ok || words == nil {
			return
		}
		v.Set(reflect.ValueOf(i.labels(words)))
	case reflect.String:
		v.SetString(i.of(v.String()))
	}
}
