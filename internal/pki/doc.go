// Package pki decides what certificates a cluster shall have and makes them: the cluster's authority, the agents', the operator's and the listeners' certificate.
//
// Everything here is a function of the Secrets that exist, the time and a source of randomness; nothing is read or written.
package pki
