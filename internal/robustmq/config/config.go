package config

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"

	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
	"github.com/robustmq/robustmq-operator/internal/robustmq"
	"github.com/robustmq/robustmq-operator/internal/robustmq/config/catalogue"
)

// Roles of protocol.Config.
const (
	RolePlacementCenter = "PlacementCenter"
	RoleMQTTBroker      = "MQTTBroker"
	RoleJournalServer   = "JournalServer"
)

// Credentials are the secrets of a server.toml.
type Credentials struct {
	AdminUsername, AdminPassword string
	MQTTUsername, MQTTPassword   string
	JWTSecret                    string
}

// Secrets lists what must never be shown.
func (c Credentials) Secrets() []string {
	return []string{c.AdminPassword, c.MQTTPassword, c.JWTSecret}
}

// Paths are the files and folders that server.toml names.
type Paths struct {
	Data, Engine    string // below the data volume: RocksDB and raft snapshots; segment files
	Logger, Log     string // logger.toml; a folder that must be writable though nothing is written there
	TLSCert, TLSKey string
}

// Input is all that decides a pod's server.toml.
type Input struct {
	Config      protocol.Config
	Pod         string // pod name: host name with Config.HostSuffix
	Ordinal     uint64
	Credentials Credentials
	Paths       Paths
	// CPUs is what the server's runtime sees (the cgroup's quota): 0.3.x multiplies it.
	CPUs int
}

// NodeID is broker_id of the pod.
func (in Input) NodeID() uint64 { return in.Config.BaseID + in.Ordinal }

// Host is broker_ip of the pod: its stable DNS name. RobustMQ parses it nowhere as an address, and a metadata leader keeps the address of a node's first
// registration, which an address of the pod network would not survive.
func (in Input) Host() string { return in.Pod + in.Config.HostSuffix }

// Ignored is a key of the user's configuration that does not take effect.
type Ignored struct {
	Key    string // section.key in the newest names
	Reason string
}

// Rendered is a server.toml.
type Rendered struct {
	version    robustmq.Version
	ServerTOML []byte
	Ignored    []Ignored // sorted by key
	// Static is server.toml as it would be without the user's settings that a running server takes in, and without the MQTT password: while it is the same, nothing has to be restarted.
	Static []byte
	// Live are the settings that a running server takes in, with their values, a line each.
	Live []byte
	// Kinds are the whole configs, in JSON, that a running server is brought to this server.toml with, by kind: those of which it acts on at least one setting.
	Kinds map[catalogue.Kind][]byte
}

// Hash identifies a rendered configuration, or a part of it, and the certificate that goes with it. It is keyed by the cluster's UID, so that equal passwords in two clusters do not show.
func Hash(serverTOML, certificate []byte, clusterUID string) string {
	mac := hmac.New(sha256.New, []byte(clusterUID))
	for _, part := range [][]byte{serverTOML, certificate} {
		fmt.Fprintf(mac, "%d:", len(part))
		mac.Write(part)
	}
	return hex.EncodeToString(mac.Sum(nil)[:8])
}

// Render writes the server.toml of one pod: the operator's defaults, the user's sections over them, and over both what belongs to the operator.
// Errors: a version or role that is not known.
func Render(in Input) (Rendered, error) {
	v, err := robustmq.ParseVersion(in.Config.Version)
	if err != nil {
		return Rendered{}, fmt.Errorf("version: %w", err)
	}
	static := in
	var live map[string]map[string]any
	static.Config.Sections, live = splitLive(in.Config.Sections, v)
	renewable := robustmq.Lookup(v).JWT // the MQTT password counts only where the user does not exist; the agents make the user anew when it changes
	if renewable {
		static.Credentials.MQTTPassword = ""
	}
	r, err := compose(static, v)
	if err != nil {
		return Rendered{}, err
	}
	out := Rendered{version: v, Static: []byte(r.doc.String())}
	if renewable {
		if err := r.put("mqtt_runtime.auth", "default_password", in.Credentials.MQTTPassword); err != nil {
			return Rendered{}, err
		}
	}
	r.user(live)
	if err := r.complete(); err != nil {
		return Rendered{}, err
	}
	slices.SortFunc(r.ignored, func(a, b Ignored) int { return strings.Compare(a.Key, b.Key) })
	out.ServerTOML, out.Ignored, out.Live, out.Kinds = []byte(r.doc.String()), r.ignored, r.live(), r.kinds()
	return out, nil
}

