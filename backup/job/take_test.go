package job_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/robustmq/robustmq-operator/backup/archive"
	"github.com/robustmq/robustmq-operator/backup/job"
	"github.com/robustmq/robustmq-operator/backup/store"
	"github.com/robustmq/robustmq-operator/backup/store/s3test"
	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
)

func TestABackupHoldsTheImageAndItsManifestFactsAlone(t *testing.T) {
	w := newWorld(t)
	w.agent.staging = 3
	r := w.mustTake("one", noon)
	wantEqual(t, w.backups(), []string{"20261125T120000Z-one"})
	b, err := w.archive().Read(t.Context(), r.ID)
	if err != nil {
		t.Fatal(err)
	}
	m := b.Manifest
	wantEqual(t, m.Groups[1], archive.Group{
		Name: "metadata_0", Term: 3, LastApplied: 100, Vote: archive.Vote{Term: 3, NodeID: 1, Committed: true}, Membership: archive.Membership{Term: 2, NodeID: 1, Index: 5, Voters: []uint64{1, 2, 3}},
	})
	wantEqual(t, len(m.Groups), 3)
	wantEqual(t, m.Counts, map[string]int64{"users": 316, "topics": 37, "tenants": 3})
	wantEqual(t, m.Cluster, archive.Cluster{UID: uid, Name: "my-cluster", Namespace: "prod"})
	wantEqual(t, m.Member, archive.Member{Pod: "my-cluster-placement-center-1", NodeID: 2})
	wantEqual(t, m.RobustMQ, archive.Server{Version: "0.4.11", ImageDigest: "sha256:abc"})
	wantEqual(t, m.Nodes, archive.Nodes{PlacementCenter: 3, MQTTBroker: 5})
	wantEqual(t, []any{m.Name, m.Schedule, m.Tool, m.RecoveryPoint, m.Started}, []any{"one", "hourly", "robustmq-operator test", noon, noon})
	wantEqual(t, []int{len(m.Tables), len(m.Files.Entries)}, []int{3, 3})

	wantEqual(t, []any{r.Key, r.SizeBytes, r.RecoveryPoint, r.Encrypted}, []any{base + "backups/" + r.ID + "/manifest.json", m.Size(), noon, false})
	wantEqual(t, r.Groups, []job.Position{{Group: "data_0", Term: 3, LastApplied: 102}, {Group: "metadata_0", Term: 3, LastApplied: 100}, {Group: "offset_0", Term: 3, LastApplied: 101}})
	if r.UploadedBytes != r.SizeBytes || len(r.Warnings) > 0 {
		t.Errorf("%+v", r)
	}
	body, _ := w.server.Object(r.Key)
	if got := bytesContent(body).sum(); got != r.ManifestSHA256 {
		t.Errorf("the manifest has %s, the result says %s", got, r.ManifestSHA256)
	}
	w.agent.with(func(a *fakeAgent) {
		wantEqual(t, []int{a.released, a.streams}, []int{1, 0})
		for _, peer := range a.peers {
			if peer != protocol.ClientURI("prod", "my-cluster", protocol.ClientJob) {
				t.Errorf("%s called", peer)
			}
		}
	})
}

func TestASecondBackupUploadsOnlyWhatIsNew(t *testing.T) {
	w := newWorld(t)
	w.mustTake("one", noon)
	r := w.mustTake("two", noon.Add(time.Hour))
	if r.UploadedBytes == 0 || r.UploadedBytes > 10_000 {
		t.Errorf("%d bytes of %d were new", r.UploadedBytes, r.SizeBytes)
	}
	wantEqual(t, len(w.backups()), 2)
	w.agent.with(func(a *fakeAgent) {
		tables := 0
		for _, call := range a.calls {
			if strings.HasSuffix(call, ".sst") {
				tables++
			}
		}
		wantEqual(t, tables, 3) // of the first
	})
}

func TestABackupThatIsThereAlreadyIsCompleteAndNothingIsAskedOfTheMember(t *testing.T) {
	w := newWorld(t)
	first := w.mustTake("one", noon)
	w.agent.with(func(a *fakeAgent) { a.calls = nil })
	again := w.mustTake("one", noon)
	wantEqual(t, []any{again.ID, again.Key, again.ManifestSHA256, again.SizeBytes, again.UploadedBytes, again.Groups}, []any{first.ID, first.Key, first.ManifestSHA256, first.SizeBytes, int64(0), first.Groups})
	w.agent.with(func(a *fakeAgent) { wantEqual(t, len(a.calls), 0) })

	w.server.Corrupt(first.Key, func(b []byte) []byte { b[100] ^= 1; return b })
	w.want(w.run(job.Take, w.take("one", noon)), job.BackupBroken, first.Key)
}

