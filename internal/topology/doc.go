// Package topology decides what a cluster needs next, purely: Decide(what was observed) = the next steps, and a reason for everything that waits.
//
// It imports nothing but the API types, package quorum and the standard library; time comes in as a value. The controller observes, calls Decide, performs the
// steps and observes again: at most one step that changes the quorum stands in a plan.
package topology
