// Package installation tells this Kubernetes from a copy of it: one place in a bucket has one owner.
package installation
