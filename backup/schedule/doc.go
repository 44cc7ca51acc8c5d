// Package schedule says when backups are due, by cron lines in time zones. It is a reader of such lines and no clock: who asks brings the time, and what the status remembers.
package schedule
