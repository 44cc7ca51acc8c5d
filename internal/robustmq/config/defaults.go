package config

// completeA is every key of every section of RobustMQ 0.3.0 to 0.3.4 with the server's default: there, a section that is present with a key missing ends the server with 101
// (seen: "TOML parse error ... missing field"). Keys that came later within the range stand here too, as unknown keys are ignored.
var completeA = map[string]map[string]any{
	"prometheus":                 {"enable": true, "port": 9091},
	"p_prof":                     {"enable": false, "port": 6060, "frequency": 100},
	"network":                    {"accept_thread_num": 1, "handler_thread_num": 1000, "queue_size": 5000},
	"rocksdb":                    {"max_open_files": 10000},
	"meta_runtime":               {"heartbeat_timeout_ms": 30000, "heartbeat_check_time_ms": 1000, "raft_write_timeout_sec": 30},
	"storage_runtime":            {"max_segment_size": 1073741824, "io_thread_num": 8},
	"storage_offset":             {"enable_cache": true},
	"mqtt_keep_alive":            {"enable": true, "default_time": 180, "max_time": 3600, "default_timeout": 2},
	"mqtt_runtime":               {"max_connection_num": 1000000, "durable_sessions_enable": false},
	"mqtt_offline_message":       {"enable": true, "expire_ms": 0, "max_messages_num": 0},
	"mqtt_slow_subscribe_config": {"enable": false, "record_time": 1000, "delay_type": "Whole"},
	"mqtt_flapping_detect":       {"enable": false, "window_time": 1, "max_client_connections": 15, "ban_time": 5},
	"mqtt_protocol_config": {
		"max_session_expiry_interval": 1800, "default_session_expiry_interval": 30, "topic_alias_max": 65535, "max_qos_flight_message": 2, "max_packet_size": 10485760,
		"receive_max": 65535, "max_message_expiry_interval": 3600, "client_pkid_persistent": false,
	},
	"mqtt_security":       {"is_self_protection_status": false, "secret_free_login": false},
	"mqtt_schema":         {"enable": true, "strategy": "ALL", "failed_operation": "Discard", "echo_log": true, "log_level": "info"},
	"mqtt_system_monitor": {"enable": false, "os_cpu_high_watermark": 70.0, "os_memory_high_watermark": 80.0},
}

// absentDefaults are the keys (newest names) whose default changes when their section is written with another key only: RobustMQ 0.3.5 and later have two tables of defaults.
// What the user leaves out shall keep the documented default, so it is written.
var absentDefaults = map[string]map[string]any{
	"broker_network":               {"queue_size": 5000},
	"mqtt_runtime.offline_message": {"expire_ms": 0, "max_messages_num": 0},
	"mqtt_runtime.limit.cluster": {
		"max_connections_per_node": 10000000, "max_connection_rate": 100000, "max_topics": 5000000, "max_sessions": 50000000, "max_publish_rate": 10000,
	},
}
