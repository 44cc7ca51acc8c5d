// Package backup carries out RobustMQBackups in four moves: observe (Kubernetes objects, and the agents of the placement centre), decide (pure: whose turn it is, from which member, how the Job went),
// status (computed, written only where it differs, the progress at most every 5 s), act (the Job is made or removed).
//
// The Job is the record of a backup: its request says from where and to where. A backup is Complete when the result that its program left says so, and never otherwise; what has ended never moves again.
package backup
