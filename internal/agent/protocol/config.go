package protocol

import "time"

// Files in a pod. The operator mounts them, the agent reads them; the agent re-reads the configuration when it changes (mounted Secrets are updated in place).
const (
	// ConfigFile is the JSON form of Config (Secret <cluster>-<component>-config).
	ConfigFile = "/etc/robustmq-operator/config/config.json"
	// CredentialsDir holds admin/{username,password}, mqtt/{username,password} and jwt/secret (projected from up to three Secrets).
	CredentialsDir = "/etc/robustmq-operator/credentials"
	// ServerTLSDir holds tls.crt and tls.key of the listeners (MQTTS, WSS, QUIC, NATS TLS).
	ServerTLSDir = "/etc/robustmq-operator/server-tls"
	// PKIDir holds ca.crt, tls.crt and tls.key of the agent's own mutual TLS.
	PKIDir = "/etc/robustmq-operator/pki"
	// AgentDir is the emptyDir into which the init container copies the agent: AgentDir/agent.
	AgentDir = "/opt/robustmq-operator"
	// RunDir is a memory-backed emptyDir: server.toml and logger.toml with secrets in them, the server's log folder.
	RunDir = "/run/robustmq"
	// VolumeDir is the data volume: VolumeDir/data (RocksDB), VolumeDir/engine (segments), MarkerFile.
	VolumeDir = "/var/lib/robustmq"
	// MarkerFile is the marker's name in the volume.
	MarkerFile = "robustmq-operator.json"
	// ServerBinary is where RobustMQ's images have the server; its working directory is the image's own (/robustmq: version.ini and the UI are found relative to it).
	ServerBinary = "/robustmq/libs/broker-server"
)

// TerminationGracePeriod is what every pod has between SIGTERM and SIGKILL: a voter's agent holds its server within it until the quorum stands without.
const TerminationGracePeriod = 120 * time.Second

// Environment of the agent (downward API; nothing secret).
const (
	EnvPodName = "POD_NAME" // <cluster>-<component>-<ordinal>
	EnvPodIP   = "POD_IP"
	// EnvServerVersion is the version of RobustMQ in the pod's image. It stands in the pod and not in Config, which reaches the pods of both images while an upgrade rolls:
	// a server that is started again meanwhile must not get a file in the dialect of the other version, of which it would ignore every key.
	EnvServerVersion = "SERVER_VERSION"
	// EnvTemplate is the hash of the pod template that the container was started from. A pod that is given another image has the new template's at once, its container from its next start.
	EnvTemplate = "POD_TEMPLATE"
)

// Config is what the operator wants of every pod of one role. The agent adds its own ordinal (from the pod's name) and renders server.toml in the dialect of Version.
type Config struct {
	Cluster    string `json:"cluster"` // RobustMQCluster name; cluster_name in server.toml is <namespace>-<name>
	Namespace  string `json:"namespace"`
	ClusterUID string `json:"clusterUID"`
	Generation int64  `json:"generation"`
	Version    string `json:"version"` // "0.4.11"
	Role       string `json:"role"`    // PlacementCenter, MQTTBroker, JournalServer

	// Members are the placement centre, by node id: they become meta_addrs (islands: see Islands) and the relay's targets.
	Members []Member `json:"members"`
	// BaseID is the node id of ordinal 0 of this role: 1, 1001, 2001.
	BaseID uint64 `json:"baseID"`
	// HostSuffix follows the pod's name in its stable DNS name: ".<service>.<namespace>.svc.cluster.local".
	HostSuffix string `json:"hostSuffix"`
	// AgentsHost is a name of the agents of all placement-centre pods together, also of those that are not ready.
	AgentsHost string `json:"agentsHost,omitempty"`
	// Islands: RobustMQ 0.3.0 to 0.3.7, where every broker is a single node of its own (see architecture.md §7).
	Islands bool `json:"islands,omitempty"`
	// Engines is how many engine nodes the whole cluster has when formed; default_topic_replica_num is min(3, Engines) unless Sections says otherwise.
	Engines int32 `json:"engines"`

	Ports Ports `json:"ports"`
	// Sections is the user's configuration in the names of the newest dialect, values as JSON scalars or lists; "" holds top-level keys.
	Sections map[string]map[string]any `json:"sections,omitempty"`
	// WorkerThreads is at least 64 (config.MinWorkerThreads says why); less is raised to that.
	WorkerThreads int32 `json:"workerThreads"`

	// DisableRelay switches the heartbeat relay off (tests only: without it one dead host empties the node registry).
	DisableRelay bool `json:"disableRelay,omitempty"`
}

// Member is one placement-centre pod.
type Member struct {
	NodeID uint64 `json:"nodeID"`
	Pod    string `json:"pod"`
	Host   string `json:"host"` // DNS name without port
}

// Ports of the server, TCP unless said.
type Ports struct {
	GRPC       int32 `json:"grpc"`   // 1228
	HTTP       int32 `json:"http"`   // 58080
	Engine     int32 `json:"engine"` // 1778
	MQTT       int32 `json:"mqtt"`   // 1883
	MQTTS      int32 `json:"mqtts"`  // 1885; QUIC (UDP) has the same number: with another one the server's own readiness never turns true
	WS         int32 `json:"ws"`     // 8083
	WSS        int32 `json:"wss"`    // 8085
	Kafka      int32 `json:"kafka"`  // 9092
	AMQP       int32 `json:"amqp"`   // 5672
	NATS       int32 `json:"nats"`   // 4222
	NATSTLS    int32 `json:"natsTLS"`
	NATSWS     int32 `json:"natsWS"`
	NATSWSS    int32 `json:"natsWSS"`
	Prometheus int32 `json:"prometheus"` // 9091, before 0.4.1 only
}
