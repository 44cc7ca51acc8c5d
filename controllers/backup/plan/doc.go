// Package plan carries out spec.backup of a RobustMQCluster: it makes backups by schedule, tries the destination, and has deleted what no retention keeps.
//
// All that it remembers is in status.backup of the cluster, which it alone writes, with the condition StorageReady: an operator that dies at any point goes on where it was.
// What becomes of a single RobustMQBackup is the business of package controllers/backup.
package plan
