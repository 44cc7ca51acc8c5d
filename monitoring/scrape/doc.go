// Package scrape says where a cluster's metrics are, in the words of the Prometheus operator: pure functions, ready for server-side apply.
package scrape
