package table

import (
	"encoding/binary"
	"errors"
)

var errLZ4 = errors.New("LZ4 data is damaged")

// unpackLZ4 unpacks one LZ4 block (lz4_Block_format.md of the LZ4 project): sequences of a token, literals, and a copy of what was unpacked before. The last has literals only.
func unpackLZ4(in []byte, size int) ([]byte, error) {
	out := make([]byte, 0, min(size, 1<<20))
	length := func(n int) (int, bool) { // 15 in a token: bytes follow, until one is not 255
		if n < 15 {
			return n, true
		}
		for len(in) > 0 {
			b := in[0]
			in = in[1:]
			n += int(b)
			if n > size+15 {
				return 0, false
			}
			if b != 255 {
				return n, true
			}
		}
		return 0, false
	}
	for len(in) > 0 {
		token := in[0]
		in = in[1:]
		literals, ok := length(int(token >> 4))
		if !ok || literals > len(in) || len(out)+literals > size {
			return nil, errLZ4
		}
		out, in = append(out, in[:literals]...), in[literals:]
		if len(in) == 0 {
			return out, nil
		}
		if len(in) < 2 {
			return nil, errLZ4
		}
		back := int(binary.LittleEndian.Uint16(in))
		in = in[2:]
		match, ok := length(int(token & 15))
		match += 4
		if !ok || back == 0 || back > len(out) || len(out)+match > size {
			return nil, errLZ4
		}
		for range match { // byte by byte: a copy may overlap what it makes
			out = append(out, out[len(out)-back])
		}
	}
	return nil, errLZ4
}
