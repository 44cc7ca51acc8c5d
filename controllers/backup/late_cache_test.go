package backup

import (
	"reflect"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
)

// kinds that the operator sees late, each by itself.
var kinds = []string{"backup", "cluster", "job", "pod"}

// snapshot is what a cache holds of one kind.
type snapshot []client.Object

func (s snapshot) get(key client.ObjectKey, into client.Object) error {
	for _, o := range s {
		if client.ObjectKeyFromObject(o) == key {
			reflect.ValueOf(into).Elem().Set(reflect.ValueOf(o.DeepCopyObject()).Elem())
			return nil
		}
	}
	return apierrors.NewNotFound(schema.GroupResource{}, key.Name)
}

func (s snapshot) list(into client.ObjectList, opts ...client.ListOption) error {
	var o client.ListOptions
	o.ApplyOptions(opts)
	var found []runtime.Object
	for _, object := range s {
		if o.LabelSelector == nil || o.LabelSelector.Matches(labels.Set(object.GetLabels())) {
			found = append(found, object.DeepCopyObject())
		}
	}
	return meta.SetList(into, found)
}

// kindOf is the kind whose cache an object is read from; empty: it is read past every cache.
func kindOf(o any) string {
	switch o.(type) {
	case *v1alpha1.RobustMQBackup, *v1alpha1.RobustMQBackupList:
		return "backup"
	case *v1alpha1.RobustMQCluster:
		return "cluster"
	case *batchv1.Job, *batchv1.JobList:
		return "job"
	case *corev1.Pod, *corev1.PodList:
		return "pod"
	}
	return ""
}

// sync brings the cache of a kind up to date.
func (d *dice) sync(kind string) {
	list := map[string]client.ObjectList{"backup": &v1alpha1.RobustMQBackupList{}, "cluster": &v1alpha1.RobustMQClusterList{}, "job": &batchv1.JobList{}, "pod": &corev1.PodList{}}[kind]
	d.must(d.truth.List(d.t.Context(), list))
	items, err := meta.ExtractList(list)
	d.must(err)
	d.cache[kind] = nil
	for _, o := range items {
		d.cache[kind] = append(d.cache[kind], o.(client.Object))
	}
}
