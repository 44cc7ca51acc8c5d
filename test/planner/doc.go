// Package planner holds the planner of package topology against a small world of its own: pods, volumes, three raft groups, messages and failures in one process, without a clock and without a network,
// so that a thousand whole lives of a cluster take seconds.
package planner
