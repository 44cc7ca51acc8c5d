package client

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
)

// imageServer answers every file with body, announcing sum; an empty sum has no trailer.
func imageServer(t *testing.T, status int, body, sum string) *podClient {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Trailer", protocol.TrailerSHA256)
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
		if sum != "" {
			w.Header().Set(protocol.TrailerSHA256, sum)
		}
	}))
	t.Cleanup(server.Close)
	return &podClient{base: server.URL, http: server.Client(), limits: Limits{}.withDefaults()}
}

func TestBytesThatAreNotThoseThatWereSentAreFound(t *testing.T) {
	hash := sha256.Sum256([]byte("content"))
	right := hex.EncodeToString(hash[:])
	for name, c := range map[string]struct {
		body, sum string
		damaged   bool
	}{"right": {"content", right, false}, "a flipped bit": {"conteot", right, true}, "cut short": {"conten", right, true}, "no trailer": {"content", "", true}, "another trailer": {"content", "00", true}} {
		stream, err := imageServer(t, http.StatusOK, c.body, c.sum).ImageFile(t.Context(), "a", "000001.sst", 0)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(stream)
		if errors.Is(err, ErrDamaged) != c.damaged || err != nil && !c.damaged || string(got) != c.body {
			t.Errorf("%s: %q, %v", name, got, err)
		}
		if err := stream.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestOnlyWhoComparesAsksForATrailer(t *testing.T) {
	var asked []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.Header.Get("TE"))
		if strings.HasSuffix(r.URL.Path, "/cut") {
			w.Header().Set("Content-Length", "8")
		}
		_, _ = io.WriteString(w, "content")
	}))
	t.Cleanup(server.Close)
	c := &podClient{base: server.URL, http: server.Client(), limits: Limits{}.withDefaults()}
	for name, want := range map[string]error{"whole": nil, "cut": io.ErrUnexpectedEOF} {
		stream, err := c.ImageBytes(t.Context(), "a", name, 0)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(stream); !errors.Is(err, want) || string(got) != "content" {
			t.Errorf("%s: %q, %v", name, got, err)
		}
		if err := stream.Close(); err != nil {
			t.Error(err)
		}
	}
	stream, err := c.ImageFile(t.Context(), "a", "whole", 0)
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	if _, err := io.ReadAll(stream); !errors.Is(err, ErrDamaged) {
		t.Errorf("no trailer: %v", err)
	}
	if want := []string{"", "", "trailers"}; !slices.Equal(asked, want) {
		t.Errorf("asked with %q", asked)
	}
}

func TestAnAnswerThatIgnoresTheRangeIsNoRest(t *testing.T) {
	// 200 to a request for the rest would be the whole file, put behind what was there already.
	if _, err := imageServer(t, http.StatusOK, "content", "").ImageFile(t.Context(), "a", "000001.sst", 3); err == nil {
		t.Error("the whole file was taken for its rest")
	}
	if _, err := imageServer(t, http.StatusPartialContent, "content", "").ImageFile(t.Context(), "a", "000001.sst", 0); err == nil {
		t.Error("a part was taken for the whole file")
	}
	if _, err := imageServer(t, http.StatusConflict, `{"reason":"Busy","message":"later"}`, "").ImageFile(t.Context(), "a", "x", 0); Reason(err) != protocol.ReasonBusy {
		t.Error(err)
	}
}
