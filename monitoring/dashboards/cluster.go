package dashboards

// cluster is the first page to look at: does it serve, who leads, who is missing, is there a backup.
func cluster() definition {
	return definition{
		name: "cluster", title: "RobustMQ / Cluster", variables: oneCluster,
		about: "One RobustMQ cluster at a glance: quorum, members, what the operator does about troubles, backups and restores, certificates.",
		rows:  []row{clusterNow(), clusterQuorum(), clusterMembers(), clusterOperator(), clusterBackups(), clusterServers()},
	}
}

func clusterNow() row {
	return row{title: "Now", panels: []panel{
		stat("Ready", "The condition Ready of the cluster: clients are served. `kubectl describe rmq` says why not.",
			q(`max(robustmq_operator_cluster_condition{CLUSTER,condition="Ready"})`, "")).means(wellIfTrue),
		stat("Raft groups without a leader", "Groups of the placement centre that no member leads with a quorum behind it. Without a leader no metadata can be written, and after a while no client can connect. A few seconds during an election are normal.",
			q(`sum(1 - max by (group) (robustmq_raft_leader{MEMBERS}))`, "")).badFrom(1).whole(),
		stat("Pods not ready", "Pods that are wanted and not ready, by role.",
			q(`sum by (role) (robustmq_operator_cluster_members{CLUSTER,state="desired"}) - sum by (role) (robustmq_operator_cluster_members{CLUSTER,state="ready"})`, "{{role}}")).badFrom(1).whole(),
		stat("MQTT clients", "Clients that are connected now, all brokers together.",
			q(`sum(robustmq_mqtt_clients{CLUSTER})`, "")),
		stat("Messages in and out", "Messages per second that clients publish, and that are sent to clients.",
			q(`sum(rate(mqtt_messages_received_total{BROKERS}[$__rate_interval]))`, "in"),
			q(`sum(rate(mqtt_messages_sent_total{BROKERS}[$__rate_interval]))`, "out")).unit(perSecond),
		stat("Age of the newest backup", "Since a backup became complete. Compare with the schedule.",
			q(`time() - max(robustmq_backup_last_success_timestamp_seconds{CLUSTER})`, "")).unit(seconds).whenNone("No backup"),

		stat("Fullest volume", "Share of the fullest data volume that is used. A full volume stops the server.",
			q(`max(robustmq_volume_used_bytes{CLUSTER} / (robustmq_volume_used_bytes{CLUSTER} + robustmq_volume_free_bytes{CLUSTER}))`, "")).share().whole().worseFrom(0.75, 0.9),
		stat("Segments without a live copy", "Segments of messages of which no copy can be reached: what is on them is away until a node comes back.",
			q(`max(robustmq_segments{CLUSTER,state="unavailable"})`, "")).badFrom(1).whole(),
		stat("Elections in the time shown", "How often the term rose, in the group where it did most. A planned move of the leadership is one.",
			q(`max(max_over_time(max by (group) (robustmq_raft_term{MEMBERS})[$__range:]) - min_over_time(max by (group) (robustmq_raft_term{MEMBERS})[$__range:]))`, "")).whole().worseFrom(3, 10),
		stat("Next certificate ends in", "The certificate that ends first, of the agents and of the listeners. The operator renews its own long before; one of yours it cannot.",
			q(`min(robustmq_certificate_expiry_timestamp_seconds{CLUSTER}) - time()`, "")).unit(seconds).worseBelow(21*24*3600, 7*24*3600),
		stat("Targets that Prometheus does not reach", "Servers and agents whose metrics cannot be scraped: what is below is then incomplete.",
			q(`count(up{CLUSTER} == 0) or vector(0)`, "")).worseFrom(1, 3).whole(),
		stat("RobustMQ", "Versions that run.",
			q(`count by (version) (robustmq_server_info{CLUSTER})`, "{{version}}")).showNames(),
		timeline("Alerts that fire", "Alerts of this cluster; each has a page in docs/runbooks/alerts that says what to do. Empty while none fires.", firing,
			q(`max by (severity, alertname) (ALERTS{CLUSTER,alertname=~"RobustMQ.*",alertstate="firing"})`, "{{severity}}: {{alertname}}")).wide(24),
	}}
}

