package quorum

import (
	"fmt"
	"strings"
	"testing"
)

func TestAQuorumIsMoreThanHalf(t *testing.T) {
	for n, want := range map[int]int{-1: 0, 0: 0, 1: 1, 2: 2, 3: 2, 4: 3, 5: 3, 6: 4, 7: 4} {
		if got := Of(n); got != want {
			t.Errorf("Of(%d) = %d, want %d", n, got, want)
		}
		if n > 0 && Tolerates(n)+Of(n) != n {
			t.Errorf("%d voters: tolerated %d and quorum %d do not add up", n, Tolerates(n), Of(n))
		}
	}
}

func TestTwoQuorumsOfOneGroupAlwaysMeet(t *testing.T) {
	for n := 1; n <= 7; n++ {
		for a := 0; a < 1<<n; a++ {
			for b := 0; b < 1<<n; b++ {
				if bits(a) >= Of(n) && bits(b) >= Of(n) && a&b == 0 {
					t.Fatalf("%d voters: %0*b and %0*b are both quorums and share nobody", n, n, a, n, b)
				}
			}
		}
	}
}

// The whole world of 1 to 7 voters in which any subset is down: what MayGo allows leaves a quorum, and what it refuses would not.
func TestWhatMayGoLeavesAQuorumInEveryWorldOfUpToSevenVoters(t *testing.T) {
	worlds := 0
	for n := 1; n <= 7; n++ {
		for up := 0; up < 1<<n; up++ {
			for victim := range n {
				worlds++
				g := Group{Name: "metadata_0"}
				for i := range n {
					g.Voters = append(g.Voters, uint64(i+1))
					if up&(1<<i) != 0 {
						g.InService = append(g.InService, uint64(i+1))
					}
				}
				stays := bits(up &^ (1 << victim))
				want := stays >= Of(n) || n == 1
				got := MayGo(uint64(victim+1), []Group{g})
				if got.Allowed != want {
					t.Fatalf("%d voters, up %0*b, victim %d: allowed %v, want %v (%s)", n, n, up, victim+1, got.Allowed, want, got.Message)
				}
				if !got.Allowed && !strings.Contains(got.Message, fmt.Sprintf("node %d", victim+1)) {
					t.Fatalf("the refusal does not name the node: %s", got.Message)
				}
			}
		}
	}
	if worlds < 1500 {
		t.Fatalf("only %d worlds were tried", worlds)
	}
}

func TestOneGroupWithoutAQuorumHoldsTheMemberThatTheOthersWouldLetGo(t *testing.T) {
	full := Group{Name: "metadata_0", Voters: []uint64{1, 2, 3}, InService: []uint64{1, 2, 3}}
	thin := Group{Name: "data_0", Voters: []uint64{1, 2, 3}, InService: []uint64{1, 2}}
	v := MayGo(1, []Group{full, thin})
	if v.Allowed {
		t.Fatal("node 1 may go although data_0 would be left with one of three voters")
	}
	for _, word := range []string{"data_0", "down already: node 3"} {
		if !strings.Contains(v.Message, word) {
			t.Errorf("the refusal does not say %q: %s", word, v.Message)
		}
	}
}

func TestANodeThatIsNoVoterMayAlwaysGo(t *testing.T) {
	g := Group{Name: "metadata_0", Voters: []uint64{1, 2, 3}, InService: []uint64{1}}
	if v := MayGo(1001, []Group{g}); !v.Allowed {
		t.Fatal(v.Message)
	}
}

func bits(x int) (n int) {
	for ; x != 0; x &= x - 1 {
		n++
	}
	return n
}

func TestAFormerLeaderIsHarmlessOnceThoseThatHaveNotTurnedAwayAreNoQuorum(t *testing.T) {
	for n, enough := range map[int]int{2: 1, 3: 2, 4: 2, 5: 3, 6: 3, 7: 4} {
		for turned := range n {
			if got := Outvoted(n, turned); got != (turned >= enough) {
				t.Errorf("%d of %d: %t", turned, n, got)
			}
		}
	}
}
