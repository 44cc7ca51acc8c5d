package images

import (
	"fmt"
	"slices"
	"testing"

	"github.com/robustmq/robustmq-operator/backup/image/imagetest"
	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
	"github.com/robustmq/robustmq-operator/internal/agent/volume"
	"github.com/robustmq/robustmq-operator/internal/robustmq"
)

func TestMembersThatGotTheSameImageSayTheSameDigest(t *testing.T) {
	a := backup(t, imagetest.Fresh)
	digestOf := func(recorded string, change func(*protocol.PlacementRequest)) string {
		t.Helper()
		m, r := newMember(t, recorded), a.request("a")
		change(&r)
		if err := m.send(a, r); err != nil {
			t.Fatal(err)
		}
		if p := m.target.State(); p.SHA256 != "" {
			t.Errorf("a digest of what is not in place: %s", p.SHA256)
		}
		if _, err := m.target.Place(r.ID); err != nil {
			t.Fatal(err)
		}
		p := m.await(r.ID, protocol.PlacementPlaced, protocol.PlacementFailed)
		if want, err := Digest(r.Files, r.Edits); err != nil || p.SHA256 != want || len(want) != 64 {
			t.Fatalf("placement %+v, want digest %s, %v", p, want, err)
		}
		// It outlives the agent, and goes with the image.
		m.cancel()
		m.target.Wait()
		m.restart()
		if again := m.target.State(); again.SHA256 != p.SHA256 {
			t.Errorf("after another start: %q", again.SHA256)
		}
		if _, err := m.target.Open(r.ID); err != nil || m.target.State().SHA256 != p.SHA256 {
			t.Errorf("opened: %+v, %v", m.target.State(), err)
		}
		m.held = true
		if back, err := m.target.Revert(r.ID); err != nil || back.SHA256 != "" {
			t.Errorf("reverted: %+v, %v", back, err)
		}
		return p.SHA256
	}
	first := digestOf("", func(*protocol.PlacementRequest) {})
	if second := digestOf(imagetest.Follower, func(r *protocol.PlacementRequest) { slices.Reverse(r.Files) }); second != first {
		t.Errorf("a member with messages of its own says %s, an empty one %s", second, first)
	}
	if other := digestOf("", func(r *protocol.PlacementRequest) {
		r.Edits.Votes[robustmq.GroupData] = protocol.RaftVote{Term: 10, NodeID: 3, Committed: true}
	}); other == first {
		t.Error("another vote, and the same digest")
	}
}

func TestADigestIsOfEveryByteThatMatters(t *testing.T) {
	files := []protocol.PlacementFile{{Name: "000001.sst", Size: 1, SHA256: "aa"}, {Name: "CURRENT", Size: 2, SHA256: "bb"}}
	seen := map[string]string{}
	for name, change := range map[string]func([]protocol.PlacementFile, *protocol.PlacementEdits) []protocol.PlacementFile{
		"as it is": func(f []protocol.PlacementFile, _ *protocol.PlacementEdits) []protocol.PlacementFile { return f },
		"another sum": func(f []protocol.PlacementFile, _ *protocol.PlacementEdits) []protocol.PlacementFile {
			f[0].SHA256 = "ab"
			return f
		},
		"another name": func(f []protocol.PlacementFile, _ *protocol.PlacementEdits) []protocol.PlacementFile {
			f[0].Name = "000002.sst"
			return f
		},
		"another size": func(f []protocol.PlacementFile, _ *protocol.PlacementEdits) []protocol.PlacementFile {
			f[0].Size = 3
			return f
		},
		"a file less": func(f []protocol.PlacementFile, _ *protocol.PlacementEdits) []protocol.PlacementFile { return f[1:] },
		"a registration": func(f []protocol.PlacementFile, e *protocol.PlacementEdits) []protocol.PlacementFile {
			e.Registry = []protocol.RegistryNode{{ID: 1, Host: "a"}}
			return f
		},
	} {
		var edits protocol.PlacementEdits
		changed := change(slices.Clone(files), &edits)
		sum, err := Digest(changed, edits)
		if err != nil {
			t.Fatal(err)
		}
		if other, twice := seen[sum]; twice {
			t.Errorf("%q and %q have one digest", name, other)
		}
		seen[sum] = name
	}
}

func TestWhatTheDiskLostSinceItWasVerifiedIsNotPutInPlace(t *testing.T) {
	m, a := newMember(t, imagetest.Follower), backup(t, imagetest.Fresh)
	before := contents(t, m.database)
	r := a.request("a")
	if err := m.send(a, r); err != nil {
		t.Fatal(err)
	}
	put(t, m.volume.Path(fmt.Sprintf("%s/%s/%s", volume.PlacementDir, filesName, r.Files[0].Name)), "rotten")
	if _, err := m.target.Place("a"); err != nil {
		t.Fatal(err)
	}
	p := m.await("a", protocol.PlacementPlaced, protocol.PlacementFailed)
	if p.Phase != protocol.PlacementFailed || p.Reason != protocol.ImageCorrupt || p.SHA256 != "" {
		t.Errorf("%+v", p)
	}
	sameFamilies(t, contents(t, m.database), before, "meta_raft", "meta_data", "meta_metadata", "storage", "broker")
	if p, err := m.target.Revert("a"); err != nil || p.Phase != protocol.PlacementReverted {
		t.Errorf("%+v, %v", p, err)
	}
}
