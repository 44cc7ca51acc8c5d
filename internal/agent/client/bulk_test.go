package client

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"time"

	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
)

// put is what an agent saw of a file that was sent to it.
type put struct {
	announced int64
	content   []byte
	err       error
}

// receiver is an agent that takes files, and a count of the writes to its connections.
func receiver(t *testing.T) (c Client, seen chan put, writes *atomic.Int64) {
	t.Helper()
	id := identity(t, name)
	seen, writes = make(chan put, 1), &atomic.Int64{}
	pool, _ := serve(t, id, Limits{}, func(w http.ResponseWriter, r *http.Request) {
		content, err := io.ReadAll(r.Body)
		seen <- put{r.ContentLength, content, err}
		json.NewEncoder(w).Encode(protocol.PlacedFile{Name: "000001.sst", Received: int64(len(content))}) //nolint:errcheck // the client sees
	})
	dial := pool.dial
	pool.dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := dial(ctx, network, addr)
		return countedConn{conn, writes}, err
	}
	c, err := pool.Client("uid", id, "10.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	return c, seen, writes
}

type countedConn struct {
	net.Conn
	writes *atomic.Int64
}

func (c countedConn) Write(p []byte) (int, error) {
	c.writes.Add(1)
	return c.Conn.Write(p)
}

func randomBytes(t *testing.T, n int) []byte {
	t.Helper()
	b := make([]byte, n)
	if _, err := rand.Read(b); err != nil {
		t.Fatal(err)
	}
	return b
}

// lengthOnly is content that says how long it is, and does not write itself.
type lengthOnly struct {
	io.Reader
	n int
}

func (l lengthOnly) Len() int { return l.n }

// blocks writes itself in pieces of a size, as a Job's stream does, whatever it says of its length.
type blocks struct {
	content []byte
	size, n int
}

func (b *blocks) Len() int { return b.n }

func (b *blocks) Read([]byte) (int, error) { return 0, errors.New("it is written, not read") }

func (b *blocks) WriteTo(w io.Writer) (written int64, err error) {
	for len(b.content) > 0 {
		n, err := w.Write(b.content[:min(b.size, len(b.content))])
		written += int64(n)
		if err != nil {
			return written, err
		}
		b.content = b.content[n:]
	}
	return written, nil
}

func TestAFileArrivesAsItIsWhateverItsPieces(t *testing.T) {
	c, seen, _ := receiver(t)
	if file, err := c.PutFile(t.Context(), "restore-1", "CURRENT", 0, bytes.NewReader(nil)); err != nil || file.Received != 0 {
		t.Errorf("an empty file: %+v, %v", file, err)
	}
	<-seen
	for _, n := range []int{1, longWrite - 1, longWrite, together, 2<<20 + 77} {
		content := randomBytes(t, n)
		for kind, body := range map[string]struct {
			io.Reader
			announced int
		}{
			"bytes":               {bytes.NewReader(content), n},
			"no length":           {struct{ io.Reader }{bytes.NewReader(content)}, -1},
			"small reads":         {lengthOnly{iotest.HalfReader(bytes.NewReader(content)), n}, n},
			"blocks of 256 KiB":   {&blocks{content, 256 << 10, n}, n},
			"blocks of 40,000":    {&blocks{content, 40_000, n}, n},
			"blocks of 300 bytes": {&blocks{content, 300, n}, n},
		} {
			file, err := c.PutFile(t.Context(), "restore-1", "000001.sst", 0, body.Reader)
			if err != nil {
				t.Fatalf("%d bytes, %s: %v", n, kind, err)
			}
			got := <-seen
			if got.err != nil || !bytes.Equal(got.content, content) || file.Received != int64(n) || got.announced != int64(body.announced) {
				t.Errorf("%d bytes, %s: %d came, %d were announced, %v", n, kind, len(got.content), got.announced, got.err)
			}
		}
	}
}

func TestTheRecordsOfALongWriteGoOutTogether(t *testing.T) {
	c, seen, writes := receiver(t)
	content := randomBytes(t, 8<<20)
	if _, err := c.PutFile(t.Context(), "restore-1", "000001.sst", 0, &blocks{content, 256 << 10, len(content)}); err != nil {
		t.Fatal(err)
	}
	<-seen
	// 512 records of 16 KiB, eight of them together, and what a connection begins with.
	if n := writes.Load(); n > 100 {
		t.Errorf("%d writes for %d MiB", n, len(content)>>20)
	}
}

func TestABodyThatIsNotAsLongAsAnnouncedIsNoFile(t *testing.T) {
	content := randomBytes(t, 1<<20)
	for what, body := range map[string]io.Reader{
		"shorter":             &blocks{content, 256 << 10, len(content) + 1},
		"longer":              &blocks{content, 256 << 10, len(content) - 1},
		"shorter, not blocks": lengthOnly{bytes.NewReader(content), len(content) + 1},
	} {
		c, seen, _ := receiver(t)
		if file, err := c.PutFile(t.Context(), "restore-1", "000001.sst", 0, body); err == nil {
			t.Errorf("%s: %+v", what, file)
		}
		if got := <-seen; got.err == nil {
			t.Errorf("%s: the agent takes %d bytes for a file", what, len(got.content))
		}
	}
}

func TestAConnectionWhoseOtherSideTakesNothingIsClosedAtOnce(t *testing.T) {
	id := identity(t, name)
	config, err := id.tlsConfig()
	if err != nil {
		t.Fatal(err)
	}
	ours, theirs := net.Pipe()
	defer theirs.Close()
	shaken := make(chan error, 1)
	go func() {
		other := tls.Server(theirs, &tls.Config{MinVersion: tls.VersionTLS13, Certificates: config.Certificates, ClientAuth: tls.RequireAnyClientCert, SessionTicketsDisabled: true})
		shaken <- other.HandshakeContext(t.Context())
	}()
	conn, err := dialTLS(func(context.Context, string, string) (net.Conn, error) { return ours, nil }, config, time.Minute)(t.Context(), "tcp", "agent:7443")
	if err != nil {
		t.Fatal(err)
	}
	if err := <-shaken; err != nil {
		t.Fatal(err)
	}
	written := make(chan error, 1)
	go func() {
		_, err := conn.Write(make([]byte, 100<<10)) // less than goes out together: TLS is through with it
		written <- err
	}()
	first := make([]byte, 1)
	if _, err := io.ReadFull(theirs, first); err != nil { // it is on its way, and nobody takes the rest
		t.Fatal(err)
	}
	began := time.Now()
	conn.Close()
	if took := time.Since(began); took > 4*time.Second {
		t.Errorf("it took %s: crypto/tls waits for 5 s until its last word is taken", took)
	}
	select {
	case err := <-written:
		if err == nil {
			t.Error("what nobody took was written")
		}
	case <-time.After(20 * time.Second):
		t.Error("the write goes on")
	}
}

func TestAHandshakeThatNobodyAnswersEnds(t *testing.T) {
	config, err := identity(t, name).tlsConfig()
	if err != nil {
		t.Fatal(err)
	}
	ours, theirs := net.Pipe()
	go io.Copy(io.Discard, theirs) //nolint:errcheck // it ends with the connection
	_, err = dialTLS(func(context.Context, string, string) (net.Conn, error) { return ours, nil }, config, 50*time.Millisecond)(t.Context(), "tcp", "agent:7443")
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
	if err := ours.SetDeadline(time.Now().Add(time.Minute)); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("the connection stays open: %v", err)
	}
}
