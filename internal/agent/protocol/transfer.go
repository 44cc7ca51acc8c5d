package protocol

import (
	"time"

	"github.com/robustmq/robustmq-operator/internal/robustmq"
)

// PathTransfer moves the leadership of raft groups to another member, which RobustMQ itself cannot do. Only the operator may call it.
//
//	POST /v1/transfer  TransferOrder -> Transfer
//
// Every call may be repeated: the same order with the same ID is answered as the first one was, and carried out once. The steps of a transfer and why they are safe are in docs/leadership.md.
const PathTransfer = "/v1/transfer"

// TransferFile is the record of a transfer in the data volume, beside the marker. It is on the disk before the server is stopped, and before the vote is changed.
const TransferFile = ".robustmq-operator-transfer.json"

// Times of a transfer. Nothing that must not be lost depends on them: they bound for how long nobody leads.
const (
	// TransferCommitWithin: the target refuses to take over later than this after it was reserved.
	TransferCommitWithin = 10 * time.Second
	// TransferLeadWithin: a target that does not lead by then gives up.
	TransferLeadWithin = 15 * time.Second
	// TransferHold: a former leader is held no longer than this.
	TransferHold = 20 * time.Second
)

// TransferOrder is one step of a transfer.
type TransferOrder struct {
	// ID names the transfer: 1 to 100 characters, chosen by the operator, new for every try.
	ID     string         `json:"id"`
	Action TransferAction `json:"action"`
	// Target is the node that shall lead (Reserve, Prepare).
	Target uint64 `json:"target,omitempty"`
	// Terms are the terms in which the target shall lead, by group: of the groups that are moved, each above every term that any member has seen (Prepare).
	Terms map[string]uint64 `json:"terms,omitempty"`
}

// TransferAction is what to do.
type TransferAction string

// The actions. Reserve, Commit and Abort are for the target, Release and Settle for those who led.
const (
	// TransferReserve starts the target's time. Its server runs on.
	TransferReserve TransferAction = "Reserve"
	// TransferPrepare stops the server, on a leader and, when all of them are gone, on the target, and answers how far its logs reach.
	TransferPrepare TransferAction = "Prepare"
	// TransferCommit writes the votes with which the target leads, and starts its server.
	TransferCommit TransferAction = "Commit"
	// TransferAbort makes the target give up: the answer says whether it did (Undone), or leads already (Leads), or has to go on (Kept).
	TransferAbort TransferAction = "Abort"
	// TransferRelease starts a former leader as it was. Only when the target leads with a quorum behind it, or has given up for good.
	TransferRelease TransferAction = "Release"
	// TransferSettle starts a former leader at once as it would start by itself when its time is over: as it was where a quorum has turned to somebody else, without its leadership otherwise.
	TransferSettle TransferAction = "Settle"
)

// Transfer is how far a transfer is at one member.
type Transfer struct {
	ID     string        `json:"id"`
	Role   TransferRole  `json:"role"`
	Target uint64        `json:"target"` // node id
	Phase  TransferPhase `json:"phase"`
	// Outcome is how it ended here (phase Ended).
	Outcome TransferOutcome `json:"outcome,omitempty"`
	// Terms are those in which the target shall lead, by group.
	Terms map[string]uint64 `json:"terms,omitempty"`
	// Until is when this member ends it by itself.
	Until time.Time `json:"until,omitzero"`
	// Message says what it waits for, or what went wrong.
	Message string `json:"message,omitempty"`
	// Groups are the groups that are moved, as the stopped member has them (from Prepared on).
	Groups map[string]TransferGroup `json:"groups,omitempty"`
}

// TransferGroup is a raft group of a stopped member.
type TransferGroup struct {
	Vote RaftVote `json:"vote"`
	// Last is the last entry of the log; nil when it is not known.
	Last *robustmq.LogID `json:"last,omitempty"`
}

// TransferRole is what a member does in a transfer.
type TransferRole string

// The roles.
const (
	TransferTarget TransferRole = "Target"
	TransferLeader TransferRole = "Leader" // it led, and is held until the target leads
)

// TransferPhase is how far it is.
type TransferPhase string

// The phases.
const (
	TransferReserved  TransferPhase = "Reserved"  // target: its time runs
	TransferPrepared  TransferPhase = "Prepared"  // the server is stopped, or is being stopped
	TransferCommitted TransferPhase = "Committed" // target: it has the new votes and shall lead
	TransferEnded     TransferPhase = "Ended"
)

// TransferOutcome is how a transfer ended at a member.
type TransferOutcome string

// The outcomes.
const (
	TransferLeads   TransferOutcome = "Leads"   // target: it was seen leading every group that was moved, with a quorum behind it
	TransferUndone  TransferOutcome = "Undone"  // target: it has the votes that it had before, for good
	TransferKept    TransferOutcome = "Kept"    // target: it has written as the new leader and keeps its votes, although it was not seen leading
	TransferResumed TransferOutcome = "Resumed" // leader: started as it was
	TransferYielded TransferOutcome = "Yielded" // leader: started, and leads no more in its old term
)
