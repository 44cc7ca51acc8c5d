// Package job is what the pod of a backup Job does: take a backup, probe a destination, collect, delete or verify backups. It is the only place that has S3 credentials.
//
// The operator gives it a Request on its command line and mounts the secrets beside it; the Job gives back a Result as its termination message. It has no Kubernetes credentials:
// how far a backup is, it tells the agent that it copies from, and the operator reads it there.
package job
