// Package client is how the operator talks to agents: one pool for the process, one mutual-TLS transport a cluster, one client a pod.
package client
