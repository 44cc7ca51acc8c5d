// Package raft is a small raft with the outer behaviour of openraft 0.9 as RobustMQ uses it: committed votes, leader leases, no pre-vote, and snapshots that bring nothing.
package raft
