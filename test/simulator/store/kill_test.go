package store

import (
	"bytes"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/robustmq/robustmq-operator/backup/image"
	"github.com/robustmq/robustmq-operator/backup/image/rocksdb"
)

// A process that is killed while it writes leaves a prefix of the WAL: whole batches up to there, and nothing of the next one.
func TestAKillAtAnyByteOfTheWALLeavesWholeBatches(t *testing.T) {
	dir, r := filepath.Join(t.TempDir(), "_rocksdb"), batches{rand.New(rand.NewPCG(7, 1))}
	s := mustOpen(t, dir, Options{})
	first := r.next()
	if err := s.Write(first...); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = mustOpen(t, dir, Options{}) // so that there are tables below the WAL
	d := s.(*database)
	wal := rocksdb.WALName(d.wals[0])
	type moment struct {
		size int64
		want model
	}
	now := model{}
	now.apply(first)
	moments := []moment{{0, maps.Clone(now)}}
	for range 120 {
		batch := r.next()
		if err := s.Write(batch...); err != nil {
			t.Fatal(err)
		}
		now.apply(batch)
		moments = append(moments, moment{d.wal.log.Size(), maps.Clone(now)})
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	size := moments[len(moments)-1].size
	if size < 3*rocksdb.BlockSize {
		t.Fatalf("a WAL of %d bytes has too few borders of blocks", size)
	}
	var cuts []int64
	for i := range int64(200) {
		cuts = append(cuts, i)
	}
	for border := int64(rocksdb.BlockSize); border < size; border += rocksdb.BlockSize {
		for i := border - 9; i < border+9; i++ {
			cuts = append(cuts, min(i, size))
		}
	}
	for range 40 {
		cuts = append(cuts, r.Int64N(size+1))
	}
	pristine, err := os.ReadFile(filepath.Join(dir, wal))
	if err != nil {
		t.Fatal(err)
	}
	for _, at := range cuts {
		killed := copyDir(t, dir)
		content := pristine[:at]
		if at%3 == 0 { // space that the file system gave and nothing was written to
			content = append(bytes.Clone(content), make([]byte, 500)...)
		}
		replace(t, killed, wal, string(content))
		want := moments[0].want
		for _, m := range moments {
			if m.size <= at {
				want = m.want
			}
		}
		again := mustOpen(t, killed, Options{})
		sameModel(t, fmt.Sprintf("cut at %d", at), contents(t, again), want)
		if err := again.Close(); err != nil {
			t.Fatal(err)
		}
		if err := os.RemoveAll(killed); err != nil {
			t.Fatal(err)
		}
	}
}

// The same for a MANIFEST: a record that is not complete was never in force. Its tables are there, but the WAL has their content too.
func TestAKillAtAnyByteOfTheMANIFESTLosesNothing(t *testing.T) {
	dir, want := filepath.Join(t.TempDir(), "_rocksdb"), model{}
	before := ""
	var manifest int64
	s := mustOpen(t, dir, Options{Buffer: 10000, step: func(what string) {
		// The folder as it is when the table is there and the record is not.
		if what == "000008.sst" || filepath.Ext(what) == ".sst" && before == "" {
			before = copyDir(t, dir)
			info, err := os.Stat(filepath.Join(dir, "MANIFEST-000005"))
			if err != nil {
				t.Fatal(err)
			}
			manifest = info.Size()
		}
	}})
	for i := 0; before == ""; i++ {
		batch := []Record{{Family: FamilyStorage, Key: fmt.Appendf(nil, "m%d", i), Value: make([]byte, 900)}, {Family: FamilyData, Key: fmt.Appendf(nil, "t%d", i), Value: []byte("v")}}
		want.apply(batch)
		if err := s.Write(batch...); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(filepath.Join(dir, "MANIFEST-000005"))
	if err != nil {
		t.Fatal(err)
	}
	if int64(len(whole)) <= manifest {
		t.Fatal("the MANIFEST has not grown: nothing is tested")
	}
	for size := manifest; size <= int64(len(whole)); size++ {
		killed := copyDir(t, before)
		replace(t, killed, "MANIFEST-000005", string(whole[:size]))
		again := mustOpen(t, killed, Options{})
		sameModel(t, fmt.Sprintf("MANIFEST of %d bytes", size), contents(t, again), want)
		if err := again.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// Behind a torn WAL only those count that go on with the very next sequence, as an edit's does; others are forgotten, or refused where tables are newer than what was lost.
func TestWALsBehindATornOneCountOnlyIfTheyFollow(t *testing.T) {
	dir, want := filepath.Join(t.TempDir(), "_rocksdb"), model{}
	s := mustOpen(t, dir, Options{})
	var sizes []int64
	for i := range 5 {
		batch := []Record{{Family: FamilyData, Key: fmt.Appendf(nil, "k%d", i), Value: []byte("v")}}
		if err := s.Write(batch...); err != nil {
			t.Fatal(err)
		}
		if i < 4 {
			want.apply(batch)
		}
		sizes = append(sizes, s.(*database).wal.log.Size())
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	edit := image.SetVote("metadata_0", image.Vote{Term: 3, Node: 1, Committed: true})
	edited := func(dir string) string {
		t.Helper()
		if err := image.Append(t.Context(), image.OS{}, dir, []image.Edit{edit}); err != nil {
			t.Fatal(err)
		}
		return dir
	}
	check := func(what, dir string, want model) {
		t.Helper()
		judge(t, copyDir(t, dir), want)
		again := mustOpen(t, dir, Options{})
		sameModel(t, what, contents(t, again), want)
	}
	// The last record is torn, and then the edit was made: it follows what is left.
	follows := copyDir(t, dir)
	cut(t, follows, "000004.log", sizes[4]-3)
	with := maps.Clone(want)
	with[edit.Family+"/"+string(edit.Key)] = string(edit.Value)
	check("an edit behind the tear", edited(follows), with)
	// The edit was made, and then the record before it was lost: it does not follow any more.
	lost := edited(copyDir(t, dir))
	cut(t, lost, "000004.log", sizes[4]-3)
	check("an edit that does not follow", lost, want)
	// A flush makes a new WAL and a table; what was lost before them is older than the table.
	ahead := filepath.Join(t.TempDir(), "_rocksdb")
	s = mustOpen(t, ahead, Options{Buffer: 500})
	for _, family := range []string{FamilyData, FamilyMetadata} {
		if err := s.Write(Record{Family: family, Key: []byte("k"), Value: make([]byte, 400)}); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Write(Record{Family: FamilyMetadata, Key: []byte("l"), Value: make([]byte, 400)}, Record{Family: FamilyData, Key: []byte("m"), Value: []byte("v")}); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	cut(t, ahead, "000004.log", 700)
	if _, err := Open(ahead); err == nil || err.Error() != "Corruption: SST file is ahead of WALs in CF meta_metadata" {
		t.Errorf("%v", err)
	}
}

// Killed behind any change that an opening, a flush or a compaction makes to the folder, the database has everything, also when the opening that follows is killed.
func TestAKillAtAnyStepLosesNothing(t *testing.T) {
	for seed := range uint64(2) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			dir, r, want := filepath.Join(t.TempDir(), "_rocksdb"), batches{rand.New(rand.NewPCG(seed, 3))}, model{}
			steps := map[string]int{}
			var check func(what, dir string, want model, again bool)
			check = func(what, dir string, want model, again bool) {
				killed := copyDir(t, dir)
				o := Options{Trigger: 3}
				if again {
					o.step = func(second string) { check(what+", then "+second, killed, want, false) }
				}
				s := mustOpen(t, killed, o)
				sameModel(t, "killed behind "+what, contents(t, s), want)
				if err := s.Close(); err != nil {
					t.Fatal(err)
				}
				if again {
					inspected(t, killed)
				}
				if err := os.RemoveAll(killed); err != nil {
					t.Fatal(err)
				}
			}
			count := 0
			o := Options{Buffer: 6000, Trigger: 3, step: func(what string) {
				steps[filepath.Ext(what)]++
				count++
				check(what, dir, want, count%20 == int(seed))
			}}
			for round := range 5 {
				s := mustOpen(t, dir, o)
				first := s.(*database).wals[0]
				for range 12 {
					batch := r.next()
					if round == 4 { // one family alone: its flushes make WALs superfluous while the server runs
						batch = []Record{{Family: FamilyStorage, Key: fmt.Appendf(nil, "m%d", r.IntN(20)), Value: make([]byte, 1500)}}
					}
					want.apply(batch)
					if err := s.Write(batch...); err != nil {
						t.Fatal(err)
					}
				}
				if round == 4 && s.(*database).wals[0] == first {
					t.Error("no WAL was removed while it ran")
				}
				if err := s.Close(); err != nil {
					t.Fatal(err)
				}
			}
			if steps[".sst"] < 10 || steps[".log"] < 10 {
				t.Errorf("too little happened: %v", steps)
			}
		})
	}
}
