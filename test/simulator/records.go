package simulator

import (
	"fmt"
	"math/rand/v2"
	"time"
)

// nodeRecord is a registered node, with the names of /api/info.
type nodeRecord struct {
	Roles        []string   `json:"roles"`
	Extend       nodeExtend `json:"extend"`
	NodeID       uint64     `json:"node_id"`
	NodeIP       string     `json:"node_ip"`
	GRPCAddr     string     `json:"grpc_addr"`
	HTTPAddr     string     `json:"http_addr,omitempty"` // since 0.4.4
	EngineAddr   string     `json:"engine_addr"`
	StartTime    int64      `json:"start_time"`
	RegisterTime int64      `json:"register_time"`
	StorageFold  []string   `json:"storage_fold"`
}

type nodeExtend struct {
	MQTT  mqttAddrs   `json:"mqtt"`
	NATS  *natsAddrs  `json:"nats,omitempty"`
	Kafka *kafkaAddrs `json:"kafka,omitempty"`
}

type mqttAddrs struct {
	GRPCAddr       string `json:"grpc_addr"`
	MQTTAddr       string `json:"mqtt_addr"`
	MQTTSAddr      string `json:"mqtts_addr"`
	WebsocketAddr  string `json:"websocket_addr"`
	WebsocketsAddr string `json:"websockets_addr"`
	QUICAddr       string `json:"quic_addr"`
}

type natsAddrs struct {
	TCPAddr string `json:"tcp_addr"`
	TLSAddr string `json:"tls_addr"`
	WSAddr  string `json:"ws_addr"`
	WSSAddr string `json:"wss_addr"`
}

type kafkaAddrs struct {
	TCPAddr string `json:"tcp_addr"`
}

// bincode is the record as NodeList returns it (fixture grpc/NodeList.json): lengths and numbers as little-endian u64. Versions leave out the addresses that they do not have.
func (n nodeRecord) bincode() []byte {
	var e encoder
	e.texts(n.Roles)
	m := n.Extend.MQTT
	for _, a := range []string{m.GRPCAddr, m.MQTTAddr, m.MQTTSAddr, m.WebsocketAddr, m.WebsocketsAddr, m.QUICAddr} {
		e.text(a)
	}
	if a := n.Extend.NATS; a != nil {
		for _, addr := range []string{a.TCPAddr, a.TLSAddr, a.WSAddr, a.WSSAddr} {
			e.text(addr)
		}
	}
	if a := n.Extend.Kafka; a != nil {
		e.text(a.TCPAddr)
	}
	e.u64(n.NodeID)
	e.text(n.NodeIP)
	e.text(n.GRPCAddr)
	if n.HTTPAddr != "" {
		e.text(n.HTTPAddr)
	}
	e.text(n.EngineAddr)
	e.u64(uint64(n.StartTime))
	e.u64(uint64(n.RegisterTime))
	e.texts(n.StorageFold)
	return e.b
}

// tenant, user, topic, shard and segment have the names of the admin API's answers.
type tenant struct {
	Name       string       `json:"tenant_name"`
	Desc       string       `json:"desc"`
	Config     tenantLimits `json:"config"`
	CreateTime int64        `json:"create_time"`
}

type tenantLimits struct {
	MaxConnectionsPerNode int64 `json:"max_connections_per_node"`
	MaxCreateRate         int64 `json:"max_create_connection_rate_per_second"`
	MaxTopics             int64 `json:"max_topics"`
	MaxSessions           int64 `json:"max_sessions"`
	MaxPublishRate        int64 `json:"max_publish_rate"`
}

type user struct {
	Tenant      string `json:"tenant"`
	Username    string `json:"username"`
	Password    string `json:"password,omitempty"` // in clear, as RobustMQ stores it; lists leave it out
	IsSuperuser bool   `json:"is_superuser"`
	CreateTime  int64  `json:"create_time"`
}

type topic struct {
	TopicID         string            `json:"topic_id"`
	Tenant          string            `json:"tenant"`
	TopicName       string            `json:"topic_name"`
	StorageType     string            `json:"storage_type"`
	Source          string            `json:"source"`
	Partition       int               `json:"partition"`
	Replication     int               `json:"replication"`
	StorageNameList map[string]string `json:"storage_name_list"`
	Config          topicConfig       `json:"config"`
	MarkDelete      bool              `json:"mark_delete"`
	CreateTime      int64             `json:"create_time"`
}

type topicConfig struct {
	MaxSegmentSize *int64 `json:"max_segment_size"`
	MaxRecordNum   *int64 `json:"max_record_num"`
	RetentionSec   int64  `json:"retention_sec"`
}

type shardConfig struct {
	ReplicaNum        int    `json:"replica_num"`
	StorageType       string `json:"storage_type"`
	MaxSegmentSize    *int64 `json:"max_segment_size"`
	MaxRecordNum      *int64 `json:"max_record_num"`
	RetentionSec      int64  `json:"retention_sec"`
	MinInSyncReplicas int    `json:"min_in_sync_replicas"`
	IsInnerTopic      bool   `json:"is_inner_topic"`
}

type shard struct {
	ShardUID         string      `json:"shard_uid"`
	ShardName        string      `json:"shard_name"`
	TopicName        string      `json:"topic_name"`
	StartSegmentSeq  int         `json:"start_segment_seq"`
	ActiveSegmentSeq int         `json:"active_segment_seq"`
	LastSegmentSeq   int         `json:"last_segment_seq"`
	Status           string      `json:"status"`
	Config           shardConfig `json:"config"`
	Desc             string      `json:"desc"`
	CreateTime       int64       `json:"create_time"`
}

type replica struct {
	ReplicaSeq int    `json:"replica_seq"`
	NodeID     uint64 `json:"node_id"`
	Fold       string `json:"fold"`
}

type segment struct {
	ShardName         string    `json:"shard_name"`
	SegmentSeq        int       `json:"segment_seq"`
	Replicas          []replica `json:"replicas"`
	ISR               []uint64  `json:"isr"`
	LastKnownISR      []uint64  `json:"last_known_isr"`
	LeaderEpoch       uint64    `json:"leader_epoch"`
	Leader            uint64    `json:"leader"`
	SegmentEpoch      uint64    `json:"segment_epoch"`
	LeaderBrokerEpoch uint64    `json:"leader_broker_epoch"`
	Status            string    `json:"status"` // Write, Unavailable
}

func (s segment) key() string { return fmt.Sprintf("%s%s/%d", kindSegment, s.ShardName, s.SegmentSeq) }

func (s segment) has(node uint64) bool {
	for _, r := range s.Replicas {
		if r.NodeID == node {
			return true
		}
	}
	return false
}

// message is a stored record.
type message struct {
	Offset    uint64 `json:"offset"`
	Payload   []byte `json:"payload"`
	Timestamp int64  `json:"timestamp"`
	QoS       byte   `json:"qos,omitempty"`
	Retain    bool   `json:"retain,omitempty"`
	Topic     string `json:"topic,omitempty"`
	Tenant    string `json:"tenant,omitempty"`
}

// newUID is an identifier as RobustMQ makes them: 20 characters of lower-case base 32.
func newUID(r *rand.Rand) string {
	const digits = "0123456789abcdefghijklmnopqrstuv"
	b := make([]byte, 20)
	for i := range b {
		b[i] = digits[r.IntN(len(digits))]
	}
	return string(b)
}

func (n *Node) uid() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return newUID(n.random)
}

func (n *Node) now() int64 { return time.Now().Unix() }
