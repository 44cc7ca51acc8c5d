package job

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/robustmq/robustmq-operator/internal/agent/images"
	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
	"github.com/robustmq/robustmq-operator/internal/robustmq"
)

// SourceRequest names a backup in the destination.
type SourceRequest struct {
	// ClusterUID of the cluster that was saved. Empty, for an inspection alone: the only cluster that has backups there.
	ClusterUID string `json:"clusterUID,omitempty"`
	// ID of the backup, and the SHA-256 of its manifest in hexadecimal digits: what an inspection has chosen and a restore reads.
	ID             string `json:"id,omitempty"`
	ManifestSHA256 string `json:"manifestSHA256,omitempty"`
}

// InspectRequest chooses a backup, at most one way: by ID, by key, or as the newest good one before a time. None of them: the newest good one.
type InspectRequest struct {
	Source SourceRequest `json:"source,omitzero"`
	// Key of the backup's manifest in the bucket.
	Key string `json:"key,omitempty"`
	// Before is the latest recovery point that is wanted.
	Before time.Time `json:"before,omitzero"`
	// Damaged are IDs of backups that a verification found wrong: none of them is the newest good one.
	Damaged []string `json:"damaged,omitempty"`
}

// RestoreRequest sends one backup to the members of a placement centre.
type RestoreRequest struct {
	Source SourceRequest `json:"source"`
	// PlacementID is the placement's name at every agent, a DNS label. The same ID with the same request goes on where an earlier Job was ended.
	PlacementID string `json:"placementID"`
	// Origin is protocol.OriginRestored.
	Origin protocol.Origin `json:"origin"`
	// Generation of the cluster's metadata that this makes.
	Generation int64 `json:"generation"`
	// ServerName in the agents' certificates (protocol.ServerName).
	ServerName string `json:"serverName"`
	// Members that get it, 1 to 7: all voters of the restored placement centre.
	Members []RestoreMember `json:"members"`
	// Edits are the same for every member: a committed vote for one of them, and a membership of all of them, in every raft group.
	Edits protocol.PlacementEdits `json:"edits"`
}

// RestoreMember is a member that gets a backup.
type RestoreMember struct {
	Pod    string `json:"pod"`
	NodeID uint64 `json:"nodeID"`
	// Agent of the pod, as host:port.
	Agent string `json:"agent"`
}

// MaxMembers of a placement centre.
const MaxMembers = 7

func (s SourceRequest) validate(field string) error {
	if s.ClusterUID != "" && !uidForm.MatchString(s.ClusterUID) {
		return fmt.Errorf("%s.clusterUID is %q, which is no UID", field, s.ClusterUID)
	}
	if s.ManifestSHA256 != "" && !hexSHA256.MatchString(s.ManifestSHA256) {
		return fmt.Errorf("%s.manifestSHA256 is %q: it has 64 hexadecimal digits", field, s.ManifestSHA256)
	}
	if s.ID == "" {
		return nil
	}
	return checkID(field+".id", s.ID)
}

func (i *InspectRequest) validate() error {
	ways := 0
	for _, chosen := range []bool{i.Source.ID != "", i.Key != "", !i.Before.IsZero()} {
		if chosen {
			ways++
		}
	}
	if ways > 1 {
		return errors.New("inspect.source.id, inspect.key and inspect.before each choose a backup: at most one of them is there")
	}
	if i.Source.ManifestSHA256 != "" && i.Source.ID == "" {
		return errors.New("inspect.source.manifestSHA256 is of a backup, and inspect.source.id does not say of which")
	}
	if len(i.Damaged) > maxDamaged {
		return fmt.Errorf("inspect.damaged are %d backups: at most %d", len(i.Damaged), maxDamaged)
	}
	for _, id := range i.Damaged {
		if err := checkID("inspect.damaged", id); err != nil {
			return err
		}
	}
	return errors.Join(i.Source.validate("inspect.source"), plain(maxKey, "inspect.key", i.Key))
}

func (r *RestoreRequest) validate() error {
	if r.Source.ClusterUID == "" || r.Source.ID == "" || r.Source.ManifestSHA256 == "" {
		return errors.New("restore.source names the cluster, the backup and its manifest's SHA-256: an inspection has chosen them")
	}
	if err := r.Source.validate("restore.source"); err != nil {
		return err
	}
	switch {
	case !labelForm.MatchString(r.PlacementID):
		return fmt.Errorf("restore.placementID is %q: it is a DNS label", r.PlacementID)
	case r.Origin != protocol.OriginRestored:
		return fmt.Errorf("restore.origin is %q: it is %s", string(r.Origin), protocol.OriginRestored)
	case r.Generation < 1:
		return fmt.Errorf("restore.generation is %d: it is 1 or more", r.Generation)
	case r.ServerName == "":
		return errors.New("restore.serverName is empty: it is the name in the agents' certificates")
	case len(r.Members) == 0 || len(r.Members) > MaxMembers:
		return fmt.Errorf("restore.members are 1 to %d, not %d", MaxMembers, len(r.Members))
	}
	if err := plain(300, "restore.serverName", r.ServerName); err != nil {
		return err
	}
	ids := map[uint64]bool{}
	pods := map[string]bool{}
	for _, m := range r.Members {
		if !nameForm.MatchString(m.Pod) || m.NodeID == 0 || pods[m.Pod] || ids[m.NodeID] {
			return fmt.Errorf("restore.members has %+v: every member has a pod and a node ID of its own", m)
		}
		ids[m.NodeID], pods[m.Pod] = true, true
		if err := checkAddress("restore.members.agent", m.Agent); err != nil {
			return err
		}
	}
	return r.validateEdits(ids)
}

// validateEdits: members that come back with different votes, or that do not know one another, are several clusters, or none.
func (r *RestoreRequest) validateEdits(members map[uint64]bool) error {
	if err := images.CheckEdits(r.Edits); err != nil {
		return fmt.Errorf("restore.edits: %w", err)
	}
	first := r.Edits.Votes[robustmq.Groups[0]]
	for _, group := range robustmq.Groups {
		vote, voted := r.Edits.Votes[group]
		if !voted || !vote.Committed || !members[vote.NodeID] || vote != first {
			return fmt.Errorf("restore.edits.votes has %+v for %s: it is the same committed vote for one of the members in every one of %v", vote, group, robustmq.Groups)
		}
		voters := slices.Sorted(slices.Values(r.Edits.Memberships[group].Voters))
		if want := slices.Sorted(maps.Keys(members)); !slices.Equal(voters, want) {
			return fmt.Errorf("restore.edits.memberships has the voters %v for %s: they are the members, %v", voters, group, want)
		}
	}
	return nil
}
