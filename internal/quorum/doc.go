// Package quorum answers, purely, what may be done to the voters now: may one go away, join, leave or take the leadership, given who is up? It imports nothing but the standard library.
package quorum
