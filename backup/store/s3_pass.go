package store

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/minio/minio-go/v7"
)

// PassSize is up to how many bytes content goes in one request as it is read. RocksDB's tables have 64 MiB and little more (target_file_size_base), of which a cut connection costs one.
const PassSize = 128 << 20

// passes says whether content can go through as it is read.
func (c Content) passes() bool {
	return c.Open != nil && 0 < c.Size && c.Size <= PassSize && len(c.SHA256) == 2*sha256.Size
}

// pass sends content as it is read, in one request that says beforehand which SHA-256 it has: nothing is copied or hashed here, and the store refuses what is not what its source announced.
// One that knows no checksums compares nothing over TLS, where payloads are not signed; it says none in its answers, so a verification reads everything back.
func (s *S3) pass(ctx context.Context, key string, c Content) (Info, error) {
	var sum [sha256.Size]byte
	if _, err := hex.Decode(sum[:], []byte(c.SHA256)); err != nil {
		return Info{}, &Error{Op: "put", Key: key, Place: s.place, Kind: KindInvalid, Detail: "its SHA-256 is not in hexadecimal digits"}
	}
	want := base64.StdEncoding.EncodeToString(sum[:])
	opts := minio.PutObjectOptions{UserMetadata: map[string]string{checksumHeader: want}, ServerSideEncryption: s.sse, DisableContentSha256: true}
	err := s.again(ctx, "put", key, partLimit*time.Duration(1+c.Size/PartSize), func(ctx context.Context) error {
		ctx, cancel := context.WithCancelCause(ctx)
		body := &passing{ctx: ctx, open: c.Open, left: c.Size, stall: s.stall}
		body.watch = time.AfterFunc(s.stall, func() {
			cancel(&Error{Op: "put", Key: key, Place: s.place, Kind: KindTransient, Detail: fmt.Sprintf("nothing moved for %s", s.stall)})
		})
		defer func() {
			cancel(nil)
			body.end()
		}()
		up, err := s.core.PutObject(ctx, s.bucket, key, body, c.Size, "", s.payload(sum), opts)
		var stalled *Error
		switch cause := body.failure(); {
		case cause != nil:
			return unreadable(key, cause)
		case err != nil && errors.As(context.Cause(ctx), &stalled):
			return stalled
		case err != nil:
			return err
		}
		return s.agree(key, up.ChecksumSHA256, want)
	})
	if err != nil {
		return Info{}, err
	}
	return Info{Key: key, Size: c.Size, Checksum: want, SHA256: c.SHA256}, nil
}

// passing is the body of one try. It is no io.Seeker, so that the client library does not begin again by itself: net/http may go on reading for a moment after it has given a request up.
type passing struct {
	ctx   context.Context
	open  func(context.Context) (io.ReadCloser, error)
	stall time.Duration
	watch *time.Timer // runs while the store takes nothing

	mu    sync.Mutex
	body  io.ReadCloser
	left  int64
	ended bool
	err   error // of the source
}

// Read implements io.Reader.
func (p *passing) Read(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ended {
		return 0, io.ErrClosedPipe
	}
	if p.err != nil {
		return 0, p.err
	}
	p.watch.Stop()
	n, err := p.read(b)
	p.left -= int64(n)
	if p.left > 0 {
		p.watch.Reset(p.stall)
	} else {
		p.watch.Reset(2 * p.stall) // the answer has a limit of its own, which begins when the last byte is on its way
	}
	if err != nil && !errors.Is(err, io.EOF) && p.ctx.Err() == nil {
		p.err = err
	}
	return n, err
}

func (p *passing) read(b []byte) (int, error) {
	if p.body == nil {
		body, err := p.open(p.ctx)
		if err != nil {
			return 0, err
		}
		p.body = body
	}
	return p.body.Read(b)
}

// failure is what went wrong with the source.
func (p *passing) failure() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.err
}

func (p *passing) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ended = true
	p.watch.Stop()
	if p.body != nil {
		p.body.Close()
	}
}
