package images

import (
	"errors"
	"strings"
	"testing"

	"github.com/robustmq/robustmq-operator/backup/image"
	"github.com/robustmq/robustmq-operator/backup/image/imagetest"
	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
	"github.com/robustmq/robustmq-operator/internal/robustmq"
)

func TestAnImageIsTakenAgainWhenTheRaftStateChangedMeanwhile(t *testing.T) {
	with := func(change func(*robustmq.GroupState)) robustmq.ClusterStatus {
		status := calm()
		g := group()
		change(&g)
		status[robustmq.GroupOffset] = g
		return status
	}
	voted := with(func(g *robustmq.GroupState) { g.Term, g.VoteNode, g.VoteCommitted = 2, 3, false })
	for name, c := range map[string]struct {
		answers  []func() (Server, error)
		reason   string // of the failure; "" none
		attempts int
		words    string
	}{
		"a vote, once":                 {[]func() (Server, error){says(1, calm()), says(1, calm()), says(1, voted)}, "", 2, ""},
		"a commit, once":               {[]func() (Server, error){says(1, calm()), says(1, calm()), says(1, with(func(g *robustmq.GroupState) { g.VoteCommitted = false })), says(1, calm())}, "", 2, ""},
		"the server was started again": {[]func() (Server, error){says(1, calm()), says(1, calm()), says(2, calm())}, "", 2, ""},
		"it did not answer once":       {[]func() (Server, error){says(1, calm()), fails(errors.New("timeout")), says(1, calm())}, "", 1, ""},
		"membership log":               {[]func() (Server, error){says(1, calm()), says(1, calm()), says(1, with(func(g *robustmq.GroupState) { g.MembershipLog = &robustmq.LogID{Term: 1, NodeID: 1, Index: 9} })), says(1, calm())}, "", 2, ""},
		"an address":                   {[]func() (Server, error){says(1, calm()), says(1, calm()), says(1, with(func(g *robustmq.GroupState) { g.Nodes = map[uint64]string{1: "x:1228", 2: "b:1228", 3: "c:1228"} })), says(1, calm())}, "", 2, ""},
		"joint":                        {[]func() (Server, error){says(1, with(func(g *robustmq.GroupState) { g.Configs = [][]uint64{{1, 2, 3}, {1, 2, 3, 4}} }))}, protocol.ImageRaftChanged, 0, "offset_0"},
		"no membership":                {[]func() (Server, error){says(1, with(func(g *robustmq.GroupState) { g.Configs = nil }))}, protocol.ImageRaftChanged, 0, "no membership"},
		"a group is down":              {[]func() (Server, error){says(1, with(func(g *robustmq.GroupState) { g.Running, g.RunningError = false, "Err(Panicked)" }))}, protocol.ImageRaftChanged, 0, "Panicked"},
		"a group is missing":           {[]func() (Server, error){says(1, robustmq.ClusterStatus{robustmq.GroupMetadata: group(), robustmq.GroupData: group(), "x": group()})}, protocol.ImageRaftChanged, 0, "offset_0"},
		"no group at all":              {[]func() (Server, error){says(1, nil)}, protocol.ImageRaftChanged, 0, "does not name"},
		"the server is gone":           {[]func() (Server, error){says(1, calm()), fails(errors.New("connection refused"))}, protocol.ImageServerDown, 0, "connection refused"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStage(t, imagetest.Follower, nil)
			s.server.answers = c.answers
			i := s.result("a")
			if i.Reason != c.reason || i.Attempts != c.attempts || !strings.Contains(i.Message, c.words) {
				t.Errorf("%s %q after %d attempts, want %q after %d", i.Reason, i.Message, i.Attempts, c.reason, c.attempts)
			}
			if c.reason == "" {
				sameFamilies(t, contents(t, s.fetch(i)), contents(t, s.database), image.MetadataFamilies...)
			} else if left := listing(t, s.root); len(left) > 0 {
				t.Errorf("left behind: %v", left)
			}
		})
	}
}

func TestAnImageOfAMembershipThatIsBeingChangedIsTakenForWhoWantsThat(t *testing.T) {
	s := newStage(t, imagetest.Follower, nil)
	status := calm()
	g := group()
	g.Configs = [][]uint64{{1}, {1, 2}}
	status[robustmq.GroupOffset] = g
	s.server.answers = []func() (Server, error){says(1, status)}
	wanted := request("a")
	wanted.Changing = true
	if _, err := s.source.Begin(t.Context(), wanted); err != nil {
		t.Fatal(err)
	}
	i := s.await("a")
	if i.Phase != protocol.ImageReady {
		t.Fatalf("%s: %s", i.Reason, i.Message)
	}
	if got := i.Groups[robustmq.GroupOffset]; len(got.Configs) != 2 || len(got.Configs[1]) != 2 || got.Membership.Voters != nil {
		t.Errorf("%+v", got)
	}
	if got := i.Groups[robustmq.GroupData]; len(got.Configs) != 0 || len(got.Membership.Voters) == 0 {
		t.Errorf("%+v", got)
	}
}

func TestAVoteThatNeverRestsFailsTheImage(t *testing.T) {
	s := newStage(t, imagetest.Follower, nil)
	term := uint64(1)
	s.server.answers = []func() (Server, error){func() (Server, error) {
		g := group()
		term++
		g.Term = term
		return Server{Process: 1, Status: robustmq.ClusterStatus{robustmq.GroupMetadata: g}, Groups: []string{robustmq.GroupMetadata}}, nil
	}}
	i := s.result("a")
	if i.Reason != protocol.ImageRaftChanged || i.Attempts != 5 || !strings.Contains(i.Message, "vote of raft group metadata_0") {
		t.Errorf("%+v", i)
	}
}

func TestAnImageIsRefusedAtOnceWhereThereIsNoServerToAsk(t *testing.T) {
	s := newStage(t, imagetest.Follower, nil)
	s.server.answers = []func() (Server, error){fails(&Refusal{Reason: protocol.ReasonConflict, Message: "a broker"})}
	if _, err := s.source.Begin(t.Context(), request("a")); reasonOf(err) != protocol.ReasonConflict {
		t.Error(err)
	}
	s.server.answers = []func() (Server, error){fails(errors.New("refused"))}
	if _, err := s.source.Begin(t.Context(), request("a")); reasonOf(err) != protocol.ReasonServerDown {
		t.Error(err)
	}
	if s.source.State().Image != nil {
		t.Error("an image is there")
	}
}
