// Package cluster reconciles a RobustMQCluster in four moves: observe (Kubernetes objects from the cache, agents in parallel), plan (package topology, pure), act
// (server-side apply, agents' orders), status (computed from what was observed, written only where it differs).
package cluster
