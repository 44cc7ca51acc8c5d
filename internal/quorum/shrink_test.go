package quorum

import (
	"strings"
	"testing"
)

func TestAShrinkKeepsAQuorumOfThePresentSizeInEveryWorldOfUpToSevenMembers(t *testing.T) {
	for present := 1; present <= 7; present++ {
		for size := range present + 1 {
			v := MayShrink(present, size)
			if want := size > present/2; v.Allowed != want {
				t.Errorf("from %d to %d: allowed %t, want %t", present, size, v.Allowed, want)
			}
			if v.Allowed != (v.Message == "") {
				t.Errorf("from %d to %d: allowed %t, and says %q", present, size, v.Allowed, v.Message)
			}
		}
	}
	if v := MayShrink(7, 3); v.Message != "the placement centre has 7 members, whose quorum is 4: 4 cannot be taken away at once" {
		t.Error(v.Message)
	}
}

func TestNobodyGoesWhileAVoterIsMissingOrSomebodyIsOnTheWayIn(t *testing.T) {
	voter := Member{Name: "in-service", Votes: true, InService: true}
	down := Member{Name: "down", Votes: true}
	joining := Member{Name: "newcomer", Entering: "is joining"}
	half := Member{Name: "half", Votes: true, Entering: "is joining"}
	pending := Member{Name: "pending"}
	for what, c := range map[string]struct {
		members []Member
		refused string // a word of the refusal; empty: allowed
	}{
		"all in service":                          {[]Member{voter, voter, voter}, ""},
		"one that never came to be":               {[]Member{voter, voter, voter, pending}, ""},
		"a voter is down":                         {[]Member{voter, down, voter}, "down"},
		"the last voter is down":                  {[]Member{voter, voter, down}, "down"},
		"one is joining":                          {[]Member{voter, voter, joining}, "newcomer is joining"},
		"one votes in some groups only":           {[]Member{voter, voter, half}, "voter half"},
		"nobody is in service":                    {[]Member{pending, pending}, "nobody knows who votes"},
		"nobody is known":                         {nil, "nobody knows who votes"},
		"a voter is down, and one never came":     {[]Member{pending, voter, down}, "down"},
		"one in service is enough to know voters": {[]Member{pending, voter}, ""},
	} {
		v := MayShrinkNow(c.members)
		if v.Allowed != (c.refused == "") || !strings.Contains(v.Message, c.refused) || v.Allowed != (v.Message == "") {
			t.Errorf("%s: %+v, want %q", what, v, c.refused)
		}
	}
}
