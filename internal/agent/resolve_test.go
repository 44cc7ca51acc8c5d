package agent

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/miekg/dns"
)

// nameServer answers over UDP and TCP on a loopback address; the port is the system's choice.
func nameServer(t *testing.T, answer func(w dns.ResponseWriter, question *dns.Msg) *dns.Msg) (port string) {
	t.Helper()
	packets, listener := onePort(t)
	handler := dns.HandlerFunc(func(w dns.ResponseWriter, question *dns.Msg) {
		a := answer(w, question)
		rcode := a.Rcode
		a.SetReply(question).Rcode = rcode
		if err := w.WriteMsg(a); err != nil {
			t.Error(err)
		}
	})
	for _, server := range []*dns.Server{{PacketConn: packets, Handler: handler}, {Listener: listener, Handler: handler}} {
		started := make(chan struct{})
		server.NotifyStartedFunc = func() { close(started) }
		go func() { _ = server.ActivateAndServe() }()
		<-started
		t.Cleanup(func() { _ = server.Shutdown() })
	}
	_, port, err := net.SplitHostPort(packets.LocalAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// onePort listens for both on one port. The system knows of one that is free for UDP, and somebody else may have it for TCP.
func onePort(t *testing.T) (net.PacketConn, net.Listener) {
	t.Helper()
	var last error
	for range 100 {
		packets, err := net.ListenPacket("udp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		listener, err := net.Listen("tcp", packets.LocalAddr().String())
		if err == nil {
			return packets, listener
		}
		last = err
		_ = packets.Close()
	}
	t.Fatal(last)
	return nil, nil
}

func resource(t *testing.T, text string) dns.RR {
	t.Helper()
	rr, err := dns.NewRR(text)
	if err != nil {
		t.Fatal(err)
	}
	return rr
}

// ask asks servers on one port. The port is no part of resolv.conf, so it goes the way of the library's configuration.
func ask(t *testing.T, port, host string, kind uint16, servers ...string) ([]dns.RR, error) {
	t.Helper()
	return exchange(t.Context(), &dns.ClientConfig{Servers: servers, Port: port}, host, kind)
}

func TestANameIsAskedOfTheDNSAlone(t *testing.T) {
	const host = "demo-placement-center-0.demo-placement-center.ns.svc.cluster.local"
	port := nameServer(t, func(_ dns.ResponseWriter, q *dns.Msg) *dns.Msg {
		a := new(dns.Msg)
		switch name, kind := q.Question[0].Name, q.Question[0].Qtype; {
		case name == "localhost." && kind == dns.TypeA: // stands in every machine's /etc/hosts
			a.Answer = []dns.RR{resource(t, "localhost. 5 IN A 10.9.9.9")}
		case name == host+"." && kind == dns.TypeA:
			a.Answer = []dns.RR{resource(t, host+". 5 IN A 10.0.0.7"), resource(t, host+". 5 IN A 10.0.0.8")}
		case name == host+"." && kind == dns.TypeAAAA:
			a.Answer = []dns.RR{resource(t, host+". 5 IN AAAA fd00::7")}
		}
		return a
	})
	conf := filepath.Join(t.TempDir(), "resolv.conf")
	if err := os.WriteFile(conf, []byte("search ns.svc.cluster.local\nnameserver 127.0.0.1\noptions ndots:1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	r := resolver{conf: conf, port: port}
	for name, want := range map[string][]string{"localhost": {"10.9.9.9"}, host: {"10.0.0.7", "10.0.0.8", "fd00::7"}} {
		if got, err := r.addresses(t.Context(), name); err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: %v, %v, want %v", name, got, err, want)
		}
	}
	var unknown *net.DNSError
	if got, err := r.addresses(t.Context(), "nothing.of.it"); !errors.As(err, &unknown) || !unknown.IsNotFound {
		t.Errorf("a name without addresses: %v, %v", got, err)
	}
	if _, err := (resolver{conf: conf + ".gone", port: port}).addresses(t.Context(), host); err == nil || errors.As(err, &unknown) {
		t.Errorf("without resolv.conf: %v", err)
	}
}

func TestTheNextServerIsAskedWhereOneFails(t *testing.T) {
	rcode := dns.RcodeServerFailure
	port := nameServer(t, func(w dns.ResponseWriter, _ *dns.Msg) *dns.Msg {
		a := new(dns.Msg)
		if w.LocalAddr().Network() == "udp" {
			a.Rcode = rcode
		}
		return a
	})
	var unknown *net.DNSError
	// 127.0.0.2 refuses, as nothing listens there.
	if _, err := ask(t, port, "a.b", dns.TypeA, "127.0.0.2", "127.0.0.1"); err == nil || errors.As(err, &unknown) {
		t.Errorf("a server that fails: %v", err)
	}
	rcode = dns.RcodeNameError
	if _, err := ask(t, port, "a.b", dns.TypeA, "127.0.0.2", "127.0.0.1"); !errors.As(err, &unknown) || !unknown.IsNotFound {
		t.Errorf("a name that nobody knows: %v", err)
	}
	if _, err := ask(t, port, "a.b", dns.TypeA); err == nil || errors.As(err, &unknown) {
		t.Errorf("without servers: %v", err)
	}
}

func TestALongAnswerIsAskedForOverTCP(t *testing.T) {
	port := nameServer(t, func(w dns.ResponseWriter, _ *dns.Msg) *dns.Msg {
		a := new(dns.Msg)
		if w.LocalAddr().Network() == "udp" {
			a.Truncated = true
			return a
		}
		for i := range 200 {
			a.Answer = append(a.Answer, resource(t, fmt.Sprintf("a.b. 5 IN A 10.0.0.%d", i)))
		}
		return a
	})
	if got, err := ask(t, port, "a.b", dns.TypeA, "127.0.0.1"); err != nil || len(got) != 200 {
		t.Errorf("%d records, %v", len(got), err)
	}
}
