package catalogue

import (
	"math"

	"github.com/robustmq/robustmq-operator/internal/robustmq"
)

// protocols are the settings of Kafka, AMQP and NATS.
var protocols = []Section{
	{Name: "kafka_runtime", Meaning: "Kafka.", Since: v048, Settings: []Setting{
		{Key: "tcp_port", Type: U32, Default: 9092, Min: 1, Max: 65535, Since: v041, Owned: true, Owner: "spec.listeners.kafka.port", Meaning: "Kafka over TCP."},
		{Key: "max_fetch_bytes", Type: U32, Unit: Bytes, Default: 4194304, Min: 1, Why: "Consumers would get nothing.", Meaning: "Most that a fetch returns of each partition."},
		{Key: "max_message_bytes", Type: U32, Unit: Bytes, Default: 1048588, Min: 1, Since: v049, Why: "Every message would be refused.", Meaning: "Longest batch of records that is taken."},
		{Key: "max_describe_topic_partitions", Type: U32, Default: 2000, Min: 1, Why: "Clients would see no partition.", Meaning: "Partitions in one answer that describes topics."},
		{
			Key: "auto_create_topics_enable", Type: Bool, Default: true, Before: []Default{{v049, false}}, Was: []Place{{v0410, "kafka_dynamic", ""}}, Resource: KafkaDynamic, Live: true,
			Meaning: "Makes a topic when a client asks for one that does not exist.",
		},
	}},
	{Name: "kafka_runtime.sasl", Meaning: "Authentication of Kafka clients.", Since: v048, Settings: []Setting{
		{Key: "enabled", Type: Bool, Default: false, Meaning: "Asks clients for user and password; without it everybody may connect."},
		{Key: "mechanisms", Type: List, Values: scram, Default: scram, Meaning: "How clients may prove who they are."},
	}},
	{Name: "amqp_runtime", Meaning: "AMQP.", Since: v041, Settings: []Setting{
		{Key: "tcp_port", Type: U32, Default: 5672, Min: 1, Max: 65535, Owned: true, Owner: "spec.listeners.amqp.port", Meaning: "AMQP over TCP."},
	}},
	{Name: "nats_runtime", Meaning: "NATS, and the mailboxes that are built on it.", Since: v038, Settings: []Setting{
		{Key: "tcp_port", Type: U32, Default: 4222, Min: 1, Max: 65535, Owned: true, Owner: "spec.listeners.nats.port", Meaning: "NATS over TCP."},
		{Key: "tls_port", Type: U32, Default: 4223, Min: 1, Max: 65535, Owned: true, Meaning: "NATS over TLS."},
		{Key: "ws_port", Type: U32, Default: 4080, Min: 1, Max: 65535, Owned: true, Meaning: "NATS over WebSocket."},
		{Key: "wss_port", Type: U32, Default: 4443, Min: 1, Max: 65535, Owned: true, Meaning: "NATS over WebSocket with TLS."},
		{Key: "max_payload", Type: U64, Unit: Bytes, Default: 1048576, Min: 1, Max: math.MaxUint32, Why: "Nobody could publish.", Meaning: "Longest message that clients are told they may send."},
		{Key: "auth_required", Type: Bool, Default: false, Meaning: "Asks clients for user and password; without it everybody may connect."},
		{Key: "ping_interval", Type: U64, Unit: Seconds, Default: 60, Min: 1, Max: 86400, Why: zeroTimer, Meaning: "How often a client is asked whether it lives."},
		{Key: "ping_max", Type: U64, Default: 3, Min: 1, Max: 86400, Why: "Every client would be taken for dead.", Meaning: "Such questions that a client may leave unanswered."},
		{Key: "ping_send_chunk", Type: U64, Default: 10000, Min: 1, Max: math.MaxUint32, Why: "None would be asked.", Meaning: "Clients that are asked in one task."},
		{Key: "core_shard_num", Type: U64, Default: 10, Min: 1, Max: 65536, Why: "Subjects are spread by division.", Meaning: "Shards over which the subjects are spread; more later leave the old ones where they are."},
		{Key: "push_thread_num", Type: U64, Default: 1, Min: 1, Max: 1024, Why: "Nobody would deliver.", Meaning: "Tasks that deliver to plain subscribers."},
		{Key: "push_queue_thread_num", Type: U64, Default: 10, Min: 1, Max: 1024, Unused: true, Why: "Nobody would deliver.", Meaning: "Meant for tasks that deliver to queue groups."},
		{
			Key: "mq9_mailbox_default_ttl", Type: U64, Unit: Seconds, Default: 86400, Max: 3153600000, Was: []Place{{v040, "nats_runtime", "mq9_mailbox_ttl"}},
			Why: "100 years: the server adds the time of day without a check.", Meaning: "Life of a mailbox whose maker names none.",
		},
	}},
}

