package scale

import (
	"math/rand/v2"
	"time"
)

// MissTime is how long a read of memory takes that no cache has: the mean of two million reads, each at an address that the one before it gave, over 256 MiB. Where neighbours share caches and memory with
// a virtual machine it differs several times over between days, and the processor time of garbage-collected programs with it, while a hash is computed as fast as ever.
func MissTime() time.Duration {
	type line struct { // as long as what a cache loads at once
		next uint32
		_    [60]byte
	}
	lines := make([]line, 256<<20/64)
	order := rand.Perm(len(lines))
	for i, at := range order {
		lines[at].next = uint32(order[(i+1)%len(order)])
	}
	const reads = 2_000_000
	at := uint32(0)
	began := time.Now()
	for range reads {
		at = lines[at].next
	}
	took := time.Since(began)
	if int(at) >= len(lines) { // uses what was read, or the compiler may leave the reads out
		panic("a chain of reads left its memory")
	}
	return took / reads
}
