package catalogue

import "math"

// metadata are the settings of the placement centre.
var metadata = []Section{
	{Name: "meta_runtime", Meaning: "The placement centre: life signs, its log, and where leaders are.", Since: v030, Resource: MetaRuntime, Settings: []Setting{
		{
			Key: "heartbeat_timeout_ms", Type: U64, Unit: Millis, Default: 30000, Chosen: 30000, Min: 6000,
			Why:     "Nodes report every 3 s: less than two of them takes every node for dead now and then.",
			Meaning: "How long a node may be silent before it is taken off the list and its segments get other leaders.",
		},
		{Key: "heartbeat_check_time_ms", Type: U64, Unit: Millis, Default: 1000, Chosen: 1000, Min: 1, Why: zeroTimer, Meaning: "How often silent nodes are looked for."},
		{Key: "raft_write_timeout_sec", Type: U64, Unit: Seconds, Default: 30, Chosen: 30, Meaning: "How long a metadata write may take; less than 30 counts as 30."},
		{Key: "offset_raft_group_num", Type: U32, Default: 1, Min: 1, Since: v033, Owned: true, Meaning: "Raft groups of the offsets; fixed for the life of a cluster."},
		{Key: "data_raft_group_num", Type: U32, Default: 1, Min: 1, Since: v033, Owned: true, Meaning: "Raft groups of the data; fixed for the life of a cluster."},
		{
			Key: "group_offset_expire_sec", Type: U64, Unit: Seconds, Default: 604800, Min: 60, Since: v039, Live: true,
			Why: "Offsets that are forgotten while their group is reading make it begin again.", Meaning: "How long the offsets of a consumer group are kept after its last commit.",
		},
		{Key: "segment_leader_rebalance_interval_ms", Type: U64, Unit: Millis, Default: 60000, Min: 1, Since: v045, Why: zeroTimer, Meaning: "How often leaders of segments are spread evenly again."},
		{Key: "segment_leader_rebalance_max_moves", Type: U32, Default: 50, Since: v045, Meaning: "Leaders that move at most in one such round; 0 moves none."},
		{
			Key: "meta_worker_threads", Type: U64, Default: 0, Max: 1024, Since: v031, Was: []Place{{v0410, "runtime", ""}}, ChosenText: "number of CPUs, 64 at least", Why: fewThreads,
			Meaning: "Threads of the placement centre; 0 is the number of CPUs.",
		},
	}},
}

const zeroTimer = "A timer of zero ends its task, and the process goes on without it."

// storage are the settings of the storage engine.
var storage = []Section{
	{Name: "storage_runtime", Meaning: "The storage engine: where messages are kept, and how they are copied.", Since: v030, Settings: []Setting{
		{Key: "tcp_port", Type: U32, Default: 1778, Partial: 1779, Min: 1, Max: 65535, Owned: true, Meaning: "Port on which other nodes fetch messages."},
		{
			Key: "max_segment_size", Type: U32, Unit: Bytes, Default: 1073741824, Chosen: 1073741824, Min: 1048576,
			Why: "It also bounds what a follower takes in one fetch: the largest message has to fit.", Meaning: "Most that a follower takes in one fetch.",
		},
		{Key: "io_thread_num", Type: U32, Default: 8, Chosen: 8, Min: 1, Max: 1024, Why: "Writes are spread over the threads by division.", Meaning: "Threads that write segment files."},
		{Key: "data_path", Type: List, Default: []string{}, Owned: true, Meaning: "Folders of the segment files; without one the server ends at its start."},
		{Key: "offset_enable_cache", Type: Bool, Default: true, Chosen: true, Was: []Place{{v035, "storage_offset", "enable_cache"}}, Unused: true, Meaning: "Kept offsets in memory in early versions."},
		{Key: "expire_scan_task_num", Type: U64, Default: 16, Chosen: 16, Min: 1, Max: 65536, Since: v039, Why: "The work is divided by it.", Meaning: "Tasks that delete expired messages."},
		{Key: "num_replica_fetchers", Type: U32, Default: 4, Chosen: 4, Min: 1, Max: 1024, Since: v045, Why: "0 counts as 1.", Meaning: "Tasks of a follower that fetch messages."},
		{Key: "replica_fetch_min_bytes", Type: U64, Unit: Bytes, Default: 1, Chosen: 1, Max: math.MaxUint32, Since: v045, Why: "No fetch returns more.", Meaning: "A leader lets a fetch wait until it has as much as this."},
		{Key: "replica_fetch_max_wait_ms", Type: U64, Unit: Millis, Default: 500, Chosen: 10, Min: 1, Max: 60000, Since: v045, Why: lossless, Meaning: "... and answers at the latest after this long."},
		{Key: "replica_fetch_backoff_ms", Type: U64, Unit: Millis, Default: 1000, Chosen: 10, Min: 1, Max: 60000, Since: v045, Why: lossless, Meaning: "How long a follower waits when a fetch brought nothing."},
		{
			Key: "replica_lag_time_max_ms", Type: U64, Unit: Millis, Default: 10000, Chosen: 10000, Min: 1000, Since: v045,
			Why: "A follower that is taken for late all the time leaves one copy.", Meaning: "How long a follower may lag behind before writes no longer wait for it.",
		},
		{Key: "metadata_reconcile_interval_ms", Type: U64, Unit: Millis, Default: 30000, Chosen: 30000, Min: 1, Since: v045, Why: zeroTimer, Meaning: "How often the engine compares what it does with the metadata."},
		{Key: "isr_maintain_interval_ms", Type: U64, Unit: Millis, Default: 1000, Chosen: 1000, Min: 1, Since: v045, Why: zeroTimer, Meaning: "How often a leader looks for late followers."},
	}},
}

const lossless = "The server's 500 and 1000 lost acknowledged messages at every change of leader; both at 10 lost none in 4 of 4 stops and kills, one lowered alone is worse; 50 each where processors are few or segments many (seen on 0.4.11). " +
	"0 would ask without a pause."
