package store_test

import (
	"bytes"
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"time"

	"github.com/robustmq/robustmq-operator/backup/store"
	"github.com/robustmq/robustmq-operator/backup/store/s3test"
)

// reopened is content that can be opened again; it counts how often it was, and how many of those are open.
type reopened struct {
	opened, open atomic.Int64
	read         func() io.Reader
}

func (r *reopened) content(size int64, sum string) store.Content {
	return store.Content{Size: size, SHA256: sum, Open: func(context.Context) (io.ReadCloser, error) {
		r.opened.Add(1)
		if r.open.Add(1) > 1 {
			return nil, errors.New("it is open already")
		}
		return &closing{r.read(), func() { r.open.Add(-1) }}, nil
	}}
}

type closing struct {
	io.Reader
	closed func()
}

// Close implements io.Closer.
func (c *closing) Close() error {
	c.closed()
	return nil
}

// whole is a body as it comes from a network.
func whole(body []byte) *reopened {
	return &reopened{read: func() io.Reader { return iotest.DataErrReader(bytes.NewReader(body)) }}
}

func TestWhatCanBeOpenedAgainPassesThroughAsItIs(t *testing.T) {
	places(t, func(t *testing.T, s store.Store) {
		for _, n := range []int{0, 1, 100, store.PartSize, store.PartSize + 1, 3*store.PartSize + 17} {
			body := random(n)
			source := whole(body)
			info, err := s.Put(t.Context(), "tables/x", source.content(int64(n), hexSum(body)))
			if err != nil {
				t.Fatalf("%d bytes: %v", n, err)
			}
			head, err := s.Head(t.Context(), "tables/x")
			if err != nil {
				t.Fatal(err)
			}
			wantEqual(t, fmt.Sprint(info.Size, info.SHA256, info.Checksum), fmt.Sprint(n, hexSum(body), head.Checksum))
			sum, err := store.Hash(t.Context(), s, "tables/x")
			if err != nil {
				t.Fatal(err)
			}
			wantEqual(t, sum, hexSum(body))
			wantEqual(t, fmt.Sprint(source.opened.Load(), source.open.Load()), "1 0")
		}
	})
}

func TestATryThatFailedOpensItsSourceAnew(t *testing.T) {
	body := random(2*store.PartSize + 5)
	for fault, name := range map[s3test.Fault]string{s3test.Storm: "503", s3test.Broken: "500", s3test.LostAnswer: "a lost answer", s3test.Gone: "a cut connection"} {
		server, faults, s := serve(t, nil)
		faults.Choose(s3test.First(3, http.MethodPut, fault))
		source := whole(body)
		if _, err := s.Put(t.Context(), "k", source.content(int64(len(body)), hexSum(body))); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		got, _ := server.Object("k")
		wantEqual(t, fmt.Sprint(bytes.Equal(got, body), source.open.Load()), "true 0")
		if n := source.opened.Load(); n < 1 || n > 4 {
			t.Errorf("%s: opened %d times", name, n)
		}
	}
}

func TestAFaultOfTheSourceIsNotTriedAgainAndLeavesNothing(t *testing.T) {
	body := random(2 * store.PartSize)
	planted := errors.New("planted")
	for name, read := range map[string]func() io.Reader{
		"at once": func() io.Reader { return iotest.ErrReader(planted) },
		"in its middle": func() io.Reader {
			return io.MultiReader(bytes.NewReader(body[:store.PartSize+1]), iotest.ErrReader(planted))
		},
		"at its last": func() io.Reader {
			return io.MultiReader(bytes.NewReader(body[:len(body)-1]), iotest.ErrReader(planted))
		},
	} {
		places(t, func(t *testing.T, s store.Store) {
			source := &reopened{read: read}
			_, err := s.Put(t.Context(), "k", source.content(int64(len(body)), hexSum(body)))
			wantKind(t, err, store.KindMismatch)
			if !errors.Is(err, planted) {
				t.Errorf("%s: the cause is lost: %v", name, err)
			}
			wantEqual(t, fmt.Sprint(source.opened.Load(), source.open.Load(), keys(t.Context(), t, s, "", true)), "1 0 []")
		})
	}
}

