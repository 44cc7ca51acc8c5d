package pki

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"time"
)

// Keys of the Secrets. tls.crt and tls.key are those of type kubernetes.io/tls; ca.crt holds every authority that is to be trusted, newest first.
const (
	KeyTrust = "ca.crt"
	KeyCert  = "tls.crt"
	KeyKey   = "tls.key"
	// KeyOldCert and KeyOldKey are the authority before, in the authority's own Secret, while the new one is being made known.
	KeyOldCert = "old.crt"
	KeyOldKey  = "old.key"
)

// Rules say how long certificates live. The zero value is not usable: start from DefaultRules.
type Rules struct {
	// AuthorityLife is how long an authority is valid.
	AuthorityLife time.Duration
	// LeafLife is how long every other certificate is valid. A certificate is made anew when two thirds of its life are over, or earlier if it has a shorter life and less than a third of LeafLife is left.
	LeafLife time.Duration
	// Propagation is how long a new authority is only trusted before it signs: by then every pod has it in its mounted ca.crt.
	// The kubelet refreshes mounted Secrets within about two minutes (sync period plus cache).
	Propagation time.Duration
}

// DefaultRules are: authority 10 years, certificates 90 days, an hour to make a new authority known.
func DefaultRules() Rules {
	return Rules{AuthorityLife: 10 * 365 * 24 * time.Hour, LeafLife: 90 * 24 * time.Hour, Propagation: time.Hour}
}

// Subject is whose certificates these are.
type Subject struct {
	Namespace, Cluster string
	// ListenerDNSNames are the names in the listeners' certificate; empty when somebody else makes that one (tls.secretName, tls.issuerRef).
	ListenerDNSNames []string
}

// Secrets are the data of the Secrets; a nil map is a Secret that does not exist.
type Secrets struct {
	Authority map[string][]byte // <cluster>-ca
	Agent     map[string][]byte // <cluster>-agent-pki
	Operator  map[string][]byte // <cluster>-operator-pki
	Job       map[string][]byte // <cluster>-job-pki
	Listener  map[string][]byte // <cluster>-server-tls, when it is generated
}

const redacted = "(certificates and keys)"

// String keeps the keys out of whatever prints the Secrets; so do GoString and MarshalJSON.
func (Secrets) String() string { return redacted }

// GoString is for %#v.
func (Secrets) GoString() string { return redacted }

// MarshalJSON is for structured logs.
func (Secrets) MarshalJSON() ([]byte, error) { return []byte(`"` + redacted + `"`), nil }

// Change is one Secret that has to be written, and why.
type Change struct {
	Secret string // Authority, Agent, Operator, Job, Listener
	Reason string // for people; holds no secret
}

// Result is what the Secrets shall be.
type Result struct {
	Secrets Secrets
	Changes []Change
	// Next is when Desired has to be asked again, at the latest: the first renewal, or the next step of an authority's rotation.
	Next time.Time
}

// Desired says what the Secrets of a cluster shall hold. What still serves is returned as it is, byte for byte, so that a converged cluster costs no write.
// It fails only when no certificate can be made; whatever is unreadable in existing is replaced, never an error.
func Desired(existing Secrets, who Subject, rules Rules, now time.Time, random io.Reader) (Result, error) {
	auth, reason, next, err := desiredAuthority(existing.Authority, who, rules, now, random)
	if err != nil {
		return Result{}, err
	}
	r := Result{Secrets: Secrets{Authority: auth.data()}, Next: next}
	if reason == "" && !maps.EqualFunc(existing.Authority, r.Secrets.Authority, slices.Equal) {
		reason = "the Secret held more or less than the authority"
	}
	if reason != "" {
		r.Changes = append(r.Changes, Change{Secret: "Authority", Reason: reason})
	}

	for _, leaf := range []struct {
		name string
		have map[string][]byte
		into *map[string][]byte
		want request
	}{
		{"Agent", existing.Agent, &r.Secrets.Agent, agentRequest(who)},
		{"Operator", existing.Operator, &r.Secrets.Operator, operatorRequest(who)},
		{"Job", existing.Job, &r.Secrets.Job, jobRequest(who)},
		{"Listener", existing.Listener, &r.Secrets.Listener, listenerRequest(who)},
	} {
		if leaf.want.empty() {
			continue
		}
		have := pair{cert: leaf.have[KeyCert], key: leaf.have[KeyKey]}
		made, reason, renew, err := desiredLeaf(have, auth, leaf.want, rules, now, random)
		if err != nil {
			return Result{}, fmt.Errorf("%s certificate: %w", leaf.name, err)
		}
		data := map[string][]byte{KeyTrust: auth.trust(), KeyCert: made.cert, KeyKey: made.key}
		if reason == "" && !slices.Equal(leaf.have[KeyTrust], data[KeyTrust]) {
			reason = "the trusted authorities changed"
		}
		if reason != "" {
			r.Changes = append(r.Changes, Change{Secret: leaf.name, Reason: reason})
		}
		*leaf.into = data
		r.Next = earliest(r.Next, renew)
	}
	return r, nil
}

func earliest(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}
