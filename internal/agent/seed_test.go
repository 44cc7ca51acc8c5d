package agent

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/robustmq/robustmq-operator/backup/image"
	"github.com/robustmq/robustmq-operator/backup/image/imagetest"
	"github.com/robustmq/robustmq-operator/internal/agent/client"
	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
	"github.com/robustmq/robustmq-operator/internal/robustmq/config"
)

// twoMembers starts a member with a recorded database, and another one whose volume is empty. The fake servers' votes name node 1.
func twoMembers(t *testing.T) (w *world, donor, wiped *pod) {
	t.Helper()
	w = newWorld(t)
	donor = w.add(config.RolePlacementCenter, 0).recorded(imagetest.Follower)
	wiped = w.add(config.RolePlacementCenter, 1)
	w.script(1).set(func(b *behaviour) { b.voters = []uint64{1, 2} })
	w.script(2).set(func(b *behaviour) { b.voters = []uint64{1, 2} })
	donor.start()
	donor.eventually("the server runs", runs)
	wiped.start()
	wiped.eventually("it waits", func(s protocol.State) bool { return s.Gate.Reason == protocol.GateAwaitsOrder })
	return w, donor, wiped
}

func seedOrder(from, to *pod, id string) protocol.SeedOrder {
	return protocol.SeedOrder{ID: id, ClusterUID: "uid", NodeID: to.ID, Generation: to.config.Generation, Donor: from.Host + ":7443", DonorNodeID: from.ID}
}

func seedIs(phase protocol.SeedPhase) func(protocol.State) bool {
	return func(s protocol.State) bool { return s.Images.Seed != nil && s.Images.Seed.Phase == phase }
}

// sameMetadata compares what two pods' databases hold of the metadata.
func sameMetadata(t *testing.T, got, want *pod) {
	t.Helper()
	a, err1 := imagetest.Contents(t.Context(), filepath.Join(got.Paths.VolumeDir, "data", "_rocksdb"))
	b, err2 := imagetest.Contents(t.Context(), filepath.Join(want.Paths.VolumeDir, "data", "_rocksdb"))
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	for _, family := range image.MetadataFamilies {
		if len(b[family]) == 0 || !slices.Equal(a[family], b[family]) {
			t.Errorf("%s: %d entries, want %d", family, len(a[family]), len(b[family]))
		}
	}
}

func TestAMemberFillsItsEmptyVolumeFromAnotherAndWaitsForTheWord(t *testing.T) {
	w, donor, wiped := twoMembers(t)
	operator := wiped.operator()
	order := seedOrder(donor, wiped, "seed-1")
	order.Least = map[string]uint64{"metadata_0": 7}
	first, err := operator.Seed(t.Context(), order)
	if err != nil || first.ID != "seed-1" || first.DonorNodeID != 1 {
		t.Fatalf("%+v, %v", first, err)
	}
	if _, err := operator.Gate(t.Context(), wiped.gateOrder(protocol.GateJoin)); client.Reason(err) != protocol.ReasonConflict {
		t.Errorf("joined while it is being seeded: %v", err)
	}
	state := wiped.eventually("it is in place", seedIs(protocol.SeedPlaced))
	if again, err := operator.Seed(t.Context(), order); err != nil || again.Begun != first.Begun || again.Phase != protocol.SeedPlaced {
		t.Errorf("the same order again: %+v, %v", again, err)
	}
	if s := state.Images.Seed; s.Total == 0 || s.Bytes != s.Total || s.Applied["metadata_0"] != 7 || !maps.Equal(s.Least, order.Least) || state.Gate.Reason != protocol.GatePlacing {
		t.Errorf("%+v, gate %+v", s, state.Gate)
	}
	if m := state.Volume.Marker; m.Origin != protocol.OriginSeeded || m.NodeID != 2 || m.Generation != 1 || m.ClusterUID != "uid" || m.Placement != "seed-1" {
		t.Errorf("%+v", m)
	}
	sameMetadata(t, wiped, donor)
	donor.eventually("its image is released", func(s protocol.State) bool { return s.Images.Image == nil && s.Images.StagingBytes == 0 })
	never(t, "the server starts without the word", 300*time.Millisecond, func() bool { return w.startsOf(2) > 0 })
	if err := operator.AbandonSeed(t.Context(), "seed-1"); client.Reason(err) != protocol.ReasonConflict {
		t.Errorf("abandoned what is in place: %v", err)
	}
	// Neither the end of the agent nor its next start is the word.
	wiped.kill()
	<-wiped.exit
	wiped.start()
	wiped.eventually("it waits again", func(s protocol.State) bool {
		return s.Gate.Reason == protocol.GatePlacing && s.Images.Placement != nil && seedIs(protocol.SeedPlaced)(s) && maps.Equal(s.Images.Seed.Least, order.Least)
	})
	if _, err := operator.OpenPlacement(t.Context(), "seed-1"); err != nil {
		t.Fatal(err)
	}
	wiped.eventually("the server runs", runs)
	for range 2 {
		if err := operator.DiscardPlacement(t.Context(), "seed-1"); err != nil {
			t.Fatal(err)
		}
	}
	if s := wiped.agent.State(t.Context()); s.Images.Seed != nil || s.Images.Placement != nil || !runs(s) {
		t.Errorf("%+v", s.Images)
	}
	names, err := os.ReadDir(wiped.Paths.VolumeDir)
	if err != nil || slices.ContainsFunc(names, func(e os.DirEntry) bool { return e.Name()[0] == '.' && e.Name() != ".robustmq-operator-images" }) {
		t.Errorf("left behind: %v, %v", names, err)
	}
}

