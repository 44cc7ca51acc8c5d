package table_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/robustmq/robustmq-operator/backup/image/imagetest"
	"github.com/robustmq/robustmq-operator/backup/image/table"
	written "github.com/robustmq/robustmq-operator/test/simulator/store/table"
)

func read(content []byte) (points []written.Entry, ranges []table.Range, err error) {
	t, err := table.Open(bytes.NewReader(content), int64(len(content)))
	if err != nil {
		return nil, nil, err
	}
	for s := t.Scan(); ; {
		e, ok, err := s.Next()
		if err != nil || !ok {
			return points, t.Ranges, err
		}
		points = append(points, written.Entry{Key: bytes.Clone(e.Key), Sequence: e.Sequence, Delete: e.Delete, Value: bytes.Clone(e.Value)})
	}
}

func sample(t testing.TB, n int) []byte {
	t.Helper()
	c := written.Contents{Ranges: []written.Range{{From: []byte("/a"), To: []byte("/b"), Sequence: 5}}}
	for i := range n {
		e := written.Entry{Key: fmt.Appendf(nil, "/meta/user/%05d", i), Sequence: uint64(i) + 10, Delete: i%7 == 3}
		if !e.Delete {
			e.Value = bytes.Repeat([]byte{byte(i)}, i%90)
		}
		c.Entries = append(c.Entries, e)
	}
	var b bytes.Buffer
	if _, err := written.Write(&b, written.Origin{Family: "meta_metadata", FamilyID: 3, Created: 1, Database: "d", Session: "00000000000000000000", Number: 9}, c); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func tables(t testing.TB) map[string][]byte {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "database")
	if err := imagetest.Unpack(imagetest.Follower, dir); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string][]byte{}
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), ".sst") {
			continue
		}
		content, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		all[e.Name()] = content
	}
	return all
}

// The simulator's reader is another one, which takes a table as a whole: both must see the same in what a RobustMQ 0.4.11 wrote.
func TestTablesOfARealServerAreReadAsTheOtherReaderReadsThem(t *testing.T) {
	seen := 0
	for name, content := range tables(t) {
		want, err := written.Read(content)
		if err != nil {
			t.Fatal(err)
		}
		points, ranges, err := read(content)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		newest := points[:0:0]
		for i, p := range points {
			if i == 0 || !bytes.Equal(p.Key, points[i-1].Key) {
				newest = append(newest, p)
			}
		}
		if len(newest) != len(want.Entries) || len(ranges) != len(want.Ranges) {
			t.Fatalf("%s: %d keys and %d ranges, want %d and %d", name, len(newest), len(ranges), len(want.Entries), len(want.Ranges))
		}
		for i, e := range want.Entries {
			g := newest[i]
			if !bytes.Equal(g.Key, e.Key) || g.Sequence != e.Sequence || g.Delete != e.Delete || !bytes.Equal(g.Value, e.Value) {
				t.Fatalf("%s: entry %d is %+v, want %+v", name, i, g, e)
			}
		}
		seen += len(newest)
	}
	if seen < 1000 {
		t.Errorf("only %d keys were compared", seen)
	}
}

func TestAFlippedBitIsFoundWhereverItIs(t *testing.T) {
	content := sample(t, 300)
	for i := range len(content) - 53 {
		damaged := bytes.Clone(content)
		damaged[i] ^= 1 << (i % 8)
		_, _, err := read(damaged)
		var format *table.FormatError
		if err == nil || !errors.As(err, &format) {
			t.Fatalf("byte %d: %v", i, err)
		}
	}
	for i := range content {
		if _, _, err := read(content[:i]); err == nil {
			t.Fatalf("a table of %d of %d bytes was read", i, len(content))
		}
	}
}

func FuzzATableOfAnyBytesNeverPanics(f *testing.F) {
	f.Add(sample(f, 40))
	for _, content := range tables(f) {
		if len(content) < 8<<10 {
			f.Add(content)
		}
	}
	f.Fuzz(func(_ *testing.T, content []byte) { _, _, _ = read(content) })
}
