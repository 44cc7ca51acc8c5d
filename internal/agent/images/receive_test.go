package images

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/iotest"

	"github.com/robustmq/robustmq-operator/backup/image"
	"github.com/robustmq/robustmq-operator/backup/image/imagetest"
	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
	"github.com/robustmq/robustmq-operator/internal/agent/volume"
)

func TestAFileGoesOnWhereItWasCut(t *testing.T) {
	m, a := newMember(t, ""), backup(t, imagetest.Follower)
	if _, err := m.target.Begin(a.request("a")); err != nil {
		t.Fatal(err)
	}
	largest := slices.MaxFunc(a.files, func(x, y protocol.PlacementFile) int { return int(x.Size - y.Size) })
	content := a.read(t, largest.Name)
	cut := errors.New("connection reset")
	file, err := m.target.Put(t.Context(), "a", largest.Name, 0, io.MultiReader(bytes.NewReader(content[:700]), iotest.ErrReader(cut)))
	if !errors.Is(err, cut) || file.Received != 700 {
		t.Fatalf("%+v, %v", file, err)
	}
	m.restart() // the agent too
	if p := m.await("a", protocol.PlacementReceiving); p.Received != 700 {
		t.Fatalf("%+v", p)
	}
	for _, offset := range []int64{0, 699, 701, largest.Size, -1} {
		if _, err := m.target.Put(t.Context(), "a", largest.Name, offset, bytes.NewReader(content)); reasonOf(err) != protocol.ReasonConflict || !strings.Contains(err.Error(), "700 bytes") {
			t.Errorf("from %d: %v", offset, err)
		}
	}
	if file, err = m.target.Put(t.Context(), "a", largest.Name, 700, bytes.NewReader(content[700:1000])); err != nil || file.Received != 1000 || file.Verified {
		t.Fatalf("a part: %+v, %v", file, err)
	}
	if file, err = m.target.Put(t.Context(), "a", largest.Name, 1000, bytes.NewReader(content[1000:])); err != nil || !file.Verified {
		t.Fatalf("the rest: %+v, %v", file, err)
	}
	if file, err = m.target.Put(t.Context(), "a", largest.Name, largest.Size, bytes.NewReader(nil)); err != nil || !file.Verified {
		t.Errorf("once more: %+v, %v", file, err)
	}
	m.restart()
	if p := m.await("a", protocol.PlacementReceiving); p.Received != largest.Size {
		t.Errorf("%+v", p)
	}
}

func TestBytesThatAreNotTheAnnouncedOnesAreThrownAway(t *testing.T) {
	m, a := newMember(t, ""), backup(t, imagetest.Follower)
	if _, err := m.target.Begin(a.request("a")); err != nil {
		t.Fatal(err)
	}
	f := a.files[0]
	good := a.read(t, f.Name)
	flipped := slices.Clone(good)
	flipped[len(flipped)/2] ^= 1
	longer := append(slices.Clone(good), 0)
	for name, c := range map[string]struct {
		content []byte
		reason  string
	}{"a flipped byte": {flipped, protocol.ReasonBadData}, "one byte more": {longer, protocol.ReasonBadRequest}, "much more": {bytes.Repeat(good, 40), protocol.ReasonBadRequest}} {
		if _, err := m.target.Put(t.Context(), "a", f.Name, 0, bytes.NewReader(c.content)); reasonOf(err) != c.reason {
			t.Errorf("%s: %v", name, err)
		}
		if p, err := m.target.Get("a"); err != nil || p.Received != 0 {
			t.Errorf("%s: %+v, %v", name, p, err)
		}
	}
	if _, err := m.target.Place("a"); reasonOf(err) != protocol.ReasonConflict {
		t.Errorf("placed half: %v", err)
	}
	if file, err := m.target.Put(t.Context(), "a", f.Name, 0, bytes.NewReader(good)); err != nil || !file.Verified {
		t.Errorf("the right bytes: %+v, %v", file, err)
	}
	for _, name := range []string{"", "../placement.json", "placement.json", "OPTIONS-000001", "999999.sst"} {
		if _, err := m.target.Put(t.Context(), "a", name, 0, bytes.NewReader(good)); reasonOf(err) != protocol.ReasonNotFound {
			t.Errorf("%q: %v", name, err)
		}
	}
}

