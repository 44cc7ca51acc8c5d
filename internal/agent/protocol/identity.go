package protocol

import (
	"fmt"
	"strings"
)

// ServerName is the name that stands in every agent's certificate and that every caller verifies: one for the whole cluster, so that agents are reached by pod address
// and no Service or DNS record is needed to talk to a pod whose gate is closed.
func ServerName(namespace, cluster string) string {
	return "agent." + cluster + "." + namespace + ".robustmq.io"
}

// ClientKind says who holds a client certificate of the cluster's CA.
type ClientKind string

// The kinds of clients: the operator may call everything, an agent only PathPeer and, to be seeded, the calls that take an image; a Job only the calls that move images.
const (
	ClientOperator ClientKind = "operator"
	ClientAgent    ClientKind = "agent"
	ClientJob      ClientKind = "job"
)

const spiffePrefix = "spiffe://robustmq.io/"

// ClientURI is the URI subject alternative name of a client certificate.
func ClientURI(namespace, cluster string, kind ClientKind) string {
	return fmt.Sprintf("%s%s/%s/%s", spiffePrefix, namespace, cluster, kind)
}

// ParseClientURI returns who a client of the given cluster is, and false for anything that is not exactly a ClientURI of that cluster.
func ParseClientURI(namespace, cluster, uri string) (ClientKind, bool) {
	rest, ok := strings.CutPrefix(uri, spiffePrefix+namespace+"/"+cluster+"/")
	if !ok {
		return "", false
	}
	switch kind := ClientKind(rest); kind {
	case ClientOperator, ClientAgent, ClientJob:
		return kind, true
	default:
		return "", false
	}
}
