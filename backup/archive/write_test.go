package archive_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"time"

	"github.com/robustmq/robustmq-operator/backup/archive"
	"github.com/robustmq/robustmq-operator/backup/store"
	"github.com/robustmq/robustmq-operator/backup/store/s3test"
)

func TestABackupIsReadBackAsItWasPlainAndEncrypted(t *testing.T) {
	recipient, secret := identity(t)
	for _, encrypted := range []bool{false, true} {
		for _, place := range []string{"dir", "bucket", "bucket without checksums"} {
			a, _, _ := dir(t)
			if place != "dir" {
				a, _, _ = bucket(t, func(s *s3test.Server) { s.NoChecksums = place != "bucket" })
			}
			r := request("one", noon, 7, 8, 9)
			r.Tables = append(r.Tables, archive.FileOf("000099.sst", random(7, 2007))) // the content of 7 once more
			r.Tables = append(r.Tables, archive.FileOf("big.sst", random(1000, store.PartSize+100)))
			secretOrNone := ""
			if encrypted {
				r.Recipients, secretOrNone = []string{recipient}, secret
			}
			var last archive.Progress
			r.Progress = func(p archive.Progress) {
				if p.Stage == last.Stage && p.Bytes < last.Bytes || p.Bytes > p.Total {
					t.Errorf("after %+v comes %+v", last, p)
				}
				last = p
			}
			w := write(t, a, r)
			if last.Stage != archive.Verifying || last.Bytes != last.Total || last.Total != w.Manifest.Size() {
				t.Errorf("ends at %+v of %d", last, w.Manifest.Size())
			}
			l := list(t, a)
			if len(l) != 1 || !l[0].Good() || l[0].ID != "20261125T120000Z-one" || w.Key != "prefix/eu/"+uid+"/backups/20261125T120000Z-one/manifest.json" {
				t.Fatalf("%+v %s", l, w.Key)
			}
			wantContent(t, a, l[0].Manifest, secretOrNone, r)
			for _, mode := range []archive.Mode{archive.Checksum, archive.Full} {
				if err := a.Verify(t.Context(), &l[0].Manifest, mode, secretOrNone, nil); err != nil {
					t.Error(err)
				}
			}
		}
	}
}

func TestASecondBackupUploadsOnlyWhatIsNew(t *testing.T) {
	recipient, _ := identity(t)
	for _, recipients := range [][]string{nil, {recipient}} {
		a, server, _ := bucket(t, nil)
		first, second := request("one", noon, 1, 2, 3, 4, 5), request("two", noon.Add(time.Hour), 1, 2, 3, 4, 6)
		first.Recipients, second.Recipients = recipients, recipients
		write(t, a, first)
		before := len(server.Requests())
		w := write(t, a, second)
		puts := 0
		for _, r := range server.Requests()[before:] {
			if strings.HasPrefix(r, "PUT ") && strings.Contains(r, "/tables/") {
				puts++
			}
		}
		if puts != 1 || w.Uploaded > 4000 {
			t.Errorf("%d tables and %d bytes were uploaded", puts, w.Uploaded)
		}
	}
}

func TestOtherRecipientsGetTablesOfTheirOwn(t *testing.T) {
	a, _, _ := dir(t)
	oldRecipient, oldSecret := identity(t)
	newRecipient, newSecret := identity(t)
	first, second := request("one", noon, 1, 2), request("two", noon.Add(time.Hour), 1, 2)
	first.Recipients, second.Recipients = []string{oldRecipient}, []string{newRecipient}
	one, two := write(t, a, first), write(t, a, second)
	wantContent(t, a, one.Manifest, oldSecret, first)
	wantContent(t, a, two.Manifest, newSecret, second)
	third := request("three", noon.Add(2*time.Hour), 1, 2)
	three := write(t, a, third) // and in clear it is neither
	wantContent(t, a, three.Manifest, "", third)
}

func TestTheSameFilesMakeTheSameArchive(t *testing.T) {
	sums := map[string]bool{}
	for i := range 3 {
		a, _, _ := dir(t)
		r := request(fmt.Sprint("n", i), noon, 1)
		if i == 1 {
			r.Files[0], r.Files[2] = r.Files[2], r.Files[0]
		}
		sums[write(t, a, r).Manifest.Files.Object.SHA256] = true
	}
	if len(sums) != 1 {
		t.Errorf("%d different archives", len(sums))
	}
}

