package protocol

import (
	"time"

	"github.com/robustmq/robustmq-operator/internal/robustmq"
)

// PathImages is where images of this pod's metadata are taken. Operator, Jobs and the agents of the same cluster may call it.
//
//	POST   /v1/images                    ImageRequest -> 202 Image: begins; the same ID again answers the same image
//	GET    /v1/images/{id}               -> Image
//	PUT    /v1/images/{id}/progress      ImageProgress -> Image
//	GET    /v1/images/{id}/files/{name}  -> the file's bytes; Range as "bytes=from-" or "bytes=from-to"; trailer TrailerSHA256 on request
//	DELETE /v1/images/{id}               -> 204, also when there is none: what was staged is removed
//
// Every call with the ID renews the image's lease, and so does a stream whose bytes are read. An image whose lease ends is removed.
const PathImages = "/v1/images"

// TrailerSHA256 is the HTTP trailer of a streamed file: SHA-256, in hexadecimal digits, of the bytes of this answer (of the range, not of the file).
// It is sent to who says "TE: trailers" (RFC 9110, 10.1.4); who compares the whole file with ImageFile.SHA256 has no need of it, and spares both sides a hash.
const TrailerSHA256 = "X-Robustmq-Sha256"

// ImageLease is how long an image lives without a call.
const ImageLease = 2 * time.Minute

// MaxImageStreams is how many files of an image may be read at once; one more is refused with Busy.
const MaxImageStreams = 4

// ImageRequest asks for an image of the metadata while the server runs.
type ImageRequest struct {
	// ID is the caller's choice, a DNS label (1 to 63 of a-z, 0-9 and -). It must be new for every image: after the agent was started again an old ID would name a new image.
	ID string `json:"id"`
	// Families is FamiliesMetadata.
	Families ImageFamilies `json:"families"`
	// Changing: a membership that is being changed may be in it. Only a seed that wants it knows what to do with that.
	Changing bool `json:"changing,omitempty"`
}

// ImageFamilies says which column families are wanted.
type ImageFamilies string

// FamiliesMetadata are meta_raft, meta_data and meta_metadata.
const FamiliesMetadata ImageFamilies = "Metadata"

// ImagePhase is how far an image is.
type ImagePhase string

// The phases of an image. Ready images can be streamed. A Failed one has nothing staged any more and does not stand in the way of the next.
const (
	ImageStaging ImagePhase = "Staging"
	ImageReady   ImagePhase = "Ready"
	ImageFailed  ImagePhase = "Failed"
)

// Reasons of a failed image.
const (
	ImageNoSpace     = "NoSpace"     // the volume would have less free than its reserve, or staging grew over its limit
	ImageUnstable    = "Unstable"    // the database changed at every attempt
	ImageCorrupt     = "Corrupt"     // damage in the database's files: a bad checksum, a gap in the sequences, a table of another size
	ImageUnsupported = "Unsupported" // the database has records, families or options that are not known: a newer RobustMQ?
	ImageRaftChanged = "RaftChanged" // vote or membership changed at every attempt, or the membership is being changed
	ImageServerDown  = "ServerDown"  // the server ended, was started again, or did not say its raft state
	ImageInterrupted = "Interrupted" // the agent ended while an image was put in place
	ImageInternal    = "Internal"    // anything else: the message has it
)

// ImageReasons are all of them.
func ImageReasons() []string {
	return []string{ImageNoSpace, ImageUnstable, ImageCorrupt, ImageUnsupported, ImageRaftChanged, ImageServerDown, ImageInterrupted, ImageInternal}
}

