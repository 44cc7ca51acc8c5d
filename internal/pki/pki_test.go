package pki

import (
	"bytes"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
)

// short are lives that a test can walk through: certificates of two minutes.
var short = Rules{AuthorityLife: 30 * time.Minute, LeafLife: 2 * time.Minute, Propagation: 20 * time.Second}

var who = Subject{Namespace: "ns", Cluster: "c", ListenerDNSNames: []string{"c.ns.svc", "*.c-mqtt-broker.ns.svc"}}

var start = time.Date(2026, 1, 2, 3, 4, 5, 6789, time.UTC)

func desired(t *testing.T, have Secrets, now time.Time) Result {
	t.Helper()
	r, err := Desired(have, who, short, now, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// trusts verifies a Secret's certificate against another's ca.crt at a time.
func trusts(trust, cert map[string][]byte, now time.Time, usage x509.ExtKeyUsage) error {
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(trust[KeyTrust]) {
		return errors.New("no authority in ca.crt")
	}
	leaf, err := ParseCertificate(cert[KeyCert])
	if err != nil {
		return err
	}
	_, err = leaf.Verify(x509.VerifyOptions{Roots: pool, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{usage}})
	return err
}

func reasons(r Result) string {
	var s []string
	for _, c := range r.Changes {
		s = append(s, c.Secret+": "+c.Reason)
	}
	return strings.Join(s, "; ")
}

func TestAClusterWithoutSecretsGetsThemAll(t *testing.T) {
	r := desired(t, Secrets{}, start)
	if len(r.Changes) != 5 {
		t.Fatalf("changes: %s", reasons(r))
	}
	agent, err := ParseCertificate(r.Secrets.Agent[KeyCert])
	if err != nil {
		t.Fatal(err)
	}
	if agent.DNSNames[0] != protocol.ServerName("ns", "c") || agent.URIs[0].String() != protocol.ClientURI("ns", "c", protocol.ClientAgent) {
		t.Errorf("agent: %v %v", agent.DNSNames, agent.URIs)
	}
	operator, err := ParseCertificate(r.Secrets.Operator[KeyCert])
	if err != nil {
		t.Fatal(err)
	}
	if len(operator.DNSNames) != 0 || operator.URIs[0].String() != protocol.ClientURI("ns", "c", protocol.ClientOperator) {
		t.Errorf("operator: %v %v", operator.DNSNames, operator.URIs)
	}
	job, err := ParseCertificate(r.Secrets.Job[KeyCert])
	if err != nil {
		t.Fatal(err)
	}
	if len(job.DNSNames) != 0 || len(job.URIs) != 1 || job.URIs[0].String() != protocol.ClientURI("ns", "c", protocol.ClientJob) {
		t.Errorf("job: %v %v", job.DNSNames, job.URIs)
	}
	if err := trusts(r.Secrets.Agent, r.Secrets.Job, start, x509.ExtKeyUsageServerAuth); err == nil {
		t.Error("a Job's certificate passes as a server's")
	}
	for name, check := range map[string]error{
		"agent as server":    trusts(r.Secrets.Operator, r.Secrets.Agent, start, x509.ExtKeyUsageServerAuth),
		"agent as client":    trusts(r.Secrets.Agent, r.Secrets.Agent, start, x509.ExtKeyUsageClientAuth),
		"operator as client": trusts(r.Secrets.Agent, r.Secrets.Operator, start, x509.ExtKeyUsageClientAuth),
		"job as client":      trusts(r.Secrets.Agent, r.Secrets.Job, start, x509.ExtKeyUsageClientAuth),
		"listener":           trusts(r.Secrets.Listener, r.Secrets.Listener, start, x509.ExtKeyUsageServerAuth),
	} {
		if check != nil {
			t.Errorf("%s: %v", name, check)
		}
	}
}

func TestTheListenersKeyIsNobodyToAnAgent(t *testing.T) {
	r := desired(t, Secrets{}, start)
	if err := trusts(r.Secrets.Agent, r.Secrets.Listener, start, x509.ExtKeyUsageClientAuth); err == nil {
		t.Error("the listeners' certificate passes as a client's")
	}
	listener, err := ParseCertificate(r.Secrets.Listener[KeyCert])
	if err != nil {
		t.Fatal(err)
	}
	if len(listener.URIs) != 0 || slices.Contains(listener.DNSNames, protocol.ServerName("ns", "c")) {
		t.Errorf("%v %v", listener.URIs, listener.DNSNames)
	}
	if err := trusts(r.Secrets.Agent, r.Secrets.Operator, start, x509.ExtKeyUsageServerAuth); err == nil {
		t.Error("the operator's certificate passes as a server's")
	}
}

func TestTheAuthoritysKeyIsInItsOwnSecretOnly(t *testing.T) {
	r := desired(t, Secrets{}, start)
	key := r.Secrets.Authority[KeyKey]
	for name, s := range map[string]map[string][]byte{"agent": r.Secrets.Agent, "operator": r.Secrets.Operator, "job": r.Secrets.Job, "listener": r.Secrets.Listener} {
		for k, v := range s {
			if bytes.Contains(v, bytes.TrimSpace(key)) {
				t.Errorf("%s/%s holds it", name, k)
			}
		}
		if len(s) != 3 {
			t.Errorf("%s has %d keys", name, len(s))
		}
	}
}

func TestACertificateThatSomebodyElseMakesIsLeftOut(t *testing.T) {
	r, err := Desired(Secrets{}, Subject{Namespace: "ns", Cluster: "c"}, short, start, rand.Reader)
	if err != nil || r.Secrets.Listener != nil || len(r.Changes) != 4 {
		t.Errorf("%v %s %v", r.Secrets.Listener, reasons(r), err)
	}
}

func TestWhatStillServesIsReturnedByteForByte(t *testing.T) {
	first := desired(t, Secrets{}, start)
	for now := start; now.Before(first.Next); now = now.Add(7 * time.Second) {
		again := desired(t, first.Secrets, now)
		if len(again.Changes) != 0 || !reflect.DeepEqual(again.Secrets, first.Secrets) {
			t.Fatalf("after %s: %s", now.Sub(start), reasons(again))
		}
		if !again.Next.Equal(first.Next) {
			t.Fatalf("after %s the next look moved from %s to %s", now.Sub(start), first.Next, again.Next)
		}
	}
	if due := desired(t, first.Secrets, first.Next); len(due.Changes) == 0 {
		t.Error("at the time of the next look nothing is due")
	}
}

func TestCertificatesAreRenewedAtTwoThirdsOfTheirLife(t *testing.T) {
	first := desired(t, Secrets{}, start)
	if life := first.Next.Sub(start); life < 70*time.Second || life > 80*time.Second {
		t.Fatalf("renewal after %s of two minutes", life)
	}
	r := desired(t, first.Secrets, first.Next)
	if reasons(r) != "Agent: two thirds of its life are over; Operator: two thirds of its life are over; Job: two thirds of its life are over; Listener: two thirds of its life are over" {
		t.Fatal(reasons(r))
	}
	// Old and new are good together: pods see the new ones at different times.
	for name, cert := range map[string]map[string][]byte{"old": first.Secrets.Agent, "new": r.Secrets.Agent} {
		if err := trusts(r.Secrets.Operator, cert, first.Next, x509.ExtKeyUsageServerAuth); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestWhateverIsWrongWithACertificateIsSaidAndMended(t *testing.T) {
	good := desired(t, Secrets{}, start).Secrets
	foreign := desired(t, Secrets{}, start).Secrets
	for reason, spoil := range map[string]func(*Secrets){
		"Agent: there is no certificate yet":                                         func(s *Secrets) { s.Agent = nil },
		"Agent: the certificate is unusable: there is no certificate in the PEM":     func(s *Secrets) { s.Agent[KeyCert] = []byte("x") },
		"Agent: the certificate is unusable: the key is not PEM":                     func(s *Secrets) { s.Agent[KeyKey] = nil },
		"Agent: the certificate is unusable: the key belongs to another certificate": func(s *Secrets) { s.Agent[KeyKey] = s.Operator[KeyKey] },
		"Agent: the trusted authorities changed":                                     func(s *Secrets) { s.Agent[KeyTrust] = nil },
		"Agent: it is not signed by the authority that signs now":                    func(s *Secrets) { s.Agent = foreign.Agent },
		"Agent: its DNS names shall be [agent.c.ns.robustmq.io]":                     func(s *Secrets) { s.Agent = s.Operator },
		"Operator: its DNS names shall be []":                                        func(s *Secrets) { s.Operator = s.Agent },
		"Job: its identity shall be [spiffe://robustmq.io/ns/c/job]":                 func(s *Secrets) { s.Job = s.Operator },
		"Listener: its DNS names shall be [*.c-mqtt-broker.ns.svc c.ns.svc]":         func(s *Secrets) { s.Listener = s.Agent },
		"Authority: the Secret held more or less than the authority":                 func(s *Secrets) { s.Authority["note"] = []byte("x") },
	} {
		have := Secrets{Authority: clone(good.Authority), Agent: clone(good.Agent), Operator: clone(good.Operator), Job: clone(good.Job), Listener: clone(good.Listener)}
		spoil(&have)
		r := desired(t, have, start.Add(time.Second))
		if reasons(r) != reason {
			t.Errorf("got  %s\nwant %s", reasons(r), reason)
		}
		if again := desired(t, r.Secrets, start.Add(2*time.Second)); len(again.Changes) != 0 {
			t.Errorf("%s: not mended: %s", reason, reasons(again))
		}
	}
}

func TestAnAuthorityThatIsLostTakesEveryCertificateWithIt(t *testing.T) {
	good := desired(t, Secrets{}, start).Secrets
	for _, lost := range []map[string][]byte{nil, {}, {KeyCert: []byte("x"), KeyKey: []byte("x")}, good.Agent} {
		have := good
		have.Authority = lost
		r := desired(t, have, start)
		if len(r.Changes) != 5 {
			t.Errorf("%s", reasons(r))
		}
		if err := trusts(r.Secrets.Operator, r.Secrets.Agent, start, x509.ExtKeyUsageServerAuth); err != nil {
			t.Error(err)
		}
	}
}

func TestANameMoreIsACertificateMore(t *testing.T) {
	have := desired(t, Secrets{}, start).Secrets
	more := who
	more.ListenerDNSNames = append(slices.Clone(who.ListenerDNSNames), "mqtt.example.com", "c.ns.svc")
	r, err := Desired(have, more, short, start, rand.Reader)
	if err != nil || len(r.Changes) != 1 || r.Changes[0].Secret != "Listener" {
		t.Fatalf("%s %v", reasons(r), err)
	}
	slices.Reverse(more.ListenerDNSNames)
	if again, err := Desired(r.Secrets, more, short, start, rand.Reader); err != nil || len(again.Changes) != 0 {
		t.Errorf("another order: %s %v", reasons(again), err)
	}
}

// A cluster lives through two whole lives of its authority. Pods take up new Secrets late, each at another time; every connection between any two of them has to work at every moment.
func TestEveryoneTrustsEveryoneThroughTheRotationOfTheAuthority(t *testing.T) {
	const lateness = 15 * time.Second // less than Propagation
	secrets := Secrets{}
	type version struct {
		since time.Time
		Secrets
	}
	var history []version
	authorities, steps := map[string]bool{}, map[string]bool{}
	for now := start; now.Before(start.Add(2 * short.AuthorityLife)); now = now.Add(time.Second) {
		r := desired(t, secrets, now)
		if len(r.Changes) > 0 {
			history = append(history, version{now, r.Secrets})
			for _, c := range r.Changes {
				if c.Secret == "Authority" {
					steps[c.Reason] = true
				}
			}
		}
		secrets = r.Secrets
		authorities[string(secrets.Authority[KeyCert])] = true
		if !r.Next.After(now) {
			t.Fatalf("after %s the next look is at %s, not later", now.Sub(start), r.Next.Sub(start))
		}
		var mounted []Secrets // what some pod may still have
		for i := len(history) - 1; i >= 0; i-- {
			mounted = append(mounted, history[i].Secrets)
			if now.Sub(history[i].since) >= lateness {
				break
			}
		}
		for i, a := range mounted {
			for j, b := range mounted {
				for _, err := range []error{
					trusts(a.Agent, b.Agent, now, x509.ExtKeyUsageServerAuth), trusts(a.Agent, b.Operator, now, x509.ExtKeyUsageClientAuth), trusts(a.Operator, b.Agent, now, x509.ExtKeyUsageServerAuth),
					trusts(a.Agent, b.Job, now, x509.ExtKeyUsageClientAuth), trusts(a.Job, b.Agent, now, x509.ExtKeyUsageServerAuth),
				} {
					if err != nil {
						t.Fatalf("after %s: pod with version %d refuses version %d: %v", now.Sub(start), -i, -j, err)
					}
				}
			}
		}
	}
	if len(authorities) < 3 || !steps["two thirds of the authority's life are over"] || !steps["the authority before is no longer needed"] {
		t.Errorf("%d authorities, %v", len(authorities), steps)
	}
}

func TestAnOperatorThatSleptThroughTheRotationMendsEverything(t *testing.T) {
	have := desired(t, Secrets{}, start).Secrets
	for _, slept := range []time.Duration{short.LeafLife, short.AuthorityLife - time.Second, short.AuthorityLife, 3 * short.AuthorityLife, -time.Hour} {
		now := start.Add(slept)
		r := desired(t, have, now)
		for range 3 { // an authority that is due is renewed first, the certificates in the same pass
			if err := trusts(r.Secrets.Operator, r.Secrets.Agent, now, x509.ExtKeyUsageServerAuth); err != nil {
				t.Errorf("slept %s: %v", slept, err)
			}
			r = desired(t, r.Secrets, now)
		}
		if len(r.Changes) != 0 {
			t.Errorf("slept %s: never settles: %s", slept, reasons(r))
		}
	}
}

func TestACertificateNeverOutlivesItsAuthority(t *testing.T) {
	rules := Rules{AuthorityLife: time.Minute, LeafLife: time.Hour, Propagation: time.Second}
	r, err := Desired(Secrets{}, who, rules, start, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	authority, err := NotAfter(r.Secrets.Authority[KeyCert])
	if err != nil {
		t.Fatal(err)
	}
	if leaf, err := NotAfter(r.Secrets.Agent[KeyCert]); err != nil || leaf.After(authority) {
		t.Errorf("%s after %s (%v)", leaf, authority, err)
	}
}

func TestTheCertificatesServeARealHandshake(t *testing.T) {
	now := time.Now()
	s := desired(t, Secrets{}, now).Secrets
	load := func(d map[string][]byte) (tls.Certificate, *x509.CertPool) {
		c, err := tls.X509KeyPair(d[KeyCert], d[KeyKey])
		if err != nil {
			t.Fatal(err)
		}
		pool := x509.NewCertPool()
		pool.AppendCertsFromPEM(d[KeyTrust])
		return c, pool
	}
	serverCert, serverPool := load(s.Agent)
	clientCert, clientPool := load(s.Operator)
	listener, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{serverCert}, ClientCAs: serverPool, ClientAuth: tls.RequireAndVerifyClientCert})
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	served := make(chan string, 1)
	go func() {
		conn, err := listener.Accept()
		if err == nil {
			err = conn.(*tls.Conn).Handshake()
		}
		if err != nil {
			served <- err.Error()
			return
		}
		served <- conn.(*tls.Conn).ConnectionState().PeerCertificates[0].URIs[0].String()
	}()
	dialer := &tls.Dialer{NetDialer: &net.Dialer{Timeout: 5 * time.Second}, Config: &tls.Config{MinVersion: tls.VersionTLS13, ServerName: protocol.ServerName("ns", "c"), Certificates: []tls.Certificate{clientCert}, RootCAs: clientPool}}
	conn, err := dialer.DialContext(t.Context(), "tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if got := <-served; got != protocol.ClientURI("ns", "c", protocol.ClientOperator) {
		t.Error(got)
	}
}

func TestARandomSourceThatFailsIsAnError(t *testing.T) {
	if _, err := Desired(Secrets{}, who, short, start, io.LimitReader(rand.Reader, 8)); err == nil {
		t.Error("a serial number was drawn from nothing")
	}
}

func TestAKeyIsNotPrinted(t *testing.T) {
	p := pair{cert: []byte("CERT"), key: []byte("SENTINEL")}
	for _, text := range []string{fmt.Sprint(p), fmt.Sprintf("%+v %#v %s %v", p, p, p, &p)} {
		if strings.Contains(text, "SENTINEL") || strings.Contains(text, "83 69 78") {
			t.Error(text)
		}
	}
	if text, _ := json.Marshal(p); strings.Contains(string(text), "SENTINEL") {
		t.Error(string(text))
	}
	s := desired(t, Secrets{}, start).Secrets
	s.Agent[KeyKey] = []byte("SENTINEL")
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "secrets", s, "result", Result{Secrets: s})
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "secrets", s, "result", Result{Secrets: s})
	for _, text := range []string{fmt.Sprintf("%v %+v %#v %s", s, s, s, Result{Secrets: s}), log.String()} {
		if strings.Contains(text, "SENTINEL") || strings.Contains(text, "83 69 78") || strings.Contains(text, "U0VOVElORUw") {
			t.Error(text)
		}
	}
	if r := desired(t, s, start); strings.Contains(reasons(r), "SENTINEL") {
		t.Error(reasons(r))
	}
}

func FuzzDesiredMendsWhateverIsInTheSecrets(f *testing.F) {
	good, err := Desired(Secrets{}, who, short, start, rand.Reader)
	if err != nil {
		f.Fatal(err)
	}
	a := good.Secrets.Agent
	f.Add(a[KeyTrust], a[KeyCert], a[KeyKey])
	f.Add([]byte{}, []byte("-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n"), []byte("-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----\n"))
	f.Fuzz(func(t *testing.T, trust, cert, key []byte) {
		d := map[string][]byte{KeyTrust: trust, KeyCert: cert, KeyKey: key, KeyOldCert: cert, KeyOldKey: key}
		for _, have := range []Secrets{{Authority: d, Agent: d}, {Authority: good.Secrets.Authority, Agent: d, Operator: d, Job: d, Listener: d}} {
			r, err := Desired(have, who, short, start, rand.Reader)
			if err != nil {
				t.Fatal(err)
			}
			if err := trusts(r.Secrets.Operator, r.Secrets.Agent, start, x509.ExtKeyUsageServerAuth); err != nil {
				t.Fatal(err)
			}
			if again, err := Desired(r.Secrets, who, short, start, rand.Reader); err != nil || len(again.Changes) != 0 {
				t.Fatalf("%s %v", reasons(again), err)
			}
		}
	})
}

func clone(m map[string][]byte) map[string][]byte {
	c := map[string][]byte{}
	for k, v := range m {
		c[k] = bytes.Clone(v)
	}
	return c
}

func TestACertificateOfAShorterLifeThanTheRulesGiveIsMadeAnewEarly(t *testing.T) {
	brief := short
	brief.LeafLife = short.LeafLife / 4
	first, err := Desired(Secrets{}, who, brief, start, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	const why = "less is left of it than of the others when they are renewed"
	r := desired(t, first.Secrets, start.Add(time.Second))
	if want := fmt.Sprintf("Agent: %s; Operator: %[1]s; Job: %[1]s; Listener: %[1]s", why); reasons(r) != want {
		t.Errorf("got  %s\nwant %s", reasons(r), want)
	}
	if again := desired(t, r.Secrets, start.Add(2*time.Second)); len(again.Changes) != 0 {
		t.Errorf("made anew again: %s", reasons(again))
	}

	// Where the authority itself ends soon, a new one would live no longer.
	ending := Rules{AuthorityLife: 30 * time.Minute, LeafLife: time.Hour, Propagation: time.Second}
	if first, err = Desired(Secrets{}, who, ending, start, rand.Reader); err != nil {
		t.Fatal(err)
	}
	if again, err := Desired(first.Secrets, who, ending, start.Add(11*time.Minute), rand.Reader); err != nil || len(again.Changes) != 0 {
		t.Errorf("made anew although the authority ends with it: %s, %v", reasons(again), err)
	}
}
