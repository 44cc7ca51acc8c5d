package job_test

import (
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/robustmq/robustmq-operator/backup/job"
	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
)

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
