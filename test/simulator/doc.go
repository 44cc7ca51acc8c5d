// Package simulator is a broker-server without RobustMQ in it: its flags, files, ports, formation, raft state, admin API, MQTT, signals and exit codes, as they were seen on the real one.
//
// # The data directory
//
// <data_path>/_rocksdb (_data before 0.4.1) is a RocksDB database, made by package store without RocksDB: RocksDB opens it, and a folder of a real server can be put in its place.
// So images, seeds and restores move real files through it. What is faithful, to the byte where recorded directories of RobustMQ 0.4.11 say so, and what is not:
//
//   - Faithful: names and kinds of files; the MANIFEST and OPTIONS of a fresh directory; column families and their ids; WALs of one batch a write, with sequences without gaps; a flush of
//     every family at each start, into tables of level 0, and of `storage` alone while the server runs, so that WALs pile up that metadata keep alive; compactions; LOCK.
//   - Faithful: raft's records (vote, committed, applied, purged, membership, log entries of memberships and blanks) and the order in which they are written: entry, committed position,
//     what the entry did, membership, applied position. The membership of the state machine counts, not the log's: an edited address holds. A committed vote leads at once. _snapshot lies
//     beside, may be removed, and is made anew.
//   - Faithful: keys and values of nodes and their epochs, tenants, users, topics, shards, segments and the key-value store, each with the time at which this member applied it.
//   - Not faithful: tables have one index, no filters and no compression, and nothing that the WAL or the MANIFEST shows depends on it; memtables are flushed at 4 MiB instead of 128;
//     compactions rewrite a family as a whole. What a command in a log entry does is JSON: a real server's entries are kept, replicated and never applied again.
//   - Not faithful: ACLs, connectors, sessions, dynamic configuration, consumers' offsets and messages are JSON, under keys of their own (/meta/simulator/, /engine/<shard>/<offset>). A real server's are kept
//     and not seen. Numbers of a few enum values that no recording has are guesses (stored.go). Versions before 0.4.11 store what 0.4.11 does.
//   - Not faithful: what is in _snapshot. Its files have the real names and positions, and no data.
//
// # Connectors
//
//   - Faithful, as RobustMQ 0.4.11 was seen to do it: what a connector of type "file" is refused for; the node that it is given, its heartbeats and the change to another node, without regard
//     to roles; where it begins to read and goes on; lines appended to the file; what is counted, and under which names; what it does with messages that cannot be written; that it stops
//     for good when its topic is unknown; that a deleted one goes on being "up".
//   - Not faithful: files are not rotated. Connectors of other types are stored, placed and listed as running, and nothing is run; of their configuration nothing is checked but that it is a
//     JSON object, where RobustMQ 0.4.11 checks it, has to reach Kafka's servers first, and fails to store webhooks. Versions before 0.4.11 have the connectors of 0.4.11, those before 0.3.8 none.
package simulator
