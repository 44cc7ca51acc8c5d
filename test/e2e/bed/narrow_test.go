package bed

import (
	"bytes"
	"io"
	"net"
	"testing"
	"time"
)

// echo answers what it is sent.
func echo(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				_, _ = io.Copy(c, c)
			}()
		}
	}()
	return l.Addr().String()
}

func through(t *testing.T, n *Narrow, sent []byte) ([]byte, time.Duration) {
	t.Helper()
	c, err := net.Dial("tcp", n.Address())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	begin := time.Now()
	go func() {
		_, _ = c.Write(sent)
		_ = c.(*net.TCPConn).CloseWrite()
	}()
	got, err := io.ReadAll(c)
	if err != nil {
		t.Fatal(err)
	}
	return got, time.Since(begin)
}

func TestANarrowWayPassesEverythingOnAndNoFasterThanItsRate(t *testing.T) {
	n, err := Open("127.0.0.1", echo(t), 100<<10)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = n.Close() })
	sent := bytes.Repeat([]byte("0123456789abcdef"), 50<<10/16)
	got, took := through(t, n, sent)
	if !bytes.Equal(got, sent) || took < 450*time.Millisecond {
		t.Errorf("%d of %d bytes in %s: at 100 KiB/s it takes half a second", len(got), len(sent), took)
	}
	n.Widen(0)
	if got, took = through(t, n, sent); !bytes.Equal(got, sent) || took > 300*time.Millisecond {
		t.Errorf("%d of %d bytes in %s without a limit", len(got), len(sent), took)
	}
}

func TestClosingANarrowWayEndsItsConnections(t *testing.T) {
	n, err := Open("127.0.0.1", echo(t), 1)
	if err != nil {
		t.Fatal(err)
	}
	c, err := net.Dial("tcp", n.Address())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Write([]byte("never to arrive")); err != nil {
		t.Fatal(err)
	}
	closed := make(chan error, 1)
	go func() { closed <- n.Close() }()
	select {
	case err := <-closed:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("it does not end")
	}
	_ = c.SetReadDeadline(time.Now().Add(10 * time.Second))
	if _, err := c.Read(make([]byte, 1)); err == nil {
		t.Error("its connection lives on")
	}
}
