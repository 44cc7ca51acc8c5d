package store

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"iter"
	"strings"
	"time"
)

// PartSize is the size of one part of a multipart upload, in bytes. It is part of the format: the checksum that S3 keeps of a multipart object is made of
// its parts' checksums (AWS, "Checking object integrity": composite checksums), so the same content has the same checksum only while parts have one size.
const PartSize = 8 << 20

// MaxParts of a multipart upload (AWS, "Amazon S3 multipart upload limits").
const MaxParts = 10_000

// MaxObjectSize is what MaxParts parts hold: 78 GiB.
const MaxObjectSize = PartSize * MaxParts

// UnknownSize is the Size of content whose length is known only at its end.
const UnknownSize = -1

// Info is what a store says of an object.
type Info struct {
	// Key of the object. That of a folder, in a List that does not descend, ends with a slash and has nothing else.
	Key string
	// Size in bytes.
	Size int64
	// Checksum that the store holds, as S3 writes it: SHA-256 in base64, of a multipart object that of the parts' checksums, with a dash and their number.
	// Empty where the store keeps none; a List never has it.
	Checksum string
	// SHA256 of the content, in lower-case hexadecimal digits. Only a Put knows it.
	SHA256 string
	// Modified by the store's clock.
	Modified time.Time
	// Versioned: the store keeps what is replaced or deleted as an old version. Only a Head knows it.
	Versioned bool
	// RetainUntil is until when the store itself refuses to remove it (object lock); zero where it does not. Only a Head knows it.
	RetainUntil time.Time
}

// Content is what a Put writes.
type Content struct {
	// Body is read once, from its beginning to its end.
	Body io.Reader
	// Open, in the place of Body, opens the body at its beginning; it is called again, when what it opened before is closed, where a try has failed.
	// A store needs no copy of what it can read again: where size and hash are known, too, the content goes straight through.
	Open func(context.Context) (io.ReadCloser, error)
	// Size in bytes, or UnknownSize. A body of another length is refused.
	Size int64
	// SHA256 of the body in lower-case hexadecimal digits, or empty where it is not known. A body with another one is refused. Of a body that goes straight
	// through it is the store that compares: one that knows no checksums (Info.Checksum is empty) has to be read back.
	SHA256 string
}

// opened is the content with a Body, to be closed.
func (c Content) opened(ctx context.Context, key string) (Content, io.Closer, error) {
	if c.Open == nil {
		return c, io.NopCloser(nil), nil
	}
	body, err := c.Open(ctx)
	if err != nil {
		return c, nil, unreadable(key, err)
	}
	c.Body, c.Open = body, nil
	return c, body, nil
}

// unreadable says that the fault is the source's.
func unreadable(key string, err error) *Error {
	return &Error{Op: "put", Key: key, Kind: KindMismatch, Detail: "its source could not be read: " + err.Error(), cause: err}
}

// Store of objects. All methods return errors of type *Error, or those of the context.
type Store interface {
	// Put writes an object, in the place of one of the same key.
	Put(ctx context.Context, key string, c Content) (Info, error)
	// Create writes a small object that must not exist: KindExists says that it does. Content that is there already counts as created, because an answer can be lost on its way.
	Create(ctx context.Context, key string, body []byte) (Info, error)
	// Get reads an object from offset on: length bytes, or to its end where length is negative. Reading goes on over cut connections, and never mixes two versions of an object.
	Get(ctx context.Context, key string, offset, length int64) (io.ReadCloser, error)
	// Head asks for size and checksum.
	Head(ctx context.Context, key string) (Info, error)
	// List yields what begins with prefix, in the order of keys: every object, or, where deep is false, folders in the place of what is in them. An error ends it.
	List(ctx context.Context, prefix string, deep bool) iter.Seq2[Info, error]
	// Delete removes an object; one that is not there is removed already.
	Delete(ctx context.Context, key string) error
	// Sweep ends uploads under prefix that were begun before a time and never finished, and says how many: they are invisible and cost space.
	Sweep(ctx context.Context, prefix string, before time.Time) (int, error)
	// String names the place for people, without credentials.
	String() string
}

// ReadAll reads a whole object of at most limit bytes.
func ReadAll(ctx context.Context, s Store, key string, limit int64) ([]byte, error) {
	r, err := s.Get(ctx, key, 0, -1)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	b, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(b)) > limit {
		return nil, &Error{Op: "read", Key: key, Kind: KindInvalid, Detail: fmt.Sprintf("the object has more than %d bytes, which nothing of its kind has", limit)}
	}
	return b, nil
}

// Hash reads a whole object and is its SHA-256 in lower-case hexadecimal digits.
func Hash(ctx context.Context, s Store, key string) (string, error) {
	r, err := s.Get(ctx, key, 0, -1)
	if err != nil {
		return "", err
	}
	defer r.Close()
	h := sha256.New()
	if _, err := io.Copy(h, r); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// checkKey refuses keys that one of the stores could not hold, or that would leave the place: both hold the same keys.
func checkKey(op, key string) error {
	bad := func(why string) error {
		return &Error{Op: op, Key: key, Kind: KindInvalid, Detail: why}
	}
	if key == "" || len(key) > 1024 {
		return bad("a key has 1 to 1024 bytes")
	}
	for segment := range strings.SplitSeq(key, "/") {
		switch {
		case segment == "" || segment == "." || segment == "..":
			return bad("a key is names with single slashes between them")
		case len(segment) > 255:
			return bad("a name in a key has at most 255 bytes")
		}
	}
	for _, c := range key {
		if c < ' ' || c == '\\' || c == 0x7f || c == '\ufffd' {
			return bad("a key has no control characters and no backslash")
		}
	}
	return nil
}
