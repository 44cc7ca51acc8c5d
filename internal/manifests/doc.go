// Package manifests builds the Kubernetes objects of a cluster: pure functions, one file a kind, ready for server-side apply.
package manifests
