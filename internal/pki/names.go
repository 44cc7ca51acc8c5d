package pki

import (
	"crypto/x509"
	"net/url"
	"slices"
)

// trustDomain is the authority part of the SPIFFE ids and the domain of the agents' name. Nothing resolves it: it only names identities inside one cluster's own authority.
const trustDomain = "robustmq.io"

// ServerName is the name that every agent's certificate carries, and that whoever dials an agent must ask for: pods are dialled by address, and one certificate serves all of them.
func ServerName(namespace, cluster string) string {
	return "agent." + cluster + "." + namespace + "." + trustDomain
}

// Roles in an identity.
const (
	RoleOperator = "operator"
	RoleAgent    = "agent"
	RoleJob      = "job"
)

// Identity is the URI SAN of a certificate: spiffe://robustmq.io/<namespace>/<cluster>/<role>.
func Identity(namespace, cluster, role string) string {
	return (&url.URL{Scheme: "spiffe", Host: trustDomain, Path: "/" + namespace + "/" + cluster + "/" + role}).String()
}

// request is what a certificate has to say.
type request struct {
	commonName string
	dns        []string
	uris       []string
	usages     []x509.ExtKeyUsage
}

func (r request) empty() bool { return len(r.dns) == 0 && len(r.uris) == 0 }

func agentRequest(who Subject) request {
	return request{
		commonName: "RobustMQ agent",
		dns:        []string{ServerName(who.Namespace, who.Cluster)},
		uris:       []string{Identity(who.Namespace, who.Cluster, RoleAgent)},
		usages:     []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
}

func operatorRequest(who Subject) request {
	return request{
		commonName: "RobustMQ operator",
		uris:       []string{Identity(who.Namespace, who.Cluster, RoleOperator)},
		usages:     []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
}

// listenerRequest carries no identity and no client usage: whoever gets hold of the listeners' key is nobody to an agent.
func listenerRequest(who Subject) request {
	names := slices.Clone(who.ListenerDNSNames)
	slices.Sort(names)
	return request{
		commonName: "RobustMQ listener",
		dns:        slices.Compact(names),
		usages:     []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
}