func TestAnEncryptedBackupIsReadInFullWhereTheIdentityIsMounted(t *testing.T) {
	w := newWorld(t)
	recipient, secret := identity(t)
	encrypted := func(r *job.TakeRequest) { r.Recipients, r.Verification = []string{recipient}, archive.Full }
	r := w.mustTake("one", noon, encrypted)
	if !r.Encrypted || len(r.Warnings) != 1 || !strings.Contains(r.Warnings[0], "no identity is mounted") {
		t.Errorf("%+v", r)
	}
	put(t, w.root, job.IdentityFile, []byte(secret))
	w.secrets = append(w.secrets, secret)
	if r := w.mustTake("two", noon.Add(time.Hour), encrypted); len(r.Warnings) > 0 {
		t.Errorf("%q", r.Warnings)
	}
	_, other := identity(t)
	put(t, w.root, job.IdentityFile, []byte(other))
	request := w.take("three", noon.Add(2*time.Hour))
	encrypted(request.Take)
	w.want(w.run(job.Take, request), job.EncryptionInvalid, "identit")
	put(t, w.root, job.IdentityFile, []byte("no identity"))
	w.want(w.run(job.Take, request), job.EncryptionInvalid, "AGE-SECRET-KEY-, as age-keygen prints") // the word, not a key
	request.Take.Recipients = []string{"age1nonsense"}
	w.want(w.run(job.Take, request), job.EncryptionInvalid, "recipient 0")
	list, err := w.archive().List(t.Context())
	wantEqual(t, []any{len(list), err}, []any{2, nil})
}

func TestWhatMovesWhileTheImageIsTakenIsNotCounted(t *testing.T) {
	w := newWorld(t)
	delete(w.agent.counts, "tenants")
	w.agent.counted = func(name string) {
		if name == "users" {
			w.agent.counts[name]++
		}
	}
	r := w.mustTake("one", noon)
	wantEqual(t, r.Counts, map[string]int64{"topics": 37})
	wantEqual(t, len(r.Warnings), 2)
	if text := strings.Join(r.Warnings, "\n"); !strings.Contains(text, "users went from 316 to 317") || !strings.Contains(text, "tenants could not be counted") {
		t.Error(text)
	}
}

func TestAMemberThatHasFallenBehindIsNotSaved(t *testing.T) {
	w := newWorld(t)
	behind := func(r *job.TakeRequest) { r.Positions["metadata_0"] = 101 }
	request := w.take("one", noon)
	behind(request.Take)
	w.want(w.run(job.Take, request), job.ImageFailed, "applied 100", "metadata_0", "101")
	request.Take.Positions = map[string]uint64{"other_0": 1}
	w.want(w.run(job.Take, request), job.ImageFailed, "other_0")
	w.wantObjects("owner.json")
	w.agent.with(func(a *fakeAgent) { wantEqual(t, a.released, 1) })
}

func TestACutConnectionIsTakenUpWhereItEnded(t *testing.T) {
	for name, hang := range map[string]bool{"cut": false, "silent": true} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.options.Patience.Stall = 100 * time.Millisecond
			cuts := map[string]int{}
			w.agent.cut = func(name string, offset int64) (int64, bool) {
				size := w.agent.files[name].size
				if cuts[name] == 3 {
					return size, false
				}
				cuts[name]++
				return offset + (size-offset)/2, hang
			}
			w.mustTake("one", noon)
			wantEqual(t, len(w.backups()), 1)
			wantEqual(t, cuts["000101.sst"], 3)
		})
	}
}

func TestAConnectionThatIsCutBehindTheLastByteLosesNothing(t *testing.T) {
	w := newWorld(t)
	done := map[string]bool{}
	w.agent.intercept = func(rw http.ResponseWriter, r *http.Request) bool {
		name := filepath.Base(r.URL.Path)
		c, file := w.agent.files[name]
		if !file || done[name] || name != "000102.sst" {
			return false
		}
		done[name] = true
		rw.Header().Set("Trailer", protocol.TrailerSHA256)
		b := make([]byte, c.size)
		if _, err := c.at(0).Read(b); err != nil {
			t.Error(err)
		}
		rw.Write(b) //nolint:errcheck // the client may be gone
		rw.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	}
	w.mustTake("one", noon)
	wantEqual(t, len(w.backups()), 1)
}

