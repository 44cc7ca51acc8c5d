// Package v1alpha1 holds the API types of the group robustmq.io: what a user writes to run RobustMQ on Kubernetes.
// Types and markers live in *_types.go, behaviour in *_funcs.go, derived values in *_defaults.go.
//
// +kubebuilder:object:generate=true
// +groupName=robustmq.io
package v1alpha1

// What a rule in a marker costs: at each access to a field, and twice where it is there, the API server makes a map of all properties of the object around it, so self.x on a spec of 19
// properties allocates 6 to 15 kB. Hence a rule stands on the narrowest object that holds what it compares, looks at each field once where it can, and begins with the comparison that
// ends it for most objects; NamesFit has its length in the expression for this reason. test/policies/cost_test.go holds the sum.

//go:generate go run ../reference ../../config/crd ../../docs/api.md
