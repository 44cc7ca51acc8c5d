package monitoring

import (
	"fmt"
	"runtime"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/monitoring/alerts"
)

// stored is the metadata of an object as the API server has it, with what owners of fields are listed in it.
func stored(o client.Object, uid int) *metav1.PartialObjectMetadata {
	m := &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{
		Name: o.GetName(), Namespace: o.GetNamespace(), UID: types.UID(fmt.Sprintf("00000000-0000-4000-8000-%012d", uid)), ResourceVersion: fmt.Sprint(1000000 + uid), Generation: 3,
		Labels: o.GetLabels(), OwnerReferences: o.GetOwnerReferences(), Annotations: map[string]string{"example.org/note": "of somebody else"},
	}}
	m.ManagedFields = []metav1.ManagedFieldsEntry{{Manager: "robustmq-operator", Operation: "Apply", FieldsV1: &metav1.FieldsV1{}}}
	m.ManagedFields[0].FieldsV1.SetRawBytes(make([]byte, 3000))
	return m
}

// A thousand clusters share 256 MiB with everything else that the operator holds of them; rules and ServiceMonitors whole would be 80 MB of it.
func TestAThousandClustersMonitoringIsHeldInAFewMegabytes(t *testing.T) {
	const clusters, limit = 1000, 6 << 20
	k := &keeper{}
	record := NewRecord()
	monitors, rules := toolscache.NewStore(toolscache.MetaNamespaceKeyFunc), toolscache.NewStore(toolscache.MetaNamespaceKeyFunc)
	before := heap()
	for i := range clusters {
		c := &v1alpha1.RobustMQCluster{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("cluster-%d", i), Namespace: fmt.Sprintf("team-%d", i/10), UID: types.UID(fmt.Sprintf("10000000-0000-4000-8000-%012d", i)), Generation: 3}}
		c.Spec.Version = "0.4.11"
		c.Default()
		rule, err := prometheusRule(c, alerts.ForCluster)
		if err != nil {
			t.Fatal(err)
		}
		for store, o := range map[toolscache.Store]client.Object{monitors: serviceMonitor(c), rules: rule} {
			m := stored(o, i)
			slimmed, err := slim(m)
			if err != nil {
				t.Fatal(err)
			}
			if err := store.Add(slimmed); err != nil {
				t.Fatal(err)
			}
			k.note(keyOf(o), mark{string(m.UID), versionOf(m), uint64(i)})
		}
		record.set(c, judge(nil))
	}
	grown := int64(heap()) - int64(before)
	t.Logf("%d bytes a cluster", grown/clusters)
	if grown > limit {
		t.Errorf("%d clusters hold %d bytes, the limit is %d", clusters, grown, limit)
	}
	runtime.KeepAlive([]any{k, record, monitors, rules})
}

func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// BenchmarkLookingAtAClusterAtRest is what a look costs that finds everything as it was.
func BenchmarkLookingAtAClusterAtRest(b *testing.B) {
	c := &v1alpha1.RobustMQCluster{ObjectMeta: metav1.ObjectMeta{Name: "c", Namespace: "ns", UID: "1"}}
	c.Spec.Version = "0.4.11"
	c.Default()
	k := &keeper{}
	b.ReportAllocs()
	for b.Loop() {
		rule, err := prometheusRule(c, alerts.ForCluster)
		if err != nil {
			b.Fatal(err)
		}
		hash, err := hashOf(rule)
		if err != nil {
			b.Fatal(err)
		}
		k.note(keyOf(rule), mark{"1", "1", hash})
	}
}
