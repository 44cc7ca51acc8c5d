package image

import (
	"context"
	"errors"
	"io/fs"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/robustmq/robustmq-operator/backup/image/rocksdb"
)

const (
	liveDir = "/data/_rocksdb"
	stage   = "/data/staging/1"
)

// liveFS is a volume with the recorded follower, as a running server has it.
func liveFS(t testing.TB) *crashFS {
	t.Helper()
	fsys := newCrashFS()
	fsys.load(t, unpack(t, "follower-300users"), liveDir)
	return fsys
}

// quick is a Taker that never really waits and notes how long it would have.
func quick(fsys FS, waited *[]time.Duration) Taker {
	return Taker{FS: fsys, Attempts: 5, Jitter: func() float64 { return 0.25 }, Sleep: func(ctx context.Context, d time.Duration) error {
		*waited = append(*waited, d)
		return ctx.Err()
	}}
}

func take(t testing.TB, fsys FS) *Staged {
	t.Helper()
	s, err := Taker{FS: fsys}.Take(context0, liveDir, stage, MetadataFamilies)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestAnImageOfALiveDatabaseIsWhatExtractionOfItsCopyIs(t *testing.T) {
	fsys := liveFS(t)
	s := take(t, fsys)
	result, err := s.Extract(context0, "/data/out", Cache{})
	if err != nil || s.Attempts != 1 || len(s.WALs) != 1 {
		t.Fatalf("%+v, %v", s, err)
	}
	sameContents(t, mustContents(t, fsys, "/data/out"), mustContents(t, OS{}, unpack(t, "follower-300users-metaonly")))
	if err := s.Release(); err != nil || fsys.list("/data/staging") != "" || result.Operations != 121 {
		t.Errorf("%+v, %v, left %s", result, err, fsys.list("/data/staging"))
	}
}

func TestWhatIsWrittenAfterTheImageIsNotInIt(t *testing.T) {
	fsys := liveFS(t)
	s := take(t, fsys)
	wal := fsys.files[liveDir+"/000047.log"]
	wal.data = append(wal.data, wal.data[:5000]...)
	if _, err := s.Extract(context0, "/data/out", Cache{}); err != nil {
		t.Fatal(err)
	}
	sameContents(t, mustContents(t, fsys, "/data/out"), mustContents(t, OS{}, unpack(t, "follower-300users-metaonly")))
}

func TestADatabaseThatChangesMeanwhileIsTriedAgain(t *testing.T) {
	manifest := liveDir + "/MANIFEST-000048"
	number := uint64(60)
	edit := func() []byte {
		number++
		return (&rocksdb.VersionEdit{NextFile: &number}).Append(nil)
	}
	for name, c := range map[string]struct {
		operation, file string
		change          func(fsys *crashFS)
		last            string
	}{
		"the MANIFEST grows": {"readdir", liveDir, func(fsys *crashFS) {
			i := fsys.files[manifest]
			var more bytesBuffer
			_ = rocksdb.NewLogWriter(&more).Append(edit())
			i.data = append(slices.Clone(i.data), more...)
		}, "the MANIFEST changed"},
		"a new MANIFEST": {"link", stage + "/000047.log", func(fsys *crashFS) {
			number++
			name := rocksdb.ManifestName(number)
			fsys.files[liveDir+"/"+name] = fsys.files[manifest]
			fsys.files[liveDir+"/CURRENT"] = &inode{data: rocksdb.Current(name)}
		}, "the MANIFEST changed"},
		"a table goes": {"link", stage + "/000033.sst", func(fsys *crashFS) { delete(fsys.files, liveDir+"/000033.sst") }, "000033.sst"},
		"the WAL goes": {"link", stage + "/000047.log", func(fsys *crashFS) { delete(fsys.files, liveDir+"/000047.log") }, "000047.log"},
		"a torn MANIFEST": {"stat", manifest, func(fsys *crashFS) {
			i := fsys.files[manifest]
			fsys.files[manifest] = &inode{data: append(slices.Clone(i.data), 1, 2, 3)}
		}, "torn behind byte 3383"},
	} {
		t.Run(name, func(t *testing.T) {
			for _, changes := range []int{1, 1000} {
				fsys := liveFS(t)
				whole := fsys.crash(eager)
				left := changes
				if name == "the MANIFEST grows" {
					left++ // the first is before anything is read
				}
				fsys.before = func(operation, file string) {
					if operation == c.operation && file == c.file && left > 0 {
						left--
						c.change(fsys)
					}
				}
				var waited []time.Duration
				taker := quick(fsys, &waited)
				taker.Sleep = func(_ context.Context, d time.Duration) error {
					waited = append(waited, d)
					if !strings.HasPrefix(name, "the MANIFEST") && name != "a new MANIFEST" {
						fsys.files = whole.crash(eager).files // the server's own order: what the MANIFEST names is there again
					}
					return nil
				}
				s, err := taker.Take(context0, liveDir, stage, MetadataFamilies)
				if changes == 1 {
					if name == "the MANIFEST grows" {
						// What was appended is read, and nothing is done twice.
						if err != nil || s.Attempts != 1 || s.Rounds != 2 || len(waited) != 0 {
							t.Fatalf("%+v, %v, waited %v", s, err, waited)
						}
						continue
					}
					if err != nil || s.Attempts != 2 || !reflect.DeepEqual(waited, []time.Duration{15 * time.Millisecond}) {
						t.Fatalf("%+v, %v, waited %v", s, err, waited)
					}
					continue
				}
				var unstable *UnstableError
				if !errors.As(err, &unstable) || unstable.Attempts != 5 || len(waited) != 4 || !strings.Contains(err.Error(), c.last) {
					t.Errorf("%v, waited %v", err, waited)
				}
				if left := fsys.list("/data/staging"); left != "" {
					t.Errorf("left %s", left)
				}
			}
		})
	}
}

type bytesBuffer []byte

func (b *bytesBuffer) Write(p []byte) (int, error) {
	*b = append(*b, p...)
	return len(p), nil
}

// readdir may miss a WAL that is older than one that it shows.
func TestAWALThatAListingMissedIsFoundByTheNext(t *testing.T) {
	fsys := liveFS(t)
	b := rocksdb.Batch{Sequence: 2458, Ops: []rocksdb.Op{{Kind: rocksdb.Put, Family: 3, Key: []byte("key"), Value: []byte("value")}}}
	var file bytesBuffer
	_ = rocksdb.NewLogWriter(&file).Append(b.Append(nil))
	fsys.files[liveDir+"/000049.log"] = &inode{data: file}
	hidden, listings := fsys.files[liveDir+"/000047.log"], 0
	delete(fsys.files, liveDir+"/000047.log")
	fsys.before = func(operation, name string) {
		if operation == "readdir" && name == liveDir {
			if listings++; listings == 3 {
				fsys.files[liveDir+"/000047.log"] = hidden
			}
		}
	}
	s := take(t, fsys)
	if len(s.WALs) != 2 || s.WALs[0].Number != 47 || s.Attempts != 1 {
		t.Errorf("%+v", s.WALs)
	}
	result, err := s.Extract(context0, "/data/out", Cache{})
	if err != nil || result.Operations != 122 {
		t.Errorf("%+v, %v", result, err)
	}
}

func TestDamageIsNotTriedAgain(t *testing.T) {
	for name, change := range map[string]func(*crashFS){
		"the MANIFEST": func(f *crashFS) { f.files[liveDir+"/MANIFEST-000048"].data[100] ^= 1 },
		"a table":      func(f *crashFS) { f.files[liveDir+"/000033.sst"].data = nil },
		"OPTIONS": func(f *crashFS) {
			f.files[liveDir+"/OPTIONS-000009"] = &inode{data: []byte("[DBOptions]\nwal_compression=kZSTD\n")}
		},
	} {
		fsys := liveFS(t)
		change(fsys)
		var waited []time.Duration
		_, err := quick(fsys, &waited).Take(context0, liveDir, stage, MetadataFamilies)
		if err == nil || len(waited) > 0 || fsys.list("/data/staging") != "" {
			t.Errorf("%s: %v, waited %v", name, err, waited)
		}
	}
}

func TestAClosedWALThatIsTornMakesNoImage(t *testing.T) {
	fsys := liveFS(t)
	fsys.files[liveDir+"/000047.log"].data = fsys.files[liveDir+"/000047.log"].data[:20000]
	b := rocksdb.Batch{Sequence: 2458, Ops: []rocksdb.Op{{Kind: rocksdb.Delete, Family: 3, Key: []byte("key")}}}
	var file bytesBuffer
	_ = rocksdb.NewLogWriter(&file).Append(b.Append(nil))
	fsys.files[liveDir+"/000049.log"] = &inode{data: file}
	_, err := take(t, fsys).Extract(context0, "/data/out", Cache{})
	var gap *SequenceGapError
	if !errors.As(err, &gap) || fsys.files["/data/out"] != nil {
		t.Error(err)
	}
}

func TestNoImageIsMadeOnAFullVolume(t *testing.T) {
	fsys := liveFS(t)
	fsys.free = 1000
	_, err := (Taker{FS: fsys, Reserve: 1001}).Take(context0, liveDir, stage, MetadataFamilies)
	var space *NoSpaceError
	if !errors.As(err, &space) || space.Free != 1000 {
		t.Error(err)
	}
}

func TestAVolumeThatFillsUpEndsTheExtractionAndLeavesNothing(t *testing.T) {
	fsys := liveFS(t)
	s := take(t, fsys)
	// One large value of the metadata, more than is written between two looks at the free space.
	b := rocksdb.Batch{Sequence: 2458, Ops: []rocksdb.Op{{Kind: rocksdb.Put, Family: 3, Key: []byte("key"), Value: make([]byte, 2*spaceStep)}}}
	var file bytesBuffer
	_ = rocksdb.NewLogWriter(&file).Append(b.Append(nil))
	fsys.files[stage+"/000049.log"] = &inode{data: file}
	s.WALs = append(s.WALs, WAL{Number: 49, Size: int64(len(file))})
	fsys.free = 1
	_, err := s.Extract(context0, "/data/out", Cache{})
	var space *NoSpaceError
	if !errors.As(err, &space) || fsys.files["/data/out"] != nil {
		t.Error(err)
	}
}

// An fsync makes the server wait for the disk.
func TestAnImageNeverSyncs(t *testing.T) {
	fsys := twoWALs(t)
	if _, err := take(t, fsys).Extract(context0, "/data/out", Cache{Dir: "/data/cache"}); err != nil {
		t.Fatal(err)
	}
	for _, operation := range fsys.log {
		if strings.HasPrefix(operation, "fsync") {
			t.Error(operation)
		}
	}
}

func TestACancelledImageLeavesNothing(t *testing.T) {
	fsys := liveFS(t)
	ctx, cancel := context.WithCancel(context0)
	fsys.before = func(operation, name string) {
		if operation == "link" && strings.HasSuffix(name, "000033.sst") {
			cancel()
		}
	}
	if _, err := (Taker{FS: fsys}).Take(ctx, liveDir, stage, MetadataFamilies); !errors.Is(err, context.Canceled) || fsys.list("/data/staging") != "" {
		t.Errorf("%v, left %q", err, fsys.list("/data/staging"))
	}
}

func TestStagingThatACrashLeftIsCleaned(t *testing.T) {
	fsys := liveFS(t)
	take(t, fsys)
	if err := CleanStaging(fsys, "/data/staging"); err != nil || fsys.list("/data/staging") != "" {
		t.Errorf("%v, left %s", err, fsys.list("/data/staging"))
	}
	if err := CleanStaging(fsys, "/nowhere"); err != nil {
		t.Error(err)
	}
}

func TestAWALOfGigabytesCostsTheMemoryOfItsMetadata(t *testing.T) {
	dir := t.TempDir()
	const messages, size = 400, 1 << 20 // 400 MB is as telling as 2 GB, and quicker
	_, err := writeLog(OS{}, dir, "000004.log", 0, func(log *rocksdb.LogWriter) error {
		value := make([]byte, size)
		var record []byte
		for i := range uint64(messages) {
			b := rocksdb.Batch{Sequence: 2*i + 1, Ops: []rocksdb.Op{{Kind: rocksdb.Put, Family: 5, Key: []byte("m"), Value: value}, {Kind: rocksdb.Put, Family: 1, Key: []byte("k"), Value: value[:1000]}}}
			record = b.Append(record[:0])
			if err := log.Append(record); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	info, err := OS{}.Stat(filepath.Join(dir, "000004.log"))
	if err != nil {
		t.Fatal(err)
	}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	began := time.Now()
	s, err := writeFiltered(context0, OS{}, filepath.Join(dir, "000004.log"), WAL{Number: 4, Size: info.Size}, "key", func(f uint32) bool { return f == 1 }, dir, "filtered", 0)
	took := time.Since(began)
	runtime.ReadMemStats(&after)
	if err != nil || s.Kept != messages {
		t.Fatalf("%+v, %v", s, err)
	}
	allocated := after.TotalAlloc - before.TotalAlloc
	t.Logf("%d MB filtered in %v, %d kB allocated in all", info.Size>>20, took, allocated>>10)
	if allocated > 8<<20 {
		t.Errorf("%d bytes allocated", allocated)
	}
}

func TestAFolderThatIsNotThereIsAnErrorAtOnce(t *testing.T) {
	_, err := Taker{}.Take(context0, filepath.Join(t.TempDir(), "none"), filepath.Join(t.TempDir(), "stage"), MetadataFamilies)
	var unstable *UnstableError
	if !errors.Is(err, fs.ErrNotExist) || errors.As(err, &unstable) {
		t.Error(err)
	}
}