func clusterQuorum() row {
	return row{title: "Quorum of the placement centre", panels: []panel{
		timeline("Who leads", "Each group has one leader; blue is the member that leads it with a quorum behind it, acknowledged within 3 s. A stretch of time without blue is one in which no metadata could be written.", leads,
			q(`max by (group, member) (robustmq_raft_leader{MEMBERS})`, "{{group}} {{member}}")),
		graph("Raft term", "Each step is an election.",
			q(`max by (group) (robustmq_raft_term{MEMBERS})`, "{{group}}")).wide(6),
		graph("Since a quorum acknowledged the leader", "Milliseconds while all is well. A leader that lost its quorum goes on calling itself leader, and this grows without end.",
			q(`max by (group, member) (robustmq_raft_quorum_ack_age_seconds{MEMBERS})`, "{{group}} {{member}}")).unit(seconds).wide(6).badFrom(3),
		graph("Behind the leader", "Entries of the log that a member lacks. The server keeps about 1000 for a member that is behind; one that falls back further is filled from another by the operator.",
			q(`max by (group, member) (robustmq_raft_lag{MEMBERS})`, "{{group}} {{member}}")).badFrom(800),
		graph("Voters and learners", "Voters as most members see them, and members that are still being filled.",
			q(`max by (group) (robustmq_raft_voters{MEMBERS})`, "voters {{group}}"),
			q(`max by (group) (robustmq_raft_learners{MEMBERS})`, "learners {{group}}")),
		graph("Nodes of the registry", "Nodes that the placement centre has in its registry, and pods that should be there and are not. A node that is missing for more than a minute gets no new topics.",
			q(`max(robustmq_registered_nodes{CLUSTER})`, "registered"),
			q(`max(robustmq_unregistered_nodes{CLUSTER})`, "missing")),
		graph("Writes of metadata", "Entries per second that were written to each group's log.",
			q(`sum by (machine) (rate(raft_write_success_total{MEMBERS}[$__rate_interval]))`, "{{machine}}")).unit(perSecond),
		graph("Time to write metadata (99 %)", "From the request until a quorum has it.",
			q(`histogram_quantile(0.99, sum by (le, machine) (rate(raft_write_duration_ms_bucket{MEMBERS}[$__rate_interval])))`, "{{machine}}")).unit(milliseconds),
		graph("Calls to other members that failed", "A member that is away shows here at all others.",
			q(`sum by (member, rpc_type) (rate(raft_rpc_failures_total{MEMBERS}[$__rate_interval]))`, "{{member}} {{rpc_type}}")).unit(perSecond),
	}}
}

func clusterMembers() row {
	return row{title: "Pods", panels: []panel{
		table("Pods", "Every pod, as its agent sees it. Ends count what the server ended by itself or was ended for, in a day; an ordered restart is one.",
			append(byMember[:len(byMember):len(byMember)], column{header: "RobustMQ", expr: "version"}),
			column{header: "Ready", expr: `max by (member, role) (robustmq_pod_ready{CLUSTER})`, states: yes},
			column{header: "Server answers", expr: `max by (member, role) (robustmq_server_up{CLUSTER})`, states: yes},
			column{header: "Server runs for", expr: `time() - max by (member, role) (robustmq_server_start_time_seconds{CLUSTER})`, unit: seconds},
			column{header: "Ends in 24 h", expr: `sum by (member, role) (increase(robustmq_server_exits_total{CLUSTER}[24h]))`, steps: rising(1, 5)},
			column{header: "Volume used", expr: `max by (member, role) (robustmq_volume_used_bytes{CLUSTER} / (robustmq_volume_used_bytes{CLUSTER} + robustmq_volume_free_bytes{CLUSTER}))`, unit: fraction, steps: rising(0.75, 0.9)},
			column{header: "MQTT clients", expr: `max by (member, role) (robustmq_mqtt_clients{CLUSTER})`},
			column{expr: `max by (member, role, version) (robustmq_server_info{CLUSTER})`}),
		timeline("Ready", "Whether each pod is ready.", yes,
			q(`max by (member) (robustmq_pod_ready{CLUSTER})`, "{{member}}")),
		graph("Ends of servers", "By reason, see docs/agent.md. Ordered and Terminating are ends that were wished for.",
			q(`sum by (reason) (increase(robustmq_server_exits_total{CLUSTER}[$__rate_interval]))`, "{{reason}}")).wide(6).stacked(),
		graph("Pods that may not start their server", "Pods whose gate is closed, by reason, and pods that were fenced because they reach no majority.",
			q(`count by (reason) (robustmq_gate_open{CLUSTER} == 0)`, "gate: {{reason}}"),
			q(`sum(robustmq_server_fenced{CLUSTER})`, "fenced")).wide(6),
		graph("Heartbeats that failed", "Heartbeats per second that an agent sent for its server and no member accepted.",
			q(`sum by (member) (rate(robustmq_agent_heartbeat_failures_total{CLUSTER}[$__rate_interval]))`, "{{member}}")).unit(perSecond),
		graph("Configuration", "Pods that run with an older configuration than the one that is mounted, and pods whose mounted configuration would make the server exit.",
			q(`sum(robustmq_config_pending{CLUSTER})`, "older"),
			q(`sum(robustmq_config_invalid{CLUSTER})`, "invalid")),
		bars("Certificates end in", "By what each is for. The operator renews what it made; a certificate of yours it cannot.",
			q(`min by (certificate) (robustmq_certificate_expiry_timestamp_seconds{CLUSTER}) - time()`, "{{certificate}}"),
			q(`min by (certificate) (robustmq_operator_certificate_expiry_timestamp_seconds{CLUSTER}) - time()`, "{{certificate}} (operator)")).unit(seconds).worseBelow(21*24*3600, 7*24*3600),
	}}
}

