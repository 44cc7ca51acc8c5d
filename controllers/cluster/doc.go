// Package cluster reconciles a RobustMQCluster in four moves: observe (Kubernetes objects from the cache, agents in parallel), plan (package topology, pure),
// status (computed from what was observed, written only where it differs), act (agents' orders). Objects are applied server-side, and only where they differ.
package cluster
