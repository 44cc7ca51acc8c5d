package rocksdb

import (
	"bytes"
	"encoding/binary"
	"errors"
	"reflect"
	"slices"
	"testing"
)

func TestARecordedManifestIsEncodedAgainToTheSameBytes(t *testing.T) {
	for _, name := range []string{"manifest-fresh", "manifest-follower"} {
		records, _, err := read(recorded(t, name))
		if err != nil {
			t.Fatal(err)
		}
		for i, record := range records {
			e, err := DecodeVersionEdit(record)
			if err != nil {
				t.Fatalf("%s record %d: %v", name, i, err)
			}
			if again := e.Append(nil); !bytes.Equal(again, record) {
				t.Errorf("%s record %d\n got %x\nwant %x", name, i, again, record)
			}
		}
	}
}

func TestTheRecordedManifestsSayWhatTheirOraclesSay(t *testing.T) {
	s, err := ReadState(bytes.NewReader(recorded(t, "manifest-follower")))
	if err != nil {
		t.Fatal(err)
	}
	if s.Edits != 21 || s.LastSequence != 2079 || s.NextFile != 49 || s.MinLogToKeep != 39 {
		t.Errorf("edits %d, last sequence %d, next file %d, min log %d", s.Edits, s.LastSequence, s.NextFile, s.MinLogToKeep)
	}
	want := map[string][]uint64{
		"default": nil, "meta_raft": {17, 24, 33, 42}, "meta_data": {18, 25, 34, 43}, "meta_metadata": {19, 26, 35, 44}, "broker": {20, 27, 36, 45}, "storage": {21, 28, 37, 46},
	}
	for i, f := range s.Sorted() {
		var numbers []uint64
		for _, table := range f.SortedTables() {
			numbers = append(numbers, table.Number)
		}
		if f.ID != uint32(i) || !slices.Equal(numbers, want[f.Name]) || f.LogNumber != 39 {
			t.Errorf("family %d %s: log %d, tables %v", f.ID, f.Name, f.LogNumber, numbers)
		}
	}
	if got := s.Family("meta_raft").Tables[17].String(); got != "L0 000017.sst, 28311 bytes" {
		t.Error(got)
	}
	fresh, err := ReadState(bytes.NewReader(recorded(t, "manifest-fresh")))
	if err != nil || fresh.Edits != 9 || fresh.LastSequence != 0 || fresh.NextFile != 6 || fresh.FirstWAL([]string{"meta_raft", "storage"}) != 4 || fresh.FirstWAL([]string{"default"}) != 0 {
		t.Errorf("%+v, %v", fresh, err)
	}
}

func table(number, size uint64) NewFile {
	tail := binary.AppendUvarint(nil, size)
	tail = appendString(tail, "smallest"+"\x01\x00\x00\x00\x00\x00\x00\x00")
	tail = appendString(tail, "largest"+"\x01\x00\x00\x00\x00\x00\x00\x00")
	tail = append(tail, 1, 2)
	return NewFile{Number: number, Size: size, SmallestSequence: 1, LargestSequence: 2, tail: tail}
}

func manifest(t testing.TB, edits ...*VersionEdit) []byte {
	t.Helper()
	records := make([][]byte, 0, len(edits))
	for _, e := range edits {
		records = append(records, e.Append(nil))
	}
	return framed(t, records...)
}

