// Package rules decides what a spec may say: pure functions, one rule each, in one table a kind.
//
// The same functions judge at admission (package webhooks) and again when a cluster is reconciled (Guard…), because a webhook can be absent.
// What needs nothing but the object, or the object and its predecessor, stands in the schema too (markers in api/v1alpha1), where it holds without either.
package rules
