package dashboards

// mqtt shows what clients do and get. Counters of the server that never move are left out (disconnects, dropped messages, deleted sessions), and its gauge of connections, which counts those between nodes too.
func mqtt() definition {
	return definition{
		name: "mqtt", title: "RobustMQ / MQTT", variables: oneCluster,
		about: "MQTT of one RobustMQ cluster: clients, messages, latency, pressure, connectors.",
		rows:  []row{mqttNow(), mqttClients(), mqttMessages(), mqttLatency(), mqttPressure(), mqttLater(), mqttTopics()},
	}
}

func mqttNow() row {
	return row{title: "Now", panels: []panel{
		stat("Clients", "Clients that are connected now.",
			q(`sum(robustmq_mqtt_clients{BROKERS})`, "")),
		stat("Messages in", "Messages per second that clients publish.",
			q(`sum(rate(mqtt_messages_received_total{BROKERS}[$__rate_interval]))`, "")).unit(perSecond),
		stat("Messages out", "Messages per second that are sent to subscribers.",
			q(`sum(rate(mqtt_messages_sent_total{BROKERS}[$__rate_interval]))`, "")).unit(perSecond),
		stat("Topics", "Topics of the cluster; each broker knows all.",
			q(`max(mqtt_topics_count{BROKERS})`, "")),
		stat("Refused connects", "Connects per second that were refused: wrong password, limits, or a cluster that cannot serve.",
			q(`sum(rate(mqtt_connection_failed_total{BROKERS}[$__rate_interval]))`, "")).unit(perSecond).worseFrom(1, 10),
		stat("Fullest queue", "Share of the queue of requests that is taken, at the broker where it is fullest.",
			q(`max(handler_queue_size{BROKERS} / (handler_queue_size{BROKERS} + handler_queue_remaining{BROKERS}))`, "")).share().worseFrom(0.5, 0.8),
	}}
}

func mqttClients() row {
	return row{title: "Clients", panels: []panel{
		graph("Clients by broker", "Clients that are connected. RobustMQ does not move them by itself: after a broker was away they stay where they went.",
			q(`max by (member) (robustmq_mqtt_clients{BROKERS})`, "{{member}}")).stacked(),
		graph("Connects", "Per second: that succeeded, that were refused, that ended because the client was silent, and disconnects that clients said.",
			q(`sum(rate(mqtt_connection_success_total{BROKERS}[$__rate_interval]))`, "connected"),
			q(`sum(rate(mqtt_connection_failed_total{BROKERS}[$__rate_interval]))`, "refused"),
			q(`sum(rate(mqtt_connection_expired_total{BROKERS}[$__rate_interval]))`, "silent"),
			q(`sum(rate(mqtt_packets_disconnect_received_total{BROKERS}[$__rate_interval]))`, "disconnected")).unit(perSecond),
		graph("Who may", "Answers of authentication and of access rules that said no, per second. Many at once are a client with an old password, or somebody who tries.",
			q(`sum(rate(mqtt_auth_failed_total{BROKERS}[$__rate_interval]))`, "not authenticated"),
			q(`sum(rate(mqtt_acl_failed_total{BROKERS}[$__rate_interval]))`, "not allowed")).unit(perSecond),
		graph("Sessions by broker", "Sessions in the memory of each broker.",
			q(`max by (member) (mqtt_sessions_count{BROKERS})`, "{{member}}")),
		graph("Subscriptions", "Of one client each, shared ones, and groups that share.",
			q(`max(mqtt_subscribers_count{BROKERS})`, "subscribers"),
			q(`max(mqtt_subscriptions_exclusive_count{BROKERS})`, "exclusive"),
			q(`max(mqtt_subscriptions_shared_count{BROKERS})`, "shared"),
			q(`max(mqtt_subscriptions_shared_group_count{BROKERS})`, "groups")),
		graph("Subscribing", "Per second.",
			q(`sum(rate(mqtt_subscribe_success_total{BROKERS}[$__rate_interval]))`, "subscribed"),
			q(`sum(rate(mqtt_subscribe_failed_total{BROKERS}[$__rate_interval]))`, "refused"),
			q(`sum(rate(mqtt_unsubscribe_success_total{BROKERS}[$__rate_interval]))`, "unsubscribed")).unit(perSecond),
	}}
}