// compose makes the document of one pod.
func compose(in Input, v robustmq.Version) (*renderer, error) {
	roles, err := ServerRoles(in.Config, v)
	if err != nil {
		return nil, err
	}
	r := &renderer{in: in, version: v, traits: robustmq.Lookup(v), doc: newDocument()}
	if err := r.defaults(); err != nil {
		return nil, err
	}
	r.user(in.Config.Sections)
	if err := r.owned(roles); err != nil {
		return nil, err
	}
	r.unknown()
	return r, r.complete()
}

// ServerRoles returns the server's roles. Since 0.4.0 a process without "engine" exits 1 at its first or next start (seen on 0.4.11), so every pod has it.
// Islands: 0.3.0 to 0.3.7 form a raft of "meta" alone, and work as single nodes with all three.
func ServerRoles(c protocol.Config, v robustmq.Version) ([]string, error) {
	islands := c.Islands || robustmq.Lookup(v).Tier == robustmq.TierIslands
	switch {
	case c.Role == RolePlacementCenter && islands:
		return []string{"meta"}, nil
	case c.Role == RolePlacementCenter:
		return []string{"meta", "engine"}, nil
	case c.Role == RoleMQTTBroker && islands:
		return []string{"meta", "broker", "engine"}, nil
	case c.Role == RoleMQTTBroker:
		return []string{"broker", "engine"}, nil
	case c.Role == RoleJournalServer && islands:
		return []string{"meta", "engine"}, nil
	case c.Role == RoleJournalServer:
		return []string{"engine"}, nil
	}
	return nil, fmt.Errorf("role %q is none of %s, %s, %s", c.Role, RolePlacementCenter, RoleMQTTBroker, RoleJournalServer)
}

type renderer struct {
	in      Input
	version robustmq.Version
	traits  robustmq.Traits
	doc     *document
	ignored []Ignored
}

func (r *renderer) islands() bool {
	return r.in.Config.Islands || r.traits.Tier == robustmq.TierIslands
}

// put sets a key by its newest name wherever this version has it; a version without it is no error.
func (r *renderer) put(section, key string, value any) error {
	s, known := catalogue.Lookup(section, key)
	if !known {
		return fmt.Errorf("server.toml: %s is not a known key", catalogue.Dotted(section, key))
	}
	if _, err := r.set(s, value); err != nil {
		return fmt.Errorf("server.toml: %s %w", s.Name(), err)
	}
	return nil
}

// set writes a setting where this version has it; false: it has it not.
func (r *renderer) set(s catalogue.Setting, value any) (bool, error) {
	at, name, ok := s.In(r.version)
	if !ok {
		return false, nil
	}
	return true, r.doc.set(at, name, value, s.Type == catalogue.F32)
}

type value struct {
	section, key string
	value        any
}

func (r *renderer) putAll(values []value) error {
	for _, v := range values {
		if err := r.put(v.section, v.key, v.value); err != nil {
			return err
		}
	}
	return nil
}

// defaults are the settings that the operator chooses and the user may change.
func (r *renderer) defaults() error {
	for s := range catalogue.Every() {
		if s.Chosen == nil {
			continue
		}
		if err := r.put(s.Section, s.Key, s.Chosen); err != nil {
			return err
		}
	}
	threads := max(r.in.Config.WorkerThreads, MinWorkerThreads)
	return r.putAll([]value{
		{"runtime", "server_worker_threads", threads},
		{"meta_runtime", "meta_worker_threads", threads},
		{"mqtt_runtime", "broker_worker_threads", threads},
		{"runtime", "default_topic_replica_num", min(maxReplicas, max(r.in.Config.Engines, 1))},
	})
}

