package quorum

import (
	"strings"
	"testing"
)

func TestNobodyIsCalledDownWhenNobodyIs(t *testing.T) {
	v := MayGo(1, []Group{{Name: "metadata_0", Voters: []uint64{1, 2}, InService: []uint64{1, 2}}})
	if v.Allowed || strings.Contains(v.Message, "down already") {
		t.Errorf("one of two, both up: %+v", v)
	}
}

func TestFewerThanOneVoterToleratesNothing(t *testing.T) {
	for n, want := range map[int]int{-7: 0, -1: 0, 0: 0, 1: 0, 2: 0, 3: 1} {
		if got := Tolerates(n); got != want {
			t.Errorf("Tolerates(%d) = %d, want %d", n, got, want)
		}
	}
}