func mqttMessages() row {
	return row{title: "Messages", panels: []panel{
		graph("Messages in, by broker", "Per second, from publishers.",
			q(`sum by (member) (rate(mqtt_messages_received_total{BROKERS}[$__rate_interval]))`, "{{member}}")).unit(perSecond).stacked(),
		graph("Messages out, by broker", "Per second, to subscribers.",
			q(`sum by (member) (rate(mqtt_messages_sent_total{BROKERS}[$__rate_interval]))`, "{{member}}")).unit(perSecond).stacked(),
		graph("Bytes", "Payloads per second.",
			q(`sum(rate(mqtt_message_bytes_received_total{BROKERS}[$__rate_interval]))`, "in"),
			q(`sum(rate(mqtt_message_bytes_sent_total{BROKERS}[$__rate_interval]))`, "out")).unit(bytesPerSec),
		graph("Publishing", "PUBLISH packets of clients and what answers them, per second. Answers that stay behind are messages that were not stored.",
			q(`sum(rate(mqtt_total_packets_publish_received_total{BROKERS}[$__rate_interval]))`, "PUBLISH"),
			q(`sum(rate(mqtt_total_packets_puback_sent_total{BROKERS}[$__rate_interval]))`, "PUBACK (QoS 1)"),
			q(`sum(rate(mqtt_total_packets_pubrec_sent_total{BROKERS}[$__rate_interval]))`, "PUBREC (QoS 2)")).unit(perSecond),
		graph("Delivering, by QoS", "PUBLISH packets to subscribers per second.",
			q(`sum by (qos) (rate(mqtt_packets_publish_sent_total{BROKERS,qos=~"[012]"}[$__rate_interval]))`, "QoS {{qos}}")).unit(perSecond),
		graph("Packets that are wrong", "Packets that could not be read, and answers to a CONNECT that said no, per second.",
			q(`sum(rate(mqtt_packets_received_error_total{BROKERS}[$__rate_interval]))`, "unreadable"),
			q(`sum(rate(mqtt_packets_connack_auth_error_total{BROKERS}[$__rate_interval]))`, "CONNACK: not authorised"),
			q(`sum(rate(mqtt_packets_connack_error_total{BROKERS}[$__rate_interval]))`, "CONNACK: other errors")).unit(perSecond),
		graph("Traffic by listener", "Bytes per second that arrive, by how clients connect.",
			q(`sum by (network) (rate(mqtt_bytes_received_total{BROKERS}[$__rate_interval]))`, "{{network}}")).unit(bytesPerSec),
		graph("Retained messages", "Kept for those who subscribe later.",
			q(`max(mqtt_retained_count{BROKERS})`, "kept")),
		graph("Packets by kind", "Packets of clients per second.",
			q(`sum(rate(mqtt_total_packets_connect_total{BROKERS}[$__rate_interval]))`, "CONNECT"),
			q(`sum(rate(mqtt_total_packets_subscribe_total{BROKERS}[$__rate_interval]))`, "SUBSCRIBE"),
			q(`sum(rate(mqtt_total_packets_pingreq_total{BROKERS}[$__rate_interval]))`, "PINGREQ"),
			q(`sum(rate(mqtt_total_packets_puback_received_total{BROKERS}[$__rate_interval]))`, "PUBACK")).unit(perSecond),
	}}
}

func mqttLatency() row {
	return row{title: "Latency inside the broker", panels: []panel{
		graph("Handling a packet (99 %)", "From its arrival until it was answered, by kind of packet. The measure is a doubling scale: 1, 2, 4 … ms.",
			q(`histogram_quantile(0.99, sum by (le, packet) (rate(mqtt_packet_process_duration_ms_bucket{BROKERS}[$__rate_interval])))`, "{{packet}}")).unit(milliseconds),
		graph("Handling a PUBLISH", "Half of all, and the slowest.",
			q(`histogram_quantile(0.5, sum by (le) (rate(mqtt_packet_process_duration_ms_bucket{BROKERS,packet="Publish"}[$__rate_interval])))`, "50 %"),
			q(`histogram_quantile(0.95, sum by (le) (rate(mqtt_packet_process_duration_ms_bucket{BROKERS,packet="Publish"}[$__rate_interval])))`, "95 %"),
			q(`histogram_quantile(0.99, sum by (le) (rate(mqtt_packet_process_duration_ms_bucket{BROKERS,packet="Publish"}[$__rate_interval])))`, "99 %")).unit(milliseconds),
		graph("Sending a packet (99 %)", "By kind of packet; a slow subscriber shows here.",
			q(`histogram_quantile(0.99, sum by (le, packet) (rate(mqtt_packet_send_duration_ms_bucket{BROKERS}[$__rate_interval])))`, "{{packet}}")).unit(milliseconds),
		graph("Waiting to be handled (99 %)", "In the queue before a thread was free.",
			q(`histogram_quantile(0.99, sum by (le, member) (rate(handler_queue_wait_ms_bucket{BROKERS}[$__rate_interval])))`, "{{member}}")).unit(milliseconds),
		graph("From queue to answer (99 %)", "The whole way of a request, those of other nodes to the storage engine included.",
			q(`histogram_quantile(0.99, sum by (le, member) (rate(handler_total_ms_bucket{BROKERS}[$__rate_interval])))`, "{{member}}")).unit(milliseconds),
		graph("Writing to the socket (99 %)", "Until the system took the bytes.",
			q(`histogram_quantile(0.99, sum by (le, member) (rate(write_client_ms_bucket{BROKERS}[$__rate_interval])))`, "{{member}}")).unit(milliseconds),
	}}
}

