package protocol

import "time"

// PathPlacements is where an image is put into this pod's volume: to seed a member, or to restore. The server must not run and its gate must be closed, else Conflict.
//
//	POST   /v1/placements                    PlacementRequest -> Placement: begins; the same request again answers the same placement
//	GET    /v1/placements/{id}               -> Placement
//	PUT    /v1/placements/{id}/files/{name}  ?offset=N and the bytes from there on -> PlacedFile; Conflict names the offset to go on from
//	DELETE /v1/placements/{id}               -> 204: what was received is removed; Conflict once it is in place
//	POST   /v1/placements/{id}/place         -> 202 Placement: puts it in place, with its edits; poll until Placed or Failed
//	POST   /v1/placements/{id}/open          -> Placement: writes the final marker, with which the gate opens; until then it stays shut, also over a crash
//	POST   /v1/placements/{id}/revert        -> Placement: puts back what was there before, the marker included
//	POST   /v1/placements/{id}/discard       -> 204: removes what was there before; no way back; also while the server runs
//
// Jobs may move bytes (the first four), the operator everything.
const PathPlacements = "/v1/placements"

// PlacementRequest announces an image. It never changes.
type PlacementRequest struct {
	// ID is the caller's choice, a DNS label.
	ID string `json:"id"`
	// Origin is OriginSeeded or OriginRestored: it stands in the marker afterwards.
	Origin Origin `json:"origin"`
	// Whose volume it is: must be what this pod's configuration says. A restored image may be of a newer generation than the configuration, which may still be on its way: the gate stays shut until
	// it has arrived.
	ClusterUID string `json:"clusterUID"`
	NodeID     uint64 `json:"nodeID"`
	Generation int64  `json:"generation"`
	// Files of the image: tables, one WAL, one MANIFEST and CURRENT. At most MaxPlacementFiles.
	Files []PlacementFile `json:"files"`
	// Edits come into force with the image.
	Edits PlacementEdits `json:"edits,omitzero"`
}

// MaxPlacementFiles bounds a placement.
const MaxPlacementFiles = 10_000

// PlacementFile is one file to be received.
type PlacementFile struct {
	Name   string `json:"name"`
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"` // in hexadecimal digits
}

// PlacementEdits are what is changed in the image. The zero value changes nothing.
type PlacementEdits struct {
	// Votes by raft group. A committed vote makes its node lead at once; every member must get the same.
	Votes map[string]RaftVote `json:"votes,omitempty"`
	// Memberships by raft group. LogID stays what it was in the image; Addresses are of all its voters.
	Memberships map[string]RaftMembership `json:"memberships,omitempty"`
	// Registry replaces the node registry; empty keeps it. For members that start under new addresses.
	Registry []RegistryNode `json:"registry,omitempty"`
}

// RegistryNode is a node of the registry.
type RegistryNode struct {
	ID      uint64   `json:"id"`
	Host    string   `json:"host"`
	Roles   []string `json:"roles"`
	Ports   Ports    `json:"ports"`
	Folders []string `json:"folders,omitempty"`
}

// PlacementPhase is how far a placement is.
type PlacementPhase string

// The phases of a placement.
const (
	PlacementReceiving PlacementPhase = "Receiving"
	PlacementReceived  PlacementPhase = "Received" // every file is there and verified
	PlacementPlacing   PlacementPhase = "Placing"
	PlacementPlaced    PlacementPhase = "Placed" // in place; the gate is shut until it is opened
	PlacementOpen      PlacementPhase = "Open"   // in force; what was there before is kept until it is discarded
	PlacementReverting PlacementPhase = "Reverting"
	PlacementReverted  PlacementPhase = "Reverted" // what was there before is in force
	// PlacementFailed: putting it in place failed or was interrupted. It may be placed again, or reverted; the gate is shut until then.
	PlacementFailed PlacementPhase = "Failed"
)

// Placement is an image that is put in place in this pod's volume.
type Placement struct {
	ID         string         `json:"id"`
	Phase      PlacementPhase `json:"phase"`
	Origin     Origin         `json:"origin"`
	Generation int64          `json:"generation"`
	// Reason and Message of a failed one: one of the reasons of a failed image.
	Reason  string `json:"reason,omitempty"`
	Message string `json:"message,omitempty"`
	// Received of Total bytes.
	Received int64 `json:"received"`
	Total    int64 `json:"total"`
	// Files as far as they were received, in the order of the request.
	Files []PlacedFile `json:"files,omitempty"`
	// KeptEngine: the volume had data, and the messages in it are still there.
	KeptEngine bool `json:"keptEngine,omitempty"`
	// Before: what was there before is kept, and Revert goes back to it.
	Before bool `json:"before,omitempty"`
	// SHA256, in hexadecimal digits, over the names, sizes and SHA-256 of the files as they were read from the disk when the image was put in place, and over the edits. Members that got the same
	// have the same. Empty before the image is in place, and when it was reverted.
	SHA256  string    `json:"sha256,omitempty"`
	Changed time.Time `json:"changed"` // when Phase became what it is
}

// PlacedFile is a file as far as it was received.
type PlacedFile struct {
	Name     string `json:"name"`
	Size     int64  `json:"size"`
	Received int64  `json:"received"` // go on from this offset
	Verified bool   `json:"verified,omitempty"`
}
