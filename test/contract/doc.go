// Package contract holds what is known of RobustMQ's outer behaviour as tests: they run against the simulator, and against a real broker-server when ROBUSTMQ_BIN names one.
//
//	go test ./test/contract/                                                                       # the simulator, about a minute
//	sudo ROBUSTMQ_BIN=/path/to/broker-server "$(which go)" test ./test/contract/ -timeout 60m        # a real v0.4.11, about 25 minutes, at most four servers at a time
//
// Real servers get a network namespace each; nothing of a run is left behind. What only the real one passes is a defect of the simulator.
package contract
