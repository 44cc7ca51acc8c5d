// Package dashboards holds the Grafana dashboards of an installation, as definitions in Go from which Grafana's JSON is made; docs/dashboards.md shows them.
package dashboards
