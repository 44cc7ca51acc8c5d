package agent

import (
	"bytes"
	"errors"
	"io"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/robustmq/robustmq-operator/backup/image/imagetest"
	"github.com/robustmq/robustmq-operator/internal/agent/client"
	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
	"github.com/robustmq/robustmq-operator/internal/robustmq/config"
)

// seed makes the image of one member and the request that puts it into another.
func seed(t *testing.T, from *pod, to *pod) (protocol.PlacementRequest, map[string][]byte) {
	t.Helper()
	job := from.as(protocol.ClientJob)
	i := readyImage(t, job, "seed")
	request := protocol.PlacementRequest{ID: "seed-1", Origin: protocol.OriginSeeded, ClusterUID: "uid", NodeID: to.ID, Generation: to.config.Generation}
	content := map[string][]byte{}
	for _, f := range i.Files {
		raw, err := download(t.Context(), job, i.ID, f.Name, 0)
		if err != nil {
			t.Fatal(err)
		}
		content[f.Name] = raw
		request.Files = append(request.Files, protocol.PlacementFile{Name: f.Name, Size: f.Size, SHA256: f.SHA256})
	}
	return request, content
}

func TestAWipedMemberIsSeededFromALiveOne(t *testing.T) {
	w := newWorld(t)
	donor := w.add(config.RolePlacementCenter, 0).recorded(imagetest.Follower)
	wiped := w.add(config.RolePlacementCenter, 1)
	w.script(1).set(func(b *behaviour) { b.voters = []uint64{1, 2} })
	donor.start()
	donor.eventually("the server runs", runs)
	wiped.start()
	wiped.eventually("it waits", func(s protocol.State) bool { return s.Gate.Reason == protocol.GateAwaitsOrder })
	request, content := seed(t, donor, wiped)

	job, operator := wiped.as(protocol.ClientJob), wiped.operator()
	if _, err := donor.operator().BeginPlacement(t.Context(), func() protocol.PlacementRequest { r := request; r.NodeID = 1; return r }()); client.Reason(err) != protocol.ReasonConflict {
		t.Errorf("into a member whose server runs: %v", err)
	}
	if _, err := job.BeginPlacement(t.Context(), request); err != nil {
		t.Fatal(err)
	}
	for name, raw := range content {
		// In two parts, the first of which is cut by the caller.
		half := len(raw) / 2
		if half > 0 {
			if _, err := job.PutFile(t.Context(), "seed-1", name, 0, io.MultiReader(bytes.NewReader(raw[:half]), &failing{})); err == nil {
				t.Fatal("a body that failed was taken for whole")
			}
		}
		var at int64
		eventually(t, "what arrived is known", func() bool {
			placement, err := job.Placement(t.Context(), "seed-1")
			if err != nil {
				t.Fatal(err)
			}
			at = placement.Files[slices.IndexFunc(placement.Files, func(f protocol.PlacedFile) bool { return f.Name == name })].Received
			_, err = job.PutFile(t.Context(), "seed-1", name, at, bytes.NewReader(raw[at:]))
			return err == nil
		}, func() any { return at })
	}
	if _, err := operator.Place(t.Context(), "seed-1"); err != nil {
		t.Fatal(err)
	}
	wiped.eventually("it is in place", func(s protocol.State) bool {
		return s.Images.Placement != nil && s.Images.Placement.Phase == protocol.PlacementPlaced && s.Gate.Reason == protocol.GatePlacing
	})
	never(t, "the server starts without the word", 300*time.Millisecond, func() bool { return w.startsOf(2) > 0 })
	for what, err := range map[string]error{
		"founded": func() error { _, err := operator.Gate(t.Context(), wiped.gateOrder(protocol.GateFound)); return err }(),
		"adopted": func() error { _, err := operator.Gate(t.Context(), wiped.gateOrder(protocol.GateAdopt)); return err }(),
	} {
		if client.Reason(err) != protocol.ReasonConflict {
			t.Errorf("%s while an image waits: %v", what, err)
		}
	}
	// The word is kept over the agent's own end.
	wiped.kill()
	<-wiped.exit
	wiped.start()
	wiped.eventually("it waits again", func(s protocol.State) bool { return s.Gate.Reason == protocol.GatePlacing && s.Images.Placement != nil })
	if p, err := wiped.operator().OpenPlacement(t.Context(), "seed-1"); err != nil || p.Phase != protocol.PlacementOpen {
		t.Fatalf("%+v, %v", p, err)
	}
	state := wiped.eventually("the server runs", runs)
	if m := state.Volume.Marker; m.Origin != protocol.OriginSeeded || m.Placement != "" {
		t.Errorf("%+v", m)
	}
	if _, err := wiped.operator().RevertPlacement(t.Context(), "seed-1"); client.Reason(err) != protocol.ReasonConflict {
		t.Errorf("reverted under a running server: %v", err)
	}
	if err := wiped.operator().DiscardPlacement(t.Context(), "seed-1"); err != nil {
		t.Fatal(err)
	}
	if s := wiped.agent.State(t.Context()); s.Images.Placement != nil || !runs(s) {
		t.Errorf("%+v", s)
	}
}

