package quorum

import "testing"

// ids are the nodes 1 to 4 whose bits are set.
func ids(set int) (out []uint64) {
	for i := range uint64(4) {
		if set&(1<<i) != 0 {
			out = append(out, i+1)
		}
	}
	return out
}

// Every pair of memberships of up to four nodes: whoever is called indispensable is in every set of nodes that could have agreed upon something, before the change, during it, or after it.
func TestNothingCanHaveBeenAgreedUponWithoutWhoIsIndispensable(t *testing.T) {
	agree := func(set, config int) bool { return 2*bits(set&config) > bits(config) }
	worlds, called := 0, 0
	for older := 1; older < 16; older++ {
		for newer := 1; newer < 16; newer++ {
			for id := uint64(1); id <= 4; id++ {
				worlds++
				without := false
				for set := range 16 {
					if set&(1<<(id-1)) == 0 && (agree(set, older) || agree(set, newer)) {
						without = true
					}
				}
				if got := Indispensable(id, [][]uint64{ids(older), ids(newer)}); got == without {
					t.Errorf("node %d, %v to %v: %t", id, ids(older), ids(newer), got)
				} else if got {
					called++
				}
				if older == newer && Indispensable(id, [][]uint64{ids(older)}) == without {
					t.Errorf("node %d of %v", id, ids(older))
				}
			}
		}
	}
	t.Logf("%d worlds, somebody is indispensable in %d", worlds, called)
	if called == 0 || Indispensable(1, nil) {
		t.Error("of no membership nothing is known")
	}
}
