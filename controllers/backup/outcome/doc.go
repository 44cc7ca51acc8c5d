// Package outcome says how a Job on backups is going and how it ended: from its own result where it left one, else in Kubernetes' words. Nothing is read or written.
package outcome
