package store

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/minio/minio-go/v7"

	"github.com/robustmq/robustmq-operator/internal/pause"
)

// Get implements Store.
func (s *S3) Get(ctx context.Context, key string, offset, length int64) (io.ReadCloser, error) {
	if err := checkKey("get", key); err != nil {
		return nil, err
	}
	if offset < 0 {
		return nil, &Error{Op: "get", Key: key, Place: s.place, Kind: KindInvalid, Detail: "a range begins at 0 or later"}
	}
	if length == 0 {
		_, err := s.Head(ctx, key)
		return io.NopCloser(eof{}), err
	}
	r := &s3Reader{s: s, ctx: ctx, key: key, offset: offset, left: length}
	for {
		err := r.open()
		if err == nil {
			return r, nil
		}
		if err = r.pause(err); err != nil {
			return nil, err
		}
	}
}

type eof struct{}

// Read implements io.Reader.
func (eof) Read([]byte) (int, error) { return 0, io.EOF }

// s3Reader reads an object and begins again where its connection was cut.
type s3Reader struct {
	s      *S3
	ctx    context.Context
	key    string
	offset int64  // of the next byte
	left   int64  // bytes, negative before the first answer of a read to the end
	etag   string // of the version that is read

	body     io.ReadCloser
	attempts int // without a byte since
	err      error
}

// open asks for what is left.
func (r *s3Reader) open() error {
	opts := minio.GetObjectOptions{ServerSideEncryption: r.s.readSSE()}
	if r.offset > 0 || r.left > 0 {
		end := int64(0)
		if r.left > 0 {
			end = r.offset + r.left - 1
		}
		if err := opts.SetRange(r.offset, end); err != nil {
			return &Error{Op: "get", Key: r.key, Place: r.s.place, Kind: KindInvalid, Detail: "the range makes no sense"}
		}
	}
	if r.etag != "" {
		if err := opts.SetMatchETag(r.etag); err != nil {
			return r.s.fail("get", r.key, err)
		}
	}
	body, info, _, err := r.s.core.GetObject(r.ctx, r.s.bucket, r.key, opts)
	if err != nil {
		err = r.s.fail("get", r.key, err)
		if r.etag != "" && Is(err, KindExists) {
			return &Error{Op: "get", Key: r.key, Place: r.s.place, Kind: KindMismatch, Detail: "the object was replaced while it was read"}
		}
		return err
	}
	if r.left < 0 {
		r.left = info.Size
	}
	if info.Size > r.left || (r.etag != "" && info.ETag != r.etag) {
		body.Close()
		return &Error{Op: "get", Key: r.key, Place: r.s.place, Kind: KindMismatch, Detail: fmt.Sprintf("asked for %d bytes, the store sends %d of another object", r.left, info.Size)}
	}
	if r.etag == "" {
		r.left = min(r.left, info.Size) // a range beyond the end
	}
	r.etag, r.body = info.ETag, body
	return nil
}

// pause waits before the next attempt, or says that there is none.
func (r *s3Reader) pause(err error) error {
	if r.ctx.Err() != nil {
		return &Error{Op: "get", Key: r.key, Place: r.s.place, Kind: KindTransient, Detail: "it was called off, or its time was over", cause: r.ctx.Err()}
	}
	r.attempts++
	if KindOf(err) != KindTransient || r.attempts >= r.s.attempts {
		return err
	}
	_ = pause.For(r.ctx, r.s.backoff(r.attempts)) // a context that ended is seen at the next attempt
	return nil
}

// Read implements io.Reader. The end is the end of what was asked for: a body that ends before it was cut.
func (r *s3Reader) Read(p []byte) (int, error) {
	for r.err == nil {
		if r.left == 0 {
			r.err = io.EOF
			break
		}
		if r.body == nil {
			if err := r.open(); err != nil {
				r.err = r.pause(err)
				continue
			}
		}
		if int64(len(p)) > r.left {
			p = p[:r.left]
		}
		n, err := r.body.Read(p)
		r.offset += int64(n)
		r.left -= int64(n)
		if err != nil {
			r.drop()
			if r.left > 0 {
				if errors.Is(err, io.EOF) {
					err = io.ErrUnexpectedEOF
				}
				err = r.pause(r.s.fail("get", r.key, err))
				if n == 0 {
					r.err = err
				}
			}
		}
		if n > 0 {
			r.attempts = 0
			return n, nil
		}
	}
	return 0, r.err
}

func (r *s3Reader) drop() {
	if r.body != nil {
		r.body.Close()
		r.body = nil
	}
}

// Close implements io.Closer.
func (r *s3Reader) Close() error {
	r.drop()
	if r.err == nil {
		r.err = errors.New("read after it was closed")
	}
	return nil
}
