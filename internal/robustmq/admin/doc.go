// Package admin speaks RobustMQ's admin HTTP API: tokens, the answer's envelope, paging.
package admin