func TestASeedIsRefusedWhereTheVolumeIsNotForIt(t *testing.T) {
	_, donor, wiped := twoMembers(t)
	for name, c := range map[string]struct {
		change func(*protocol.SeedOrder)
		reason string
	}{
		"no ID":              {func(o *protocol.SeedOrder) { o.ID = "../x" }, protocol.ReasonBadRequest},
		"no port":            {func(o *protocol.SeedOrder) { o.Donor = donor.Host }, protocol.ReasonBadRequest},
		"from itself":        {func(o *protocol.SeedOrder) { o.DonorNodeID = 2 }, protocol.ReasonBadRequest},
		"vote of no group":   {func(o *protocol.SeedOrder) { o.Votes = map[string]protocol.RaftVote{"x": {Term: 1, NodeID: 1}} }, protocol.ReasonBadRequest},
		"another cluster":    {func(o *protocol.SeedOrder) { o.ClusterUID = "other" }, protocol.ReasonConflict},
		"another node":       {func(o *protocol.SeedOrder) { o.NodeID = 3 }, protocol.ReasonConflict},
		"another generation": {func(o *protocol.SeedOrder) { o.Generation = 2 }, protocol.ReasonConflict},
		"a marker that is not there": {func(o *protocol.SeedOrder) {
			o.Marker = &protocol.Marker{ClusterUID: "uid", NodeID: 2, Role: wiped.Role, Generation: 1, Origin: protocol.OriginJoined}
		}, protocol.ReasonConflict},
	} {
		order := seedOrder(donor, wiped, "a")
		c.change(&order)
		if s, err := wiped.operator().Seed(t.Context(), order); client.Reason(err) != c.reason {
			t.Errorf("%s: %+v, %v", name, s, err)
		}
	}
	running := seedOrder(wiped, donor, "a")
	if _, err := donor.operator().Seed(t.Context(), running); client.Reason(err) != protocol.ReasonConflict {
		t.Errorf("into a volume with data: %v", err)
	}
	if s := wiped.agent.State(t.Context()); s.Images.Seed != nil || s.Gate.Reason != protocol.GateAwaitsOrder {
		t.Errorf("%+v", s)
	}
}

