package pki

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"net/url"
	"slices"
	"time"
)

// desiredLeaf returns have as it is while it serves, else a new certificate and the reason; renew is when the returned one has to be made anew.
func desiredLeaf(have pair, auth authority, want request, rules Rules, now time.Time, random io.Reader) (p pair, reason string, renew time.Time, err error) {
	reason, cert := whyReissue(have, auth, want, rules, now)
	if reason == "" {
		return have, "", renewalOfLeaf(cert, auth, rules), nil
	}
	p, cert, err = issue(auth, want, rules, now, random)
	if err != nil {
		return pair{}, "", time.Time{}, err
	}
	return p, reason, renewalOfLeaf(cert, auth, rules), nil
}

// renewalOfLeaf is when two thirds of a certificate's life are over, or, if somebody gave it a shorter life than the rules do, when less than a third of theirs is left. One that ends with its authority
// would get no longer life by that.
func renewalOfLeaf(cert *x509.Certificate, auth authority, rules Rules) time.Time {
	due := renewalOf(cert)
	if third := cert.NotAfter.Add(-rules.LeafLife / 3); third.Before(due) && cert.NotAfter.Before(auth.signer.NotAfter) {
		return third
	}
	return due
}

// whyReissue is empty when the certificate still serves.
func whyReissue(have pair, auth authority, want request, rules Rules, now time.Time) (string, *x509.Certificate) {
	if len(have.cert) == 0 && len(have.key) == 0 {
		return "there is no certificate yet", nil
	}
	cert, _, err := have.parse()
	if err != nil {
		return "the certificate is unusable: " + err.Error(), nil
	}
	switch {
	case cert.CheckSignatureFrom(auth.signer) != nil:
		return "it is not signed by the authority that signs now", nil
	case now.Before(cert.NotBefore):
		return "it is not valid yet", nil
	case !now.Before(renewalOf(cert)):
		return "two thirds of its life are over", nil
	case !now.Before(renewalOfLeaf(cert, auth, rules)):
		return "less is left of it than of the others when they are renewed", nil
	case !sameSet(cert.DNSNames, want.dns):
		return fmt.Sprintf("its DNS names shall be %v", want.dns), nil
	case !sameSet(uriStrings(cert.URIs), want.uris):
		return fmt.Sprintf("its identity shall be %v", want.uris), nil
	case !slices.Equal(cert.ExtKeyUsage, want.usages):
		return "its usages differ", nil
	}
	return "", cert
}

func issue(auth authority, want request, rules Rules, now time.Time, random io.Reader) (pair, *x509.Certificate, error) {
	serial, err := newSerial(random)
	if err != nil {
		return pair{}, nil, err
	}
	uris := make([]*url.URL, 0, len(want.uris))
	for _, s := range want.uris {
		u, err := url.Parse(s)
		if err != nil {
			return pair{}, nil, fmt.Errorf("identity %q: %w", s, err)
		}
		uris = append(uris, u)
	}
	notAfter := now.Add(rules.LeafLife)
	if auth.signer.NotAfter.Before(notAfter) { // one that outlives its authority would be refused before its own end, unannounced
		notAfter = auth.signer.NotAfter
	}
	if !now.Before(notAfter) {
		return pair{}, nil, errors.New("the authority that signs has expired")
	}
	template := &x509.Certificate{
		SerialNumber:          serial,
		Subject:               pkix.Name{CommonName: want.commonName},
		NotBefore:             now.Add(-backdate(rules.LeafLife)).UTC().Truncate(time.Second),
		NotAfter:              notAfter.UTC().Truncate(time.Second),
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           want.usages,
		BasicConstraintsValid: true,
		DNSNames:              want.dns,
		URIs:                  uris,
	}
	made, cert, _, err := sign(template, auth.signer, auth.signerKey, random)
	return made, cert, err
}

func uriStrings(uris []*url.URL) []string {
	s := make([]string, 0, len(uris))
	for _, u := range uris {
		s = append(s, u.String())
	}
	return s
}

func sameSet(a, b []string) bool {
	return slices.Equal(slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b)))
}
