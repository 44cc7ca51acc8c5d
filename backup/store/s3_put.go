package store

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/encrypt"
)

const checksumHeader = "X-Amz-Checksum-Sha256"

// partLimit is how long one try to send a part may last. At 8 MiB that is 28 kB/s; net/http has no limit for writing.
const partLimit = 5 * time.Minute

// Put implements Store. What fits into a part goes in one request, what does not is a multipart upload whose parts travel in parallel; what can be opened again and whose hash is known
// beforehand goes in one request as it is read.
// The store compares every request's SHA-256 with what arrived; the whole is compared with what was declared before it becomes visible.
func (s *S3) Put(ctx context.Context, key string, c Content) (Info, error) {
	if err := checkKey("put", key); err != nil {
		return Info{}, err
	}
	if c.Size > MaxObjectSize {
		return Info{}, &Error{Op: "put", Key: key, Place: s.place, Kind: KindInvalid, Detail: fmt.Sprintf("%d bytes: an object has at most %d", c.Size, int64(MaxObjectSize))}
	}
	if c.passes() {
		return s.pass(ctx, key, c)
	}
	c, body, err := c.opened(ctx, key)
	if err != nil {
		return Info{}, err
	}
	defer body.Close()
	src := &source{key: key, content: c, hash: sha256.New()}
	buffer, err := s.take(ctx, key)
	if err != nil {
		return Info{}, err
	}
	part, last, err := src.fill(buffer)
	if err == nil && last {
		err = src.check()
	}
	if err != nil {
		s.buffers <- buffer
		return Info{}, err
	}
	if last {
		defer func() { s.buffers <- buffer }()
		return s.single(ctx, key, part, false)
	}
	return s.multipart(ctx, key, src, buffer)
}

// take waits for a buffer.
func (s *S3) take(ctx context.Context, key string) ([]byte, error) {
	select {
	case b := <-s.buffers:
		if b == nil {
			b = make([]byte, PartSize)
		}
		return b, nil
	case <-ctx.Done():
		return nil, &Error{Op: "put", Key: key, Place: s.place, Kind: KindTransient, Detail: "it was called off", cause: ctx.Err()}
	}
}

// single sends content in one request; where it is to be the first of its key, with S3's condition for that.
func (s *S3) single(ctx context.Context, key string, body []byte, first bool) (Info, error) {
	sum := sha256.Sum256(body)
	want := base64.StdEncoding.EncodeToString(sum[:])
	opts := minio.PutObjectOptions{UserMetadata: map[string]string{checksumHeader: want}, ServerSideEncryption: s.sse, DisableContentSha256: true}
	if first {
		opts.SetMatchETagExcept("*")
	}
	reader := &lent{r: bytes.NewReader(body)}
	defer reader.end()
	err := s.again(ctx, "put", key, partLimit, func(ctx context.Context) error {
		up, err := s.core.PutObject(ctx, s.bucket, key, reader, int64(len(body)), "", s.payload(sum), opts)
		if err != nil {
			return err
		}
		return s.agree(key, up.ChecksumSHA256, want)
	})
	if err != nil {
		return Info{}, err
	}
	return Info{Key: key, Size: int64(len(body)), Checksum: want, SHA256: hex.EncodeToString(sum[:])}, nil
}

// payload is the hash of a body that is signed with its request. Over TLS it is left out, as the AWS SDKs do: the checksum header, which is signed too, says the same, and the store need
// not hash the body twice.
func (s *S3) payload(sum [sha256.Size]byte) string {
	if s.secure {
		return ""
	}
	return hex.EncodeToString(sum[:])
}

// agree compares the checksum in an answer with ours; a store that keeps none sends none.
func (s *S3) agree(key, got, want string) error {
	if got != "" && got != want {
		return &Error{Op: "put", Key: key, Place: s.place, Kind: KindMismatch, Detail: fmt.Sprintf("the store has SHA-256 %s and we sent %s", got, want)}
	}
	return nil
}

// upload is one multipart upload under way.
type upload struct {
	s    *S3
	key  string
	id   string
	wait sync.WaitGroup

	mu    sync.Mutex
	parts []minio.CompletePart
	err   error
}

