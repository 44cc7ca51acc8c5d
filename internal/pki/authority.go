package pki

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"time"
)

// authority is the cluster's certificate authority: the current one and, during a rotation, the one before.
//
// A rotation has three steps, told apart by the new certificate's age alone, so that nothing has to be remembered:
// the new authority is trusted (Propagation), then it signs and every certificate is made anew, then (a leaf's life later, when no old certificate can be valid any more) the old one is dropped.
type authority struct {
	current, old         pair
	currentCert, oldCert *x509.Certificate // oldCert is nil when there is none

	signer    *x509.Certificate
	signerKey crypto.Signer
}

func (a authority) data() map[string][]byte {
	d := map[string][]byte{KeyCert: a.current.cert, KeyKey: a.current.key, KeyTrust: a.trust()}
	if a.oldCert != nil {
		d[KeyOldCert], d[KeyOldKey] = a.old.cert, a.old.key
	}
	return d
}

// trust is every authority to be trusted, newest first.
func (a authority) trust() []byte {
	if a.oldCert == nil {
		return bytes.Clone(a.current.cert)
	}
	return append(bytes.Clone(a.current.cert), a.old.cert...)
}

func desiredAuthority(data map[string][]byte, who Subject, rules Rules, now time.Time, random io.Reader) (a authority, reason string, next time.Time, err error) {
	current := pair{cert: data[KeyCert], key: data[KeyKey]}
	cert, key, problem := current.parse()
	if problem == nil && !cert.IsCA {
		problem = errors.New("it is no authority")
	}
	switch {
	case len(data) == 0:
		reason = "there is no authority yet"
	case problem != nil:
		reason = "the authority is unusable: " + problem.Error()
	case now.Before(cert.NotBefore):
		reason = "the authority is not valid yet"
	case !now.Before(cert.NotAfter):
		reason = "the authority has expired"
	}
	if reason != "" { // nothing that could still be trusted: start anew, without overlap
		a, err = makeAuthority(pair{}, nil, who, rules, now, random)
		return a, reason, renewalOf(a.currentCert), err
	}

	a = authority{current: current, currentCert: cert, signer: cert, signerKey: key}
	old := pair{cert: data[KeyOldCert], key: data[KeyOldKey]}
	oldCert, oldKey, problem := old.parse()
	rotating := problem == nil && now.Before(oldCert.NotAfter)
	if !now.Before(renewalOf(cert)) && !rotating {
		reason = "two thirds of the authority's life are over"
		a, err = makeAuthority(current, cert, who, rules, now, random)
		if err != nil {
			return a, "", time.Time{}, err
		}
		signs := madeAt(a.currentCert, rules).Add(rules.Propagation)
		if cert.NotAfter.Before(signs) { // renewed too late (the operator was away): what the old one signs now would expire before the new one may sign
			return a, reason, renewalOf(a.currentCert), nil
		}
		a.signer, a.signerKey = cert, key
		return a, reason, signs, nil
	}
	next = renewalOf(cert)
	if !rotating {
		return a, "", next, nil
	}

	signs := madeAt(cert, rules).Add(rules.Propagation)
	done := signs.Add(rules.LeafLife)
	if !now.Before(done) {
		return a, "the authority before is no longer needed", next, nil
	}
	a.old, a.oldCert = old, oldCert
	if now.Before(signs) && !oldCert.NotAfter.Before(signs) {
		a.signer, a.signerKey = oldCert, oldKey
		return a, "", earliest(signs, oldCert.NotAfter), nil
	}
	return a, "", earliest(done, oldCert.NotAfter), nil
}

// madeAt is when an authority was made.
func madeAt(cert *x509.Certificate, rules Rules) time.Time {
	return cert.NotBefore.Add(backdate(rules.AuthorityLife))
}

func makeAuthority(old pair, oldCert *x509.Certificate, who Subject, rules Rules, now time.Time, random io.Reader) (authority, error) {
	serial, err := newSerial(random)
	if err != nil {
		return authority{}, err
	}
	template := &x509.Certificate{
		SerialNumber:          serial,
		Subject:               pkix.Name{CommonName: "RobustMQ cluster authority", Organization: []string{who.Namespace + "/" + who.Cluster}},
		NotBefore:             now.Add(-backdate(rules.AuthorityLife)).UTC().Truncate(time.Second),
		NotAfter:              now.Add(rules.AuthorityLife).UTC().Truncate(time.Second),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign | x509.KeyUsageDigitalSignature,
		BasicConstraintsValid: true,
		IsCA:                  true,
		MaxPathLenZero:        true,
	}
	made, cert, key, err := sign(template, nil, nil, random)
	if err != nil {
		return authority{}, fmt.Errorf("make the cluster's authority: %w", err)
	}
	return authority{current: made, currentCert: cert, old: old, oldCert: oldCert, signer: cert, signerKey: key}, nil
}
