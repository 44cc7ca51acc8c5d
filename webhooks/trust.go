package webhooks

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
)

const (
	keyAuthority = "ca.crt" // of the Secret, and of what cert-manager mounts
	// authorityName is the subject of the authorities that the rotator makes.
	authorityName = "robustmq-operator"
	// backdated is how far before its making the rotator lets a certificate begin (cert-controller 0.16.0).
	backdated = time.Hour
)

// issued is what the Secret holds: a serving certificate, its key and the authority that signed it.
type issued struct {
	pair      tls.Certificate
	leaf      *x509.Certificate
	authority *x509.Certificate
}

// parseIssued reads the Secret's data. An empty or damaged one is an error; the rotator makes it anew.
func parseIssued(data map[string][]byte) (*issued, error) {
	pair, err := tls.X509KeyPair(data[corev1.TLSCertKey], data[corev1.TLSPrivateKeyKey])
	if err != nil {
		return nil, fmt.Errorf("certificate and key: %w", err)
	}
	authorities := parseBundle(data[keyAuthority])
	if len(authorities) == 0 {
		return nil, errors.New("there is no authority")
	}
	return &issued{pair: pair, leaf: pair.Leaf, authority: authorities[0]}, nil
}

// parseBundle returns the certificates of a bundle, and passes over whatever is none.
func parseBundle(bundle []byte) []*x509.Certificate {
	var all []*x509.Certificate
	for {
		var block *pem.Block
		if block, bundle = pem.Decode(bundle); block == nil {
			return all
		}
		if c, err := x509.ParseCertificate(block.Bytes); err == nil {
			all = append(all, c)
		}
	}
}

// wantedBundle is whom the API server shall trust: the current authority, and for a while those before it, whose certificates other replicas may still serve.
// It returns the present bundle, byte by byte, where that says so already: replicas that see the same write nothing.
//
// Replicas see the Secret at different times. So an authority of ours that is newer than the current one stays: who wrote it has seen a newer Secret.
func wantedBundle(present []byte, current *x509.Certificate, now time.Time, overlap time.Duration) []byte {
	replaced := now.After(current.NotBefore.Add(backdated + overlap))
	have := parseBundle(present)
	keep := slices.DeleteFunc(slices.Clone(have), func(c *x509.Certificate) bool {
		newer := c.Subject.CommonName == authorityName && !c.NotBefore.Before(current.NotBefore)
		return now.After(c.NotAfter) || replaced && !newer && !c.Equal(current)
	})
	known := slices.ContainsFunc(keep, current.Equal)
	if known && len(keep) == len(have) {
		return present
	}
	if !known {
		keep = append(keep, current)
	}
	var out bytes.Buffer
	for _, c := range keep {
		_ = pem.Encode(&out, &pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}) // a buffer takes everything
	}
	return out.Bytes()
}

// trusted says whether whoever trusts a bundle accepts a certificate for a name.
func trusted(bundle []byte, leaf *x509.Certificate, name string, now time.Time) bool {
	roots := x509.NewCertPool()
	for _, c := range parseBundle(bundle) {
		roots.AddCert(c)
	}
	_, err := leaf.Verify(x509.VerifyOptions{DNSName: name, Roots: roots, CurrentTime: now})
	return err == nil
}

// turnover decides when a new certificate takes the place of the one that is served: API servers learn of a new authority by a watch, each for itself, and must all have
// learned of it before anything is served that only the new one signed.
type turnover struct {
	name   string        // for which the API server asks
	settle time.Duration // how long an authority has to be trusted before it is relied upon

	authority [sha256.Size]byte
	since     time.Time // when all bundles were first seen to trust it
}

// due says whether next is to be served from now on, and if not, after how long to ask again; 0: after something changed. served is nil before the first.
func (t *turnover) due(served *x509.Certificate, next *issued, bundles [][]byte, now time.Time) (bool, time.Duration) {
	all := func(leaf *x509.Certificate) bool {
		return !slices.ContainsFunc(bundles, func(b []byte) bool { return !trusted(b, leaf, t.name, now) })
	}
	if !all(next.leaf) {
		t.since = time.Time{}
		return false, 0
	}
	if by := sha256.Sum256(next.authority.Raw); t.since.IsZero() || t.authority != by {
		t.authority, t.since = by, now
	}
	if served != nil && served.Equal(next.leaf) {
		return false, 0
	}
	if served == nil || !all(served) {
		return true, 0 // there is nothing to lose
	}
	if served.CheckSignatureFrom(next.authority) == nil {
		return true, 0 // whoever trusts the one trusts the other
	}
	left := t.settle - now.Sub(t.since)
	return left <= 0, max(0, left)
}
