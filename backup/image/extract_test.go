package image

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/robustmq/robustmq-operator/backup/image/rocksdb"
)

var context0 = context.Background()

func extract(t testing.TB, dir string, families []string) (string, *Result) {
	t.Helper()
	out := filepath.Join(t.TempDir(), "extracted")
	result, err := Extract(context0, OS{}, dir, out, families)
	if err != nil {
		t.Fatal(err)
	}
	return out, result
}

func TestExtractingTheRecordedFollowerGivesTheRecordedResult(t *testing.T) {
	out, result := extract(t, unpack(t, "follower-300users"), MetadataFamilies)
	sameContents(t, mustContents(t, OS{}, out), mustContents(t, OS{}, unpack(t, "follower-300users-metaonly")))
	if len(result.Tables) != 12 || result.Operations != 121 || result.MaxSequence != 2457+121 {
		t.Errorf("%+v", result)
	}
	files, err := os.ReadDir(out)
	if err != nil || len(files) != len(result.Files()) {
		t.Errorf("%d files, %d reported, %v", len(files), len(result.Files()), err)
	}
}

func TestRocksDBReadsWhatWasExtractedKeyByKey(t *testing.T) {
	for _, name := range []string{"follower-300users", "fresh-1node", "torn-tail"} {
		t.Run(name, func(t *testing.T) {
			out, _ := extract(t, unpack(t, name), MetadataFamilies)
			sameDump(t, ldbDump(t, out, MetadataFamilies...), oracle(t, name, MetadataFamilies...))
			if rest := ldbDump(t, out, EngineFamilies...); len(rest) > 0 {
				t.Errorf("%d keys of messages", len(rest))
			}
			whole, _ := extract(t, unpack(t, name), Families)
			sameDump(t, ldbDump(t, whole, Families...), oracle(t, name))
		})
	}
}

func TestATornEndOfTheNewestWALIsNormal(t *testing.T) {
	dir := unpack(t, "torn-tail")
	i, err := Inspect(context0, OS{}, dir)
	if err != nil || len(i.WALs) != 1 || !strings.Contains(i.WALs[0].Torn, "31413") || i.MaxSequence != 2359 {
		t.Errorf("%+v, %v", i, err)
	}
	_, result := extract(t, dir, Families)
	if result.Operations != 280 {
		t.Errorf("%+v", result)
	}
}

