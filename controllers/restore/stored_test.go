package restore

import (
	"context"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/test/apiserver"
)

func TestEveryStatusOfALifeIsTakenByTheAPIServer(t *testing.T) {
	apiserver.Need(t)
	server, err := apiserver.Start(t.Context(), "../..", nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Stop(); err != nil {
			t.Error(err)
		}
	})
	if err := server.Client.Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "ns"}}); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*world){
		"to the end":  func(*world) {},
		"and back":    func(w *world) { abortAt(t, w, v1alpha1.RestoreVerifying) },
		"and refused": func(w *world) { w.agents[1].free = 1 },
		"and a lie":   func(w *world) { w.agents[2].lies = true },
	} {
		t.Run(name, func(t *testing.T) {
			stored := newRestore(func(x *v1alpha1.RobustMQRestore) { x.UID, x.Generation, x.CreationTimestamp = "", 0, metav1.Time{} })
			if err := server.Client.Create(t.Context(), stored); err != nil {
				t.Fatal(err)
			}
			defer func() {
				if err := server.Client.Delete(context.WithoutCancel(t.Context()), stored); err != nil {
					t.Error(err)
				}
			}()
			w := newWorld(t, newRestore(), newCluster())
			r, writes := w.operator(), 0
			for range 80 {
				x := w.restore()
				if x.Ended() && len(x.Finalizers) == 0 {
					break
				}
				change(w)
				w.pass(r)
				w.step()
				next := w.restore().Status
				if equality.Semantic.DeepEqual(next, stored.Status) {
					continue
				}
				writes++
				if err := server.Client.Get(t.Context(), client.ObjectKeyFromObject(stored), stored); err != nil {
					t.Fatal(err)
				}
				stored.Status = next
				if err := server.Client.Status().Update(t.Context(), stored); err != nil {
					t.Fatalf("%s: %v", next.Stage, err)
				}
				if !equality.Semantic.DeepEqual(stored.Status, next) {
					t.Errorf("%s: something was left out:\n%+v\n%+v", next.Stage, stored.Status, next)
				}
			}
			if x := w.restore(); !x.Ended() || writes < 2 {
				t.Errorf("%d writes\n%s", writes, w.story())
			}
		})
	}
}

// abortAt takes the restore back in a stage.
func abortAt(t *testing.T, w *world, stage v1alpha1.RestoreStage) {
	t.Helper()
	if x := w.restore(); x.Status.Stage == stage {
		annotate(t, w, x)
	}
}
