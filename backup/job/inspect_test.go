package job_test

import (
	"bytes"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/robustmq/robustmq-operator/backup/archive"
	"github.com/robustmq/robustmq-operator/backup/job"
	"github.com/robustmq/robustmq-operator/backup/store/s3test"
)

// three backups an hour apart: a, b and c.
func (w *world) three() (a, b, c job.Result) {
	w.t.Helper()
	return w.mustTake("a", noon), w.mustTake("b", noon.Add(time.Hour)), w.mustTake("c", noon.Add(2*time.Hour))
}

func TestAnInspectionChoosesTheBackupThatIsMeantAndSaysWhatIsInIt(t *testing.T) {
	w := newWorld(t)
	a, b, c := w.three()
	for name, choice := range map[string]struct {
		change func(*job.InspectRequest)
		want   job.Result
	}{
		"newest":                 {func(*job.InspectRequest) {}, c},
		"of the only cluster":    {func(i *job.InspectRequest) { i.Source.ClusterUID = "" }, c},
		"newest before":          {func(i *job.InspectRequest) { i.Before = noon.Add(90 * time.Minute) }, b},
		"newest at":              {func(i *job.InspectRequest) { i.Before = noon.Add(time.Hour) }, b},
		"newest good":            {func(i *job.InspectRequest) { i.Damaged = []string{c.ID, b.ID} }, a},
		"by ID":                  {func(i *job.InspectRequest) { i.Source.ID = a.ID }, a},
		"by ID and sum":          {func(i *job.InspectRequest) { i.Source.ID, i.Source.ManifestSHA256 = a.ID, a.ManifestSHA256 }, a},
		"by ID, a damaged one":   {func(i *job.InspectRequest) { i.Source.ID, i.Damaged = a.ID, []string{a.ID} }, a},
		"by key":                 {func(i *job.InspectRequest) { i.Key = b.Key }, b},
		"by key alone":           {func(i *job.InspectRequest) { i.Key, i.Source.ClusterUID = b.Key, "" }, b},
		"by the key's folder":    {func(i *job.InspectRequest) { i.Key = strings.TrimSuffix(b.Key, "manifest.json") }, b},
		"by a folder's own name": {func(i *job.InspectRequest) { i.Key = strings.TrimSuffix(b.Key, "/manifest.json") }, b},
	} {
		r := w.run(job.Inspect, w.inspect(choice.change))
		w.want(r, job.BackupFound, choice.want.ID, "my-cluster", "can be restored")
		wantEqual(t, []any{name, r.ID, r.Key, r.ManifestSHA256, r.SizeBytes, r.RecoveryPoint, r.Counts, r.Encrypted},
			[]any{name, choice.want.ID, choice.want.Key, choice.want.ManifestSHA256, choice.want.SizeBytes, choice.want.RecoveryPoint, choice.want.Counts, false})
	}
	r := w.run(job.Inspect, w.inspect())
	i := r.Inspected
	wantEqual(t, []any{i.ClusterUID, i.ClusterName, i.Namespace, i.Version, i.ImageDigest, i.Nodes, i.Bytes, i.Files, i.Tables},
		[]any{uid, "my-cluster", "prod", "0.4.11", "sha256:abc", archive.Nodes{PlacementCenter: 3, MQTTBroker: 5}, total(image()), 6, 3})
	wantEqual(t, i.Groups[1], archive.Group{
		Name: "metadata_0", Term: 3, LastApplied: 100, Vote: archive.Vote{Term: 3, NodeID: 1, Committed: true}, Membership: archive.Membership{Term: 2, NodeID: 1, Index: 5, Voters: []uint64{1, 2, 3}},
	})
	w.wantNoLocks()
	wantEqual(t, len(w.backups()), 3) // and nothing was changed
}

func TestAnInspectionReadsNoTable(t *testing.T) {
	w := newWorld(t)
	w.mustTake("one", noon)
	seen := len(w.server.Requests())
	w.want(w.run(job.Inspect, w.inspect()), job.BackupFound)
	wantEqual(t, []int{w.gets("/tables/", seen), w.gets(".tar.zst", seen)}, []int{0, 1})
}