var scram = []string{"SCRAM-SHA-256", "SCRAM-SHA-512"}

// former are the settings that the newest version does not have any more.
var former = []Section{
	{Name: "prometheus", Meaning: "Metrics on a port of their own; since 0.4.1 they are on the port of the admin API.", Since: v030, Until: v041, Settings: []Setting{
		{Key: "enable", Type: Bool, Default: true, Owned: true, Meaning: "Serves metrics."},
		{Key: "port", Type: U32, Default: 9091, Before: []Default{{v031, 9090}}, Min: 1, Max: 65535, Owned: true, Meaning: "Their port."},
		{Key: "monitor_interval_ms", Type: U64, Unit: Millis, Default: 10000, Min: 1, Since: v033, Why: zeroTimer, Meaning: "How often metrics of the process are collected."},
	}},
	{Name: "pprof", Meaning: "Profiles; runtime.pprof_enable turns them on in every version.", Since: v030, Until: v041, Was: []Place{{v035, "p_prof", ""}}, Settings: []Setting{
		{Key: "port", Type: U16, Default: 9090, Before: []Default{{v035, 6060}}, Min: 1, Meaning: "Port of the profiles."},
		{Key: "frequency", Type: I32, Default: 100, Min: 1, Max: 1000, Why: "Samples a second.", Meaning: "Samples a second."},
	}},
	{Name: "rocksdb", Meaning: "The database.", Since: v030, Until: v041, Settings: []Setting{
		{Key: "max_open_files", Type: I32, Default: 10000, Min: -1, Meaning: "Files that RocksDB keeps open; -1 is no limit. Since 0.4.1 it is 100000."},
	}},
	{Name: "runtime", Meaning: "Threads.", Since: v030, Until: v0410, Settings: []Setting{
		{Key: "runtime_worker_threads", Type: U64, Default: 1, Min: 1, Owned: true, Meaning: "Threads as a factor of the number of CPUs (0.3.0)."},
	}},
	perProtocol("mqtt_runtime.network", "MQTT", v036, v0410),
	perProtocol("storage_runtime.network", "the storage engine", v036, v0410),
	perProtocol("kafka_runtime.network", "Kafka", v036, v038),
	perProtocol("amqp_runtime.network", "AMQP", v036, v038),
	perProtocol("nats_runtime.network", "NATS", v037, v038),
}

// perProtocol is the network section of one protocol. 0.3.6 has no other, and 0.3.8 is the first that takes [broker_network] for everything.
func perProtocol(name, what string, since, until robustmq.Version) Section {
	return Section{Name: name, Meaning: "How the listeners of " + what + " take in requests; used to 0.3.7, since 0.3.8 broker_network is for all.", Since: since, Until: until, Settings: []Setting{
		{Key: "accept_thread_num", Type: U64, Default: 1, Min: 1, Max: 1024, Meaning: "Tasks that accept connections."},
		{Key: "handler_thread_num", Type: U64, Default: 64, Min: 1, Max: 65536, Meaning: "Tasks that handle requests."},
		{Key: "queue_size", Type: U64, Default: 5000, Partial: 2000, Min: 1, Max: math.MaxInt32, Meaning: "Requests that may wait."},
	}}
}