// overTLS is a server behind TLS, where payloads are not signed.
func overTLS(t *testing.T, server *s3test.Server, stall time.Duration, wrap func(http.Handler) http.Handler) *store.S3 {
	t.Helper()
	server.Bucket, server.Region, server.AccessKey, server.SecretKey = "backups", "us-east-1", "AKTEST", "planted-secret-1"
	h := httptest.NewTLSServer(wrap(server))
	t.Cleanup(func() { h.CloseClientConnections(); h.Close() })
	s, err := store.NewS3(store.Config{
		Bucket: "backups", Region: "us-east-1", AccessKey: "AKTEST", SecretKey: "planted-secret-1", PathStyle: true, Endpoint: h.URL, Attempts: 2, Stall: stall,
		CA: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: h.Certificate().Raw}), Backoff: func(int) time.Duration { return time.Millisecond },
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestABitThatFlipsOnItsWayIsRefusedByTheStore(t *testing.T) {
	for _, n := range []int{100, 2*store.PartSize + 7} {
		body := random(n)
		for name, content := range map[string]func() store.Content{
			"passing":  func() store.Content { return whole(body).content(int64(n), hexSum(body)) },
			"buffered": func() store.Content { return store.Content{Body: bytes.NewReader(body), Size: int64(n)} },
		} {
			server, faults, s := serve(t, nil)
			faults.Choose(func(r *http.Request) s3test.Fault {
				if r.Method == http.MethodPut {
					return s3test.Altered
				}
				return s3test.None
			})
			_, err := s.Put(t.Context(), "k", content())
			wantKind(t, err, store.KindMismatch)
			wantEqual(t, server.Objects(), []string{})

			secure := &s3test.Server{}
			s = overTLS(t, secure, time.Minute, func(next http.Handler) http.Handler {
				f := &s3test.Faults{Next: next}
				f.Choose(func(r *http.Request) s3test.Fault {
					if r.Method == http.MethodPut {
						return s3test.Altered
					}
					return s3test.None
				})
				return f
			})
			_, err = s.Put(t.Context(), "k", content())
			if wantKind(t, err, store.KindMismatch); len(secure.Objects()) > 0 {
				t.Errorf("%s, %d bytes: it is there", name, n)
			}
		}
	}
}

func TestAStoreThatTakesNothingAnyMoreIsGivenUp(t *testing.T) {
	body := random(64 << 20) // more than what sockets hold
	ended := make(chan struct{})
	s := overTLS(t, &s3test.Server{}, 200*time.Millisecond, func(http.Handler) http.Handler {
		return http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			select { // it reads nothing of the body
			case <-r.Context().Done():
			case <-ended:
			}
		})
	})
	defer close(ended)
	source := whole(body)
	_, err := s.Put(t.Context(), "k", source.content(int64(len(body)), hexSum(body)))
	wantKind(t, err, store.KindTransient)
	if err == nil || !strings.Contains(err.Error(), "nothing moved for 200ms") {
		t.Error(err)
	}
	wantEqual(t, fmt.Sprint(source.opened.Load(), source.open.Load()), "2 0")
}

func TestASlowSourceIsNotTheStoresFault(t *testing.T) {
	body := random(1000)
	s := overTLS(t, &s3test.Server{}, 100*time.Millisecond, func(next http.Handler) http.Handler { return next })
	source := &reopened{read: func() io.Reader { return &slow{bytes.NewReader(body)} }}
	if _, err := s.Put(t.Context(), "k", source.content(int64(len(body)), hexSum(body))); err != nil {
		t.Error(err)
	}
	wantEqual(t, source.opened.Load(), 1)
}

// slow waits longer for every part than a store may.
type slow struct{ r io.Reader }

// Read implements io.Reader.
func (s *slow) Read(p []byte) (int, error) {
	<-time.After(150 * time.Millisecond)
	return s.r.Read(p[:min(len(p), 400)])
}
