package agent

import (
	"maps"
	"testing"

	"github.com/robustmq/robustmq-operator/internal/agent/client"
	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
	"github.com/robustmq/robustmq-operator/internal/agent/volume"
	"github.com/robustmq/robustmq-operator/internal/robustmq"
	"github.com/robustmq/robustmq-operator/internal/robustmq/config"
)

func TestTheServersLineAboutAnEmptySnapshotIsUnderstood(t *testing.T) {
	for line, want := range map[string]string{
		// As recorded from 0.4.11.
		"2026-11-23T17:14:08.928504Z  INFO meta_service::raft::snapshot::recover: [metadata] Successfully recovered 0 entries from snapshot":    "metadata",
		"2026-11-23T17:14:08.928504Z  INFO meta_service::raft::snapshot::recover: [data] Successfully recovered 0 entries from snapshot":        "data",
		"2026-11-23T17:14:08.928504Z  INFO meta_service::raft::snapshot::recover: [metadata] Successfully recovered 1758 entries from snapshot": "",
		"Successfully recovered 0 entries from snapshot":    "",
		"[] Successfully recovered 0 entries from snapshot": "",
		"": "",
	} {
		if got, ok := machineOf(line); got != want || ok != (want != "") {
			t.Errorf("%q: %q %v", line, got, ok)
		}
	}
}

func at(index uint64) *robustmq.LogID { return &robustmq.LogID{Term: 1, NodeID: 1, Index: index} }

func TestASnapshotWithoutALogBeforeItWasInstalled(t *testing.T) {
	status := func(purged, snapshot *robustmq.LogID) robustmq.ClusterStatus {
		return robustmq.ClusterStatus{robustmq.GroupMetadata: {Purged: purged, Snapshot: snapshot}}
	}
	var k known
	for _, healthy := range []robustmq.ClusterStatus{status(nil, nil), status(nil, at(900)), status(at(930), at(1930)), status(at(0), at(0)), nil} {
		k.lookForEmptySnapshots(healthy)
		if k.empty != nil {
			t.Fatalf("%+v: %v", healthy, k.empty)
		}
	}
	k.tookNothing(robustmq.GroupData, 0) // the line came first
	k.lookForEmptySnapshots(status(at(1930), at(1930)))
	k.lookForEmptySnapshots(status(at(1930), at(2030))) // the sign has faded
	want := map[string]uint64{robustmq.GroupMetadata: 1930, robustmq.GroupData: 0}
	if !maps.Equal(k.empty, want) {
		t.Errorf("%v, want %v", k.empty, want)
	}
	var m protocol.Marker
	if !k.emptyIn(&m) || !maps.Equal(m.EmptySnapshot, want) || k.emptyIn(&m) {
		t.Errorf("%v", m.EmptySnapshot)
	}
	k.tookNothing(robustmq.GroupMetadata, 5000)
	if !k.emptyIn(&m) || m.EmptySnapshot[robustmq.GroupMetadata] != 5000 || m.EmptySnapshot[robustmq.GroupData] != 0 {
		t.Errorf("%v", m.EmptySnapshot)
	}
}

func TestAnEmptySnapshotIsNotForgottenUntilTheVolumeGetsOtherData(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.add(config.RolePlacementCenter, 0)
	w.script(p.ID).set(func(b *behaviour) {
		b.words = "2026-11-23T17:14:08.928504Z  INFO meta_service::raft::snapshot::recover: [metadata] Successfully recovered 0 entries from snapshot\n"
	})
	p.initialised(nil).start()
	noted := func(s protocol.State) bool {
		_, ok := s.Volume.Marker.EmptySnapshot[robustmq.GroupMetadata]
		return ok
	}
	p.eventually("noted in the marker", func(s protocol.State) bool { return s.Volume.Marker != nil && noted(s) })
	w.script(p.ID).set(func(b *behaviour) { b.words = "" })
	if _, err := p.operator().Server(t.Context(), protocol.ServerOrder{Action: protocol.ServerRestart, Reason: "test"}); err != nil {
		t.Fatal(err)
	}
	state := p.eventually("runs again", func(s protocol.State) bool { return s.Server.Phase == protocol.ServerRunning && s.Server.Restarts == 1 })
	if !noted(state) {
		t.Errorf("%+v", state.Volume.Marker)
	}
	if m := volume.At(p.Paths.VolumeDir).Inspect().Marker; m == nil || len(m.EmptySnapshot) != 1 {
		t.Errorf("on the disk: %+v", m)
	}
}

func TestTheOperatorMayCountWhatAServerHoldsAndNobodyElse(t *testing.T) {
	t.Parallel()
	_, p := runningMember(t)
	for _, kind := range []protocol.ClientKind{protocol.ClientAgent, protocol.ClientJob} {
		if _, err := p.as(kind).Census(t.Context(), "one"); client.Reason(err) != protocol.ReasonForbidden {
			t.Errorf("%s: %v", kind, err)
		}
	}
	var census protocol.Census
	eventually(t, "the census", func() bool {
		var err error
		census, err = p.operator().Census(t.Context(), "one")
		return err == nil && census.Phase != protocol.CensusCounting
	}, func() any { return census })
	if census.Phase != protocol.CensusReady || census.Families["meta_metadata"].Keys != 392 {
		t.Errorf("%+v", census)
	}
	if s := p.eventually("in the state", func(s protocol.State) bool { return s.Census != nil }); s.Census.ID != "one" {
		t.Errorf("%+v", s.Census)
	}
}
