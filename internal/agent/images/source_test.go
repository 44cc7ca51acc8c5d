package images

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/robustmq/robustmq-operator/backup/image"
	"github.com/robustmq/robustmq-operator/backup/image/imagetest"
	"github.com/robustmq/robustmq-operator/backup/image/rocksdb"
	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
	"github.com/robustmq/robustmq-operator/internal/robustmq"
)

func TestAnImageHoldsTheMetadataAndNothingElse(t *testing.T) {
	s := newStage(t, imagetest.Follower, nil)
	before := listing(t, s.database)
	i := s.ready("a")
	got, want := contents(t, s.fetch(i)), contents(t, s.database)
	sameFamilies(t, got, want, image.MetadataFamilies...)
	for _, family := range image.EngineFamilies {
		if list, there := got[family]; !there || len(list) > 0 {
			t.Errorf("%s: %d entries, there: %t", family, len(list), there)
		}
	}
	tables := 0
	for _, f := range i.Files {
		if f.Table {
			tables++
		}
	}
	if tables != 12 || i.Files[len(i.Files)-1].Name != rocksdb.CurrentName || i.Attempts != 1 || i.WALBytes == 0 || i.Taken == nil || !i.Asked.Equal(s.clock.Now()) {
		t.Errorf("%d tables, %+v", tables, i)
	}
	for _, name := range robustmq.Groups {
		g := i.Groups[name]
		if g.Vote != (protocol.RaftVote{Term: 1, NodeID: 1, Committed: true}) || g.Membership.LogID.Index != 5 || !slices.Equal(g.Membership.Voters, []uint64{1, 2, 3}) ||
			g.Membership.Addresses[3] != "c:1228" || g.LastApplied.Index != 7 || g.LastAppliedAfter.Index != 7 || g.Leader != 1 {
			t.Errorf("%s: %+v", name, g)
		}
	}
	if after := listing(t, s.database); !slices.Equal(before, after) {
		t.Errorf("the database's folder was changed: %v", after)
	}
	if left := listing(t, s.root); slices.ContainsFunc(left, func(name string) bool { return strings.Contains(name, "/links/") }) {
		t.Errorf("links are left: %v", left)
	}
	if err := s.source.Release("a"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.source.Get("a"); reasonOf(err) != protocol.ReasonNotFound || !strings.Contains(err.Error(), "released") {
		t.Errorf("a released image: %v", err)
	}
	if left := listing(t, s.root); slices.ContainsFunc(left, func(name string) bool { return strings.HasPrefix(name, "image-") }) {
		t.Errorf("left behind: %v", left)
	}
	if err := s.source.Release("a"); err != nil {
		t.Errorf("released twice: %v", err)
	}
}

func TestTheSameIDIsTheSameImageAndAnotherOneIsBusy(t *testing.T) {
	s := newStage(t, imagetest.Follower, nil)
	i := s.ready("a")
	again := s.ready("a")
	if !again.Asked.Equal(i.Asked) || !again.Taken.Equal(*i.Taken) || s.server.asked != 3 {
		t.Errorf("%+v, then %+v; the server was asked %d times", i, again, s.server.asked)
	}
	if _, err := s.source.Begin(t.Context(), request("b")); reasonOf(err) != protocol.ReasonBusy || !strings.Contains(err.Error(), "image a ") {
		t.Errorf("another image: %v", err)
	}
	if err := s.source.Release("b"); err != nil || s.ready("a").Phase != protocol.ImageReady {
		t.Errorf("the release of another image: %v", err)
	}
	for _, bad := range []protocol.ImageRequest{request(""), request("../x"), request("A"), request("a-"), request(strings.Repeat("a", 64)), {ID: "c", Families: "Engine"}, {ID: "c"}} {
		if _, err := s.source.Begin(t.Context(), bad); reasonOf(err) != protocol.ReasonBadRequest {
			t.Errorf("%+v: %v", bad, err)
		}
	}
}

func TestManyCallersAtOnceGetOneImage(t *testing.T) {
	s := newStage(t, imagetest.Follower, nil)
	const callers = 20
	// All of them have seen that there is no image before one begins it.
	var seen sync.WaitGroup
	seen.Add(callers)
	var asked atomic.Int32
	s.source.o.Ask = func(context.Context) (Server, error) {
		if asked.Add(1) <= callers {
			seen.Done()
			seen.Wait()
		}
		return says(1, calm())()
	}
	var all sync.WaitGroup
	var mu sync.Mutex
	outcomes := map[string]int{}
	for n := range callers {
		all.Go(func() {
			_, err := s.source.Begin(context.Background(), request(fmt.Sprintf("i%d", n%2)))
			mu.Lock()
			defer mu.Unlock()
			outcomes[reasonOf(err)]++
		})
	}
	all.Wait()
	if outcomes[""] != 10 || outcomes[protocol.ReasonBusy] != 10 {
		t.Errorf("%v", outcomes)
	}
	s.await(s.source.State().Image.ID)
	s.endedTimes(1)
}

func TestStagedBytesAreCountedUntilTheyAreRemoved(t *testing.T) {
	s := newStage(t, imagetest.Follower, nil)
	s.ready("a")
	held := s.source.State().StagingBytes
	onDisk := int64(0)
	for _, name := range listing(t, s.root) {
		info, err := os.Stat(filepath.Join(s.root, name))
		if err != nil {
			t.Fatal(err)
		}
		if kind, _ := rocksdb.ParseFileName(filepath.Base(name)); kind != rocksdb.TableFile {
			onDisk += info.Size()
		}
	}
	if held == 0 || held != onDisk {
		t.Errorf("%d bytes are counted, %d are there", held, onDisk)
	}
	if err := s.source.Release("a"); err != nil {
		t.Fatal(err)
	}
	if left := s.source.State().StagingBytes; left != 0 {
		t.Errorf("%d bytes are counted behind the release", left)
	}
}

func TestALeaseThatNobodyRenewsEndsTheImage(t *testing.T) {
	s := newStage(t, imagetest.Follower, nil)
	s.ready("a")
	renewals := map[string]func(){
		"asking":    func() { _, _ = s.source.Get("a") },
		"beginning": func() { _, _ = s.source.Begin(t.Context(), request("a")) },
		"reporting": func() { _, _ = s.source.Report("a", protocol.ImageProgress{Stage: protocol.StageUploading}) },
		"reading": func() {
			stream, err := s.source.Open("a", rocksdb.CurrentName)
			if err != nil {
				t.Fatal(err)
			}
			s.clock.pass(protocol.ImageLease - time.Second)
			_, _ = stream.Read(make([]byte, 1))
			_ = stream.Close()
		},
	}
	for name, renew := range renewals {
		s.clock.pass(protocol.ImageLease - time.Second)
		renew()
		s.clock.pass(2 * time.Second)
		s.source.Tick()
		if s.source.State().Image == nil {
			t.Fatalf("%s does not renew the lease", name)
		}
	}
	s.clock.pass(protocol.ImageLease + time.Second)
	s.source.Tick()
	if s.source.State().Image != nil || slices.ContainsFunc(listing(t, s.root), func(n string) bool { return strings.HasPrefix(n, "image-") }) {
		t.Errorf("still there: %v", listing(t, s.root))
	}
	if _, err := s.source.Get("a"); reasonOf(err) != protocol.ReasonNotFound || !strings.Contains(err.Error(), "lease") {
		t.Error(err)
	}
	s.ready("b")
}

func TestProgressIsWhatTheJobReportedLast(t *testing.T) {
	s := newStage(t, imagetest.Follower, nil)
	s.ready("a")
	if _, err := s.source.Report("a", protocol.ImageProgress{Stage: protocol.StageUploading, Bytes: 5, Total: 10, At: time.Unix(1, 0)}); err != nil {
		t.Fatal(err)
	}
	got := s.source.State().Image.Progress
	if got == nil || got.Bytes != 5 || got.Total != 10 || got.Stage != protocol.StageUploading || !got.At.Equal(s.clock.Now()) {
		t.Errorf("%+v", got)
	}
	if full, err := s.source.Get("a"); err != nil || full.Progress.Bytes != 5 || s.source.State().Image.Files != nil {
		t.Errorf("%+v, %v", full.Progress, err)
	}
	for _, bad := range []protocol.ImageProgress{{Stage: "Dreaming"}, {Stage: protocol.StageUploading, Bytes: -1}, {Stage: protocol.StageUploading, Total: -1}, {}} {
		if _, err := s.source.Report("a", bad); reasonOf(err) != protocol.ReasonBadRequest {
			t.Errorf("%+v: %v", bad, err)
		}
	}
	if _, err := s.source.Report("b", protocol.ImageProgress{Stage: protocol.StageUploading}); reasonOf(err) != protocol.ReasonNotFound {
		t.Error(err)
	}
}

func TestReleaseEndsTheMakingAndTheStreams(t *testing.T) {
	s := newStage(t, imagetest.Follower, nil)
	began, proceed := make(chan struct{}), make(chan struct{})
	var once sync.Once
	s.disk.set(func(d *disk) {
		d.fault = func(operation, _ string) error {
			if operation == "link" {
				once.Do(func() { close(began); <-proceed })
			}
			return nil
		}
	})
	if _, err := s.source.Begin(t.Context(), request("a")); err != nil {
		t.Fatal(err)
	}
	<-began
	released := make(chan error, 1)
	go func() { released <- s.source.Release("a") }()
	close(proceed)
	if err := <-released; err != nil {
		t.Fatal(err)
	}
	if left := listing(t, s.root); len(left) > 0 || s.source.State().Image != nil || len(s.ended) != 0 {
		t.Errorf("left %v, told of %v", left, s.ended)
	}
	s.ready("b")
	stream, err := s.source.Open("b", rocksdb.CurrentName)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.source.Release("b"); err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Read(make([]byte, 1)); err == nil {
		t.Error("a released image is read on")
	}
	_ = stream.Close()
}

func TestAtMostFourStreamsAreOpen(t *testing.T) {
	s := newStage(t, imagetest.Follower, nil)
	s.ready("a")
	var open []*Stream
	for range protocol.MaxImageStreams {
		stream, err := s.source.Open("a", rocksdb.CurrentName)
		if err != nil {
			t.Fatal(err)
		}
		open = append(open, stream)
	}
	if _, err := s.source.Open("a", rocksdb.CurrentName); reasonOf(err) != protocol.ReasonBusy {
		t.Errorf("one more: %v", err)
	}
	for _, stream := range open {
		if err := stream.Close(); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"", "x", "../image-1/database/CURRENT", "OPTIONS-000007", "LOCK", "/etc/passwd"} {
		if _, err := s.source.Open("a", name); reasonOf(err) != protocol.ReasonNotFound {
			t.Errorf("%q: %v", name, err)
		}
	}
}

func TestASecondImageReadsNoTableAgain(t *testing.T) {
	s := newStage(t, imagetest.Follower, nil)
	first := s.ready("a")
	if err := s.source.Release("a"); err != nil {
		t.Fatal(err)
	}
	s.disk.set(func(d *disk) { d.reads = nil })
	second := s.ready("b")
	s.disk.set(func(d *disk) {
		for name, n := range d.reads {
			if strings.HasSuffix(name, ".sst") {
				t.Errorf("%s was read %d times", name, n)
			}
		}
	})
	if !slices.EqualFunc(first.Files, second.Files, func(a, b protocol.ImageFile) bool { return a == b }) {
		t.Errorf("%v, then %v", first.Files, second.Files)
	}
	// A table of the same name that is another one is read.
	if err := s.source.Release("b"); err != nil {
		t.Fatal(err)
	}
	table := slices.IndexFunc(first.Files, func(f protocol.ImageFile) bool { return f.Table })
	path := filepath.Join(s.database, first.Files[table].Name)
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	content[0] ^= 1
	if err := errors.Join(os.Remove(path), os.WriteFile(path, content, 0o600)); err != nil {
		t.Fatal(err)
	}
	if third := s.ready("c"); third.Files[table].SHA256 == first.Files[table].SHA256 {
		t.Error("another table has the hash of the former one")
	}
}

func TestTheWALsAreMeasured(t *testing.T) {
	s := newStage(t, imagetest.Follower, nil)
	s.source.Tick()
	first := s.source.State().WALBytes
	if _, err := imagetest.Messages(t.Context(), s.database, 1<<20, 4096, 32<<10); err != nil {
		t.Fatal(err)
	}
	s.clock.pass(time.Minute)
	s.source.Tick()
	if grown := s.source.State().WALBytes; first == 0 || grown < first+1<<20 || grown > first+2<<20 {
		t.Errorf("%d bytes, then %d", first, grown)
	}
}

func TestBeforeItsStartASourceIsBusy(t *testing.T) {
	s := NewSource(SourceOptions{FS: OS{}, Root: t.TempDir(), Database: func() string { return "" }, Ask: (&server{answers: []func() (Server, error){says(1, calm())}}).ask})
	if _, err := s.Begin(t.Context(), request("a")); reasonOf(err) != protocol.ReasonBusy {
		t.Error(err)
	}
}