func TestNothingIsWrittenOverAFolderThatIsThere(t *testing.T) {
	out := t.TempDir()
	mine := filepath.Join(out, "mine")
	if err := os.WriteFile(mine, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := Extract(context0, OS{}, unpack(t, "fresh-1node"), out, MetadataFamilies)
	if !errors.Is(err, fs.ErrExist) {
		t.Error(err)
	}
	if _, err := os.Stat(mine); err != nil {
		t.Error(err)
	}
}

func TestAnExtractThatFailsLeavesNothing(t *testing.T) {
	dir := unpack(t, "follower-300users")
	wal := filepath.Join(dir, "000047.log")
	damage(t, wal, 5000)
	out := filepath.Join(t.TempDir(), "out")
	_, err := Extract(context0, OS{}, dir, out, MetadataFamilies)
	var corrupt *rocksdb.CorruptError
	if !errors.As(err, &corrupt) || !strings.Contains(err.Error(), "WAL 000047.log: corrupt at byte ") {
		t.Error(err)
	}
	if _, err := os.Stat(out); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}

func damage(t testing.TB, file string, at int) {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	b[at] ^= 0x10
	if err := os.WriteFile(file, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestDatabasesThatAreNotUnderstoodAreRefusedByName(t *testing.T) {
	for name, c := range map[string]struct {
		change func(t *testing.T, dir string)
		want   string
	}{
		"a table is missing":        {func(t *testing.T, dir string) { remove(t, dir, "000033.sst") }, "000033.sst: no such file"},
		"a table is cut":            {func(t *testing.T, dir string) { cut(t, dir, "000033.sst", 100) }, "table 000033.sst has 100 bytes, the MANIFEST says 26930"},
		"the MANIFEST is torn":      {func(t *testing.T, dir string) { cut(t, dir, "MANIFEST-000048", 3000) }, "MANIFEST-000048: torn behind byte "},
		"the MANIFEST is damaged":   {func(t *testing.T, dir string) { damage(t, filepath.Join(dir, "MANIFEST-000048"), 100) }, "MANIFEST-000048: corrupt at byte "},
		"CURRENT is empty":          {func(t *testing.T, dir string) { cut(t, dir, "CURRENT", 0) }, "corrupt: CURRENT"},
		"CURRENT names another one": {func(t *testing.T, dir string) { remove(t, dir, "MANIFEST-000048") }, "MANIFEST-000048: no such file"},
		"WALs are recycled":         {func(t *testing.T, dir string) { options(t, dir, "recycle_log_file_num=2") }, "OPTIONS-000007: not supported: recycle_log_file_num=2"},
		"WALs are compressed":       {func(t *testing.T, dir string) { options(t, dir, "wal_compression=kZSTD") }, "not supported: wal_compression=kZSTD"},
		"OPTIONS is nonsense":       {func(t *testing.T, dir string) { options(t, dir, "nonsense") }, "OPTIONS-000007: OPTIONS line 2: corrupt"},
		"a WAL is missing":          {func(t *testing.T, dir string) { gap(t, dir, 49, 2460) }, "WAL 000049.log: sequence 2460 where 2458 had to follow"},
		"the first WAL is missing":  {func(t *testing.T, dir string) { remove(t, dir, "000047.log"); gap(t, dir, 49, 2458) }, "WAL 000049.log: sequence 2458 where 2080 had to follow"},
		"a gap within a WAL":        {func(t *testing.T, dir string) { remove(t, dir, "000047.log"); gap(t, dir, 47, 2080, 2090) }, "WAL 000047.log: sequence 2090 where 2081 had to follow"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := unpack(t, "follower-300users")
			c.change(t, dir)
			_, err := Extract(context0, OS{}, dir, filepath.Join(t.TempDir(), "out"), MetadataFamilies)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v\nwant %s", err, c.want)
			}
		})
	}
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

func options(t testing.TB, dir, line string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, "OPTIONS-000007"), []byte("[DBOptions]\n"+line+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
}

// gap writes a WAL with batches of one operation each.
func gap(t testing.TB, dir string, number uint64, sequences ...uint64) {
	t.Helper()
	_, err := writeLog(OS{}, dir, rocksdb.WALName(number), 0, func(log *rocksdb.LogWriter) error {
		for _, s := range sequences {
			b := rocksdb.Batch{Sequence: s, Ops: []rocksdb.Op{{Kind: rocksdb.Put, Family: 3, Key: []byte("key"), Value: []byte("value")}}}
			if err := log.Append(b.Append(nil)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// RocksDB's own rule for a WAL behind a torn one: it counts if it goes on with the very next sequence.
func TestAWALBehindATornOneCountsOnlyWhenItFollows(t *testing.T) {
	for sequence, want := range map[uint64]int{2360: 281, 2361: 280} {
		dir := unpack(t, "torn-tail")
		gap(t, dir, 49, sequence)
		i, err := Inspect(context0, OS{}, dir)
		if err != nil || len(i.WALs) != 2 || i.WALs[1].Skipped != (want == 280) {
			t.Errorf("%+v, %v", i, err)
		}
		_, result := extract(t, dir, Families)
		if result.Operations != want || len(result.SkippedWALs) != 281-want {
			t.Errorf("sequence %d: %+v", sequence, result)
		}
	}
}

func TestAnUnknownFamilyIsRefused(t *testing.T) {
	dir := unpack(t, "fresh-1node")
	name, comparator := "meta_more", rocksdb.BytewiseComparator
	addEdit(t, dir, &rocksdb.VersionEdit{Comparator: &comparator, Family: 6, AddFamily: &name})
	_, err := Extract(context0, OS{}, dir, filepath.Join(t.TempDir(), "out"), MetadataFamilies)
	if err == nil || !strings.Contains(err.Error(), `not supported: unknown column family "meta_more"`) {
		t.Error(err)
	}
}

func TestAMissingFamilyIsRefused(t *testing.T) {
	dir := unpack(t, "fresh-1node")
	addEdit(t, dir, &rocksdb.VersionEdit{Family: 2, DropFamily: true})
	_, err := Extract(context0, OS{}, dir, filepath.Join(t.TempDir(), "out"), MetadataFamilies)
	if err == nil || !strings.Contains(err.Error(), "column family meta_data is missing") {
		t.Error(err)
	}
}

// addEdit appends a record to the MANIFEST of a small directory, in which all records fit one block.
func addEdit(t testing.TB, dir string, e *rocksdb.VersionEdit) {
	t.Helper()
	manifest := filepath.Join(dir, "MANIFEST-000005")
	f, err := os.OpenFile(manifest, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := rocksdb.NewLogWriter(f).Append(e.Append(nil)); err != nil {
		t.Fatal(err)
	}
}

// A WAL that one family still needs can hold another's operations that are in its tables already.
func TestWhatIsInTablesAlreadyIsNotTakenFromTheWALOnceMore(t *testing.T) {
	dir := unpack(t, "fresh-1node")
	flushed := uint64(5)
	addEdit(t, dir, &rocksdb.VersionEdit{Family: 3, LogNumber: &flushed})
	out, result := extract(t, dir, MetadataFamilies)
	c := mustContents(t, OS{}, out)
	if len(c[FamilyMetadata].Operations) > 0 || len(c[FamilyRaft].Operations) == 0 || result.Operations == 0 {
		t.Errorf("%d operations of the flushed family, %d of another", len(c[FamilyMetadata].Operations), len(c[FamilyRaft].Operations))
	}
	fresh, _ := extract(t, unpack(t, "fresh-1node"), MetadataFamilies)
	sameContents(t, c, mustContents(t, OS{}, fresh).only(FamilyRaft, FamilyData))
	sameDump(t, ldbDump(t, out, MetadataFamilies...), oracle(t, "fresh-1node", FamilyRaft, FamilyData))
}

// With no record before the tear RocksDB has no sequence that could go on, and reads nothing of what follows.
func TestAWALBehindOneThatIsTornBeforeItsFirstRecordIsNotRead(t *testing.T) {
	dir := unpack(t, "fresh-1node")
	cut(t, dir, "000004.log", 20)
	gap(t, dir, 6, 1)
	_, result := extract(t, dir, Families)
	if result.Operations != 0 || len(result.SkippedWALs) != 1 {
		t.Errorf("%+v", result)
	}
	if keys := ldbDump(t, dir, Families...); len(keys) > 0 {
		t.Errorf("RocksDB reads %v", keys)
	}
}
