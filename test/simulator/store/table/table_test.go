package table

import (
	"archive/tar"
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
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

// A table is either read as it was written or refused: every bit that is flipped in a block shows in its checksum.
func TestAFlippedBitInATableIsFound(t *testing.T) {
	c := Contents{Entries: sample(300).Entries, Ranges: []Range{{From: []byte("/a"), To: []byte("/b"), Sequence: 5}}}
	file, _ := written(t, c)
	for i := range file[:len(file)-footerSize] {
		damaged := bytes.Clone(file)
		damaged[i] ^= 1 << (i % 8)
		_, err := Read(damaged)
		var format *FormatError
		if err == nil || !errors.As(err, &format) {
			t.Fatalf("byte %d: %v", i, err)
		}
	}
	for i := range len(file) {
		if _, err := Read(file[:i]); err == nil {
			t.Fatalf("a table of %d of %d bytes was read", i, len(file))
		}
	}
}

// recorded unpacks a directory that was recorded from a real RobustMQ 0.4.11.
func recorded(t testing.TB, name string) map[string][]byte {
	t.Helper()
	f, err := os.Open(filepath.Join("..", "..", "..", "..", "backup", "image", "testdata", name+".tar.zst"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := zstd.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	files := map[string][]byte{}
	for archive := tar.NewReader(z); ; {
		h, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(archive)
		if err != nil {
			t.Fatal(err)
		}
		files[filepath.Base(h.Name)] = content
	}
}

func TestTablesOfARealServerAreRead(t *testing.T) {
	tables, entries := 0, 0
	for name, content := range recorded(t, "follower-300users") {
		if !strings.HasSuffix(name, ".sst") {
			continue
		}
		c, err := Read(content)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		tables++
		entries += len(c.Entries)
	}
	if tables != 20 || entries < 1000 {
		t.Errorf("%d tables with %d entries", tables, entries)
	}
}

// What the LZ4 project's own library (PyPI: lz4) made of 20 bytes 40 times, the 256 bytes, and 1000 times an a.
const packed = "" +
	"ff0574686520717569636b2062726f776e20666f78201400fffffbfff4000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f202122232425262728292a2b2c2d2e2f303132" +
	"333435363738393a3b3c3d3e3f404142434445464748494a4b4c4d4e4f505152535455565758595a5b5c5d5e5f606162636465666768696a6b6c6d6e6f707172737475767778797a7b7c7d7e7f808182" +
	"838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9fa0a1a2a3a4a5a6a7a8a9aaabacadaeafb0b1b2b3b4b5b6b7b8b9babbbcbdbebfc0c1c2c3c4c5c6c7c8c9cacbcccdcecfd0d1d2" +
	"d3d4d5d6d7d8d9dadbdcdddedfe0e1e2e3e4e5e6e7e8e9eaebecedeeeff0f1f2f3f4f5f6f7f8f9fafbfcfdfeff6161610300ffffffd0506161616161"

func TestLZ4IsUnpacked(t *testing.T) {
	want := []byte(strings.Repeat("the quick brown fox ", 40))
	for i := range 256 {
		want = append(want, byte(i))
	}
	want = append(want, strings.Repeat("a", 1000)...)
	in, err := hex.DecodeString(packed)
	if err != nil {
		t.Fatal(err)
	}
	got, err := unpackLZ4(in, len(want))
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	for i := range in {
		if out, err := unpackLZ4(in[:i], len(want)); err == nil && len(out) >= len(want) {
			t.Errorf("%d of %d bytes unpack", i, len(in))
		}
	}
}

func FuzzATableOfAnyBytesNeverPanics(f *testing.F) {
	file, _ := written(f, Contents{Entries: sample(40).Entries, Ranges: []Range{{From: []byte("/a"), To: []byte("/b"), Sequence: 5}}})
	f.Add(file)
	for name, content := range recorded(f, "follower-300users") {
		if name == "000043.sst" {
			f.Add(content)
		}
	}
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

// Blocks are what the checksums guard; behind them everything must still hold.
func FuzzABlockOfAnyBytesNeverPanics(f *testing.F) {
	b := blockBuilder{interval: 2}
	b.add([]byte("abc"), []byte("v"))
	b.add([]byte("abd"), handle{3, 4}.append(nil))
	block := b.finish()
	f.Add(block)
	f.Fuzz(func(_ *testing.T, block []byte) {
		_ = each(block, func(_, _ []byte) error { return nil })
		for _, differences := range []bool{false, true} {
			_ = eachHandle(block, differences, func(handle) error { return nil })
		}
		_, _ = unpackLZ4(block, 1000)
	})
}
