package catalogue

import "math"

// common are the settings of the process as a whole.
var common = []Section{
	{Name: "", Meaning: "The node itself.", Since: v030, Settings: []Setting{
		{Key: "cluster_name", Type: Text, Default: "robust_mq_cluster_default", Owned: true, Owner: "metadata.name", Meaning: "Name of the cluster, the same on all nodes."},
		{Key: "broker_id", Type: U64, Default: 1, Min: 1, Owned: true, Meaning: "Identity of the node, unique in the cluster and bound to its volume."},
		{Key: "broker_ip", Type: Text, DefaultText: "found by itself", Owned: true, Meaning: "Address under which other nodes reach this one: the pod's stable name."},
		{
			Key: "roles", Type: List, Values: []string{"meta", "broker", "engine"}, Default: []string{"broker", "meta"},
			Owned: true, Owner: "spec.placementCenter, spec.mqttBroker and spec.journalServer", Meaning: "What the node does: metadata, protocols, storage.",
		},
		{Key: "grpc_port", Type: U32, Default: 1228, Min: 1, Max: 65535, Owned: true, Meaning: "Port of the calls between nodes."},
		{
			Key: "http_port", Type: U32, Default: 58080, Before: []Default{{v043, 8080}}, Min: 1, Max: 65535,
			Owned: true, Owner: "spec.listeners.admin.port", Meaning: "Port of the admin API.",
		},
		{Key: "data_path", Type: Text, Default: "./data", Was: []Place{{v041, "rocksdb", ""}}, Owned: true, Meaning: "Folder of the metadata and the message database on the volume."},
		{Key: "meta_addrs", Type: Table, DefaultText: `{1 = "127.0.0.1:1228"}`, Owned: true, Owner: "spec.placementCenter.replicas", Meaning: "Members of the placement centre: node id and address."},
	}},
	{Name: "log", Meaning: "Where the log goes.", Since: v030, Settings: []Setting{
		{Key: "log_config", Type: Text, Default: "./config/logger.toml", Owned: true, Meaning: "File that says what is logged and where."},
		{Key: "log_path", Type: Text, Default: "./logs", Owned: true, Meaning: "Folder that must be writable, though everything goes to the standard output."},
	}},
	{Name: "runtime", Meaning: "Threads, connections between nodes, and what a new topic is like.", Since: v030, Settings: []Setting{
		{
			Key: "server_worker_threads", Type: U64, Max: 1024, Default: 0, Since: v031, ChosenText: "number of CPUs, 64 at least", Why: fewThreads,
			Meaning: "Threads of the calls and of the storage engine; 0 is the number of CPUs.",
		},
		{
			Key: "channels_per_address", Type: U64, Max: 1024, Default: 4, Chosen: 4, Since: v031, Was: []Place{{v035, "grpc_client", ""}},
			Why: "Each is a TCP connection to every other node.", Meaning: "HTTP/2 connections to each other node; 0 is the default.",
		},
		{
			Key: "pprof_enable", Type: Bool, Default: false, Was: []Place{{v035, "p_prof", "enable"}, {v041, "pprof", "enable"}},
			Meaning: "Profiles the process for the debug pages of the admin API (before 0.4.1: on a port of its own).",
		},
		{
			Key: "default_topic_partition_num", Type: U32, Default: 3, Partial: 1, Chosen: 1, Min: 1, Since: v045,
			Why: "A topic of no partition holds nothing; the operator writes the server's default for a section that is written.", Meaning: "Partitions of a topic that is made by itself.",
		},
		{
			Key: "default_topic_replica_num", Type: U32, Default: 2, Partial: 1, Min: 1, Since: v045, ChosenText: "number of nodes with storage, 3 at most",
			Why: "More copies than nodes cannot be placed.", Meaning: "Copies of every message of a topic that is made by itself; the server takes 1 when the placement centre has one member.",
		},
	}},
	{Name: "broker_network", Meaning: "How the listeners of all protocols take in requests.", Since: v030, Was: network, Settings: []Setting{
		{Key: "accept_thread_num", Type: U64, Default: 1, Min: 1, Max: 1024, Why: "With none nobody would accept connections.", Meaning: "Tasks of each listener that accept connections."},
		{Key: "handler_thread_num", Type: U64, Default: 64, Before: []Default{{v031, 1000}}, Min: 1, Max: 65536, Why: "With none requests would never be handled.", Meaning: "Tasks that handle requests."},
		{
			Key: "queue_size", Type: U64, Default: 5000, Partial: 2000, Min: 1, Max: math.MaxInt32, Why: "A queue of no places cannot be made.",
			Meaning: "Requests that may wait for each handler before a connection is no longer read from.",
		},
		{Key: "tls_cert", Type: Text, Default: "./config/certs/cert.pem", Was: []Place{{v0410, "runtime", ""}}, Owned: true, Owner: "spec.tls", Meaning: "Certificate of the TLS listeners, PEM."},
		{Key: "tls_key", Type: Text, Default: "./config/certs/key.pem", Was: []Place{{v0410, "runtime", ""}}, Owned: true, Owner: "spec.tls", Meaning: "Its private key, PEM."},
	}},
	{Name: "cluster_limit", Meaning: "Limits of each node for all protocols together.", Since: v035, Resource: ClusterLimit, Settings: []Setting{
		{Key: "max_network_connection", Type: U64, Default: 100000000, Live: true, Meaning: "Connections that a node holds; one more is let in, the next is closed."},
		{
			Key: "max_network_connection_rate", Type: U32, Default: 10000, Min: 1, Why: "0 ends the server at its start (seen on 0.4.11: exit 101).",
			Meaning: "New connections a second, and calls a second of each path of the admin API; more have to wait.",
		},
		{Key: "max_connection_per_ip", Type: U64, Default: 5000, Since: v048, Live: true, Meaning: "Connections from one address; behind a load balancer all clients may share one."},
		{Key: "max_admin_http_uri_rate", Type: U32, Default: 50, Min: 1, Unused: true, Why: "Zero rates end the server wherever they are used.", Meaning: "Meant for the admin API, which takes max_network_connection_rate instead."},
	}},
	{Name: "admin", Meaning: "Access to the admin API.", Since: v042, Settings: []Setting{
		{Key: "username", Type: Text, Default: "admin", Owned: true, Owner: "spec.auth.adminSecretName", Meaning: "User of the admin API."},
		{Key: "password", Type: Text, DefaultText: "a public one", Secret: true, Owned: true, Owner: "spec.auth.adminSecretName", Meaning: "Its password."},
		{Key: "jwt_secret", Type: Text, DefaultText: "a public one", Secret: true, Owned: true, Meaning: "Key that signs the tokens of the admin API; the operator makes one for each cluster."},
		{
			Key: "token_ttl_hours", Type: U64, Unit: Hours, Default: 8, Chosen: 8, Min: 1, Max: 876000,
			Why: "A token of no hours is expired when it is given out; the largest is 100 years, since the server turns the number into seconds without a check.", Meaning: "How long a token of the admin API is valid.",
		},
	}},
	{Name: "llm_client", Meaning: "Language model that embeds texts for the vector search of mailboxes.", Since: v033, Settings: []Setting{
		{Key: "platform", Type: Enum, Values: platforms, Required: v041, Meaning: "Who runs the model."},
		{Key: "model", Type: Text, Required: v041, Meaning: "Name of the model."},
		{Key: "token", Type: Text, Secret: true, Meaning: "Key for the platform; it stands in the cluster's spec in clear, which everybody who may read the cluster can read."},
		{Key: "base_url", Type: Text, Meaning: "Where the platform is reached, with http:// or https://, when not at its usual address."},
		{Key: "embedding", Type: Enum, Values: []string{"fastembed", "api"}, Since: v041, Meaning: "Whether texts are embedded by a model within the server or by the platform."},
		{Key: "embedding_model_path", Type: Text, Since: v041, DefaultText: "data_path", Meaning: "Folder of the model within the server; a model that is missing is downloaded at the start."},
	}},
	{Name: "delay_task", Meaning: "Tasks that run at a later time.", Since: v036, Settings: []Setting{
		{Key: "delay_task_queue_num", Type: U64, Default: 8, Min: 1, Max: math.MaxUint32, Why: "Tasks are spread over the queues by division.", Meaning: "Queues of waiting tasks."},
		{Key: "delay_task_handler_concurrency", Type: U64, DefaultText: "number of CPUs", Min: 1, Max: 65536, Why: "With none no task would ever run.", Meaning: "Tasks that run at the same time."},
	}},
	{Name: "delay_message", Meaning: "Messages that are published with a delay.", Since: v048, Settings: []Setting{
		{Key: "max_retries", Type: U32, Default: 3, Max: 32, Why: "The waiting time doubles with every attempt, and overflows with more.", Meaning: "Attempts to deliver a delayed message after the first one."},
		{Key: "initial_retry_delay_sec", Type: U64, Unit: Seconds, Default: 2, Max: 86400, Why: "It doubles with every attempt.", Meaning: "Wait before the first further attempt."},
	}},
}

const fewThreads = "With 2 and with 4, waits for locks hung whole servers: ports open, no answer (seen on 0.4.11)."

// network: [network] to 0.3.5; 0.3.6 has one network section a protocol and none for all.
var network = []Place{{v036, "network", ""}, {v037, Nowhere, ""}}

// platforms as the server spells them.
var platforms = []string{
	"open_a_i", "open_a_i_resp", "gemini", "anthropic", "fireworks", "together", "groq", "mimo", "nebius", "xai", "deep_seek", "zai", "big_model", "cohere", "ollama",
}
