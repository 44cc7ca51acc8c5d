package rocksdb

import (
	"bytes"
	"errors"
	"io"
	"math"
	"reflect"
	"testing"
)

func all(uint32) bool { return true }

func TestARecordedWALHoldsTheOperationsOfItsOracle(t *testing.T) {
	for name, want := range map[string]struct {
		operations  int
		first, next uint64
	}{"wal-fresh": {207, 1, 208}, "wal-follower": {378, 2080, 2458}, "wal-torn": {280, 2080, 2360}} {
		records, _, err := read(recorded(t, name))
		var torn *TornError
		if err != nil && !errors.As(err, &torn) {
			t.Fatal(err)
		}
		operations, next := 0, want.first
		for _, record := range records {
			b, err := DecodeBatch(Bytes(record), all, len(record))
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if b.Sequence != next {
				t.Errorf("%s: sequence %d, want %d", name, b.Sequence, next)
			}
			next = b.Next()
			operations += len(b.Ops)
			if again := b.Append(nil); !bytes.Equal(again, record) {
				t.Errorf("%s: encoded again\n got %x\nwant %x", name, again, record)
			}
		}
		if operations != want.operations || next != want.next {
			t.Errorf("%s: %d operations, next %d", name, operations, next)
		}
	}
}

func TestOnlyTheWantedFamiliesAreKept(t *testing.T) {
	b := &Batch{Sequence: 7, Ops: []Op{
		{Put, 1, []byte("a"), []byte("1")}, {Put, 5, []byte("b"), make([]byte, 1<<20)}, {Delete, 2, []byte("c"), nil},
		{RangeDelete, 1, []byte("d"), []byte("e")}, {SingleDelete, 1, []byte("f"), nil}, {Merge, 300, []byte("g"), []byte("2")},
	}}
	got, err := DecodeBatch(Bytes(b.Append(nil)), func(f uint32) bool { return f != 5 }, 100)
	if err != nil || got.Count != 6 || got.Next() != 13 {
		t.Fatalf("%+v, %v", got, err)
	}
	want := append([]Op{b.Ops[0]}, b.Ops[2:]...)
	if !reflect.DeepEqual(got.Ops, want) {
		t.Errorf("got %v\nwant %v", got.Ops, want)
	}
	none, err := DecodeBatch(Bytes(b.Append(nil)), nil, 0)
	if err != nil || none.Count != 6 || len(none.Ops) != 0 {
		t.Errorf("%+v, %v", none, err)
	}
}

func header(count byte) []byte { return []byte{9, 0, 0, 0, 0, 0, 0, 0, count, 0, 0, 0} }

func TestTheShortFormsAreTheDefaultFamily(t *testing.T) {
	record := append(header(5), 0x01, 1, 'a', 1, 'b', 0x00, 1, 'a', 0x02, 1, 'a', 1, 'b', 0x07, 1, 'a', 0x0f, 1, 'a', 1, 'b')
	b, err := DecodeBatch(Bytes(record), all, 100)
	if err != nil {
		t.Fatal(err)
	}
	kinds := []Kind{Put, Delete, Merge, SingleDelete, RangeDelete}
	for i, op := range b.Ops {
		if op.Kind != kinds[i] || op.Family != 0 {
			t.Errorf("%d: %+v", i, op)
		}
	}
}

func TestCommentsAndNoOperationsDoNotCount(t *testing.T) {
	b, err := DecodeBatch(Bytes(append(header(1), 0x0d, 0x03, 2, 'h', 'i', 0x04, 1, 1, 'k', 0x0d)), all, 100)
	if err != nil || len(b.Ops) != 1 || b.Next() != 10 {
		t.Errorf("%+v, %v", b, err)
	}
}