func clusterOperator() row {
	return row{title: "What the operator sees and does", panels: []panel{
		timeline("Conditions", "The conditions of the cluster's status. Ready, QuorumHealthy, ConfigApplied and StorageReady are True in a cluster that is well; Degraded, Progressing and Paused are False.", conditions,
			q(`max by (condition) (robustmq_operator_cluster_condition{CLUSTER})`, "{{condition}}")),
		timeline("Troubles", "What the operator is mending. docs/metrics.md lists the kinds; the events of the cluster name the pods.", active,
			q(`max by (kind) (robustmq_operator_trouble{CLUSTER})`, "{{kind}}")),
	}}
}

func clusterBackups() row {
	return row{title: "Backups and restores", panels: []panel{
		stat("Destination", "Whether the last probe could write to the bucket.",
			q(`max(robustmq_backup_storage_ready{CLUSTER})`, "")).means(wellIfTrue).whenNone("No backups planned"),
		stat("Verified", "Whether the newest backup was found whole in the bucket when spec.backup.verifyEvery had it read again.",
			q(`min(robustmq_backup_verified{CLUSTER})`, "")).means(wellIfTrue).whenNone("Not asked for"),
		stat("Next backup in", "The schedule whose turn is next. Below zero: it is overdue.",
			q(`min(robustmq_backup_next_run_timestamp_seconds{CLUSTER}) - time()`, "")).unit(seconds).whenNone("No schedule"),
		stat("Newest backup", "What a restore of the newest backup reads.",
			q(`max(robustmq_backup_last_size_bytes{CLUSTER})`, "")).unit(bytesIEC).whenNone("No backup"),
		stat("Last restore", "Since a restore succeeded.",
			q(`time() - max(robustmq_restore_last_success_timestamp_seconds{CLUSTER})`, "")).unit(seconds).whenNone("None"),
		stat("Restores that failed", "In the time shown.",
			q(`sum(increase(robustmq_restore_failures_total{CLUSTER}[$__range])) or vector(0)`, "")).badFrom(1).whole(),
		graph("Age of the newest backup", "By schedule; it falls to zero when one becomes complete.",
			q(`time() - max by (schedule) (robustmq_backup_last_success_timestamp_seconds{CLUSTER})`, "{{schedule}}")).unit(seconds),
		graph("Size", "What a restore reads, and how much of it was new to the bucket.",
			q(`max by (schedule) (robustmq_backup_last_size_bytes{CLUSTER})`, "{{schedule}} size"),
			q(`max by (schedule) (robustmq_backup_last_uploaded_bytes{CLUSTER})`, "{{schedule}} uploaded")).unit(bytesIEC),
		graph("Took", "How long the newest backup took.",
			q(`max by (schedule) (robustmq_backup_last_duration_seconds{CLUSTER})`, "{{schedule}}")).unit(seconds),
		graph("Backups that failed", "By the reason of their condition Complete.",
			q(`sum by (schedule, reason) (increase(robustmq_backup_failures_total{CLUSTER}[$__rate_interval]))`, "{{schedule}} {{reason}}")).wide(12).stacked(),
		timeline("Restore", "The phase of the restore that is under way.", active,
			q(`max by (trigger, phase) (robustmq_restore_phase{CLUSTER})`, "{{trigger}} {{phase}}")),
	}}
}

func clusterServers() row {
	return row{title: "Servers", collapsed: true, panels: []panel{
		graph("CPU of the server", "Share of the whole node, not of the pod's limit.",
			q(`max by (member) (system_process_cpu_usage{CLUSTER} / 10000)`, "{{member}}")).unit(fraction),
		graph("Memory of the server", "Share of the whole node, not of the pod's limit.",
			q(`max by (member) (system_process_memory_usage{CLUSTER} / 10000)`, "{{member}}")).unit(fraction),
		graph("Busy runtimes", "Share of time in which the threads of each of the server's runtimes work. Near 1 it has no time left.",
			q(`max by (member, runtime) (tokio_runtime_busy_ratio{CLUSTER} / 100)`, "{{member}} {{runtime}}")).unit(fraction),
		graph("Calls that took longest (gRPC, 99 %)", "By method, of all servers together.",
			q(`topk(8, histogram_quantile(0.99, sum by (le, method) (rate(grpc_request_duration_ms_bucket{CLUSTER}[$__rate_interval]))))`, "{{method}}")).unit(milliseconds),
		graph("Calls (gRPC)", "Per second, by service.",
			q(`sum by (service) (rate(grpc_requests_total{CLUSTER}[$__rate_interval]))`, "{{service}}")).unit(perSecond),
		graph("Calls that failed (gRPC)", "By method and status. A follower that is asked to write says so here; the caller asks the leader then.",
			q(`sum by (method, status_code) (rate(grpc_errors_total{CLUSTER}[$__rate_interval]))`, "{{method}} {{status_code}}")).unit(perSecond),
	}}
}
