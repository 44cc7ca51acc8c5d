package store

import (
	"encoding/hex"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// judge has RocksDB's own ldb read the database, where it is installed (Debian: rocksdb-tools). Nothing installs it; TestRocksDBOpensWhatTheStoreWrites says when it is not there.
func judge(t *testing.T, dir string, want model) {
	t.Helper()
	ldb, err := exec.LookPath("ldb")
	if err != nil {
		return
	}
	got := model{}
	for _, family := range familyNames {
		out, err := exec.Command(ldb, "--db="+dir, "--ignore_unknown_options", "--column_family="+family, "--hex", "scan").Output()
		if err != nil {
			t.Fatalf("ldb of %s: %v\n%s", family, err, out)
		}
		for line := range strings.Lines(string(out)) {
			key, value, ok := strings.Cut(strings.TrimSuffix(line, "\n"), " : ")
			k, err1 := hex.DecodeString(strings.TrimPrefix(key, "0x"))
			v, err2 := hex.DecodeString(strings.TrimPrefix(value, "0x"))
			if !ok || err1 != nil || err2 != nil {
				t.Fatalf("ldb says %q", line)
			}
			got[family+"/"+string(k)] = string(v)
		}
	}
	sameModel(t, "RocksDB", got, want)
}

func TestRocksDBOpensWhatTheStoreWrites(t *testing.T) {
	ldb, err := exec.LookPath("ldb")
	if err != nil {
		t.Skip("RocksDB's ldb is not installed (Debian: rocksdb-tools): no RocksDB opens what the store wrote")
	}
	dir, r, want := filepath.Join(t.TempDir(), "_rocksdb"), batches{rand.New(rand.NewPCG(1, 2))}, model{}
	for range 3 {
		s := mustOpen(t, dir, Options{Buffer: 5000, Trigger: 6})
		for range 100 {
			batch := r.next()
			want.apply(batch)
			if err := s.Write(batch...); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	i := inspected(t, dir)
	levels := map[uint32]int{}
	for _, f := range i.Families {
		for _, table := range f.Tables {
			levels[table.Level]++
		}
	}
	if levels[0] == 0 || levels[bottom] == 0 {
		t.Fatalf("tables by level %v: not all kinds are tested", levels)
	}
	for _, command := range [][]string{{"checkconsistency"}, {"manifest_dump"}, {"list_live_files_metadata"}} {
		args := append([]string{"--db=" + dir, "--ignore_unknown_options"}, command...)
		if out, err := exec.Command(ldb, args...).CombinedOutput(); err != nil || strings.Contains(string(out), "Corruption") {
			t.Errorf("ldb %s: %v\n%s", command[0], err, out)
		}
	}
	judge(t, dir, want)
	// RocksDB writes, compacts everything with its own tables, and the store reads on.
	for _, command := range []string{"--column_family=meta_metadata put zz written-by-rocksdb", "--column_family=meta_metadata compact", "--column_family=meta_raft compact"} {
		args := append([]string{"--db=" + dir, "--ignore_unknown_options"}, strings.Fields(command)...)
		if out, err := exec.Command(ldb, args...).CombinedOutput(); err != nil {
			t.Fatalf("ldb %s: %v\n%s", command, err, out)
		}
	}
	want.apply([]Record{{Family: FamilyMetadata, Key: []byte("zz"), Value: []byte("written-by-rocksdb")}})
	sameModel(t, "after RocksDB", contents(t, mustOpen(t, dir, Options{})), want)
}

// pythonJudge opens a folder with the RocksDB of PyPI's rocksdict, which is newer than RobustMQ's, reads all of it with checksums, and writes.
const pythonJudge = `
import sys
from rocksdict import BlockBasedOptions, DBCompressionType, Options, Rdict
families = ["meta_raft", "meta_data", "meta_metadata", "broker", "storage"]
def options():
    o = Options(raw_mode=True)
    o.set_target_file_size_base(64 << 10)
    o.set_compression_type(DBCompressionType.lz4())
    o.set_bottommost_compression_type(DBCompressionType.zstd())
    b = BlockBasedOptions()
    b.set_format_version(5) # what RobustMQ's RocksDB 8.10 writes
    b.set_bloom_filter(10, True)
    o.set_block_based_table_factory(b)
    return o
db = Rdict(sys.argv[1], options(), {f: options() for f in families})
for f in families:
    for k, v in db.get_column_family(f).items():
        print(f, k.hex(), v.hex())
db.get_column_family("meta_data")[b"zz"] = b"written-by-rocksdict" * 300
for f in families:
    db.get_column_family(f).flush()
    db.get_column_family(f).compact_range(None, None)
db.close()
`

func TestANewerRocksDBOpensItTooAndItsCompressedTablesAreRead(t *testing.T) {
	python := os.Getenv("IMAGE_PYTHON")
	if python == "" {
		python = "python3"
	}
	if err := exec.Command(python, "-c", "import rocksdict").Run(); err != nil {
		t.Skip("no Python with rocksdict (IMAGE_PYTHON names one): no newer RocksDB opens what the store wrote")
	}
	dir, r, want := filepath.Join(t.TempDir(), "_rocksdb"), batches{rand.New(rand.NewPCG(3, 2))}, model{}
	for range 3 {
		s := mustOpen(t, dir, Options{Buffer: 9000, Trigger: 5})
		for range 100 {
			batch := r.next()
			want.apply(batch)
			if err := s.Write(batch...); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	out, err := exec.Command(python, "-c", pythonJudge, dir).Output()
	if err != nil {
		t.Fatalf("rocksdict: %v", err)
	}
	got := model{}
	for line := range strings.Lines(string(out)) {
		fields := strings.Split(strings.TrimSuffix(line, "\n"), " ")
		k, err1 := hex.DecodeString(fields[1])
		v, err2 := hex.DecodeString(fields[2])
		if err1 != nil || err2 != nil {
			t.Fatalf("rocksdict says %q", line)
		}
		got[fields[0]+"/"+string(k)] = string(v)
	}
	sameModel(t, "rocksdict", got, want)
	want.apply([]Record{{Family: FamilyData, Key: []byte("zz"), Value: []byte(strings.Repeat("written-by-rocksdict", 300))}})
	sameModel(t, "after rocksdict", contents(t, mustOpen(t, dir, Options{})), want)
}
