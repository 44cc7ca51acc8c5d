package agent

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/miekg/dns"
)

const (
	resolvConf = "/etc/resolv.conf"
	dnsPort    = "53"
	// dnsTimeout of one question to one server.
	dnsTimeout = 2 * time.Second
	// dnsPacket is the size of an answer over UDP that passes every network; a longer one is asked for over TCP.
	dnsPacket = 1232
)

// resolver asks the DNS servers that the file conf names, at a port, and nobody else: a pod's own name stands in its /etc/hosts, by the kubelet's hand and for as long as the pod lives, so the system's resolver
// always finds it at its own address, whatever the others are told.
type resolver struct{ conf, port string }

// addresses of an absolute name, of both families. A name that nobody knows, or that has none, is a *net.DNSError that IsNotFound.
func (r resolver) addresses(ctx context.Context, host string) ([]string, error) {
	conf, err := dns.ClientConfigFromFile(r.conf)
	if err != nil {
		return nil, fmt.Errorf("DNS: %w", err)
	}
	conf.Port = r.port
	var found []string
	for _, kind := range []uint16{dns.TypeA, dns.TypeAAAA} {
		answer, err := exchange(ctx, conf, host, kind)
		if err != nil {
			return nil, err
		}
		for _, record := range answer {
			switch record := record.(type) {
			case *dns.A:
				found = append(found, record.A.String())
			case *dns.AAAA:
				found = append(found, record.AAAA.String())
			}
		}
	}
	if len(found) == 0 {
		return nil, unknownName(host)
	}
	return found, nil
}

func unknownName(host string) error {
	return &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
}

// exchange asks one server after another until one knows, or knows that there is nothing.
func exchange(ctx context.Context, conf *dns.ClientConfig, host string, kind uint16) ([]dns.RR, error) {
	question := new(dns.Msg).SetQuestion(dns.Fqdn(host), kind).SetEdns0(dnsPacket, false)
	failed := errors.New("no server is named")
	for _, server := range conf.Servers {
		address := net.JoinHostPort(server, conf.Port)
		answer, _, err := (&dns.Client{Timeout: dnsTimeout}).ExchangeContext(ctx, question, address)
		if err == nil && answer.Truncated {
			answer, _, err = (&dns.Client{Net: "tcp", Timeout: dnsTimeout}).ExchangeContext(ctx, question, address)
		}
		switch {
		case err != nil:
			failed = err
		case answer.Rcode == dns.RcodeSuccess:
			return answer.Answer, nil
		case answer.Rcode == dns.RcodeNameError:
			return nil, unknownName(host)
		default:
			failed = errors.New(dns.RcodeToString[answer.Rcode])
		}
		if ctx.Err() != nil {
			break
		}
	}
	return nil, fmt.Errorf("DNS: %s: %w", host, failed)
}