func TestBytesThatAreNotThoseAnnouncedAreNoBackup(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(*fakeAgent)
		words string
	}{
		"a flipped bit":                 {func(a *fakeAgent) { a.spoil = func(name string) bool { return name == "000103.sst" } }, "000103.sst"},
		"a flipped bit in a large file": {func(a *fakeAgent) { a.spoil = func(name string) bool { return name == "000101.sst" } }, "000101.sst"},
		"a flipped bit in the log":      {func(a *fakeAgent) { a.spoil = func(name string) bool { return name == "000104.log" } }, "000104.log"},
		"another content":               {func(a *fakeAgent) { a.files["000102.sst"] = bytesContent(random(9, 3000)) }, "another content"},
		"a longer file":                 {func(a *fakeAgent) { a.files["000102.sst"] = bytesContent(random(2, 3001)) }, "000102.sst"},
		"another log":                   {func(a *fakeAgent) { a.files["000104.log"] = bytesContent(random(9, 90_000)) }, "000104.log"},
		"no files":                      {func(a *fakeAgent) { a.image.Files = nil }, "0 files"},
		"a name":                        {func(a *fakeAgent) { a.image.Files[0].Name = "../000101.sst" }, "000101"},
		"a negative size":               {func(a *fakeAgent) { a.image.Files[0].Size = -1 }, "-1"},
		"no groups":                     {func(a *fakeAgent) { a.image.Groups = nil }, "groups"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			c.spoil(w.agent)
			r := w.run(job.Take, w.take("one", noon))
			w.want(r, job.ImageFailed, c.words)
			if n := len(w.backups()); n > 0 {
				t.Errorf("%d backups", n)
			}
		})
	}
}

func TestWhyTheMemberGivesNoImageIsSaid(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*world)
		reason job.Reason
		words  []string
	}{
		"the volume is full": {func(w *world) {
			w.agent.image.Phase, w.agent.image.Reason, w.agent.image.Message = protocol.ImageFailed, protocol.ImageNoSpace, "12 bytes are free, 99 must stay free"
		}, job.NoSpace, []string{"12 bytes are free", "grow the volume"}},
		"the database changes too fast": {func(w *world) {
			w.agent.image.Phase, w.agent.image.Reason, w.agent.image.Message = protocol.ImageFailed, protocol.ImageUnstable, "no consistent image in 50 attempts"
		}, job.ImageFailed, []string{"Unstable", "50 attempts"}},
		"another image": {func(w *world) { w.agent.other = "image-of-someone" }, job.Busy, []string{"image-of-someone"}},
		"no space at once": {func(w *world) {
			w.agent.intercept = func(rw http.ResponseWriter, r *http.Request) bool {
				refuse(rw, 507, protocol.ReasonNoSpace, "the staging space is used up")
				return true
			}
		}, job.NoSpace, []string{"staging space"}},
		"an old agent": {func(w *world) {
			w.agent.intercept = func(rw http.ResponseWriter, r *http.Request) bool {
				refuse(rw, 400, protocol.ReasonBadRequest, "no such call")
				return true
			}
		}, job.AgentRefused, []string{"no such call", "different versions"}},
		"not allowed": {func(w *world) {
			w.agent.intercept = func(rw http.ResponseWriter, r *http.Request) bool {
				refuse(rw, 403, protocol.ReasonForbidden, "not for you")
				return true
			}
		}, job.AgentRefused, []string{"not for you"}},
		"started again while it waits": {func(w *world) {
			w.agent.staging = 100
			w.agent.intercept = func(rw http.ResponseWriter, r *http.Request) bool {
				if r.Method == http.MethodGet && strings.Contains(r.URL.Path, "image-one") {
					refuse(rw, 404, protocol.ReasonNotFound, "no image")
					return true
				}
				return false
			}
		}, job.AgentLost, []string{"started again"}},
		"no certificate":                {func(w *world) { w.remove(protocol.PKIDir + "/tls.key") }, job.AgentRefused, []string{"tls.key"}},
		"another cluster's certificate": {func(w *world) { newAgent(w.t, w.root, image()) }, job.AgentRefused, []string{"trust"}},
		"nobody there":                  {func(w *world) { w.agent.Close() }, job.AgentLost, []string{"does not answer"}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, c.change)
			w.options.Patience.Lost = 300 * time.Millisecond
			w.options.Patience.Busy = 100 * time.Millisecond
			w.want(w.run(job.Take, w.take("one", noon)), c.reason, c.words...)
			w.wantObjects("owner.json")
		})
	}
}

