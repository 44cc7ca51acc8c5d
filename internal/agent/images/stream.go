package images

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
)

// Stream is a file of an image that is being read. Every read renews the image's lease, and fails when the image is gone.
type Stream struct {
	// Info is the file as the image lists it.
	Info protocol.ImageFile

	s    *Source
	t    *taking
	file io.ReadCloser
}

// Open opens a file of a ready image. At most protocol.MaxImageStreams are open at once.
func (s *Source) Open(id, name string) (*Stream, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t, err := s.find(id)
	if err != nil {
		return nil, err
	}
	if t.image.Phase != protocol.ImageReady {
		return nil, refuse(protocol.ReasonConflict, "image %s is %s, not %s", id, t.image.Phase, protocol.ImageReady)
	}
	// The name is looked up, never made a path of: what is not in the list does not exist.
	for _, info := range t.image.Files {
		if info.Name != name {
			continue
		}
		if t.streams >= protocol.MaxImageStreams {
			return nil, refuse(protocol.ReasonBusy, "%d files of image %s are being read, which is the most", t.streams, id)
		}
		file, err := s.o.FS.Open(filepath.Join(t.database(), info.Name))
		if err != nil {
			return nil, err
		}
		t.streams++
		return &Stream{Info: info, s: s, t: t, file: file}, nil
	}
	return nil, refuse(protocol.ReasonNotFound, "image %s has no file %.80q", id, name)
}

// AfterEnd calls f when the image is removed while the stream is open, unless stop is called before.
func (st *Stream) AfterEnd(f func()) (stop func() bool) { return context.AfterFunc(st.t.ctx, f) }

// Err is why the image was removed; nil while it is there.
func (st *Stream) Err() error { return context.Cause(st.t.ctx) }

// Read see io.Reader.
func (st *Stream) Read(p []byte) (int, error) {
	if err := st.Err(); err != nil {
		return 0, err
	}
	st.s.mu.Lock()
	st.s.renew(st.t)
	st.s.mu.Unlock()
	return st.file.Read(p)
}

// Skip goes on from an offset.
func (st *Stream) Skip(offset int64) error {
	if seeker, ok := st.file.(io.Seeker); ok {
		_, err := seeker.Seek(offset, io.SeekStart)
		return err
	}
	_, err := io.CopyN(io.Discard, st.file, offset)
	return err
}

// Close ends the stream.
func (st *Stream) Close() error {
	st.s.mu.Lock()
	st.t.streams--
	st.s.mu.Unlock()
	return st.file.Close()
}

// Range is the part of a file that a request asks for.
type Range struct {
	From, Length int64
	Partial      bool // a Range header asked for it
}

// Header is the Content-Range of the answer.
func (r Range) Header(size int64) string {
	return fmt.Sprintf("bytes %d-%d/%d", r.From, r.From+r.Length-1, size)
}

// ParseRange reads a Range header, "bytes=from-" or "bytes=from-to", for a file of size bytes. An empty header asks for all. Other forms of RFC 9110 are refused: nobody sends them.
func ParseRange(header string, size int64) (Range, error) {
	if header == "" {
		return Range{Length: size}, nil
	}
	bad := refuse(protocol.ReasonBadRequest, "Range %.80q cannot be given of %d bytes: bytes=from- or bytes=from-to, within the file", header, size)
	text, ok := strings.CutPrefix(header, "bytes=")
	first, last, dash := strings.Cut(text, "-")
	from, err := number(first)
	if !ok || !dash || err != nil || from >= size {
		return Range{}, bad
	}
	to := size - 1
	if last != "" {
		if to, err = number(last); err != nil || to < from {
			return Range{}, bad
		}
		to = min(to, size-1)
	}
	return Range{From: from, Length: to - from + 1, Partial: true}, nil
}

// number reads decimal digits, nothing else.
func number(text string) (int64, error) {
	for _, r := range text {
		if r < '0' || r > '9' {
			return 0, strconv.ErrSyntax
		}
	}
	return strconv.ParseInt(text, 10, 64)
}

// ParseOffset reads the offset of a file that is sent; empty is 0.
func ParseOffset(text string) (int64, error) {
	if text == "" {
		return 0, nil
	}
	offset, err := number(text)
	if err != nil {
		return 0, refuse(protocol.ReasonBadRequest, "offset %.80q is no number of bytes", text)
	}
	return offset, nil
}
