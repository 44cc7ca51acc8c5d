package main

import (
	"context"
	"os"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// A large part of the heap is the cache, which stays, and each collection walks all of it. By Go's own rule the heap grows to twice what lives before it is collected: little beside a hundred
// clusters, and as much as the cache again beside a thousand. So garbage may fill what is left below a fixed amount of memory, and beyond that a quarter of what lives.
const (
	memoryGoal  = 232 << 20
	memoryShare = 4
	memoryLook  = 15 * time.Second
)

// memoryLimit is what the program may take when so many bytes live: in the heap, in stacks and in the runtime's own tables.
func memoryLimit(lives uint64) int64 {
	return max(memoryGoal, int64(lives+lives/memoryShare)) //nolint:gosec // no machine has so much
}

// boundMemory sets the limit and lets it follow what lives until ctx ends. GOGC and GOMEMLIMIT in the environment say otherwise.
func boundMemory(ctx context.Context) {
	if os.Getenv("GOMEMLIMIT") != "" || os.Getenv("GOGC") != "" {
		return
	}
	debug.SetMemoryLimit(memoryLimit(0))
	go func() {
		ticker := time.NewTicker(memoryLook)
		defer ticker.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
				debug.SetMemoryLimit(memoryLimit(living()))
			}
		}
	}()
}

// living are the bytes that the last collection found in use, and those that no collection frees.
func living() uint64 {
	samples := []metrics.Sample{
		{Name: "/gc/heap/live:bytes"}, {Name: "/memory/classes/heap/stacks:bytes"}, {Name: "/memory/classes/metadata/mcache/inuse:bytes"}, {Name: "/memory/classes/metadata/mspan/inuse:bytes"},
		{Name: "/memory/classes/metadata/other:bytes"}, {Name: "/memory/classes/other:bytes"}, {Name: "/memory/classes/profiling/buckets:bytes"},
	}
	metrics.Read(samples)
	var sum uint64
	for _, s := range samples {
		if s.Value.Kind() == metrics.KindUint64 {
			sum += s.Value.Uint64()
		}
	}
	return sum
}
