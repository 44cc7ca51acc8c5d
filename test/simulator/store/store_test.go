package store

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/robustmq/robustmq-operator/backup/image"
	"github.com/robustmq/robustmq-operator/backup/image/rocksdb"
)

func TestWhatWasWrittenIsFoundAgain(t *testing.T) {
	for seed := range uint64(8) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			dir, r, want := filepath.Join(t.TempDir(), "_rocksdb"), batches{rand.New(rand.NewPCG(seed, 1))}, model{}
			o := Options{Buffer: 2000 << (seed % 5 * 2), Trigger: 2 + int(seed%3)}
			for restart := range 12 {
				s := mustOpen(t, dir, o)
				sameModel(t, fmt.Sprintf("start %d", restart), contents(t, s), want)
				for range 60 {
					batch := r.next()
					if err := s.Write(batch...); err != nil {
						t.Fatal(err)
					}
					want.apply(batch)
				}
				sameModel(t, fmt.Sprintf("after the writes of %d", restart), contents(t, s), want)
				if err := s.Close(); err != nil {
					t.Fatal(err)
				}
			}
			inspected(t, dir)
			if seed < 3 {
				judge(t, dir, want)
			}
		})
	}
}

// inspected has the product's own reader look at the database: it is stricter than RocksDB.
func inspected(t *testing.T, dir string) *image.Inspection {
	t.Helper()
	i, err := image.Inspect(context.Background(), image.OS{}, dir)
	if err != nil {
		t.Fatal(err)
	}
	return i
}

