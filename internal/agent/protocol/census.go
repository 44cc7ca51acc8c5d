package protocol

import (
	"time"

	"github.com/robustmq/robustmq-operator/internal/robustmq"
)

// PathCensus is where what this pod's server holds is counted, while it runs. The operator compares the members' answers: one that holds fewer keys than its raft position claims looks healthy
// in everything that the server says of itself.
//
//	GET /v1/census?id=ID -> Census: begins to count, or tells how far the count of that ID is; Busy while an image is being made or another count runs
//
// A count at the position of the last one of the same server process is that one. The last is kept, and stands in State.Census, until the next begins or the server ends.
const PathCensus = "/v1/census"

// CensusPhase is how far a census is.
type CensusPhase string

// The phases of a census.
const (
	CensusCounting CensusPhase = "Counting"
	CensusReady    CensusPhase = "Ready"
	// CensusFailed: nothing can be said about the member. The reasons are those of a failed image, and CensusMoving.
	CensusFailed CensusPhase = "Failed"
)

// CensusMoving says that the applied positions changed at every attempt: the cluster is being written to all the time.
const CensusMoving = "Moving"

// Census is what a member's database holds at one position of its raft groups.
type Census struct {
	ID    string      `json:"id"`
	Phase CensusPhase `json:"phase"`
	// Reason and Message of a failed one.
	Reason  string    `json:"reason,omitempty"`
	Message string    `json:"message,omitempty"`
	Asked   time.Time `json:"asked"`
	// TookMillis is from Asked until it was Ready or Failed.
	TookMillis int64 `json:"tookMillis,omitempty"`
	// Applied are the positions of the raft groups, by name: the same before and after what was counted was linked.
	Applied map[string]robustmq.LogID `json:"applied,omitempty"`
	// Families are meta_data and meta_metadata.
	Families map[string]FamilyCensus `json:"families,omitempty"`
}

// FamilyCensus is a column family.
type FamilyCensus struct {
	Keys uint64 `json:"keys"`
	// KeyDigest is the sum modulo 2^256 of the SHA-256 of all keys, in hexadecimal digits: equal for healthy members at one position.
	KeyDigest string `json:"keyDigest"`
	// Digest is the same of keys with their values: healthy members differ in it, because values carry the time at which the member applied them.
	Digest string `json:"digest"`
}
