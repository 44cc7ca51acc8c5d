package protocol

import "time"

// PathSeed is where the operator has this pod's volume filled with the metadata of a living member: this agent takes an image of the donor's agent, receives it and puts it in place.
//
//	POST   /v1/seed       SeedOrder -> 202 Seed: begins; the same order again answers the same seed, and lets one that was cut off go on
//	GET    /v1/seed/{id}  -> Seed
//	DELETE /v1/seed/{id}  -> 204, also when there is none: stops it and removes what was received; Conflict once it is being put in place or is
//
// A seed ends with a placement of the same ID, origin Seeded and phase Placed: the gate stays shut until the operator opens that placement. The order outlives the agent: one that was
// started again goes on by itself as long as the donor keeps its image.
const PathSeed = "/v1/seed"

// SeedOrder says whose metadata this pod's volume shall get. It never changes.
type SeedOrder struct {
	// ID is the caller's choice, a DNS label, new for every seed: it names the image at the donor and the placement here.
	ID string `json:"id"`
	// Whose volume it is: must be what this pod's configuration says, as in a PlacementRequest.
	ClusterUID string `json:"clusterUID"`
	NodeID     uint64 `json:"nodeID"`
	Generation int64  `json:"generation"`
	// Donor is the donor's agent, as agents reach one another: host:port, the host being the pod's stable name.
	Donor string `json:"donor"`
	// DonorNodeID is who must answer there.
	DonorNodeID uint64 `json:"donorNodeID"`
	// Marker is that of a volume with data whose server is stopped: its metadata is replaced and its messages are kept. Nil: the volume must be empty.
	Marker *Marker `json:"marker,omitempty"`
	// Least are log entries by raft group that the image must hold: what the leaders had when the seed was ordered. Everything that this node once confirmed is among them, so that nothing
	// committed is forgotten with its volume. Empty where nobody leads.
	Least map[string]uint64 `json:"least,omitempty"`
	// Votes by raft group replace those in the image: for a cluster whose majority was lost, where every volume gets the same; an uncommitted one may be for nobody (node 0). Nil: the image stays as it is, and then the vote of no group
	// may name this node: it would lead with what it does not know of.
	Votes map[string]RaftVote `json:"votes,omitempty"`
	// Changing: the image may be of a membership that is being changed, or whose change is half done. The donor must be one without whom nothing was agreed upon in any group, before the change or after
	// it. Votes may then be those of some groups only: in the others the donor's vote is for itself, and this node follows it.
	Changing bool `json:"changing,omitempty"`
}

// SeedPhase is how far a seed is.
type SeedPhase string

// The phases of a seed. What Failed is tried again only with another ID, after a DELETE.
const (
	SeedImaging   SeedPhase = "Imaging"   // the donor takes its image
	SeedReceiving SeedPhase = "Receiving" // Bytes of Total are here
	SeedPlacing   SeedPhase = "Placing"
	SeedPlaced    SeedPhase = "Placed" // in place; the placement of the same ID is to be opened
	SeedFailed    SeedPhase = "Failed"
)

// Reasons of a failed seed, beside those of a failed image, which it may also have.
const (
	SeedDonorLost  = "DonorLost"  // the donor's agent does not answer, or has lost the image: another donor, or the same one once more
	SeedDonorWrong = "DonorWrong" // what answers is not the donor, or not of this cluster and generation
	SeedDonorBusy  = "DonorBusy"  // the donor's image is somebody else's: a backup, say
	SeedUnfit      = "Unfit"      // the image cannot be this node's: a vote names it, the donor is no voter, or it ends too early
	SeedNoSpace    = "NoSpace"    // this volume has not enough free space
)

// Seed is a volume that is being filled with the metadata of a living member.
type Seed struct {
	ID          string    `json:"id"`
	Phase       SeedPhase `json:"phase"`
	Donor       string    `json:"donor"`
	DonorNodeID uint64    `json:"donorNodeID"`
	Generation  int64     `json:"generation"`
	// Reason and Message of a failed one; of another one Message says what it waits for.
	Reason  string `json:"reason,omitempty"`
	Message string `json:"message,omitempty"`
	// Bytes of Total were received; Total is 0 until the image is ready.
	Bytes int64 `json:"bytes"`
	Total int64 `json:"total"`
	// Applied are the log indexes that the image holds at least, by raft group; known when the image is ready.
	Applied map[string]uint64 `json:"applied,omitempty"`
	// Least are those of the order: what is being put in place, or is, was found to hold them. So a seed of which they name every group may be opened also while nobody leads.
	Least   map[string]uint64 `json:"least,omitempty"`
	Begun   time.Time         `json:"begun"`
	Changed time.Time         `json:"changed"` // when Phase became what it is
}

// Active reports whether the seed is under way.
func (s Seed) Active() bool {
	return s.Phase == SeedImaging || s.Phase == SeedReceiving || s.Phase == SeedPlacing
}
