// Package monitoring keeps the objects by which clusters are monitored: a ServiceMonitor and a PrometheusRule for each, and one set of dashboards for all, wherever the kinds of these exist.
//
// Those kinds are other people's. They may be installed, removed and installed again at any time, and nothing here waits for them: each is followed by itself (see follower).
package monitoring
