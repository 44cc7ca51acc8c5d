package pki

import (
	"crypto/x509"
	"slices"

	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
)

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
		dns:        []string{protocol.ServerName(who.Namespace, who.Cluster)},
		uris:       []string{protocol.ClientURI(who.Namespace, who.Cluster, protocol.ClientAgent)},
		usages:     []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
}

func operatorRequest(who Subject) request {
	return request{
		commonName: "RobustMQ operator",
		uris:       []string{protocol.ClientURI(who.Namespace, who.Cluster, protocol.ClientOperator)},
		usages:     []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
}

// jobRequest is that of the backup and restore Jobs: the agents let it move images and nothing else.
func jobRequest(who Subject) request {
	return request{
		commonName: "RobustMQ job",
		uris:       []string{protocol.ClientURI(who.Namespace, who.Cluster, protocol.ClientJob)},
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