// multipart sends the first buffer, which is full, and what follows it.
func (s *S3) multipart(ctx context.Context, key string, src *source, buffer []byte) (Info, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	opts := minio.PutObjectOptions{UserMetadata: map[string]string{"X-Amz-Checksum-Algorithm": "SHA256"}, ServerSideEncryption: s.sse}
	u := &upload{s: s, key: key}
	err := s.again(ctx, "begin the upload of", key, requestLimit, func(ctx context.Context) (err error) {
		u.id, err = s.core.NewMultipartUpload(ctx, s.bucket, key, opts)
		return err
	})
	if err != nil {
		s.buffers <- buffer
		return Info{}, err
	}
	info, err := u.run(ctx, cancel, src, buffer)
	if err == nil {
		return info, nil
	}
	// The parts are invisible, but cost space. The caller's context may be over: that is when it fails most.
	cleanup, stop := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
	defer stop()
	if abortErr := s.abort(cleanup, key, u.id); abortErr != nil {
		return Info{}, fmt.Errorf("%w; its parts are left behind until the next collection: %v", err, abortErr) //nolint:errorlint // the second is for people: the first says what is the matter
	}
	return Info{}, err
}

func (u *upload) run(ctx context.Context, cancel context.CancelFunc, src *source, buffer []byte) (Info, error) {
	part := buffer // full: Put saw that something follows
	for number := 1; ; number++ {
		if number > MaxParts {
			u.s.buffers <- buffer
			u.fail(&Error{Op: "put", Key: u.key, Place: u.s.place, Kind: KindInvalid, Detail: fmt.Sprintf("more than %d bytes, which an object cannot have", int64(MaxObjectSize))})
			break
		}
		u.send(ctx, cancel, number, part, buffer)
		if src.ended {
			break
		}
		var err error
		if buffer, err = u.s.take(ctx, u.key); err != nil {
			u.fail(err)
			break
		}
		if part, _, err = src.fill(buffer); err != nil || len(part) == 0 {
			u.s.buffers <- buffer
			u.fail(err)
			break
		}
	}
	if u.failed() != nil {
		cancel()
	}
	u.wait.Wait()
	if err := u.failed(); err != nil {
		return Info{}, err
	}
	if err := src.check(); err != nil {
		return Info{}, err
	}
	return u.complete(ctx, src)
}

// send one part in the background; its buffer goes back when it is done.
func (u *upload) send(ctx context.Context, cancel context.CancelFunc, number int, part, buffer []byte) {
	u.wait.Go(func() {
		defer func() { u.s.buffers <- buffer }()
		sum := sha256.Sum256(part)
		want := base64.StdEncoding.EncodeToString(sum[:])
		reader := &lent{r: bytes.NewReader(part)}
		defer reader.end()
		var sent minio.ObjectPart
		err := u.s.again(ctx, "put", u.key, partLimit, func(ctx context.Context) (err error) {
			opts := minio.PutObjectPartOptions{Sha256Hex: u.s.payload(sum), CustomHeader: http.Header{checksumHeader: {want}}, DisableContentSha256: true}
			if u.s.sse != nil && u.s.sse.Type() == encrypt.SSEC {
				opts.SSE = u.s.sse
			}
			if sent, err = u.s.core.PutObjectPart(ctx, u.s.bucket, u.key, u.id, number, reader, int64(len(part)), opts); err != nil {
				return err
			}
			return u.s.agree(u.key, sent.ChecksumSHA256, want)
		})
		if err != nil {
			u.fail(err)
			cancel()
			return
		}
		u.mu.Lock()
		defer u.mu.Unlock()
		u.parts = append(u.parts, minio.CompletePart{PartNumber: number, ETag: sent.ETag, ChecksumSHA256: want})
	})
}

// fail keeps the first error: the others follow from it.
func (u *upload) fail(err error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.err == nil {
		u.err = err
	}
}

func (u *upload) failed() error {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.err
}

// complete makes the object visible. An answer that was lost looks like an upload that does not exist: then the object itself says whether it is ours.
func (u *upload) complete(ctx context.Context, src *source) (Info, error) {
	slices.SortFunc(u.parts, func(a, b minio.CompletePart) int { return a.PartNumber - b.PartNumber })
	info := Info{Key: u.key, Size: src.read, Checksum: composite(u.parts), SHA256: src.sum()}
	err := u.s.again(ctx, "finish the upload of", u.key, 10*time.Minute, func(ctx context.Context) error {
		done, err := u.s.core.CompleteMultipartUpload(ctx, u.s.bucket, u.key, u.id, u.parts, minio.PutObjectOptions{ServerSideEncryption: u.s.readSSE()})
		if err != nil {
			return err
		}
		return u.s.agree(u.key, done.ChecksumSHA256, info.Checksum)
	})
	if !Is(err, KindNotFound) {
		return info, err
	}
	if there, headErr := u.s.Head(ctx, u.key); headErr != nil || there.Size != info.Size || (there.Checksum != "" && there.Checksum != info.Checksum) {
		return Info{}, err
	} else if there.Checksum == info.Checksum {
		return info, nil
	}
	if sum, readErr := Hash(ctx, u.s, u.key); readErr != nil || sum != info.SHA256 { // a store without checksums
		return Info{}, err
	}
	return info, nil
}