func TestASeedThatCannotBeUsedFailsWithItsReasonAndMakesRoomForTheNext(t *testing.T) {
	w, donor, wiped := twoMembers(t)
	operator := wiped.operator()
	fails := func(id, reason string, change func(*protocol.SeedOrder)) {
		t.Helper()
		order := seedOrder(donor, wiped, id)
		if change != nil {
			change(&order)
		}
		if _, err := operator.Seed(t.Context(), order); err != nil {
			t.Fatal(err)
		}
		s := wiped.eventually("it fails, and the gate waits for another order", func(s protocol.State) bool {
			return seedIs(protocol.SeedFailed)(s) && s.Gate.Reason == protocol.GateAwaitsOrder // a moment later, by another loop
		})
		if s.Images.Seed.Reason != reason || s.Images.Seed.Message == "" || s.Images.Placement != nil {
			t.Errorf("%+v, gate %+v, want %s", s.Images.Seed, s.Gate, reason)
		}
		if _, err := operator.Seed(t.Context(), seedOrder(donor, wiped, id+"-more")); client.Reason(err) != protocol.ReasonBusy {
			t.Errorf("another order beside it: %v", err)
		}
		for range 2 {
			if err := operator.AbandonSeed(t.Context(), id); err != nil {
				t.Fatal(err)
			}
		}
	}
	fails("node", protocol.SeedDonorWrong, func(o *protocol.SeedOrder) { o.DonorNodeID = 3 })
	fails("behind", protocol.SeedUnfit, func(o *protocol.SeedOrder) { o.Least = map[string]uint64{"data_0": 8} })
	fails("votes", protocol.SeedUnfit, func(o *protocol.SeedOrder) {
		o.Votes = map[string]protocol.RaftVote{"metadata_0": {Term: 2, NodeID: 1, Committed: true}}
	})
	fails("gone", protocol.SeedDonorLost, func(o *protocol.SeedOrder) { o.Donor = "nobody.example:7443" })
	w.script(1).set(func(b *behaviour) { b.voters = []uint64{2, 3} })
	fails("stranger", protocol.SeedUnfit, nil)
	w.script(1).set(func(b *behaviour) { b.voters = []uint64{1, 2} })
	if _, err := donor.operator().Server(t.Context(), protocol.ServerOrder{Action: protocol.ServerStop}); err != nil {
		t.Fatal(err)
	}
	fails("down", protocol.ImageServerDown, nil)
	if _, err := donor.operator().Server(t.Context(), protocol.ServerOrder{Action: protocol.ServerStart}); err != nil {
		t.Fatal(err)
	}
	donor.eventually("its server runs again", runs)
	readyImage(t, donor.as(protocol.ClientJob), "backup")
	fails("busy", protocol.SeedDonorBusy, nil)
	if err := donor.operator().ReleaseImage(t.Context(), "backup"); err != nil {
		t.Fatal(err)
	}
	if _, err := operator.Seed(t.Context(), seedOrder(donor, wiped, "last")); err != nil {
		t.Fatal(err)
	}
	wiped.eventually("it is in place", seedIs(protocol.SeedPlaced))
	sameMetadata(t, wiped, donor)
}

func TestAHeldMemberIsSeededOverWithItsMessagesKept(t *testing.T) {
	w := newWorld(t)
	donor := w.add(config.RolePlacementCenter, 0).recorded(imagetest.Follower)
	faulty := w.add(config.RolePlacementCenter, 1).recorded(imagetest.Fresh)
	for _, id := range []uint64{1, 2} {
		w.script(id).set(func(b *behaviour) { b.voters = []uint64{1, 2} })
	}
	donor.start()
	donor.eventually("the server runs", runs)
	faulty.start()
	marker := faulty.eventually("the server runs", runs).Volume.Marker
	put(t, filepath.Join(faulty.Paths.VolumeDir, "engine", "shard", "0.msg"), []byte("message"))
	operator := faulty.operator()
	order := seedOrder(donor, faulty, "over")
	order.Marker = marker
	if _, err := operator.Seed(t.Context(), order); client.Reason(err) != protocol.ReasonConflict {
		t.Fatalf("under a running server: %v", err)
	}
	if _, err := operator.Server(t.Context(), protocol.ServerOrder{Action: protocol.ServerStop}); err != nil {
		t.Fatal(err)
	}
	if _, err := operator.Seed(t.Context(), order); err != nil {
		t.Fatal(err)
	}
	state := faulty.eventually("it is in place", seedIs(protocol.SeedPlaced))
	if p := state.Images.Placement; !p.KeptEngine || !p.Before {
		t.Errorf("%+v", p)
	}
	sameMetadata(t, faulty, donor)
	if content, err := os.ReadFile(filepath.Join(faulty.Paths.VolumeDir, "engine", "shard", "0.msg")); err != nil || string(content) != "message" {
		t.Errorf("%q, %v", content, err)
	}
	if _, err := operator.OpenPlacement(t.Context(), "over"); err != nil {
		t.Fatal(err)
	}
	if _, err := operator.Server(t.Context(), protocol.ServerOrder{Action: protocol.ServerStart}); err != nil {
		t.Fatal(err)
	}
	faulty.eventually("the server runs", runs)
}
