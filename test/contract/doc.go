// Package contract holds what is known of RobustMQ's outer behaviour as tests: they run against the simulator, and against a real broker-server when ROBUSTMQ_BIN names one.
package contract
