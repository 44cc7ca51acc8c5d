package images

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/robustmq/robustmq-operator/backup/image"
	"github.com/robustmq/robustmq-operator/backup/image/imagetest"
	"github.com/robustmq/robustmq-operator/backup/image/rocksdb"
	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
	"github.com/robustmq/robustmq-operator/internal/robustmq"
)

// stage is a source over a recorded database.
type stage struct {
	t        testing.TB
	database string
	root     string
	disk     *disk
	clock    *clock
	server   *server
	source   *Source
	cancel   context.CancelFunc

	mu    sync.Mutex
	ended []protocol.Image
}

func newStage(t testing.TB, recorded string, adjust func(*SourceOptions)) *stage {
	t.Helper()
	root, database := volumeOf(t, recorded)
	s := &stage{t: t, database: database, root: filepath.Join(root, ".staging"), disk: &disk{}, clock: &clock{now: time.Unix(1e9, 0)}, server: &server{answers: []func() (Server, error){says(1, calm())}}}
	s.restart(adjust)
	return s
}

// restart is a new agent over the same volume.
func (s *stage) restart(adjust func(*SourceOptions)) {
	s.t.Helper()
	o := SourceOptions{
		FS: s.disk, Root: s.root, Database: func() string { return s.database }, Ask: s.server.ask, Now: s.clock.Now, Pause: time.Millisecond, Attempts: 5,
		Ended: func(i protocol.Image) {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.ended = append(s.ended, i)
		},
	}
	if adjust != nil {
		adjust(&o)
	}
	s.source = NewSource(o)
	ctx, cancel := context.WithCancel(context.Background())
	s.cancel = cancel
	if err := s.source.Start(ctx); err != nil {
		s.t.Fatal(err)
	}
	source := s.source
	s.t.Cleanup(func() {
		cancel()
		source.Wait()
	})
}

// result begins an image and waits until it is Ready or Failed.
func (s *stage) result(id string) protocol.Image {
	s.t.Helper()
	if _, err := s.source.Begin(context.Background(), request(id)); err != nil {
		s.t.Fatal(err)
	}
	return s.await(id)
}

func (s *stage) await(id string) (i protocol.Image) {
	s.t.Helper()
	eventually(s.t, "image "+id+" is ready or failed", func() bool {
		var err error
		if i, err = s.source.Get(id); err != nil {
			s.t.Fatal(err)
		}
		return i.Phase != protocol.ImageStaging
	})
	return i
}

func (s *stage) ready(id string) protocol.Image {
	s.t.Helper()
	i := s.result(id)
	if i.Phase != protocol.ImageReady {
		s.t.Fatalf("%s: %s", i.Reason, i.Message)
	}
	return i
}

// fetch copies an image out, as a Job does, and returns the folder.
func (s *stage) fetch(i protocol.Image) string {
	s.t.Helper()
	dir := s.t.TempDir()
	for _, f := range i.Files {
		stream, err := s.source.Open(i.ID, f.Name)
		if err != nil {
			s.t.Fatal(err)
		}
		content, err := io.ReadAll(stream)
		if err = errors.Join(err, stream.Close(), os.WriteFile(filepath.Join(dir, f.Name), content, 0o600)); err != nil {
			s.t.Fatal(err)
		}
		if sum, size, err := sumOf(context.Background(), OS{}, filepath.Join(dir, f.Name)); err != nil || sum != f.SHA256 || size != f.Size {
			s.t.Errorf("%s: %d bytes with %s, listed as %d with %s (%v)", f.Name, size, sum, f.Size, f.SHA256, err)
		}
	}
	return dir
}

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
	var all sync.WaitGroup
	var mu sync.Mutex
	outcomes := map[string]int{}
	for n := range 20 {
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
	if len(s.ended) != 1 {
		t.Errorf("%d images were made", len(s.ended))
	}
}

