package admission

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Watched is what was seen of the certificates.
type Watched struct {
	// Handshakes that counted, and those that were left out because this machine was too slow to say anything about them.
	Handshakes, Slow int
	// Rotations of the serving certificate and of the authority, at the replica that saw the most.
	Rotations, Authorities int
	// Shortest is the least that any certificate had left to live when it was still served.
	Shortest time.Duration
	// Refused are the handshakes that an API server would have given up.
	Refused []error
}

// Watch does what API servers do, with each replica, and with connections that are always new: it reads whom to trust from a configuration, and shakes hands. Once with the
// bundle as it is, and once with one that is lag old, as an API server has it whose watch is behind. It ends with the context.
func (w *World) Watch(ctx context.Context, lag time.Duration) Watched {
	type bundle struct {
		read time.Time
		pem  []byte
	}
	type last struct{ leaf, authority string }
	var out Watched
	var history []bundle
	seen := make([]last, len(w.Replicas))
	rotations, authorities := make([]int, len(seen)), make([]int, len(seen))
	out.Shortest = 1<<63 - 1
	tick := time.NewTicker(40 * time.Millisecond)
	defer tick.Stop()
	for n := 0; ; n++ {
		select {
		case <-ctx.Done():
			for i := range seen {
				out.Rotations, out.Authorities = max(out.Rotations, rotations[i]), max(out.Authorities, authorities[i])
			}
			return out
		case <-tick.C:
		}
		pem, err := w.bundle(ctx)
		if err != nil {
			continue // the context ended
		}
		now := time.Now()
		history = append(history, bundle{now, pem})
		for len(history) > 1 && now.Sub(history[1].read) >= lag {
			history = history[1:] // the first is the newest of those that are lag old or older
		}
		i := n % len(w.Replicas)
		for _, b := range []bundle{history[0], history[len(history)-1]} {
			chain, err := handshake(ctx, w.Replicas[i].address(), b.pem)
			switch took := time.Since(now); {
			case ctx.Err() != nil:
			case took > lag/2:
				out.Slow++
			case err != nil:
				out.Refused = append(out.Refused, fmt.Errorf("replica %d, with a bundle read %s ago: %w", i, time.Since(b.read).Round(time.Millisecond), err))
			default:
				out.Handshakes++
				out.Shortest = min(out.Shortest, time.Until(chain[0].NotAfter))
				is := last{string(chain[0].Raw), string(chain[len(chain)-1].Raw)}
				if seen[i].leaf != "" && seen[i].leaf != is.leaf {
					rotations[i]++
				}
				if seen[i].authority != "" && seen[i].authority != is.authority {
					authorities[i]++
				}
				seen[i] = is
			}
		}
	}
}

// Err is an error when an API server would have been refused, or when too little was seen to tell.
func (w Watched) Err() error {
	if w.Handshakes < 10*w.Slow || w.Handshakes == 0 {
		return fmt.Errorf("%d handshakes, and %d were too slow to count", w.Handshakes, w.Slow)
	}
	return errors.Join(w.Refused[:min(len(w.Refused), 10)]...)
}

// bundle is whom the API server trusts for the first validating webhook.
func (w *World) bundle(ctx context.Context) ([]byte, error) {
	var v admissionregistrationv1.ValidatingWebhookConfiguration
	if err := w.Client.Get(ctx, client.ObjectKey{Name: "robustmq-operator"}, &v); err != nil {
		return nil, err
	}
	return v.Webhooks[0].ClientConfig.CABundle, nil
}

// handshake connects as an API server does, and returns the certificates from the served one to the authority.
func handshake(ctx context.Context, address string, bundle []byte) ([]*x509.Certificate, error) {
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(bundle)
	d := tls.Dialer{NetDialer: &net.Dialer{Timeout: 5 * time.Second}, Config: &tls.Config{RootCAs: roots, ServerName: serviceDNS, MinVersion: tls.VersionTLS12}}
	conn, err := d.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	return conn.(*tls.Conn).ConnectionState().VerifiedChains[0], nil
}
