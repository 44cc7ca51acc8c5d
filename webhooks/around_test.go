package webhooks

import (
	"context"
	"errors"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/robustmq/robustmq-operator/api/v1alpha1"
)

// lister answers with an error, and counts.
type lister struct {
	client.Reader
	err   error
	asked int
}

func (l *lister) List(context.Context, client.ObjectList, ...client.ListOption) error {
	l.asked++
	return l.err
}

func (l *lister) Get(context.Context, client.ObjectKey, client.Object, ...client.GetOption) error {
	l.asked++
	return l.err
}

func TestAKindThatIsNotThereIsLeftAloneForAWhileAndRefusesNothing(t *testing.T) {
	resource := schema.GroupResource{Group: "robustmq.io", Resource: "robustmqrestores"}
	was := defaulted(t)
	is := was.DeepCopy()
	is.Spec.MQTTBroker.Replicas++
	for what, c := range map[string]struct {
		err   error
		again bool // it is asked for at the next change
	}{
		"not installed": {&meta.NoKindMatchError{GroupKind: restoreKind}, false},
		"forbidden":     {apierrors.NewForbidden(resource, "", nil), false},
		"a cut line":    {errors.New("connection refused"), true},
	} {
		l := &lister{err: c.err}
		now := time.Date(2026, 11, 25, 0, 0, 0, 0, time.UTC)
		s := newSurroundings(l, l)
		s.now = func() time.Time { return now }
		for range 2 {
			if a := s.ofChange(t.Context(), was, is, "ns"); a == nil || len(a.Restores) != 0 {
				t.Errorf("%s: %+v", what, a)
			}
		}
		if (l.asked == 2) != c.again {
			t.Errorf("%s: asked %d times", what, l.asked)
		}
		now = now.Add(absencePatience)
		asked := l.asked
		if s.ofChange(t.Context(), was, is, "ns"); l.asked != asked+1 {
			t.Errorf("%s: never asked again", what)
		}
	}
}

func TestNothingIsReadForAChangeThatNoSuchRuleLooksAt(t *testing.T) {
	l := &lister{}
	s := newSurroundings(l, l)
	was := defaulted(t)
	is := was.DeepCopy()
	is.Spec.Paused = true
	if a := s.ofChange(t.Context(), was, is, "ns"); a != nil || l.asked != 0 {
		t.Errorf("%+v, asked %d times", a, l.asked)
	}
	if a := s.ofChange(t.Context(), nil, was, "ns"); a == nil || l.asked != 1 { // its destination: the other clusters
		t.Errorf("%+v, asked %d times", a, l.asked)
	}
}

func TestWhereTheClusterCannotBeReadNothingIsKnownOfARestore(t *testing.T) {
	l := &lister{err: errors.New("connection refused")}
	s := newSurroundings(l, l)
	r := &v1alpha1.RobustMQRestore{Spec: v1alpha1.RobustMQRestoreSpec{ClusterName: "c", Source: v1alpha1.RestoreSource{BackupName: "b"}}}
	if a := s.ofRestore(t.Context(), r, "ns"); a != nil {
		t.Errorf("%+v", a)
	}
	if a := s.ofBackup(t.Context(), &v1alpha1.RobustMQBackup{}, "ns"); a != nil {
		t.Errorf("%+v", a)
	}
	var none *surroundings
	if none.ofRestore(t.Context(), r, "ns") != nil || none.ofBackup(t.Context(), nil, "ns") != nil || none.ofDeletedBackup(t.Context(), "ns") != nil || none.ofChange(t.Context(), nil, defaulted(t), "ns") != nil {
		t.Error("something is known of nothing")
	}
}