func TestAnImageIsTakenAgainWhenTheRaftStateChangedMeanwhile(t *testing.T) {
	with := func(change func(*robustmq.GroupState)) robustmq.ClusterStatus {
		status := calm()
		g := group()
		change(&g)
		status[robustmq.GroupOffset] = g
		return status
	}
	voted := with(func(g *robustmq.GroupState) { g.Term, g.VoteNode, g.VoteCommitted = 2, 3, false })
	for name, c := range map[string]struct {
		answers  []func() (Server, error)
		reason   string // of the failure; "" none
		attempts int
		words    string
	}{
		"a vote, once":                 {[]func() (Server, error){says(1, calm()), says(1, calm()), says(1, voted)}, "", 2, ""},
		"a commit, once":               {[]func() (Server, error){says(1, calm()), says(1, calm()), says(1, with(func(g *robustmq.GroupState) { g.VoteCommitted = false })), says(1, calm())}, "", 2, ""},
		"the server was started again": {[]func() (Server, error){says(1, calm()), says(1, calm()), says(2, calm())}, "", 2, ""},
		"it did not answer once":       {[]func() (Server, error){says(1, calm()), fails(errors.New("timeout")), says(1, calm())}, "", 1, ""},
		"membership log":               {[]func() (Server, error){says(1, calm()), says(1, calm()), says(1, with(func(g *robustmq.GroupState) { g.MembershipLog = &robustmq.LogID{Term: 1, NodeID: 1, Index: 9} })), says(1, calm())}, "", 2, ""},
		"an address":                   {[]func() (Server, error){says(1, calm()), says(1, calm()), says(1, with(func(g *robustmq.GroupState) { g.Nodes = map[uint64]string{1: "x:1228", 2: "b:1228", 3: "c:1228"} })), says(1, calm())}, "", 2, ""},
		"joint":                        {[]func() (Server, error){says(1, with(func(g *robustmq.GroupState) { g.Configs = [][]uint64{{1, 2, 3}, {1, 2, 3, 4}} }))}, protocol.ImageRaftChanged, 0, "offset_0"},
		"no membership":                {[]func() (Server, error){says(1, with(func(g *robustmq.GroupState) { g.Configs = nil }))}, protocol.ImageRaftChanged, 0, "no membership"},
		"a group is down":              {[]func() (Server, error){says(1, with(func(g *robustmq.GroupState) { g.Running, g.RunningError = false, "Err(Panicked)" }))}, protocol.ImageRaftChanged, 0, "Panicked"},
		"a group is missing":           {[]func() (Server, error){says(1, robustmq.ClusterStatus{robustmq.GroupMetadata: group(), robustmq.GroupData: group(), "x": group()})}, protocol.ImageRaftChanged, 0, "offset_0"},
		"the server is gone":           {[]func() (Server, error){says(1, calm()), fails(errors.New("connection refused"))}, protocol.ImageServerDown, 0, "connection refused"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStage(t, imagetest.Follower, nil)
			s.server.answers = c.answers
			i := s.result("a")
			if i.Reason != c.reason || i.Attempts != c.attempts || !strings.Contains(i.Message, c.words) {
				t.Errorf("%s %q after %d attempts, want %q after %d", i.Reason, i.Message, i.Attempts, c.reason, c.attempts)
			}
			if c.reason == "" {
				sameFamilies(t, contents(t, s.fetch(i)), contents(t, s.database), image.MetadataFamilies...)
			} else if left := listing(t, s.root); len(left) > 0 {
				t.Errorf("left behind: %v", left)
			}
		})
	}
}

func TestAVoteThatNeverRestsFailsTheImage(t *testing.T) {
	s := newStage(t, imagetest.Follower, nil)
	term := uint64(1)
	s.server.answers = []func() (Server, error){func() (Server, error) {
		g := group()
		term++
		g.Term = term
		return Server{Process: 1, Status: robustmq.ClusterStatus{robustmq.GroupMetadata: g}, Groups: []string{robustmq.GroupMetadata}}, nil
	}}
	i := s.result("a")
	if i.Reason != protocol.ImageRaftChanged || i.Attempts != 5 || !strings.Contains(i.Message, "vote of raft group metadata_0") {
		t.Errorf("%+v", i)
	}
}

