package rocksdb

import (
	"encoding/binary"
	"math"
)

// cursor consumes a record's bytes. bad stays true once something did not fit; every value read after that is zero.
type cursor struct {
	rest []byte
	bad  bool
}

func (c *cursor) fail() {
	c.bad = true
	c.rest = nil
}

func (c *cursor) uvarint() uint64 {
	v, n := binary.Uvarint(c.rest)
	if n <= 0 {
		c.fail()
		return 0
	}
	c.rest = c.rest[n:]
	return v
}

func (c *cursor) uvarint32() uint32 {
	v := c.uvarint()
	if v > math.MaxUint32 {
		c.fail()
		return 0
	}
	return uint32(v)
}

// string returns a part of the record, not a copy.
func (c *cursor) string() []byte {
	n := c.uvarint()
	if c.bad || n > uint64(len(c.rest)) {
		c.fail()
		return nil
	}
	s := c.rest[:n:n]
	c.rest = c.rest[n:]
	return s
}

func appendString[T ~string | ~[]byte](b []byte, s T) []byte {
	b = binary.AppendUvarint(b, uint64(len(s)))
	return append(b, s...)
}
