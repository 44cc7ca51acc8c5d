package archive

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/robustmq/robustmq-operator/backup/store"
)

// Mode of verification.
type Mode string

// The modes, as the API's VerificationMode has them.
const (
	// Checksum asks the store for size and checksum of every object, and reads those of which the store does not know the checksum that the manifest has.
	Checksum Mode = "Checksum"
	// Full reads every object, compares what lies in the bucket, and, where it is not encrypted or an identity is given, the plain content too.
	Full Mode = "Full"
)

// maxProblems that are named.
const maxProblems = 20

// Verify compares every object of a backup with its manifest. What is wrong are *BrokenError, each naming its object, joined; other errors are of the way there, and say nothing
// about the backup. In the manifest it notes where the store keeps no checksum. progress may be nil.
func (a *Archive) Verify(ctx context.Context, m *Manifest, mode Mode, identities string, progress func(Progress)) error {
	if mode != Checksum && mode != Full {
		return fmt.Errorf("verification is %s or %s, not %q", Checksum, Full, string(mode))
	}
	v := &verifier{Archive: a, m: m, mode: mode, tell: progress, progress: Progress{Stage: Verifying, Total: m.Size()}}
	if mode == Full && (m.Encryption == nil || identities != "") {
		source, err := a.Open(*m, identities)
		if err != nil {
			return err
		}
		v.source = source
	}
	return v.run(ctx)
}

type verifier struct {
	*Archive
	m        *Manifest
	mode     Mode
	source   *Source // of plain content, or nil
	problems []error
	tell     func(Progress)
	progress Progress
}

func (v *verifier) run(ctx context.Context) error {
	done := map[string]string{} // checksums by key
	for i := range v.m.Tables {
		t := &v.m.Tables[i]
		if sum, again := done[t.Object.Key]; again {
			t.Object.Checksum = sum
			continue
		}
		err := v.object(ctx, &t.Object, func(s *Source) error {
			r, err := s.Table(ctx, *t)
			if err != nil {
				return err
			}
			defer r.Close()
			_, err = io.Copy(io.Discard, r)
			return err
		})
		if err != nil {
			return err
		}
		done[t.Object.Key] = t.Object.Checksum
	}
	err := v.object(ctx, &v.m.Files.Object, func(s *Source) error {
		return s.Files(ctx, func(Entry, io.Reader) error { return nil })
	})
	if err != nil {
		return err
	}
	return errors.Join(v.problems...)
}

// object verifies one. What is wrong with it is noted, and the next is looked at.
func (v *verifier) object(ctx context.Context, o *Object, plain func(*Source) error) error {
	err := v.check(ctx, o, plain)
	if isBroken(err) {
		v.problems = append(v.problems, err)
		if len(v.problems) == maxProblems {
			return errors.Join(append(v.problems, errors.New("there may be more"))...)
		}
		err = nil
	}
	v.progress.Bytes += o.Size
	if v.tell != nil {
		v.tell(v.progress)
	}
	return err
}

func (v *verifier) check(ctx context.Context, o *Object, plain func(*Source) error) error {
	key := v.Key(o.Key)
	info, err := v.store.Head(ctx, key)
	if store.Is(err, store.KindNotFound) {
		return &BrokenError{Key: key, Problem: "it is missing"}
	}
	if err != nil {
		return wrap(err, "verifying")
	}
	if info.Size != o.Size {
		return &BrokenError{Key: key, Problem: fmt.Sprintf("it has %d bytes, the manifest says %d", info.Size, o.Size)}
	}
	agreed := info.Checksum != "" && info.Checksum == o.Checksum
	if info.Checksum == "" {
		o.Checksum = ""
	}
	switch {
	case v.source != nil:
		return plain(v.source)
	case agreed && v.mode == Checksum:
		return nil
	}
	sum, err := store.Hash(ctx, v.store, key)
	if err != nil {
		return wrap(err, "verifying")
	}
	if sum != o.SHA256 {
		return &BrokenError{Key: key, Problem: fmt.Sprintf("what lies in the bucket has SHA-256 %s, the manifest says %s", sum, o.SHA256)}
	}
	return nil
}
