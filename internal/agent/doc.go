// Package agent is process 1 of every RobustMQ pod: it decides whether the server may start, renders its configuration, keeps it running, vouches for it to the cluster,
// and is the only door to it. Everything outside is injected, so that many agents run in one test process.
package agent
