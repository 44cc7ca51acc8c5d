package backup

import (
	"strings"
	"testing"
	"time"

	"k8s.io/utils/ptr"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
	"github.com/robustmq/robustmq-operator/internal/robustmq"
)

const patience = 15 * time.Second

func in(groups ...string) func(change func(*robustmq.GroupState)) func(string, *robustmq.GroupState) {
	return func(change func(*robustmq.GroupState)) func(string, *robustmq.GroupState) {
		return func(group string, g *robustmq.GroupState) {
			for _, one := range groups {
				if one == group {
					change(g)
				}
			}
		}
	}
}

func at(index uint64) func(*robustmq.GroupState) {
	return func(g *robustmq.GroupState) { g.LastApplied = &robustmq.LogID{Term: 3, NodeID: 1, Index: index} }
}

func dead(node uint64) member {
	m := newMember(node, nil)
	m.state, m.problem = nil, "connection refused"
	return m
}

func TestTheSourceOfABackup(t *testing.T) {
	offset := in(robustmq.GroupOffset)
	leads := func(g *robustmq.GroupState) { g.State, g.MillisSinceQuorumAck = "Leader", ptr.To[uint64](9) }
	follows := func(g *robustmq.GroupState) { g.State, g.MillisSinceQuorumAck, g.CurrentLeader = "Follower", nil, 3 }
	follows3 := offset(follows)
	voters := func(ids ...uint64) func(*robustmq.GroupState) {
		return func(g *robustmq.GroupState) { g.Configs = [][]uint64{ids} }
	}
	for name, c := range map[string]struct {
		members []member
		waited  time.Duration // since the recovery point was read
		pod     string
		leader  bool
		wait    string // reason and a part of the message
	}{
		"is the first follower that has applied everything":                     {three(10), 0, "c-placement-center-1", false, ""},
		"is the other follower where the first lags":                            {[]member{newMember(1, raft(1, 1, 10)), newMember(2, raft(2, 1, 9)), newMember(3, raft(3, 1, 10))}, 0, "c-placement-center-2", false, ""},
		"is no follower that lags in one group only":                            {[]member{newMember(1, raft(1, 1, 10)), newMember(2, raft(2, 1, 10, offset(at(9)))), newMember(3, raft(3, 1, 10))}, 0, "c-placement-center-2", false, ""},
		"is awaited while all followers lag":                                    {[]member{newMember(1, raft(1, 1, 10)), newMember(2, raft(2, 1, 9)), newMember(3, raft(3, 1, 9))}, patience - 1, "", false, "WaitingForMember c-placement-center-1 has applied entry 9 of raft group"},
		"is the leader when no follower catches up":                             {[]member{newMember(1, raft(1, 1, 10)), newMember(2, raft(2, 1, 9)), newMember(3, raft(3, 1, 9))}, patience, "c-placement-center-0", true, ""},
		"is not the leader either while that has not applied its own log":       {[]member{newMember(1, raft(1, 1, 10, offset(at(9)))), newMember(2, raft(2, 1, 9)), newMember(3, raft(3, 1, 9))}, patience, "", false, "WaitingForMember c-placement-center-0 has applied entry 9"},
		"is the leader at once where nobody else votes":                         {[]member{newMember(1, raft(1, 1, 10, in(robustmq.Groups...)(voters(1)), in(robustmq.Groups...)(func(g *robustmq.GroupState) { g.Nodes = nil })))}, 0, "c-placement-center-0", true, ""},
		"is the leader at once where no other answers":                          {[]member{newMember(1, raft(1, 1, 10)), dead(2), dead(3)}, 0, "c-placement-center-0", true, ""},
		"is a follower although another does not answer":                        {[]member{newMember(1, raft(1, 1, 10)), newMember(3, raft(3, 1, 10)), dead(2)}, 0, "c-placement-center-2", false, ""},
		"leads no group where another member does not":                          {[]member{newMember(1, raft(1, 1, 10, follows3)), newMember(2, raft(2, 1, 10, follows3)), newMember(3, raft(3, 1, 10, offset(leads)))}, 0, "c-placement-center-1", false, ""},
		"does not exist without a leader":                                       {[]member{newMember(2, raft(2, 1, 10)), newMember(3, raft(3, 1, 10)), dead(1)}, patience, "", false, "QuorumLost no leader of raft group metadata_0 is acknowledged by a quorum: the agent of c-placement-center-0 does not answer"},
		"does not exist where a leader lost its quorum":                         {[]member{newMember(1, raft(1, 1, 10, offset(func(g *robustmq.GroupState) { g.MillisSinceQuorumAck = ptr.To[uint64](3000) }))), dead(2), dead(3)}, patience, "", false, "QuorumLost no leader of raft group offset_0"},
		"does not exist while a membership is joint":                            {[]member{newMember(1, raft(1, 1, 10)), newMember(2, raft(2, 1, 10, offset(func(g *robustmq.GroupState) { g.Configs = [][]uint64{{1, 2, 3}, {1, 2, 3, 4}} })))}, patience, "", false, "MembershipChanging the membership of raft group offset_0 is changing, as c-placement-center-1 sees it"},
		"does not exist while somebody is learning":                             {[]member{newMember(1, raft(1, 1, 10, offset(func(g *robustmq.GroupState) { g.Nodes = map[uint64]string{1: "", 2: "", 3: "", 4: ""} })))}, patience, "", false, "MembershipChanging"},
		"does not exist where members do not agree who votes":                   {[]member{newMember(1, raft(1, 1, 10)), newMember(2, raft(2, 1, 10, offset(voters(1, 2)), offset(func(g *robustmq.GroupState) { g.Nodes = map[uint64]string{1: "", 2: ""} })))}, patience, "", false, "MembershipChanging the members do not agree who votes in raft group offset_0"},
		"does not exist where two lead in one term":                             {[]member{newMember(1, raft(1, 1, 10)), newMember(2, raft(2, 1, 10, offset(leads)))}, patience, "", false, "QuorumLost members 1 and 2 both say"},
		"is nobody in another term than the leader's":                           {[]member{newMember(1, raft(1, 1, 10)), newMember(2, raft(2, 1, 10, offset(func(g *robustmq.GroupState) { g.Term = 2 })))}, 0, "", false, "WaitingForMember c-placement-center-1 is in term 2 of raft group offset_0, its leader in term 3"},
		"is nobody whose raft core stopped":                                     {[]member{newMember(1, raft(1, 1, 10)), newMember(2, raft(2, 1, 10, offset(func(g *robustmq.GroupState) { g.Running = false })))}, 0, "", false, "WaitingForMember no member can be saved from yet: raft group offset_0 does not run on c-placement-center-1"},
		"is nobody without an agent, and no pods at all are an answer in words": {nil, patience, "", false, "QuorumLost no leader"},
	} {
		t.Run(name, func(t *testing.T) {
			point, unready := observePoint(c.members, robustmq.Groups, noon)
			got := choice{}
			if unready == nil {
				got, unready = choose(c.members, robustmq.Groups, point, noon.Add(c.waited), patience)
			}
			if c.wait != "" {
				if unready == nil || !strings.HasPrefix(unready.reason+" "+unready.message, strings.SplitN(c.wait, " ", 2)[0]) || !strings.Contains(unready.reason+" "+unready.message, c.wait[strings.IndexByte(c.wait+" ", ' '):]) {
					t.Errorf("got %+v, want to wait for %s", unready, c.wait)
				}
				return
			}
			if unready != nil || got.member.pod != c.pod || got.leader != c.leader {
				t.Errorf("got %s (leader %t), wait %+v; want %s (leader %t)", got.member.pod, got.leader, unready, c.pod, c.leader)
			}
		})
	}
}

