package images

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/robustmq/robustmq-operator/backup/image"
	"github.com/robustmq/robustmq-operator/backup/image/imagetest"
	"github.com/robustmq/robustmq-operator/backup/image/rocksdb"
	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
)

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
	s.endedTimes(2) // Ready, then Failed
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
