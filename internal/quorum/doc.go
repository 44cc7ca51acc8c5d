// Package quorum answers one question, purely: may this member go away, given who is up? It imports nothing but the standard library.
package quorum