func TestABackupThatIsNotThereIsSaidToBeSoWithThoseThatAre(t *testing.T) {
	w := newWorld(t)
	w.want(w.run(job.Inspect, w.inspect()), job.BackupMissing, "clusterUID of the source")
	w.want(w.run(job.Inspect, w.inspect(func(i *job.InspectRequest) { i.Source.ClusterUID = "" })), job.BackupMissing, "no cluster has backups", `"prefix/eu"`)
	a, _, c := w.three()
	w.want(w.run(job.Inspect, w.inspect(func(i *job.InspectRequest) { i.Source.ID = "20261125T120000Z-x" })), job.BackupMissing, a.ID, c.ID)
	w.want(w.run(job.Inspect, w.inspect(func(i *job.InspectRequest) { i.Before = noon.Add(-time.Second) })), job.BackupMissing, "from before 2026-11-25T11:59:59Z")
	// One that never became complete has no manifest.
	w.server.Put(base+"backups/20261125T120000Z-half/files.tar.zst", []byte("x"))
	w.want(w.run(job.Inspect, w.inspect(func(i *job.InspectRequest) { i.Source.ID = "20261125T120000Z-half" })), job.BackupMissing, "never became complete")
	w.want(w.run(job.Inspect, w.inspect()), job.BackupFound, c.ID)
}

func TestABackupOfAnotherClusterThanAskedForIsRefused(t *testing.T) {
	w := newWorld(t)
	one := w.mustTake("one", noon)
	w.want(w.run(job.Inspect, w.inspect(func(i *job.InspectRequest) { i.Key, i.Source.ClusterUID = one.Key, "another-uid" })), job.ForeignOwner, uid, "another-uid")
	for _, key := range []string{"other/" + one.Key, strings.TrimPrefix(one.Key, "prefix/"), "prefix/eu/x", "prefix/eu/" + uid + "/tables/" + one.ID, "prefix/eu/../" + uid + "/backups/" + one.ID} {
		w.want(w.run(job.Inspect, w.inspect(func(i *job.InspectRequest) { i.Key, i.Source.ClusterUID = key, "" })), job.DestinationInvalid, key, "status.key")
	}
	// A copy of the cluster: the same UID in another Kubernetes, or under another name.
	for _, change := range []func(*job.Owner){func(o *job.Owner) { o.Installation = "k2" }, func(o *job.Owner) { o.Namespace = "test" }, func(o *job.Owner) { o.Name = "other" }} {
		other := *w
		change(&other.request.Owner)
		w.want(other.run(job.Inspect, other.inspect()), job.ForeignOwner, "prod/my-cluster", "owner.json", "a copy of the other")
	}
	// A clone may read the backups of another cluster: it says whose.
	clone := *w
	clone.request.Owner = job.Owner{ClusterUID: "clone-uid", Name: "clone", Namespace: "test"}
	w.want(clone.run(job.Inspect, clone.inspect()), job.BackupFound, "prod/my-cluster")

	// A folder that was copied to another's name: the record, and without it every manifest, says whose it is.
	for _, key := range w.server.Objects() {
		body, _ := w.server.Object(key)
		w.server.Put(strings.Replace(key, uid, "copied-uid", 1), body)
	}
	copied := w.inspect(func(i *job.InspectRequest) { i.Source.ClusterUID = "copied-uid" })
	w.want(w.run(job.Inspect, copied), job.ForeignOwner, uid, "copied-uid")
	w.server.Corrupt("prefix/eu/copied-uid/owner.json", func(b []byte) []byte { return b[:len(b)/2] })
	r := w.run(job.Inspect, copied)
	w.want(r, job.BackupMissing)
	if text := strings.Join(r.Warnings, "\n"); !strings.Contains(text, "damaged") || !strings.Contains(text, "the manifest is of the cluster "+uid) {
		t.Errorf("%q", r.Warnings)
	}
}

