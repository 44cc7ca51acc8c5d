// Package robustmq knows RobustMQ from the outside: its versions, its configuration dialects, its raft state and its admin API.
package robustmq
