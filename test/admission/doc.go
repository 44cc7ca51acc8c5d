// Package admission runs the webhooks as they are installed, several replicas behind one address in front of a real API server, asks them at a steady rate, and watches what they serve.
package admission
