package robustmq

import (
	"encoding/binary"
	"reflect"
	"slices"
	"testing"
)

// encodeSegment writes a record as RobustMQ does.
func encodeSegment(s SegmentRecord, status uint32) []byte {
	var b []byte
	long := func(n uint64) { b = binary.LittleEndian.AppendUint64(b, n) }
	short := func(n uint32) { b = binary.LittleEndian.AppendUint32(b, n) }
	text := func(s string) { long(uint64(len(s))); b = append(b, s...) }
	list := func(ids []uint64) {
		long(uint64(len(ids)))
		for _, id := range ids {
			long(id)
		}
	}
	text(s.Shard)
	short(s.Number)
	long(uint64(len(s.Replicas)))
	for i, id := range s.Replicas {
		long(uint64(i))
		long(id)
		text("./data/engine")
	}
	list(s.ISR)
	list(s.LastISR)
	short(7)
	long(s.Leader)
	short(s.Epoch)
	long(3)
	short(status)
	return b
}

var someSegment = SegmentRecord{Shard: "dc273rqjueqq2o47oelg-0", Number: 2, Replicas: []uint64{3, 1, 1001}, ISR: []uint64{3, 1}, LastISR: []uint64{1001}, Leader: 3, Epoch: 9}

func TestASegmentIsDecodedWithEveryStatus(t *testing.T) {
	for number, status := range segmentStatuses {
		want := someSegment
		want.Status = status
		got, err := ParseSegmentRecord(encodeSegment(someSegment, uint32(number)))
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, %v", status, got, err)
		}
	}
}

func TestWhatIsNoSegmentIsAnErrorAndNotHalfASegment(t *testing.T) {
	whole := encodeSegment(someSegment, 0)
	for n := range whole {
		if got, err := ParseSegmentRecord(whole[:n]); err == nil {
			t.Fatalf("%d of %d bytes: %+v", n, len(whole), got)
		}
	}
	for what, record := range map[string][]byte{
		"a byte more":          append(slices.Clone(whole), 0),
		"a status of tomorrow": encodeSegment(someSegment, 6),
		"no shard":             encodeSegment(SegmentRecord{Replicas: []uint64{1}}, 0),
		"a list without end":   binary.LittleEndian.AppendUint64(whole[:len("dc273rqjueqq2o47oelg-0")+12:len("dc273rqjueqq2o47oelg-0")+12], 1<<60),
	} {
		if got, err := ParseSegmentRecord(record); err == nil {
			t.Errorf("%s: %+v", what, got)
		}
	}
}

func TestASegmentIsFullWhenAllItsReplicasAreInSync(t *testing.T) {
	for _, c := range []struct {
		replicas, isr []uint64
		full          bool
	}{
		{[]uint64{1}, []uint64{1}, true},
		{[]uint64{1, 2, 3}, []uint64{3, 2, 1}, true},
		{[]uint64{1, 2, 3}, []uint64{1, 2}, false},
		{[]uint64{1, 2}, nil, false},
		{nil, nil, false},
		{[]uint64{1, 2}, []uint64{1, 9}, false},
	} {
		if got := (SegmentRecord{Replicas: c.replicas, ISR: c.isr}).Full(); got != c.full {
			t.Errorf("%v of %v: %v", c.isr, c.replicas, got)
		}
	}
}

func FuzzParseSegmentRecord(f *testing.F) {
	f.Add(encodeSegment(someSegment, 0))
	f.Add(encodeSegment(SegmentRecord{Shard: "s"}, 5))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, record []byte) {
		s, err := ParseSegmentRecord(record)
		if err == nil && (s.Shard == "" || s.Status == "" || len(record) < 8*len(s.Replicas)) {
			t.Errorf("accepted %x as %+v", record, s)
		}
	})
}
