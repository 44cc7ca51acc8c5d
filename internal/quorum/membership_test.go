package quorum

import (
	"strings"
	"testing"
)

// three groups of the given voters, all in service and led by leader.
func groups(leader uint64, voters ...uint64) []Group {
	var out []Group
	for _, name := range []string{"metadata_0", "offset_0", "data_0"} {
		out = append(out, Group{Name: name, Voters: voters, InService: voters, Leader: leader})
	}
	return out
}

// but returns the groups after a change of the last one.
func but(gs []Group, change func(last *Group)) []Group {
	change(&gs[len(gs)-1])
	return gs
}

func losing(id uint64) func(*Group) {
	return func(g *Group) { g.InService = without(g.InService, id) }
}

func TestWhoMayJoinLeaveAndLeadAndWhyNot(t *testing.T) {
	for what, c := range map[string]struct {
		got  Verdict
		want string // a part of the refusal; empty: allowed
	}{
		"a fourth":                         {MayJoin(4, groups(1, 1, 2, 3)), ""},
		"the second of one":                {MayJoin(2, groups(1, 1)), ""},
		"nobody but itself":                {MayJoin(1, but(groups(1, 1), func(g *Group) { g.Voters = nil })), "group metadata_0 has no voter but node 1"},
		"a half joined one":                {MayJoin(4, but(groups(1, 1, 2, 3, 4), func(g *Group) { g.Voters = []uint64{1, 2, 3} })), ""},
		"one whose join was interrupted":   {MayJoin(4, but(groups(1, 1, 2, 3, 4), func(g *Group) { g.Configs = [][]uint64{{1, 2, 3}, {1, 2, 3, 4}} })), ""},
		"a member":                         {MayJoin(3, groups(1, 1, 2, 3)), "node 3 is a voter of every raft group already"},
		"beside one that is down":          {MayJoin(4, but(groups(1, 1, 2, 3), losing(2))), "nobody joins group data_0 while a voter is not in service: one more could cost the quorum; down already: node 2"},
		"beside one that lags":             {MayJoin(4, but(groups(1, 1, 2, 3), func(g *Group) { g.Lagging = []uint64{3} })), "behind its leader: node 3"},
		"beside a half member":             {MayJoin(5, but(groups(1, 1, 2, 3), func(g *Group) { g.Voters = []uint64{1, 2, 3, 4} })), "another member is half joined or has half left"},
		"with leaders apart":               {MayJoin(4, but(groups(1, 1, 2, 3), func(g *Group) { g.Leader = 2 })), "group metadata_0 is led by node 1 and group data_0 by node 2"},
		"with no leader":                   {MayJoin(4, but(groups(1, 1, 2, 3), func(g *Group) { g.Leader = 0 })), "group data_0 has no leader"},
		"to nothing":                       {MayJoin(4, nil), "no raft group is known"},
		"one of five":                      {MayLeave(5, groups(1, 1, 2, 3, 4, 5)), ""},
		"one of five that is down":         {MayLeave(5, but(groups(1, 1, 2, 3, 4, 5), losing(5))), ""},
		"one of three":                     {MayLeave(3, groups(1, 1, 2, 3)), ""},
		"one of two":                       {MayLeave(2, groups(1, 1, 2)), "group metadata_0 has 2 voters: a member leaves only where at least 2 stay"},
		"a stranger":                       {MayLeave(7, groups(1, 1, 2, 3)), "node 7 is no voter of any raft group"},
		"the leader":                       {MayLeave(1, groups(1, 1, 2, 3)), "node 1 leads group metadata_0: another member has to lead before it leaves"},
		"while another is down":            {MayLeave(5, but(groups(1, 1, 2, 3, 4, 5), losing(4))), "nobody leaves group data_0 while another voter is not in service; down already: node 4"},
		"a half left one":                  {MayLeave(5, but(groups(1, 1, 2, 3, 4, 5), func(g *Group) { g.Voters = []uint64{1, 2, 3, 4} })), ""},
		"a half left one with one missing": {MayLeave(5, []Group{{Name: "a", Voters: []uint64{1, 2, 3, 4}, InService: []uint64{1, 2, 3}, Leader: 1}, {Name: "b", Voters: []uint64{1, 2, 3, 4, 5}, InService: []uint64{1, 2, 3}, Leader: 1}}), ""},
		"a half left one without a quorum": {MayLeave(5, []Group{{Name: "a", Voters: []uint64{1, 2, 3, 4}, InService: []uint64{1, 2}, Leader: 1}, {Name: "b", Voters: []uint64{1, 2, 3, 4, 5}, InService: []uint64{1, 2}, Leader: 1}}), "group b has 2 of its 5 voters in service beside node 5, and needs 3 to agree that it leaves; down already: node 3, 4"},
		"one that is half in by a change, and one missing": {MayLeave(5, []Group{
			{Name: "a", Voters: []uint64{1, 2, 3, 4, 5}, InService: []uint64{1, 2, 3}, Leader: 1},
			{Name: "b", Voters: []uint64{1, 2, 3, 4, 5}, Configs: [][]uint64{{1, 2, 3, 4}, {1, 2, 3, 4, 5}}, InService: []uint64{1, 2, 3}, Leader: 1},
		}), ""},
		"one that both sides of a change have, and one missing": {MayLeave(5, []Group{
			{Name: "a", Voters: []uint64{1, 2, 3, 4, 5}, InService: []uint64{1, 2, 3}, Leader: 1},
			{Name: "b", Voters: []uint64{1, 2, 3, 4, 5}, Configs: [][]uint64{{1, 2, 3, 4, 5}, {1, 2, 3, 4, 5}}, InService: []uint64{1, 2, 3}, Leader: 1},
		}), "nobody leaves group a while another voter is not in service"},
		"one whose leaving was interrupted":        {MayLeave(5, but(groups(1, 1, 2, 3, 4, 5), func(g *Group) { g.Configs = [][]uint64{{1, 2, 3, 4, 5}, {1, 2, 3, 4}} })), ""},
		"while another's is under way":             {MayLeave(4, but(groups(1, 1, 2, 3, 4, 5), func(g *Group) { g.Configs = [][]uint64{{1, 2, 3, 4, 5}, {1, 2, 3, 4}} })), "another member is half joined or has half left"},
		"a follower leads":                         {MayTransfer(2, groups(1, 1, 2, 3)), ""},
		"who leads some leads all":                 {MayTransfer(2, but(groups(1, 1, 2, 3), func(g *Group) { g.Leader = 2 })), ""},
		"who leads all":                            {MayTransfer(1, groups(1, 1, 2, 3)), "node 1 leads every raft group already"},
		"a stranger leads":                         {MayTransfer(4, groups(1, 1, 2, 3)), "node 4 is no voter of group metadata_0"},
		"nobody leads":                             {MayTransfer(2, but(groups(1, 1, 2, 3), func(g *Group) { g.Leader = 0 })), "group data_0 has no leader"},
		"one is down":                              {MayTransfer(2, but(groups(1, 1, 2, 3), losing(3))), "leadership of group data_0 is not moved while a voter is not in service; down already: node 3"},
		"the heir lags":                            {MayTransfer(2, but(groups(1, 1, 2, 3), func(g *Group) { g.Lagging = []uint64{2} })), "behind its leader: node 2"},
		"a change is under way":                    {MayTransfer(2, but(groups(1, 1, 2, 3), func(g *Group) { g.Configs = [][]uint64{{1, 2}, {1, 2, 3}} })), "the membership of group data_0 is being changed"},
		"one has half left":                        {MayTransfer(2, but(groups(1, 1, 2, 3, 4), func(g *Group) { g.Voters, g.InService = []uint64{1, 2, 3}, []uint64{1, 2, 3} })), ""},
		"one has half left and is down":            {MayTransfer(2, []Group{{Name: "a", Voters: []uint64{1, 2, 3}, InService: []uint64{1, 2, 3}, Leader: 1}, {Name: "b", Voters: []uint64{1, 2, 3, 4}, InService: []uint64{1, 2, 3}, Leader: 3}}), ""},
		"one has half left, and too few are there": {MayTransfer(2, []Group{{Name: "a", Voters: []uint64{2}, InService: []uint64{2}, Leader: 2}, {Name: "b", Voters: []uint64{2, 4}, InService: []uint64{2}, Leader: 4}}), "group b has 1 voters in service, and needs 2, without node 4, which has half left"},
		"two have half left":                       {MayTransfer(2, but(groups(1, 1, 2, 3, 4), func(g *Group) { g.Voters = []uint64{1, 2, 5} })), "more than one member is half joined or has half left"},
		"two have half left, and no more":          {MayTransfer(2, but(groups(1, 1, 2, 3, 4), func(g *Group) { g.Voters = []uint64{1, 2} })), "more than one member is half joined or has half left"},
		"one configuration of a change is known":   {MayTransfer(2, but(groups(1, 1, 2, 3), func(g *Group) { g.Configs = [][]uint64{{1, 2, 3}} })), "the membership of group data_0 is being changed"},
		"stopped in a joint membership":            {MayGo(5, but(groups(1, 1, 2, 3), func(g *Group) { g.Configs, g.InService = [][]uint64{{1, 2, 3, 4, 5}, {5, 2}}, []uint64{1, 2, 3, 4, 5} })), "group data_0 would keep 1 of its 2 voters in service without node 5, and needs 2"},
		"stopped beside one that lags":             {MayGo(1, but(groups(2, 1, 2, 3), func(g *Group) { g.Lagging = []uint64{3} })), "behind its leader: node 3"},
	} {
		if c.got.Allowed != (c.want == "") || !strings.Contains(c.got.Message, c.want) || c.got.Allowed != (c.got.Message == "") {
			t.Errorf("%s: %+v, want %q", what, c.got, c.want)
		}
	}
}
