package rocksdb

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math"
)

// MaxSequence is the greatest sequence number: the eight low bits of a u64 hold a type in tables (db/dbformat.h, kMaxSequenceNumber).
const MaxSequence = 1<<56 - 1

// batchHeader is the length of sequence and count.
const batchHeader = 12

// Kind of an operation, as the byte that a WriteBatch writes for a named column family (db/dbformat.h, ValueType).
type Kind byte

// The operations that are handled. RobustMQ writes only Put, Delete and RangeDelete.
const (
	Delete       Kind = 0x04
	Put          Kind = 0x05
	Merge        Kind = 0x06
	SingleDelete Kind = 0x08
	RangeDelete  Kind = 0x0e // keys from Key, to Value, which is not among them
)

// shortForms are the same operations on the default family.
var shortForms = map[byte]Kind{0x00: Delete, 0x01: Put, 0x02: Merge, 0x07: SingleDelete, 0x0f: RangeDelete}

const (
	opLogData = 0x03 // a comment; not counted
	opNoop    = 0x0d // not counted
)

// refusedOps are valid and never written by RobustMQ.
var refusedOps = map[byte]string{
	0x09: "two-phase commit (begin prepare)", 0x0a: "two-phase commit (end prepare)", 0x0b: "two-phase commit (commit)", 0x0c: "two-phase commit (rollback)",
	0x10: "blob index", 0x11: "blob index", 0x12: "two-phase commit (begin persisted prepare)", 0x13: "two-phase commit (begin unprepare)",
	0x14: "deletion with timestamp", 0x15: "two-phase commit (commit with timestamp)", 0x16: "wide column", 0x17: "wide column", 0x18: "value with preferred sequence", 0x19: "value with preferred sequence",
}

// Op is one operation on a column family.
type Op struct {
	Kind   Kind
	Family uint32
	Key    []byte
	Value  []byte // of Put and Merge; of RangeDelete the end
}

// Batch is one record of a WAL: operations that come into force together. Operation i has the sequence Sequence+i.
type Batch struct {
	Sequence uint64
	Count    uint32 // of all operations, also those that were not kept
	Ops      []Op   // those that were kept
}

// Next is the sequence behind the batch.
func (b *Batch) Next() uint64 { return b.Sequence + uint64(b.Count) }

// Source is a record that is read as a stream: *LogReader, or Bytes.
type Source interface {
	io.Reader
	io.ByteReader
	Skip(n uint64) error
}

// Bytes makes a Source of a record in memory.
func Bytes(record []byte) Source { return &bytesSource{bytes.NewReader(record)} }

type bytesSource struct{ *bytes.Reader }

func (s *bytesSource) Skip(n uint64) error {
	if n > uint64(s.Len()) {
		return io.ErrUnexpectedEOF
	}
	_, err := s.Seek(int64(n), io.SeekCurrent)
	return err
}

// DecodeBatch reads a WriteBatch to its end and keeps the operations on the families for which keep says so (nil: none), up to limit bytes of keys and values.
// What is not kept is skipped without being held in memory, whatever its size.
func DecodeBatch(r Source, keep func(family uint32) bool, limit int) (*Batch, error) {
	var header [batchHeader]byte
	if _, err := io.ReadFull(r, header[:]); err != nil {
		return nil, inBatch(err)
	}
	b := &Batch{Sequence: binary.LittleEndian.Uint64(header[:]), Count: binary.LittleEndian.Uint32(header[8:])}
	if b.Sequence > MaxSequence || b.Next() > MaxSequence {
		return nil, corrupt("WriteBatch: sequence %d", b.Sequence)
	}
	d := &batchDecoder{r: r, left: limit, limit: limit}
	var count uint32
	for {
		tag, err := r.ReadByte()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		op, counted, err := d.op(tag, keep)
		if err != nil {
			return nil, inBatch(err)
		}
		if counted {
			count++
		}
		if op != nil {
			b.Ops = append(b.Ops, *op)
		}
	}
	if count != b.Count {
		return nil, corrupt("WriteBatch of sequence %d has %d operations and says %d", b.Sequence, count, b.Count)
	}
	return b, nil
}

// inBatch makes an end of the record within the batch what it is: damage that the checksum did not see, since the record itself was complete.
func inBatch(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return corrupt("WriteBatch ends within an operation")
	}
	return err
}

type batchDecoder struct {
	r           Source
	left, limit int // bytes that may still be kept
}

// op reads one operation behind its tag. It returns nil when the operation is not kept.
func (d *batchDecoder) op(tag byte, keep func(uint32) bool) (op *Op, counted bool, err error) {
	switch tag {
	case opNoop:
		return nil, false, nil
	case opLogData:
		_, err := d.string(false)
		return nil, false, err
	}
	kind, family := Kind(tag), uint64(0)
	if long, short := shortForms[tag]; short {
		kind = long
	} else if kind != Delete && kind != Put && kind != Merge && kind != SingleDelete && kind != RangeDelete {
		if name := refusedOps[tag]; name != "" {
			return nil, false, unsupported("%s in the WAL (operation 0x%02x)", name, tag)
		}
		return nil, false, unsupported("unknown WAL operation 0x%02x", tag)
	} else if family, err = d.uvarint(); err != nil {
		return nil, false, err
	}
	if family > math.MaxUint32 {
		return nil, false, corrupt("WriteBatch: column family %d", family)
	}
	kept := keep != nil && keep(uint32(family))
	o := Op{Kind: kind, Family: uint32(family)}
	if o.Key, err = d.string(kept); err != nil {
		return nil, false, err
	}
	if kind != Delete && kind != SingleDelete {
		if o.Value, err = d.string(kept); err != nil {
			return nil, false, err
		}
	}
	if !kept {
		return nil, true, nil
	}
	return &o, true, nil
}

func (d *batchDecoder) uvarint() (uint64, error) {
	var v uint64
	for shift := 0; shift < 64; shift += 7 {
		b, err := d.r.ReadByte()
		if err != nil {
			return 0, err
		}
		if shift == 63 && b > 1 {
			break
		}
		v |= uint64(b&0x7f) << shift
		if b < 0x80 {
			return v, nil
		}
	}
	return 0, corrupt("WriteBatch: a number is too long")
}

// chunk bounds what is allocated before bytes have arrived: a length is not yet to be trusted.
const chunk = 64 << 10

func (d *batchDecoder) string(kept bool) ([]byte, error) {
	n, err := d.uvarint()
	if err != nil {
		return nil, err
	}
	if !kept {
		return nil, d.r.Skip(n)
	}
	if n > uint64(d.left) {
		return nil, &TooLargeError{What: "what is kept of a WriteBatch", Limit: d.limit}
	}
	d.left -= int(n)
	s := make([]byte, 0, min(n, chunk))
	for uint64(len(s)) < n {
		step := int(min(n-uint64(len(s)), chunk))
		s = append(s, make([]byte, step)...)
		if _, err := io.ReadFull(d.r, s[len(s)-step:]); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// Append encodes the batch with its Ops alone; Count is not looked at. Each operation names its column family, also the default one.
func (b *Batch) Append(dst []byte) []byte {
	dst = binary.LittleEndian.AppendUint64(dst, b.Sequence)
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(b.Ops)))
	for _, op := range b.Ops {
		dst = append(dst, byte(op.Kind))
		dst = binary.AppendUvarint(dst, uint64(op.Family))
		dst = appendString(dst, op.Key)
		if op.Kind != Delete && op.Kind != SingleDelete {
			dst = appendString(dst, op.Value)
		}
	}
	return dst
}
