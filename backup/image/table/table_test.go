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

func read(content []byte) (points []table.Entry, ranges []table.Range, err error) {
	t, err := table.Open(bytes.NewReader(content), int64(len(content)))
	if err != nil {
		return nil, nil, err
	}
	for s := t.Scan(); ; {
		e, ok, err := s.Next()
		if err != nil || !ok {
			return points, t.Ranges, err
		}
		points = append(points, table.Entry{Key: bytes.Clone(e.Key), Sequence: e.Sequence, Delete: e.Delete, Value: bytes.Clone(e.Value)})
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

// That what is read is right is seen in the census of such directories, which is compared with what RocksDB itself reads.
func TestTablesOfARealServerAreReadToTheirEnds(t *testing.T) {
	all, seen := tables(t), 0
	for name, content := range all {
		points, _, err := read(content)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		seen += len(points)
	}
	if len(all) != 20 || seen < 1000 {
		t.Errorf("%d tables with %d entries", len(all), seen)
	}
}

// RocksDB has tables without checksums (R include/rocksdb/table.h, kNoChecksum is 0); RobustMQ makes none. One bit of the footer makes XXH3's 4 of it: to believe it would leave every other
// flipped bit unseen.
func TestATableWithoutChecksumsIsRefused(t *testing.T) {
	content := sample(t, 300)
	kind := &content[len(content)-53]
	if *kind != 4 {
		t.Fatalf("the type of checksum is %d", *kind)
	}
	*kind ^= 4
	_, _, err := read(content)
	var format *table.FormatError
	if !errors.As(err, &format) || !strings.Contains(err.Error(), "checksum type 0") {
		t.Errorf("%v", err)
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
