// Package backup is `robustmq-operator backup`: what can be done with backups without a cluster, for the day when it is gone.
package backup
