package simulator

import (
	"fmt"
	"math"
	"slices"
	"strings"
)

// wider are the whole numbers of the configuration that are not u32, by path, and words the strings that are one of a few words (0.4.11, seen in the messages that its parser gives).
var (
	wider = paths(map[string]string{
		"u16": "mqtt_runtime.keep_alive.default_time mqtt_runtime.keep_alive.max_time mqtt_runtime.keep_alive.default_timeout " +
			"mqtt_runtime.protocol.topic_alias_max mqtt_runtime.protocol.receive_max",
		"u64": "broker_id cluster_limit.max_network_connection cluster_limit.max_connection_per_ip admin.token_ttl_hours delay_message.initial_retry_delay_sec " +
			"meta_runtime.heartbeat_timeout_ms meta_runtime.heartbeat_check_time_ms meta_runtime.raft_write_timeout_sec meta_runtime.group_offset_expire_sec " +
			"meta_runtime.segment_leader_rebalance_interval_ms storage_runtime.replica_fetch_min_bytes storage_runtime.replica_fetch_max_wait_ms " +
			"storage_runtime.replica_fetch_backoff_ms storage_runtime.replica_lag_time_max_ms storage_runtime.metadata_reconcile_interval_ms storage_runtime.isr_maintain_interval_ms " +
			"mqtt_runtime.slow_subscribe.record_time mqtt_runtime.flapping_detect.max_client_connections mqtt_runtime.protocol.max_message_expiry_interval " +
			"mqtt_runtime.system_monitor.system_topic_interval_ms " +
			"mqtt_runtime.limit.cluster.max_connections_per_node mqtt_runtime.limit.cluster.max_topics mqtt_runtime.limit.cluster.max_sessions " +
			"mqtt_runtime.limit.tenant.max_connections_per_node mqtt_runtime.limit.tenant.max_topics mqtt_runtime.limit.tenant.max_sessions " +
			"nats_runtime.max_payload nats_runtime.ping_interval nats_runtime.ping_max nats_runtime.mq9_mailbox_default_ttl",
		"usize": "runtime.server_worker_threads runtime.channels_per_address broker_network.accept_thread_num broker_network.handler_thread_num broker_network.queue_size " +
			"delay_task.delay_task_queue_num delay_task.delay_task_handler_concurrency meta_runtime.meta_worker_threads mqtt_runtime.broker_worker_threads " +
			"storage_runtime.expire_scan_task_num nats_runtime.ping_send_chunk nats_runtime.core_shard_num nats_runtime.push_thread_num nats_runtime.push_queue_thread_num",
	})
	words = map[string][]string{
		"llm_client.platform": {
			"open_a_i", "open_a_i_resp", "gemini", "anthropic", "fireworks", "together", "groq", "mimo", "nebius", "xai", "deep_seek", "zai", "big_model", "cohere", "ollama",
		},
		"mqtt_runtime.slow_subscribe.delay_type": {"Whole", "Internal", "Response"},
		"mqtt_runtime.schema.strategy":           {"ALL", "Any"},
		"mqtt_runtime.schema.failed_operation":   {"Discard", "DisconnectAndDiscard", "Ignore"},
	}
)

func paths(byType map[string]string) map[string]string {
	m := map[string]string{}
	for typ, all := range byType {
		for path := range strings.FieldsSeq(all) {
			m[path] = typ
		}
	}
	return m
}

// convert takes a value where the default has a certain type. problem is the parser's own message when it does not fit.
func convert(path string, have, value any) (converted any, problem string) {
	switch have.(type) {
	case bool:
		if b, ok := value.(bool); ok {
			return b, ""
		}
		return nil, wrongType(value, "a boolean")
	case int64:
		return whole(path, value)
	case float64:
		switch x := value.(type) {
		case float64:
			return x, ""
		case int64:
			return float64(x), ""
		}
		return nil, wrongType(value, "f32")
	case []any:
		list, ok := value.([]any)
		if !ok {
			return nil, wrongType(value, "a sequence")
		}
		for _, e := range list {
			if _, ok := e.(string); !ok {
				return nil, wrongType(e, "a string")
			}
		}
		return list, ""
	default: // a string, or null: an optional string
		text, ok := value.(string)
		variants, fixed := words[path]
		switch {
		case !ok && fixed:
			return nil, "wanted string or table"
		case !ok:
			return nil, wrongType(value, "a string")
		case fixed && !slices.Contains(variants, text):
			return nil, unknownVariant(text, variants)
		}
		return text, ""
	}
}

func whole(path string, value any) (any, string) {
	typ := wider[path]
	if typ == "" {
		typ = "u32"
	}
	i, ok := value.(int64)
	if !ok {
		return nil, wrongType(value, typ)
	}
	if high := map[string]int64{"u16": math.MaxUint16, "u32": math.MaxUint32}[typ]; i < 0 || high > 0 && i > high {
		return nil, fmt.Sprintf("invalid value: integer `%d`, expected %s", i, typ)
	}
	return i, ""
}

func unknownVariant(text string, variants []string) string {
	if len(variants) == 2 {
		return fmt.Sprintf("unknown variant `%s`, expected `%s` or `%s`", text, variants[0], variants[1])
	}
	return fmt.Sprintf("unknown variant `%s`, expected one of `%s`", text, strings.Join(variants, "`, `"))
}

// wrongType is serde's message.
func wrongType(value any, want string) string {
	var got string
	switch v := value.(type) {
	case string:
		got = fmt.Sprintf("string %q", v)
	case int64:
		got = fmt.Sprintf("integer `%d`", v)
	case float64:
		got = fmt.Sprintf("floating point `%v`", v)
	case bool:
		got = fmt.Sprintf("boolean `%v`", v)
	case map[string]any:
		got = "map"
	case nil:
		got = "null"
	default:
		got = "sequence"
	}
	return fmt.Sprintf("invalid type: %s, expected %s", got, want)
}
