// Package scale runs the operator as a process of its own beside many clusters whose pods are objects in a real API server and nothing more, and measures what the operator takes.
package scale
