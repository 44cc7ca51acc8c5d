package rocksdb

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// LogReader reads the records of a WAL or MANIFEST as a stream: it holds one block, never a whole record.
//
// Call Next before each record, then Read, ReadByte, Skip or Record. An error other than a record's io.EOF is final.
// What ends a file within a record is a *TornError when nothing valid follows, and a *CorruptError when something does: a crash cuts the end off, it does not damage the middle.
type LogReader struct {
	r io.Reader

	block [BlockSize]byte
	n     int   // bytes of block that are filled
	pos   int   // next byte in block
	base  int64 // offset of block in the file
	skip  int   // bytes of the first block that were read before
	eof   bool  // the file ends with this block

	rest  []byte // of the present fragment
	open  bool   // the present record has further fragments
	began bool   // Next was called and the record is not used up
	end   int64
	err   error
}

// NewLogReader reads from r, which may be cut anywhere: what a live WAL grows by after the caller looked at its length is hidden with an io.LimitReader.
func NewLogReader(r io.Reader) *LogReader { return &LogReader{r: r} }

// ContinueLogReader reads on behind the record that ended at end. r begins at the start of the block with that offset: end - end%BlockSize.
func ContinueLogReader(r io.Reader, end int64) *LogReader {
	skip := end % BlockSize
	return &LogReader{r: r, base: end - skip, skip: int(skip), end: end}
}

// End is the offset behind the last record of which every fragment was read.
func (l *LogReader) End() int64 { return l.end }

// Next goes to the next record, over what is left of the present one. It returns io.EOF when the file ends behind a complete record, or is zero from there on.
func (l *LogReader) Next() error {
	if l.began {
		if err := l.finish(); err != nil {
			return err
		}
	}
	t, err := l.fragment()
	if err != nil {
		return err
	}
	if t != fullType && t != firstType {
		return l.fail(&CorruptError{Offset: l.offset(), What: fmt.Sprintf("fragment of type %d without a first one", t)})
	}
	l.began = true
	l.follow(t)
	return nil
}

// follow notes whether the record goes on behind the fragment that was just read.
func (l *LogReader) follow(t byte) {
	l.open = t == firstType || t == middleType
	if !l.open {
		l.end = l.base + int64(l.pos)
	}
}

func (l *LogReader) offset() int64 { return l.base + int64(l.pos) }

func (l *LogReader) fail(err error) error {
	l.err, l.rest, l.open, l.began = err, nil, false, false
	return err
}

// more reads the next fragment of the present record; io.EOF behind the last.
func (l *LogReader) more() error {
	if !l.open {
		return io.EOF
	}
	t, err := l.fragment()
	if errors.Is(err, io.EOF) {
		return l.fail(&TornError{Offset: l.end, What: "the last fragment of a record is missing"})
	}
	if err != nil {
		return err
	}
	if t != middleType && t != lastType {
		return l.fail(&CorruptError{Offset: l.offset(), What: fmt.Sprintf("fragment of type %d within a record", t)})
	}
	l.follow(t)
	return nil
}

// finish skips what is left of the record.
func (l *LogReader) finish() error {
	for {
		l.rest = nil
		if err := l.more(); errors.Is(err, io.EOF) {
			l.began = false
			return nil
		} else if err != nil {
			return err
		}
	}
}

// fill makes sure that the present fragment has bytes; io.EOF at the record's end.
func (l *LogReader) fill() error {
	if l.err != nil {
		return l.err
	}
	for len(l.rest) == 0 {
		if err := l.more(); err != nil {
			return err
		}
	}
	return nil
}

// Read returns bytes of the present record, and io.EOF at its end.
func (l *LogReader) Read(p []byte) (int, error) {
	if err := l.fill(); err != nil {
		return 0, err
	}
	n := copy(p, l.rest)
	l.rest = l.rest[n:]
	return n, nil
}

// ReadByte see Read.
func (l *LogReader) ReadByte() (byte, error) {
	if err := l.fill(); err != nil {
		return 0, err
	}
	b := l.rest[0]
	l.rest = l.rest[1:]
	return b, nil
}

// Skip goes n bytes further in the present record. It returns io.ErrUnexpectedEOF when the record has fewer.
func (l *LogReader) Skip(n uint64) error {
	for n > 0 {
		if err := l.fill(); errors.Is(err, io.EOF) {
			return io.ErrUnexpectedEOF
		} else if err != nil {
			return err
		}
		step := min(n, uint64(len(l.rest)))
		l.rest = l.rest[step:]
		n -= step
	}
	return nil
}