const (
	// MinWorkerThreads of each of a server's runtimes. It holds locks across waits: once as many calls wait as there are threads, the whole server answers nobody any
	// more, its ports open. On 0.4.11 that was seen with 2 threads (a broker, when another node died) and with 4 (a member, in two rolling restarts of two under writes);
	// a waiting thread costs a stack.
	MinWorkerThreads = 64
	// minFactoredThreads: in dialect A the same setting is a factor of the number of CPUs. Those versions form no cluster, and nothing of the kind was seen.
	minFactoredThreads = 4
	maxReplicas        = 3
	// neverMillis (10 years): a placement leader of 0.3.x that expires a node deadlocks and applies nothing any more (seen 3 of 3).
	neverMillis = 315360000000
)

// user merges the known keys of a user's sections, translated into this version's names, and notes what has no effect.
func (r *renderer) user(sections map[string]map[string]any) {
	r.eachKey(sections, func(section, key string, v any) string {
		s, known := catalogue.Lookup(section, key)
		if !known {
			return "" // see unknown
		}
		if s.Owned {
			return "belongs to the operator"
		}
		if catalogue.Withheld(s, r.version) {
			return catalogue.WithheldWhy(r.version)
		}
		written, err := r.set(s, v)
		switch {
		case err != nil:
			return err.Error()
		case !written:
			return fmt.Sprintf("RobustMQ %s has no such key", r.version)
		}
		return ""
	})
}

// unknown passes on the keys that the catalogue does not have, to a version whose names are the newest: a server newer than the operator may have them, any other ignores them.
// It comes last, so that such a key can never take the place of a section.
func (r *renderer) unknown() {
	r.eachKey(r.in.Config.Sections, func(section, key string, v any) string {
		if _, known := catalogue.Lookup(section, key); known {
			return ""
		}
		if r.traits.Dialect != robustmq.DialectC {
			return fmt.Sprintf("is not known, and cannot be translated for RobustMQ %s", r.version)
		}
		if catalogue.Clashes(section, key) {
			return "stands where RobustMQ has something else"
		}
		if err := r.doc.set(section, key, v, false); err != nil {
			return err.Error()
		}
		return ""
	})
}

// eachKey visits the keys of a user's sections, by name, and notes those for which visit gives a reason.
func (r *renderer) eachKey(sections map[string]map[string]any, visit func(section, key string, v any) string) {
	for _, section := range slices.Sorted(maps.Keys(sections)) {
		keys := sections[section]
		for _, key := range slices.Sorted(maps.Keys(keys)) {
			if reason := visit(section, key, keys[key]); reason != "" {
				r.ignored = append(r.ignored, Ignored{Key: catalogue.Dotted(section, key), Reason: reason})
			}
		}
	}
}