func mqttPressure() row {
	return row{title: "Pressure", panels: []panel{
		graph("Queue of requests", "Share that is taken. When it is full, requests wait at the socket.",
			q(`max by (member) (handler_queue_size{BROKERS} / (handler_queue_size{BROKERS} + handler_queue_remaining{BROKERS}))`, "{{member}}")).share(),
		graph("Slow and timed out", "Requests per second that were slow, that took too long, and answers that could not be written in time.",
			q(`sum(rate(handler_slow_requests_total{BROKERS}[$__rate_interval]))`, "slow"),
			q(`sum(rate(handler_timeout_total{BROKERS}[$__rate_interval]))`, "timed out"),
			q(`sum(rate(write_timeout_total{BROKERS}[$__rate_interval]))`, "not written")).unit(perSecond),
		graph("Requests", "Per second, those of other nodes to the storage engine included.",
			q(`sum by (member) (rate(handler_requests_total{BROKERS}[$__rate_interval]))`, "{{member}}")).unit(perSecond),
	}}
}

func mqttLater() row {
	return row{title: "Delayed messages and connectors", collapsed: true, panels: []panel{
		graph("Delayed messages", "Per second: taken in, delivered, failed.",
			q(`sum(rate(delay_msg_enqueue_total{BROKERS}[$__rate_interval]))`, "taken in"),
			q(`sum(rate(delay_msg_deliver_total{BROKERS}[$__rate_interval]))`, "delivered"),
			q(`sum(rate(delay_msg_deliver_fail_total{BROKERS}[$__rate_interval]))`, "failed")).unit(perSecond),
		graph("Connectors", "Messages per second that connectors handed on. RobustMQ gives a connector to any server, members of the placement centre too.",
			q(`sum(rate(mqtt_connector_messages_sent_success_agg_total{CLUSTER}[$__rate_interval]))`, "handed on"),
			q(`sum(rate(mqtt_connector_messages_sent_failure_agg_total{CLUSTER}[$__rate_interval]))`, "failed")).unit(perSecond),
		graph("Connectors by name", "Messages per second that each could not hand on.",
			q(`topk(10, sum by (connector_name) (rate(mqtt_connector_messages_sent_failure_total{CLUSTER}[$__rate_interval])))`, "{{connector_name}}")).unit(perSecond),
	}}
}

func mqttTopics() row {
	const only = " RobustMQ's own topics ($…) are left out. Only with spec.monitoring.perTopicMetrics."
	return row{title: "Topics (with spec.monitoring.perTopicMetrics)", collapsed: true, panels: []panel{
		graph("Messages into the ten busiest topics", "Per second."+only,
			q(`topk(10, sum by (tenant, topic) (rate(topic_messages_written_total{BROKERS,topic!~"[$].*"}[$__rate_interval])))`, "{{tenant}} {{topic}}")).unit(perSecond),
		graph("Messages out of the ten busiest topics", "Per second."+only,
			q(`topk(10, sum by (tenant, topic) (rate(topic_messages_sent_total{BROKERS,topic!~"[$].*"}[$__rate_interval])))`, "{{tenant}} {{topic}}")).unit(perSecond),
		graph("Bytes into the ten busiest topics", "Per second."+only,
			q(`topk(10, sum by (tenant, topic) (rate(topic_bytes_written_total{BROKERS,topic!~"[$].*"}[$__rate_interval])))`, "{{tenant}} {{topic}}")).unit(bytesPerSec),
	}}
}