func TestWhatAWriteBatchMustNotHoldIsNamed(t *testing.T) {
	for want, record := range map[string][]byte{
		"not supported: two-phase commit (begin prepare) in the WAL (operation 0x09)": append(header(0), 0x09),
		"not supported: blob index in the WAL (operation 0x10)":                       append(header(1), 0x10),
		"not supported: wide column in the WAL (operation 0x17)":                      append(header(1), 0x17),
		"not supported: unknown WAL operation 0x7f":                                   append(header(1), 0x7f),
		"corrupt: WriteBatch of sequence 9 has 0 operations and says 1":               header(1),
		"corrupt: WriteBatch of sequence 9 has 1 operations and says 0":               append(header(0), 0x04, 1, 1, 'k'),
		"corrupt: WriteBatch ends within an operation":                                append(header(1), 0x05, 1, 1, 'k'),
		"corrupt: WriteBatch: a number is too long":                                   append(header(1), 0x05, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2),
		"corrupt: WriteBatch: column family 4294967296":                               append(header(1), 0x05, 0x80, 0x80, 0x80, 0x80, 0x10),
		"corrupt: WriteBatch: sequence 18446744073709551615":                          bytes.Repeat([]byte{0xff}, 12),
		"what is kept of a WriteBatch is larger than 100 bytes":                       append(header(1), 0x04, 1, 101),
	} {
		_, err := DecodeBatch(Bytes(record), all, 100)
		if err == nil || err.Error() != want {
			t.Errorf("want %s\n got %v", want, err)
		}
	}
}

func TestALengthIsNotBelievedBeforeItsBytesAreThere(t *testing.T) {
	record := append(header(1), 0x05, 1, 0xff, 0xff, 0xff, 0xff, 0x0f) // a key of 4 GiB
	if allocated := testing.AllocsPerRun(1, func() { _, _ = DecodeBatch(Bytes(record), all, math.MaxInt) }); allocated > 50 {
		t.Errorf("%v allocations", allocated)
	}
}

// A batch whose last fragment is missing must not be half applied.
func TestATornBatchIsNoBatch(t *testing.T) {
	b := &Batch{Sequence: 1, Ops: []Op{{Put, 1, []byte("a"), make([]byte, 3*BlockSize)}}}
	file := framed(t, b.Append(nil))
	for _, cut := range []int{len(file) - 1, BlockSize, 2 * BlockSize, 100} {
		l := NewLogReader(bytes.NewReader(file[:cut]))
		err := l.Next()
		if err == nil {
			_, err = DecodeBatch(l, all, 1<<20)
		}
		var torn *TornError
		if !errors.As(err, &torn) || torn.Offset != 0 {
			t.Errorf("cut at %d: %v", cut, err)
		}
	}
}

func FuzzDecodeBatch(f *testing.F) {
	records, _, err := read(recorded(f, "wal-follower"))
	if err != nil {
		f.Fatal(err)
	}
	for _, r := range records[:40] {
		f.Add(r)
	}
	f.Add(append(header(5), 0x01, 1, 'a', 1, 'b', 0x00, 1, 'a', 0x02, 1, 'a', 1, 'b', 0x07, 1, 'a', 0x0f, 1, 'a', 1, 'b'))
	f.Fuzz(func(t *testing.T, record []byte) {
		b, err := DecodeBatch(Bytes(record), all, 1<<20)
		skipped, skipErr := DecodeBatch(Bytes(record), nil, 0)
		if (err == nil) != (skipErr == nil) {
			t.Fatalf("kept: %v, skipped: %v", err, skipErr)
		}
		if err != nil {
			return
		}
		if skipped.Next() != b.Next() || uint32(len(b.Ops)) != b.Count {
			t.Fatalf("%+v and %+v", b, skipped)
		}
		again, err := DecodeBatch(Bytes(b.Append(nil)), all, 1<<20)
		if err != nil || !reflect.DeepEqual(again, b) {
			t.Fatalf("%+v and %+v, %v", b, again, err)
		}
		// The same through a log, where the batch comes in fragments.
		l := NewLogReader(bytes.NewReader(framed(t, record)))
		if err := l.Next(); err != nil {
			t.Fatal(err)
		}
		streamed, err := DecodeBatch(l, all, 1<<20)
		if err != nil || !reflect.DeepEqual(streamed, b) {
			t.Fatalf("%+v and %+v, %v", b, streamed, err)
		}
		if err := l.Next(); !errors.Is(err, io.EOF) {
			t.Fatal(err)
		}
	})
}
