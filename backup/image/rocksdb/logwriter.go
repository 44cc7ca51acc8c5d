package rocksdb

import (
	"encoding/binary"
	"io"
)

// LogWriter frames records into a WAL or a MANIFEST. It writes each fragment at once; give it a bufio.Writer.
type LogWriter struct {
	w    io.Writer
	pos  int // in the present block
	size int64
	buf  [BlockSize]byte
}

// NewLogWriter starts a file. It cannot continue one: RocksDB never does either.
func NewLogWriter(w io.Writer) *LogWriter { return &LogWriter{w: w} }

// Size is the number of bytes written.
func (l *LogWriter) Size() int64 { return l.size }

// Append writes one record.
func (l *LogWriter) Append(record []byte) error {
	for first := true; first || len(record) > 0; first = false {
		if left := BlockSize - l.pos; left < headerSize {
			clear(l.buf[:left])
			if err := l.write(l.buf[:left]); err != nil {
				return err
			}
			l.pos = 0
		}
		n := min(len(record), BlockSize-l.pos-headerSize)
		last := n == len(record)
		t := byte(middleType)
		switch {
		case first && last:
			t = fullType
		case first:
			t = firstType
		case last:
			t = lastType
		}
		fragment := l.buf[:headerSize+n]
		binary.LittleEndian.PutUint16(fragment[4:], uint16(n))
		fragment[6] = t
		copy(fragment[headerSize:], record[:n])
		binary.LittleEndian.PutUint32(fragment, checksum(fragment[6:]))
		if err := l.write(fragment); err != nil {
			return err
		}
		l.pos += len(fragment)
		record = record[n:]
	}
	return nil
}

func (l *LogWriter) write(b []byte) error {
	n, err := l.w.Write(b)
	l.size += int64(n)
	return err
}
