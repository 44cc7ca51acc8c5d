package table

import (
	"encoding/binary"
)

// blockBuilder makes a block: entries of shared and unshared length of the key, length of the value (varints), the unshared part, the value; behind them the offsets of the entries
// that share nothing (u32) and how many there are (R table/block_based/block_builder.cc).
type blockBuilder struct {
	interval int // entries from one restart to the next
	buf      []byte
	restarts []uint32
	entries  int
	last     []byte
}

func (b *blockBuilder) add(key, value []byte) {
	shared := 0
	if b.entries%b.interval == 0 {
		b.restarts = append(b.restarts, uint32(len(b.buf)))
	} else {
		for shared < len(key) && shared < len(b.last) && key[shared] == b.last[shared] {
			shared++
		}
	}
	b.buf = binary.AppendUvarint(b.buf, uint64(shared))
	b.buf = binary.AppendUvarint(b.buf, uint64(len(key)-shared))
	b.buf = binary.AppendUvarint(b.buf, uint64(len(value)))
	b.buf = append(append(b.buf, key[shared:]...), value...)
	b.last = append(b.last[:0], key...)
	b.entries++
}

// finish returns the block and makes the builder ready for the next one.
func (b *blockBuilder) finish() []byte {
	if len(b.restarts) == 0 {
		b.restarts = append(b.restarts, 0)
	}
	for _, r := range b.restarts {
		b.buf = binary.LittleEndian.AppendUint32(b.buf, r)
	}
	block := binary.LittleEndian.AppendUint32(b.buf, uint32(len(b.restarts)))
	*b = blockBuilder{interval: b.interval}
	return block
}

// entriesOf is the part of a block before its restarts.
func entriesOf(block []byte) ([]byte, error) {
	if len(block) < 4 {
		return nil, wrong("a block of %d bytes", len(block))
	}
	restarts := uint64(binary.LittleEndian.Uint32(block[len(block)-4:]))
	if restarts >= 1<<31 {
		return nil, wrong("a data block with a hash index")
	}
	end := uint64(len(block)) - 4
	if restarts*4 > end {
		return nil, wrong("a block of %d bytes with %d restarts", len(block), restarts)
	}
	return block[:end-restarts*4], nil
}

// entryKey reads an entry up to its key's end. Keys are new at every call.
func entryKey(b, last []byte, lengths []uint64) (key, rest []byte, err error) {
	for i := range lengths {
		length, n := binary.Uvarint(b)
		if n <= 0 {
			return nil, nil, wrong("an entry of a block is cut")
		}
		lengths[i], b = length, b[n:]
	}
	shared, unshared := lengths[0], lengths[1]
	if shared > uint64(len(last)) || unshared > uint64(len(b)) {
		return nil, nil, wrong("a key of a block does not fit")
	}
	key = append(append(make([]byte, 0, shared+unshared), last[:shared]...), b[:unshared]...)
	return key, b[unshared:], nil
}

// each passes the entries of a block on. Values share memory with the block.
func each(block []byte, visit func(key, value []byte) error) error {
	b, err := entriesOf(block)
	if err != nil {
		return err
	}
	var key []byte
	for len(b) > 0 {
		var lengths [3]uint64
		if key, b, err = entryKey(b, key, lengths[:]); err != nil {
			return err
		}
		if lengths[2] > uint64(len(b)) {
			return wrong("a value of a block does not fit")
		}
		value := b[:lengths[2]:lengths[2]]
		b = b[lengths[2]:]
		if err := visit(key, value); err != nil {
			return err
		}
	}
	return nil
}

// eachHandle passes the handles of an index block on. With differences, an entry has no length of its value, and one that shares bytes of its key has only
// by how much its block is larger than the one before, right behind which it is (R block_based/block.cc, IndexBlockIter::DecodeCurrentValue; S).
func eachHandle(block []byte, differences bool, visit func(handle) error) error {
	if !differences {
		return each(block, func(_, value []byte) error {
			h, _, err := readHandle(value)
			if err != nil {
				return err
			}
			return visit(h)
		})
	}
	b, err := entriesOf(block)
	if err != nil {
		return err
	}
	var key []byte
	var h handle
	for len(b) > 0 {
		var lengths [2]uint64
		if key, b, err = entryKey(b, key, lengths[:]); err != nil {
			return err
		}
		if lengths[0] == 0 {
			if h, b, err = readHandle(b); err != nil {
				return err
			}
		} else {
			difference, n := binary.Varint(b)
			if n <= 0 {
				return wrong("an index entry is cut")
			}
			b = b[n:]
			h = handle{h.offset + h.size + blockTrailer, h.size + uint64(difference)}
		}
		if err := visit(h); err != nil {
			return err
		}
	}
	return nil
}
