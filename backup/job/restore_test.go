package job_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/robustmq/robustmq-operator/backup/job"
	"github.com/robustmq/robustmq-operator/backup/store/s3test"
	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
)

func TestABackupIsBroughtToAllMembersAndEveryObjectIsReadOnce(t *testing.T) {
	for _, n := range []int{1, 3, 7} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			w := newWorld(t)
			one := w.mustTake("one", noon)
			members := w.members(n)
			seen := len(w.server.Requests())
			r := w.mustRestore(one, members, image())
			wantEqual(t, []any{r.ID, r.Key, r.ManifestSHA256, r.SizeBytes, r.RecoveryPoint, r.Counts, r.Encrypted, len(r.Warnings)},
				[]any{one.ID, one.Key, one.ManifestSHA256, one.SizeBytes, one.RecoveryPoint, one.Counts, false, 0})
			for _, key := range w.server.Objects() {
				if object := strings.Contains(key, "/tables/") || strings.HasSuffix(key, ".tar.zst"); object && w.gets(key, seen) != 1 {
					t.Errorf("%s was read %d times for %d members", key, w.gets(key, seen), n)
				}
			}
			// Again: everything is there already.
			seen = len(w.server.Requests())
			w.mustRestore(one, members, image())
			wantEqual(t, w.gets("/tables/", seen)+w.gets(".tar.zst", seen), 0)
		})
	}
}

func TestWhereNoCallFailedNothingIsWaitedFor(t *testing.T) {
	w := newWorld(t)
	files := small()
	for i := range 20 {
		files[fmt.Sprintf("%06d.sst", 200+i)] = bytesContent(random(uint64(20+i), 5000))
	}
	w.agent = newAgent(t, w.root, files)
	one := w.mustTake("one", noon)
	members := w.members(3)
	w.options.Patience.Backoff = 5 * time.Second
	began := time.Now()
	w.mustRestore(one, members, files)
	if took := time.Since(began); took > 10*time.Second { // four objects at a time: a pause after each of them would be half a minute
		t.Errorf("it took %s", took)
	}
}

func TestTheMembersGetTheRequestThatTheOperatorMade(t *testing.T) {
	w := newWorld(t)
	one := w.mustTake("one", noon)
	members := w.members(3)
	asked := w.restore(one, members)
	var begun sync.Map
	for _, m := range members {
		m.intercept = func(_ http.ResponseWriter, r *http.Request) bool {
			if r.Method == http.MethodPost {
				begun.Store(m.Pod, r.TLS.PeerCertificates[0].URIs[0].String())
			}
			return false
		}
	}
	w.want(w.run(job.Restore, asked), job.BackupPlaced)
	for _, m := range members {
		peer, _ := begun.Load(m.Pod)
		wantEqual(t, peer, any(protocol.ClientURI("prod", "my-cluster", protocol.ClientJob)))
		m.wantWhole(image())
		record, err := os.ReadFile(filepath.Join(m.dir, "placement.json"))
		if err != nil {
			t.Fatal(err)
		}
		for _, word := range []string{`"id":"restore-1"`, `"origin":"Restored"`, `"clusterUID":"` + uid + `"`, fmt.Sprintf(`"nodeID":%d,"generation":2`, m.NodeID), `"committed":true`, `"voters":[1,2,3]`} {
			if !strings.Contains(string(record), word) {
				t.Errorf("%s: nothing of %s in %s", m.Pod, word, record)
			}
		}
	}
}

// spots are bytes of the stream of a file at which a Job may be killed.
func spots(size int64) []int64 {
	const block = 128 << 10
	all := []int64{0, 1, size / 2, block - 1, block, block + 1, 2*block - 1, size - 1, size}
	var fit []int64
	for _, n := range all {
		if n <= size && (len(fit) == 0 || fit[len(fit)-1] != n) {
			fit = append(fit, n)
		}
	}
	return fit
}

func TestAJobThatIsKilledAtAnyByteIsGoneOnWithWhereItWas(t *testing.T) {
	for _, name := range []string{"000101.sst", "000102.sst", "000103.sst", "000104.log", "CURRENT", "MANIFEST-000005"} {
		files := small()
		if name == "000101.sst" {
			files = image()
		}
		for _, at := range spots(files[name].size) {
			t.Run(fmt.Sprintf("%s at %d", name, at), func(t *testing.T) {
				w := newWorld(t)
				w.agent = newAgent(t, w.root, files)
				one := w.mustTake("one", noon)
				members := w.members(3)
				ctx, kill := context.WithCancel(t.Context())
				defer kill()
				victim := members[at%3]
				victim.body = func(file string, offset int64, body io.Reader) io.Reader {
					if file != name {
						return body
					}
					return &killing{r: body, left: at - offset, kill: kill}
				}
				w.want(w.runWithin(ctx, job.Restore, w.restore(one, members)), job.Interrupted)
				victim.with(func(m *restoredMember) { m.body = nil })
				w.wantNoLocks()
				had := victim.received.Load()
				w.mustRestore(one, members, files)
				if whole := total(files); victim.received.Load() > whole+256<<10 { // what was in buffers is sent again
					t.Errorf("%d bytes were sent to a member that had %d of %d", victim.received.Load()-had, had, whole)
				}
			})
		}
	}
}

