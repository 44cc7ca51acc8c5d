package validate

import (
	"bufio"
	"bytes"
	"errors"
	"io"
)

// chunk is the text of one document.
type chunk struct {
	text []byte
	// line on which it begins.
	line int
	// ours: something in it is worth parsing it for. tooLong: it has more bytes than were kept.
	ours, tooLong bool
}

// blank reports whether there is nothing in it but comments and white space.
func (c chunk) blank() bool {
	for line := range bytes.Lines(c.text) {
		if line = bytes.TrimSpace(line); len(line) > 0 && line[0] != '#' {
			return false
		}
	}
	return !c.tooLong
}

// marks are words without which a document cannot be one of ours. A Namespace is, as policies choose by its labels.
var marks = [][]byte{[]byte("robustmq.io"), []byte("RobustMQ"), []byte("Namespace")}

// splitter cuts a stream at the lines that separate documents, and keeps no more of any than a document may have.
type splitter struct {
	in   *bufio.Reader
	line int // of the next one
	over bool
}

func newSplitter(r io.Reader) *splitter {
	return &splitter{in: bufio.NewReaderSize(r, 64<<10), line: 1}
}

// next returns the next document, or io.EOF.
func (s *splitter) next() (chunk, error) {
	if s.over {
		return chunk{}, io.EOF
	}
	c := chunk{line: s.line}
	var tail []byte // the end of what was read before, so that no mark is missed where two pieces meet
	starts := true  // the piece begins a line
	for {
		piece, err := s.in.ReadSlice('\n')
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) && !errors.Is(err, io.EOF) {
			return chunk{}, err
		}
		ends := err == nil
		if starts && separates(piece) {
			s.line++
			for !ends && err != nil && !errors.Is(err, io.EOF) { // a separator with an endless comment
				_, err = s.in.ReadSlice('\n')
				ends = err == nil
			}
			s.over = errors.Is(err, io.EOF)
			return c, nil
		}
		tail = append(tail, piece...)
		for _, mark := range marks {
			c.ours = c.ours || bytes.Contains(tail, mark)
		}
		tail = append(tail[:0], tail[max(0, len(tail)-16):]...)
		switch {
		case c.tooLong:
		case len(c.text)+len(piece) > maxDocument:
			c.text, c.tooLong = nil, true
		default:
			c.text = append(c.text, piece...)
		}
		if ends {
			s.line++
		}
		if errors.Is(err, io.EOF) {
			s.over = true
			return c, nil
		}
		starts = ends
	}
}

// separates reports whether a line is "---", with a comment or white space behind it at most; what stands behind it otherwise is YAML's business.
func separates(line []byte) bool {
	rest, ok := bytes.CutPrefix(line, []byte("---"))
	if !ok {
		return false
	}
	trimmed := bytes.TrimSpace(rest)
	return len(trimmed) == 0 || len(trimmed) < len(rest) && (rest[0] == ' ' || rest[0] == '\t') && trimmed[0] == '#'
}