func TestAnImageThatIsNotWhatItSaysMakesNoBackup(t *testing.T) {
	lie := func(change func(*archive.File)) func(*archive.Request, bool) {
		return func(r *archive.Request, table bool) {
			if table {
				change(&r.Tables[1])
			} else {
				change(&r.Files[2])
			}
		}
	}
	cases := map[string]func(*archive.Request, bool){
		"a size that is too small": lie(func(f *archive.File) { f.Size-- }),
		"a size that is too great": lie(func(f *archive.File) { f.Size++ }),
		"another hash":             lie(func(f *archive.File) { f.SHA256 = strings.Repeat("0", 64) }),
		"a stream that breaks": lie(func(f *archive.File) {
			open := f.Open
			f.Open = func(ctx context.Context) (io.ReadCloser, error) {
				r, err := open(ctx)
				return io.NopCloser(io.MultiReader(io.LimitReader(r, 100), iotest.ErrReader(io.ErrUnexpectedEOF))), err
			}
		}),
		"a stream that cannot be opened": lie(func(f *archive.File) {
			f.Open = func(context.Context) (io.ReadCloser, error) { return nil, errors.New("the agent is gone") }
		}),
	}
	recipient, _ := identity(t)
	for what, change := range cases {
		for i := range 4 {
			a, d, _ := dir(t)
			r := request("one", noon, 1, 2, 3)
			if i%2 == 1 {
				r.Recipients = []string{recipient}
			}
			change(&r, i < 2)
			if _, err := a.Write(t.Context(), r); err == nil {
				t.Errorf("%s: there is a backup", what)
			}
			for _, key := range objects(t, d) {
				if !strings.Contains(key, "/tables/") && !strings.HasSuffix(key, "/owner.json") {
					t.Errorf("%s: %s is left", what, key)
				}
			}
			write(t, a, request("one", noon, 1, 2, 3))
		}
	}
}

// Every request that a backup makes is once the last before its process dies, with the answer received or not.
func TestAProcessThatDiesAtAnyRequestLeavesNoWrongBackup(t *testing.T) {
	for _, fault := range []s3test.Fault{s3test.Denied, s3test.LostAnswer} {
		for last := int64(1); ; last++ {
			a, server, faults := bucket(t, nil)
			write(t, a, request("earlier", noon.Add(-time.Hour), 1, 2))
			var n atomic.Int64
			faults.Choose(func(*http.Request) s3test.Fault {
				switch m := n.Add(1); {
				case m < last:
					return s3test.None
				case m == last:
					return fault
				}
				return s3test.Denied
			})
			r := request("one", noon, 1, 3)
			_, err := a.Write(t.Context(), r)
			whole := n.Load() < last
			faults.Choose(nil)
			found := 0
			for _, b := range list(t, a) {
				found++
				if !b.Good() {
					t.Fatalf("after request %d: %s is broken: %s", last, b.ID, b.Broken)
				}
				if err := a.Verify(t.Context(), &b.Manifest, archive.Full, "", nil); err != nil {
					t.Fatalf("after request %d: %v", last, err)
				}
			}
			if err == nil && found != 2 {
				t.Fatalf("after request %d: it is said to be written, and %d are there", last, found)
			}
			// The next one works, and a day later nothing is left but what the manifests name.
			next := write(t, a, request("next", noon.Add(time.Hour), 3, 4))
			wantContent(t, a, next.Manifest, "", request("next", noon, 3, 4))
			later, d := aDayLater(t, server)
			if _, err := later.Collect(t.Context(), "test", nil, nil); err != nil {
				t.Fatal(err)
			}
			wantOnlyNamed(t, later, d)
			if whole {
				t.Logf("%d requests", last-1)
				break
			}
		}
	}
}

// aDayLater is what lies in a server, in a directory, and older: the client library would not talk to a server whose clock is a day ahead.
func aDayLater(t *testing.T, server *s3test.Server) (*archive.Archive, *store.Dir) {
	t.Helper()
	a, d, path := dir(t)
	for _, key := range server.Objects() {
		body, _ := server.Object(key)
		if _, err := d.Put(t.Context(), key, store.Content{Body: bytes.NewReader(body), Size: int64(len(body))}); err != nil {
			t.Fatal(err)
		}
	}
	older(t, path, archive.GraceTime+time.Hour)
	return a, d
}

