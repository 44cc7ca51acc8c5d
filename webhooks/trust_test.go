package webhooks

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"testing"
	"time"
)

const served = "w.ns.svc"

// maker makes authorities and certificates as the rotator does, with keys that are quick to make.
type maker struct {
	testing.TB
	serial int64
	keys   map[*x509.Certificate]*ecdsa.PrivateKey // of the authorities
}

func newMaker(t testing.TB) *maker {
	return &maker{TB: t, keys: map[*x509.Certificate]*ecdsa.PrivateKey{}}
}

func (m *maker) key() *ecdsa.PrivateKey {
	m.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		m.Fatal(err)
	}
	return k
}

func (m *maker) sign(template, parent *x509.Certificate, key, by *ecdsa.PrivateKey) *x509.Certificate {
	m.Helper()
	m.serial++
	template.SerialNumber, template.BasicConstraintsValid = big.NewInt(m.serial), true
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), by)
	if err != nil {
		m.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		m.Fatal(err)
	}
	return c
}

// issue makes an authority at a time, and a certificate that it signed.
func (m *maker) issue(name string, made time.Time, life time.Duration) *issued {
	m.Helper()
	by := m.key()
	ca := &x509.Certificate{Subject: pkix.Name{CommonName: name}, IsCA: true, KeyUsage: x509.KeyUsageCertSign, NotBefore: made.Add(-backdated), NotAfter: made.Add(life)}
	authority := m.sign(ca, ca, by, by)
	m.keys[authority] = by
	return &issued{leaf: m.leaf(made, life, authority, by), authority: authority}
}

func (m *maker) leaf(made time.Time, life time.Duration, authority *x509.Certificate, by *ecdsa.PrivateKey) *x509.Certificate {
	m.Helper()
	return m.sign(&x509.Certificate{
		DNSNames: []string{served}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, NotBefore: made.Add(-backdated), NotAfter: made.Add(life),
	}, authority, m.key(), by)
}

func bundleOf(all ...*issued) []byte {
	var out []byte
	for _, i := range all {
		out = append(out, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: i.authority.Raw})...)
	}
	return out
}

func TestTheBundleHoldsTheOldAuthorityForTheOverlapAndNotLonger(t *testing.T) {
	m, t0 := newMaker(t), time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	first, second := m.issue(authorityName, t0, 1000*time.Hour), m.issue(authorityName, t0.Add(time.Hour), 1000*time.Hour)
	const overlap = 10 * time.Minute
	made := t0.Add(time.Hour)
	for name, c := range map[string]struct {
		present []byte
		current *issued
		now     time.Time
		want    []byte
	}{
		"nothing yet":       {nil, first, t0, bundleOf(first)},
		"garbage":           {[]byte("garbage"), first, t0, bundleOf(first)},
		"replaced just now": {bundleOf(first), second, made, bundleOf(first, second)},
		"both, in any order, until the overlap ends":  {bundleOf(second, first), second, made.Add(overlap), bundleOf(second, first)},
		"after the overlap":                           {bundleOf(first, second), second, made.Add(overlap + time.Second), bundleOf(second)},
		"after the overlap, injected late":            {bundleOf(first), second, made.Add(overlap + time.Second), bundleOf(second)},
		"a replica that still sees the older Secret":  {bundleOf(first, second), first, made.Add(24 * time.Hour), bundleOf(first, second)},
		"somebody else's, during a change to our own": {bundleOf(m.other(t0)), second, made, nil},
	} {
		if got := wantedBundle(c.present, c.current.authority, c.now, overlap); c.want != nil && !bytes.Equal(got, c.want) {
			t.Errorf("%s: %d certificates, want %d", name, len(parseBundle(got)), len(parseBundle(c.want)))
		}
	}
	foreign := bundleOf(m.other(t0.Add(500 * time.Hour)))
	if got := parseBundle(wantedBundle(foreign, second.authority, made, overlap)); len(got) != 2 {
		t.Errorf("cert-manager's authority while the change to our own is under way: %d certificates", len(got))
	}
	if got := parseBundle(wantedBundle(foreign, second.authority, made.Add(24*time.Hour), overlap)); len(got) != 1 || !got[0].Equal(second.authority) {
		t.Errorf("cert-manager's authority is trusted for ever: %d certificates", len(got))
	}
	if got := parseBundle(wantedBundle(bundleOf(first, second), second.authority, first.authority.NotAfter.Add(time.Second), 10000*time.Hour)); len(got) != 1 {
		t.Errorf("an authority that ended stays: %d certificates", len(got))
	}
}

func (m *maker) other(made time.Time) *issued { return m.issue("somebody", made, 1000*time.Hour) }

