// Package refused finds out why Kubernetes makes no pod for a Job: the Job itself does not say it, only an event of it does.
package refused
