package cluster

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/internal/topology"
)

// ahead is an API server that has these objects, whatever the cache has heard of.
func ahead(t *testing.T, objects ...client.Object) client.WithWatch {
	t.Helper()
	scheme := runtime.NewScheme()
	if err := clientgoscheme.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	return fake.NewClientBuilder().WithScheme(scheme).WithObjects(objects...).WithStatusSubresource(&v1alpha1.RobustMQCluster{}).Build()
}

func TestACacheThatIsBehindFoundsNoSecondCluster(t *testing.T) {
	claim := func(annotations map[string]string) *corev1.PersistentVolumeClaim {
		return &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{
			Namespace: "ns", Name: "data-c-placement-center-0", Labels: map[string]string{v1alpha1.LabelCluster: "c"}, Annotations: annotations,
		}}
	}
	for what, c := range map[string]struct {
		claim   *corev1.PersistentVolumeClaim
		status  v1alpha1.RobustMQClusterStatus
		refused bool
	}{
		"nothing says so":                     {claim(nil), v1alpha1.RobustMQClusterStatus{ClusterUID: testUID, Generation: 1}, false},
		"the claims are not there yet":        {nil, v1alpha1.RobustMQClusterStatus{ClusterUID: testUID, Generation: 1}, false},
		"a claim says so":                     {claim(map[string]string{v1alpha1.AnnotationClusterUID: testUID, v1alpha1.AnnotationFounded: "true"}), v1alpha1.RobustMQClusterStatus{ClusterUID: testUID, Generation: 1}, true},
		"the status says so":                  {claim(nil), v1alpha1.RobustMQClusterStatus{ClusterUID: testUID, Generation: 1, Founded: true}, true},
		"a generation was begun since":        {claim(map[string]string{v1alpha1.AnnotationClusterUID: testUID, v1alpha1.AnnotationGeneration: "2", v1alpha1.AnnotationFounded: notFounded}), v1alpha1.RobustMQClusterStatus{ClusterUID: testUID, Generation: 1}, true},
		"it is another cluster by the claims": {claim(map[string]string{v1alpha1.AnnotationClusterUID: "22222222-2222-3333-4444-555555555555"}), v1alpha1.RobustMQClusterStatus{}, true},
	} {
		cluster := sample("0.4.11")
		cluster.Status = c.status
		objects := []client.Object{cluster}
		if c.claim != nil {
			objects = append(objects, c.claim)
		}
		r := &Reconciler{Reader: ahead(t, objects...)}
		p := &pass{cluster: sample("0.4.11"), id: identity{uid: testUID, generation: 1}}
		if err := r.neverFounded(t.Context(), p); (err != nil) != c.refused {
			t.Errorf("%s: %v", what, err)
		}
	}
	r := &Reconciler{Reader: ahead(t)}
	if err := r.neverFounded(t.Context(), &pass{cluster: sample("0.4.11"), id: identity{uid: testUID, generation: 1}}); err == nil {
		t.Error("it is founded although the API server does not say what is on record")
	}
}

func TestAPodThatIsSaidNeverToHaveRunIsReplacedOnlyAsItWasSeen(t *testing.T) {
	for what, c := range map[string]struct {
		state   topology.PodState
		changed bool
		stays   bool
	}{
		"it is as it was":                       {topology.PodPending, false, false},
		"it came to run meanwhile":              {topology.PodPending, true, true},
		"it ran, and something else was noted":  {topology.PodRunning, true, false},
		"it ran, and nothing was noted of that": {topology.PodRunning, false, false},
	} {
		pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "c-placement-center-0", UID: "u"}}
		api := ahead(t, pod)
		var seen corev1.Pod
		if err := api.Get(t.Context(), client.ObjectKeyFromObject(pod), &seen); err != nil {
			t.Fatal(err)
		}
		if c.changed {
			now := seen.DeepCopy()
			now.Status.Phase = corev1.PodRunning
			if err := api.Status().Update(t.Context(), now); err != nil {
				t.Fatal(err)
			}
		}
		p := &pass{observed: &observation{pods: map[string]*corev1.Pod{pod.Name: &seen}}, snapshot: topology.Snapshot{Members: []topology.Member{{Pod: pod.Name, State: c.state}}}}
		err := (&Reconciler{Client: api}).replace(t.Context(), p, topology.Step{Kind: topology.StepReplace, Pod: pod.Name})
		left := api.Get(t.Context(), client.ObjectKeyFromObject(pod), &corev1.Pod{}) == nil
		if (err != nil) != c.stays || left != c.stays {
			t.Errorf("%s: %v, it is there: %t", what, err, left)
		}
	}
}
