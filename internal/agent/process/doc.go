// Package process starts a server, tells how it ended, keeps its last words without secrets, and reaps orphans as process 1.
package process