// owned are the settings that nobody but the operator may choose.
func (r *renderer) owned(roles []string) error {
	c, p := r.in.Config, r.in.Config.Ports
	err := r.putAll([]value{
		{"", "cluster_name", c.Namespace + "-" + c.Cluster},
		{"", "broker_id", r.in.NodeID()},
		{"", "broker_ip", r.in.Host()},
		{"", "roles", roles},
		{"", "grpc_port", p.GRPC},
		{"", "http_port", p.HTTP},
		{"", "data_path", r.in.Paths.Data},
		{"log", "log_config", r.in.Paths.Logger},
		{"log", "log_path", r.in.Paths.Log},
		{"broker_network", "tls_cert", r.in.Paths.TLSCert},
		{"broker_network", "tls_key", r.in.Paths.TLSKey},
		{"meta_runtime", "offset_raft_group_num", 1},
		{"meta_runtime", "data_raft_group_num", 1},
		{"storage_runtime", "tcp_port", p.Engine},
		{"prometheus", "enable", true},
		{"prometheus", "port", p.Prometheus},
		{"storage_runtime", "data_path", []string{r.in.Paths.Engine}}, // without it the server exits 1 while it creates its inner topics
		{"mqtt_runtime.server", "tcp_port", p.MQTT},
		{"mqtt_runtime.server", "tls_port", p.MQTTS},
		{"mqtt_runtime.server", "websocket_port", p.WS},
		{"mqtt_runtime.server", "websockets_port", p.WSS},
		// The server's own readiness makes a TCP connection to the UDP port of QUIC: with the number of a TCP port it can succeed.
		{"mqtt_runtime.server", "quic_port", p.MQTTS},
		{"mqtt_runtime.auth", "default_user", r.in.Credentials.MQTTUsername},
		{"mqtt_runtime.auth", "default_password", r.in.Credentials.MQTTPassword},
		{"admin", "username", r.in.Credentials.AdminUsername},
		{"admin", "password", r.in.Credentials.AdminPassword},
		{"admin", "jwt_secret", r.in.Credentials.JWTSecret},
		{"kafka_runtime", "tcp_port", p.Kafka},
		{"amqp_runtime", "tcp_port", p.AMQP},
		{"nats_runtime", "tcp_port", p.NATS},
		{"nats_runtime", "tls_port", p.NATSTLS},
		{"nats_runtime", "ws_port", p.NATSWS},
		{"nats_runtime", "wss_port", p.NATSWSS},
	})
	if err != nil {
		return err
	}
	if r.islands() {
		if err := r.put("meta_runtime", "heartbeat_timeout_ms", neverMillis); err != nil {
			return err
		}
	}
	if r.traits.Dialect == robustmq.DialectA {
		// A factor of the number of CPUs here, not a count.
		cpus := int32(max(r.in.CPUs, 1))
		threads := int32(minFactoredThreads)
		if err := r.put("runtime", "runtime_worker_threads", (threads+cpus-1)/cpus); err != nil {
			return err
		}
	}
	for id, host := range r.metaAddrs() {
		if err := r.doc.set("meta_addrs", strconv.FormatUint(id, 10), net.JoinHostPort(host, strconv.Itoa(int(p.GRPC))), false); err != nil {
			return fmt.Errorf("server.toml: meta_addrs %w", err)
		}
	}
	return nil
}

// metaAddrs is the placement centre; a node of its own (islands) lists itself only.
func (r *renderer) metaAddrs() map[uint64]string {
	if r.islands() && r.in.Config.Role != RolePlacementCenter {
		return map[uint64]string{r.in.NodeID(): r.in.Host()}
	}
	addrs := make(map[uint64]string, len(r.in.Config.Members))
	for _, m := range r.in.Config.Members {
		addrs[m.NodeID] = m.Host
	}
	return addrs
}

// complete writes the defaults of keys that would get another value, or stop the server, because their section is there and they are not.
// Dialect A needs every key of a section that is present ("TOML parse error ... missing field", exit 101: seen); unknown keys are ignored, so those that came within its range do no harm.
// Later versions have two tables of defaults, for an absent section and for an absent key, which differ: what nobody sets keeps the documented one.
func (r *renderer) complete() error {
	for s := range catalogue.Every() {
		at, name, ok := s.In(r.version)
		if !ok || !r.doc.hasTable(at) || r.doc.has(at, name) || s.DefaultIn(r.version) == nil || r.traits.Dialect != robustmq.DialectA && s.Partial == nil {
			continue
		}
		if _, err := r.set(s, s.DefaultIn(r.version)); err != nil {
			return fmt.Errorf("server.toml: %s %w", s.Name(), err)
		}
	}
	return nil
}
