package simulator

import (
	"encoding/binary"
	"fmt"
)

// encoder makes bincode: little endian, numbers of their size, lengths of 8 bytes, an option's and a boolean's byte, an enum's number of 4.
type encoder struct{ b []byte }

func (e *encoder) u8(v byte)    { e.b = append(e.b, v) }
func (e *encoder) u32(v uint32) { e.b = binary.LittleEndian.AppendUint32(e.b, v) }
func (e *encoder) u64(v uint64) { e.b = binary.LittleEndian.AppendUint64(e.b, v) }

func (e *encoder) flag(v bool) {
	if v {
		e.u8(1)
	} else {
		e.u8(0)
	}
}

func (e *encoder) text(s string) {
	e.u64(uint64(len(s)))
	e.b = append(e.b, s...)
}

func (e *encoder) texts(list []string) {
	e.u64(uint64(len(list)))
	for _, s := range list {
		e.text(s)
	}
}

func (e *encoder) numbers(list []uint64) {
	e.u64(uint64(len(list)))
	for _, n := range list {
		e.u64(n)
	}
}

func (e *encoder) option(v *int64) {
	e.flag(v != nil)
	if v != nil {
		e.u64(uint64(*v))
	}
}

// decoder reads what encoder made. bad stays true once something did not fit.
type decoder struct {
	rest []byte
	bad  bool
}

func (d *decoder) bytes(n uint64) []byte {
	if d.bad || n > uint64(len(d.rest)) {
		d.bad = true
		return nil
	}
	b := d.rest[:n]
	d.rest = d.rest[n:]
	return b
}

func (d *decoder) u32() uint32 {
	if b := d.bytes(4); b != nil {
		return binary.LittleEndian.Uint32(b)
	}
	return 0
}

func (d *decoder) u64() uint64 {
	if b := d.bytes(8); b != nil {
		return binary.LittleEndian.Uint64(b)
	}
	return 0
}

func (d *decoder) flag() bool {
	b := d.bytes(1)
	if b != nil && b[0] > 1 {
		d.bad = true
	}
	return b != nil && b[0] == 1
}

func (d *decoder) text() string { return string(d.bytes(d.u64())) }

// count reads how many elements of at least size bytes follow.
func (d *decoder) count(size int) int {
	n := d.u64()
	if n > uint64(len(d.rest)/size) {
		d.bad = true
		return 0
	}
	return int(n)
}

func (d *decoder) texts() []string {
	n := d.count(8)
	list := make([]string, 0, n)
	for range n {
		list = append(list, d.text())
	}
	return list
}

func (d *decoder) numbers() []uint64 {
	n := d.count(8)
	list := make([]uint64, 0, n)
	for range n {
		list = append(list, d.u64())
	}
	return list
}

func (d *decoder) option() *int64 {
	if !d.flag() {
		return nil
	}
	v := int64(d.u64())
	return &v
}

// end says whether the value was read to its end.
func (d *decoder) end() error {
	if d.bad || len(d.rest) > 0 {
		return fmt.Errorf("a value that does not fit its layout: %d bytes are left", len(d.rest))
	}
	return nil
}
