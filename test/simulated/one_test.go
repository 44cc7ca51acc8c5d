package simulated

import (
	"slices"
	"testing"

	"k8s.io/apimachinery/pkg/api/meta"

	"github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
	"github.com/robustmq/robustmq-operator/internal/robustmq"
	"github.com/robustmq/robustmq-operator/test/simulated/world"
)

// toOne is the escape that it takes.
const toOne = "  unsafe: [AllowShrinkBelowQuorum]\n"

// one waits until member 0 is the only one, of a later generation than the first.
func one(t *testing.T, w *world.World) *v1alpha1.RobustMQCluster {
	t.Helper()
	c := settled(t, w)
	s, err := w.Raft("c-placement-center-0")
	if err != nil {
		t.Fatal(err)
	}
	for _, group := range robustmq.Groups {
		if voters := s[group].Voters(); !slices.Equal(voters, []uint64{1}) {
			t.Errorf("%s: voters %v", group, voters)
		}
	}
	if m := w.Marker("c-placement-center-0"); m.Origin != protocol.OriginAlone || m.Generation != 2 || c.Status.Generation != 2 {
		t.Errorf("%+v, status %d", m, c.Status.Generation)
	}
	for _, pod := range []string{"c-placement-center-1", "c-placement-center-2"} {
		if m := w.Marker(pod); m != nil {
			t.Errorf("the volume of %s was not emptied: %+v", pod, m)
		}
	}
	return c
}

func TestThreeMembersBecomeOneWithTheEscapeAndThreeAgainAndNothingIsLost(t *testing.T) {
	t.Parallel()
	w := env.New(t, world.Options{})
	c := form(t, w, manifest(newest, 3, 2, ""))
	users(t, w, c.Status.Leader, "three", 20)
	before := sameKeys(t, w, c)
	l := &load{t: t, w: w}
	l.begin("kept", 2, broker(0))
	w.Apply(manifest(newest, 1, 2, toOne))
	c = one(t, w)
	l.end()
	after := censusOf(t, w, c, "c-placement-center-0").Families
	for family, was := range before {
		if now := after[family]; now.Keys < was.Keys-6 { // three keys go with each of the two nodes
			t.Errorf("%s: %d keys, and %d before", family, now.Keys, was.Keys)
		}
	}
	kept, err := w.Users("c-mqtt-broker-0")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"three-0", "three-19"} {
		if !slices.Contains(kept, name) {
			t.Errorf("the user %s is gone: %v", name, kept)
		}
	}
	if !told(w, v1alpha1.ReasonGoingAlone, "made the only one") {
		t.Error("no event tells that a member goes on alone")
	}
	w.Apply(manifest(newest, 3, 2, ""))
	sameKeys(t, w, settled(t, w))
}

func TestTheOperatorMayDieAfterEveryOrderOnTheWayToOne(t *testing.T) {
	long(t)
	t.Parallel()
	w := env.New(t, world.Options{})
	c := form(t, w, manifest(newest, 3, 2, ""))
	users(t, w, c.Status.Leader, "three", 5)
	w.Operator().Crash()
	w.Apply(manifest(newest, 1, 2, toOne))
	killed := 0
	for n := 1; ; n++ {
		o := w.StartOperatorUntilOrder(1)
		ended := false
		w.Await("one member, or the operator killed", func() (bool, string) {
			c := w.Cluster("c")
			ended = c.Status.Generation == 2 && meta.IsStatusConditionTrue(c.Status.Conditions, v1alpha1.ConditionReady) && len(w.Pods(c, v1alpha1.RolePlacementCenter)) == 1 && pod(t, w, "c-placement-center-1") == nil
			return ended || o.Dead(), "neither"
		})
		if ended {
			break
		}
		killed++
		if n > 60 {
			t.Fatal("it does not come to an end")
		}
	}
	t.Logf("%d operators were killed", killed)
	w.StartOperator()
	one(t, w)
	kept, err := w.Users("c-mqtt-broker-0")
	if err != nil || !slices.Contains(kept, "three-4") {
		t.Errorf("%v %v", kept, err)
	}
}
