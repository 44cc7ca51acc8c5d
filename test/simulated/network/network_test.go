package network

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"runtime"
	"syscall"
	"testing"
	"time"
)

// echo serves one listener that sends back what it gets.
func echo(t *testing.T, address string) int {
	t.Helper()
	l, err := net.Listen("tcp", address+":0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() { _, _ = io.Copy(c, c); _ = c.Close() }()
		}
	}()
	return l.Addr().(*net.TCPAddr).Port
}

func two(t *testing.T) (n *Network, a *Host, target string, port int) {
	t.Helper()
	n = New(1, 50)
	a = n.Attach("a", NextAddress())
	b := n.Attach("b", NextAddress())
	port = echo(t, b.Address)
	n.Publish(map[string][]string{"b.svc.ns.svc.cluster.local": {b.Address}})
	return n, a, net.JoinHostPort("b.svc.ns.svc.cluster.local", itoa(port)), port
}

func itoa(n int) string {
	return (&net.TCPAddr{Port: n}).String()[1:]
}

func short(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	t.Cleanup(cancel)
	return ctx
}

func roundTrip(c net.Conn) error {
	if err := c.SetDeadline(time.Now().Add(50 * time.Millisecond)); err != nil {
		return err
	}
	if _, err := c.Write([]byte("x")); err != nil {
		return err
	}
	_, err := io.ReadFull(c, make([]byte, 1))
	return err
}

func TestASoundLineCarriesBytesByName(t *testing.T) {
	_, a, target, _ := two(t)
	c, err := a.DialContext(short(t), "tcp", target)
	if err != nil {
		t.Fatal(err)
	}
	if err := roundTrip(c); err != nil {
		t.Fatal(err)
	}
}

func TestANameThatIsNotPublishedIsNotFoundAtOnce(t *testing.T) {
	_, a, _, _ := two(t)
	_, err := a.LookupHost(context.Background(), "c.svc.ns.svc.cluster.local")
	var dns *net.DNSError
	if !errors.As(err, &dns) || !dns.IsNotFound {
		t.Fatalf("got %v, want a DNS error that says not found", err)
	}
}

func TestADNSOutageTimesOutAndEnds(t *testing.T) {
	n, a, target, _ := two(t)
	n.DNSOutage("a", true)
	_, err := a.DialContext(short(t), "tcp", target)
	var dns *net.DNSError
	if !errors.As(err, &dns) || !dns.IsTimeout {
		t.Fatalf("got %v, want a DNS time-out", err)
	}
	n.DNSOutage("a", false)
	if _, err := a.DialContext(short(t), "tcp", target); err != nil {
		t.Fatal(err)
	}
}

func TestABlackHoleHangsConnectsAndOpenConnectionsUntilItCloses(t *testing.T) {
	n, a, target, _ := two(t)
	open, err := a.DialContext(short(t), "tcp", target)
	if err != nil {
		t.Fatal(err)
	}
	n.Set("a", "b", BlackHole)
	if _, err := a.DialContext(short(t), "tcp", target); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("connect: got %v, want a time-out", err)
	}
	if err := roundTrip(open); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("open connection: got %v, want a time-out", err)
	}
	n.Set("a", "b", Sound)
	if err := roundTrip(open); err != nil {
		t.Fatalf("after the hole closed: %v", err)
	}
}

func TestARefusingLineResetsWhatIsOpen(t *testing.T) {
	n, a, target, _ := two(t)
	open, err := a.DialContext(short(t), "tcp", target)
	if err != nil {
		t.Fatal(err)
	}
	n.Set("a", "b", Refusing)
	if _, err := a.DialContext(short(t), "tcp", target); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Fatalf("connect: got %v, want refused", err)
	}
	if err := roundTrip(open); !errors.Is(err, syscall.ECONNRESET) {
		t.Fatalf("open connection: got %v, want reset", err)
	}
}

func TestAPowerCutHidesThatThePeersSocketClosed(t *testing.T) {
	n, a, _, _ := two(t)
	b := n.Attach("c", NextAddress())
	l, err := net.Listen("tcp", b.Address+":0")
	if err != nil {
		t.Fatal(err)
	}
	accepted := make(chan net.Conn, 1)
	go func() {
		c, err := l.Accept()
		if err == nil {
			accepted <- c
		}
	}()
	open, err := a.DialContext(short(t), "tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	n.PowerCut(b.Address)
	_ = (<-accepted).Close()
	_ = l.Close()
	if err := open.SetReadDeadline(time.Now().Add(50 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if _, err := open.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("got %v, want silence until the deadline", err)
	}
	if _, err := a.DialContext(short(t), "tcp", l.Addr().String()); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("connect: got %v, want a time-out, not a refusal", err)
	}
}

func TestALostAnswerMeansThatTheRequestArrived(t *testing.T) {
	n, a, _, _ := two(t)
	b := n.Attach("d", NextAddress())
	l, err := net.Listen("tcp", b.Address+":0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	got := make(chan byte, 2)
	go func() {
		c, err := l.Accept()
		if err != nil {
			return
		}
		one := make([]byte, 1)
		for {
			if _, err := c.Read(one); err != nil {
				return
			}
			got <- one[0]
			_, _ = c.Write(one)
		}
	}()
	n.LoseAnswers(Loss{From: "a", To: "d", Port: l.Addr().(*net.TCPAddr).Port, Skip: 1, Left: 1})
	c, err := a.DialContext(short(t), "tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if err := roundTrip(c); err != nil {
		t.Fatalf("the first write is skipped: %v", err)
	}
	<-got
	if err := roundTrip(c); !errors.Is(err, syscall.ECONNRESET) {
		t.Fatalf("got %v, want a reset", err)
	}
	select {
	case <-got:
	case <-time.After(time.Second):
		t.Fatal("the request did not arrive")
	}
}

func TestNobodyElseGetsThisProcessesAddressesEvenAfterACollection(t *testing.T) {
	n := block()
	for range 3 {
		runtime.GC()
		if l, err := net.Listen("tcp", blockAddress(n)); err == nil {
			_ = l.Close()
			t.Fatal("another process could have taken them")
		}
	}
}