func total(files map[string]content) int64 {
	var n int64
	for _, f := range files {
		n += f.size
	}
	return n
}

// killing is a body at a byte of which the Job is killed.
type killing struct {
	r    io.Reader
	left int64
	kill func()
}

// Read implements io.Reader.
func (k *killing) Read(p []byte) (int, error) {
	if k.left <= 0 {
		k.kill()
		return k.r.Read(p) // behind it comes at most what was under way
	}
	n, err := k.r.Read(p[:min(int64(len(p)), k.left)])
	if k.left -= int64(n); k.left == 0 && err != nil { // the end came with the last byte
		k.kill()
	}
	return n, err
}

func TestMembersThatHaveDifferentPartsEachGetTheRest(t *testing.T) {
	w := newWorld(t)
	one := w.mustTake("one", noon)
	members := w.members(3)
	files := image()
	big := files["000101.sst"]
	request := w.restore(one, members)
	// The first has nothing, the second a part, the third more than the second.
	for i, at := range []int64{-1, 1000, 3 << 20} {
		if at < 0 {
			continue
		}
		m := members[i]
		begun := w.begun(m, request)
		if _, err := m.target.Put(t.Context(), begun.ID, "000101.sst", 0, io.LimitReader(big.at(0), at)); err != nil {
			t.Fatal(err)
		}
	}
	seen := len(w.server.Requests())
	w.mustRestore(one, members, files)
	wantEqual(t, w.gets(w.objectOf(one, "000101.sst"), seen), 1)
	for i, at := range []int64{0, 1000, 3 << 20} {
		if got := members[i].received.Load(); got != total(files)-at {
			t.Errorf("%s had %d bytes and was sent %d of %d", members[i].Pod, at, got, total(files))
		}
	}
	// When all of them have the beginning, it is not even read.
	more := w.members(3)
	for i, at := range []int64{5 << 20, 6 << 20, big.size} {
		begun := w.begun(more[i], request)
		if _, err := more[i].target.Put(t.Context(), begun.ID, "000101.sst", 0, io.LimitReader(big.at(0), at)); err != nil {
			t.Fatal(err)
		}
	}
	var ranges atomic.Pointer[string]
	w.faults.Choose(func(r *http.Request) s3test.Fault {
		if text := r.Header.Get("Range"); text != "" && r.Method == http.MethodGet {
			ranges.Store(&text)
		}
		return s3test.None
	})
	w.mustRestore(one, more, files)
	if got := ranges.Load(); got == nil || *got != fmt.Sprintf("bytes=%d-", 5<<20) {
		t.Errorf("read was %v", got)
	}
}

// begun is the placement of a restore, as a Job begins it.
func (w *world) begun(m *restoredMember, r job.Request) protocol.PlacementRequest {
	w.t.Helper()
	b, err := w.archive().Read(w.t.Context(), r.Restore.Source.ID)
	if err != nil {
		w.t.Fatal(err)
	}
	p := protocol.PlacementRequest{ID: r.Restore.PlacementID, Origin: r.Restore.Origin, ClusterUID: r.Owner.ClusterUID, NodeID: m.NodeID, Generation: r.Restore.Generation, Edits: r.Restore.Edits}
	for _, t := range b.Manifest.Tables {
		p.Files = append(p.Files, protocol.PlacementFile{Name: t.Name, Size: t.Size, SHA256: t.SHA256})
	}
	for _, e := range b.Manifest.Files.Entries {
		p.Files = append(p.Files, protocol.PlacementFile{Name: e.Name, Size: e.Size, SHA256: e.SHA256})
	}
	if _, err := m.target.Begin(p); err != nil {
		w.t.Fatal(err)
	}
	return p
}

func TestASlowMemberSetsThePace(t *testing.T) {
	w := newWorld(t)
	w.options.Patience.Lost, w.options.Patience.Deadline = 10*time.Second, 4*time.Second
	one := w.mustTake("one", noon)
	members := w.members(3)
	members[1].body = func(_ string, _ int64, body io.Reader) io.Reader { return &slow{r: body} }
	began := time.Now()
	w.mustRestore(one, members, image())
	if took := time.Since(began); took < w.options.Patience.Deadline {
		t.Errorf("it took %s, and was to take longer than the deadline", took)
	}
	wantEqual(t, len(members[0].puts), 6) // nobody was cut off for it
	wantEqual(t, len(members[1].puts), 6)
}