func TestAnImageIsRefusedAtOnceWhereThereIsNoServerToAsk(t *testing.T) {
	s := newStage(t, imagetest.Follower, nil)
	s.server.answers = []func() (Server, error){fails(&Refusal{Reason: protocol.ReasonConflict, Message: "a broker"})}
	if _, err := s.source.Begin(t.Context(), request("a")); reasonOf(err) != protocol.ReasonConflict {
		t.Error(err)
	}
	s.server.answers = []func() (Server, error){fails(errors.New("refused"))}
	if _, err := s.source.Begin(t.Context(), request("a")); reasonOf(err) != protocol.ReasonServerDown {
		t.Error(err)
	}
	if s.source.State().Image != nil {
		t.Error("an image is there")
	}
}

func TestAFailedImageNamesItsReasonAndIsNotInTheWay(t *testing.T) {
	flip := func(name string, at int64) func(*testing.T, *stage) {
		return func(t *testing.T, s *stage) {
			path := filepath.Join(s.database, name)
			content, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			content[(int64(len(content))+at)%int64(len(content))] ^= 0x40
			if err := os.WriteFile(path, content, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	fault := func(operation string, err error) func(*testing.T, *stage) {
		return func(_ *testing.T, s *stage) {
			s.disk.set(func(d *disk) {
				d.fault = func(op, name string) error {
					if op == operation && strings.Contains(name, filepath.Dir(filepath.Dir(s.database))) {
						return err
					}
					return nil
				}
			})
		}
	}
	for name, c := range map[string]struct {
		damage func(*testing.T, *stage)
		reason string
		words  string
	}{
		"a flipped byte in the middle of the MANIFEST": {flip(manifestOf(t), 200), protocol.ImageCorrupt, "MANIFEST"},
		"an option that is not known": {func(t *testing.T, s *stage) {
			if err := os.WriteFile(filepath.Join(s.database, "OPTIONS-999999"), []byte("[Version]\n  rocksdb_version=8.10.0\n[DBOptions]\n  wal_compression=kZSTD\n"), 0o600); err != nil {
				t.Fatal(err)
			}
		}, protocol.ImageUnsupported, "wal_compression"},
		"no space to begin with": {func(_ *testing.T, s *stage) { s.disk.set(func(d *disk) { d.free = 1 << 20 }) }, protocol.ImageNoSpace, "1048576 bytes are free"},
		"a disk that fills":      {fault("write", syscall.ENOSPC), protocol.ImageNoSpace, "no space left"},
		"no hard links":          {fault("link", syscall.EPERM), protocol.ImageUnsupported, "hard links"},
		"a disk that is broken":  {fault("write", syscall.EIO), protocol.ImageInternal, "input/output error"},
		"no database":            {func(_ *testing.T, s *stage) { s.database += ".away" }, protocol.ImageInternal, "no such file"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStage(t, imagetest.Follower, nil)
			right := s.database
			c.damage(t, s)
			i := s.result("a")
			if i.Phase != protocol.ImageFailed || i.Reason != c.reason || !strings.Contains(i.Message, c.words) || i.Files != nil {
				t.Errorf("%s %s: %s", i.Phase, i.Reason, i.Message)
			}
			if left := listing(t, s.root); len(left) > 0 {
				t.Errorf("left behind: %v", left)
			}
			if _, err := s.source.Open("a", rocksdb.CurrentName); reasonOf(err) != protocol.ReasonConflict {
				t.Errorf("a file of it: %v", err)
			}
			// It does not stand in the way of the next.
			s.disk.set(func(d *disk) { d.fault, d.free = nil, 0 })
			if s.database = right; c.reason == protocol.ImageNoSpace {
				s.ready("b")
			} else if _, err := s.source.Begin(t.Context(), request("b")); err != nil {
				t.Error(err)
			}
			if _, err := s.source.Get("a"); reasonOf(err) != protocol.ReasonNotFound {
				t.Errorf("the failed one: %v", err)
			}
		})
	}
}

// manifestOf is the name of the recorded follower's MANIFEST.
func manifestOf(t *testing.T) string {
	_, database := volumeOf(t, imagetest.Follower)
	content, err := os.ReadFile(filepath.Join(database, rocksdb.CurrentName))
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(content))
}

func TestWhatIsStagedIsBounded(t *testing.T) {
	s := newStage(t, imagetest.Follower, func(o *SourceOptions) { o.Limit = 4 << 10 })
	i := s.result("a")
	if i.Reason != protocol.ImageNoSpace || !strings.Contains(i.Message, "limit") {
		t.Errorf("%s: %s", i.Reason, i.Message)
	}
	if bytes := s.source.State().StagingBytes; bytes != 0 {
		t.Errorf("%d bytes are counted, and nothing is there", bytes)
	}
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

func TestAnImageThatHoldsSpaceTheServerNeedsIsGivenUp(t *testing.T) {
	s := newStage(t, imagetest.Follower, nil)
	s.ready("a")
	stream, err := s.source.Open("a", rocksdb.CurrentName)
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close() //nolint:errcheck // it was only read
	s.disk.set(func(d *disk) { d.free = 255 << 20 })
	s.source.Tick()
	i, err := s.source.Get("a")
	if err != nil || i.Reason != protocol.ImageNoSpace || i.Files != nil {
		t.Errorf("%+v, %v", i, err)
	}
	if _, err := stream.Read(make([]byte, 1)); err == nil {
		t.Error("its files are still read")
	}
	if left := listing(t, s.root); slices.ContainsFunc(left, func(n string) bool { return strings.HasPrefix(n, "image-") }) {
		t.Errorf("left behind: %v", left)
	}
	if len(s.ended) != 2 {
		t.Errorf("told of %d ends, want Ready and Failed", len(s.ended))
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

func TestAnAgentKilledAtAnyMomentLeavesNothingThatMatters(t *testing.T) {
	probe := newStage(t, imagetest.Follower, nil)
	probe.ready("a")
	steps := probe.disk.steps
	if steps < 20 {
		t.Fatalf("only %d steps", steps)
	}
	want := contents(t, probe.database)
	for at := 1; at <= steps; at++ {
		s := newStage(t, imagetest.Follower, nil)
		s.disk.set(func(d *disk) { d.dieAt = d.steps + at })
		if _, err := s.source.Begin(t.Context(), request("a")); err == nil {
			s.await("a")
		}
		s.cancel()
		s.source.Wait()
		s.disk.set(func(d *disk) { d.dieAt = 0 })
		s.restart(nil)
		if left := listing(t, s.root); len(left) > 0 {
			t.Fatalf("killed at step %d: left %v", at, left)
		}
		if _, err := s.source.Get("a"); reasonOf(err) != protocol.ReasonNotFound {
			t.Fatalf("killed at step %d: %v", at, err)
		}
		sameFamilies(t, contents(t, s.fetch(s.ready("b"))), want, image.MetadataFamilies...)
		if t.Failed() {
			t.Fatalf("killed at step %d", at)
		}
	}
	t.Logf("killed at each of %d steps", steps)
}

func TestAPanicFailsTheImageAndNothingElse(t *testing.T) {
	s := newStage(t, imagetest.Follower, func(o *SourceOptions) {
		o.Guard = func(_ string, work func()) {
			defer func() { _ = recover() }()
			work()
		}
		database := o.Database
		first := true
		o.Database = func() string {
			if first {
				first = false
				panic("a defect")
			}
			return database()
		}
	})
	if i := s.result("a"); i.Reason != protocol.ImageInternal {
		t.Errorf("%+v", i)
	}
	s.ready("b")
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