func TestBackupsWhoseOwnersRecordIsLostAreAsGoodAsBefore(t *testing.T) {
	for name, change := range map[string]func(*s3test.Server){
		"damaged": func(s *s3test.Server) { s.Corrupt(base+"owner.json", func(b []byte) []byte { return b[:10] }) },
		"flipped": func(s *s3test.Server) {
			s.Corrupt(base+"owner.json", func(b []byte) []byte { b[len(b)/2] ^= 1; return b })
		},
	} {
		w := newWorld(t)
		w.mustTake("one", noon)
		change(w.server)
		r := w.run(job.Inspect, w.inspect())
		w.want(r, job.BackupFound)
		if len(r.Warnings) != 1 || !strings.Contains(r.Warnings[0], "owner.json") {
			t.Errorf("%s: %q", name, r.Warnings)
		}
	}
}

func TestOfSeveralClustersOneHasToBeNamed(t *testing.T) {
	w := newWorld(t)
	w.mustTake("one", noon)
	unnamed := w.inspect(func(i *job.InspectRequest) { i.Source.ClusterUID = "" })
	w.want(w.run(job.Inspect, unnamed), job.BackupFound)
	for i := range 30 {
		other := *w
		other.request.Owner = job.Owner{ClusterUID: fmt.Sprintf("other-uid-%02d", i), Name: fmt.Sprintf("other-%d", i), Namespace: "test"}
		w.want(other.run(job.Probe, other.request), job.DestinationWritable)
	}
	r := w.run(job.Inspect, unnamed)
	w.want(r, job.BackupMissing, "31 clusters", uid, "(prod/my-cluster)", "other-uid-00 (test/other-0)", "and 21 more", "source.clusterUID")
	if strings.Contains(r.Message, "other-uid-20") {
		t.Errorf("a list without an end: %s", r.Message)
	}
}

func TestABackupThatIsNotWholeIsRefusedBeforeAnythingStops(t *testing.T) {
	for name, c := range map[string]struct {
		damage func(w *world, one job.Result) string
		words  string
	}{
		"a table is missing": {func(w *world, one job.Result) string {
			key := w.objectOf(one, "000102.sst")
			w.server.Remove(key)
			return key
		}, "missing"},
		"a table is cut": {func(w *world, one job.Result) string {
			key := w.objectOf(one, "000102.sst")
			w.server.Corrupt(key, func(b []byte) []byte { return b[1:] })
			return key
		}, "2999 bytes"},
		"a table is another": {func(w *world, one job.Result) string {
			key := w.objectOf(one, "000102.sst")
			w.server.Put(key, random(77, 3000))
			return key
		}, "checksum"},
		"the rest is missing": {func(w *world, one job.Result) string { w.server.Remove(rest(w, one)); return rest(w, one) }, "missing"},
		"the rest is damaged": {func(w *world, one job.Result) string {
			w.server.Corrupt(rest(w, one), func(b []byte) []byte { b[len(b)/2] ^= 1; return b })
			return rest(w, one)
		}, ""},
		"the manifest is damaged": {func(w *world, one job.Result) string {
			w.server.Corrupt(one.Key, func(b []byte) []byte { return bytes.Replace(b, []byte(`"nodeID": 2`), []byte(`"nodeID": 3`), 1) })
			return one.Key
		}, "SHA-256"},
		"the manifest's sum is missing": {func(w *world, one job.Result) string {
			w.server.Remove(strings.TrimSuffix(one.Key, "json") + "sha256")
			return one.Key
		}, "not what was written"},
		"a format that is not known": {func(w *world, one job.Result) string {
			w.rewrite(one, func(b []byte) []byte {
				return bytes.Replace(b, []byte("robustmq.io/backup/1.0"), []byte("robustmq.io/backup/2.0"), 1)
			})
			return one.Key
		}, "use the version of the operator that wrote it"},
		"a raft group that is not known": {func(w *world, one job.Result) string {
			w.rewrite(one, func(b []byte) []byte { return bytes.Replace(b, []byte(`"metadata_0"`), []byte(`"metadata_1"`), 1) })
			return one.Key
		}, "metadata_0"},
		"files that make no database": {func(w *world, one job.Result) string {
			w.rewrite(one, func(b []byte) []byte { return bytes.Replace(b, []byte(`"000103.sst"`), []byte(`"OPTIONS-01"`), 1) })
			return one.Key
		}, "OPTIONS-01"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			one := w.mustTake("one", noon)
			key := c.damage(w, one)
			w.want(w.run(job.Inspect, w.inspect(func(i *job.InspectRequest) { i.Source.ID = one.ID })), job.BackupBroken, key, c.words, "choose another")
			// The newest good one is then the one before.
			w.faults.Choose(nil)
			older := w.mustTakeApart("older", noon.Add(-time.Hour))
			r := w.run(job.Inspect, w.inspect())
			if name == "a format that is not known" {
				w.want(r, job.BackupBroken, one.ID, "newer than all that can be read", "use the version of the operator that wrote it")
				return
			}
			w.want(r, job.BackupFound, older.ID)
			if len(r.Warnings) != 1 || !strings.Contains(r.Warnings[0], one.ID) || !strings.Contains(r.Warnings[0], "passed over") {
				t.Errorf("%q", r.Warnings)
			}
		})
	}
}

