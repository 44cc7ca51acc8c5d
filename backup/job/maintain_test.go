package job_test

import (
	"context"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/robustmq/robustmq-operator/backup/archive"
	"github.com/robustmq/robustmq-operator/backup/job"
	"github.com/robustmq/robustmq-operator/backup/store/s3test"
)

func TestAProbeClaimsThePlaceAndLeavesNothingElse(t *testing.T) {
	w := newWorld(t)
	r := w.run(job.Probe, w.request)
	w.want(r, job.DestinationWritable, "s3://backups")
	wantEqual(t, []any{r.Probed.Checksums, r.Warnings}, []any{true, []string(nil)})
	w.wantObjects("owner.json")
	again := w.run(job.Probe, w.request)
	w.want(again, job.DestinationWritable)
}

func TestAPlaceOfAnotherClusterIsRefused(t *testing.T) {
	w := newWorld(t)
	w.mustTake("one", noon)
	for name, change := range map[string]func(*job.Owner){
		"a copy of the Kubernetes": func(o *job.Owner) { o.Installation = "k2" },
		"another name":             func(o *job.Owner) { o.Name = "other" },
		"another namespace":        func(o *job.Owner) { o.Namespace = "test" },
	} {
		other := *w
		change(&other.request.Owner)
		w.want(other.run(job.Probe, other.request), job.ForeignOwner, "prod/my-cluster", "owner.json", "prefix or bucket of its own")
		w.want(other.run(job.Take, other.take("two", noon.Add(time.Hour))), job.ForeignOwner)
		c := other.request
		c.Collect = &job.CollectRequest{Policies: []job.Policy{{Schedule: "hourly", KeepLast: 1}}}
		w.want(other.run(job.Collect, c), job.ForeignOwner)
		d := other.request
		d.Delete = &job.DeleteRequest{ID: "20261125T120000Z-one"}
		if r := other.run(job.Delete, d); r.Reason != job.ForeignOwner {
			t.Errorf("%s: %+v", name, r)
		}
	}
	wantEqual(t, w.backups(), []string{"20261125T120000Z-one"})

	// By UID: a folder that was copied to another's name.
	body, _ := w.server.Object(base + "owner.json")
	w.server.Put("prefix/eu/another-uid/owner.json", body)
	other := *w
	other.request.Owner.ClusterUID = "another-uid"
	w.want(other.run(job.Probe, other.request), job.ForeignOwner)
	// And a record that is damaged is nobody's.
	w.server.Corrupt(base+"owner.json", func(b []byte) []byte { b[len(b)/2] ^= 1; return b })
	w.want(w.run(job.Probe, w.request), job.ForeignOwner, "cannot be read")
}

func TestTwoClustersBelowOnePrefixHaveFoldersOfTheirOwnAndTheProbeSaysSo(t *testing.T) {
	w := newWorld(t)
	w.mustTake("one", noon)
	other := *w
	other.request.Owner = job.Owner{ClusterUID: "another-uid", Name: "other", Namespace: "test"}
	r := other.run(job.Probe, other.request)
	w.want(r, job.DestinationWritable)
	if len(r.Warnings) != 1 || !strings.Contains(r.Warnings[0], "prod/my-cluster") || !strings.Contains(r.Warnings[0], uid) {
		t.Errorf("%q", r.Warnings)
	}
}

func TestOdditiesOfABucketAreWarnedOf(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*s3test.Server)
		words  string
	}{
		"versions":     {func(s *s3test.Server) { s.Versioned = true }, "lifecycle rule"},
		"object lock":  {func(s *s3test.Server) { s.Versioned, s.Locked = true, noon }, "2026-11-25T12:00:00Z (object lock)"},
		"no checksums": {func(s *s3test.Server) { s.NoChecksums = true }, "SHA-256"},
		"clock ahead":  {func(s *s3test.Server) { s.Now = func() time.Time { return time.Now().Add(5 * time.Minute) } }, "the store's clock is "},
		"clock behind": {func(s *s3test.Server) { s.Now = func() time.Time { return time.Now().Add(-5 * time.Minute) } }, "the store's clock is -"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			c.change(w.server)
			r := w.run(job.Probe, w.request)
			w.want(r, job.DestinationWritable)
			if len(r.Warnings) != 1 || !strings.Contains(r.Warnings[0], c.words) {
				t.Errorf("%q", r.Warnings)
			}
			if ahead := r.Probed.ClockAheadMilliseconds; (name == "clock ahead") != (ahead > 200_000) || (name == "clock behind") != (ahead < -200_000) {
				t.Errorf("%d ms ahead", ahead)
			}
		})
	}
}

