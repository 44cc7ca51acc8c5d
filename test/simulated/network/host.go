package network

import (
	"context"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Host is one end: it resolves names and dials as that host would. Its methods have the shapes of net.Resolver and net.Dialer.
type Host struct {
	network *Network
	Name    string
	Address string
}

// dnsTimeout is how long the C library's and Go's resolvers wait for an answer in total (2 tries of 5 s).
const dnsTimeout = 10 * time.Second

// LookupHost returns the addresses of an absolute name. A name that is not published is a *net.DNSError with IsNotFound, at once, as CoreDNS answers NXDOMAIN.
func (h *Host) LookupHost(ctx context.Context, name string) ([]string, error) {
	if net.ParseIP(name) != nil {
		return []string{name}, nil
	}
	n := h.network
	n.note(name)
	ctx, cancel := context.WithTimeout(ctx, time.Duration(float64(dnsTimeout)/n.speed))
	defer cancel()
	for {
		n.mu.Lock()
		down, changed := n.dnsDown[h.Name] || n.gone[h.Address], n.changed
		found := append([]string(nil), n.zone[strings.TrimSuffix(name, ".")]...)
		n.mu.Unlock()
		if !down {
			if len(found) == 0 {
				return nil, &net.DNSError{Err: "no such host", Name: name, IsNotFound: true}
			}
			return found, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, &net.DNSError{Err: "i/o timeout", Name: name, IsTimeout: true, IsTemporary: true}
		}
	}
}

// DialContext connects to host:port over TCP from this host's own address.
func (h *Host) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	host, service, err := net.SplitHostPort(address)
	if err != nil {
		return nil, fmt.Errorf("dial %s: %w", address, err)
	}
	port, err := strconv.Atoi(service)
	if err != nil {
		return nil, fmt.Errorf("dial %s: %w", address, err)
	}
	found, err := h.LookupHost(ctx, host)
	if err != nil {
		return nil, &net.OpError{Op: "dial", Net: network, Err: err}
	}
	ip := found[0]
	h.network.note(ip)
	if err := wait(ctx, h.network.pause(ip)); err != nil {
		return nil, &net.OpError{Op: "dial", Net: network, Err: err}
	}
	for {
		out, back, changed := h.network.way(h, ip)
		switch {
		case out == BlackHole || back == BlackHole:
			select {
			case <-changed:
				continue
			case <-ctx.Done():
				return nil, &net.OpError{Op: "dial", Net: network, Addr: addr(ip, port), Err: timeoutOf(ctx)}
			}
		case out == Refusing || back == Refusing:
			return nil, &net.OpError{Op: "dial", Net: network, Addr: addr(ip, port), Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}
		}
		dialer := net.Dialer{}
		if h.Address != "" {
			dialer.LocalAddr = &net.TCPAddr{IP: net.ParseIP(h.Address)}
		}
		conn, err := dialer.DialContext(ctx, network, net.JoinHostPort(ip, service))
		if err != nil {
			return nil, err
		}
		return newConn(h, conn, ip, port), nil
	}
}

// timeoutOf is the error of a connect that was never answered: a deadline looks like the kernel's time-out, a cancellation stays one.
func timeoutOf(ctx context.Context) error {
	if ctx.Err() == context.DeadlineExceeded {
		return os.ErrDeadlineExceeded
	}
	return ctx.Err()
}

func addr(ip string, port int) net.Addr { return &net.TCPAddr{IP: net.ParseIP(ip), Port: port} }

func wait(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return timeoutOf(ctx)
	}
}