// slow is a body of which a chunk is read every few milliseconds.
type slow struct{ r io.Reader }

// Read implements io.Reader.
func (s *slow) Read(p []byte) (int, error) {
	<-time.After(4 * time.Millisecond)
	return s.r.Read(p[:min(len(p), 8<<10)])
}

func TestAMemberThatDiesAndComesBackGetsWhatItLacks(t *testing.T) {
	w := newWorld(t)
	one := w.mustTake("one", noon)
	members := w.members(3)
	var once sync.Once
	m := members[2]
	m.body = func(name string, _ int64, body io.Reader) io.Reader {
		if name != "000101.sst" {
			return body
		}
		return &killing{r: body, left: 4 << 20, kill: func() {
			once.Do(func() {
				m.with(func(m *restoredMember) { m.down, m.body = true, nil })
				m.CloseClientConnections()
				go func() {
					<-time.After(300 * time.Millisecond)
					m.restart()
					m.with(func(m *restoredMember) { m.down = false })
				}()
			})
		}}
	}
	w.mustRestore(one, members, image())
	for _, other := range members[:2] {
		wantEqual(t, len(other.puts), 6) // they were not disturbed
	}
	if got := m.received.Load(); got > total(image())+1<<20 {
		t.Errorf("%d bytes were sent to it", got)
	}
}

func TestAMemberThatStaysAwayEndsTheJobWithItsName(t *testing.T) {
	for name, away := range map[string]func(*restoredMember){
		"from the beginning": func(m *restoredMember) { m.down = true },
		"in the middle": func(m *restoredMember) {
			m.body = func(_ string, _ int64, body io.Reader) io.Reader {
				return &killing{r: body, left: 5000, kill: func() { m.with(func(m *restoredMember) { m.down = true }); m.CloseClientConnections() }}
			}
		},
		"with an open connection": func(m *restoredMember) {
			m.body = func(_ string, _ int64, body io.Reader) io.Reader {
				return &killing{r: body, left: 5000, kill: func() { <-m.t.(*testing.T).Context().Done() }}
			}
		},
		"and never answers": func(m *restoredMember) {
			m.intercept = func(_ http.ResponseWriter, r *http.Request) bool {
				if r.Method != http.MethodPut {
					return false
				}
				io.Copy(io.Discard, r.Body) //nolint:errcheck // it takes everything
				<-r.Context().Done()
				panic(http.ErrAbortHandler)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.options.Patience.Lost, w.options.Patience.Deadline = 200*time.Millisecond, 800*time.Millisecond
			one := w.mustTake("one", noon)
			members := w.members(3)
			m := members[1]
			m.t = t
			away(m)
			began := time.Now()
			w.want(w.run(job.Restore, w.restore(one, members)), job.AgentLost, m.Pod, "goes on where it stopped")
			if took := time.Since(began); took > 30*time.Second {
				t.Errorf("after %s", took)
			}
			w.wantNoLocks()
		})
	}
}

func TestAMemberThatIsBusyIsWaitedForAndNotForEver(t *testing.T) {
	w := newWorld(t)
	w.options.Patience.Deadline = 5 * time.Second
	one := w.mustTake("one", noon)
	members := w.members(3)
	var busy atomic.Int32
	members[0].intercept = func(rw http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodGet || busy.Add(1) > 4 {
			return false
		}
		refuse(rw, 409, protocol.ReasonBusy, "another call is being carried out")
		return true
	}
	w.mustRestore(one, members, image())

	w.options.Patience.Deadline = 300 * time.Millisecond
	members = w.members(3)
	members[2].intercept = func(rw http.ResponseWriter, _ *http.Request) bool {
		refuse(rw, 409, protocol.ReasonBusy, "placement seed-7 is here")
		return true
	}
	w.want(w.run(job.Restore, w.restore(one, members)), job.Busy, members[2].Pod, "seed-7")
}

func TestWhatAMemberRefusesEndsTheJobWithItsWords(t *testing.T) {
	for name, c := range map[string]struct {
		method string
		status int
		says   string
		want   job.Reason
	}{
		"its server runs":         {http.MethodPost, 409, protocol.ReasonConflict, job.PlacementRefused},
		"no room":                 {http.MethodPost, 507, protocol.ReasonNoSpace, job.NoSpace},
		"no room in the middle":   {http.MethodPut, 507, protocol.ReasonNoSpace, job.NoSpace},
		"another version":         {http.MethodPost, 400, protocol.ReasonBadRequest, job.AgentRefused},
		"not for Jobs":            {http.MethodPut, 403, protocol.ReasonForbidden, job.AgentRefused},
		"abandoned in the middle": {http.MethodPut, 404, protocol.ReasonNotFound, job.PlacementRefused},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.options.Patience.Lost = 200 * time.Millisecond
			one := w.mustTake("one", noon)
			members := w.members(3)
			members[1].intercept = func(rw http.ResponseWriter, r *http.Request) bool {
				if r.Method != c.method {
					return false
				}
				refuse(rw, c.status, c.says, "in its own words")
				return true
			}
			w.want(w.run(job.Restore, w.restore(one, members)), c.want, members[1].Pod, "in its own words")
		})
	}
}