func TestAProbeFindsWhatIsNotAllowed(t *testing.T) {
	for name, where := range map[string]func(*http.Request) bool{
		"put": method("PUT", "/probe/"), "get": method("GET", "/probe/"), "head": method("HEAD", "/probe/"), "delete": method("DELETE", "/probe/"),
		"list": func(r *http.Request) bool { return r.URL.Query().Has("list-type") },
	} {
		w := newWorld(t, at(s3test.Denied, where))
		w.want(w.run(job.Probe, w.request), job.AccessDenied, name)
	}
	w := newWorld(t, at(s3test.Flipped, method("GET", "/probe/")))
	w.want(w.run(job.Probe, w.request), job.StoreMisbehaved)
}

func collection(w *world, keep int32, damaged ...string) job.Request {
	r := w.request
	r.Collect = &job.CollectRequest{Policies: []job.Policy{{Schedule: "hourly", KeepLast: keep}}, Damaged: damaged}
	return r
}

func TestACollectionKeepsWhatThePoliciesSayAndCounts(t *testing.T) {
	w := newWorld(t)
	var last job.Result
	for i, name := range []string{"a", "b", "c"} {
		w.agent.with(func(a *fakeAgent) { // a table of its own each
			a.files["000200.sst"] = bytesContent(random(uint64(100+i), 5000))
			a.image.Files = nil
			for _, n := range sortedTablesFirst(a.files) {
				a.image.Files = append(a.image.Files, imageFile(n, a.files[n]))
			}
		})
		last = w.mustTake(name, noon.Add(time.Duration(i)*time.Hour))
	}
	w.server.Put(base+"tables/"+strings.Repeat("0", 64), []byte("nobody's"))
	r := w.run(job.Collect, collection(w, 2))
	w.want(r, job.BackupsCollected, "1 backups were deleted")
	wantEqual(t, *r.Collected, job.Collected{Expired: 1, ExpiredIDs: []string{"20261125T120000Z-a"}, Kept: 2, TotalBytes: r.Collected.TotalBytes})
	if total := r.Collected.TotalBytes; total <= last.SizeBytes || total > last.SizeBytes+7000 {
		t.Errorf("%d bytes for two backups of %d that share nearly all", total, last.SizeBytes)
	}
	w.server.Age(25 * time.Hour)
	r = w.run(job.Collect, collection(w, 2))
	wantEqual(t, []any{r.Collected.Objects, r.Collected.Bytes}, []any{2, int64(5008)}) // the table of a, and nobody's
	wantEqual(t, w.backups(), []string{"20261125T130000Z-b", "20261125T140000Z-c"})

	// The newest is known to be damaged: the one before is the last good one, and stays.
	r = w.run(job.Collect, collection(w, 1, "20261125T140000Z-c"))
	wantEqual(t, []any{r.Collected.Expired, r.Collected.Kept, r.Collected.Damaged}, []any{0, 2, 1})
	// And one that cannot be read keeps every table.
	w.server.Corrupt(last.Key, func(b []byte) []byte { return b[:len(b)/2] })
	r = w.run(job.Collect, collection(w, 1))
	w.want(r, job.BackupsCollected)
	wantEqual(t, []any{r.Collected.Expired, r.Collected.Kept, r.Collected.Damaged}, []any{0, 2, 1})
	if text := strings.Join(r.Warnings, "\n"); len(r.Warnings) != 2 || !strings.Contains(text, "no tables were removed") || !strings.Contains(text, "until it is deleted by hand") {
		t.Errorf("%q", r.Warnings)
	}
}

func TestACollectionThatFailsSaysWhatItDid(t *testing.T) {
	w := newWorld(t)
	for i, name := range []string{"a", "b", "c"} {
		w.mustTake(name, noon.Add(time.Duration(i)*time.Hour))
	}
	w.faults.Choose(func(r *http.Request) s3test.Fault {
		if r.Method == http.MethodDelete && strings.HasSuffix(r.URL.Path, "-b/manifest.json") {
			return s3test.Denied
		}
		return s3test.None
	})
	r := w.run(job.Collect, collection(w, 1))
	w.want(r, job.AccessDenied, "-b/manifest.json")
	wantEqual(t, r.Collected.ExpiredIDs, []string{"20261125T120000Z-a"})
	wantEqual(t, len(w.backups()), 2)
}

