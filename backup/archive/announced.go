package archive

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"hash"
	"io"
)

// blame reads a file once more to see whose fault it is that the store did not get what was announced: the source's, or that of the way to the store.
func (w *writer) blame(ctx context.Context, f File, err error) error {
	body, openErr := w.opener(f, true)(ctx)
	if openErr != nil {
		return err
	}
	defer body.Close()
	var source *SourceError
	if _, readErr := io.Copy(io.Discard, body); errors.As(readErr, &source) {
		return source
	}
	return err
}

// opener opens a file's content, compared with what was announced of it where that is asked for: where the store compares, it is done already. What was moved by a try before does not count any more.
func (w *writer) opener(f File, compared bool) func(context.Context) (io.ReadCloser, error) {
	var before *announced
	return func(ctx context.Context) (io.ReadCloser, error) {
		if before != nil {
			w.moved(-before.n)
		}
		body, err := f.Open(ctx)
		if err != nil {
			before = nil
			return nil, err
		}
		before = &announced{w: w, f: f, ReadCloser: body}
		if compared {
			before.hash = sha256.New()
		}
		return before, nil
	}
}

// announced is content that is compared with what was announced of it before its last byte is given away: who reads it all has the right one, of the right size where there is no hash.
type announced struct {
	io.ReadCloser
	w    *writer
	f    File
	n    int64
	hash hash.Hash
}

// Read implements io.Reader.
func (a *announced) Read(p []byte) (int, error) {
	n, err := a.ReadCloser.Read(p)
	if a.hash != nil {
		a.hash.Write(p[:n])
	}
	a.n += int64(n)
	a.w.moved(int64(n))
	if a.n > a.f.Size || a.n < a.f.Size && err == io.EOF || a.n == a.f.Size && (n > 0 || a.n == 0) && a.hash != nil && hex.EncodeToString(a.hash.Sum(nil)) != a.f.SHA256 {
		return 0, &SourceError{Name: a.f.Name, Size: a.f.Size, SHA256: a.f.SHA256, Came: a.n}
	}
	return n, err
}
