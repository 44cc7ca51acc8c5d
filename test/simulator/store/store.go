package store

import "errors"

// The column families of RobustMQ's one RocksDB, in the order of their creation.
const (
	FamilyRaft     = "meta_raft"
	FamilyData     = "meta_data"
	FamilyMetadata = "meta_metadata"
	FamilyBroker   = "broker"
	FamilyStorage  = "storage"
)

// families of a new database; their ids are 1 to 5.
var familyNames = []string{FamilyRaft, FamilyData, FamilyMetadata, FamilyBroker, FamilyStorage}

var (
	// ErrLocked says that another process, or another simulated server of this one, has the folder open. RocksDB's LOCK says the same.
	ErrLocked = errors.New("lock hold by current process")
	// ErrClosed is returned by a storage that was closed.
	ErrClosed = errors.New("storage is closed")
)

// Record is one operation on a family: a put, a deletion of Key, or, with Until, one of all keys from Key up to, without, Until.
type Record struct {
	Family string
	Key    []byte
	Value  []byte
	Delete bool
	Until  []byte
}

// Storage is a key-value store whose batches survive the end of the process, whole or not at all. As RobustMQ up to 0.4.11 it is not flushed to the disk at each write:
// a killed process loses nothing, a power cut may.
type Storage interface {
	// Write applies a batch. After an error that the disk gave, every further write fails: RocksDB's does until it is opened again.
	Write(batch ...Record) error
	// Each calls visit for every live record of a family, in the order of keys. Key and value may be kept and must not be changed.
	Each(family string, visit func(key, value []byte) error) error
	// Close releases the folder. Writes after it are errors.
	Close() error
}
