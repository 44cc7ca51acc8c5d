package job

import (
	"errors"
	"fmt"

	"github.com/robustmq/robustmq-operator/backup/archive"
	"github.com/robustmq/robustmq-operator/internal/robustmq"
)

// Inspected is what an inspection found in the manifest of the backup that it chose; ID, Key and the rest stand in the Result as of any backup.
type Inspected struct {
	// ClusterUID, ClusterName and Namespace of the cluster that was saved.
	ClusterUID  string `json:"clusterUID"`
	ClusterName string `json:"clusterName"`
	Namespace   string `json:"namespace"`
	// Version of RobustMQ that wrote the data, and the digest of its image if that was known.
	Version     string `json:"version"`
	ImageDigest string `json:"imageDigest,omitempty"`
	// Nodes of each role that the cluster had: topics name them.
	Nodes archive.Nodes `json:"nodes"`
	// Groups are the raft groups' states in the backup, one for each of robustmq.Groups.
	Groups []archive.Group `json:"groups"`
	// Bytes that each member receives, in Files files, of which Tables are tables of RocksDB.
	Bytes  int64 `json:"bytes"`
	Files  int   `json:"files"`
	Tables int   `json:"tables"`
}

// Limits of what an inspection hands on: with them a result fits into MaxResult. No cluster has more.
const (
	maxVersion     = 64
	maxImageDigest = 128
	maxKey         = 1024
)

// problem of a manifest's facts that keeps a restore from being possible; empty: none.
func (i Inspected) problem() string {
	switch {
	case !uidForm.MatchString(i.ClusterUID) || !nameForm.MatchString(i.ClusterName) || !nameForm.MatchString(i.Namespace):
		return fmt.Sprintf("it is of the cluster %q/%q with UID %q, which cannot be the names of one", i.Namespace, i.ClusterName, i.ClusterUID)
	case i.Version == "" || plain(maxVersion, "", i.Version) != nil || plain(maxImageDigest, "", i.ImageDigest) != nil:
		return fmt.Sprintf("it is of RobustMQ %.80q with image digest %.140q, which cannot be those of one", i.Version, i.ImageDigest)
	case i.Bytes <= 0 || i.Files < 1 || i.Tables < 0 || i.Tables > i.Files:
		return fmt.Sprintf("it has %d bytes in %d files, %d of them tables", i.Bytes, i.Files, i.Tables)
	case len(i.Groups) != len(robustmq.Groups):
		return fmt.Sprintf("it has %d raft groups, this version restores the groups %v", len(i.Groups), robustmq.Groups)
	}
	groups := map[string]archive.Group{}
	for _, g := range i.Groups {
		groups[g.Name] = g
	}
	for _, name := range robustmq.Groups {
		g, there := groups[name]
		voters := map[uint64]bool{}
		for _, id := range g.Membership.Voters {
			voters[id] = true
		}
		switch {
		case !there:
			return fmt.Sprintf("it has no raft group %s, this version restores the groups %v", name, robustmq.Groups)
		case len(voters) == 0 || len(voters) > MaxMembers || len(voters) != len(g.Membership.Voters) || voters[0]:
			return fmt.Sprintf("the voters of its raft group %s are %.200v: they are 1 to %d, each once", name, g.Membership.Voters, MaxMembers)
		}
	}
	return ""
}

// checkRestored is what a result of an inspection or a restore must say when it says that all is well.
func (r Result) checkRestored() error {
	if r.ID == "" || r.Key == "" || r.ManifestSHA256 == "" || r.RecoveryPoint.IsZero() || r.SizeBytes == 0 {
		return fmt.Errorf("it says %s, and not of which backup", r.Reason)
	}
	if r.Reason == BackupPlaced {
		return nil
	}
	if r.Inspected == nil {
		return errors.New("it says that a backup was found, and nothing of what is in it")
	}
	if problem := r.Inspected.problem(); problem != "" {
		return errors.New("of the backup that it found: " + problem)
	}
	return nil
}
