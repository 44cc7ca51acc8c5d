package cluster

import (
	"testing"
	"time"

	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
)

func TestALifeEndsWithTheDataAndWithASnapshotWithoutItsEntriesAlone(t *testing.T) {
	written := time.Unix(1000, 0)
	marker := func(change func(*protocol.Marker)) string {
		m := &protocol.Marker{Origin: protocol.OriginSeeded, Generation: 1, Written: written, EmptySnapshot: map[string]uint64{"metadata_0": 0}}
		change(m)
		return lifeOf(m)
	}
	before := marker(func(*protocol.Marker) {})
	for name, c := range map[string]struct {
		change func(*protocol.Marker)
		same   bool
	}{
		"nothing":                               {func(*protocol.Marker) {}, true},
		"it became a member":                    {func(m *protocol.Marker) { m.Member, m.HasData = true, true }, true},
		"other data":                            {func(m *protocol.Marker) { m.Written = written.Add(time.Second) }, false},
		"a restore":                             {func(m *protocol.Marker) { m.Generation = 2 }, false},
		"another empty snapshot":                {func(m *protocol.Marker) { m.EmptySnapshot["data_0"] = 7 }, false},
		"a later empty snapshot, same group":    {func(m *protocol.Marker) { m.EmptySnapshot["metadata_0"] = 9 }, false},
		"the empty snapshot went with its data": {func(m *protocol.Marker) { m.EmptySnapshot = nil }, false},
	} {
		if got := marker(c.change); (got == before) != c.same {
			t.Errorf("%s: %q became %q", name, before, got)
		}
	}
}
