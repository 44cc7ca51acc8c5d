package job

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"time"
	"unicode/utf8"

	"github.com/robustmq/robustmq-operator/backup/archive"
)

// MaxResult is how many bytes of JSON a Result has at most: Kubernetes keeps 4096 of a termination message.
const MaxResult = 4000

// Result is what came of a Job.
type Result struct {
	Kind   Kind   `json:"kind"`
	Reason Reason `json:"reason"`
	// Message for people: what happened to what, and what to do.
	Message string `json:"message"`

	// Of a backup that was made, verified, inspected or restored: its ID, the key of its manifest, that object's SHA-256, the bytes that a restore reads, and those of them that were new to the bucket.
	ID             string `json:"id,omitempty"`
	Key            string `json:"key,omitempty"`
	ManifestSHA256 string `json:"manifestSHA256,omitempty"`
	SizeBytes      int64  `json:"sizeBytes,omitempty"`
	UploadedBytes  int64  `json:"uploadedBytes,omitempty"`
	// RecoveryPoint that it holds, and the raft groups' positions in it.
	RecoveryPoint time.Time        `json:"recoveryPoint,omitzero"`
	Groups        []Position       `json:"groups,omitempty"`
	Counts        map[string]int64 `json:"counts,omitempty"`
	Encrypted     bool             `json:"encrypted,omitempty"`

	Collected *Collected `json:"collected,omitempty"`
	Probed    *Probed    `json:"probed,omitempty"`
	Inspected *Inspected `json:"inspected,omitempty"`

	// Warnings are what is not as it should be and did not keep the Job from its end.
	Warnings []string `json:"warnings,omitempty"`
	// Took is how long it lasted, in milliseconds.
	TookMilliseconds int64 `json:"tookMilliseconds,omitempty"`
}

// Position of a raft group in an image.
type Position struct {
	Group       string `json:"group"`
	Term        uint64 `json:"term"`
	LastApplied uint64 `json:"lastApplied"`
}

// Collected are the figures of a collection; after a failure, those of what was done before it.
type Collected struct {
	// Expired is how many backups were deleted; ExpiredIDs are the first of them.
	Expired    int      `json:"expired"`
	ExpiredIDs []string `json:"expiredIDs,omitempty"`
	// Objects and Bytes that no backup needed, and Uploads that were never finished.
	Objects int   `json:"objects"`
	Bytes   int64 `json:"bytes"`
	Uploads int   `json:"uploads"`
	// Kept is how many backups are left, Damaged how many of them cannot be restored as far as is known, TotalBytes what those that are readable hold in the bucket.
	Kept       int   `json:"kept"`
	Damaged    int   `json:"damaged"`
	TotalBytes int64 `json:"totalBytes"`
}

// Probed is what a probe found out.
type Probed struct {
	// Checksums: the store keeps SHA-256 checksums. Where it does not, verifying a backup means reading it.
	Checksums bool `json:"checksums"`
	// ClockAheadMilliseconds is how far the store's clock is ahead of the node's, to the second.
	ClockAheadMilliseconds int64 `json:"clockAheadMilliseconds"`
}

// OK reports whether the Job did what it was to do.
func (r Result) OK() bool { return r.Reason != "" && r.Reason == success[r.Kind] }

// InterruptedResult is that of a Job that was told to end.
func InterruptedResult(kind Kind) Result {
	return Result{Kind: kind, Reason: Interrupted, Message: advice[Interrupted]}
}

// Encode writes the result in at most MaxResult bytes: lists for people are cut first, and the message last.
func (r Result) Encode() []byte {
	for _, shorten := range []func(*Result){
		func(*Result) {},
		func(r *Result) { r.Warnings = cutAll(r.Warnings, 200, 5) },
		func(r *Result) { r.shortenCollected() },
		func(r *Result) { r.Message = cut(r.Message, 1500) },
		func(r *Result) { r.Warnings = cutAll(r.Warnings, 100, 2); r.Counts = nil },
		func(r *Result) { r.Message = cut(r.Message, 600) },
		func(r *Result) { r.Warnings = nil },
		func(r *Result) { // only ASCII control characters make six bytes of one
			*r = Result{Kind: r.Kind, Reason: r.Reason, Message: cut(r.Message, 300), ID: r.ID, Key: r.Key, ManifestSHA256: r.ManifestSHA256, SizeBytes: r.SizeBytes, UploadedBytes: r.UploadedBytes, RecoveryPoint: r.RecoveryPoint,
				Encrypted: r.Encrypted, Inspected: r.Inspected}
		},
	} {
		shorten(&r)
		var b bytes.Buffer
		encoder := json.NewEncoder(&b)
		encoder.SetEscapeHTML(false)
		if err := encoder.Encode(r); err == nil && b.Len() <= MaxResult {
			return b.Bytes()
		}
	}
	return []byte(`{"kind":"` + string(r.Kind) + `","reason":"` + string(Crashed) + `","message":"the result does not fit into a termination message"}`)
}

func (r *Result) shortenCollected() {
	if r.Collected == nil {
		return
	}
	c := *r.Collected
	c.ExpiredIDs = cutAll(c.ExpiredIDs, 300, 5)
	r.Collected = &c
}

// cut shortens a text to at most n bytes, between two characters.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	const more = "…"
	n -= len(more)
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + more
}

func cutAll(list []string, bytes, number int) []string {
	var short []string
	for _, s := range list[:min(len(list), number)] {
		short = append(short, cut(s, bytes))
	}
	return short
}

var hexSHA256 = regexp.MustCompile(`^[0-9a-f]{64}$`)

// ParseResult reads a termination message. Fields that it does not know are left out: the Job may be of a newer version. What it returns is of the kind that was asked for,
// has a known reason, and, if it says that a backup is complete, everything that a complete backup has.
func ParseResult(kind Kind, message string) (Result, error) {
	fail := func(err error) (Result, error) {
		return Result{}, fmt.Errorf("reading the result of a backup Job: %w", err)
	}
	if len(message) > 2*MaxResult {
		return fail(fmt.Errorf("it has %d bytes", len(message)))
	}
	var r Result
	if err := json.Unmarshal([]byte(message), &r); err != nil {
		return fail(fmt.Errorf("it is no JSON: %w", err))
	}
	switch {
	case r.Kind != kind || !r.Reason.Known(kind):
		return fail(fmt.Errorf("it is of the kind %q with the reason %q, and a result of %q was awaited", r.Kind, r.Reason, kind))
	case r.SizeBytes < 0 || r.UploadedBytes < 0 || r.TookMilliseconds < 0:
		return fail(errors.New("it has a negative number of bytes or milliseconds"))
	case r.ManifestSHA256 != "" && !hexSHA256.MatchString(r.ManifestSHA256):
		return fail(errors.New("manifestSHA256 is no SHA-256"))
	case r.Reason == BackupComplete && (r.ID == "" || r.Key == "" || r.ManifestSHA256 == "" || r.RecoveryPoint.IsZero() || r.SizeBytes == 0):
		return fail(errors.New("it says that the backup is complete, and not which one"))
	case r.Reason == BackupFound || r.Reason == BackupPlaced:
		if err := r.checkRestored(); err != nil {
			return fail(err)
		}
	}
	return r, nil
}

// positions are the raft groups of a manifest.
func positions(groups []archive.Group) []Position {
	var list []Position
	for _, g := range groups {
		list = append(list, Position{Group: g.Name, Term: g.Term, LastApplied: g.LastApplied})
	}
	return list
}