func TestNothingIsCollectedOrDeletedWhileABackupIsMade(t *testing.T) {
	w := newWorld(t)
	one := w.mustTake("one", noon)
	lock, err := w.archive().Acquire(t.Context(), archive.Backing, "pod of another backup")
	if err != nil {
		t.Fatal(err)
	}
	d := w.request
	d.Delete = &job.DeleteRequest{ID: one.ID}
	w.want(w.run(job.Collect, collection(w, 1)), job.Busy, "pod of another backup")
	w.want(w.run(job.Delete, d), job.Busy, "pod of another backup")
	w.mustTake("two", noon.Add(time.Hour)) // backups do not disturb one another
	lock.Release(t.Context())
	w.want(w.run(job.Delete, d), job.BackupDeleted, one.ID)
	w.want(w.run(job.Delete, d), job.BackupDeleted) // again
	wantEqual(t, w.backups(), []string{"20261125T130000Z-two"})

	lock, err = w.archive().Acquire(t.Context(), archive.Collecting, "a person")
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Release(t.Context())
	w.want(w.run(job.Take, w.take("three", noon.Add(2*time.Hour))), job.Busy, "a person")
}

func TestABackupWaitsForACollectionThatIsAtWork(t *testing.T) {
	w := newWorld(t, func(w *world) { w.options.Patience.Busy = 30 * time.Second })
	w.mustTake("one", noon)
	lock, err := w.archive().Acquire(t.Context(), archive.Collecting, "a collection")
	if err != nil {
		t.Fatal(err)
	}
	// The collection ends when the backup has found it once.
	var tried atomic.Int32
	w.faults.Choose(func(r *http.Request) s3test.Fault {
		if r.Method == http.MethodDelete && strings.Contains(r.URL.Path, "/locks/backup-") && tried.Add(1) == 1 {
			go lock.Release(context.WithoutCancel(t.Context()))
		}
		return s3test.None
	})
	w.mustTake("two", noon.Add(time.Hour))
	if tried.Load() < 2 { // withdrawn once, and released in the end
		t.Errorf("the lock of the backup was taken away %d times: it never met the collection", tried.Load())
	}
}

func TestAVerificationNamesWhatIsBroken(t *testing.T) {
	w := newWorld(t)
	one := w.mustTake("one", noon)
	recipient, secret := identity(t)
	sealed := w.mustTake("sealed", noon.Add(time.Hour), func(r *job.TakeRequest) { r.Recipients = []string{recipient} })
	verify := func(id string, mode archive.Mode) job.Result {
		r := w.request
		r.Verify = &job.VerifyRequest{ID: id, Mode: mode}
		return w.run(job.Verify, r)
	}
	for _, mode := range []archive.Mode{archive.Checksum, archive.Full} {
		r := verify(one.ID, mode)
		w.want(r, job.BackupVerified, "whole", string(mode))
		wantEqual(t, []any{r.ID, r.Key, r.ManifestSHA256, r.SizeBytes, r.Counts}, []any{one.ID, one.Key, one.ManifestSHA256, one.SizeBytes, one.Counts})
	}
	w.want(verify("20261125T120000Z-two", archive.Full), job.BackupMissing, "no backup 20261125T120000Z-two")
	if r := verify(sealed.ID, archive.Full); !r.OK() || len(r.Warnings) != 1 {
		t.Errorf("%+v", r)
	}
	put(t, w.root, job.IdentityFile, []byte(secret))
	w.secrets = append(w.secrets, secret)
	if r := verify(sealed.ID, archive.Full); !r.OK() || len(r.Warnings) != 0 {
		t.Errorf("%+v", r)
	}
	_, other := identity(t)
	put(t, w.root, job.IdentityFile, []byte(other))
	w.want(verify(sealed.ID, archive.Full), job.EncryptionInvalid, "none of the identities")

	b, err := w.archive().Read(t.Context(), one.ID)
	if err != nil {
		t.Fatal(err)
	}
	key := base + b.Manifest.Tables[1].Object.Key
	w.server.Corrupt(key, func(b []byte) []byte { b[17] ^= 1; return b })
	w.want(verify(one.ID, archive.Full), job.BackupBroken, key)
	w.server.Corrupt(key, func(b []byte) []byte { return b[1:] })
	w.want(verify(one.ID, archive.Checksum), job.BackupBroken, key)
	w.server.Corrupt(one.Key, func(b []byte) []byte { b[17] ^= 1; return b })
	w.want(verify(one.ID, archive.Checksum), job.BackupBroken, one.Key)
	for _, key := range w.server.Objects() {
		if strings.Contains(key, "/locks/") {
			t.Errorf("%s is left", key)
		}
	}
}