func TestAnImageThatADeadJobLeftIsWaitedFor(t *testing.T) {
	w := newWorld(t)
	w.agent.other = "image-of-the-dead"
	w.options.Patience.Busy = 20 * time.Second
	tries := 0
	w.agent.intercept = func(_ http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodPost {
			if tries++; tries == 3 {
				w.agent.with(func(a *fakeAgent) { a.other = "" })
			}
		}
		return false
	}
	w.mustTake("one", noon)
}

func TestAMemberThatGoesAwayInTheMiddleIsLostAndLeavesNoBackup(t *testing.T) {
	for _, file := range []string{"000101.sst", "000103.sst", "000104.log"} {
		t.Run(file, func(t *testing.T) {
			w := newWorld(t)
			w.options.Patience.Lost = 300 * time.Millisecond
			w.agent.intercept = func(rw http.ResponseWriter, r *http.Request) bool {
				if strings.HasSuffix(r.URL.Path, file) {
					w.agent.Listener.Close()
					go w.agent.CloseClientConnections()
					panic(http.ErrAbortHandler)
				}
				return false
			}
			w.want(w.run(job.Take, w.take("one", noon)), job.AgentLost, "does not answer any more")
			wantEqual(t, len(w.backups()), 0)
			if _, there := w.server.Object(base + "backups/20261125T120000Z-one/manifest.json"); there {
				t.Error("there is a manifest")
			}
			wantEqual(t, w.server.Uploads(), 0)
		})
	}
}

func TestAnAgentThatWasStartedAgainHasNoImageAnyMore(t *testing.T) {
	w := newWorld(t)
	w.agent.cut = func(name string, offset int64) (int64, bool) { return w.agent.files[name].size / 2, false }
	gone := false
	w.agent.intercept = func(rw http.ResponseWriter, r *http.Request) bool {
		if r.Header.Get("Range") != "" || gone {
			gone = true
			refuse(rw, 404, protocol.ReasonNotFound, "no image")
		}
		return gone
	}
	w.want(w.run(job.Take, w.take("one", noon)), job.AgentLost, "started again")
	wantEqual(t, len(w.backups()), 0)
}

func TestProgressIsReportedAndTheLeaseRenewedAlsoWhileTheBucketIsRead(t *testing.T) {
	w := newWorld(t)
	w.server.NoChecksums = true // so that verification reads everything
	slow := make(chan struct{})
	w.faults.Choose(func(r *http.Request) s3test.Fault {
		if r.Method == http.MethodGet && strings.Contains(r.URL.Path, "/tables/") {
			<-slow // until the lease was renewed four times without progress
		}
		return s3test.None
	})
	go func() {
		defer close(slow)
		deadline := time.Now().Add(20 * time.Second)
		for time.Now().Before(deadline) {
			verifying := 0
			w.agent.with(func(a *fakeAgent) {
				for _, p := range a.reports {
					if p.Stage == protocol.StageVerifying || p.Bytes == p.Total {
						verifying++
					}
				}
			})
			if verifying >= 4 {
				return
			}
			<-time.After(5 * time.Millisecond)
		}
		t.Error("the lease was not renewed")
	}()
	w.mustTake("one", noon)
	w.agent.with(func(a *fakeAgent) {
		wantEqual(t, a.reports[0].Stage, protocol.StageUploading)
		for i, p := range a.reports {
			if p.Total == 0 || p.Bytes > p.Total {
				t.Errorf("report %d: %+v", i, p)
			}
		}
	})
}

func TestAnAgentThatTakesNoReportsDoesNotStopABackup(t *testing.T) {
	w := newWorld(t)
	w.agent.intercept = func(rw http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodPut {
			refuse(rw, 500, protocol.ReasonInternal, "no")
			return true
		}
		return false
	}
	w.mustTake("one", noon)
}

