package topology

import (
	"maps"
	"time"
)

// SeedMemory remembers the seeds of each pod that came to nothing since it was whole last. The zero value is ready for use; it lives in memory only and is forgotten with the operator's end, which only
// shortens one pause.
type SeedMemory struct {
	pods map[string]failedSeeds
}

type failedSeeds struct {
	failed int
	last   time.Time
	why    string
	donors map[uint64]int
}

// Failed notes a seed that came to nothing, and the node id of its donor; 0: none was chosen yet.
func (m *SeedMemory) Failed(pod, why string, donor uint64, now time.Time) {
	if m.pods == nil {
		m.pods = map[string]failedSeeds{}
	}
	next := failedSeeds{failed: m.pods[pod].failed + 1, last: now, why: why, donors: map[uint64]int{}}
	maps.Copy(next.donors, m.pods[pod].donors) // a snapshot may still show the old one
	if donor != 0 {
		next.donors[donor]++
	}
	m.pods[pod] = next
}

// Forget a pod that is whole again.
func (m *SeedMemory) Forget(pod string) { delete(m.pods, pod) }

// Tries are those of all pods, for the snapshot; nil when there are none.
func (m *SeedMemory) Tries(now time.Time) map[string]SeedTries {
	if len(m.pods) == 0 {
		return nil
	}
	out := make(map[string]SeedTries, len(m.pods))
	for pod, t := range m.pods {
		out[pod] = SeedTries{Failed: t.failed, Ago: now.Sub(t.last), Why: t.why, Donors: t.donors}
	}
	return out
}
