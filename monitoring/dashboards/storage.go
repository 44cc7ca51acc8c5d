package dashboards

// storage shows where messages and metadata are kept: copies, volumes, the engine, the databases, and images for backups.
func storage() definition {
	return definition{
		name: "storage", title: "RobustMQ / Storage", variables: oneCluster,
		about: "Storage and replication of one RobustMQ cluster: copies of segments, volumes, storage engine, databases, raft logs, images for backups.",
		rows:  []row{storageNow(), storageCopies(), storageEngine(), storageRaft(), storageDatabases(), storageImages()},
	}
}

func storageNow() row {
	return row{title: "Now", panels: []panel{
		stat("Segments", "Segments of messages, as the leader of the placement centre knows them.",
			q(`max(robustmq_segments{CLUSTER,state="total"})`, "")).whole(),
		stat("With too few copies", "Segments of which fewer copies are in sync than there should be. Minutes after a restart are normal.",
			q(`max(robustmq_segments{CLUSTER,state="under_replicated"})`, "")).worseFrom(1, 100).whole(),
		stat("Without a live copy", "Segments of which no copy can be reached.",
			q(`max(robustmq_segments{CLUSTER,state="unavailable"})`, "")).badFrom(1).whole(),
		stat("Fullest volume", "Share of the fullest data volume that is used.",
			q(`max(robustmq_volume_used_bytes{CLUSTER} / (robustmq_volume_used_bytes{CLUSTER} + robustmq_volume_free_bytes{CLUSTER}))`, "")).share().whole().worseFrom(0.75, 0.9),
		stat("All volumes", "Bytes used, all pods together.",
			q(`sum(max by (member) (robustmq_volume_used_bytes{CLUSTER}))`, "")).unit(bytesIEC),
		stat("Failing operations", "Operations of the storage engine per second that failed.",
			q(`sum(rate(storage_engine_ops_fail_total{CLUSTER}[$__rate_interval]))`, "")).unit(perSecond).worseFrom(0.01, 1),
	}}
}

func storageCopies() row {
	return row{title: "Copies and volumes", panels: []panel{
		graph("Segments", "Those with too few copies, and those that cannot be reached at all.",
			q(`max by (state) (robustmq_segments{CLUSTER,state!="total"})`, "{{state}}")),
		graph("Volumes", "Share of each data volume that is used.",
			q(`max by (member) (robustmq_volume_used_bytes{CLUSTER} / (robustmq_volume_used_bytes{CLUSTER} + robustmq_volume_free_bytes{CLUSTER}))`, "{{member}}")).share().worseFrom(0.75, 0.9),
		graph("Free in a day, if it goes on", "A straight line through the last six hours. Below zero: the volume is full by then.",
			q(`min by (member) (predict_linear(robustmq_volume_free_bytes{CLUSTER}[6h], 86400))`, "{{member}}")).unit(bytesIEC),
		table("Volumes by pod", "Capacity is the size of the file system; a larger spec.*.storage grows it where the storage class can.", byMember,
			column{header: "Used", expr: `max by (member, role) (robustmq_volume_used_bytes{CLUSTER})`, unit: bytesIEC},
			column{header: "Free", expr: `min by (member, role) (robustmq_volume_free_bytes{CLUSTER})`, unit: bytesIEC},
			column{header: "Capacity", expr: `max by (member, role) (robustmq_volume_capacity_bytes{CLUSTER})`, unit: bytesIEC},
			column{header: "Used share", expr: `max by (member, role) (robustmq_volume_used_bytes{CLUSTER} / (robustmq_volume_used_bytes{CLUSTER} + robustmq_volume_free_bytes{CLUSTER}))`, unit: fraction, steps: rising(0.75, 0.9)}).sortedBy("Used share"),
	}}
}

