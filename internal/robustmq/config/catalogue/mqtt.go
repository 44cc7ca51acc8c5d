package catalogue

// mqtt are the settings of the MQTT broker.
var mqtt = []Section{
	{Name: "mqtt_runtime", Meaning: "The brokers' threads.", Since: v031, Settings: []Setting{
		{
			Key: "broker_worker_threads", Type: U64, Default: 0, Max: 1024, Was: []Place{{v0410, "runtime", ""}}, ChosenText: "number of CPUs, 64 at least", Why: fewThreads,
			Meaning: "Threads of the brokers of all protocols; 0 is the number of CPUs.",
		},
	}},
	{Name: "mqtt_runtime.server", Meaning: "Ports of MQTT.", Since: v030, Was: []Place{{v0410, "mqtt_server", ""}}, Settings: []Setting{
		{Key: "tcp_port", Type: U32, Default: 1883, Min: 1, Max: 65535, Owned: true, Owner: "spec.listeners.mqtt.port", Meaning: "MQTT over TCP."},
		{Key: "tls_port", Type: U32, Default: 1885, Min: 1, Max: 65535, Owned: true, Owner: "spec.listeners.mqtts.port", Meaning: "MQTT over TLS."},
		{Key: "websocket_port", Type: U32, Default: 8083, Min: 1, Max: 65535, Owned: true, Owner: "spec.listeners.ws.port", Meaning: "MQTT over WebSocket."},
		{Key: "websockets_port", Type: U32, Default: 8085, Min: 1, Max: 65535, Owned: true, Owner: "spec.listeners.wss.port", Meaning: "MQTT over WebSocket with TLS."},
		{Key: "quic_port", Type: U32, Default: 9083, Min: 1, Max: 65535, Owned: true, Owner: "spec.listeners.mqtts.port", Meaning: "MQTT over QUIC (UDP)."},
	}},
	{Name: "mqtt_runtime.auth", Meaning: "Who may connect, and what becomes of sessions.", Since: v030, Was: []Place{{v0410, "mqtt_runtime", ""}}, Settings: []Setting{
		{Key: "default_user", Type: Text, Default: "admin", Owned: true, Owner: "spec.auth.mqttSecretName", Meaning: "Superuser that is made at the first start."},
		{Key: "default_password", Type: Text, DefaultText: "a public one", Secret: true, Owned: true, Owner: "spec.auth.mqttSecretName", Meaning: "Its password."},
		{Key: "durable_sessions_enable", Type: Bool, Default: false, Meaning: "Keeps sessions over a restart of the broker; subscriptions are not kept (seen on 0.4.11)."},
		{Key: "secret_free_login", Type: Bool, Default: false, Was: security, Meaning: "Lets every client in without a password."},
		{Key: "is_self_protection_status", Type: Bool, Default: false, Was: security, Meaning: "Refuses all new connections."},
	}},
	{Name: "mqtt_runtime.keep_alive", Meaning: "When a silent client is disconnected.", Since: v030, Was: []Place{{v0410, "mqtt_keep_alive", ""}}, Settings: []Setting{
		{Key: "enable", Type: Bool, Default: true, Meaning: "Disconnects silent clients at all."},
		{Key: "default_time", Type: U16, Unit: Seconds, Default: 180, Min: 1, Why: noTime, Meaning: "Keep-alive of a client that names none."},
		{Key: "max_time", Type: U16, Unit: Seconds, Default: 3600, Min: 1, Why: noTime, Meaning: "Longest keep-alive that a client may ask for."},
		{Key: "default_timeout", Type: U16, Default: 2, Min: 1, Why: "The server divides by it.", Meaning: "A client is disconnected after this many times its keep-alive."},
	}},
	{Name: "mqtt_runtime.offline_message", Meaning: "Messages for subscribers that are away.", Since: v030, Was: []Place{{v0410, "mqtt_offline_message", ""}}, Resource: MqttOfflineMessage, Settings: []Setting{
		{Key: "enable", Type: Bool, Default: true, Live: true, Meaning: "Keeps messages of topics that nobody is subscribed to."},
		{Key: "expire_ms", Type: U32, Unit: Millis, Default: 0, Partial: 3600000, Unused: true, Meaning: "Meant to forget such messages after a time; 0 is never."},
		{Key: "max_messages_num", Type: U32, Default: 0, Partial: 100000, Unused: true, Meaning: "Meant to limit the number of such messages; 0 is no limit."},
	}},
	{Name: "mqtt_runtime.slow_subscribe", Meaning: "Record of subscribers that take long.", Since: v030, Resource: MqttSlowSubscribeConfig,
		Was: []Place{{v035, "mqtt_slow_subscribe_config", ""}, {v0410, "mqtt_slow_subscribe", ""}}, Settings: []Setting{
			{Key: "enable", Type: Bool, Default: false, Live: true, Meaning: "Keeps the record."},
			{Key: "record_time", Type: U64, Unit: Millis, Default: 1000, Live: true, Meaning: "Delay from which on a delivery is recorded."},
			{Key: "delay_type", Type: Enum, Values: []string{"Whole", "Internal", "Response"}, Default: "Whole", Live: true, Meaning: "What part of the delay counts: all of it, the broker's, or the client's."},
		}},
	{Name: "mqtt_runtime.flapping_detect", Meaning: "Bans clients that connect over and over.", Since: v030, Was: []Place{{v0410, "mqtt_flapping_detect", ""}}, Resource: MqttFlappingDetect, Settings: []Setting{
		{Key: "enable", Type: Bool, Default: false, Live: true, Meaning: "Bans at all."},
		{Key: "window_time", Type: U32, Unit: Minutes, Default: 1, Min: 1, Live: true, Why: "Nothing happens within no time.", Meaning: "Time within which connections are counted."},
		{Key: "max_client_connections", Type: U64, Default: 15, Min: 1, Live: true, Why: "0 bans every client at its first connection.", Meaning: "Connections within it that lead to a ban."},
		{Key: "ban_time", Type: U32, Unit: Minutes, Default: 5, Live: true, Meaning: "How long a ban lasts."},
	}},
	{Name: "mqtt_runtime.protocol", Meaning: "What the broker offers clients of MQTT 5, and what holds for all.", Since: v030, Resource: MqttProtocol,
		Was: []Place{{v035, "mqtt_protocol_config", ""}, {v0410, "mqtt_protocol", ""}}, Settings: []Setting{
			{Key: "max_session_expiry_interval", Type: U32, Unit: Seconds, Default: 1800, Live: true, Meaning: "Longest time for which a client's session is kept after it has gone."},
			{Key: "default_session_expiry_interval", Type: U32, Unit: Seconds, Default: 30, Live: true, Meaning: "The same for a client that names none."},
			{Key: "topic_alias_max", Type: U16, Default: 65535, Live: true, Meaning: "Topic aliases that a client may use on a connection."},
			{Key: "max_packet_size", Type: U32, Unit: Bytes, Default: 10485760, Min: 1, Max: 268435460, Live: true, Why: "MQTT forbids 0 and has no longer packets.", Meaning: "Longest packet that the broker takes."},
			{Key: "receive_max", Type: U16, Default: 65535, Min: 1, Live: true, Why: "MQTT 5 forbids 0: clients would close the connection.", Meaning: "Messages of a client that may be unacknowledged at a time."},
			{Key: "max_message_expiry_interval", Type: U64, Unit: Seconds, Default: 3600, Max: 3153600000, Live: true, Why: "100 years: the server adds the time of day without a check.", Meaning: "Life of a message whose publisher names none."},
			{Key: "client_pkid_persistent", Type: Bool, Default: false, Unused: true, Meaning: "Meant to keep packet identifiers over a restart."},
			{
				Key: "max_qos_flight_message", Type: U8, Default: 2, Min: 1, Max: 2, Until: v035, Why: "It is announced as the Maximum QoS of MQTT 5, which 2 is illegal for: such clients close the connection (seen on 0.3.0).",
				Meaning: "Highest QoS, and messages in flight to each client.",
			},
		}},
	{Name: "mqtt_runtime.schema", Meaning: "Checks of payloads against schemas. The server has the keys and does not act on them; schemas are bound to topics through the admin API.",
		Since: v030, Was: []Place{{v0410, "mqtt_schema", ""}}, Resource: MqttSchema, Settings: []Setting{
			{Key: "enable", Type: Bool, Default: true, Unused: true, Meaning: "Meant to check payloads at all."},
			{Key: "strategy", Type: Enum, Values: []string{"ALL", "Any"}, Default: "ALL", Unused: true, Meaning: "Whether all schemas of a topic have to fit, or one of them."},
			{Key: "failed_operation", Type: Enum, Values: []string{"Discard", "DisconnectAndDiscard", "Ignore"}, Default: "Discard", Unused: true, Meaning: "What becomes of a message that does not fit."},
			{Key: "echo_log", Type: Bool, Default: true, Unused: true, Meaning: "Meant to log such messages."},
			{Key: "log_level", Type: Text, Default: "info", Unused: true, Meaning: "... at this level."},
		}},
	{Name: "mqtt_runtime.system_monitor", Meaning: "Alarms and statistics as messages of $SYS topics.", Since: v030, Was: []Place{{v0410, "mqtt_system_monitor", ""}}, Resource: MqttSystemMonitor, Settings: []Setting{
		{Key: "enable", Type: Bool, Default: false, Meaning: "Publishes alarms."},
		{Key: "os_cpu_high_watermark", Type: F32, Unit: Percent, Default: 70.0, Max: 100, Meaning: "Use of the CPU by the process above which there is an alarm."},
		{Key: "os_memory_high_watermark", Type: F32, Unit: Percent, Default: 80.0, Max: 100, Meaning: "Use of memory above which there is an alarm."},
		{
			Key: "system_topic_interval_ms", Type: U64, Unit: Millis, Default: 60000, Min: 1000, Since: v031,
			Was: []Place{{v035, "mqtt_system_topic", "interval_ms"}, {v0410, "mqtt_system_monitor", ""}}, Why: zeroTimer + " Each round publishes dozens of messages.", Meaning: "How often statistics are published.",
		},
	}},
	{Name: "mqtt_runtime.limit.cluster", Meaning: "Limits of MQTT.", Since: v035, Was: []Place{{v0410, "mqtt_limit.cluster", ""}}, Resource: MqttLimit, Settings: []Setting{
		{
			Key: "max_connections_per_node", Type: U64, Default: 10000000, Partial: 1000000, Before: []Default{{v035, 1000000}}, Live: true,
			Since: v030, Was: []Place{{v035, "mqtt_runtime", "max_connection_num"}, {v0410, "mqtt_limit.cluster", ""}}, Meaning: "Clients of each broker; one more is let in.",
		},
		{Key: "max_connection_rate", Type: U32, Default: 100000, Partial: 10000, Min: 1, Why: zeroRate, Meaning: "New clients a second of each broker; more have to wait."},
		{Key: "max_topics", Type: U64, Default: 5000000, Partial: 500000, Live: true, Meaning: "Topics of the cluster."},
		{Key: "max_sessions", Type: U64, Default: 50000000, Partial: 5000000, Live: true, Meaning: "Sessions of the cluster."},
		{Key: "max_publish_rate", Type: U32, Default: 10000, Min: 1, Why: zeroRate, Meaning: "Messages a second that each broker takes; more have to wait."},
	}},
	{Name: "mqtt_runtime.limit.tenant", Meaning: "Limits of each tenant. The server has the keys and takes those of the tenant itself, which the admin API sets.",
		Since: v035, Was: []Place{{v0410, "mqtt_limit.tenant", ""}}, Resource: MqttLimit, Settings: []Setting{
			{Key: "max_connections_per_node", Type: U64, Default: 1000000, Unused: true, Meaning: "Clients of a tenant on each broker."},
			{Key: "max_connection_rate", Type: U32, Default: 10000, Min: 1, Unused: true, Why: zeroRate, Meaning: "New clients a second."},
			{Key: "max_topics", Type: U64, Default: 500000, Unused: true, Meaning: "Topics of a tenant."},
			{Key: "max_sessions", Type: U64, Default: 5000000, Unused: true, Meaning: "Sessions of a tenant."},
			{Key: "max_publish_rate", Type: U32, Default: 10000, Min: 1, Unused: true, Why: zeroRate, Meaning: "Messages a second of a tenant."},
		}},
}

const (
	noTime   = "With 0 every client would be taken for silent."
	zeroRate = "A rate of zero ends the server when the limit is made."
)

// security: [mqtt_security] to 0.3.4.
var security = []Place{{v035, "mqtt_security", ""}, {v0410, "mqtt_runtime", ""}}
