package webhooks

import (
	"fmt"
	"time"
)

// Lifetimes of the certificates that the operator makes for its webhooks.
type Lifetimes struct {
	// Authority and Certificate are how long each is valid from its making.
	Authority, Certificate time.Duration
	// RotateBefore is how long before its end either is made anew; default a third of Certificate. All that a rotation waits for is a small part of it.
	RotateBefore time.Duration
}

// The usual lifetimes, and the shortest that leave a rotation its time.
const (
	DefaultAuthorityLifetime   = 10 * 365 * 24 * time.Hour
	DefaultCertificateLifetime = 90 * 24 * time.Hour
	MinCertificateLifetime     = 10 * time.Second
)

// complete fills in what is not given, or says what cannot be.
func (l Lifetimes) complete() (Lifetimes, error) {
	if l.Authority == 0 {
		l.Authority = DefaultAuthorityLifetime
	}
	if l.Certificate == 0 {
		l.Certificate = DefaultCertificateLifetime
	}
	if l.RotateBefore == 0 {
		l.RotateBefore = l.Certificate / 3
	}
	switch {
	case l.Certificate < MinCertificateLifetime:
		return l, fmt.Errorf("a certificate that lives %s: at least %s", l.Certificate, MinCertificateLifetime)
	case l.Authority < l.Certificate:
		return l, fmt.Errorf("an authority that lives %s: at least as long as its certificates, %s", l.Authority, l.Certificate)
	case l.RotateBefore < l.Certificate/10 || l.RotateBefore >= l.Certificate:
		return l, fmt.Errorf("rotating %s before the end of %s: at least a tenth of it, and less than all", l.RotateBefore, l.Certificate)
	}
	return l, nil
}

// checkEvery is how often the rotator looks at the ages.
func (l Lifetimes) checkEvery() time.Duration { return min(time.Hour, l.RotateBefore/20) }

// settle is how long API servers have to learn of a new authority: they watch, so it takes them milliseconds, and seconds when a watch broke.
func (l Lifetimes) settle() time.Duration { return min(time.Minute, l.RotateBefore/10) }

// overlap is how long an authority stays trusted after another took its place: long enough for every replica to serve the new one's certificate, and no longer,
// because whoever removes the Secret for fear of a stolen key wants it to be worthless.
func (l Lifetimes) overlap() time.Duration { return min(time.Hour, l.RotateBefore/2) }
