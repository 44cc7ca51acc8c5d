package agent

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"hash"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/robustmq/robustmq-operator/internal/agent/images"
	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
)

// maxPlacementBody is a request with the most files.
const maxPlacementBody = 3 << 20

// chunk is how much of a stream is in memory.
const chunk = 64 << 10

// handleImages adds the calls that move images.
func (a *Agent) handleImages(mux *http.ServeMux) {
	one := protocol.PathImages + "/{id}"
	mux.HandleFunc("POST "+protocol.PathImages, asked(a, http.StatusAccepted, func(r *http.Request) (protocol.Image, error) {
		request, err := decode[protocol.ImageRequest](r, maxBody)
		if err != nil {
			return protocol.Image{}, err
		}
		return a.source.Begin(r.Context(), request)
	}))
	mux.HandleFunc("GET "+one, asked(a, http.StatusOK, func(r *http.Request) (protocol.Image, error) { return a.source.Get(r.PathValue("id")) }))
	mux.HandleFunc("PUT "+one+"/progress", asked(a, http.StatusOK, func(r *http.Request) (protocol.Image, error) {
		progress, err := decode[protocol.ImageProgress](r, maxBody)
		if err != nil {
			return protocol.Image{}, err
		}
		return a.source.Report(r.PathValue("id"), progress)
	}))
	mux.HandleFunc("DELETE "+one, done(a, a.source.Release))
	mux.HandleFunc("GET "+one+"/files/{name}", a.serveImageFile)
}

// handlePlacements adds the calls that put images in place.
func (a *Agent) handlePlacements(mux *http.ServeMux) {
	one := protocol.PathPlacements + "/{id}"
	mux.HandleFunc("POST "+protocol.PathPlacements, asked(a, http.StatusOK, func(r *http.Request) (protocol.Placement, error) {
		request, err := decode[protocol.PlacementRequest](r, maxPlacementBody)
		if err != nil {
			return protocol.Placement{}, err
		}
		return a.target.Begin(request)
	}))
	mux.HandleFunc("GET "+one, asked(a, http.StatusOK, func(r *http.Request) (protocol.Placement, error) { return a.target.Get(r.PathValue("id")) }))
	mux.HandleFunc("PUT "+one+"/files/{name}", a.servePutFile)
	mux.HandleFunc("DELETE "+one, done(a, a.ending(a.target.Delete)))
	mux.HandleFunc("POST "+one+"/discard", done(a, a.ending(a.target.Discard)))
	for name, call := range map[string]struct {
		status int
		do     func(string) (protocol.Placement, error)
	}{
		"place": {http.StatusAccepted, a.target.Place}, "open": {http.StatusOK, a.target.Open}, "revert": {http.StatusOK, a.target.Revert},
	} {
		mux.HandleFunc("POST "+one+"/"+name, asked(a, call.status, func(r *http.Request) (protocol.Placement, error) { return call.do(r.PathValue("id")) }))
	}
}

// asked answers a call with its result.
func asked[T any](a *Agent, status int, call func(*http.Request) (T, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		result, err := call(r)
		if err != nil {
			a.refuse(w, err)
			return
		}
		a.answer(w, status, result)
	}
}

// done answers a call that has no result.
func done(a *Agent, call func(id string) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if err := call(r.PathValue("id")); err != nil {
			a.refuse(w, err)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	}
}

// decode reads a body of at most limit bytes, strictly: what is not understood is not carried out.
func decode[T any](r *http.Request, limit int64) (T, error) {
	var value T
	decoder := json.NewDecoder(io.LimitReader(r.Body, limit))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&value); err != nil {
		return value, badRequest("the body cannot be read: %v", err)
	}
	return value, nil
}