func wantOnlyNamed(t *testing.T, a *archive.Archive, d *store.Dir) {
	t.Helper()
	named := map[string]bool{a.Key("owner.json"): true}
	for _, b := range list(t, a) {
		named[a.ManifestKey(b.ID)] = true
		named[strings.TrimSuffix(a.ManifestKey(b.ID), "json")+"sha256"] = true
		for _, o := range b.Manifest.Objects() {
			named[a.Key(o.Key)] = true
		}
	}
	keys := objects(t, d)
	if len(keys) != len(named) {
		t.Errorf("%d objects are left, %d are named", len(keys), len(named))
	}
	for _, key := range keys {
		if !named[key] {
			t.Errorf("%s is left", key)
		}
	}
}

func TestAPlaceOfAnotherClusterIsRefusedByName(t *testing.T) {
	a, d, _ := dir(t)
	write(t, a, request("one", noon, 1))
	write(t, a, request("two", noon.Add(time.Hour), 1)) // the same again is fine
	for _, other := range []archive.Owner{
		{ClusterUID: uid, Name: "other", Namespace: "prod", Installation: "k1"}, {ClusterUID: uid, Name: "my-cluster", Namespace: "test", Installation: "k1"},
		{ClusterUID: uid, Name: "my-cluster", Namespace: "prod", Installation: "k2"},
	} {
		r := request("three", noon.Add(2*time.Hour), 2)
		r.Owner = other
		_, err := a.Write(t.Context(), r)
		var owned *archive.OwnerError
		if !errors.As(err, &owned) || !strings.Contains(err.Error(), "prod/my-cluster") || !strings.Contains(err.Error(), other.Namespace+"/"+other.Name) {
			t.Errorf("%+v: %v", other, err)
		}
	}
	if n := len(objects(t, d)); n != 1+1+2*3 {
		t.Errorf("%d objects: the refused ones left something", n)
	}
	if _, err := archive.New(d, "", "../x"); err == nil {
		t.Error("../x is a UID")
	}
	found, err := archive.Clusters(t.Context(), d, "prefix/eu")
	if err != nil || fmt.Sprint(found) != "["+uid+"]" {
		t.Errorf("%v %v", found, err)
	}
}

func TestABackupThatIsThereIsNotTouched(t *testing.T) {
	a, _, path := dir(t)
	w := write(t, a, request("one", noon, 1))
	before, err := os.ReadFile(filepath.Join(path, a.Key(w.Manifest.Files.Object.Key)))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.Write(t.Context(), request("one", noon, 2)); !store.Is(err, store.KindExists) {
		t.Error(err)
	}
	after, err := os.ReadFile(filepath.Join(path, a.Key(w.Manifest.Files.Object.Key)))
	if err != nil || !bytes.Equal(before, after) {
		t.Error("its files were replaced")
	}
}

func TestATableThatWasLeftBrokenIsWrittenAgain(t *testing.T) {
	a, _, path := dir(t)
	r := request("one", noon, 1, 2)
	leftover := filepath.Join(path, a.Key("tables/"+r.Tables[0].SHA256))
	if err := os.MkdirAll(filepath.Dir(leftover), 0o700); err != nil {
		t.Fatal(err)
	}
	bad := random(1, 2001)
	bad[77] ^= 4
	if err := os.WriteFile(leftover, bad, 0o600); err != nil {
		t.Fatal(err)
	}
	wantContent(t, a, write(t, a, r).Manifest, "", r)
}

func TestMistakesAreFoundBeforeAnythingIsWritten(t *testing.T) {
	_, secret := identity(t)
	for what, change := range map[string]func(*archive.Request){
		"an identity for a recipient": func(r *archive.Request) { r.Recipients = []string{secret} },
		"a recipient that is none":    func(r *archive.Request) { r.Recipients = []string{"age1qqq"} },
		"two recipients in one":       func(r *archive.Request) { r.Recipients = []string{"a\nb"} },
		"no files":                    func(r *archive.Request) { r.Files = nil },
		"a path for a name":           func(r *archive.Request) { r.Files[0].Name = "../CURRENT" },
		"a name twice":                func(r *archive.Request) { r.Tables[0].Name = "CURRENT" },
		"a hash that is none":         func(r *archive.Request) { r.Tables[0].SHA256 = "x" },
	} {
		a, d, _ := dir(t)
		r := request("one", noon, 1)
		change(&r)
		_, err := a.Write(t.Context(), r)
		if err == nil || strings.Contains(err.Error(), secret) || len(objects(t, d)) > 0 {
			t.Errorf("%s: %v, %d objects", what, err, len(objects(t, d)))
		}
	}
}
