// Package protocol is what the agent and its callers (operator, Jobs, other agents) say to one another: HTTPS with JSON, mutual TLS.
package protocol
