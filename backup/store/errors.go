package store

import (
	"errors"
	"fmt"
	"strings"
)

// Kind of an error: what a caller does about it.
type Kind string

// The kinds of errors, a closed set. Their names can be reasons of conditions.
const (
	// KindNotFound: no such object.
	KindNotFound Kind = "NotFound"
	// KindExists: an object is there that must not be.
	KindExists Kind = "Exists"
	// KindDenied: the credentials are good, the operation is not allowed.
	KindDenied Kind = "Denied"
	// KindCredentials: there are none, or the store does not take them.
	KindCredentials Kind = "CredentialsInvalid"
	// KindExpired: they were good once.
	KindExpired Kind = "CredentialsExpired"
	// KindWrongRegion: the bucket is elsewhere.
	KindWrongRegion Kind = "WrongRegion"
	// KindBucketMissing: no such bucket.
	KindBucketMissing Kind = "BucketMissing"
	// KindClockSkew: this machine's clock and the store's are too far apart.
	KindClockSkew Kind = "ClockSkew"
	// KindCertificate: the endpoint's certificate is not to be trusted.
	KindCertificate Kind = "CertificateInvalid"
	// KindFull: no space, or no quota.
	KindFull Kind = "Full"
	// KindTransient: trying again may help; it was tried several times.
	KindTransient Kind = "Unavailable"
	// KindMismatch: what was read or written is not what it should be.
	KindMismatch Kind = "ContentMismatch"
	// KindInvalid: what was asked for makes no sense to the store.
	KindInvalid Kind = "Invalid"
	// KindOther: something that we do not know.
	KindOther Kind = "StoreError"
)

// Error of a store. It does not wrap what the client library returned, whose text could carry more than a log should have; contexts' errors it does wrap.
type Error struct {
	Op     string // what was being done: put, get, head, list, delete, create
	Key    string // of the object, empty where it was the place as a whole
	Place  string // the store, as its String has it
	Kind   Kind
	Detail string // what the store said, without credentials
	cause  error  // of a context, or nil
}

// advice says, for the person who reads it, what to do.
var advice = map[Kind]string{
	KindNotFound:      "there is no such object",
	KindExists:        "there is one already",
	KindDenied:        "access denied: the credentials need the actions GetObject, PutObject, DeleteObject, AbortMultipartUpload on the prefix and ListBucket, ListBucketMultipartUploads on the bucket",
	KindCredentials:   "the store does not take these credentials: compare access key and secret key with those that the store has, or the role of the workload's identity",
	KindExpired:       "the credentials have expired: renew them, or the trust of the workload's identity",
	KindWrongRegion:   "the bucket is in another region: write that one as region",
	KindBucketMissing: "there is no such bucket: make it, or correct its name or the endpoint",
	KindClockSkew:     "the clocks of the node and of the store are more than 15 minutes apart: set the node's",
	KindCertificate:   "the endpoint's certificate is not trusted: give the authority that signed it as ca.crt, and use a host name that the certificate has",
	KindFull:          "the store has no space or quota left: make room, or keep fewer backups",
	KindTransient:     "the store could not be reached or was not able to answer, several times",
	KindMismatch:      "the content is not what it should be",
	KindInvalid:       "the request makes no sense to the store",
	KindOther:         "the store refused it",
}

// Error says what was being done to what, what to do about it, and what the store said.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.Op)
	if e.Key != "" {
		fmt.Fprintf(&b, " %q", e.Key)
	}
	if e.Place != "" {
		b.WriteString(" in " + e.Place)
	}
	b.WriteString(": " + advice[e.Kind])
	if e.Detail != "" {
		b.WriteString(" (" + e.Detail + ")")
	}
	return b.String()
}

// Unwrap is the context's error, if it was one.
func (e *Error) Unwrap() error { return e.cause }

// KindOf is the kind of an error, and KindOther of one that is not of a store.
func KindOf(err error) Kind {
	var e *Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return KindOther
}

// Is reports whether an error is of a kind.
func Is(err error, k Kind) bool {
	return err != nil && KindOf(err) == k
}
