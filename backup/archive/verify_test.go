package archive_test

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/robustmq/robustmq-operator/backup/archive"
	"github.com/robustmq/robustmq-operator/backup/store/s3test"
)

func TestABitThatFlipsAnywhereIsFoundAndItsObjectNamed(t *testing.T) {
	recipient, secret := identity(t)
	random := rand.New(rand.NewPCG(1, 2))
	for _, encrypted := range []bool{false, true} {
		a, d, path := dir(t)
		r := request("one", noon, 1, 2)
		identities := ""
		if encrypted {
			r.Recipients, identities = []string{recipient}, secret
		}
		w := write(t, a, r)
		for _, key := range objects(t, d) {
			name := filepath.Join(path, key)
			good, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			for range 20 {
				bad := bytes.Clone(good)
				at := random.IntN(len(bad))
				bad[at] ^= 1 << random.IntN(8)
				if err := os.WriteFile(name, bad, 0o600); err != nil {
					t.Fatal(err)
				}
				if strings.HasSuffix(key, "/owner.json") {
					_, err := a.Owner(t.Context())
					wantBroken(t, err, key)
					var owned *archive.OwnerError
					if err := a.Claim(t.Context(), owner); !errors.As(err, &owned) || !strings.Contains(err.Error(), "cannot be read") {
						t.Errorf("claimed: %v", err)
					}
					continue
				}
				if strings.Contains(key, "/manifest.") {
					l := list(t, a)
					if strings.HasSuffix(key, ".sha256") {
						if at > 64 { // the name in it, without which the backup can be restored
							wantBroken(t, a.VerifySum(t.Context(), w.ID), key)
							continue
						}
					}
					if len(l) != 1 || l[0].Good() {
						t.Errorf("%s at %d: the backup is not broken", key, at)
					}
					continue
				}
				for _, ids := range []string{"", identities} { // without an identity what lies in the bucket is compared all the same
					m := w.Manifest
					wantBroken(t, a.Verify(t.Context(), &m, archive.Full, ids, nil), key)
				}
			}
			if err := os.WriteFile(name, good, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		m := w.Manifest
		_, ownerErr := a.Owner(t.Context())
		if err := errors.Join(a.Verify(t.Context(), &m, archive.Full, identities, nil), a.VerifySum(t.Context(), w.ID), ownerErr); err != nil {
			t.Error(err)
		}
	}
}

func TestATableThatSeveralBackupsShareIsReadOnceAndWrongInEach(t *testing.T) {
	a, server, _ := bucket(t, nil)
	ms := []archive.Manifest{write(t, a, request("one", noon, 1, 2)).Manifest, write(t, a, request("two", noon.Add(time.Hour), 2, 3)).Manifest}
	shared := a.Key(ms[0].Tables[1].Object.Key)
	for _, damaged := range []bool{false, true} {
		if damaged {
			server.Corrupt(shared, func(b []byte) []byte { b[9] ^= 1; return b })
		}
		before := len(server.Requests())
		v, err := a.NewVerifier(archive.Full, "", nil)
		if err != nil {
			t.Fatal(err)
		}
		for i := range ms {
			if err := v.Verify(t.Context(), &ms[i]); damaged {
				wantBroken(t, err, shared)
			} else if err != nil {
				t.Error(err)
			}
		}
		gets := 0
		for _, r := range server.Requests()[before:] {
			if r == "GET "+shared {
				gets++
			}
		}
		if gets != 1 {
			t.Errorf("the shared table was read %d times", gets)
		}
	}
}

func TestABitThatFlipsOnTheWayIsFoundToo(t *testing.T) {
	a, _, faults := bucket(t, nil)
	w := write(t, a, request("one", noon, 1, 2))
	s, err := a.Open(w.Manifest, "")
	if err != nil {
		t.Fatal(err)
	}
	faults.Choose(s3test.First(1, "GET", s3test.Flipped))
	r, err := s.Table(t.Context(), w.Manifest.Tables[0])
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	_, err = new(bytes.Buffer).ReadFrom(r)
	wantBroken(t, err, a.Key(w.Manifest.Tables[0].Object.Key))
}

func TestEveryObjectThatIsMissingOrShortIsNamed(t *testing.T) {
	for _, mode := range []archive.Mode{archive.Checksum, archive.Full} {
		a, server, _ := bucket(t, nil)
		w := write(t, a, request("one", noon, 1, 2, 3))
		for _, o := range w.Manifest.Objects() {
			server.Corrupt(a.Key(o.Key), func(b []byte) []byte { return b[:len(b)-1] })
		}
		m := w.Manifest
		err := a.Verify(t.Context(), &m, mode, "", nil)
		if err == nil {
			t.Fatal("nothing is wrong")
		}
		for _, o := range w.Manifest.Objects() {
			if !strings.Contains(err.Error(), a.Key(o.Key)) {
				t.Errorf("%s is not named", o.Key)
			}
		}
	}
	a, d, _ := dir(t)
	w := write(t, a, request("one", noon, 1))
	key := a.Key(w.Manifest.Tables[0].Object.Key)
	if err := d.Delete(t.Context(), key); err != nil {
		t.Fatal(err)
	}
	m := w.Manifest
	wantBroken(t, a.Verify(t.Context(), &m, archive.Checksum, "", nil), key)
}

// A bad disk behind a store that keeps none of its checksums would pass a Head: so it is read.
func TestWithoutChecksumsInTheStoreVerifyingIsReading(t *testing.T) {
	a, server, _ := bucket(t, func(s *s3test.Server) { s.NoChecksums = true })
	w := write(t, a, request("one", noon, 1))
	key := a.Key(w.Manifest.Tables[0].Object.Key)
	server.Corrupt(key, func(b []byte) []byte { b[9] ^= 1; return b })
	m := w.Manifest
	wantBroken(t, a.Verify(t.Context(), &m, archive.Checksum, "", nil), key)
}

func TestWhatStandsInTheWayIsNotTheBackupsFault(t *testing.T) {
	a, _, faults := bucket(t, nil)
	w := write(t, a, request("one", noon, 1))
	faults.Choose(s3test.First(1<<30, "HEAD", s3test.Storm))
	m := w.Manifest
	err := a.Verify(t.Context(), &m, archive.Checksum, "", nil)
	if err == nil || strings.Contains(err.Error(), "missing") {
		t.Errorf("%v", err)
	}
}

func TestIdentitiesThatDoNotFitAreErrorsWithoutThem(t *testing.T) {
	recipient, _ := identity(t)
	_, other := identity(t)
	a, _, _ := dir(t)
	r := request("one", noon, 1)
	r.Recipients = []string{recipient}
	w := write(t, a, r)
	for what, c := range map[string]struct{ identities, says string }{
		"none": {"", "an identity"}, "another": {other, "none of the identities"}, "no identity": {"planted-text", "AGE-SECRET-KEY-"}, "a recipient": {recipient, "AGE-SECRET-KEY-"},
	} {
		s, err := a.Open(w.Manifest, c.identities)
		if err == nil {
			_, err = s.Table(t.Context(), w.Manifest.Tables[0])
		}
		if err == nil || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), other) || strings.Contains(err.Error(), "planted") {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestABrokenManifestIsListedWithItsReasonAndHidesNothing(t *testing.T) {
	a, _, path := dir(t)
	for i, name := range []string{"one", "two", "three", "four", "five"} {
		write(t, a, request(name, noon.Add(time.Duration(i)*time.Hour), uint64(i)))
	}
	edit := func(id string, change func([]byte) []byte) {
		name := filepath.Join(path, a.ManifestKey(id))
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, change(b), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	edit("20261125T120000Z-one", func(b []byte) []byte { return b[:len(b)/2] })
	edit("20261125T130000Z-two", func(b []byte) []byte { return bytes.Replace(b, []byte("backup/1.0"), []byte("backup/2.0"), 1) })
	edit("20261125T150000Z-four", func(b []byte) []byte { return bytes.Replace(b, []byte(uid), []byte("another-uid"), 1) })
	if err := os.MkdirAll(filepath.Join(path, a.Key("backups/20261125T170000Z-dead")), 0o700); err != nil {
		t.Fatal(err)
	}
	l := list(t, a)
	if len(l) != 5 {
		t.Fatalf("%d are listed", len(l))
	}
	for i, want := range []string{"JSON", `format "robustmq.io/backup/2.0"`, "", "SHA-256", ""} {
		if (want == "") != l[i].Good() || !strings.Contains(l[i].Broken, want) {
			t.Errorf("%s: %q; want %q", l[i].ID, l[i].Broken, want)
		}
	}
}
