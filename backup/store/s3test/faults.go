package s3test

import (
	"io"
	"net/http"
	"sync"
)

// Fault is what becomes of one request.
type Fault int

// The faults.
const (
	None       Fault = iota
	Storm            // 503 SlowDown, nothing is done
	Broken           // 500, nothing is done
	LostAnswer       // done, and the connection is cut before the answer
	Truncated        // the answer is cut off in its middle
	Stalled          // the answer stops in its middle, and nothing more comes
	Denied           // 403, nothing is done
	Full             // 507, nothing is done
	Echo             // 403 that repeats the request's headers, as a chatty proxy does
	Flipped          // one bit of the answer is another one
	Altered          // one bit of the request's body is another one
	Hung             // nothing is done, and no answer comes
	Gone             // nothing is done, and the connection is cut
)

// Faults stand between a client and a server.
type Faults struct {
	Next http.Handler

	mu     sync.Mutex
	choose func(*http.Request) Fault
}

// Choose says what becomes of each request from now on. Nil: nothing.
func (f *Faults) Choose(choose func(*http.Request) Fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.choose = choose
}

// First n requests of a method meet a fault, the others none.
func First(n int, method string, fault Fault) func(*http.Request) Fault {
	var mu sync.Mutex
	return func(r *http.Request) Fault {
		mu.Lock()
		defer mu.Unlock()
		if n == 0 || r.Method != method {
			return None
		}
		n--
		return fault
	}
}

func (f *Faults) pick(r *http.Request) Fault {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.choose == nil {
		return None
	}
	return f.choose(r)
}

// ServeHTTP implements http.Handler.
func (f *Faults) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	refuse := func(status int, code, message string) {
		w.WriteHeader(status)
		if r.Method != http.MethodHead {
			w.Write([]byte("<Error><Code>" + code + "</Code><Message>" + message + "</Message></Error>")) //nolint:errcheck // the client may be gone
		}
	}
	fault := f.pick(r)
	switch fault {
	case None:
		f.Next.ServeHTTP(w, r)
	case Storm:
		refuse(503, "SlowDown", "Please reduce your request rate.")
	case Broken:
		refuse(500, "InternalError", "We encountered an internal error. Please try again.")
	case Denied:
		refuse(403, "AccessDenied", "Access Denied")
	case Full:
		refuse(507, "XMinioStorageFull", "Storage backend has reached its minimum free drive threshold.")
	case Echo:
		text := ""
		for name, values := range r.Header {
			text += name + "=" + values[0] + " "
		}
		refuse(403, "AccessDenied", text)
	case Hung:
		io.Copy(io.Discard, r.Body) //nolint:errcheck // a server sees only behind the body that its client is gone
		<-r.Context().Done()
		panic(http.ErrAbortHandler)
	case Gone:
		panic(http.ErrAbortHandler)
	case Altered:
		r.Body = &altered{ReadCloser: r.Body}
		f.Next.ServeHTTP(w, r)
	case LostAnswer:
		f.Next.ServeHTTP(&recorder{header: http.Header{}}, r)
		panic(http.ErrAbortHandler)
	case Truncated, Stalled, Flipped:
		rec := &recorder{header: http.Header{}, status: 200}
		f.Next.ServeHTTP(rec, r)
		for name, values := range rec.header {
			w.Header()[name] = values
		}
		if fault == Flipped && len(rec.body) > 0 {
			rec.body[len(rec.body)/2] ^= 1
		}
		w.WriteHeader(rec.status)
		if fault == Flipped || len(rec.body) == 0 {
			w.Write(rec.body) //nolint:errcheck // the client may be gone
			return
		}
		w.Write(rec.body[:len(rec.body)/2]) //nolint:errcheck // the client may be gone
		if flusher, ok := w.(http.Flusher); ok {
			flusher.Flush()
		}
		if fault == Stalled {
			<-r.Context().Done()
		}
		panic(http.ErrAbortHandler)
	}
}

// altered is a body whose first byte is another one.
type altered struct {
	io.ReadCloser
	done bool
}

// Read implements io.Reader.
func (a *altered) Read(p []byte) (int, error) {
	n, err := a.ReadCloser.Read(p)
	if n > 0 && !a.done {
		p[0] ^= 1
		a.done = true
	}
	return n, err
}

// recorder keeps an answer.
type recorder struct {
	header http.Header
	status int
	body   []byte
}

// Header implements http.ResponseWriter.
func (r *recorder) Header() http.Header { return r.header }

// WriteHeader implements http.ResponseWriter.
func (r *recorder) WriteHeader(status int) { r.status = status }

// Write implements http.ResponseWriter.
func (r *recorder) Write(b []byte) (int, error) {
	r.body = append(r.body, b...)
	return len(b), nil
}