func TestBytesThatNobodyCountedAreSeen(t *testing.T) {
	m, a := newMember(t, ""), backup(t, imagetest.Follower)
	if _, err := m.target.Begin(a.request("a")); err != nil {
		t.Fatal(err)
	}
	f := a.files[0]
	good := a.read(t, f.Name)
	// As after a removal that failed: the file is there, and the agent counts from 0.
	part := filepath.Join(m.volume.Path(volume.PlacementDir), partsName, f.Name)
	if err := os.WriteFile(part, []byte("what was spoiled before"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := m.target.Put(t.Context(), "a", f.Name, 0, bytes.NewReader(good)); reasonOf(err) != protocol.ReasonBadData {
		t.Errorf("%v", err)
	}
	if file, err := m.target.Put(t.Context(), "a", f.Name, 0, bytes.NewReader(good)); err != nil || !file.Verified {
		t.Errorf("once more: %+v, %v", file, err)
	}
	if got, err := os.ReadFile(filepath.Join(m.volume.Path(volume.PlacementDir), filesName, f.Name)); err != nil || !bytes.Equal(got, good) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
}

func TestAFileThatComesInSmallPiecesIsWrittenInLargeOnes(t *testing.T) {
	m, a := newMember(t, ""), backup(t, imagetest.Follower)
	if _, err := m.target.Begin(a.request("a")); err != nil {
		t.Fatal(err)
	}
	largest := slices.MaxFunc(a.files, func(x, y protocol.PlacementFile) int { return int(x.Size - y.Size) })
	writes := 0
	m.disk.set(func(d *disk) {
		d.fault = func(op, name string) error {
			if op == "write" && filepath.Base(name) == largest.Name {
				writes++
			}
			return nil
		}
	})
	file, err := m.target.Put(t.Context(), "a", largest.Name, 0, iotest.OneByteReader(bytes.NewReader(a.read(t, largest.Name))))
	if err != nil || !file.Verified {
		t.Fatalf("%+v, %v", file, err)
	}
	if most := int(largest.Size/chunk) + 2; writes > most {
		t.Errorf("%d bytes were written in %d pieces", largest.Size, writes)
	}
}

func TestTwoCallersDoNotWriteOneFile(t *testing.T) {
	m, a := newMember(t, ""), backup(t, imagetest.Follower)
	if _, err := m.target.Begin(a.request("a")); err != nil {
		t.Fatal(err)
	}
	f := a.files[0]
	content := a.read(t, f.Name)
	reader, writer := io.Pipe()
	first := make(chan error, 1)
	go func() {
		_, err := m.target.Put(context.Background(), "a", f.Name, 0, reader)
		first <- err
	}()
	if _, err := writer.Write(content[:100]); err != nil { // it is being read now
		t.Fatal(err)
	}
	if _, err := m.target.Put(t.Context(), "a", f.Name, 0, bytes.NewReader(content)); reasonOf(err) != protocol.ReasonBusy {
		t.Errorf("the second caller: %v", err)
	}
	if _, err := writer.Write(content[100:]); err != nil {
		t.Fatal(err)
	}
	_ = writer.Close()
	if err := <-first; err != nil {
		t.Errorf("the first caller: %v", err)
	}
	for _, other := range a.files[1:] {
		if _, err := m.target.Put(t.Context(), "a", other.Name, 0, bytes.NewReader(a.read(t, other.Name))); err != nil {
			t.Fatal(err)
		}
	}
	// Two who place: one does it.
	var all sync.WaitGroup
	for range 2 {
		all.Go(func() {
			if _, err := m.target.Place("a"); err != nil && reasonOf(err) != protocol.ReasonBusy {
				t.Error(err)
			}
		})
	}
	all.Wait()
	m.await("a", protocol.PlacementPlaced)
}

func TestADiskThatFillsIsNamedAndTheRestCanFollow(t *testing.T) {
	m, a := newMember(t, imagetest.Follower), backup(t, imagetest.Fresh)
	before := contents(t, m.database)
	r := a.request("a")
	full := func(op, _ string) error {
		if op == "write" {
			return syscall.ENOSPC
		}
		return nil
	}
	if _, err := m.target.Begin(r); err != nil {
		t.Fatal(err)
	}
	m.disk.set(func(d *disk) { d.fault = full })
	if _, err := m.target.Put(t.Context(), "a", a.files[0].Name, 0, bytes.NewReader(a.read(t, a.files[0].Name))); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("%v", err)
	}
	m.disk.set(func(d *disk) { d.fault = nil })
	for _, f := range a.files {
		if _, err := m.target.Put(t.Context(), "a", f.Name, 0, bytes.NewReader(a.read(t, f.Name))); err != nil {
			t.Fatal(err)
		}
	}
	m.disk.set(func(d *disk) {
		d.fault = func(op, name string) error {
			if op == "write" && strings.Contains(name, "_rocksdb") {
				return syscall.ENOSPC
			}
			return nil
		}
	})
	if _, err := m.target.Place("a"); err != nil {
		t.Fatal(err)
	}
	p := m.await("a", protocol.PlacementFailed)
	if p.Reason != protocol.ImageNoSpace || m.gate() != protocol.GatePlacing {
		t.Errorf("%+v, gate %s", p, m.gate())
	}
	sameFamilies(t, contents(t, m.database), before, image.Families...)
	m.disk.set(func(d *disk) { d.fault = nil })
	if _, err := m.target.Place("a"); err != nil {
		t.Fatal(err)
	}
	m.await("a", protocol.PlacementPlaced)
	sameFamilies(t, contents(t, m.database), edited(t, a, r), image.MetadataFamilies...)
}

func TestFilesThatArriveAtOnceMakeOneImage(t *testing.T) {
	m, a := newMember(t, ""), backup(t, imagetest.Follower)
	if _, err := m.target.Begin(a.request("a")); err != nil {
		t.Fatal(err)
	}
	// The last bytes of all files come at the same time.
	var all sync.WaitGroup
	last := make(chan struct{})
	for _, f := range a.files {
		content := a.read(t, f.Name)
		all.Go(func() {
			if _, err := m.target.Put(context.Background(), "a", f.Name, 0, io.MultiReader(bytes.NewReader(content[:1]), waiting{last}, bytes.NewReader(content[1:]))); err != nil {
				t.Errorf("%s: %v", f.Name, err)
			}
		})
	}
	eventually(t, "all files are being received", func() bool {
		m.target.mu.Lock()
		defer m.target.mu.Unlock()
		return len(m.target.open) == len(a.files)
	})
	if err := m.target.Delete("a"); reasonOf(err) != protocol.ReasonBusy {
		t.Errorf("removed while it is received: %v", err)
	}
	close(last)
	all.Wait()
	if p, err := m.target.Get("a"); err != nil || p.Phase != protocol.PlacementReceived || p.Received != p.Total {
		t.Errorf("%+v, %v", p, err)
	}
}

// waiting is a body that has nothing until a channel is closed.
type waiting struct{ until chan struct{} }

func (w waiting) Read([]byte) (int, error) {
	<-w.until
	return 0, io.EOF
}
