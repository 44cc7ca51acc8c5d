// Package watch puts Prometheus, run by its own operator, into the tests' Kubernetes, and asks it what it sees.
package watch
