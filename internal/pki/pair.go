package pki

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"time"
)

// pair is a certificate and its key, PEM.
type pair struct{ cert, key []byte }

// String keeps a key out of whatever prints a pair.
func (pair) String() string { return "(certificate and key)" }

// GoString does the same for %#v.
func (p pair) GoString() string { return p.String() }

// parse fails when either part is unreadable, or when the key is not the certificate's. Its errors quote nothing of the key.
func (p pair) parse() (*x509.Certificate, crypto.Signer, error) {
	cert, err := ParseCertificate(p.cert)
	if err != nil {
		return nil, nil, err
	}
	block, _ := pem.Decode(p.key)
	if block == nil {
		return nil, nil, errors.New("the key is not PEM")
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, nil, errors.New("the key is not in the form PKCS #8")
	}
	key, ok := parsed.(crypto.Signer)
	if !ok {
		return nil, nil, errors.New("the key cannot sign")
	}
	public, ok := key.Public().(interface{ Equal(crypto.PublicKey) bool })
	if !ok || !public.Equal(cert.PublicKey) {
		return nil, nil, errors.New("the key belongs to another certificate")
	}
	return cert, key, nil
}

// ParseCertificate reads the first certificate of a PEM file: the one that is served, when a chain follows.
func ParseCertificate(data []byte) (*x509.Certificate, error) {
	for {
		block, rest := pem.Decode(data)
		if block == nil {
			return nil, errors.New("there is no certificate in the PEM")
		}
		if block.Type == "CERTIFICATE" {
			cert, err := x509.ParseCertificate(block.Bytes)
			if err != nil {
				return nil, fmt.Errorf("read the certificate: %w", err)
			}
			return cert, nil
		}
		data = rest
	}
}

// NotAfter is when the first certificate in a PEM file ends: for metrics and conditions.
func NotAfter(data []byte) (time.Time, error) {
	cert, err := ParseCertificate(data)
	if err != nil {
		return time.Time{}, err
	}
	return cert.NotAfter, nil
}

// renewalOf is when two thirds of a certificate's life are over.
func renewalOf(cert *x509.Certificate) time.Time {
	if cert == nil {
		return time.Time{}
	}
	return cert.NotBefore.Add(cert.NotAfter.Sub(cert.NotBefore) / 3 * 2)
}

// backdate is how far before now a certificate begins, for clocks that are behind: 5 minutes, less for those that live only minutes.
func backdate(life time.Duration) time.Duration { return min(5*time.Minute, life/20) }

func newSerial(random io.Reader) (*big.Int, error) {
	var b [16]byte
	if _, err := io.ReadFull(random, b[:]); err != nil {
		return nil, fmt.Errorf("draw a serial number: %w", err)
	}
	b[0] = b[0]&0x7f | 0x40 // positive, and always 16 bytes (RFC 5280 §4.1.2.2 wants positive and at most 20)
	return new(big.Int).SetBytes(b[:]), nil
}

// sign makes a key and its certificate; without a parent the certificate signs itself.
// ECDSA P-256 in PKCS #8: what RobustMQ reads (rustls-pemfile takes the first PKCS #8, PKCS #1 or SEC 1 block).
func sign(template, parent *x509.Certificate, parentKey crypto.Signer, random io.Reader) (pair, *x509.Certificate, crypto.Signer, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), random)
	if err != nil {
		return pair{}, nil, nil, fmt.Errorf("make a key: %w", err)
	}
	if parent == nil {
		parent, parentKey = template, key
	}
	der, err := x509.CreateCertificate(random, template, parent, key.Public(), parentKey)
	if err != nil {
		return pair{}, nil, nil, fmt.Errorf("sign: %w", err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return pair{}, nil, nil, fmt.Errorf("read back the new certificate: %w", err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return pair{}, nil, nil, fmt.Errorf("encode the key: %w", err)
	}
	return pair{cert: encode("CERTIFICATE", der), key: encode("PRIVATE KEY", keyDER)}, cert, key, nil
}

func encode(kind string, der []byte) []byte {
	var b bytes.Buffer
	_ = pem.Encode(&b, &pem.Block{Type: kind, Bytes: der}) // a bytes.Buffer does not fail
	return b.Bytes()
}
