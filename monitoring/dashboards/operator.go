package dashboards

// operator shows the operator itself, and all clusters that it looks after in one table.
func operator() definition {
	return definition{
		name: "operator", title: "RobustMQ / Operator", variables: manyClusters,
		about: "The RobustMQ operator: all clusters, what it reconciles and writes, how long things take, recoveries, admission, backups, the process.",
		rows:  []row{operatorNow(), operatorClusters(), operatorReconciling(), operatorConverging(), operatorAdmission(), operatorBackups(), operatorProcess()},
	}
}

func operatorNow() row {
	return row{title: "Now", panels: []panel{
		stat("Clusters", "Clusters that the operator looks after.",
			q(`max(robustmq_operator_clusters{OPERATOR})`, "")).whole(),
		stat("Not ready", "Clusters whose condition Ready is not True.",
			q(`count(max by (namespace, cluster) (robustmq_operator_cluster_condition{CLUSTERS,condition="Ready"}) != 1) or vector(0)`, "")).badFrom(1).whole(),
		stat("Troubles", "Troubles that are being mended now, over all clusters.",
			q(`sum(max by (namespace, cluster, kind) (robustmq_operator_trouble{CLUSTERS})) or vector(0)`, "")).worseFrom(1, 5).whole(),
		stat("Who leads", "The replica of the operator that acts; the others answer admission and wait.",
			q(`max by (pod) (robustmq_operator_leader{OPERATOR}) == 1`, "{{pod}}")).showNames().whenNone("Nobody"),
		stat("Passes that changed nothing", "Share of passes that found all as it should be. Near 100 % is a quiet operator.",
			q(`sum(rate(robustmq_operator_reconciles_total{OPERATOR,result="unchanged"}[$__rate_interval])) / sum(rate(robustmq_operator_reconciles_total{OPERATOR}[$__rate_interval]))`, "")).share().whole().whenNone("No pass"),
		stat("Certificate of the webhooks", "Until the serving certificate ends. It is renewed long before.",
			q(`min(robustmq_operator_webhook_certificate_expiry_timestamp_seconds{OPERATOR,certificate="serving"}) - time()`, "")).unit(seconds).worseBelow(21*24*3600, 7*24*3600),
	}}
}

func operatorClusters() row {
	byCluster := []column{{header: "Namespace", expr: "namespace"}, {header: "Cluster", expr: "cluster"}}
	return row{title: "Clusters", panels: []panel{
		table("Clusters", "All that were chosen above.", byCluster,
			column{header: "Ready", expr: `max by (namespace, cluster) (robustmq_operator_cluster_condition{CLUSTERS,condition="Ready"})`, states: wellIfTrue},
			column{header: "Quorum", expr: `max by (namespace, cluster) (robustmq_operator_cluster_condition{CLUSTERS,condition="QuorumHealthy"})`, states: wellIfTrue},
			column{header: "Pods wanted", expr: `sum by (namespace, cluster) (robustmq_operator_cluster_members{CLUSTERS,state="desired"})`},
			column{header: "Pods ready", expr: `sum by (namespace, cluster) (robustmq_operator_cluster_members{CLUSTERS,state="ready"})`},
			column{header: "Troubles", expr: `sum by (namespace, cluster) (robustmq_operator_trouble{CLUSTERS})`, steps: rising(1, 3)},
			column{header: "Alerts", expr: `count by (namespace, cluster) (ALERTS{CLUSTERS,alertname=~"RobustMQ.*",alertstate="firing"})`, steps: rising(1, 3)},
			column{header: "Newest backup", expr: `time() - max by (namespace, cluster) (robustmq_backup_last_success_timestamp_seconds{CLUSTERS})`, unit: seconds},
			column{header: "Certificate ends in", expr: `min by (namespace, cluster) (robustmq_operator_certificate_expiry_timestamp_seconds{CLUSTERS}) - time()`, unit: seconds, steps: falling(21*24*3600, 7*24*3600)}),
		timeline("Troubles", "What is being mended, by cluster and kind. docs/metrics.md lists the kinds.", active,
			q(`max by (namespace, cluster, kind) (robustmq_operator_trouble{CLUSTERS}) == 1`, "{{namespace}}/{{cluster}} {{kind}}")),
		graph("Clusters by condition", "How many clusters have each condition at True.",
			q(`sum by (condition) (robustmq_operator_cluster_condition{CLUSTERS} == bool 1)`, "{{condition}}")).wide(12),
	}}
}

func operatorReconciling() row {
	return row{title: "Reconciling", panels: []panel{
		graph("Passes by result", "Per second. Waiting is a step that is not due yet; only error is amiss.",
			q(`sum by (result) (rate(robustmq_operator_reconciles_total{OPERATOR}[$__rate_interval]))`, "{{result}}")).unit(perSecond).stacked(),
		graph("Passes that failed", "Per second, by controller. A conflict now and then is normal.",
			q(`sum by (controller) (rate(robustmq_operator_reconciles_total{OPERATOR,result="error"}[$__rate_interval]))`, "{{controller}}")).unit(perSecond),
		graph("Time of a pass (99 %)", "By controller. A pass of a cluster asks all its agents, with a deadline.",
			q(`histogram_quantile(0.99, sum by (le, controller) (rate(controller_runtime_reconcile_time_seconds_bucket{OPERATOR}[$__rate_interval])))`, "{{controller}}")).unit(seconds),
		graph("Writes to the API server", "Per second, by kind of object. Without a change there are none.",
			q(`sum by (kind, verb) (rate(robustmq_operator_writes_total{OPERATOR}[$__rate_interval]))`, "{{verb}} {{kind}}")).unit(perSecond).stacked(),
		graph("Waiting objects", "Objects in the queue of each controller.",
			q(`sum by (name) (workqueue_depth{OPERATOR})`, "{{name}}")),
		graph("Calls to the API server", "Per second, by status. 429: the API server asks to go slower.",
			q(`sum by (code) (rate(rest_client_requests_total{OPERATOR}[$__rate_interval]))`, "{{code}}")).unit(perSecond),
	}}
}