// lent is a buffer while a request sends it. net/http may go on reading a body for a moment after the request was given up; then the buffer is someone else's.
type lent struct {
	mu    sync.Mutex
	r     *bytes.Reader
	ended bool
}

// Read implements io.Reader.
func (l *lent) Read(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended {
		return 0, io.ErrClosedPipe
	}
	return l.r.Read(p)
}

// Seek implements io.Seeker: the client library begins again with it.
func (l *lent) Seek(offset int64, whence int) (int64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.r.Seek(offset, whence)
}

func (l *lent) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ended = true
}

// composite is the checksum that S3 keeps of a multipart object: SHA-256 over the parts' ones, and their number.
func composite(parts []minio.CompletePart) string {
	h := sha256.New()
	for _, p := range parts {
		sum, err := base64.StdEncoding.DecodeString(p.ChecksumSHA256)
		if err != nil {
			return "" // not ours, and we made it
		}
		h.Write(sum)
	}
	return fmt.Sprintf("%s-%d", base64.StdEncoding.EncodeToString(h.Sum(nil)), len(parts))
}

// source is the body of a Put, counted and hashed.
type source struct {
	key     string
	content Content
	hash    hash.Hash
	read    int64
	ended   bool
	ahead   []byte // a byte that was read to see whether something follows
}

// fill reads the next part into a buffer, and says whether it was the last.
func (s *source) fill(buffer []byte) (part []byte, last bool, err error) {
	n := copy(buffer, s.ahead)
	s.ahead = nil
	m, err := readFull(s.content.Body, buffer[n:])
	part = buffer[:n+m]
	if err == nil { // full: is there more?
		var next [1]byte
		if _, err = readFull(s.content.Body, next[:]); err == nil {
			s.ahead = next[:]
		}
	}
	switch {
	case err == io.EOF: //nolint:errorlint // the end is this value and nothing that wraps it
		s.ended = true
	case err != nil:
		return nil, false, unreadable(s.key, err)
	}
	s.hash.Write(part)
	s.read += int64(len(part))
	return part, s.ended, nil
}

// readFull is io.ReadFull, but for the end: there a source that was cut off (io.ErrUnexpectedEOF) could not be told from one that has ended within a part.
func readFull(r io.Reader, b []byte) (n int, err error) {
	for n < len(b) && err == nil {
		var m int
		m, err = r.Read(b[n:])
		n += m
	}
	if n == len(b) {
		err = nil
	}
	return n, err
}

func (s *source) sum() string {
	return hex.EncodeToString(s.hash.Sum(nil))
}

// check compares the whole with what was declared.
func (s *source) check() error {
	switch {
	case s.content.Size >= 0 && s.read != s.content.Size:
		return &Error{Op: "put", Key: s.key, Kind: KindMismatch, Detail: fmt.Sprintf("its source has %d bytes and was said to have %d", s.read, s.content.Size)}
	case s.content.SHA256 != "" && s.sum() != s.content.SHA256:
		return &Error{Op: "put", Key: s.key, Kind: KindMismatch, Detail: fmt.Sprintf("its source has SHA-256 %s and was said to have %s", s.sum(), s.content.SHA256)}
	}
	return nil
}

// Create implements Store. Stores that know conditional writes decide themselves who was first; where one ignores the condition, reading back is the judge.
func (s *S3) Create(ctx context.Context, key string, body []byte) (Info, error) {
	if err := checkKey("create", key); err != nil {
		return Info{}, err
	}
	if len(body) > PartSize {
		return Info{}, &Error{Op: "create", Key: key, Place: s.place, Kind: KindInvalid, Detail: "what is created by condition fits into one part"}
	}
	switch there, err := ReadAll(ctx, s, key, PartSize); {
	case err == nil && bytes.Equal(there, body):
		return s.Head(ctx, key)
	case err == nil:
		return Info{}, &Error{Op: "create", Key: key, Place: s.place, Kind: KindExists}
	case !Is(err, KindNotFound):
		return Info{}, err
	}
	_, err := s.single(ctx, key, body, true)
	if err != nil && !Is(err, KindExists) {
		return Info{}, err
	}
	there, err := ReadAll(ctx, s, key, PartSize)
	if err != nil {
		return Info{}, err
	}
	if !bytes.Equal(there, body) {
		return Info{}, &Error{Op: "create", Key: key, Place: s.place, Kind: KindExists}
	}
	return s.Head(ctx, key)
}
