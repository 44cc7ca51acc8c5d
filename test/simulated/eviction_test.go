package simulated

import (
	"testing"

	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/robustmq/robustmq-operator/test/simulated/world"
)

// evictable asks the API server whether a drain could evict the pod now, without doing it.
func evictable(t *testing.T, w *world.World, name string) (bool, string) {
	t.Helper()
	err := w.Client.SubResource("eviction").Create(w.Context(), pod(t, w, name), &policyv1.Eviction{DeleteOptions: &metav1.DeleteOptions{DryRun: []string{metav1.DryRunAll}}})
	if err != nil && !apierrors.IsTooManyRequests(err) {
		t.Fatal(err)
	}
	if err != nil {
		return false, err.Error()
	}
	return true, "it may be evicted"
}

// A voter that is cut off from the others stops its server and stays ready, since its name must not come and go: by the pods' readiness another one could be evicted, and the quorum would be lost.
func TestNoMemberIsEvictedWhileAVoterIsMissingThatIsReadyAllTheSame(t *testing.T) {
	t.Parallel()
	w := env.New(t, world.Options{})
	form(t, w, manifest(newest, 3, 2, ""))
	const lost = "c-placement-center-2"
	others := []string{"c-placement-center-0", "c-placement-center-1"}
	for _, name := range append(others, "c-mqtt-broker-0") {
		w.Await("that "+name+" may be evicted", func() (bool, string) { return evictable(t, w, name) })
	}
	w.Network.Partition([]string{lost}, others)
	for _, name := range others {
		w.Await("that "+name+" may not be evicted", func() (bool, string) {
			may, why := evictable(t, w, name)
			return !may, why
		})
	}
	if !isReady(pod(t, w, lost)) {
		t.Errorf("%s is not ready: this shows nothing that its readiness would not", lost)
	}
	w.Network.Heal()
	formed(t, w)
	w.Await("that a member may be evicted again", func() (bool, string) { return evictable(t, w, others[1]) })
}
