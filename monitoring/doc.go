// Package monitoring holds the operator's own metrics: of the clusters that it looks after, and of its own work. docs/metrics.md lists them for those who alert on them.
package monitoring
