package simulated

import (
	"context"
	"fmt"
	"net"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/backup/image"
	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
	"github.com/robustmq/robustmq-operator/internal/robustmq"
	"github.com/robustmq/robustmq-operator/test/e2e/messages"
	"github.com/robustmq/robustmq-operator/test/simulated/world"
	"github.com/robustmq/robustmq-operator/test/simulator/store"
)

// halveKeys deletes every other key of a stopped member's metadata, and returns how many are left.
func halveKeys(t *testing.T, w *world.World, pod string) (left int) {
	t.Helper()
	s, err := store.Open(filepath.Join(w.VolumeDir(pod), "data", "_rocksdb"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}()
	var gone []store.Record
	n := 0
	err = s.Each(store.FamilyMetadata, func(key, _ []byte) error {
		if n++; n%2 == 0 {
			gone = append(gone, store.Record{Family: store.FamilyMetadata, Key: key, Delete: true})
		}
		return nil
	})
	if err == nil {
		err = s.Write(gone...)
	}
	if err != nil {
		t.Fatal(err)
	}
	return n - len(gone)
}

func TestAMemberThatWasEmptiedOfHalfItsKeysIsTakenOutNamedAndSeeded(t *testing.T) {
	t.Parallel()
	w := env.New(t, world.Options{})
	c := form(t, w, manifest(newest, 3, 1, ""))
	const victim = "c-placement-center-2"
	users(t, w, "c-placement-center-0", "before", 30)
	p := newPrometheus(t, w)
	p.lasts(5 * time.Minute)
	// What the operator does while the member is stopped is not what is seen here.
	w.Operator().Crash()
	cause := p.since()
	p.lasts(time.Minute)
	agent := agents(t, w, c)
	must(agent(victim).Server(t.Context(), protocol.ServerOrder{Action: protocol.ServerStop, Reason: "test"}))(t)
	left := halveKeys(t, w, victim)
	before := w.Marker(victim)
	start := time.Now()
	w.StartOperator()

	w.Await("the member is named", func() (bool, string) {
		return told(w, v1alpha1.ReasonServerStopped, victim, "keys of meta_metadata"), fmt.Sprint(w.Events())
	})
	found := time.Since(start)
	w.Await("the member has other data", func() (bool, string) {
		m := w.Marker(victim)
		return m != nil && m.Origin == protocol.OriginSeeded && m.Placement == "" && !m.Written.Equal(before.Written), fmt.Sprintf("%+v", m)
	})
	formed(t, w)
	sameKeys(t, w, c)
	t.Logf("%d keys were left; found after %v of real life, mended after %v", left, realLife(w, found), realLife(w, time.Since(start)))
	w.AwaitCondition("c", v1alpha1.ConditionDegraded, "False", "", "")
	for _, pod := range []string{"c-placement-center-0", "c-placement-center-1"} {
		if told(w, v1alpha1.ReasonServerStopped, pod+": it is faulty") {
			t.Errorf("%s was taken out, too", pod)
		}
	}
	w.Await("the operator counts it", func() (bool, string) {
		return counted(t, w.Operator(), "robustmq_operator_recovery_duration_seconds", "kind", "FaultyMember") > 0, ""
	})
	p.lastsAsking(25*time.Hour, 4*time.Minute)
	p.Fires("RobustMQFaultyMemberMended", 0, cause, cause+24*time.Hour)
}

func realLife(w *world.World, d time.Duration) time.Duration {
	return time.Duration(float64(d) * w.Speed).Round(time.Second)
}

func TestTwoOfThreeVolumesWipedTheSurvivorsDataComesBackToAll(t *testing.T) {
	t.Parallel()
	w := env.New(t, world.Options{})
	c := form(t, w, manifest(newest, 3, 1, ""))
	users(t, w, "c-placement-center-0", "before", 30)
	const survivor = "c-placement-center-1"
	before := sameKeys(t, w, c)
	start := time.Now()
	for _, pod := range []string{"c-placement-center-0", "c-placement-center-2"} {
		w.CrashServer(pod)
		w.Wipe(pod)
	}
	w.Await("the loss is named", func() (bool, string) {
		ok := told(w, v1alpha1.ReasonSeeding, "the majority is lost")
		return ok, w.Describe()
	})
	waited := time.Since(start)
	if waited < w.Scaled(2*time.Minute) {
		t.Errorf("acted after %v of real life", realLife(w, waited))
	}
	formed(t, w)
	t.Logf("acted after %v of real life, whole again after %v", realLife(w, waited), realLife(w, time.Since(start)))
	after := sameKeys(t, w, c)
	for _, family := range []string{image.FamilyData, image.FamilyMetadata} {
		if after[family].Keys < before[family].Keys {
			t.Errorf("%s: %d keys of %d are left", family, after[family].Keys, before[family].Keys)
		}
	}
	if founders := w.Founders(); len(founders) != 1 {
		t.Errorf("servers that founded a cluster: %v, want one", founders)
	}
	if m := w.Marker(survivor); m.Origin == protocol.OriginSeeded {
		t.Error("the survivor's volume was touched")
	}
}

// orphanWrites asks a leader that has lost its followers, as clients go on to do: its log is then longer than what the others get of it.
func orphanWrites(w *world.World, survivor string) *messages.Writes {
	return messages.StartWrites(w.Context(), "orphan", func(_ context.Context, name string) error {
		return w.Create(survivor, "user", userNamed(name))
	})
}

// survived checks that the survivor's data is everywhere, and that its volume was not touched.
func survived(t *testing.T, w *world.World, c *v1alpha1.RobustMQCluster, survivor string, before map[string]protocol.FamilyCensus) {
	t.Helper()
	after := sameKeys(t, w, c)
	for _, family := range []string{image.FamilyData, image.FamilyMetadata} {
		if after[family].Keys < before[family].Keys {
			t.Errorf("%s: %d keys of %d are left", family, after[family].Keys, before[family].Keys)
		}
	}
	if m := w.Marker(survivor); m.Origin == protocol.OriginSeeded {
		t.Error("the survivor's volume was touched")
	}
}

func TestALeaderThatAloneSurvivesStepsDownAndIsElectedWithoutARestart(t *testing.T) {
	long(t)
	t.Parallel()
	w := env.New(t, world.Options{})
	c := form(t, w, manifest(newest, 3, 1, ""))
	const survivor = "c-placement-center-0"
	users(t, w, survivor, "before", 30)
	before := sameKeys(t, w, c)
	starts := len(w.Starts(survivor))
	start := time.Now()
	for _, pod := range []string{"c-placement-center-1", "c-placement-center-2"} {
		w.CrashServer(pod)
		w.Wipe(pod)
	}
	writes := orphanWrites(w, survivor)
	w.Await("the loss is named", func() (bool, string) { return told(w, v1alpha1.ReasonSeeding, "the majority is lost"), w.Describe() })
	acted := time.Since(start)
	formed(t, w)
	t.Logf("in real life: acted after %v, whole again after %v", realLife(w, acted), realLife(w, time.Since(start)))
	_, _, _ = writes.Stop()
	survived(t, w, c, survivor, before)
	if now := len(w.Starts(survivor)); now != starts {
		t.Errorf("the survivor was started %d times more: %v", now-starts, events(w, v1alpha1.ReasonServerRestarted))
	}
}

// Votes for the survivor are what the operator does not give, and somebody who restores by hand may: nobody is elected then until the survivor is started again (test/contract).
func TestALeaderThatMetAVoteForItselfAndKeepsTheOthersFromElectingOneIsStartedAgain(t *testing.T) {
	long(t)
	t.Parallel()
	w := env.New(t, world.Options{})
	c := form(t, w, manifest(newest, 3, 1, ""))
	const survivor, seeded = "c-placement-center-0", "c-placement-center-1"
	users(t, w, survivor, "before", 30)
	before := sameKeys(t, w, c)
	was := must(w.Raft(survivor))(t)
	w.Operator().Crash()
	for _, pod := range []string{seeded, "c-placement-center-2"} {
		w.CrashServer(pod)
		w.Wipe(pod)
	}
	order := protocol.SeedOrder{ID: "by-hand", ClusterUID: c.Status.ClusterUID, NodeID: 2, Generation: w.Marker(survivor).Generation, DonorNodeID: 1, Votes: map[string]protocol.RaftVote{}}
	for group, g := range was {
		host, _, err := net.SplitHostPort(g.Nodes[1])
		if err != nil {
			t.Fatal(err)
		}
		order.Donor = net.JoinHostPort(host, strconv.Itoa(protocol.Port))
		order.Votes[group] = protocol.RaftVote{Term: g.Term + 1, NodeID: 1}
	}
	agent := agents(t, w, c)
	w.Await("the order", func() (bool, string) {
		_, err := agent(seeded).Seed(t.Context(), order)
		return err == nil, fmt.Sprint(err)
	})
	w.Await("the image in place", func() (bool, string) {
		_, err := agent(seeded).Placement(t.Context(), order.ID)
		s, stateErr := agent(seeded).State(t.Context())
		return err == nil && stateErr == nil && s.Images.Seed != nil && s.Images.Seed.Phase == protocol.SeedPlaced, fmt.Sprintf("%+v %v %v", s.Images.Seed, err, stateErr)
	})
	last := must(w.Raft(survivor))(t)[robustmq.GroupMetadata].LastLogIndex
	writes := orphanWrites(w, survivor)
	w.Await("a longer log", func() (bool, string) {
		status, err := w.Raft(survivor)
		return err == nil && status[robustmq.GroupMetadata].LastLogIndex > last, fmt.Sprint(err)
	})
	must(agent(seeded).OpenPlacement(t.Context(), order.ID))(t)
	w.Await("a leader that nobody follows, in the term of the vote", func() (bool, string) {
		status, err := w.Raft(survivor)
		g := status[robustmq.GroupMetadata]
		return err == nil && g.State == "Leader" && g.Term == was[robustmq.GroupMetadata].Term+1 && g.CurrentLeader == 0 && !g.LeadsWithQuorum(), fmt.Sprintf("%+v %v", g, err)
	})
	start := time.Now()
	w.StartOperator()
	w.Await("its restart", func() (bool, string) {
		return told(w, v1alpha1.ReasonServerRestarted, survivor+": it calls itself leader of a raft group that nobody leads"), w.Describe()
	})
	freed := time.Since(start)
	formed(t, w)
	t.Logf("in real life: started again after %v, whole again after %v", realLife(w, freed), realLife(w, time.Since(start)))
	_, _, _ = writes.Stop()
	survived(t, w, c, survivor, before)
}

func TestAMemberThatTookAnEmptySnapshotIsSeededAgain(t *testing.T) {
	t.Parallel()
	w := env.New(t, world.Options{})
	c := form(t, w, manifest(newest, 3, 1, ""))
	const late = "c-placement-center-2"
	// Away for longer than the log reaches back: on its return the leader sends a snapshot, and the server takes 0 entries of it.
	w.Operator().Crash()
	agent := agents(t, w, c)
	must(agent(late).Server(t.Context(), protocol.ServerOrder{Action: protocol.ServerStop, Reason: "test"}))(t)
	was := must(w.Raft("c-placement-center-0"))(t)[robustmq.GroupMetadata].LastLogIndex
	fillLogPast(t, w, c, was)
	before := w.Marker(late)
	must(agent(late).Server(t.Context(), protocol.ServerOrder{Action: protocol.ServerStart, Reason: "test"}))(t)
	w.Await("the agent notes the empty snapshot", func() (bool, string) {
		m := w.Marker(late)
		return len(m.EmptySnapshot) > 0, fmt.Sprintf("%+v", m)
	})
	start := time.Now()
	w.StartOperator()
	w.Await("the member has other data", func() (bool, string) {
		m := w.Marker(late)
		return m != nil && m.Origin == protocol.OriginSeeded && m.Placement == "" && !m.Written.Equal(before.Written), fmt.Sprintf("%+v", m)
	})
	if !told(w, v1alpha1.ReasonServerStopped, late+": it is faulty: its server took a snapshot") {
		t.Errorf("not named: %v", w.Events())
	}
	formed(t, w)
	t.Logf("mended after %v of real life", realLife(w, time.Since(start)))
	sameKeys(t, w, c)
	if m := w.Marker(late); len(m.EmptySnapshot) > 0 {
		t.Errorf("%+v", m)
	}
}
