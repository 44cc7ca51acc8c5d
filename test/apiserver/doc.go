// Package apiserver runs a real kube-apiserver with the project's definitions, and the operator's webhooks beside it as it calls them, for the tests that need both.
package apiserver
