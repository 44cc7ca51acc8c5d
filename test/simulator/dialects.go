package simulator

import (
	"maps"
	"slices"
	"strings"

	"github.com/robustmq/robustmq-operator/internal/robustmq"
)

// required are the keys that a section of dialect A needs once it is present (robustmq-server.md 2.2).
var required = map[string][]string{
	"prometheus":                 {"enable", "port"},
	"p_prof":                     {"enable", "port", "frequency"},
	"log":                        {"log_config", "log_path"},
	"runtime":                    {"tls_cert", "tls_key"},
	"network":                    {"accept_thread_num", "handler_thread_num", "queue_size"},
	"rocksdb":                    {"data_path", "max_open_files"},
	"meta_runtime":               {"heartbeat_timeout_ms", "heartbeat_check_time_ms", "raft_write_timeout_sec"},
	"storage_runtime":            {"tcp_port", "max_segment_size", "io_thread_num", "data_path"},
	"storage_offset":             {"enable_cache"},
	"message_storage":            {"storage_type"},
	"mqtt_server":                {"tcp_port", "tls_port", "websocket_port", "websockets_port", "quic_port"},
	"mqtt_keep_alive":            {"enable", "default_time", "max_time", "default_timeout"},
	"mqtt_runtime":               {"default_user", "default_password", "max_connection_num", "durable_sessions_enable"},
	"mqtt_offline_message":       {"enable", "expire_ms", "max_messages_num"},
	"mqtt_slow_subscribe_config": {"enable", "record_time", "delay_type"},
	"mqtt_flapping_detect":       {"enable", "window_time", "max_client_connections", "ban_time"},
	"mqtt_protocol_config": {
		"max_session_expiry_interval", "default_session_expiry_interval", "topic_alias_max", "max_qos_flight_message",
		"max_packet_size", "receive_max", "max_message_expiry_interval", "client_pkid_persistent",
	},
	"mqtt_security":       {"is_self_protection_status", "secret_free_login"},
	"mqtt_schema":         {"enable", "strategy", "failed_operation", "echo_log", "log_level"},
	"mqtt_system_monitor": {"enable", "os_cpu_high_watermark", "os_memory_high_watermark"},
}

// requireAll refuses a section of dialect A that misses a key.
func requireAll(content string, file map[string]any) error {
	for _, section := range slices.Sorted(maps.Keys(file)) {
		table, ok := file[section].(map[string]any)
		if !ok {
			continue
		}
		for _, key := range required[section] {
			if _, present := table[key]; !present {
				row, column := locate(content, section, "")
				return tomlError(content, row, column, "missing field `"+key+"`")
			}
		}
	}
	return nil
}

// moved says where a section, or one key of it, of an older dialect stands in the newest.
type moved struct {
	from, to string // dotted; a trailing dot moves a whole section
	dialects string // "A", "B" or "AB"
}

// movements come from robustmq-server.md 2.5. Specific keys stand before the sections that contain them.
var movements = []moved{
	{"runtime.tls_cert", "broker_network.tls_cert", "AB"},
	{"runtime.tls_key", "broker_network.tls_key", "AB"},
	{"runtime.runtime_worker_threads", "runtime.server_worker_threads", "AB"},
	{"runtime.meta_worker_threads", "meta_runtime.meta_worker_threads", "B"},
	{"runtime.broker_worker_threads", "mqtt_runtime.broker_worker_threads", "B"},
	{"network.", "broker_network.", "A"},
	{"storage_offset.enable_cache", "storage_runtime.offset_enable_cache", "A"},
	{"mqtt_server.", "mqtt_runtime.server.", "AB"},
	{"mqtt_runtime.default_user", "mqtt_runtime.auth.default_user", "AB"},
	{"mqtt_runtime.default_password", "mqtt_runtime.auth.default_password", "AB"},
	{"mqtt_runtime.durable_sessions_enable", "mqtt_runtime.auth.durable_sessions_enable", "AB"},
	{"mqtt_runtime.secret_free_login", "mqtt_runtime.auth.secret_free_login", "B"},
	{"mqtt_runtime.is_self_protection_status", "mqtt_runtime.auth.is_self_protection_status", "B"},
	{"mqtt_security.secret_free_login", "mqtt_runtime.auth.secret_free_login", "A"},
	{"mqtt_security.is_self_protection_status", "mqtt_runtime.auth.is_self_protection_status", "A"},
	{"mqtt_keep_alive.", "mqtt_runtime.keep_alive.", "AB"},
	{"mqtt_protocol_config.", "mqtt_runtime.protocol.", "A"},
	{"mqtt_protocol.", "mqtt_runtime.protocol.", "B"},
	{"mqtt_offline_message.", "mqtt_runtime.offline_message.", "AB"},
	{"mqtt_slow_subscribe_config.", "mqtt_runtime.slow_subscribe.", "A"},
	{"mqtt_slow_subscribe.", "mqtt_runtime.slow_subscribe.", "B"},
	{"mqtt_flapping_detect.", "mqtt_runtime.flapping_detect.", "AB"},
	{"mqtt_schema.", "mqtt_runtime.schema.", "AB"},
	{"mqtt_system_monitor.", "mqtt_runtime.system_monitor.", "AB"},
	{"mqtt_limit.cluster.", "mqtt_runtime.limit.cluster.", "B"},
	{"mqtt_limit.tenant.", "mqtt_runtime.limit.tenant.", "B"},
	{"kafka_dynamic.auto_create_topics_enable", "kafka_runtime.auto_create_topics_enable", "B"},
}

// same are sections that dialects A and B share with the newest.
var same = map[string]string{
	"log": "AB", "prometheus": "AB", "meta_runtime": "AB", "storage_runtime": "AB", "runtime": "AB",
	"broker_network": "B", "cluster_limit": "B", "admin": "B", "kafka_runtime": "B", "amqp_runtime": "B", "nats_runtime": "B", "delay_task": "B", "delay_message": "B", "llm_client": "B",
}

var newRoot = robustmq.Version{Major: 0, Minor: 4, Patch: 1} // the first with a top-level data_path

// translate moves what an older server reads into the newest names; what it would ignore is dropped.
func translate(file map[string]any, g generation) map[string]any {
	out := map[string]any{}
	put := func(path string, v any) {
		m := out
		parts := strings.Split(path, ".")
		for _, p := range parts[:len(parts)-1] {
			sub, ok := m[p].(map[string]any)
			if !ok {
				sub = map[string]any{}
				m[p] = sub
			}
			m = sub
		}
		m[parts[len(parts)-1]] = v
	}
	var walk func(path string, v any)
	walk = func(path string, v any) {
		for _, move := range movements {
			if !strings.Contains(move.dialects, string(g.dialect)) {
				continue
			}
			if path == move.from {
				put(move.to, v)
				return
			}
			if strings.HasSuffix(move.from, ".") && strings.HasPrefix(path, move.from) {
				put(move.to+strings.TrimPrefix(path, move.from), v)
				return
			}
		}
		if path == "rocksdb.data_path" && g.version.Less(newRoot) {
			put("data_path", v)
			return
		}
		section, _, nested := strings.Cut(path, ".")
		if table, ok := v.(map[string]any); ok && section != "meta_addrs" {
			for key, e := range table {
				walk(path+"."+key, e)
			}
			return
		}
		if nested && !strings.Contains(same[section], string(g.dialect)) {
			return
		}
		if path == "data_path" && g.version.Less(newRoot) {
			return
		}
		put(path, v)
	}
	for key, v := range file {
		walk(key, v)
	}
	return out
}
