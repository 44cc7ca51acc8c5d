package table

import "encoding/binary"

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
