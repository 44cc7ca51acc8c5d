package job_test

import (
	"context"
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
