package transfer

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/robustmq/robustmq-operator/backup/image"
	"github.com/robustmq/robustmq-operator/internal/agent/images"
	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
)

// Record is what a member must not forget of a transfer.
type Record struct {
	ID      string                   `json:"id"`
	Role    protocol.TransferRole    `json:"role"`
	Self    uint64                   `json:"self"`
	Target  uint64                   `json:"target"`
	Phase   protocol.TransferPhase   `json:"phase"`
	Outcome protocol.TransferOutcome `json:"outcome,omitempty"`
	// Until is when the member ends it by itself, by the machine's clock: an agent that was started anew has no other.
	Until time.Time `json:"until"`
	// Terms are those in which the target shall lead, by group.
	Terms map[string]uint64 `json:"terms,omitempty"`
	// Voters are the voters of the groups that are moved.
	Voters []uint64 `json:"voters,omitempty"`
	// Before are the groups that are moved as the stopped server left them: the target's votes come from here when it gives up. A leader has none while it was not seen stopped.
	Before map[string]protocol.TransferGroup `json:"before,omitempty"`
	// WAL is the number of the file with the new votes: what is in later ones was written after them.
	WAL uint64 `json:"wal,omitempty"`
}

// Active reports whether it has not ended here.
func (r *Record) Active() bool { return r != nil && r.Phase != protocol.TransferEnded }

// State is the record for others to see; nil of nil.
func (r *Record) State() *protocol.Transfer {
	if r == nil {
		return nil
	}
	t := &protocol.Transfer{ID: r.ID, Role: r.Role, Target: r.Target, Phase: r.Phase, Outcome: r.Outcome, Terms: r.Terms, Groups: r.Before}
	if r.Active() {
		t.Until = r.Until
	}
	return t
}

// maxRecord bounds what is read as a record, in bytes: far more than three groups and seven voters take.
const maxRecord = 64 << 10

// Parse decodes and checks a record, perhaps of another version of the agent. What cannot be read, or says what no transfer ever does, is an error.
func Parse(raw []byte) (*Record, error) {
	var r Record
	decoder := json.NewDecoder(bytes.NewReader(raw))
	if err := decoder.Decode(&r); err != nil {
		return nil, fmt.Errorf("record of a transfer: %w", err)
	}
	known := map[protocol.TransferPhase]bool{protocol.TransferReserved: true, protocol.TransferPrepared: true, protocol.TransferCommitted: true, protocol.TransferEnded: true}
	switch {
	case r.ID == "" || !known[r.Phase] || r.Role != protocol.TransferTarget && r.Role != protocol.TransferLeader:
		return nil, errors.New("record of a transfer: it has no ID, or a role or phase that is not known")
	case r.Role == protocol.TransferLeader && (r.Phase == protocol.TransferReserved || r.Phase == protocol.TransferCommitted):
		return nil, fmt.Errorf("record of a transfer: a leader is never %s", r.Phase)
	case r.Phase == protocol.TransferCommitted && (len(r.Before) == 0 || r.WAL == 0):
		return nil, errors.New("record of a transfer: it is committed, and the votes before it are not there")
	}
	return &r, nil
}

// Load reads the record at path; nil when there is none. Errors are the file system's, Parse's, and that it has more than 64 KiB.
func Load(fsys images.FS, path string) (*Record, error) {
	raw, err := image.ReadSmall(fsys, path, maxRecord)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil //nolint:nilnil // no record, and nothing wrong
	}
	if err != nil {
		return nil, fmt.Errorf("record of a transfer: %w", err)
	}
	return Parse(raw)
}

// Save writes the record so that after a crash at any moment the old or the new one is there, whole; on an error it may be either. Errors are the file system's.
func Save(fsys images.FS, path string, r Record) error {
	raw, err := json.MarshalIndent(r, "", "  ")
	if err == nil {
		err = image.ReplaceFile(fsys, path, append(raw, '\n'))
	}
	if err != nil {
		return fmt.Errorf("record of a transfer: %w", err)
	}
	return nil
}
