package table

import "encoding/binary"

// block is the entries of a block that are still to be read: shared and unshared length of the key, length of the value (varints), the unshared part, the value; behind them the offsets
// of the entries that share nothing (u32) and how many there are (R table/block_based/block_builder.cc).
type block struct {
	rest []byte
	key  []byte // of the last entry; overwritten by the next
}

func openBlock(content []byte) (block, error) {
	if len(content) < 4 {
		return block{}, wrong("a block of %d bytes", len(content))
	}
	restarts := uint64(binary.LittleEndian.Uint32(content[len(content)-4:]))
	if restarts >= 1<<31 {
		return block{}, wrong("a data block with a hash index is not read here")
	}
	end := uint64(len(content)) - 4
	if restarts*4 > end {
		return block{}, wrong("a block of %d bytes with %d restarts", len(content), restarts)
	}
	return block{rest: content[:end-restarts*4]}, nil
}

// readKey reads an entry up to its key's end and returns the length of its value where the entry has one.
func (b *block) readKey(lengths []uint64) error {
	for i := range lengths {
		length, n := binary.Uvarint(b.rest)
		if n <= 0 {
			return wrong("an entry of a block is cut")
		}
		lengths[i], b.rest = length, b.rest[n:]
	}
	shared, unshared := lengths[0], lengths[1]
	if shared > uint64(len(b.key)) || unshared > uint64(len(b.rest)) {
		return wrong("a key of a block does not fit")
	}
	b.key = append(b.key[:shared], b.rest[:unshared]...)
	b.rest = b.rest[unshared:]
	return nil
}

// next reads an entry; false at the end. Its key is b.key, valid until the next call; the value shares memory with the block.
func (b *block) next() (value []byte, ok bool, err error) {
	if len(b.rest) == 0 {
		return nil, false, nil
	}
	var lengths [3]uint64
	if err := b.readKey(lengths[:]); err != nil {
		return nil, false, err
	}
	if lengths[2] > uint64(len(b.rest)) {
		return nil, false, wrong("a value of a block does not fit")
	}
	value = b.rest[:lengths[2]:lengths[2]]
	b.rest = b.rest[lengths[2]:]
	return value, true, nil
}

// each passes all entries of a block on.
func each(content []byte, visit func(key, value []byte) error) error {
	b, err := openBlock(content)
	if err != nil {
		return err
	}
	for {
		value, ok, err := b.next()
		if err != nil || !ok {
			return err
		}
		if err := visit(b.key, value); err != nil {
			return err
		}
	}
}

// handles are those of an index block. With differences, an entry has no length of its value, and one that shares bytes of its key has only by how much its block is larger than the one
// before, right behind which it is (R block_based/block.cc, IndexBlockIter::DecodeCurrentValue; S).
func handles(content []byte, differences bool) ([]handle, error) {
	var list []handle
	if !differences {
		err := each(content, func(_, value []byte) error {
			h, _, err := readHandle(value)
			list = append(list, h)
			return err
		})
		return list, err
	}
	b, err := openBlock(content)
	if err != nil {
		return nil, err
	}
	var h handle
	for len(b.rest) > 0 {
		var lengths [2]uint64
		if err := b.readKey(lengths[:]); err != nil {
			return nil, err
		}
		if lengths[0] == 0 {
			if h, b.rest, err = readHandle(b.rest); err != nil {
				return nil, err
			}
		} else {
			difference, n := binary.Varint(b.rest)
			if n <= 0 {
				return nil, wrong("an index entry is cut")
			}
			b.rest = b.rest[n:]
			h = handle{h.offset + h.size + blockTrailer, h.size + uint64(difference)}
		}
		list = append(list, h)
	}
	return list, nil
}