func TestOnlyTheNumberOfATableMayChange(t *testing.T) {
	record := (&VersionEdit{New: []NewFile{table(17, 1000)}}).Append(nil)
	e, err := DecodeVersionEdit(record)
	if err != nil {
		t.Fatal(err)
	}
	e.New[0].Number = 99
	got, err := DecodeVersionEdit(e.Append(nil))
	if err != nil || got.New[0].Number != 99 || !bytes.Equal(got.New[0].tail, e.New[0].tail) || got.New[0].Size != 1000 {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestTheHiddenMinimalLogNumberDoesNotTravel(t *testing.T) {
	f := table(17, 1000)
	hidden := slices.Clone(f.tail)
	hidden = append(hidden, fieldMinLogToKeep, 8, 77, 0, 0, 0, 0, 0, 0, 0)
	hidden = append(hidden, 12, 3, 'u', 'i', 'd')
	f.tail = hidden
	e, err := DecodeVersionEdit((&VersionEdit{New: []NewFile{f}}).Append(nil))
	if err != nil || *e.New[0].MinLogToKeep != 77 {
		t.Fatalf("%+v, %v", e, err)
	}
	again, err := DecodeVersionEdit(e.Append(nil))
	if err != nil || again.New[0].MinLogToKeep != nil || !bytes.HasSuffix(again.New[0].tail, []byte{12, 3, 'u', 'i', 'd'}) {
		t.Errorf("%+v, %v", again, err)
	}
	s, err := ReadState(bytes.NewReader(framed(t, e.Append(nil), (&VersionEdit{New: []NewFile{{Number: 18, tail: hidden}}}).Append(nil))))
	if err != nil || s.MinLogToKeep != 77 {
		t.Errorf("%+v, %v", s, err)
	}
}

func TestWhatAVersionEditMustNotHoldIsNamed(t *testing.T) {
	field := func(tag uint64, rest ...byte) []byte { return append(binary.AppendUvarint(nil, tag), rest...) }
	withField := func(rest ...byte) []byte {
		f := table(9, 1)
		f.tail = append(f.tail, rest...)
		return (&VersionEdit{New: []NewFile{f}}).Append(nil)
	}
	for want, record := range map[string][]byte{
		"not supported: unknown MANIFEST tag 11":                                            field(11, 1),
		"not supported: unknown MANIFEST tag 301":                                           field(301, 1),
		"not supported: blob files (MANIFEST tag 400)":                                      field(400, 1),
		"not supported: new file record of RocksDB 3 (MANIFEST tag 102)":                    field(102, 1),
		"not supported: user-defined timestamps (MANIFEST tag 8198)":                        field(8198, 1, 1),
		"not supported: user-defined timestamps (MANIFEST tag 8201)":                        field(8201, 1, 0),
		"not supported: table 9 in a second path (db_paths)":                                withField(65, 1, 1),
		"not supported: table 9 refers to blob files":                                       withField(4, 1, 1),
		"not supported: table 9 has user-defined timestamps":                                withField(16, 1, 0),
		"not supported: table 9: unknown field 70 that must not be ignored":                 withField(70, 0),
		"corrupt: table 9: minimal log number of 2 bytes":                                   withField(3, 2, 0, 0),
		"corrupt: VersionEdit: field of tag 2 does not fit its record":                      field(2, 0x80),
		"corrupt: VersionEdit: field of tag 201 does not fit its record":                    field(201, 5, 'a'),
		"corrupt: VersionEdit: no tag":                                                      {0xff, 0xff, 0xff, 0xff, 0xff, 0x7f},
		"corrupt: VersionEdit: adds or drops a column family and changes its files at once": append(field(202), field(6, 0, 1)...),
		"corrupt: table 5: a boundary is no internal key":                                   field(103, 0, 5, 1, 1, 'a', 1, 'b', 1, 2, 1),
		"corrupt: table 5: sequences 3 to 2":                                                field(103, append([]byte{0, 5, 1, 8, 0, 0, 0, 0, 0, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0}, 3, 2, 1)...),
	} {
		_, err := DecodeVersionEdit(record)
		if err == nil || err.Error() != want {
			t.Errorf("want %s\n got %v", want, err)
		}
	}
	e, err := DecodeVersionEdit(field(8300, 2, 'o', 'k'))
	if err != nil || len(e.Ignorable) != 1 || e.Ignorable[0].Tag != 8300 {
		t.Errorf("a tag that may be ignored: %+v, %v", e, err)
	}
}

func TestACutVersionEditIsAnError(t *testing.T) {
	records, _, err := read(recorded(t, "manifest-follower"))
	if err != nil {
		t.Fatal(err)
	}
	for _, record := range records {
		whole, err := DecodeVersionEdit(record)
		if err != nil {
			t.Fatal(err)
		}
		for cut := 1; cut < len(record); cut++ {
			if e, err := DecodeVersionEdit(record[:cut]); err == nil && reflect.DeepEqual(e, whole) {
				t.Errorf("cut at %d of %d goes unnoticed", cut, len(record))
			}
		}
	}
}

func TestManifestsThatContradictThemselvesAreRefused(t *testing.T) {
	add := func(id uint32, name string) *VersionEdit { return &VersionEdit{Family: id, AddFamily: ptr(name)} }
	for want, file := range map[string][]byte{
		`corrupt: column family 1 "b" is added twice`:                                          manifest(t, add(1, "a"), add(1, "b")),
		`corrupt: column family 2 "a" is added twice`:                                          manifest(t, add(1, "a"), add(2, "a")),
		`corrupt: a record is about column family 7, which does not exist`:                     manifest(t, &VersionEdit{Family: 7, LogNumber: ptr(uint64(1))}),
		`corrupt: the default column family is dropped`:                                        manifest(t, &VersionEdit{DropFamily: true}),
		`corrupt: table 5 of level 0 is deleted from family "default", which does not have it`: manifest(t, &VersionEdit{Deleted: []DeletedFile{{0, 5}}}),
		`corrupt: table 5 of level 1 is deleted from family "default", which does not have it`: manifest(t, &VersionEdit{New: []NewFile{table(5, 1)}}, &VersionEdit{Deleted: []DeletedFile{{1, 5}}}),
		`corrupt: table 5 is added twice`:                                                      manifest(t, add(1, "a"), &VersionEdit{New: []NewFile{table(5, 1)}}, &VersionEdit{Family: 1, New: []NewFile{table(5, 1)}}),
		`not supported: comparator "reverse"`:                                                  manifest(t, &VersionEdit{Comparator: ptr("reverse")}),
		`not supported: previous log number 3`:                                                 manifest(t, &VersionEdit{PrevLog: ptr(uint64(3))}),
		`corrupt: record 2 interrupts an atomic group`:                                         manifest(t, &VersionEdit{AtomicRemaining: ptr(uint32(1))}, &VersionEdit{}),
		`torn behind byte 10: an atomic group is not complete`:                                 manifest(t, &VersionEdit{AtomicRemaining: ptr(uint32(1))}),
		`torn behind byte 0: the MANIFEST is empty`:                                            nil,
	} {
		_, err := ReadState(bytes.NewReader(file))
		if err == nil || err.Error() != want {
			t.Errorf("want %s\n got %v", want, err)
		}
	}
}

func TestAnAtomicGroupComesIntoForceAsAWhole(t *testing.T) {
	group := []*VersionEdit{{New: []NewFile{table(5, 1)}, AtomicRemaining: ptr(uint32(1))}, {New: []NewFile{table(6, 1)}, AtomicRemaining: ptr(uint32(0))}}
	s, err := ReadState(bytes.NewReader(manifest(t, group...)))
	if err != nil || len(s.Families[0].Tables) != 2 || s.NextFile != 7 {
		t.Errorf("%+v, %v", s, err)
	}
}

func TestATableThatMovesToAnotherLevelIsKept(t *testing.T) {
	moved := table(5, 1)
	moved.Level = 6
	s, err := ReadState(bytes.NewReader(manifest(t, &VersionEdit{New: []NewFile{table(5, 1)}}, &VersionEdit{Deleted: []DeletedFile{{0, 5}}, New: []NewFile{moved}})))
	if err != nil || s.Families[0].Tables[5].Level != 6 {
		t.Errorf("%+v, %v", s, err)
	}
}

func TestADroppedFamilyIsGone(t *testing.T) {
	s, err := ReadState(bytes.NewReader(manifest(t, &VersionEdit{Family: 1, AddFamily: ptr("a")}, &VersionEdit{Family: 1, New: []NewFile{table(5, 1)}}, &VersionEdit{Family: 1, DropFamily: true})))
	if err != nil || s.Family("a") != nil || s.GreatestSequence() != 0 {
		t.Errorf("%+v, %v", s, err)
	}
}

func TestEveryCutOfAManifestIsTornOrAnEarlierState(t *testing.T) {
	file := recorded(t, "manifest-follower")
	for cut := range file {
		s, err := ReadState(bytes.NewReader(file[:cut]))
		var torn *TornError
		if err != nil && !errors.As(err, &torn) || err == nil && s.Edits >= 21 {
			t.Fatalf("cut at %d: %+v, %v", cut, s, err)
		}
	}
}

func FuzzVersionEdit(f *testing.F) {
	for _, name := range []string{"manifest-fresh", "manifest-follower"} {
		records, _, err := read(recorded(f, name))
		if err != nil {
			f.Fatal(err)
		}
		for _, r := range records {
			f.Add(r)
		}
	}
	f.Fuzz(func(t *testing.T, record []byte) {
		e, err := DecodeVersionEdit(record)
		if err != nil {
			return
		}
		once := e.Append(nil)
		again, err := DecodeVersionEdit(once)
		if err != nil {
			t.Fatalf("what was encoded is not understood: %v", err)
		}
		if twice := again.Append(nil); !bytes.Equal(once, twice) {
			t.Fatalf("%x\n%x", once, twice)
		}
	})
}

func FuzzReadState(f *testing.F) {
	f.Add(recorded(f, "manifest-fresh"))
	f.Add(recorded(f, "manifest-follower"))
	f.Fuzz(func(t *testing.T, file []byte) {
		s, err := ReadState(bytes.NewReader(file))
		if err != nil {
			return
		}
		for _, family := range s.Sorted() {
			for _, table := range family.SortedTables() {
				if table.Number >= s.NextFile {
					t.Fatalf("table %d, next file %d", table.Number, s.NextFile)
				}
			}
		}
	})
}

func TestAManifestIsReadOnFromAnyRecord(t *testing.T) {
	file := recorded(t, "manifest-follower")
	for range 3 { // far enough for several blocks
		big := &VersionEdit{Ignorable: []IgnorableField{{Tag: 8300, Value: make([]byte, 20000)}}}
		records, _, err := read(file)
		if err != nil {
			t.Fatal(err)
		}
		file = framed(t, append(records, big.Append(nil), (&VersionEdit{LastSequence: ptr(uint64(3000 + len(file)))}).Append(nil))...)
	}
	whole, err := ReadState(bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	for cut := 100; cut < len(file); cut += 1 + cut%611 {
		s, err := ReadState(bytes.NewReader(file[:cut]))
		if err != nil {
			s = &State{Families: map[uint32]*Family{0: newFamily(0, DefaultFamily)}}
			var torn *TornError
			if err := s.Continue(bytes.NewReader(file[:cut])); !errors.As(err, &torn) {
				t.Fatal(err)
			}
		}
		if err := s.Continue(bytes.NewReader(file[s.Resume():])); err != nil || !reflect.DeepEqual(s, whole) {
			t.Fatalf("read on from %d: %v\n%+v\n%+v", cut, err, s, whole)
		}
	}
}