func TestAMemberWhoseBytesAreSpoiledGetsThemAgainAFewTimes(t *testing.T) {
	w := newWorld(t)
	one := w.mustTake("one", noon)
	for _, times := range []int32{1, 2} {
		members := w.members(3)
		var spoiled atomic.Int32
		members[1].body = func(name string, offset int64, body io.Reader) io.Reader {
			if name == "000103.sst" && offset == 0 && spoiled.Add(1) <= times {
				return &flipped{r: body, at: 100_000}
			}
			return body
		}
		w.mustRestore(one, members, image())
		if n := spoiled.Load(); n != times+1 {
			t.Errorf("it was sent %d times", n)
		}
		wantEqual(t, len(members[0].puts), 6)
	}
	members := w.members(3)
	members[1].body = func(name string, _ int64, body io.Reader) io.Reader {
		if name == "000103.sst" {
			return &flipped{r: body, at: 100_000}
		}
		return body
	}
	w.want(w.run(job.Restore, w.restore(one, members)), job.PlacementRefused, members[1].Pod, "000103.sst", "3 times", "disk")
}

func TestAMemberThatLiesIsNotBelievedForLong(t *testing.T) {
	for name, c := range map[string]struct {
		lie   func(*restoredMember)
		words string
	}{
		"more than there is": {func(m *restoredMember) {
			m.answer = func(f protocol.PlacedFile) protocol.PlacedFile { f.Received = f.Size + 1; return f }
		}, "cannot be"},
		"fewer than nothing": {func(m *restoredMember) {
			m.placement = func(p protocol.Placement) protocol.Placement { p.Files[0].Received = -1; return p }
		}, "cannot be"},
		"another file": {func(m *restoredMember) {
			m.answer = func(f protocol.PlacedFile) protocol.PlacedFile { f.Name = "CURRENT"; return f }
		}, "cannot be"},
		"verified, a part": {func(m *restoredMember) {
			m.placement = func(p protocol.Placement) protocol.Placement { p.Files[1].Verified = true; return p }
		}, "cannot be"},
		"never verified": {func(m *restoredMember) {
			m.answer = func(f protocol.PlacedFile) protocol.PlacedFile { f.Verified = false; return f }
		}, "not that they are verified"},
		"nothing ever arrives": {func(m *restoredMember) {
			m.answer = func(f protocol.PlacedFile) protocol.PlacedFile { f.Verified, f.Received = false, 0; return f }
			m.placement = func(p protocol.Placement) protocol.Placement {
				p.Phase = protocol.PlacementReceiving
				for i := range p.Files {
					p.Files[i].Verified, p.Files[i].Received = false, 0
				}
				return p
			}
			m.intercept = func(w http.ResponseWriter, r *http.Request) bool {
				if r.Method == http.MethodPut { // it takes everything, and throws it away
					n, _ := io.Copy(io.Discard, r.Body)
					name := r.URL.Path[strings.LastIndex(r.URL.Path, "/")+1:]
					m.say(w, protocol.PlacedFile{Name: name, Size: n}, nil)
					return true
				}
				return false
			}
		}, "its agent says that it has 0"},
		"all is there, in the end not": {func(m *restoredMember) {
			m.answer = func(f protocol.PlacedFile) protocol.PlacedFile { f.Verified, f.Received = true, f.Size; return f }
			m.intercept = func(w http.ResponseWriter, r *http.Request) bool {
				if r.Method == http.MethodPut {
					n, _ := io.Copy(io.Discard, r.Body)
					name := r.URL.Path[strings.LastIndex(r.URL.Path, "/")+1:]
					m.say(w, protocol.PlacedFile{Name: name, Size: n, Received: n, Verified: true}, nil)
					return true
				}
				return false
			}
		}, "did not have all of them"},
		"another placement": {func(m *restoredMember) {
			m.placement = func(p protocol.Placement) protocol.Placement { p.ID = "seed-1"; return p }
		}, "seed-1"},
		"taken back": {func(m *restoredMember) {
			m.placement = func(p protocol.Placement) protocol.Placement { p.Phase = protocol.PlacementReverted; return p }
		}, "taken back"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			one := w.mustTake("one", noon)
			members := w.members(3)
			c.lie(members[1])
			w.want(w.run(job.Restore, w.restore(one, members)), job.PlacementRefused, members[1].Pod, c.words)
		})
	}
}

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
