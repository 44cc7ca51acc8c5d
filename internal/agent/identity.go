package agent

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
)

// identity is the agent's side of the cluster's mutual TLS. The files are read again when they change, so that certificates are rotated without a restart.
type identity struct {
	dir string
	now func() time.Time

	mu      sync.Mutex
	checked time.Time
	stamp   [3]os.FileInfo
	pair    *tls.Certificate
	roots   *x509.CertPool
	expires time.Time
	err     error
}

// recheck is how often the files are looked at, at most.
const recheck = time.Second

func newIdentity(dir string, now func() time.Time) *identity { return &identity{dir: dir, now: now} }

// load returns the certificate and the CAs that hold now. After a change that cannot be read the last good ones go on.
func (i *identity) load() (*tls.Certificate, *x509.CertPool, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if now := i.now(); i.checked.IsZero() || now.Sub(i.checked) >= recheck {
		i.checked = now
		i.refresh()
	}
	if i.pair == nil {
		return nil, nil, i.err
	}
	return i.pair, i.roots, nil
}

func (i *identity) refresh() {
	var stamp [3]os.FileInfo
	same := i.pair != nil
	for n, name := range []string{"ca.crt", "tls.crt", "tls.key"} {
		info, err := os.Stat(filepath.Join(i.dir, name))
		if err != nil {
			i.err = fmt.Errorf("identity: %w", err)
			return
		}
		stamp[n] = info
		same = same && i.stamp[n] != nil && os.SameFile(info, i.stamp[n]) && info.ModTime().Equal(i.stamp[n].ModTime()) && info.Size() == i.stamp[n].Size()
	}
	if same {
		return
	}
	pair, roots, leaf, err := readIdentity(i.dir)
	if err != nil {
		i.err = err
		return
	}
	i.stamp, i.pair, i.roots, i.expires, i.err = stamp, pair, roots, leaf.NotAfter, nil
}

func readIdentity(dir string) (*tls.Certificate, *x509.CertPool, *x509.Certificate, error) {
	ca, err := os.ReadFile(filepath.Join(dir, "ca.crt"))
	if err != nil {
		return nil, nil, nil, fmt.Errorf("identity: %w", err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(ca) {
		return nil, nil, nil, errors.New("identity: ca.crt holds no certificate")
	}
	pair, err := tls.LoadX509KeyPair(filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key"))
	if err != nil {
		return nil, nil, nil, fmt.Errorf("identity: %w", err)
	}
	leaf, err := x509.ParseCertificate(pair.Certificate[0])
	if err != nil {
		return nil, nil, nil, fmt.Errorf("identity: %w", err)
	}
	return &pair, roots, leaf, nil
}

// expiry of the agent's own certificate; zero when there is none.
func (i *identity) expiry() time.Time {
	if _, _, err := i.load(); err != nil {
		return time.Time{}
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.expires
}

// serverConfig demands a client certificate of the cluster's CA on every connection.
func (i *identity) serverConfig() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13,
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
			pair, roots, err := i.load()
			if err != nil {
				return nil, err
			}
			return &tls.Config{MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{*pair}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: roots}, nil
		},
	}
}

// scrapeConfig serves whoever comes: metrics are no secret, and Prometheus has no certificate of the cluster. The scraper knows by the agent's whom it asks.
func (i *identity) scrapeConfig() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12, // what scrapers of other people speak
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			pair, _, err := i.load()
			return pair, err
		},
	}
}

// clientConfig is for calls to other agents: the certificate must name the cluster, at whatever address it answers.
func (i *identity) clientConfig(namespace, cluster string) (*tls.Config, error) {
	pair, roots, err := i.load()
	if err != nil {
		return nil, err
	}
	return &tls.Config{MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{*pair}, RootCAs: roots, ServerName: protocol.ServerName(namespace, cluster)}, nil
}

// caller says who calls, by the verified certificate's one URI; empty for anybody whom the CA signed for something else.
func caller(r *http.Request, namespace, cluster string) protocol.ClientKind {
	if r.TLS == nil || len(r.TLS.VerifiedChains) == 0 || len(r.TLS.PeerCertificates) == 0 {
		return ""
	}
	leaf := r.TLS.PeerCertificates[0]
	if len(leaf.URIs) != 1 {
		return ""
	}
	kind, ok := protocol.ParseClientURI(namespace, cluster, leaf.URIs[0].String())
	if !ok {
		return ""
	}
	return kind
}

// allowed are the calls that each kind of caller may make: the operator all, an agent a member's answer and its image, a Job those that move images and, for reading, the lists that a backup counts.
func allowed(kind protocol.ClientKind, method, path string) bool {
	switch kind {
	case protocol.ClientOperator:
		return true
	case protocol.ClientAgent:
		return path == protocol.PathPeer || takesImage(path)
	case protocol.ClientJob:
		return takesImage(path) || movesPlacement(method, path) || method == http.MethodGet && counts(path)
	}
	return false
}

// takesImage are the calls that take an image of this pod's metadata.
func takesImage(path string) bool {
	return path == protocol.PathImages || strings.HasPrefix(path, protocol.PathImages+"/")
}

// movesPlacement are the calls that bring the bytes of an image. That it comes into force is the operator's word.
func movesPlacement(method, path string) bool {
	return method == http.MethodPost && path == protocol.PathPlacements || method != http.MethodPost && strings.HasPrefix(path, protocol.PathPlacements+"/")
}

func counts(path string) bool {
	api, ok := strings.CutPrefix(path, strings.TrimSuffix(protocol.PathAdmin, "/"))
	for _, list := range protocol.CountPaths {
		if ok && api == list {
			return true
		}
	}
	return false
}
