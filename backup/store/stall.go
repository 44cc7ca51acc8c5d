package store

import (
	"context"
	"io"
	"net/http"
	"time"
)

// stalling is a transport that gives up an answer that sends nothing for a while: net/http waits for a body for ever, and some calls of the client library take no context.
type stalling struct {
	next  http.RoundTripper
	stall time.Duration
}

// RoundTrip implements http.RoundTripper.
func (t stalling) RoundTrip(r *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithCancel(r.Context())
	response, err := t.next.RoundTrip(r.WithContext(ctx))
	if err != nil {
		cancel()
		return response, err
	}
	response.Body = &watched{body: response.Body, stall: t.stall, cancel: cancel}
	return response, nil
}

// watched is the body of an answer.
type watched struct {
	body   io.ReadCloser
	stall  time.Duration
	cancel context.CancelFunc
}

// Read implements io.Reader.
func (w *watched) Read(p []byte) (int, error) {
	watch := time.AfterFunc(w.stall, w.cancel)
	defer watch.Stop()
	return w.body.Read(p)
}

// Close implements io.Closer.
func (w *watched) Close() error {
	defer w.cancel()
	return w.body.Close()
}