// serveImageFile streams a file, or a range of it, with the SHA-256 of what was sent behind it for who asks for trailers. The caller sets the pace: no more than a chunk is in memory.
func (a *Agent) serveImageFile(w http.ResponseWriter, r *http.Request) {
	stream, err := a.source.Open(r.PathValue("id"), r.PathValue("name"))
	if err != nil {
		a.refuse(w, err)
		return
	}
	defer stream.Close() //nolint:errcheck // it was only read
	part, err := images.ParseRange(r.Header.Get("Range"), stream.Info.Size)
	if err == nil {
		err = stream.Skip(part.From)
	}
	if err != nil {
		a.refuse(w, err)
		return
	}
	header, status := w.Header(), http.StatusOK
	header.Set("Content-Type", "application/octet-stream")
	header.Set("Accept-Ranges", "bytes")
	var sum hash.Hash
	if takesTrailers(r) {
		sum = sha256.New()
		header.Set("Trailer", protocol.TrailerSHA256)
	} else {
		header.Set("Content-Length", strconv.FormatInt(part.Length, 10))
	}
	if part.Partial {
		status = http.StatusPartialContent
		header.Set("Content-Range", part.Header(stream.Info.Size))
	}
	w.WriteHeader(status)
	control := http.NewResponseController(w)
	// A write that waits for a caller who reads no more ends when the image is removed.
	stop := stream.AfterEnd(func() { a.cut(control) })
	defer stop()
	if err := a.send(control, w, stream, part.Length, sum); err != nil {
		a.o.Log.Info("image stream ended early", "file", stream.Info.Name, "error", err)
		a.cut(control) // so that the answer does not look complete
		return
	}
	if err := control.SetWriteDeadline(time.Time{}); err != nil {
		a.o.Log.Debug("answer", "error", err)
	}
	if sum != nil {
		header.Set(protocol.TrailerSHA256, hex.EncodeToString(sum.Sum(nil)))
	}
}

// takesTrailers: the caller says so in TE, a list of codings with parameters (RFC 9110, 10.1.4).
func takesTrailers(r *http.Request) bool {
	for _, value := range r.Header.Values("TE") {
		for coding := range strings.SplitSeq(value, ",") {
			if strings.EqualFold(strings.TrimSpace(coding), "trailers") {
				return true
			}
		}
	}
	return false
}

// cut makes everything that is still written to a connection fail.
func (a *Agent) cut(control *http.ResponseController) {
	if err := control.SetWriteDeadline(time.Unix(1, 0)); err != nil {
		a.o.Log.Debug("answer", "error", err)
	}
}

// send writes length bytes of the stream, and into sum, where it is not nil. Who takes none for as long as an image's lease is cut off.
func (a *Agent) send(control *http.ResponseController, w io.Writer, stream *images.Stream, length int64, sum hash.Hash) error {
	buffer := make([]byte, chunk)
	for length > 0 {
		n, err := io.ReadFull(stream, buffer[:min(length, chunk)])
		if err != nil { // also when the file is shorter than it was
			return err
		}
		if err := control.SetWriteDeadline(time.Now().Add(a.o.Timings.ImageLease)); err != nil {
			return err
		}
		if err := stream.Err(); err != nil {
			return err // the deadline that its end has set was just overwritten
		}
		if sum != nil {
			sum.Write(buffer[:n])
		}
		if _, err := w.Write(buffer[:n]); err != nil {
			return err
		}
		length -= int64(n)
	}
	return nil
}

// servePutFile receives a file, or the rest of one.
func (a *Agent) servePutFile(w http.ResponseWriter, r *http.Request) {
	offset, err := images.ParseOffset(r.URL.Query().Get("offset"))
	if err != nil {
		a.refuse(w, err)
		return
	}
	control := http.NewResponseController(w)
	body := &patient{body: r.Body, control: control, limit: a.o.Timings.ImageLease}
	// What arrived is verified and noted even when the caller hangs up just then.
	file, err := a.target.Put(context.WithoutCancel(r.Context()), r.PathValue("id"), r.PathValue("name"), offset, body)
	if errors.Is(err, errBody) {
		a.o.Log.Info("image file was cut", "file", file.Name, "received", file.Received, "error", err)
		err = badRequest("the connection ended at byte %d: go on from there", file.Received)
	}
	if err != nil {
		a.refuse(w, err)
		return
	}
	if err := control.SetReadDeadline(time.Time{}); err != nil {
		a.o.Log.Debug("answer", "error", err)
	}
	a.answer(w, http.StatusOK, file)
}

// errBody says that the caller's bytes ended early, which is not the volume's fault.
var errBody = errors.New("the body ended early")

// patient is a body that may be slow, but not silent.
type patient struct {
	body    io.Reader
	control *http.ResponseController
	limit   time.Duration
}

func (p *patient) Read(b []byte) (int, error) {
	if err := p.control.SetReadDeadline(time.Now().Add(p.limit)); err != nil {
		return 0, err
	}
	n, err := p.body.Read(b)
	if err != nil && !errors.Is(err, io.EOF) {
		err = errors.Join(errBody, err)
	}
	return n, err
}
