package job

import (
	"slices"

	"github.com/robustmq/robustmq-operator/backup/store"
)

// Reason is what came of a Job, in one word. They can be reasons of conditions and labels of metrics.
type Reason string

// The reasons of success, one a kind.
const (
	// BackupComplete: the backup can be restored; everything was read back.
	BackupComplete Reason = "BackupComplete"
	// DestinationWritable: backups can be written to the destination.
	DestinationWritable Reason = "DestinationWritable"
	// BackupsCollected: what was to go is gone.
	BackupsCollected Reason = "BackupsCollected"
	// BackupDeleted: the backup is gone from the bucket.
	BackupDeleted Reason = "BackupDeleted"
	// BackupVerified: the bucket has what the manifest says.
	BackupVerified Reason = "BackupVerified"
	// BackupFound: the backup that shall be restored was chosen, and can be read.
	BackupFound Reason = "BackupFound"
	// BackupPlaced: every member has all of the backup, verified, beside what it had.
	BackupPlaced Reason = "BackupPlaced"
)

// The reasons of failure that are about the destination.
const (
	AccessDenied       Reason = "AccessDenied"       // the credentials are good, an operation is not allowed
	CredentialsInvalid Reason = "CredentialsInvalid" // there are none, or the store does not take them
	CredentialsExpired Reason = "CredentialsExpired" // they were good once
	WrongRegion        Reason = "WrongRegion"        // the bucket is in another region
	BucketMissing      Reason = "BucketMissing"      // there is no such bucket
	ClockSkew          Reason = "ClockSkew"          // the clocks of node and store are too far apart
	CertificateInvalid Reason = "CertificateInvalid" // the endpoint's certificate is not to be trusted
	BucketFull         Reason = "BucketFull"         // no space, or no quota
	StoreUnavailable   Reason = "StoreUnavailable"   // not reached, or no answer, several times
	StoreMisbehaved    Reason = "StoreMisbehaved"    // what was read is not what was written, or an answer that we do not know
	DestinationInvalid Reason = "DestinationInvalid" // settings that make no sense to the store
	ForeignOwner       Reason = "ForeignOwner"       // the place belongs to another cluster
	Busy               Reason = "Busy"               // someone else is at work, in the bucket or at the agent
)

// The reasons of failure that are about the member, the backup or the Job itself.
const (
	AgentLost         Reason = "AgentLost"         // the agent went away, or does not answer
	AgentRefused      Reason = "AgentRefused"      // the agent does not take the Job's certificate, or does not know the call
	ImageFailed       Reason = "ImageFailed"       // the agent could not take the image, or what it sent is not what it announced
	PlacementRefused  Reason = "PlacementRefused"  // a member does not take the backup in, or says that it received something else
	NoSpace           Reason = "NoSpace"           // the member's volume has no room for an image
	BackupMissing     Reason = "BackupMissing"     // there is no such backup in the bucket
	BackupBroken      Reason = "BackupBroken"      // the bucket has not what the manifest says
	EncryptionInvalid Reason = "EncryptionInvalid" // recipients or identities that cannot be used
	Deadline          Reason = "Deadline"          // nothing moved for too long
	Interrupted       Reason = "Interrupted"       // the Job was told to end
	RequestInvalid    Reason = "RequestInvalid"    // the operator's request, or the pod, is not what it should be
	Crashed           Reason = "Crashed"           // a fault in the program
)

// success of each kind.
var success = map[Kind]Reason{Take: BackupComplete, Probe: DestinationWritable, Collect: BackupsCollected, Delete: BackupDeleted, Verify: BackupVerified, Inspect: BackupFound, Restore: BackupPlaced}

// Failures are all reasons of failure.
var Failures = []Reason{
	AccessDenied, CredentialsInvalid, CredentialsExpired, WrongRegion, BucketMissing, ClockSkew, CertificateInvalid, BucketFull, StoreUnavailable, StoreMisbehaved, DestinationInvalid, ForeignOwner, Busy,
	AgentLost, AgentRefused, ImageFailed, PlacementRefused, NoSpace, BackupMissing, BackupBroken, EncryptionInvalid, Deadline, Interrupted, RequestInvalid, Crashed,
}

// Known reports whether a kind of Job can end with this reason.
func (r Reason) Known(kind Kind) bool {
	return r != "" && (r == success[kind] || slices.Contains(Failures, r))
}

// OfDestination reports whether it is the destination that does not work, for whoever tries it: any Job would find the same.
func (r Reason) OfDestination() bool {
	return slices.Contains([]Reason{AccessDenied, CredentialsInvalid, CredentialsExpired, WrongRegion, BucketMissing, ClockSkew, CertificateInvalid, BucketFull, StoreUnavailable, DestinationInvalid, ForeignOwner}, r)
}

// Passing reports whether trying again, with nothing changed, may well succeed.
func (r Reason) Passing() bool {
	return slices.Contains([]Reason{StoreUnavailable, Busy, AgentLost, ImageFailed, Deadline, Interrupted, Crashed}, r)
}

// ofStore is the reason of each kind of the store's errors.
var ofStore = map[store.Kind]Reason{
	store.KindNotFound:      StoreMisbehaved, // of an object that was there: a backup that is not there has its own reason
	store.KindExists:        StoreMisbehaved,
	store.KindDenied:        AccessDenied,
	store.KindCredentials:   CredentialsInvalid,
	store.KindExpired:       CredentialsExpired,
	store.KindWrongRegion:   WrongRegion,
	store.KindBucketMissing: BucketMissing,
	store.KindClockSkew:     ClockSkew,
	store.KindCertificate:   CertificateInvalid,
	store.KindFull:          BucketFull,
	store.KindTransient:     StoreUnavailable,
	store.KindMismatch:      StoreMisbehaved,
	store.KindInvalid:       DestinationInvalid,
	store.KindOther:         StoreMisbehaved,
}