// Image is an image of the metadata of a running server.
type Image struct {
	ID    string     `json:"id"`
	Phase ImagePhase `json:"phase"`
	// Reason and Message of a failed image.
	Reason  string `json:"reason,omitempty"`
	Message string `json:"message,omitempty"`
	// Asked is when it was asked for first.
	Asked time.Time `json:"asked"`
	// Taken is when the links were made: a moment within the image's own. Every write that the server had applied at Asked is in it.
	Taken *time.Time `json:"taken,omitempty"`
	// TookMillis is from Asked to Ready or Failed; LinkMillis what the links of the last attempt took.
	TookMillis int64 `json:"tookMillis,omitempty"`
	LinkMillis int64 `json:"linkMillis,omitempty"`
	// Attempts of all kinds that it took; 1 is usual.
	Attempts int `json:"attempts,omitempty"`
	// WALBytes had to be read for it (less what was cached).
	WALBytes int64 `json:"walBytes,omitempty"`
	// Files of the database, tables first, CURRENT last; of a ready image.
	Files []ImageFile `json:"files,omitempty"`
	// Groups are the raft groups by name, of a ready image.
	Groups map[string]ImageGroup `json:"groups,omitempty"`
	// Progress is what the Job reported last.
	Progress *ImageProgress `json:"progress,omitempty"`
	// Expires is when it is removed unless a call comes before.
	Expires time.Time `json:"expires"`
}

// ImageFile is one file of an image.
type ImageFile struct {
	Name   string `json:"name"`
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"` // in hexadecimal digits
	// Table: the file is an SST, whose content never changes and which later images share. The others are made for this image.
	Table bool `json:"table,omitempty"`
}

// ImageGroup is a raft group as the server described it before and after the image. Vote and membership were the same both times, so they are those in the image.
type ImageGroup struct {
	Vote       RaftVote       `json:"vote"`
	Membership RaftMembership `json:"membership"`
	// Configs are the configurations of a membership that is being changed, the older one first; Membership has no voters then. Only in an image that was asked for with Changing.
	Configs [][]uint64 `json:"configs,omitempty"`
	// LastApplied is what was applied before the image was taken: it is in the image. LastAppliedAfter was said afterwards: the image is not beyond it. Nil: nothing yet.
	LastApplied      *robustmq.LogID `json:"lastApplied,omitempty"`
	LastAppliedAfter *robustmq.LogID `json:"lastAppliedAfter,omitempty"`
	// Leader is who led the group as this member saw it; 0: nobody.
	Leader uint64 `json:"leader,omitempty"`
}

// RaftVote is whom a member voted for; Committed: a quorum did.
type RaftVote struct {
	Term      uint64 `json:"term"`
	NodeID    uint64 `json:"nodeID"`
	Committed bool   `json:"committed"`
}

// RaftMembership is a uniform membership.
type RaftMembership struct {
	// LogID of the entry that made it; nil for the one that a member starts with.
	LogID  *robustmq.LogID `json:"logID,omitempty"`
	Voters []uint64        `json:"voters"`
	// Addresses by id, host:port, of voters and learners.
	Addresses map[uint64]string `json:"addresses"`
}

// ImageStage is what a Job is doing with an image.
type ImageStage string

// The stages of a Job.
const (
	StageStaging   ImageStage = "Staging"   // it waits for the image
	StageUploading ImageStage = "Uploading" // Bytes of Total are in the bucket or were there
	StageVerifying ImageStage = "Verifying" // Bytes of Total were read back
)

// ImageProgress is what a Job reports; the operator reads it from State.Images, as the Job has no credentials of Kubernetes.
type ImageProgress struct {
	Stage ImageStage `json:"stage"`
	Bytes int64      `json:"bytes"`
	Total int64      `json:"total"` // 0 when it is not known yet
	// At is when the agent received it; what a caller sends is ignored.
	At time.Time `json:"at,omitzero"`
}

// ImagesState is the part of State about images.
type ImagesState struct {
	// Image is the one that is there, if any; without Files and Groups.
	Image *Image `json:"image,omitempty"`
	// WALBytes is the size of the database's write-ahead logs: what the next image has to read. 0 when not known.
	WALBytes int64 `json:"walBytes,omitempty"`
	// StagingBytes were written for images and are not removed yet; links are not counted.
	StagingBytes int64 `json:"stagingBytes,omitempty"`
	// Placement is the image that is to be put in place here, if any; without its files.
	Placement *Placement `json:"placement,omitempty"`
	// Seed is what was ordered to be received of another member, if anything.
	Seed *Seed `json:"seed,omitempty"`
}