func operatorConverging() row {
	return row{title: "Steps and recoveries", panels: []panel{
		graph("Time until a step was done (95 %)", "By step, from when it was begun.",
			q(`histogram_quantile(0.95, sum by (le, step) (rate(robustmq_operator_step_duration_seconds_bucket{OPERATOR}[$__rate_interval])))`, "{{step}}")).unit(seconds),
		graph("Recoveries in an hour", "Troubles that are over, by kind.",
			q(`sum by (kind) (increase(robustmq_operator_recovery_duration_seconds_count{OPERATOR}[1h]))`, "{{kind}}")).stacked(),
		graph("Time until recovered (95 %)", "By kind, from when the operator saw it, over the last hour.",
			q(`histogram_quantile(0.95, sum by (le, kind) (rate(robustmq_operator_recovery_duration_seconds_bucket{OPERATOR}[1h])))`, "{{kind}}")).unit(seconds),
		graph("Leadership moved on purpose, in an hour", "By outcome. Aborted: everything was put back.",
			q(`sum by (outcome) (increase(robustmq_leadership_transfers_total{OPERATOR}[1h]))`, "{{outcome}}")).wide(12),
		graph("Nobody led (95 %)", "For how long, when leadership was moved on purpose, over the last hour.",
			q(`histogram_quantile(0.95, sum by (le) (rate(robustmq_leadership_transfer_gap_seconds_bucket{OPERATOR}[1h])))`, "gap")).unit(seconds).wide(12),
	}}
}

func operatorAdmission() row {
	return row{title: "Admission", panels: []panel{
		graph("Decisions", "Per second, by what was decided.",
			q(`sum by (resource, decision) (rate(robustmq_operator_admission_decisions_total{OPERATOR}[$__rate_interval]))`, "{{resource}} {{decision}}")).unit(perSecond),
		graph("Denied, by rule", "In the last hour.",
			q(`sum by (rule) (increase(robustmq_operator_admission_decisions_total{OPERATOR,decision="denied"}[1h]))`, "{{rule}}")),
		graph("Time to decide (99 %)", "The API server waits for this at every change of our kinds.",
			q(`histogram_quantile(0.99, sum by (le, webhook) (rate(controller_runtime_webhook_latency_seconds_bucket{OPERATOR}[$__rate_interval])))`, "{{webhook}}")).unit(seconds),
		graph("Against a policy", "What clusters that exist have against them, by policy and rule.",
			q(`max by (policy, rule) (robustmq_policy_violations)`, "{{policy}} {{rule}}")).wide(24),
	}}
}

func operatorBackups() row {
	return row{title: "Backups and restores", panels: []panel{
		graph("Oldest of the newest backups", "The five clusters whose newest backup is oldest.",
			q(`topk(5, time() - max by (namespace, cluster) (robustmq_backup_last_success_timestamp_seconds{CLUSTERS}))`, "{{namespace}}/{{cluster}}")).unit(seconds),
		graph("Backups that failed, in an hour", "By the reason of their condition Complete.",
			q(`sum by (reason) (increase(robustmq_backup_failures_total{CLUSTERS}[1h]))`, "{{reason}}")).stacked(),
		graph("Destinations that cannot be written", "Clusters whose last probe failed.",
			q(`count(max by (namespace, cluster) (robustmq_backup_storage_ready{CLUSTERS}) == 0) or vector(0)`, "clusters")),
		timeline("Restores", "Restores that are under way.", active,
			q(`max by (namespace, cluster, trigger, phase) (robustmq_restore_phase{CLUSTERS}) == 1`, "{{namespace}}/{{cluster}} {{trigger}} {{phase}}")),
		graph("Restores that failed, in a day", "By reason.",
			q(`sum by (namespace, cluster, reason) (increase(robustmq_restore_failures_total{CLUSTERS}[24h]))`, "{{namespace}}/{{cluster}} {{reason}}")).wide(12),
	}}
}

func operatorProcess() row {
	return row{title: "Process", collapsed: true, panels: []panel{
		graph("Memory", "Of each replica.",
			q(`max by (pod) (process_resident_memory_bytes{OPERATOR})`, "{{pod}}")).unit(bytesIEC),
		graph("CPU", "Cores that each replica uses.",
			q(`max by (pod) (rate(process_cpu_seconds_total{OPERATOR}[$__rate_interval]))`, "{{pod}}")),
		graph("Goroutines", "Of each replica; they should not grow without end.",
			q(`max by (pod) (go_goroutines{OPERATOR})`, "{{pod}}")),
	}}
}