func storageEngine() row {
	return row{title: "Storage engine", panels: []panel{
		graph("Operations", "Per second, of all nodes together.",
			q(`sum by (operation) (rate(storage_engine_ops_total{CLUSTER}[$__rate_interval]))`, "{{operation}}")).unit(perSecond),
		graph("Operations that failed", "Per second.",
			q(`sum by (operation) (rate(storage_engine_ops_fail_total{CLUSTER}[$__rate_interval]))`, "{{operation}}")).unit(perSecond),
		graph("Time of an operation (99 %)", "The measure is a doubling scale: 1, 2, 4 … ms.",
			q(`histogram_quantile(0.99, sum by (le, operation) (rate(storage_engine_ops_duration_ms_bucket{CLUSTER}[$__rate_interval])))`, "{{operation}}")).unit(milliseconds),
		graph("Writes by node", "Per second. Topics are spread over the nodes when they are made.",
			q(`sum by (member) (rate(storage_engine_ops_total{CLUSTER,operation="write"}[$__rate_interval]))`, "{{member}}")).unit(perSecond),
		graph("Reads by node", "Per second, by offset.",
			q(`sum by (member) (rate(storage_engine_ops_total{CLUSTER,operation="read_offset"}[$__rate_interval]))`, "{{member}}")).unit(perSecond),
		graph("Time of a write, by node (99 %)", "A node that stands out has a slow volume, or too little CPU.",
			q(`histogram_quantile(0.99, sum by (le, member) (rate(storage_engine_ops_duration_ms_bucket{CLUSTER,operation="write"}[$__rate_interval])))`, "{{member}}")).unit(milliseconds),
	}}
}

func storageRaft() row {
	return row{title: "Raft logs", panels: []panel{
		graph("Growth of the logs", "Entries per second, by group. Above 160 a member that restarts may miss more than the log keeps: see docs/changes.md.",
			q(`max by (machine) (rate(raft_last_log_index{MEMBERS}[$__rate_interval]))`, "{{machine}}")).unit(perSecond).badFrom(160),
		graph("Written and not yet applied", "Entries, by member. They should be applied at once.",
			q(`max by (member, machine) (raft_apply_lag{MEMBERS})`, "{{member}} {{machine}}")),
		graph("Since the last snapshot", "Entries of the log after each member's last snapshot.",
			q(`max by (member, group) (robustmq_raft_log_index{MEMBERS} - robustmq_raft_snapshot_index{MEMBERS})`, "{{member}} {{group}}")),
		graph("Appending to the log (99 %)", "A slow volume shows here first.",
			q(`histogram_quantile(0.99, sum by (le, member) (rate(raft_log_append_batch_duration_ms_bucket{MEMBERS}[$__rate_interval])))`, "{{member}}")).unit(milliseconds),
		graph("Applying (99 %)", "What the log says becomes the state.",
			q(`histogram_quantile(0.99, sum by (le, member) (rate(raft_apply_batch_duration_ms_bucket{MEMBERS}[$__rate_interval])))`, "{{member}}")).unit(milliseconds),
		graph("Calls between members (99 %)", "By kind; append_entries is what every write waits for.",
			q(`histogram_quantile(0.99, sum by (le, rpc_type) (rate(raft_rpc_duration_ms_bucket{MEMBERS}[$__rate_interval])))`, "{{rpc_type}}")).unit(milliseconds),
	}}
}

func storageDatabases() row {
	return row{title: "Databases", panels: []panel{
		graph("Operations", "Of RocksDB per second, by whose data it is.",
			q(`sum by (source) (rate(rocksdb_operation_count_total{CLUSTER}[$__rate_interval]))`, "{{source}}")).unit(perSecond),
		graph("Time of an operation (99 %)", "By kind; lists walk over many keys.",
			q(`histogram_quantile(0.99, sum by (le, operation) (rate(rocksdb_operation_ms_bucket{CLUSTER}[$__rate_interval])))`, "{{operation}}")).unit(milliseconds),
		graph("Write-ahead logs of the metadata", "What an image for a backup has to read. A restart in place empties them.",
			q(`max by (member) (robustmq_metadata_wal_bytes{MEMBERS})`, "{{member}}")).unit(bytesIEC),
	}}
}

func storageImages() row {
	return row{title: "Images for backups and new members", collapsed: true, panels: []panel{
		graph("Images", "Images of the metadata that agents made in a minute, and those that failed, by reason.",
			q(`sum(rate(robustmq_agent_images_total{CLUSTER}[$__rate_interval])) * 60`, "made"),
			q(`sum by (reason) (rate(robustmq_agent_image_failures_total{CLUSTER}[$__rate_interval])) * 60`, "failed: {{reason}}")),
		graph("Time to make one (99 %)", "From the request until it can be read.",
			q(`histogram_quantile(0.99, sum by (le) (rate(robustmq_agent_image_duration_seconds_bucket{CLUSTER}[$__rate_interval])))`, "99 %")).unit(seconds),
		graph("Space that images take", "Bytes written for images that are still there.",
			q(`max by (member) (robustmq_agent_staging_bytes{CLUSTER})`, "{{member}}")).unit(bytesIEC),
	}}
}
