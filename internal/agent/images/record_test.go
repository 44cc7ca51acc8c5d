package images

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/robustmq/robustmq-operator/backup/image/imagetest"
	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
	"github.com/robustmq/robustmq-operator/internal/agent/volume"
)

func TestARecordThatIsNotOneKeepsTheTargetShut(t *testing.T) {
	m, a := newMember(t, ""), backup(t, imagetest.Fresh)
	if _, err := m.target.Begin(a.request("a")); err != nil {
		t.Fatal(err)
	}
	put(t, m.volume.Path(volume.PlacementDir+"/"+recordName), "{")
	target := NewTarget(m.target.o)
	if err := target.Start(t.Context()); err == nil || !strings.Contains(err.Error(), recordName) {
		t.Fatal(err)
	}
	if _, err := target.Begin(a.request("a")); reasonOf(err) != protocol.ReasonConflict || !strings.Contains(err.Error(), recordName) {
		t.Error(err)
	}
	// The way out.
	if err := errors.Join(target.Forget(), target.Start(t.Context())); err != nil {
		t.Fatal(err)
	}
	if _, err := target.Begin(a.request("a")); err != nil {
		t.Error(err)
	}
}

func TestWhatWasReceivedGoesWithTheVolume(t *testing.T) {
	m, a := newMember(t, imagetest.Follower), backup(t, imagetest.Fresh)
	if err := m.send(a, a.request("a")); err != nil {
		t.Fatal(err)
	}
	if err := m.target.Forget(); err != nil {
		t.Fatal(err)
	}
	if err := m.volume.Wipe(); err != nil {
		t.Fatal(err)
	}
	if left := listing(t, m.volume.Dir); len(left) > 0 || m.target.State() != nil {
		t.Errorf("%v", left)
	}
	m.placed(a, a.request("a"))
}

func FuzzParseRecord(f *testing.F) {
	f.Add([]byte(`{}`))
	f.Add([]byte(`{"request":{"id":"a","origin":"Seeded","clusterUID":"u","nodeID":1,"generation":1,"files":[{"name":"CURRENT","size":1,"sha256":""}]},"phase":"Placing"}`))
	a := backup(f, imagetest.Fresh)
	r := a.request("a")
	f.Add(fmt.Appendf(nil, `{"request":{"id":"a","origin":"Seeded","clusterUID":"u","nodeID":1,"files":[{"name":"CURRENT","size":16,"sha256":%q},{"name":"MANIFEST-000001","size":16,"sha256":%q}]},"phase":"Receiving","changed":%q}`,
		r.Files[0].SHA256, r.Files[0].SHA256, time.Unix(0, 0).UTC().Format(time.RFC3339)))
	f.Fuzz(func(t *testing.T, content []byte) {
		got, err := parseRecord(content)
		if err != nil {
			return
		}
		for _, file := range got.Request.Files {
			if filepath.Base(file.Name) != file.Name || strings.ContainsAny(file.Name, `/\`) || strings.HasPrefix(file.Name, ".") {
				t.Fatalf("file %q", file.Name)
			}
		}
		if total(got.Request.Files) < 0 {
			t.Fatal("sizes overflow")
		}
		if _, err := edits(got.Request.Edits, 0); err != nil {
			t.Fatalf("edits that were admitted cannot be made: %v", err)
		}
	})
}