func TestAFreshFolderIsThatOfARealServer(t *testing.T) {
	dir := t.TempDir()
	s := mustOpen(t, dir, Options{})
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	if want := []string{"000004.log", "CURRENT", "IDENTITY", "LOCK", "LOG", "MANIFEST-000005", "OPTIONS-000007"}; !slices.Equal(names, want) {
		t.Errorf("%v, want %v", names, want)
	}
	for name, recording := range map[string]string{"MANIFEST-000005": "manifest-fresh", "OPTIONS-000007": "options-0.4.11"} {
		got, err1 := os.ReadFile(filepath.Join(dir, name))
		want, err2 := os.ReadFile(filepath.Join(imageData, "..", "rocksdb", "testdata", recording))
		if err := errors.Join(err1, err2); err != nil {
			t.Fatal(err)
		}
		if string(got) != string(want) {
			t.Errorf("%s is not the recorded one\n% x\n% x", name, got[:min(len(got), 400)], want[:min(len(want), 400)])
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestARealServersFolderIsReadAsRocksDBReadsIt(t *testing.T) {
	for _, name := range []string{"fresh-1node", "follower-300users", "torn-tail", "follower-300users-metaonly"} {
		t.Run(name, func(t *testing.T) {
			dir, want := recorded(t, name), oracle(t, name)
			o := Options{Trigger: 5}
			for restart := range 3 { // the second has tables of its own beside the real ones, the third has compacted them
				s := mustOpen(t, dir, o)
				sameModel(t, fmt.Sprintf("start %d", restart), contents(t, s), want)
				batch := []Record{
					{Family: FamilyMetadata, Key: fmt.Appendf(nil, "/meta/mqtt/user/default/new%d", restart), Value: []byte("v")},
					{Family: FamilyRaft, Key: []byte{'L'}, Until: []byte{'L', 0x50}},
				}
				if err := s.Write(batch...); err != nil {
					t.Fatal(err)
				}
				want.apply(batch)
				if err := s.Close(); err != nil {
					t.Fatal(err)
				}
				inspected(t, dir)
			}
			judge(t, dir, want)
		})
	}
}

func TestASecondServerAndAnEditAreKeptOutWhileOneRuns(t *testing.T) {
	dir := t.TempDir()
	s := mustOpen(t, dir, Options{})
	if _, err := Open(dir); !errors.Is(err, ErrLocked) {
		t.Errorf("a second server opened the folder: %v", err)
	}
	edits := []image.Edit{image.SetVote("metadata_0", image.Vote{Term: 3, Node: 1, Committed: true})}
	if err := image.Append(context.Background(), image.OS{}, dir, edits); !errors.Is(err, image.ErrInUse) {
		t.Errorf("the folder was edited while it was open: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := s.Write(Record{Family: FamilyRaft, Key: []byte("k")}); !errors.Is(err, ErrClosed) {
		t.Errorf("a write after the end: %v", err)
	}
	if err := image.Append(context.Background(), image.OS{}, dir, edits); err != nil {
		t.Fatal(err)
	}
	again := mustOpen(t, dir, Options{})
	if all := contents(t, again); len(all) != 1 {
		t.Errorf("the edit is not there: %v", all)
	}
}

func TestWhatCannotBeOpenedIsRefusedByName(t *testing.T) {
	cases := map[string]struct {
		damage func(t *testing.T, dir string)
		want   string
	}{
		"a table is missing":       {func(t *testing.T, dir string) { remove(t, dir, "000042.sst") }, "Corruption: "},
		"a table has another size": {func(t *testing.T, dir string) { cut(t, dir, "000042.sst", 100) }, "Sst file size mismatch"},
		"CURRENT names nothing":    {func(t *testing.T, dir string) { replace(t, dir, "CURRENT", "MANIFEST-000099\n") }, "IO error: "},
		"CURRENT is damaged":       {func(t *testing.T, dir string) { replace(t, dir, "CURRENT", "MANIFEST-000048") }, "Corruption: "},
		"the MANIFEST is empty":    {func(t *testing.T, dir string) { replace(t, dir, "MANIFEST-000048", "") }, "Corruption: MANIFEST-000048"},
		"a table is damaged": {func(t *testing.T, dir string) {
			name := filepath.Join(dir, "000035.sst")
			content, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			content[100] ^= 1
			replace(t, dir, "000035.sst", string(content))
		}, "Corruption: "},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			dir := recorded(t, "follower-300users")
			c.damage(t, dir)
			s, err := Open(dir)
			if err == nil {
				err = s.Each(FamilyMetadata, func(_, _ []byte) error { return nil })
				_ = s.Close()
			}
			var e *Error
			if !errors.As(err, &e) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want %q", err, c.want)
			}
			if lock, err := (image.OS{}).Lock(dir); err != nil {
				t.Errorf("the folder is still locked: %v", err)
			} else if err := lock.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestAFamilyThatNobodyOpensIsRefusedAsRocksDBDoes(t *testing.T) {
	dir := recorded(t, "fresh-1node")
	name := "offsets"
	comparator := rocksdb.BytewiseComparator
	e := rocksdb.VersionEdit{Comparator: &comparator, Family: 6, AddFamily: &name}
	f, err := os.Open(filepath.Join(dir, "MANIFEST-000005"))
	if err != nil {
		t.Fatal(err)
	}
	log := rocksdb.NewLogReader(f)
	var b strings.Builder
	w := rocksdb.NewLogWriter(&b)
	for log.Next() == nil {
		record, err := log.Record(1 << 20)
		if err == nil {
			err = w.Append(record)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(w.Append(e.Append(nil)), f.Close()); err != nil {
		t.Fatal(err)
	}
	replace(t, dir, "MANIFEST-000005", b.String())
	if _, err := Open(dir); err == nil || err.Error() != "Invalid argument: Column families not opened: offsets" {
		t.Errorf("%v", err)
	}
}

// Messages flush their family alone: the WALs stay as long as the metadata have something in them, as on the real server, and go at the next start.
func TestWALsStayWhileAnotherFamilyNeedsThem(t *testing.T) {
	dir := t.TempDir()
	s := mustOpen(t, dir, Options{Buffer: 10000})
	if err := s.Write(Record{Family: FamilyMetadata, Key: []byte("user"), Value: []byte("v")}); err != nil {
		t.Fatal(err)
	}
	for i := range 60 {
		if err := s.Write(Record{Family: FamilyStorage, Key: fmt.Appendf(nil, "m%d", i), Value: make([]byte, 1000)}); err != nil {
			t.Fatal(err)
		}
	}
	i := inspected(t, dir)
	if len(i.WALs) < 5 || i.WALs[0].Number != 4 {
		t.Errorf("WALs %+v", i.WALs)
	}
	for _, f := range i.Families {
		if want := map[string]bool{FamilyStorage: true}[f.Name]; len(f.Tables) > 0 != want {
			t.Errorf("%s has %d tables", f.Name, len(f.Tables))
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := mustOpen(t, dir, Options{}).Close(); err != nil {
		t.Fatal(err)
	}
	if i := inspected(t, dir); len(i.WALs) != 1 || i.WALs[0].Bytes != 0 {
		t.Errorf("after a restart: WALs %+v", i.WALs)
	}
}

func TestALargeFamilyIsNotCompactedInMemory(t *testing.T) {
	for largest, want := range map[uint64]bool{1000: false, 1 << 20: true} {
		dir := t.TempDir()
		s := mustOpen(t, dir, Options{Buffer: 1000, Trigger: 3, Largest: largest})
		for i := range 30 {
			if err := s.Write(Record{Family: FamilyStorage, Key: fmt.Appendf(nil, "m%d", i), Value: make([]byte, 400)}); err != nil {
				t.Fatal(err)
			}
		}
		compacted := false
		for _, f := range inspected(t, dir).Families {
			for _, table := range f.Tables {
				compacted = compacted || table.Level == bottom
			}
		}
		if compacted != want || len(contents(t, s)) != 30 {
			t.Errorf("up to %d bytes: compacted %v, %d keys", largest, compacted, len(contents(t, s)))
		}
	}
}

func TestAnErrorOfTheDiskEndsAllWriting(t *testing.T) {
	s := mustOpen(t, t.TempDir(), Options{})
	d := s.(*database)
	if err := d.wal.file.Close(); err != nil {
		t.Fatal(err)
	}
	first := s.Write(Record{Family: FamilyRaft, Key: []byte("k")})
	second := s.Write(Record{Family: FamilyRaft, Key: []byte("k")})
	if !errors.Is(first, os.ErrClosed) || !errors.Is(second, os.ErrClosed) {
		t.Errorf("%v, then %v", first, second)
	}
	if all := contents(t, s); len(all) != 0 {
		t.Errorf("what was not written is there: %v", all)
	}
	if err := s.Write(Record{Family: "offsets", Key: []byte("k")}); err == nil {
		t.Error("a family that does not exist was written to")
	}
}

func TestARangeTheWrongWayRoundIsRefused(t *testing.T) {
	s := mustOpen(t, t.TempDir(), Options{})
	for _, until := range []string{"a", "b"} {
		err := s.Write(Record{Family: FamilyRaft, Key: []byte("k"), Value: []byte("v")}, Record{Family: FamilyRaft, Key: []byte("b"), Until: []byte(until)})
		if err == nil || !strings.Contains(err.Error(), "Invalid argument: end key comes before start key") {
			t.Errorf("b to %s: %v", until, err)
		}
	}
	if all := contents(t, s); len(all) != 0 {
		t.Errorf("half of a batch is there: %v", all)
	}
}

func FuzzAFolderWithAnyWALNeverPanics(f *testing.F) {
	wal, err := os.ReadFile(filepath.Join(imageData, "..", "rocksdb", "testdata", "wal-fresh"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(wal)
	f.Add(wal[:1000])
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, content []byte) {
		dir := t.TempDir()
		s, err := Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		replace(t, dir, "000004.log", string(content))
		again, err := Open(dir)
		if err != nil {
			return
		}
		want := contents(t, again)
		if err := again.Close(); err != nil {
			t.Fatal(err)
		}
		third := mustOpen(t, dir, Options{})
		if got := contents(t, third); !maps.Equal(got, want) {
			t.Errorf("%d keys, then %d", len(want), len(got))
		}
	})
}

func remove(t testing.TB, dir, name string) {
	t.Helper()
	if err := os.Remove(filepath.Join(dir, name)); err != nil {
		t.Fatal(err)
	}
}

func cut(t testing.TB, dir, name string, size int64) {
	t.Helper()
	if err := os.Truncate(filepath.Join(dir, name), size); err != nil {
		t.Fatal(err)
	}
}

func replace(t testing.TB, dir, name, content string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}
