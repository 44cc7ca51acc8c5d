// Package simulator is a broker-server without RobustMQ in it: its flags, files, ports, formation, raft state, admin API, MQTT, signals and exit codes, as they were seen on the real one.
package simulator
