package image

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/robustmq/robustmq-operator/backup/image/rocksdb"
	"github.com/robustmq/robustmq-operator/backup/image/table"
)

// counted is the census of what RocksDB itself read.
func counted(t testing.TB, name string, families ...string) map[string]Count {
	t.Helper()
	counts := map[string]Count{}
	for _, line := range oracle(t, name, families...) {
		fields := strings.Split(line, " ")
		key, err1 := hex.DecodeString(fields[1])
		value, err2 := hex.DecodeString(fields[2])
		if err := errors.Join(err1, err2); err != nil {
			t.Fatal(err)
		}
		c := counts[fields[0]]
		c.add(key, hashEntry(key, value))
		counts[fields[0]] = c
	}
	return counts
}

func TestTheCensusOfRecordedDirectoriesIsWhatRocksDBReads(t *testing.T) {
	for _, name := range []string{"fresh-1node", "follower-300users", "torn-tail"} {
		for _, memory := range []int64{0, 64 << 10} { // the second divides the keys
			want := counted(t, name, Families...)
			got, err := Census(t.Context(), OS{}, unpack(t, name), Families, memory)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			maps.DeleteFunc(got, func(_ string, c Count) bool { return c.Keys == 0 })
			if !maps.Equal(got, want) {
				t.Errorf("%s, %d bytes: %+v, want %+v", name, memory, got, want)
			}
		}
	}
	if n := counted(t, "follower-300users", FamilyMetadata)[FamilyMetadata].Keys; n != 392 {
		t.Errorf("%d keys of metadata: the oracle is another one", n)
	}
}

// Three quarters of the recorded follower's metadata are in tables of levels 0 and 6, the rest in the WAL.
func TestTheCensusOfAnExtractIsThatOfTheDatabase(t *testing.T) {
	dir := unpack(t, "follower-300users")
	out, _ := extract(t, dir, MetadataFamilies)
	got, err := Census(t.Context(), OS{}, out, CensusFamilies, 0)
	if err != nil {
		t.Fatal(err)
	}
	if want := counted(t, "follower-300users", CensusFamilies...); !maps.Equal(got, want) {
		t.Errorf("%+v, want %+v", got, want)
	}
}

func edited(t testing.TB, dir string, ops ...rocksdb.Op) {
	t.Helper()
	db, err := Open(OS{}, dir)
	if err != nil {
		t.Fatal(err)
	}
	_, greatest, err := scanned(db)
	if err != nil {
		t.Fatal(err)
	}
	for i := range ops {
		ops[i].Family = db.State.Family(FamilyMetadata).ID
	}
	batch := rocksdb.Batch{Sequence: greatest + 1, Ops: ops}
	_, err = writeLog(OS{}, dir, rocksdb.WALName(db.nextNumber()), 0, func(log *rocksdb.LogWriter) error { return log.Append(batch.Append(nil)) })
	if err != nil {
		t.Fatal(err)
	}
}

func scanned(db *Database) ([]bool, uint64, error) {
	sums, err := survey(context.Background(), db)
	if err != nil {
		return nil, 0, err
	}
	return follow(db.State, sums, recovered)
}

func TestACensusSeesWhatIsGoneAndWhatCameBack(t *testing.T) {
	dir := unpack(t, "follower-300users")
	users := []string{}
	for _, line := range oracle(t, "follower-300users", FamilyMetadata) {
		key, err := hex.DecodeString(strings.Split(line, " ")[1])
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(string(key), "/meta/mqtt/user/") {
			users = append(users, string(key))
		}
	}
	if len(users) < 300 {
		t.Fatalf("%d users", len(users))
	}
	before, err := Census(t.Context(), OS{}, dir, CensusFamilies, 0)
	if err != nil {
		t.Fatal(err)
	}
	edited(t, dir,
		rocksdb.Op{Kind: rocksdb.RangeDelete, Key: []byte("/meta/mqtt/user/"), Value: []byte("/meta/mqtt/user0")},
		rocksdb.Op{Kind: rocksdb.Put, Key: []byte(users[3]), Value: []byte("back")},
		rocksdb.Op{Kind: rocksdb.Put, Key: []byte(users[4]), Value: []byte("back")},
		rocksdb.Op{Kind: rocksdb.Delete, Key: []byte(users[4])})
	after, err := Census(t.Context(), OS{}, dir, CensusFamilies, 0)
	if err != nil {
		t.Fatal(err)
	}
	if before[FamilyData] != after[FamilyData] {
		t.Error("the other family has changed")
	}
	if got, want := after[FamilyMetadata].Keys, before[FamilyMetadata].Keys-uint64(len(users))+1; got != want {
		t.Errorf("%d keys, want %d", got, want)
	}
	for _, user := range slices.Backward(users) { // all back, in another order and with other values
		edited(t, dir, rocksdb.Op{Kind: rocksdb.Put, Key: []byte(user), Value: []byte("another value")})
	}
	again, err := Census(t.Context(), OS{}, dir, CensusFamilies, 0)
	if err != nil {
		t.Fatal(err)
	}
	if again[FamilyMetadata].KeySum != before[FamilyMetadata].KeySum || again[FamilyMetadata].Keys != before[FamilyMetadata].Keys {
		t.Error("the same keys have another sum")
	}
	if again[FamilyMetadata].Sum == before[FamilyMetadata].Sum {
		t.Error("other values have the same sum")
	}
}

