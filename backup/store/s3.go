package store

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"iter"
	"math/rand/v2"
	"net/http"
	"regexp"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
	"github.com/minio/minio-go/v7/pkg/encrypt"

	"github.com/robustmq/robustmq-operator/internal/pause"
)

// S3 is a bucket.
type S3 struct {
	core     *minio.Core
	creds    *credentials.Credentials
	http     *http.Client
	secrets  []string
	bucket   string
	place    string
	secure   bool // over TLS
	sse      encrypt.ServerSide
	buffers  chan []byte
	attempts int
	stall    time.Duration
	backoff  func(int) time.Duration
}

var _ Store = (*S3)(nil)

// NewS3 makes a client. Nothing is asked of the store: that is Probe's.
func NewS3(c Config) (*S3, error) {
	invalid := func(err error) error {
		return &Error{Op: "configure", Kind: KindInvalid, Detail: err.Error()}
	}
	if c.Buffers < 0 || c.Buffers > 64 || c.Attempts < 0 || c.Attempts > 100 || c.Stall < 0 {
		return nil, invalid(errors.New("buffers are 1 to 64, attempts 1 to 100, and a stall is not negative"))
	}
	host, secure, err := c.endpoint()
	if err != nil {
		return nil, invalid(err)
	}
	if c.SSE.Mode == SSEC && !secure {
		return nil, invalid(errors.New("encryption with a key of ours sends the key along: use an https endpoint"))
	}
	sse, err := c.SSE.serverSide()
	if err != nil {
		return nil, invalid(err)
	}
	transport, err := c.transport()
	if err != nil {
		return nil, invalid(err)
	}
	stall := defaulted(c.Stall, time.Minute)
	transport.ResponseHeaderTimeout = stall
	client := &http.Client{Transport: transport, Timeout: 30 * time.Second}
	creds, err := c.credentials(client)
	if err != nil {
		return nil, invalid(err)
	}
	core, err := minio.NewCore(host, &minio.Options{
		Creds: creds, Secure: secure, Transport: stalling{transport, stall}, Region: c.region(), BucketLookup: c.lookup(),
		MaxRetries: 2, // a second one lets it follow the bucket's region; patience is ours (again), with a backoff that outlasts a storm
	})
	if err != nil {
		return nil, invalid(err)
	}
	s := &S3{
		core: core, creds: creds, http: client, bucket: c.Bucket, secure: secure, sse: sse,
		attempts: defaulted(c.Attempts, 8), stall: stall, backoff: c.Backoff,
		secrets: []string{string(c.SecretKey), string(c.SessionToken), string(c.SSE.Key), base64.StdEncoding.EncodeToString([]byte(c.SSE.Key))},
	}
	s.place = "s3://" + c.Bucket
	if c.Endpoint != "" {
		s.place += " at " + host
	}
	if s.backoff == nil {
		s.backoff = func(attempt int) time.Duration {
			d := min(500*time.Millisecond<<min(attempt-1, 10), 20*time.Second)
			return d/2 + rand.N(d/2)
		}
	}
	n := defaulted(c.Buffers, 4)
	s.buffers = make(chan []byte, n)
	for range n {
		s.buffers <- nil // made when first used: small backups need few
	}
	return s, nil
}

func defaulted[T comparable](v, def T) T {
	var zero T
	if v == zero {
		return def
	}
	return v
}

// String names bucket and endpoint.
func (s *S3) String() string { return s.place }

// fail makes an error of ours of one of the client library, with every credential taken out of its text.
func (s *S3) fail(op, key string, err error) error {
	var own *Error
	if err == nil || errors.As(err, &own) {
		return err
	}
	kind, detail := classify(err)
	e := &Error{Op: op, Key: key, Place: s.place, Kind: kind, Detail: s.redact(detail)}
	for _, ctxErr := range []error{context.Canceled, context.DeadlineExceeded} {
		if errors.Is(err, ctxErr) {
			e.cause = ctxErr
		}
	}
	return e
}

// redact takes credentials out of what the store said: a proxy or a faulty store may echo a request's headers.
func (s *S3) redact(text string) string {
	secrets := s.secrets
	if !s.creds.IsExpired() { // else asking would fetch new ones
		if v, err := s.creds.GetWithContext(&credentials.CredContext{Client: s.http}); err == nil {
			secrets = append(secrets[:len(secrets):len(secrets)], v.AccessKeyID, v.SecretAccessKey, v.SessionToken)
		}
	}
	for _, secret := range secrets {
		if len(secret) >= 3 {
			text = strings.ReplaceAll(text, secret, "(hidden)")
		}
	}
	return signed.ReplaceAllString(text, "${1}(hidden)")
}

// signed are what a signature (good for a quarter of an hour) or a token in the form of a URL stands behind.
var signed = regexp.MustCompile(`(?i)(signature[=:]\s*|security-token[=:]\s*)[^\s,;&"'<>]+`)

// again does something until it succeeds, fails for good, or was tried often enough. Each try has a deadline of its own, so that a dead connection does not hold it for ever.
func (s *S3) again(ctx context.Context, op, key string, limit time.Duration, try func(context.Context) error) error {
	for attempt := 1; ; attempt++ {
		err := func() error {
			tryCtx, cancel := context.WithTimeout(ctx, limit)
			defer cancel()
			return try(tryCtx)
		}()
		if err == nil {
			return nil
		}
		err = s.fail(op, key, err)
		if ctx.Err() != nil {
			return &Error{Op: op, Key: key, Place: s.place, Kind: KindTransient, Detail: "it was called off, or its time was over", cause: ctx.Err()}
		}
		if KindOf(err) != KindTransient || attempt >= s.attempts {
			return err
		}
		_ = pause.For(ctx, s.backoff(attempt)) // a context that ended is seen at the next attempt
	}
}

