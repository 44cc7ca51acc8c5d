// Package policies is the corpus of what may be said and what may not: one YAML file a case, each of which goes through validate, the API server with the webhooks, and the API server without them.
package policies

//go:generate go run ./page . ../../docs/policies.md
