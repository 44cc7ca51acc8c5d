package raft

import "github.com/robustmq/robustmq-operator/test/simulator/store"

// HandleAppend takes a leader's entries.
func (g *Group) HandleAppend(r AppendRequest) (AppendReply, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.state == Shutdown || g.state == "" {
		return AppendReply{}, &FatalError{"not running"}
	}
	if !g.updateVote(r.Vote) {
		v := g.vote
		return AppendReply{Higher: &v, Last: g.last()}, nil
	}
	if r.Prev != nil && !g.has(*r.Prev) {
		// What conflicts is cut off, even when this node had it applied: the build of RobustMQ allows logs to be reverted.
		if g.entry(r.Prev.Index) != nil {
			g.truncate(r.Prev.Index)
		}
		return AppendReply{Conflict: true, Last: g.last()}, nil
	}
	var batch []store.Record
	for _, e := range r.Entries {
		if g.has(e.LogID) {
			continue
		}
		if g.entry(e.LogID.Index) != nil {
			g.truncate(e.LogID.Index)
		}
		g.log = append(g.log, e)
		batch = append(batch, g.entryRecord(e))
		if e.Membership != nil {
			id := e.LogID
			g.memberships = append(g.memberships, StoredMembership{&id, *e.Membership})
		}
	}
	if len(batch) > 0 {
		if err := g.write(batch...); err != nil {
			return AppendReply{}, err
		}
	}
	if g.state != Leader {
		g.state = g.following()
	}
	if c := r.Committed; c != nil && compare(c, g.committed) > 0 {
		reached := *c
		if l := g.last(); l == nil || l.Index < reached.Index {
			g.commitTo(l)
		} else {
			g.commitTo(&reached)
		}
	}
	g.notify()
	return AppendReply{Last: g.last()}, nil
}

func (g *Group) commitTo(l *LogID) {
	if compare(l, g.committed) <= 0 {
		return
	}
	g.committed = l
	g.applyCommitted()
}

// has reports whether this log contains a position; what was purged counts as contained.
func (g *Group) has(l LogID) bool {
	if g.purged != nil && l.Index <= g.purged.Index {
		return true
	}
	at := g.at(l.Index)
	return at != nil && *at == l
}

// truncate cuts the log off from index on.
func (g *Group) truncate(index uint64) {
	end := index
	for len(g.log) > 0 && g.log[len(g.log)-1].LogID.Index >= index {
		end = max(end, g.log[len(g.log)-1].LogID.Index+1)
		g.log = g.log[:len(g.log)-1]
	}
	for len(g.memberships) > 0 && g.memberships[len(g.memberships)-1].LogID.Index >= index {
		g.memberships = g.memberships[:len(g.memberships)-1]
	}
	g.failWaiters(index, &ForwardError{g.currentLeader()})
	if end > index {
		_ = g.write(g.entriesRecord(index, end))
	}
}

// HandleSnapshot installs a snapshot: the position moves, the state machine gets 0 entries, and the install is a success (seen-formation.md, fact 2).
func (g *Group) HandleSnapshot(r SnapshotRequest) (SnapshotReply, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.state == Shutdown || g.state == "" {
		return SnapshotReply{}, &FatalError{"not running"}
	}
	if !g.updateVote(r.Vote) {
		return SnapshotReply{Vote: g.vote}, nil
	}
	const target = "meta_service::raft::snapshot::recover"
	g.logf("INFO", target, "[%s] Starting to recover snapshot, snapshot_id=%s", machine(g.o.Name), r.ID)
	g.logf("INFO", target, "[%s] Successfully recovered 0 entries from snapshot", machine(g.o.Name))
	g.logf("INFO", target, "[%s] Snapshot recovery completed successfully for snapshot_id=%s", machine(g.o.Name), r.ID)
	if g.applied != nil && g.applied.Index >= r.Last.Index && g.has(r.Last) {
		return SnapshotReply{Vote: g.vote}, nil
	}
	g.truncate(0)
	last := r.Last
	g.snapshot, g.purged, g.applied, g.committed = &last, &last, &last, &last
	g.snapshotted, g.stored, g.memberships = r.Membership, r.Membership, nil
	if err := g.saveSnapshot(); err != nil {
		return SnapshotReply{}, err
	}
	err := g.write(g.logIDRecord(keyPurged, g.purged), g.logIDRecord(keyApplied, g.applied), g.logIDRecord(keyCommitted, g.committed), g.membershipRecord())
	if err != nil {
		return SnapshotReply{}, err
	}
	g.state = g.following()
	g.notify()
	return SnapshotReply{Vote: g.vote}, nil
}
