// Package agents reaches the agents of a cluster: by the operator's certificate, and at the pod that is meant.
package agents
