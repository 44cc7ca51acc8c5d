package job_test

import (
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/robustmq/robustmq-operator/backup/job"
	"github.com/robustmq/robustmq-operator/backup/store/s3test"
	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
)

func TestAnObjectThatIsNotWhatWasSavedIsNeverComplete(t *testing.T) {
	for name, c := range map[string]struct {
		object func(w *world, one job.Result) string
		change func([]byte) []byte
		words  string
	}{
		"a bit of a table":       {table101, func(b []byte) []byte { b[len(b)/2] ^= 1; return b }, "SHA-256"},
		"the last bit":           {table101, func(b []byte) []byte { b[len(b)-1] ^= 1; return b }, "SHA-256"},
		"a table that is cut":    {table101, func(b []byte) []byte { return b[:len(b)-1] }, "bytes"},
		"a table that is longer": {table101, func(b []byte) []byte { return append(b, 0) }, "bytes"},
		"a bit of the rest":      {rest, func(b []byte) []byte { b[len(b)/2] ^= 1; return b }, ""},
		"a rest that is cut":     {rest, func(b []byte) []byte { return b[:len(b)/2] }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			one := w.mustTake("one", noon)
			key := c.object(w, one)
			members := w.members(3)
			w.server.Corrupt(key, c.change)
			w.want(w.run(job.Restore, w.restore(one, members)), job.BackupBroken, key, c.words, "choose another")
			for _, m := range members {
				if phase := m.phase(); phase == protocol.PlacementReceived {
					t.Errorf("%s: complete with a damaged file", m.Pod)
				}
				if strings.HasSuffix(key, ".zst") {
					continue
				}
				if got, err := os.ReadFile(filepath.Join(m.dir, "files", "000101.sst")); !errors.Is(err, os.ErrNotExist) {
					t.Errorf("%s: it has the table: %d bytes, %v", m.Pod, len(got), err)
				}
			}
		})
	}
}

func table101(w *world, one job.Result) string { return w.objectOf(one, "000101.sst") }

func rest(_ *world, one job.Result) string {
	return strings.TrimSuffix(one.Key, "manifest.json") + "files.tar.zst"
}

func TestABackupThatIsMissingOrWasReplacedIsNotSent(t *testing.T) {
	w := newWorld(t)
	one := w.mustTake("one", noon)
	members := w.members(3)
	request := w.restore(one, members)
	request.Restore.Source.ManifestSHA256 = strings.Repeat("0", 64)
	w.want(w.run(job.Restore, request), job.BackupBroken, "replaced", one.Key)
	request = w.restore(one, members)
	request.Restore.Source.ID = "20261125T120000Z-other"
	w.want(w.run(job.Restore, request), job.BackupMissing, one.ID)
	for _, m := range members {
		m.wantNothing()
	}
	// An object that vanished after it was looked for.
	w.faults.Choose(func(r *http.Request) s3test.Fault { return s3test.None })
	key := w.objectOf(one, "000102.sst")
	seen := w.server
	w.faults.Next = http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, key[strings.LastIndex(key, "/"):]) {
			http.Error(rw, "<Error><Code>NoSuchKey</Code></Error>", http.StatusNotFound)
			return
		}
		seen.ServeHTTP(rw, r)
	})
	w.want(w.run(job.Restore, w.restore(one, members)), job.BackupBroken, key, "missing")
}

func TestAnEncryptedBackupIsRestoredWithItsIdentityAlone(t *testing.T) {
	w := newWorld(t)
	recipient, secret := identity(t)
	_, other := identity(t)
	w.secrets = append(w.secrets, secret, other)
	sealed := w.mustTake("sealed", noon, func(r *job.TakeRequest) { r.Recipients = []string{recipient} })
	members := w.members(3)
	w.want(w.run(job.Restore, w.restore(sealed, members)), job.EncryptionInvalid, "identitySecretName", recipient)
	put(t, w.root, job.IdentityFile, []byte("no identity"))
	w.want(w.run(job.Restore, w.restore(sealed, members)), job.EncryptionInvalid, "AGE-SECRET-KEY-, as age-keygen prints")
	for _, m := range members {
		m.wantNothing()
	}
	put(t, w.root, job.IdentityFile, []byte(other))
	w.want(w.run(job.Restore, w.restore(sealed, members)), job.EncryptionInvalid, "none of the identities", recipient)
	put(t, w.root, job.IdentityFile, []byte(secret))
	r := w.mustRestore(sealed, members, image())
	wantEqual(t, r.Encrypted, true)

	// Members with parts, of what cannot be read from the middle on.
	more := w.members(3)
	request := w.restore(sealed, more)
	begun := w.begun(more[1], request)
	if _, err := more[1].target.Put(t.Context(), begun.ID, "000101.sst", 0, io.LimitReader(image()["000101.sst"].at(0), 1<<20)); err != nil {
		t.Fatal(err)
	}
	w.mustRestore(sealed, more, image())
	wantEqual(t, more[1].received.Load(), total(image())-1<<20)
}

func TestABucketThatCutsConnectionsIsReadToTheEnd(t *testing.T) {
	w := newWorld(t)
	one := w.mustTake("one", noon)
	var cuts atomic.Int32
	w.faults.Choose(func(r *http.Request) s3test.Fault {
		if r.Method == http.MethodGet && strings.Contains(r.URL.Path, "/tables/") && cuts.Add(1)%2 == 1 {
			return s3test.Truncated
		}
		return s3test.None
	})
	members := w.members(3)
	w.mustRestore(one, members, image())
	wantEqual(t, len(members[0].puts), 6)
}

func TestABucketThatHangsEndsTheJobAndNoMemberIsBlamed(t *testing.T) {
	w := newWorld(t)
	one := w.mustTake("one", noon)
	w.options.Patience.Deadline = 700 * time.Millisecond
	w.options.Tune = nil // the store's own patience is longer
	w.faults.Choose(func(r *http.Request) s3test.Fault {
		if r.Method == http.MethodGet && strings.Contains(r.URL.Path, "/tables/") {
			return s3test.Stalled
		}
		return s3test.None
	})
	r := w.run(job.Restore, w.restore(one, w.members(3)))
	w.want(r, job.Deadline, "sending the backup")
	if strings.Contains(r.Message, "placement-center") {
		t.Errorf("a member is blamed: %s", r.Message)
	}
}

func TestACollectionIsKeptAwayWhileABackupIsRestoredWhereThatIsPossible(t *testing.T) {
	w := newWorld(t)
	one := w.mustTake("one", noon)
	var locked atomic.Bool
	w.faults.Choose(func(r *http.Request) s3test.Fault {
		if r.Method == http.MethodPut && strings.Contains(r.URL.Path, "/locks/read-") {
			locked.Store(true)
		}
		return s3test.None
	})
	w.mustRestore(one, w.members(1), image())
	if !locked.Load() {
		t.Error("nothing keeps a collection away")
	}
	// Credentials that may only read, as for the bucket of another cluster.
	w.faults.Choose(func(r *http.Request) s3test.Fault {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			return s3test.Denied
		}
		return s3test.None
	})
	r := w.mustRestore(one, w.members(1), image())
	if len(r.Warnings) != 1 || !strings.Contains(r.Warnings[0], "nothing keeps a collection away") {
		t.Errorf("%q", r.Warnings)
	}
}