// Damage and records that are not known are told and never counted as a smaller census.
func TestACensusOfADatabaseThatIsNotUnderstoodSaysNothing(t *testing.T) {
	t.Run("a table is damaged", func(t *testing.T) {
		dir := unpack(t, "follower-300users")
		db, err := Open(OS{}, dir)
		if err != nil {
			t.Fatal(err)
		}
		first := db.State.Family(FamilyMetadata).SortedTables()[0]
		damage(t, filepath.Join(dir, rocksdb.TableName(first.Number)), 20)
		var format *table.FormatError
		if counts, err := Census(t.Context(), OS{}, dir, CensusFamilies, 0); !errors.As(err, &format) || counts != nil {
			t.Errorf("%v, %v", counts, err)
		}
	})
	t.Run("an operation is not known", func(t *testing.T) {
		dir := unpack(t, "follower-300users")
		edited(t, dir, rocksdb.Op{Kind: rocksdb.Merge, Key: []byte("k"), Value: []byte("v")})
		var unsupported *rocksdb.UnsupportedError
		if counts, err := Census(t.Context(), OS{}, dir, CensusFamilies, 0); !errors.As(err, &unsupported) || counts != nil {
			t.Errorf("%v, %v", counts, err)
		}
	})
	t.Run("a table is missing", func(t *testing.T) {
		dir := unpack(t, "follower-300users")
		db, err := Open(OS{}, dir)
		if err != nil {
			t.Fatal(err)
		}
		remove(t, dir, rocksdb.TableName(db.State.Family(FamilyMetadata).SortedTables()[0].Number))
		if counts, err := Census(t.Context(), OS{}, dir, CensusFamilies, 0); !errors.Is(err, os.ErrNotExist) || counts != nil {
			t.Errorf("%v, %v", counts, err)
		}
	})
}

func TestTheSumOfASetDoesNotDependOnItsOrder(t *testing.T) {
	var a, b Sum
	hashes := make([][sha256.Size]byte, 100)
	for i := range hashes {
		hashes[i] = sha256.Sum256([]byte{byte(i)})
		a.Add(hashes[i])
	}
	for _, i := range rand.Perm(len(hashes)) {
		b.Add(hashes[i])
	}
	if a != b || a.String() != b.String() || len(a.String()) != 64 {
		t.Errorf("%s and %s", a, b)
	}
	b.Add(hashes[0])
	if a == b {
		t.Error("a member more is not seen")
	}
	if hashEntry([]byte("ab"), []byte("c")) == hashEntry([]byte("a"), []byte("bc")) {
		t.Error("the border between key and value is not hashed")
	}
}

// Every key of a small world is looked up in the pieces and in the deletions as they are.
func TestErasuresCoverWhatTheDeletionsCover(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	name := func(i int) string { return fmt.Sprintf("%02d", i) }
	for range 2000 {
		var all []erasure
		for i := range r.IntN(8) {
			all = append(all, erasure{name(r.IntN(30)), name(r.IntN(30)), uint64(i + 1)})
		}
		got := pieces(all)
		for k := range 31 {
			want := uint64(0)
			for _, e := range all {
				if e.from <= name(k) && name(k) < e.to {
					want = max(want, e.sequence)
				}
			}
			if sequence, ok := got.cover(name(k)); sequence != want || ok != (want > 0) {
				t.Fatalf("%v: %s is covered by %d %v, want %d", all, name(k), sequence, ok, want)
			}
		}
	}
}