// Record returns the rest of the present record, which must not be larger than limit bytes.
func (l *LogReader) Record(limit int) ([]byte, error) {
	var record []byte
	for {
		if err := l.fill(); errors.Is(err, io.EOF) {
			return record, nil
		} else if err != nil {
			return nil, err
		}
		if len(record)+len(l.rest) > limit {
			return nil, l.fail(&TooLargeError{What: "record", Limit: limit})
		}
		record = append(record, l.rest...)
		l.rest = nil
	}
}

// load reads the next block.
func (l *LogReader) load() error {
	l.base += int64(l.n)
	n, err := io.ReadFull(l.r, l.block[:])
	l.n, l.pos, l.skip = n, min(l.skip, n), 0
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		l.eof = true
		return nil
	}
	return err
}

// fragment goes to the next fragment of the file, checks it and makes it the present one.
func (l *LogReader) fragment() (byte, error) {
	if l.err != nil {
		return 0, l.err
	}
	for l.n-l.pos < headerSize {
		if l.n == BlockSize || l.n == 0 && !l.eof {
			if err := l.load(); err != nil {
				return 0, l.fail(err)
			}
			continue
		}
		if !zero(l.block[l.pos:l.n]) {
			return 0, l.fail(&TornError{Offset: l.end, What: "a header is cut"})
		}
		return 0, l.fail(io.EOF)
	}
	t, size, why := inspect(l.block[l.pos:l.n])
	if name := foreign(t); why == "" && t > lastType {
		if name == "" {
			name = fmt.Sprintf("log record of type %d", t)
		}
		return 0, l.fail(unsupported("%s", name))
	}
	if why != "" {
		return 0, l.damaged(why)
	}
	l.rest = l.block[l.pos+headerSize : l.pos+size]
	l.pos += size
	return t, nil
}

// inspect looks at the fragment with which b begins: its type, its size with its header, and what is wrong with it, if anything.
func inspect(b []byte) (t byte, size int, why string) {
	if len(b) < headerSize {
		return 0, 0, "a header is cut"
	}
	t = b[6]
	header, length := headerSize, int(binary.LittleEndian.Uint16(b[4:]))
	if recycled(t) {
		header = recycledHeaderSize
	}
	size = header + length
	switch {
	case t == zeroType && length == 0:
		return t, 0, "zeroes"
	case t == zeroType:
		return t, 0, "a fragment without a type"
	case size > len(b):
		return t, 0, "a fragment is cut"
	case checksum(b[6:size]) != binary.LittleEndian.Uint32(b):
		return t, 0, "a checksum is wrong"
	}
	return t, size, ""
}

// damaged says what the bad fragment at pos means: the end of the file, if nothing valid follows, or damage.
// RocksDB itself stops at either and forgets what follows (point-in-time recovery); a backup must not.
func (l *LogReader) damaged(why string) error {
	at := l.offset()
	found, empty, err := l.validAfter()
	if err != nil {
		return l.fail(err)
	}
	switch {
	case found >= 0:
		return l.fail(&CorruptError{Offset: at, What: fmt.Sprintf("%s, and a valid record follows at byte %d", why, found)})
	case empty:
		return l.fail(io.EOF)
	}
	return l.fail(&TornError{Offset: l.end, What: fmt.Sprintf("%s at byte %d", why, at)})
}

// validAfter looks for a valid fragment behind the bad one at pos, to the end of the file: anywhere in the present block, since the bad one's length cannot be trusted,
// and at the start of every later block, where a fragment must begin. It returns its offset, or -1 and whether there are only zeroes.
func (l *LogReader) validAfter() (found int64, empty bool, err error) {
	empty = zero(l.block[l.pos:l.n])
	for at := l.pos + 1; !empty && at+headerSize <= l.n; at++ {
		if t := l.block[at+headerSize-1]; t > lastType && foreign(t) == "" {
			continue // no type of fragment: not worth a checksum
		}
		if _, _, why := inspect(l.block[at:l.n]); why == "" {
			return l.base + int64(at), false, nil
		}
	}
	for l.n == BlockSize {
		if err := l.load(); err != nil {
			return -1, false, err
		}
		if _, _, why := inspect(l.block[:l.n]); why == "" {
			return l.base, false, nil
		}
		empty = empty && zero(l.block[:l.n])
	}
	return -1, empty, nil
}

func zero(b []byte) bool {
	for _, x := range b {
		if x != 0 {
			return false
		}
	}
	return true
}
