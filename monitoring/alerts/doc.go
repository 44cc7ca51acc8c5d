// Package alerts holds what Prometheus alerts on: one rule a file, for every cluster (cluster/) and for the operator itself (operator/).
//
// A file is a rule as Prometheus reads it. In those of clusters every selector has namespace="NAMESPACE" and cluster="CLUSTER", which no object can be called, and which ForCluster puts the cluster's names in place of.
// Beside each rule there is a test for promtool (tests/) and a page for who is woken (docs/runbooks/alerts/), both of the rule's name.
package alerts
