package config

import (
	"strings"

	"github.com/robustmq/robustmq-operator/internal/robustmq"
)

// setting is one key of server.toml: where it stands now, since when it exists, and where it stood before.
// Source: RobustMQ's configuration structures in every tag from 0.3.0 to 0.4.11, compared with one another.
type setting struct {
	since robustmq.Version
	old   []place // ascending by until
	float bool
}

// place is where a key stood in the versions before until.
type place struct {
	until        robustmq.Version
	section, key string
}

// in returns where the key stands in a version, and false when the version has no such key.
func (s setting) in(v robustmq.Version, section, key string) (string, string, bool) {
	if v.Less(s.since) {
		return "", "", false
	}
	for _, p := range s.old {
		if v.Less(p.until) {
			if p.section == none {
				return "", "", false
			}
			return p.section, p.key, true
		}
	}
	return section, key, true
}

// none as a place's section: these versions have the setting in no form that one key can express.
const none = "-"

func version(s string) robustmq.Version {
	v, err := robustmq.ParseVersion(s)
	if err != nil {
		panic(err) // a literal of this file
	}
	return v
}

var (
	v030, v031, v033, v035  = version("0.3.0"), version("0.3.1"), version("0.3.3"), version("0.3.5")
	v036, v037, v038        = version("0.3.6"), version("0.3.7"), version("0.3.8")
	v040, v041, v042, v045  = version("0.4.0"), version("0.4.1"), version("0.4.2"), version("0.4.5")
	v048, v049, v0410       = version("0.4.8"), version("0.4.9"), version("0.4.10")
	firstOfDialectB, firstC = v035, v0410
)

// layout is every known key, by section and key in the newest names.
var layout = buildLayout()

func buildLayout() map[string]map[string]setting {
	l := map[string]map[string]setting{}
	add := func(section string, since robustmq.Version, keys string, old ...place) {
		if l[section] == nil {
			l[section] = map[string]setting{}
		}
		for key := range strings.FieldsSeq(keys) {
			s := setting{since: since}
			for _, p := range old {
				if p.key == "" {
					p.key = key
				}
				s.old = append(s.old, p)
			}
			l[section][key] = s
		}
	}
	add("", v030, "cluster_name broker_id broker_ip roles grpc_port http_port")
	add("", v030, "data_path", place{v041, "rocksdb", ""})
	add("log", v030, "log_config log_path")
	addRuntime(add)
	addMeta(add)
	addMQTT(add)
	addOtherProtocols(add)
	for _, key := range []string{"os_cpu_high_watermark", "os_memory_high_watermark"} {
		s := l["mqtt_runtime.system_monitor"][key]
		s.float = true
		l["mqtt_runtime.system_monitor"][key] = s
	}
	return l
}

type adder func(section string, since robustmq.Version, keys string, old ...place)

func addRuntime(add adder) {
	add("runtime", v031, "server_worker_threads")
	add("runtime", v035, "channels_per_address")
	add("runtime", v030, "pprof_enable", place{v035, "p_prof", "enable"}, place{v041, "pprof", "enable"})
	add("runtime", v045, "default_topic_partition_num default_topic_replica_num")
	// 0.3.6 alone has one network section a protocol: nothing to map one key to.
	add("broker_network", v030, "accept_thread_num handler_thread_num queue_size", place{v036, "network", ""}, place{v037, none, ""})
	add("broker_network", v030, "tls_cert tls_key", place{v0410, "runtime", ""})
	add("cluster_limit", v035, "max_network_connection max_network_connection_rate max_admin_http_uri_rate")
	add("cluster_limit", v048, "max_connection_per_ip")
	add("admin", v042, "username password jwt_secret token_ttl_hours")
	add("llm_client", v040, "platform model token base_url embedding embedding_model_path")
	add("delay_task", v035, "delay_task_queue_num delay_task_handler_concurrency")
	add("delay_message", v048, "max_retries initial_retry_delay_sec")
}

func addMeta(add adder) {
	add("meta_runtime", v030, "heartbeat_timeout_ms heartbeat_check_time_ms raft_write_timeout_sec")
	add("meta_runtime", v033, "offset_raft_group_num data_raft_group_num")
	add("meta_runtime", v045, "group_offset_expire_sec segment_leader_rebalance_interval_ms segment_leader_rebalance_max_moves")
	add("meta_runtime", v031, "meta_worker_threads", place{v0410, "runtime", ""})
	add("storage_runtime", v030, "tcp_port max_segment_size io_thread_num data_path")
	add("storage_runtime", v030, "offset_enable_cache", place{v035, "storage_offset", "enable_cache"})
	add("storage_runtime", v035, "expire_scan_task_num")
	add("storage_runtime", v045, "num_replica_fetchers replica_fetch_min_bytes replica_fetch_max_wait_ms replica_fetch_backoff_ms replica_lag_time_max_ms "+
		"metadata_reconcile_interval_ms isr_maintain_interval_ms")
}