func TestAMemberThatIsFencedOrEndingIsNotAsked(t *testing.T) {
	for name, spoil := range map[string]func(*protocol.State){
		"fenced":   func(s *protocol.State) { s.Fenced = true },
		"ending":   func(s *protocol.State) { s.Terminating = true },
		"hung":     func(s *protocol.State) { s.Server.Phase = protocol.ServerHung },
		"not said": func(s *protocol.State) { s.Raft = nil },
	} {
		members := three(10)
		spoil(members[1].state)
		point, unready := observePoint(members, robustmq.Groups, noon)
		if unready != nil {
			t.Fatalf("%s: %+v", name, unready)
		}
		if got, _ := choose(members, robustmq.Groups, point, noon, patience); got.member.pod != "c-placement-center-2" {
			t.Errorf("%s: %s was chosen", name, got.member.pod)
		}
	}
}

// The recovery point is where the leaders' logs ended when the backup was asked for: writes that come while a follower catches up are not waited for.
func TestAFollowerHasToReachTheRecoveryPointAndNotTheLeader(t *testing.T) {
	point, _ := observePoint(three(10), robustmq.Groups, noon)
	later := []member{newMember(1, raft(1, 1, 500)), newMember(2, raft(2, 1, 10)), newMember(3, raft(3, 1, 499))}
	now, unready := observePoint(later, robustmq.Groups, noon.Add(time.Second))
	if unready != nil || !point.stands(now) {
		t.Fatalf("the point does not stand: %+v", unready)
	}
	if got, _ := choose(later, robustmq.Groups, point, noon.Add(time.Second), patience); got.member.pod != "c-placement-center-1" || got.point.positions[robustmq.GroupData] != 10 || !got.point.at.Equal(noon) {
		t.Errorf("%s at %v of %s", got.member.pod, got.point.positions, got.point.at)
	}
}

