package simulator

import (
	"time"

	"github.com/robustmq/robustmq-operator/test/simulator/store"
)

// countedStorage counts operations as RobustMQ does: by family, without those of raft's logs.
type countedStorage struct {
	store.Storage
	metrics *metrics
	wait    func() // for the disk, before a write
}

// Write implements store.Storage.
func (s countedStorage) Write(batch ...store.Record) error {
	begin := time.Now()
	s.wait()
	err := s.Storage.Write(batch...)
	for _, r := range batch {
		operation := "save"
		switch {
		case r.Until != nil:
			operation = "delete_range"
		case r.Delete:
			operation = "delete"
		}
		s.did(r.Family, operation, begin)
	}
	return err
}

// Each implements store.Storage.
func (s countedStorage) Each(family string, visit func(key, value []byte) error) error {
	begin := time.Now()
	err := s.Storage.Each(family, visit)
	s.did(family, "list", begin)
	return err
}

func (s countedStorage) did(family, operation string, begin time.Time) {
	if family == store.FamilyRaft {
		return
	}
	s.metrics.add("rocksdb_operation_count", 1, family, operation)
	s.metrics.took("rocksdb_operation_ms", begin, family, operation)
}
