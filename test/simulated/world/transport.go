package world

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
)

// Write is one change that an operator made through the API.
type Write struct {
	Verb, Resource, Subresource, Name string
}

func (w Write) String() string {
	name := w.Verb + " " + w.Resource
	if w.Subresource != "" {
		name += "/" + w.Subresource
	}
	return name + " " + w.Name
}

// IsEvent tells events from what changes something: an operator sends them from a queue, in no fixed order with the rest.
func (w Write) IsEvent() bool { return w.Resource == "events" }

var errDead = errors.New("this operator is dead")

// recorder stands between one operator and the API server: it counts writes, and kills the operator after one of them.
type recorder struct {
	next http.RoundTripper
	// fatal is called after the write number killAfter (from 1, events not counted); its answer is never seen.
	fatal     func()
	killAfter int

	mu     sync.Mutex
	dead   bool
	writes []Write
	count  int
}

// RoundTrip implements http.RoundTripper.
func (r *recorder) RoundTrip(request *http.Request) (*http.Response, error) {
	r.mu.Lock()
	dead := r.dead
	r.mu.Unlock()
	if dead {
		return nil, errDead
	}
	response, err := r.next.RoundTrip(request)
	if err != nil || request.Method == http.MethodGet || response.StatusCode >= 300 {
		return response, err
	}
	write := writeOf(request)
	if write.Resource == "selfsubjectaccessreviews" || write.Resource == "tokenreviews" {
		return response, nil // questions that are asked by a POST
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.dead {
		_ = response.Body.Close()
		return nil, errDead
	}
	r.writes = append(r.writes, write)
	if write.IsEvent() {
		return response, nil
	}
	if r.count++; r.count == r.killAfter {
		r.dead = true
		go r.fatal()
		_ = response.Body.Close()
		return nil, fmt.Errorf("after %v: %w", write, errDead)
	}
	return response, nil
}

func (r *recorder) kill() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.dead = true
}

func (r *recorder) seen() []Write {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]Write(nil), r.writes...)
}

// writeOf reads the path: /api/v1/namespaces/NS/RESOURCE[/NAME[/SUB]] or /apis/GROUP/VERSION/...
func writeOf(request *http.Request) Write {
	parts := strings.Split(strings.Trim(request.URL.Path, "/"), "/")
	skip := 2
	if parts[0] == "apis" {
		skip = 3
	}
	parts = parts[min(skip, len(parts)):]
	if len(parts) > 2 && parts[0] == "namespaces" {
		parts = parts[2:]
	}
	write := Write{Verb: map[string]string{http.MethodPost: "create", http.MethodPut: "update", http.MethodPatch: "patch", http.MethodDelete: "delete"}[request.Method]}
	for i, into := range []*string{&write.Resource, &write.Name, &write.Subresource} {
		if i < len(parts) {
			*into = parts[i]
		}
	}
	return write
}
