// Package kube is the part of Kubernetes that an API server alone lacks and that the operator relies on: the StatefulSet controller, PVC binding and protection, and garbage collection.
// It is small and honest: what it does it does as kube-controller-manager 1.37 does (StatefulSets: Parallel and OnDelete only; deletion: background only), and it says so when asked for more.
package kube
