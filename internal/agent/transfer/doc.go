// Package transfer is what a member's agent writes to the volume and decides when the leadership of raft groups is moved: the record that outlives a crash, the votes, and who may start as
// what. It runs no server and asks nobody; package agent does.
package transfer
