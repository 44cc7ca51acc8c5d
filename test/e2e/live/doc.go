// Package live works on a RobustMQCluster in a running Kubernetes: it installs the operator as a user does, watches a cluster form, reaches its pods, and says what is wrong when something is.
package live
