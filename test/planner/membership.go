package planner

import (
	"errors"
	"fmt"
	"slices"

	"github.com/robustmq/robustmq-operator/internal/topology"
)

var errRaft = errors.New("raft")

// joinByItself is what an empty server does: it asks who leads, and is let in group by group; who reaches nobody founds a cluster of its own.
func (w *World) joinByItself(n *node) bool {
	var first *node
	reached := false
	for _, p := range w.members() {
		if p != n && p.running() && w.reach(n, p) {
			reached = true
			if l := w.leader(0); l != nil && w.reach(n, l) {
				first = l
			}
		}
	}
	if !reached || !w.calm && w.chance(0.02) {
		if !w.calm && n.agent.starts > 0 && w.chance(0.5) {
			// Its agent waited until a peer answered, and the network went between that and the server's own probe.
			for g := range groupCount {
				n.vol.raft[g] = &raft{configs: [][]uint64{{n.id}}, vote: vote{1, n.id, true}, log: history{{1, n.id, 1}}, changed: 1}
			}
			w.Count.Faults["second cluster"]++
			w.tell("%s reaches nobody and makes a cluster of its own", n.pod)
			return true
		}
		return false // the agent waits for a peer
	}
	if first == nil {
		w.kill(n, topology.ServerExited, "exit code 1: Failed to join cluster: has to forward request to: None, None")
		return false
	}
	n.srv.phase = topology.ServerRunning // its port is open while it joins
	if err := w.join(first, n.id); err != nil {
		w.kill(n, topology.ServerExited, "exit code 1: "+err.Error())
		return false
	}
	return true
}

// join makes a node a voter of every group, one after the other, on the member that is asked (JoinCluster). What was done before an error stays.
func (w *World) join(via *node, id uint64) error {
	n := w.byID(id)
	for g := range groupCount {
		l := w.leader(g)
		if l != via {
			return fmt.Errorf("%w: [%s] add_learner failed for node %d: has to forward request", errRaft, groupNames[g], id)
		}
		if n == nil || !n.running() || n.srv.raft[g].dead || !w.reach(l, n) {
			return fmt.Errorf("%w: [%s] node %d cannot be reached", errRaft, groupNames[g], id)
		}
		r := l.vol.raft[g]
		if n.vol.raft[g] == nil {
			n.vol.raft[g] = &raft{}
			n.srv.raft[g] = live{deadline: w.now + w.timer()}
		}
		if len(r.configs) == 1 && slices.Contains(r.configs[0], id) {
			continue
		}
		if !w.calm && w.chance(0.03) {
			return fmt.Errorf("%w: [%s] timeout", errRaft, groupNames[g])
		}
		nr := n.vol.raft[g]
		nr.vote = r.vote
		if n.slow {
			return fmt.Errorf("%w: [%s] node %d does not catch up in time", errRaft, groupNames[g], id)
		}
		w.replicate(l, n, g) // it has the whole log before it votes
		voters := slices.Clone(r.configs[0])
		if len(r.configs) > 1 {
			voters = slices.Clone(r.configs[1])
		}
		if !slices.Contains(voters, id) {
			voters = append(voters, id)
			slices.Sort(voters)
		}
		if err := w.change(l, g, voters); err != nil {
			return err
		}
		n.srv.raft[g] = live{leader: l.id, heard: w.now, deadline: w.now + w.timer()}
	}
	return nil
}

// leave takes a node out of every group, one after the other, on the member that is asked (LeaveCluster).
func (w *World) leave(via *node, id uint64) error {
	for g := range groupCount {
		l := w.leader(g)
		if l != via {
			return fmt.Errorf("%w: [%s] has to forward request", errRaft, groupNames[g])
		}
		r := l.vol.raft[g]
		if !configured(r.configs, id) {
			continue
		}
		last := r.configs[len(r.configs)-1]
		if len(r.configs) == 1 && len(last) < 3 {
			return fmt.Errorf("%w: [%s] refuse to remove node %d: only %d voters", errRaft, groupNames[g], id, len(last))
		}
		if !w.calm && w.chance(0.03) {
			return fmt.Errorf("%w: [%s] timeout", errRaft, groupNames[g])
		}
		voters := slices.DeleteFunc(slices.Clone(r.configs[0]), func(v uint64) bool { return v == id })
		if err := w.change(l, g, voters); err != nil {
			return err
		}
	}
	return nil
}

// change moves a group to other voters by way of a joint configuration, in which both need a majority. Where they have none, it stays joint until it is asked again.
func (w *World) change(l *node, g int, voters []uint64) error {
	r := l.vol.raft[g]
	if last := r.configs[len(r.configs)-1]; len(r.configs) == 1 || !slices.Equal(last, voters) {
		r.log = r.log.add(r.vote, 1)
		r.configs, r.changed = [][]uint64{last, voters}, r.log.last()
	}
	here := map[uint64]bool{l.id: true}
	w.peers(l, g, func(p *node, pr *raft) {
		if pr.vote.compare(r.vote) <= 0 {
			pr.vote = r.vote
			w.replicate(l, p, g)
			here[p.id] = pr.changed == r.changed
		}
	})
	if !majority(r.configs, func(id uint64) bool { return here[id] }) || !w.calm && w.chance(0.02) {
		return fmt.Errorf("%w: [%s] the change of the membership was not agreed upon in time", errRaft, groupNames[g])
	}
	r.log = r.log.add(r.vote, 1)
	r.configs, r.changed = [][]uint64{voters}, r.log.last()
	w.tell("%s: the voters of %s are %v", l.pod, groupNames[g], voters)
	w.peers(l, g, func(p *node, pr *raft) {
		if pr.vote.compare(r.vote) <= 0 {
			w.replicate(l, p, g)
		}
	})
	w.commit(l, r, g, here)
	return nil
}