// A new leader may have dropped what the former one had not committed: its index says nothing in the new term.
func TestARecoveryPointFallsWithItsLeader(t *testing.T) {
	point, _ := observePoint(three(10), robustmq.Groups, noon)
	term := func(_ string, g *robustmq.GroupState) { g.Term = 4 }
	next, unready := observePoint([]member{newMember(1, raft(1, 2, 9, term)), newMember(2, raft(2, 2, 9, term))}, robustmq.Groups, noon.Add(time.Second))
	if unready != nil || point.stands(next) {
		t.Errorf("the point of the former leader still stands: %+v", unready)
	}
	// The same member may lead again, in a later term, and be short of what nobody had confirmed to it.
	again, unready := observePoint([]member{newMember(1, raft(1, 1, 9, term)), newMember(2, raft(2, 1, 9, term))}, robustmq.Groups, noon.Add(time.Second))
	if unready != nil || point.stands(again) {
		t.Errorf("the point of an earlier term still stands: %+v", unready)
	}
	if (recoveryPoint{}).stands(recoveryPoint{}) {
		t.Error("no point at all stands")
	}
}

func TestBackupsOfOneClusterGoOneAtATimeTheOldestFirst(t *testing.T) {
	other := func(name string, age time.Duration, change ...func(*v1alpha1.RobustMQBackup)) v1alpha1.RobustMQBackup {
		return *newBackup(append([]func(*v1alpha1.RobustMQBackup){func(b *v1alpha1.RobustMQBackup) {
			b.Name, b.UID, b.CreationTimestamp.Time = name, "u-"+b.UID+"-"+b.UID, noon.Add(-age)
		}}, change...)...)
	}
	gone := func(b *v1alpha1.RobustMQBackup) { b.DeletionTimestamp = ptr.To(b.CreationTimestamp) }
	for name, c := range map[string]struct {
		other v1alpha1.RobustMQBackup
		waits bool
	}{
		"an older one goes first":                                {other("z", time.Second), true},
		"of the same second the name decides":                    {other("a", 0), true},
		"and not the other way round":                            {other("z", 0), false},
		"a younger one that has begun is not overtaken":          {other("z", -time.Minute, begun(v1alpha1.BackupUploading, noon)), true},
		"one that has ended is nobody":                           {other("a", time.Hour, begun(v1alpha1.BackupFailed, noon)), false},
		"one that goes before it began is nobody":                {other("a", time.Hour, gone), false},
		"one that goes while its Job may still write goes first": {other("a", time.Hour, gone, begun(v1alpha1.BackupStaging, noon)), true},
		"one of another cluster is nobody":                       {other("a", time.Hour, func(b *v1alpha1.RobustMQBackup) { b.Spec.ClusterName = "d" }), false},
	} {
		b := newBackup()
		if got := whoseTurn(b, []v1alpha1.RobustMQBackup{*b, c.other}, nil); (got != nil) != c.waits {
			t.Errorf("%s: %+v", name, got)
		}
	}
}
