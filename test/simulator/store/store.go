package store

// The column families of RobustMQ's one RocksDB, in the order of their creation.
const (
	FamilyRaft     = "meta_raft"
	FamilyData     = "meta_data"
	FamilyMetadata = "meta_metadata"
	FamilyBroker   = "broker"
	FamilyStorage  = "storage"
)

// Record is one key of a family. A deletion has no value.
type Record struct {
	Family string
	Key    []byte
	Value  []byte
	Delete bool
}

// Storage is a key-value store whose batches survive the end of the process, whole or not at all. As RobustMQ up to 0.4.11 it is not flushed to the disk at each write:
// a killed process loses nothing, a power cut may.
type Storage interface {
	// Write applies a batch.
	Write(batch ...Record) error
	// Each calls visit for every live record, in the order of family and key.
	Each(visit func(Record) error) error
	// Close releases the directory. Writes after it are errors.
	Close() error
}