func TestANewCertificateWaitsUntilEveryConfigurationHasTrustedItForAWhile(t *testing.T) {
	m, t0 := newMaker(t), time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	first := m.issue(authorityName, t0, 100*time.Hour)
	now := t0.Add(time.Hour)
	second := m.issue(authorityName, now, 100*time.Hour)
	u := &turnover{name: served, settle: time.Minute}
	ask := func(name string, served *x509.Certificate, next *issued, wantDue bool, wantAgain time.Duration, bundles ...[]byte) {
		t.Helper()
		if due, again := u.due(served, next, bundles, now); due != wantDue || again != wantAgain {
			t.Errorf("%s: due %v, again in %s; want %v, %s", name, due, again, wantDue, wantAgain)
		}
	}
	ask("nobody trusts the first", nil, first, false, 0, nil, nil)
	ask("one of two trusts the first", nil, first, false, 0, bundleOf(first), nil)
	ask("the first, at once", nil, first, true, 0, bundleOf(first), bundleOf(first))
	ask("it is served already", first.leaf, first, false, 0, bundleOf(first), bundleOf(first))
	ask("the second is in one of two", first.leaf, second, false, 0, bundleOf(first, second), bundleOf(first))
	ask("the second is in both, just now", first.leaf, second, false, time.Minute, bundleOf(first, second), bundleOf(first, second))
	now = now.Add(59 * time.Second)
	ask("for 59 s", first.leaf, second, false, time.Second, bundleOf(first, second), bundleOf(first, second))
	ask("taken out again", first.leaf, second, false, 0, bundleOf(first), bundleOf(first, second))
	ask("and in", first.leaf, second, false, time.Minute, bundleOf(first, second), bundleOf(first, second))
	now = now.Add(time.Minute)
	ask("for a minute", first.leaf, second, true, 0, bundleOf(first, second), bundleOf(first, second))
}

func TestWhatIsServedIsReplacedAtOnceWhenNobodyTrustsItAnyMore(t *testing.T) {
	m, t0 := newMaker(t), time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	old, next := m.issue(authorityName, t0, time.Hour), m.issue(authorityName, t0.Add(30*time.Minute), 100*time.Hour)
	for name, c := range map[string]struct {
		now    time.Time
		bundle []byte
	}{
		"expired":           {t0.Add(61 * time.Minute), bundleOf(old, next)},
		"no longer trusted": {t0.Add(31 * time.Minute), bundleOf(next)},
	} {
		u := &turnover{name: served, settle: time.Minute}
		if due, _ := u.due(old.leaf, next, [][]byte{c.bundle}, c.now); !due {
			t.Errorf("%s: it waits", name)
		}
	}
	u := &turnover{name: served, settle: time.Minute}
	if due, _ := u.due(old.leaf, next, nil, t0); due {
		t.Error("without any configuration there is still what is served")
	}
}

func TestACertificateOfTheSameAuthorityIsServedAtOnce(t *testing.T) {
	m, t0 := newMaker(t), time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	first := m.issue(authorityName, t0, 100*time.Hour)
	u := &turnover{name: served, settle: time.Minute}
	if due, _ := u.due(nil, first, [][]byte{bundleOf(first)}, t0); !due {
		t.Fatal("the first waits")
	}
	second := &issued{authority: first.authority, leaf: m.leaf(t0, time.Hour, first.authority, m.keys[first.authority])}
	if due, again := u.due(first.leaf, second, [][]byte{bundleOf(first)}, t0.Add(time.Second)); !due {
		t.Errorf("it waits for %s although everybody trusts it", again)
	}
}

func TestLifetimesLeaveARotationItsTime(t *testing.T) {
	usual, err := Lifetimes{}.complete()
	if err != nil || usual.RotateBefore != 30*24*time.Hour || usual.checkEvery() != time.Hour || usual.settle() != time.Minute || usual.overlap() != time.Hour {
		t.Errorf("%+v, %v: every %s, %s, %s", usual, err, usual.checkEvery(), usual.settle(), usual.overlap())
	}
	short, err := Lifetimes{Authority: 5 * time.Minute, Certificate: 2 * time.Minute}.complete()
	if err != nil || short.settle()+short.checkEvery() > short.RotateBefore/4 || short.overlap() <= 2*short.settle() {
		t.Errorf("%+v, %v: every %s, %s, %s", short, err, short.checkEvery(), short.settle(), short.overlap())
	}
	for name, l := range map[string]Lifetimes{
		"too short":            {Certificate: MinCertificateLifetime - 1},
		"an authority shorter": {Authority: time.Hour, Certificate: 2 * time.Hour},
		"always":               {Certificate: time.Hour, RotateBefore: time.Hour},
		"hardly ever":          {Certificate: time.Hour, RotateBefore: 6*time.Minute - 1},
	} {
		if _, err := l.complete(); err == nil {
			t.Errorf("%s: %+v", name, l)
		}
	}
}