// limit of one request that moves no content.
const requestLimit = 2 * time.Minute

// Head implements Store.
func (s *S3) Head(ctx context.Context, key string) (Info, error) {
	if err := checkKey("head", key); err != nil {
		return Info{}, err
	}
	var info Info
	err := s.again(ctx, "head", key, requestLimit, func(ctx context.Context) error {
		o, err := s.core.StatObject(ctx, s.bucket, key, minio.StatObjectOptions{Checksum: true, ServerSideEncryption: s.readSSE()})
		if err != nil {
			return err
		}
		info = Info{Key: key, Size: o.Size, Checksum: o.ChecksumSHA256, Modified: o.LastModified, Versioned: o.VersionID != "" && o.VersionID != "null", RetainUntil: retained(o)}
		return nil
	})
	return info, err
}

// retained is the date of a lock on an object, which is told to who may know it (s3:GetObjectRetention).
func retained(o minio.ObjectInfo) time.Time {
	until, err := time.Parse(time.RFC3339, o.Metadata.Get("X-Amz-Object-Lock-Retain-Until-Date"))
	if err != nil {
		return time.Time{}
	}
	return until
}

// readSSE: reading names the key only where it is ours.
func (s *S3) readSSE() encrypt.ServerSide {
	if s.sse != nil && s.sse.Type() == encrypt.SSEC {
		return s.sse
	}
	return nil
}

// Delete implements Store.
func (s *S3) Delete(ctx context.Context, key string) error {
	if err := checkKey("delete", key); err != nil {
		return err
	}
	err := s.again(ctx, "delete", key, requestLimit, func(ctx context.Context) error {
		return s.core.RemoveObject(ctx, s.bucket, key, minio.RemoveObjectOptions{})
	})
	if Is(err, KindNotFound) {
		return nil
	}
	return err
}

// List implements Store. A page that fails is asked for again.
func (s *S3) List(ctx context.Context, prefix string, deep bool) iter.Seq2[Info, error] {
	delimiter := "/"
	if deep {
		delimiter = ""
	}
	return func(yield func(Info, error) bool) {
		for token := ""; ; {
			var page minio.ListBucketV2Result
			err := s.again(ctx, "list", prefix, requestLimit, func(context.Context) (err error) {
				page, err = s.core.ListObjectsV2(s.bucket, prefix, "", token, delimiter, 1000) // it takes no context; it has the transport's time for an answer's header
				return err
			})
			if err != nil {
				yield(Info{}, err)
				return
			}
			for _, info := range merged(page) {
				if !yield(info, nil) {
					return
				}
			}
			if !page.IsTruncated {
				return
			}
			if page.NextContinuationToken == "" || page.NextContinuationToken == token {
				yield(Info{}, &Error{Op: "list", Key: prefix, Place: s.place, Kind: KindOther, Detail: "the store says that there is more and not where"})
				return
			}
			token = page.NextContinuationToken
		}
	}
}

// merged is a page in the order of keys: the store sends objects and folders apart.
func merged(page minio.ListBucketV2Result) []Info {
	infos := make([]Info, 0, len(page.Contents)+len(page.CommonPrefixes))
	objects, folders := page.Contents, page.CommonPrefixes
	for len(objects) > 0 || len(folders) > 0 {
		if len(folders) == 0 || (len(objects) > 0 && objects[0].Key < folders[0].Prefix) {
			infos = append(infos, Info{Key: objects[0].Key, Size: objects[0].Size, Modified: objects[0].LastModified})
			objects = objects[1:]
			continue
		}
		infos = append(infos, Info{Key: folders[0].Prefix})
		folders = folders[1:]
	}
	return infos
}

// Sweep implements Store.
func (s *S3) Sweep(ctx context.Context, prefix string, before time.Time) (int, error) {
	type upload struct{ key, id string }
	var old []upload
	err := s.again(ctx, "list unfinished uploads of", prefix, requestLimit, func(ctx context.Context) error {
		old = old[:0]
		for keyMarker, idMarker := "", ""; ; {
			page, err := s.core.ListMultipartUploads(ctx, s.bucket, prefix, keyMarker, idMarker, "", 1000)
			if err != nil {
				return err
			}
			for _, u := range page.Uploads {
				if u.Initiated.Before(before) && strings.HasPrefix(u.Key, prefix) {
					old = append(old, upload{u.Key, u.UploadID})
				}
			}
			if !page.IsTruncated {
				return nil
			}
			if page.NextKeyMarker == keyMarker && page.NextUploadIDMarker == idMarker {
				return fmt.Errorf("the store says that there is more and not where: %w", io.ErrUnexpectedEOF)
			}
			keyMarker, idMarker = page.NextKeyMarker, page.NextUploadIDMarker
		}
	})
	if err != nil {
		return 0, err
	}
	for i, u := range old {
		if err := s.abort(ctx, u.key, u.id); err != nil {
			return i, err
		}
	}
	return len(old), nil
}

// abort an upload; one that is not there was aborted or finished.
func (s *S3) abort(ctx context.Context, key, id string) error {
	err := s.again(ctx, "abort the upload of", key, requestLimit, func(ctx context.Context) error {
		return s.core.AbortMultipartUpload(ctx, s.bucket, key, id)
	})
	if Is(err, KindNotFound) {
		return nil
	}
	return err
}