func addMQTT(add adder) {
	add("mqtt_runtime", v031, "broker_worker_threads", place{v0410, "runtime", ""})
	add("mqtt_runtime.server", v030, "tcp_port tls_port websocket_port websockets_port quic_port", place{v0410, "mqtt_server", ""})
	add("mqtt_runtime.auth", v030, "default_user default_password durable_sessions_enable", place{v0410, "mqtt_runtime", ""})
	add("mqtt_runtime.auth", v030, "secret_free_login is_self_protection_status", place{v035, "mqtt_security", ""}, place{v0410, "mqtt_runtime", ""})
	add("mqtt_runtime.keep_alive", v030, "enable default_time max_time default_timeout", place{v0410, "mqtt_keep_alive", ""})
	add("mqtt_runtime.protocol", v030, "max_session_expiry_interval default_session_expiry_interval topic_alias_max max_packet_size receive_max "+
		"max_message_expiry_interval client_pkid_persistent", place{v035, "mqtt_protocol_config", ""}, place{v0410, "mqtt_protocol", ""})
	add("mqtt_runtime.offline_message", v030, "enable expire_ms max_messages_num", place{v0410, "mqtt_offline_message", ""})
	add("mqtt_runtime.flapping_detect", v030, "enable window_time max_client_connections ban_time", place{v0410, "mqtt_flapping_detect", ""})
	add("mqtt_runtime.slow_subscribe", v030, "enable record_time delay_type", place{v035, "mqtt_slow_subscribe_config", ""}, place{v0410, "mqtt_slow_subscribe", ""})
	add("mqtt_runtime.schema", v030, "enable strategy failed_operation echo_log log_level", place{v0410, "mqtt_schema", ""})
	add("mqtt_runtime.system_monitor", v030, "enable os_cpu_high_watermark os_memory_high_watermark", place{v0410, "mqtt_system_monitor", ""})
	add("mqtt_runtime.system_monitor", v035, "system_topic_interval_ms", place{v0410, "mqtt_system_monitor", ""})
	add("mqtt_runtime.limit.cluster", v030, "max_connections_per_node", place{v035, "mqtt_runtime", "max_connection_num"}, place{v0410, "mqtt_limit.cluster", ""})
	add("mqtt_runtime.limit.cluster", v035, "max_connection_rate max_topics max_sessions max_publish_rate", place{v0410, "mqtt_limit.cluster", ""})
	add("mqtt_runtime.limit.tenant", v035, "max_connections_per_node max_connection_rate max_topics max_sessions max_publish_rate", place{v0410, "mqtt_limit.tenant", ""})
}

func addOtherProtocols(add adder) {
	add("kafka_runtime", v041, "tcp_port")
	add("kafka_runtime", v036, "max_fetch_bytes max_describe_topic_partitions")
	add("kafka_runtime", v049, "max_message_bytes")
	add("kafka_runtime", v048, "auto_create_topics_enable", place{v0410, "kafka_dynamic", ""})
	add("kafka_runtime.sasl", v048, "enabled mechanisms")
	add("amqp_runtime", v041, "tcp_port")
	add("nats_runtime", v038, "tcp_port tls_port ws_port wss_port")
	add("nats_runtime", v037, "max_payload auth_required ping_interval ping_max ping_send_chunk core_shard_num push_thread_num push_queue_thread_num mq9_mailbox_default_ttl")
}

// reserved are the keys (section.key, newest names) that belong to the operator: identity, addresses, files, ports, credentials and what must be equal on all nodes for ever.
var reserved = map[string]bool{
	"cluster_name": true, "broker_id": true, "broker_ip": true, "roles": true, "grpc_port": true, "http_port": true, "data_path": true, "meta_addrs": true,
	"log.log_config": true, "log.log_path": true,
	"broker_network.tls_cert": true, "broker_network.tls_key": true,
	"storage_runtime.tcp_port": true, "storage_runtime.data_path": true,
	"meta_runtime.offset_raft_group_num": true, "meta_runtime.data_raft_group_num": true,
	"mqtt_runtime.server.tcp_port": true, "mqtt_runtime.server.tls_port": true, "mqtt_runtime.server.websocket_port": true,
	"mqtt_runtime.server.websockets_port": true, "mqtt_runtime.server.quic_port": true,
	"mqtt_runtime.auth.default_user": true, "mqtt_runtime.auth.default_password": true,
	"admin.username": true, "admin.password": true, "admin.jwt_secret": true,
	"kafka_runtime.tcp_port": true, "amqp_runtime.tcp_port": true,
	"nats_runtime.tcp_port": true, "nats_runtime.tls_port": true, "nats_runtime.ws_port": true, "nats_runtime.wss_port": true,
}

// Reserved reports whether a key of a user's configuration belongs to the operator (section "" is the top level; names are the newest): its value would be ignored.
func Reserved(section, key string) bool {
	return section == "meta_addrs" || reserved[dotted(section, key)]
}

// Known reports whether the newest RobustMQ that this operator knows has the key.
func Known(section, key string) bool {
	_, ok := layout[section][key]
	return ok || section == "" && key == "meta_addrs" || section == "meta_addrs"
}

func dotted(section, key string) string {
	if section == "" {
		return key
	}
	return section + "." + key
}
