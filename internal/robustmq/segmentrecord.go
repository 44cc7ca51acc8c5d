package robustmq

import (
	"fmt"
	"slices"
)

// SegmentRecord is one segment of a topic's messages as the placement centre keeps it: which nodes have copies, and which of them are in sync.
type SegmentRecord struct {
	Shard    string
	Number   uint32
	Replicas []uint64 // node ids
	ISR      []uint64 // those in sync
	LastISR  []uint64 // who was in sync when the last of them went
	Leader   uint64
	Epoch    uint32 // rises with every change
	Status   string
}

// segmentStatuses in the order of RobustMQ's enum: bincode has the number of the word.
var segmentStatuses = []string{"Write", "PreSealUp", "SealUp", "PreDelete", "Deleting", "Unavailable"}

// ParseSegmentRecord decodes a bincode record, as gRPC ListSegment has it: little endian, lengths and ids of 8 bytes, epochs, the segment's number and the number of the status of 4.
// The layout is that of RobustMQ 0.4.5 to 0.4.11 (the same in all of them). A record that is longer or shorter is an error: nothing is guessed.
func ParseSegmentRecord(record []byte) (SegmentRecord, error) {
	const leastReplica = 8 + 8 + 8
	r := reader{rest: record}
	s := SegmentRecord{Shard: r.string(), Number: r.short()}
	for range r.count(leastReplica) {
		r.number() // its place in the list
		s.Replicas = append(s.Replicas, r.number())
		r.string() // folder
	}
	s.ISR, s.LastISR = r.numbers(), r.numbers()
	r.short() // leader's epoch
	s.Leader = r.number()
	s.Epoch = r.short()
	r.number() // epoch of the leader's process
	status := r.short()
	switch {
	case r.bad || len(r.rest) > 0 || s.Shard == "":
		return SegmentRecord{}, fmt.Errorf("segment record of %d bytes does not fit its layout", len(record))
	case int64(status) >= int64(len(segmentStatuses)):
		return SegmentRecord{}, fmt.Errorf("segment record of %s: status %d is unknown", s.Shard, status)
	}
	s.Status = segmentStatuses[status]
	return s, nil
}

// Going reports whether the segment is being deleted: nobody waits for its messages.
func (s SegmentRecord) Going() bool { return s.Status == "PreDelete" || s.Status == "Deleting" }

// Unavailable reports whether the replicas that were in sync are all gone.
func (s SegmentRecord) Unavailable() bool { return s.Status == "Unavailable" }

// Full reports whether it has replicas, and all of them are in sync.
func (s SegmentRecord) Full() bool {
	return len(s.Replicas) > 0 && !slices.ContainsFunc(s.Replicas, func(id uint64) bool { return !slices.Contains(s.ISR, id) })
}
