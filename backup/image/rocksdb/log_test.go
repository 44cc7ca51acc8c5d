package rocksdb

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func recorded(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func framed(t testing.TB, records ...[]byte) []byte {
	t.Helper()
	var file bytes.Buffer
	w := NewLogWriter(&file)
	for _, r := range records {
		if err := w.Append(r); err != nil {
			t.Fatal(err)
		}
	}
	if w.Size() != int64(file.Len()) {
		t.Fatalf("the writer counts %d bytes, wrote %d", w.Size(), file.Len())
	}
	return file.Bytes()
}

// read returns all complete records and how the file ends; nil for a clean end.
func read(file []byte) (records [][]byte, end int64, err error) {
	l := NewLogReader(bytes.NewReader(file))
	for {
		err := l.Next()
		if errors.Is(err, io.EOF) {
			return records, l.End(), nil
		}
		if err != nil {
			return records, l.End(), err
		}
		record, err := l.Record(len(file))
		if err != nil {
			return records, l.End(), err
		}
		records = append(records, record)
	}
}

func randomRecords(r *rand.Rand, n int) [][]byte {
	var list [][]byte
	for range n {
		size := r.IntN(200)
		switch r.IntN(10) {
		case 0:
			size = r.IntN(3 * BlockSize)
		case 1:
			size = BlockSize - 20 + r.IntN(40)
		}
		record := make([]byte, size)
		for i := range record {
			record[i] = byte(r.Uint32()) | 1
		}
		list = append(list, record)
	}
	return list
}

func TestWhatIsFramedIsReadBackWhateverTheSizes(t *testing.T) {
	for seed := range uint64(50) {
		want := randomRecords(rand.New(rand.NewPCG(seed, 1)), 40)
		got, end, err := read(framed(t, want...))
		if err != nil || !slices.EqualFunc(got, want, bytes.Equal) || end == 0 {
			t.Fatalf("seed %d: %d of %d records, end %d, %v", seed, len(got), len(want), end, err)
		}
	}
}

func TestEveryPlaceInABlockIsAGoodPlaceForARecordToBegin(t *testing.T) {
	for left := range 40 {
		first := bytes.Repeat([]byte{1}, BlockSize-headerSize-left)
		second := bytes.Repeat([]byte{2}, 100)
		file := framed(t, first, second)
		got, _, err := read(file)
		if err != nil || len(got) != 2 || !bytes.Equal(got[1], second) {
			t.Errorf("%d bytes left in the block: %d records, %v", left, len(got), err)
		}
	}
}

func TestARecordedLogIsFramedAgainToTheSameBytes(t *testing.T) {
	for _, name := range []string{"wal-fresh", "wal-follower", "manifest-fresh", "manifest-follower"} {
		file := recorded(t, name)
		records, end, err := read(file)
		if err != nil || end != int64(len(file)) {
			t.Errorf("%s: end at %d of %d, %v", name, end, len(file), err)
		}
		if !bytes.Equal(framed(t, records...), file) {
			t.Errorf("%s: framed again it is another file", name)
		}
	}
}

func TestACutLogKeepsEveryRecordBeforeTheCut(t *testing.T) {
	records := randomRecords(rand.New(rand.NewPCG(3, 3)), 30)
	file := framed(t, records...)
	ends := make([]int, 0, len(records)) // offset behind record i
	for i := range records {
		ends = append(ends, len(framed(t, records[:i+1]...)))
	}
	for cut := 0; cut <= len(file); cut += 1 + cut%997 {
		complete := 0
		for complete < len(ends) && ends[complete] <= cut {
			complete++
		}
		got, end, err := read(file[:cut])
		if len(got) != complete {
			t.Fatalf("cut at %d: %d records instead of %d (%v)", cut, len(got), complete, err)
		}
		if complete > 0 && end != int64(ends[complete-1]) {
			t.Errorf("cut at %d: end %d, want %d", cut, end, ends[complete-1])
		}
		var torn *TornError
		if err != nil && !errors.As(err, &torn) {
			t.Errorf("cut at %d: %v", cut, err)
		}
		if rest := file[:cut][end:]; err == nil && !zero(rest) {
			t.Errorf("cut at %d: %d bytes are passed over without a word", cut, len(rest))
		}
	}
}

func TestTheRecordedTornLogIsTorn(t *testing.T) {
	records, end, err := read(recorded(t, "wal-torn"))
	var torn *TornError
	if !errors.As(err, &torn) || torn.Offset != end || len(records) == 0 {
		t.Errorf("%d records, end %d, %v", len(records), end, err)
	}
}

func TestZeroesBehindTheLastRecordAreTheEnd(t *testing.T) {
	file := framed(t, []byte("one"), []byte("two"))
	for _, zeroes := range []int{1, 6, 7, 100, BlockSize, 3 * BlockSize} {
		got, _, err := read(append(slices.Clone(file), make([]byte, zeroes)...))
		if err != nil || len(got) != 2 {
			t.Errorf("%d zeroes: %d records, %v", zeroes, len(got), err)
		}
	}
}

func TestAFlippedBitInTheMiddleIsCorruptionAndNotTheEnd(t *testing.T) {
	records := randomRecords(rand.New(rand.NewPCG(5, 5)), 60)
	file := framed(t, records...)
	last := len(framed(t, records[:59]...)) // everything behind this is the last record
	for at := 0; at < last-BlockSize; at += 1 + at%3989 {
		damaged := slices.Clone(file)
		damaged[at] ^= 1 << (at % 8)
		got, _, err := read(damaged)
		var corrupt *CorruptError
		var unsupported *UnsupportedError
		switch {
		case errors.As(err, &corrupt), errors.As(err, &unsupported):
		case err == nil && slices.EqualFunc(got, records, bytes.Equal): // in the zeroes at a block's end, which nobody reads
		default:
			t.Fatalf("bit of byte %d flipped: %d records, %v", at, len(got), err)
		}
	}
}

func TestAFlippedBitInTheLastRecordIsATornEnd(t *testing.T) {
	file := framed(t, []byte("one"), []byte("the last one"))
	file[len(file)-3] ^= 4
	got, _, err := read(file)
	var torn *TornError
	if len(got) != 1 || !errors.As(err, &torn) {
		t.Errorf("%d records, %v", len(got), err)
	}
}

func TestAHoleInTheMiddleIsCorruption(t *testing.T) {
	file := framed(t, bytes.Repeat([]byte("x"), 3*BlockSize), []byte("next"))
	clear(file[BlockSize : 2*BlockSize])
	_, _, err := read(file)
	var corrupt *CorruptError
	if !errors.As(err, &corrupt) {
		t.Error(err)
	}
}

// fragment frames one payload with any type.
func fragment(t byte, payload []byte) []byte {
	b := make([]byte, headerSize, recycledHeaderSize+len(payload))
	binary.LittleEndian.PutUint16(b[4:], uint16(len(payload)))
	b[6] = t
	if recycled(t) {
		b = append(b, 9, 0, 0, 0)
	}
	b = append(b, payload...)
	binary.LittleEndian.PutUint32(b, checksum(b[6:]))
	return b
}

func TestOtherKindsOfLogsAreRefusedByName(t *testing.T) {
	for typ, want := range map[byte]string{
		5: "not supported: recycled WAL (recycle_log_file_num)", 6: "not supported: recycled WAL (recycle_log_file_num)", 8: "not supported: recycled WAL (recycle_log_file_num)",
		9: "not supported: compressed WAL (wal_compression)", 10: "not supported: user-defined timestamps in the WAL", 11: "not supported: recycled WAL (recycle_log_file_num)",
		33: "not supported: WAL that verifies its predecessor (track_and_verify_wals)", 77: "not supported: log record of type 77",
	} {
		_, _, err := read(append(framed(t, []byte("one")), fragment(typ, []byte("payload"))...))
		if err == nil || err.Error() != want {
			t.Errorf("type %d: %v", typ, err)
		}
	}
}

func TestFragmentsInTheWrongOrderAreCorruption(t *testing.T) {
	for name, file := range map[string][]byte{
		"middle first":         fragment(middleType, []byte("a")),
		"last first":           fragment(lastType, []byte("a")),
		"full within a record": append(fragment(firstType, []byte("a")), fragment(fullType, []byte("b"))...),
		"two firsts":           append(fragment(firstType, []byte("a")), fragment(firstType, []byte("b"))...),
	} {
		_, _, err := read(file)
		var corrupt *CorruptError
		if !errors.As(err, &corrupt) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestARecordWithoutItsLastFragmentIsTorn(t *testing.T) {
	_, _, err := read(append(framed(t, []byte("one")), fragment(firstType, []byte("a"))...))
	var torn *TornError
	if !errors.As(err, &torn) {
		t.Error(err)
	}
}

func TestARecordLargerThanTheLimitIsRefused(t *testing.T) {
	l := NewLogReader(bytes.NewReader(framed(t, make([]byte, 5000))))
	if err := l.Next(); err != nil {
		t.Fatal(err)
	}
	_, err := l.Record(4999)
	var large *TooLargeError
	if !errors.As(err, &large) {
		t.Error(err)
	}
}

func TestAnErrorOfTheFileIsPassedOn(t *testing.T) {
	broken := errors.New("input/output error")
	file := framed(t, make([]byte, 2*BlockSize))
	l := NewLogReader(io.MultiReader(bytes.NewReader(file[:BlockSize]), errorReader{broken}))
	err := l.Next()
	if err == nil {
		_, err = l.Record(len(file))
	}
	if !errors.Is(err, broken) {
		t.Error(err)
	}
	if again := l.Next(); !errors.Is(again, broken) {
		t.Errorf("then %v", again)
	}
}

type errorReader struct{ err error }

func (r errorReader) Read([]byte) (int, error) { return 0, r.err }

func FuzzLogReader(f *testing.F) {
	f.Add(recorded(f, "wal-fresh"))
	f.Add(recorded(f, "wal-torn")[:2000])
	f.Add(recorded(f, "manifest-follower"))
	f.Add(fragment(recycledFullType, []byte("x")))
	f.Add(make([]byte, BlockSize+3))
	f.Fuzz(func(t *testing.T, file []byte) {
		records, end, err := read(file)
		if end > int64(len(file)) {
			t.Fatalf("end %d of %d", end, len(file))
		}
		// What was read must be what a writer would have framed to begin with, up to zeroes where a record could have begun.
		if again, _, _ := read(framed(t, records...)); !slices.EqualFunc(again, records, bytes.Equal) {
			t.Fatal("records do not survive being framed again")
		}
		if err == nil && !zero(file[end:]) {
			t.Fatalf("%d bytes behind the end at %d are not zero", int64(len(file))-end, end)
		}
		var torn *TornError
		if errors.As(err, &torn) && torn.Offset != end {
			t.Fatalf("torn at %d, end %d", torn.Offset, end)
		}
	})
}

func ExampleLogReader() {
	var file bytes.Buffer
	w := NewLogWriter(&file)
	_ = w.Append([]byte("hello"))
	l := NewLogReader(&file)
	for l.Next() == nil {
		record, _ := l.Record(1 << 20)
		fmt.Printf("%s\n", record)
	}
	// Output: hello
}
