package topology

import (
	"slices"
	"testing"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
)

func TestTheMembersOfARoleAreThoseOfTheSnapshotWithoutACopy(t *testing.T) {
	pods := func(members []Member) (names []string) {
		for _, m := range members {
			names = append(names, m.Pod)
		}
		return names
	}
	one, two, broker := Member{Role: v1alpha1PlacementCenter, Pod: "one"}, Member{Role: v1alpha1PlacementCenter, Pod: "two"}, Member{Role: v1alpha1.RoleMQTTBroker, Pod: "broker"}
	s := Snapshot{Members: []Member{one, two, broker}}
	if got := pods(s.of(v1alpha1PlacementCenter)); !slices.Equal(got, []string{"one", "two"}) {
		t.Error(got)
	}
	if got := pods(s.of(v1alpha1.RoleMQTTBroker)); !slices.Equal(got, []string{"broker"}) {
		t.Error(got)
	}
	if got := s.of(v1alpha1.RoleJournalServer); got != nil {
		t.Error(got)
	}
	if n := testing.AllocsPerRun(10, func() { s.of(v1alpha1PlacementCenter) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
	_ = append(s.of(v1alpha1PlacementCenter), one) // whoever appends gets a list of his own
	if s.Members[2].Pod != "broker" {
		t.Error("what was appended stands in the snapshot")
	}
	apart := Snapshot{Members: []Member{one, broker, two}}
	if got := pods(apart.of(v1alpha1PlacementCenter)); !slices.Equal(got, []string{"one", "two"}) {
		t.Error(got)
	}
}
