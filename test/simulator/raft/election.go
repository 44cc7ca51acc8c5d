package raft

import (
	"context"
	"time"
)

// tick is openraft's: every heartbeat interval a leader sends, and everybody else looks whether it is time for an election.
func (g *Group) tick() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.frozen {
		return
	}
	switch g.state {
	case Leader:
		for _, p := range g.progress {
			p.poke()
		}
		return
	case Shutdown, "":
		return
	}
	m := g.effective().Membership
	if !m.voter(g.o.ID) {
		return
	}
	if len(m.voters()) > 1 {
		timeout := g.election
		if g.vote.Committed {
			timeout += g.o.Timing.Lease
		}
		if g.greaterLog {
			timeout += 2 * g.o.Timing.ElectionMax
		}
		if time.Since(g.voteAt) < timeout {
			return
		}
	}
	g.greaterLog = false
	g.elect()
}

// elect campaigns in the next term, whatever the others think: there is no pre-vote.
func (g *Group) elect() {
	g.vote = Vote{LeaderID: LeaderID{g.vote.LeaderID.Term + 1, g.o.ID}}
	g.voteAt = time.Now()
	g.drawElection()
	g.state = Candidate
	g.grants = map[uint64]bool{g.o.ID: true}
	if g.write(g.voteRecord()) != nil {
		return
	}
	g.notify()
	g.logf("INFO", "openraft::engine::engine_impl", "new candidate: {%s, last_log_id:%s}", g.vote, display(g.last()))
	m := g.effective().Membership
	if m.quorum(func(id uint64) bool { return g.grants[id] }) {
		g.establish()
		return
	}
	request := VoteRequest{Vote: g.vote, Last: g.last()}
	for _, id := range m.voters() {
		if id == g.o.ID {
			continue
		}
		addr := m.Nodes[id].RPCAddr
		g.tasks.Add(1)
		go func() {
			defer g.tasks.Done()
			ctx, cancel := context.WithTimeout(g.ctx, g.o.Timing.ElectionMin)
			defer cancel()
			reply, err := g.o.Transport.Vote(ctx, addr, g.o.Name, request)
			if err == nil {
				g.handleVoteReply(id, request.Vote, reply)
			}
		}()
	}
}

func (g *Group) handleVoteReply(from uint64, asked Vote, r VoteReply) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.state != Candidate || g.vote != asked {
		return
	}
	if r.Granted && r.Vote == asked {
		g.grants[from] = true
		if g.effective().Membership.quorum(func(id uint64) bool { return g.grants[id] }) {
			g.establish()
		}
		return
	}
	if compare(r.Last, g.last()) > 0 {
		g.greaterLog = true
	}
	r.Vote.Committed = false
	g.updateVote(r.Vote)
}

// updateVote takes over a vote that is not smaller. It reports whether the vote holds now.
func (g *Group) updateVote(v Vote) bool {
	c := v.Compare(g.vote)
	if c < 0 {
		return false
	}
	g.voteAt = time.Now()
	if c == 0 {
		return true
	}
	leading := g.state == Leader
	g.vote = v
	if g.write(g.voteRecord()) != nil {
		return false
	}
	if _, member := g.effective().Membership.Nodes[g.o.ID]; member && v.LeaderID.NodeID == g.o.ID && (g.state == Leader || g.state == Candidate) {
		g.meetOwnVote()
		return true
	}
	if leading {
		g.stopReplication()
		g.failWaiters(0, &ForwardError{g.currentLeader()})
	}
	if g.state != Shutdown {
		g.state = g.following()
	}
	g.notify()
	return true
}

// meetOwnVote is what a node does that leads, or stands for election, and has just met a later vote for itself at another member: one that it does not know of, since somebody put the vote there.
//
// A committed one makes it the leader of that term at once. An uncommitted one is taken over, and nothing else: openraft 0.9 (VoteHandler::update_internal_server_state: "candidate, nothing
// to do") leaves the leader in place that it was. Such a node calls itself leader, so that it never stands for election; its own leader works in the old term, which whoever has the vote
// refuses, so that nothing it appends is committed; and while its log is the longer one nobody else is elected. Started again it is a follower (seen on 0.4.11: 508 s, until it was).
func (g *Group) meetOwnVote() {
	if g.vote.Committed {
		g.stopReplication()
		g.lead()
		if l := g.last(); l == nil || l.LeaderID != g.vote.LeaderID {
			_ = g.appendLocal(Entry{})
		}
		return
	}
	g.notify()
}

func (g *Group) following() string {
	if g.effective().Membership.voter(g.o.ID) {
		return Follower
	}
	return Learner
}

// HandleVote answers a candidate. While the lease of a leader runs, everybody is refused, and terms do not rise by it.
func (g *Group) HandleVote(r VoteRequest) (VoteReply, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.state == Shutdown || g.state == "" {
		return VoteReply{}, &FatalError{"not running"}
	}
	refused := VoteReply{Vote: g.vote, Last: g.last()}
	if g.vote.Committed && time.Since(g.voteAt) <= g.o.Timing.Lease {
		return refused, nil
	}
	if compare(r.Last, g.last()) < 0 {
		return refused, nil
	}
	granted := g.updateVote(r.Vote)
	return VoteReply{Vote: g.vote, Last: g.last(), Granted: granted}, nil
}

// establish makes this node the leader of its term.
func (g *Group) establish() {
	g.vote.Committed = true
	g.voteAt = time.Now()
	if g.write(g.voteRecord()) != nil {
		return
	}
	g.lead()
	g.logf("INFO", "openraft::engine::handler::server_state_handler", "become leader id=%d", g.o.ID)
	_ = g.appendLocal(Entry{})
}