// failing is a body that breaks.
type failing struct{}

func (*failing) Read([]byte) (int, error) { return 0, errors.New("broken") }

func TestAWipeTakesPlacementAndImageAlong(t *testing.T) {
	w := newWorld(t)
	donor := w.add(config.RolePlacementCenter, 0).recorded(imagetest.Follower)
	other := w.add(config.RolePlacementCenter, 1)
	w.script(1).set(func(b *behaviour) { b.voters = []uint64{1, 2} })
	donor.start()
	donor.eventually("the server runs", runs)
	other.start()
	other.eventually("it waits", func(s protocol.State) bool { return s.Gate.Reason == protocol.GateAwaitsOrder })
	request, content := seed(t, donor, other)
	if _, err := other.operator().BeginPlacement(t.Context(), request); err != nil {
		t.Fatal(err)
	}
	for name, raw := range content {
		if _, err := other.operator().PutFile(t.Context(), request.ID, name, 0, bytes.NewReader(raw)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := other.operator().Place(t.Context(), request.ID); err != nil {
		t.Fatal(err)
	}
	state := other.eventually("it is in place", func(s protocol.State) bool { return s.Images.Placement.Phase == protocol.PlacementPlaced })
	if _, err := other.operator().Wipe(t.Context(), protocol.WipeOrder{Marker: *state.Volume.Marker, Reason: "test"}); err != nil {
		t.Fatal(err)
	}
	state = other.agent.State(t.Context())
	if state.Images.Placement != nil || state.Volume.Phase != protocol.VolumeEmpty || state.Volume.Marker != nil {
		t.Errorf("%+v", state)
	}
	if names, err := os.ReadDir(other.Paths.VolumeDir); err != nil || len(names) > 0 {
		t.Errorf("%v, %v", names, err)
	}
	if _, err := donor.operator().Server(t.Context(), protocol.ServerOrder{Action: protocol.ServerStop}); err != nil {
		t.Fatal(err)
	}
	marker := donor.agent.State(t.Context()).Volume.Marker
	if _, err := donor.operator().Wipe(t.Context(), protocol.WipeOrder{Marker: *marker, Reason: "test"}); err != nil {
		t.Fatal(err)
	}
	if _, err := donor.operator().Image(t.Context(), "seed"); client.Reason(err) != protocol.ReasonNotFound || !strings.Contains(err.Error(), "wiped") {
		t.Error(err)
	}
}

func TestARestoredMemberStaysShutUntilTheNewGenerationHasArrived(t *testing.T) {
	w := newWorld(t)
	donor := w.add(config.RolePlacementCenter, 0).recorded(imagetest.Follower)
	member := w.add(config.RolePlacementCenter, 1)
	w.script(1).set(func(b *behaviour) { b.voters = []uint64{1, 2} })
	donor.start()
	donor.eventually("the server runs", runs)
	member.start()
	member.eventually("it waits", func(s protocol.State) bool { return s.Gate.Reason == protocol.GateAwaitsOrder && s.Generation == 1 })
	request, content := seed(t, donor, member)
	request.Origin, request.Generation = protocol.OriginRestored, 2
	operator := member.operator()
	if _, err := operator.BeginPlacement(t.Context(), request); err != nil {
		t.Fatal(err)
	}
	for name, raw := range content {
		if _, err := operator.PutFile(t.Context(), request.ID, name, 0, bytes.NewReader(raw)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := operator.Place(t.Context(), request.ID); err != nil {
		t.Fatal(err)
	}
	placed := member.eventually("it is in place", func(s protocol.State) bool { return s.Images.Placement.Phase == protocol.PlacementPlaced })
	if len(placed.Images.Placement.SHA256) != 64 {
		t.Errorf("%+v", placed.Images.Placement)
	}
	if _, err := operator.OpenPlacement(t.Context(), request.ID); err != nil {
		t.Fatal(err)
	}
	member.eventually("it waits for the configuration", func(s protocol.State) bool {
		return s.Gate.Reason == protocol.GateNewerGeneration && s.Generation == 1 && s.Volume.Marker.Generation == 2
	})
	never(t, "the server starts before", 200*time.Millisecond, func() bool { return w.startsOf(2) > 0 })
	member.configure(func(c *protocol.Config) { c.Generation = 2 })
	member.eventually("the server runs", func(s protocol.State) bool { return runs(s) && s.Generation == 2 })
}
