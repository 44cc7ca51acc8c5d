// Package v1alpha1 holds the API types of the group robustmq.io: what a user writes to run RobustMQ on Kubernetes.
// Types and markers live in *_types.go, behaviour in *_funcs.go, derived values in *_defaults.go.
//
// +kubebuilder:object:generate=true
// +groupName=robustmq.io
package v1alpha1

//go:generate go run ../reference ../../config/crd ../../docs/api.md
