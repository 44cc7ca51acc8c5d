package table

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/robustmq/robustmq-operator/backup/image/imagetest"
)

func sample(n int) Contents {
	var c Contents
	for i := range n {
		c.Entries = append(c.Entries, Entry{Key: fmt.Appendf(nil, "/meta/user/%05d", i), Sequence: uint64(i) + 10, Delete: i%7 == 3, Value: bytes.Repeat([]byte{byte(i)}, i%90)})
		if i%7 == 3 {
			c.Entries[i].Value = nil
		}
	}
	return c
}

func written(t testing.TB, c Contents) ([]byte, Summary) {
	t.Helper()
	var b bytes.Buffer
	s, err := Write(&b, Origin{Family: "meta_metadata", FamilyID: 3, Created: 1, Database: "d", Session: "00000000000000000000", Number: 9}, c)
	if err != nil {
		t.Fatal(err)
	}
	if s.Size != uint64(b.Len()) {
		t.Fatalf("%d bytes, the summary says %d", b.Len(), s.Size)
	}
	return b.Bytes(), s
}

func same(t *testing.T, got, want Contents) {
	t.Helper()
	if len(got.Entries) != len(want.Entries) || len(got.Ranges) != len(want.Ranges) {
		t.Fatalf("%d entries and %d ranges, want %d and %d", len(got.Entries), len(got.Ranges), len(want.Entries), len(want.Ranges))
	}
	for i, e := range want.Entries {
		g := got.Entries[i]
		if !bytes.Equal(g.Key, e.Key) || g.Sequence != e.Sequence || g.Delete != e.Delete || !bytes.Equal(g.Value, e.Value) {
			t.Fatalf("entry %d is %+v, want %+v", i, g, e)
		}
	}
	if len(want.Ranges) > 0 && !reflect.DeepEqual(got.Ranges, want.Ranges) {
		t.Fatalf("ranges %+v, want %+v", got.Ranges, want.Ranges)
	}
}

func TestATableHasWhatWasWritten(t *testing.T) {
	ranges := []Range{{From: []byte("/a"), To: []byte("/b"), Sequence: 5}, {From: []byte("/x"), To: []byte("/y"), Sequence: 9000}}
	for name, c := range map[string]Contents{
		"one entry":       sample(1),
		"many blocks":     sample(3000),
		"a large value":   {Entries: []Entry{{Key: []byte("k"), Sequence: 1, Value: bytes.Repeat([]byte("v"), 1<<20)}}},
		"an empty key":    {Entries: []Entry{{Key: []byte{}, Sequence: 1, Value: []byte("v")}}},
		"ranges":          {Entries: sample(50).Entries, Ranges: ranges},
		"nothing but one": {Ranges: ranges[:1]},
	} {
		t.Run(name, func(t *testing.T) {
			file, _ := written(t, c)
			got, err := Read(file)
			if err != nil {
				t.Fatal(err)
			}
			same(t, *got, c)
		})
	}
	if _, err := Write(io.Discard, Origin{}, Contents{}); err == nil {
		t.Error("a table of nothing was written")
	}
}

func TestTheBoundariesOfATableReachOverItsRanges(t *testing.T) {
	_, s := written(t, Contents{Entries: sample(20).Entries, Ranges: []Range{{From: []byte("/a"), To: []byte("/z"), Sequence: 3}}})
	if string(s.Smallest[:2]) != "/a" || string(s.Largest[:2]) != "/z" || s.SmallestSequence != 3 || s.LargestSequence != 29 {
		t.Errorf("%q to %q, sequences %d to %d", s.Smallest, s.Largest, s.SmallestSequence, s.LargestSequence)
	}
}

// RocksDB leaves older versions of a key in a table while somebody's snapshot still sees them.
func TestOfAKeysVersionsTheNewestIsRead(t *testing.T) {
	file, _ := written(t, Contents{Entries: []Entry{
		{Key: []byte("a"), Sequence: 9, Value: []byte("new")}, {Key: []byte("a"), Sequence: 8, Value: []byte("old")},
		{Key: []byte("b"), Sequence: 7, Delete: true}, {Key: []byte("b"), Sequence: 6, Value: []byte("old")},
	}})
	got, err := Read(file)
	if err != nil {
		t.Fatal(err)
	}
	same(t, *got, Contents{Entries: []Entry{{Key: []byte("a"), Sequence: 9, Value: []byte("new")}, {Key: []byte("b"), Sequence: 7, Delete: true}}})
}

func FuzzWhatIsReadIsWrittenTheSame(f *testing.F) {
	file, _ := written(f, Contents{Entries: sample(40).Entries, Ranges: []Range{{From: []byte("/a"), To: []byte("/b"), Sequence: 5}}})
	f.Add(file)
	dir := filepath.Join(f.TempDir(), "database")
	if err := imagetest.Unpack(imagetest.Follower, dir); err != nil {
		f.Fatal(err)
	}
	recorded, err := os.ReadFile(filepath.Join(dir, "000043.sst"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(recorded)
	f.Fuzz(func(t *testing.T, content []byte) {
		c, err := Read(content)
		if err == nil && len(c.Entries)+len(c.Ranges) > 0 {
			again, _ := written(t, *c)
			got, err := Read(again)
			if err != nil {
				t.Fatal(err)
			}
			same(t, *got, *c)
		}
	})
}