func TestWhereNothingMovesTheJobEndsAndSaysWhatItWasDoing(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*world)
		words  string
	}{
		"staging": {func(w *world) { w.agent.staging = 1 << 30 }, "waiting for the member's image"},
		"uploading": {func(w *world) {
			w.options.Tune = func(c *store.Config) { c.Stall = time.Minute }
			w.faults.Choose(func(r *http.Request) s3test.Fault {
				if r.Method == http.MethodPut && strings.Contains(r.URL.Path, "/tables/") {
					return s3test.Hung
				}
				return s3test.None
			})
		}, "uploading"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, c.change)
			w.options.Patience.Deadline = 700 * time.Millisecond
			began := time.Now()
			w.want(w.run(job.Take, w.take("one", noon)), job.Deadline, c.words, "progressDeadline")
			if took := time.Since(began); took > 20*time.Second {
				t.Errorf("after %s", took)
			}
			w.agent.with(func(a *fakeAgent) { wantEqual(t, a.released, 1) })
		})
	}
}

func TestAJobThatIsToldToEndClearsAwayWhatItWroteAndReleasesTheImage(t *testing.T) {
	stages := map[string]func(*http.Request) bool{
		"claiming": func(r *http.Request) bool { return strings.HasSuffix(r.URL.Path, "owner.json") },
		"locking": func(r *http.Request) bool {
			return r.Method == http.MethodPut && strings.Contains(r.URL.Path, "/locks/")
		},
		"uploading": func(r *http.Request) bool {
			return r.Method == http.MethodPut && strings.Contains(r.URL.Path, "/tables/")
		},
		"files": func(r *http.Request) bool {
			return r.Method == http.MethodPut && strings.HasSuffix(r.URL.Path, "files.tar.zst")
		},
		"verifying": func(r *http.Request) bool {
			return r.Method == http.MethodHead && strings.HasSuffix(r.URL.Path, "files.tar.zst")
		},
		"sum": func(r *http.Request) bool { return strings.HasSuffix(r.URL.Path, "manifest.sha256") },
	}
	for name, at := range stages {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			w.faults.Choose(func(r *http.Request) s3test.Fault {
				if at(r) && ctx.Err() == nil {
					cancel()
					return s3test.Hung
				}
				return s3test.None
			})
			r := w.runWithin(ctx, job.Take, w.take("one", noon))
			w.want(r, job.Interrupted, "told to end")
			if r.ID != "" || r.Key != "" {
				t.Errorf("%+v names a backup", r)
			}
			for _, key := range w.server.Objects() {
				if strings.Contains(key, "/locks/") || strings.Contains(key, "manifest.json") || strings.Contains(key, "files.tar") {
					t.Errorf("%s is left", key)
				}
			}
			wantEqual(t, w.server.Uploads(), 0)
			w.agent.with(func(a *fakeAgent) {
				if asked := slices.Contains(a.calls, "POST /v1/images"); asked != (a.released == 1) {
					t.Errorf("asked %t, released %d", asked, a.released)
				}
			})
			w.faults.Choose(nil)
			w.mustTake("two", noon.Add(time.Hour))
		})
	}
}

func TestAFaultInTheProgramIsAResultToo(t *testing.T) {
	w := newWorld(t)
	w.options.Tune = func(*store.Config) { panic("planted") }
	w.want(w.run(job.Probe, w.request), job.Crashed, "planted")
}

// remove a file of the pod.
func (w *world) remove(name string) {
	w.t.Helper()
	if err := os.Remove(filepath.Join(w.root, name)); err != nil {
		w.t.Fatal(err)
	}
}

func TestTheAgentOfABrokerIsAskedForNumbers(t *testing.T) {
	w := newWorld(t)
	w.agent.counts = map[string]int64{"users": 0, "topics": 0, "tenants": 0} // a member has no users in its cache
	broker := &fakeAgent{counts: map[string]int64{"users": 7, "topics": 8, "tenants": 9}}
	broker.Server = httptest.NewUnstartedServer(broker)
	broker.TLS = w.agent.TLS.Clone()
	broker.StartTLS()
	t.Cleanup(broker.Close)
	r := w.mustTake("one", noon, func(r *job.TakeRequest) { r.Counter = broker.address() })
	wantEqual(t, r.Counts, broker.counts)
}
