package trigger

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/event"
)

func TestTheWishToDeleteComesThroughAndNoOtherUpdate(t *testing.T) {
	there, going := &corev1.Pod{}, &corev1.Pod{ObjectMeta: metav1.ObjectMeta{DeletionTimestamp: ptr.To(metav1.Now())}}
	for _, c := range []struct {
		before, after *corev1.Pod
		want          bool
	}{{there, there, false}, {there, going, true}, {going, going, false}} {
		if got := Deleted().Update(event.UpdateEvent{ObjectOld: c.before, ObjectNew: c.after}); got != c.want {
			t.Errorf("%v to %v: %t", c.before.DeletionTimestamp, c.after.DeletionTimestamp, got)
		}
	}
	if !Deleted().Create(event.CreateEvent{Object: there}) || !Deleted().Delete(event.DeleteEvent{Object: there}) {
		t.Error("what comes and what goes is kept back")
	}
}
