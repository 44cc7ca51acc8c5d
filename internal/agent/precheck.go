package agent

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"strconv"
	"time"

	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
	"github.com/robustmq/robustmq-operator/internal/robustmq"
	"github.com/robustmq/robustmq-operator/internal/robustmq/config"
)

// precheck finds what the server would only die of: it exits with 1 and its last error line is lost in about half of the runs (seen 5 of 8), so the reason must be known
// before. It returns when the certificate expires; an expired one is no error, the server does not look.
func precheck(in config.Input, v robustmq.Version, t robustmq.Traits, cert, key []byte) (time.Time, error) {
	if err := robustmq.Supported(v); err != nil {
		return time.Time{}, fmt.Errorf("version: %w", err)
	}
	if err := checkMembers(in, t); err != nil {
		return time.Time{}, err
	}
	if err := checkPorts(in.Config.Ports, v, t); err != nil {
		return time.Time{}, err
	}
	if err := checkCredentials(in.Credentials, t); err != nil {
		return time.Time{}, err
	}
	return checkCertificate(cert, key)
}

// checkMembers: a member whose id is not in meta_addrs exits with 1; so does one that is alone in a list that lacks the leader.
func checkMembers(in config.Input, t robustmq.Traits) error {
	c := in.Config
	if c.Role != config.RolePlacementCenter && (c.Islands || t.Tier == robustmq.TierIslands) {
		return nil
	}
	if len(c.Members) == 0 {
		return errors.New("members: the placement centre's list is empty")
	}
	ids, hosts := map[uint64]bool{}, map[string]bool{}
	for _, m := range c.Members {
		if m.NodeID == 0 || m.Host == "" {
			return fmt.Errorf("members: %q has id %d and host %q: both are needed", m.Pod, m.NodeID, m.Host)
		}
		if ids[m.NodeID] || hosts[m.Host] {
			return fmt.Errorf("members: node %d at %s is listed twice", m.NodeID, m.Host)
		}
		ids[m.NodeID], hosts[m.Host] = true, true
		if m.NodeID == in.NodeID() && m.Host != in.Host() {
			return fmt.Errorf("members: node %d is listed as %s, this pod is %s", m.NodeID, m.Host, in.Host())
		}
	}
	if c.Role == config.RolePlacementCenter && !ids[in.NodeID()] {
		return fmt.Errorf("members: this pod's node %d is not in the list", in.NodeID())
	}
	return nil
}

// checkPorts: the server panics or exits with 1 on a port out of range or taken; the agent's own are taken.
func checkPorts(p protocol.Ports, v robustmq.Version, t robustmq.Traits) error {
	type port struct {
		name   string
		number int32
	}
	ports := []port{
		{"grpc", p.GRPC}, {"http", p.HTTP}, {"engine", p.Engine}, {"mqtt", p.MQTT}, {"mqtts", p.MQTTS}, {"ws", p.WS}, {"wss", p.WSS},
	}
	if t.MetricsOnHTTP { // since 0.4.1, when the ports of Kafka and AMQP became settings too
		ports = append(ports, port{"kafka", p.Kafka}, port{"amqp", p.AMQP})
	} else {
		ports = append(ports, port{"prometheus", p.Prometheus})
	}
	if t.NATS {
		ports = append(ports, port{"nats", p.NATS}, port{"natsTLS", p.NATSTLS}, port{"natsWS", p.NATSWS}, port{"natsWSS", p.NATSWSS})
	}
	taken := map[int32]string{protocol.Port: "the agent", protocol.PublicPort: "the agent", protocol.MetricsPort: "the agent"}
	for _, p := range ports {
		if p.number < 1 || p.number > 65535 {
			return fmt.Errorf("ports: %s is %d, a port is 1 to 65535 (RobustMQ %s)", p.name, p.number, v)
		}
		if by, ok := taken[p.number]; ok {
			return fmt.Errorf("ports: %s and %s are both %d", p.name, by, p.number)
		}
		taken[p.number] = p.name
	}
	return nil
}

// checkCredentials: empty ones would leave the server's public defaults or an open door.
func checkCredentials(c config.Credentials, t robustmq.Traits) error {
	needed := map[string]string{"mqtt/username": c.MQTTUsername, "mqtt/password": c.MQTTPassword}
	if t.JWT {
		needed["admin/username"], needed["admin/password"], needed["jwt/secret"] = c.AdminUsername, c.AdminPassword, c.JWTSecret
	}
	for _, name := range []string{"admin/username", "admin/password", "jwt/secret", "mqtt/username", "mqtt/password"} {
		if value, ok := needed[name]; ok && value == "" {
			return fmt.Errorf("credentials: %s is missing or empty", name)
		}
	}
	return nil
}

// checkCertificate: TLS listeners always start and exit the process with 1 after 5 s over a missing, unreadable or foreign pair.
func checkCertificate(cert, key []byte) (time.Time, error) {
	if len(cert) == 0 || len(key) == 0 {
		return time.Time{}, errors.New("server certificate: tls.crt or tls.key is missing")
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return time.Time{}, fmt.Errorf("server certificate: %w", err)
	}
	if block, _ := pem.Decode(bytes.TrimSpace(key)); block != nil {
		switch block.Type {
		case "PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY", "EC PARAMETERS":
		default:
			return time.Time{}, fmt.Errorf("server certificate: tls.key holds %q, RobustMQ reads PKCS#8, PKCS#1 and SEC1 keys", block.Type)
		}
	}
	leaf, err := x509.ParseCertificate(pair.Certificate[0])
	if err != nil {
		return time.Time{}, fmt.Errorf("server certificate: %w", err)
	}
	return leaf.NotAfter, nil
}

// hostPort joins a host and one of the server's ports.
func hostPort(host string, port int32) string { return net.JoinHostPort(host, strconv.Itoa(int(port))) }
