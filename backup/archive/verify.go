package archive

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

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

// maxProblems of a backup that are named, where nobody says another number: they have to fit into a message.
const maxProblems = 20

// Verify compares every object of a backup with its manifest. What is wrong are *BrokenError, each naming its object, joined; other errors are of the way there, and say nothing
// about the backup. In the manifest it notes where the store keeps no checksum. progress may be nil.
func (a *Archive) Verify(ctx context.Context, m *Manifest, mode Mode, identities string, progress func(Progress)) error {
	v, err := a.NewVerifier(mode, identities, progress)
	if err != nil {
		return err
	}
	return v.Verify(ctx, m)
}

// Verifier verifies backups of one archive one after another. What several of them share is looked at once, and found wrong in each.
type Verifier struct {
	*Archive
	// MaxProblems of one backup that are named.
	MaxProblems int

	mode       Mode
	identities string
	tell       func(Progress)
	progress   Progress
	seen       map[seen]verdict
}

// seen is a table: the object, and the plain content that it must have.
type seen struct {
	object Object
	size   int64
	sha256 string
}

// verdict on a table.
type verdict struct {
	checksum string
	err      error
}

// NewVerifier makes one. identities are needed only to compare the plain content of encrypted backups. progress, which may be nil, is told the sum over all backups.
func (a *Archive) NewVerifier(mode Mode, identities string, progress func(Progress)) (*Verifier, error) {
	if mode != Checksum && mode != Full {
		return nil, fmt.Errorf("verification is %s or %s, not %q", Checksum, Full, string(mode))
	}
	return &Verifier{Archive: a, MaxProblems: maxProblems, mode: mode, identities: identities, tell: progress, progress: Progress{Stage: Verifying}, seen: map[seen]verdict{}}, nil
}

// Verify one backup, as Archive.Verify does.
func (v *Verifier) Verify(ctx context.Context, m *Manifest) error {
	b := &verifier{Verifier: v, m: m}
	if v.mode == Full && (m.Encryption == nil || v.identities != "") {
		source, err := v.Open(*m, v.identities)
		if err != nil {
			return err
		}
		b.source = source
	}
	v.progress.Total += v.unseen(m)
	return b.run(ctx)
}

// unseen are the bytes of the objects that were not looked at yet.
func (v *Verifier) unseen(m *Manifest) int64 {
	n := m.Files.Object.Size
	counted := map[string]bool{}
	for _, t := range m.Tables {
		_, known := v.seen[seen{t.Object, t.Size, t.SHA256}]
		if !known && !counted[t.Object.Key] {
			n += t.Object.Size
		}
		counted[t.Object.Key] = true
	}
	return n
}

// VerifySum compares the checksum that lies beside a manifest to its last byte. Read compares what matters of it: a backup whose sum is damaged elsewhere can be restored.
func (a *Archive) VerifySum(ctx context.Context, id string) error {
	note, err := store.ReadAll(ctx, a.store, a.sumKey(id), 1<<10)
	switch {
	case store.Is(err, store.KindNotFound):
		return &BrokenError{Key: a.sumKey(id), Problem: "it is missing"}
	case store.Is(err, store.KindInvalid):
		return &BrokenError{Key: a.sumKey(id), Problem: "it is too large to be what was written"}
	case err != nil:
		return wrap(err, "verifying")
	}
	if sum, _, _ := strings.Cut(string(note), " "); !hexSHA256.MatchString(sum) || string(note) != sumNote(sum) {
		return &BrokenError{Key: a.sumKey(id), Problem: "it is not what was written: a line of sha256sum for manifest.json"}
	}
	return nil
}

// verifier is the verification of one backup.
type verifier struct {
	*Verifier
	m        *Manifest
	source   *Source // of plain content, or nil
	problems []error
}

func (v *verifier) run(ctx context.Context) error {
	done := map[string]string{} // checksums by key
	for i := range v.m.Tables {
		t := &v.m.Tables[i]
		if sum, again := done[t.Object.Key]; again {
			t.Object.Checksum = sum
			continue
		}
		err := v.table(ctx, t)
		if err == nil {
			err = v.enough()
		}
		if err != nil {
			return err
		}
		done[t.Object.Key] = t.Object.Checksum
	}
	err := v.note(v.check(ctx, &v.m.Files.Object, func(s *Source) error {
		return s.Files(ctx, func(Entry, io.Reader) error { return nil })
	}))
	v.moved(v.m.Files.Object.Size)
	if err != nil {
		return err
	}
	return errors.Join(v.problems...)
}

// table verifies one, or knows of it. Errors of the way there are not remembered.
func (v *verifier) table(ctx context.Context, t *Table) error {
	key := seen{t.Object, t.Size, t.SHA256}
	found, known := v.seen[key]
	if !known {
		found.err = v.check(ctx, &t.Object, func(s *Source) error {
			r, err := s.Table(ctx, *t)
			if err != nil {
				return err
			}
			defer r.Close()
			_, err = io.Copy(io.Discard, r)
			return err
		})
		found.checksum = t.Object.Checksum
		if found.err == nil || isBroken(found.err) {
			v.seen[key] = found
		}
		v.moved(t.Object.Size)
	}
	t.Object.Checksum = found.checksum
	return v.note(found.err)
}

// note keeps what is wrong with an object, so that the next is looked at, and returns other errors.
func (v *verifier) note(err error) error {
	if !isBroken(err) {
		return err
	}
	v.problems = append(v.problems, err)
	return nil
}

// enough says that no more will be named.
func (v *verifier) enough() error {
	if len(v.problems) < v.MaxProblems {
		return nil
	}
	return errors.Join(append(v.problems, errors.New("there may be more"))...)
}

func (v *verifier) moved(n int64) {
	v.progress.Bytes += n
	if v.tell != nil {
		v.tell(v.progress)
	}
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