// mustTakeApart makes a backup that shares no table with the others.
func (w *world) mustTakeApart(name string, at time.Time) job.Result {
	w.t.Helper()
	w.agent = newAgent(w.t, w.root, map[string]content{
		"000301.sst": bytesContent(random(31, 5000)), "MANIFEST-000005": bytesContent([]byte("manifest")), "CURRENT": bytesContent([]byte("MANIFEST-000005\n")),
	})
	return w.mustTake(name, at)
}

// rewrite a manifest, and its sum.
func (w *world) rewrite(backup job.Result, change func([]byte) []byte) {
	w.t.Helper()
	body, _ := w.server.Object(backup.Key)
	changed := change(bytes.Clone(body))
	if bytes.Equal(body, changed) {
		w.t.Fatal("nothing was changed")
	}
	w.server.Put(backup.Key, changed)
	w.server.Put(strings.TrimSuffix(backup.Key, "json")+"sha256", []byte(bytesContent(changed).sum()+"  manifest.json\n"))
}

func TestAnEncryptedBackupIsInspectedWithTheIdentityThatTheRestoreWillHave(t *testing.T) {
	w := newWorld(t)
	recipient, secret := identity(t)
	_, other := identity(t)
	w.secrets = append(w.secrets, secret, other)
	w.mustTake("plain", noon)
	sealed := w.mustTake("sealed", noon.Add(time.Hour), func(r *job.TakeRequest) { r.Recipients = []string{recipient} })
	// Not passed over: it is not lost.
	w.want(w.run(job.Inspect, w.inspect()), job.EncryptionInvalid, "encrypted", "identitySecretName", recipient)
	put(t, w.root, job.IdentityFile, []byte(other))
	w.want(w.run(job.Inspect, w.inspect()), job.EncryptionInvalid, "none of the identities", recipient)
	put(t, w.root, job.IdentityFile, []byte(secret))
	r := w.run(job.Inspect, w.inspect())
	w.want(r, job.BackupFound, sealed.ID)
	wantEqual(t, []any{r.Encrypted, r.Inspected.Bytes}, []any{true, total(image())})
}

func TestAManifestThatIsNotTheChosenOneIsRefused(t *testing.T) {
	w := newWorld(t)
	one := w.mustTake("one", noon)
	w.want(w.run(job.Inspect, w.inspect(func(i *job.InspectRequest) { i.Source.ID, i.Source.ManifestSHA256 = one.ID, strings.Repeat("0", 64) })), job.BackupBroken, "replaced", one.ManifestSHA256)
}

func TestAnInspectionThatMayNotReadSaysSo(t *testing.T) {
	w := newWorld(t)
	w.mustTake("one", noon)
	w.faults.Choose(func(r *http.Request) s3test.Fault {
		if r.Method == http.MethodHead && strings.Contains(r.URL.Path, "/tables/") {
			return s3test.Denied
		}
		return s3test.None
	})
	w.want(w.run(job.Inspect, w.inspect()), job.AccessDenied, "/tables/")
}
