package image

import (
	"fmt"
	"slices"
	"strings"

	"github.com/robustmq/robustmq-operator/backup/image/rocksdb"
)

// Column families of RobustMQ, in the order in which it creates them: ids 1 to 5 (RobustMQ 0.3.0 to 0.4.11, common/rocksdb-engine/src/storage/family.rs; seen in every recorded MANIFEST).
const (
	FamilyRaft     = "meta_raft"     // raft log and state of the three groups
	FamilyData     = "meta_data"     // topics, sessions, share groups, ...
	FamilyMetadata = "meta_metadata" // nodes, users, ACLs, schemas, connectors, shards, segments, ...
	FamilyBroker   = "broker"        // of this node alone: alarms, audit log
	FamilyStorage  = "storage"       // messages
)

var (
	// MetadataFamilies are what a backup saves.
	MetadataFamilies = []string{FamilyRaft, FamilyData, FamilyMetadata}
	// EngineFamilies stay with the volume.
	EngineFamilies = []string{FamilyBroker, FamilyStorage}
	// Families are all that are known.
	Families = slices.Concat(MetadataFamilies, EngineFamilies)
)

// checkFamilies refuses a database of which it is not known what belongs to the metadata: one more family could be part of them, and a missing one is no RobustMQ.
func checkFamilies(s *rocksdb.State, wanted []string) error {
	var wrong []string
	for _, f := range s.Sorted() {
		switch {
		case f.ID == 0 && len(f.Tables) > 0:
			wrong = append(wrong, "the default column family has tables")
		case f.ID != 0 && !slices.Contains(Families, f.Name):
			wrong = append(wrong, fmt.Sprintf("unknown column family %q", f.Name))
		}
	}
	if len(wrong) > 0 {
		return &rocksdb.UnsupportedError{Features: wrong}
	}
	var missing []string
	for _, name := range wanted {
		if s.Family(name) == nil {
			missing = append(missing, name)
		}
	}
	if len(missing) > 0 {
		return fmt.Errorf("no database of RobustMQ: column family %s is missing", strings.Join(missing, ", "))
	}
	return nil
}

// keepFamilies says which operations of a WAL are wanted. The default family is always among them, so that an operation on it is seen and refused.
func keepFamilies(s *rocksdb.State, names []string) func(uint32) bool {
	ids := map[uint32]bool{0: true}
	for _, name := range names {
		if f := s.Family(name); f != nil {
			ids[f.ID] = true
		}
	}
	return func(id uint32) bool { return ids[id] }
}
