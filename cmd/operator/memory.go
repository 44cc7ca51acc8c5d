package main

import (
	"context"
	"os"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// A large part of the heap is the cache, which stays, and each collection walks all of it. By Go's own rule the heap grows to twice what lives before it is collected: little beside a hundred
// clusters, and as much as the cache again beside a thousand. So garbage may fill what is left below a fixed amount of memory, of what lives at least a quarter and at most twice as much.
//
// A limit of memory (GOMEMLIMIT) would not do: it counts the holes between what lives, too, and beside a thousand clusters nothing was left for garbage but one collection after the other.
const (
	memoryGoal    = 128 << 20
	leastGarbage  = 25 // percent of what lives
	mostGarbage   = 200
	garbageBefore = 50 // until it is known what lives
	memoryLook    = 15 * time.Second
)

// garbagePercent is how much garbage there may be when so many bytes live, in percent of them: the unit of GOGC.
func garbagePercent(lives uint64) int {
	if lives == 0 {
		return garbageBefore
	}
	left := memoryGoal - min(memoryGoal, lives)
	return int(min(mostGarbage, max(leastGarbage, left*100/lives))) //nolint:gosec // it is at most mostGarbage
}

// boundMemory sets the percentage and lets it follow what lives until ctx ends. GOGC and GOMEMLIMIT in the environment say otherwise.
func boundMemory(ctx context.Context) {
	if os.Getenv("GOMEMLIMIT") != "" || os.Getenv("GOGC") != "" {
		return
	}
	percent := garbagePercent(0)
	debug.SetGCPercent(percent)
	go func() {
		ticker := time.NewTicker(memoryLook)
		defer ticker.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
				// Each change stops the program for a moment.
				if next := garbagePercent(living()); next != percent {
					percent = next
					debug.SetGCPercent(percent)
				}
			}
		}
	}()
}

// living are the bytes that the last collection found in use, and the stacks: what GOGC is a percentage of.
func living() uint64 {
	samples := []metrics.Sample{{Name: "/gc/heap/live:bytes"}, {Name: "/gc/scan/stack:bytes"}}
	metrics.Read(samples)
	var sum uint64
	for _, s := range samples {
		if s.Value.Kind() == metrics.KindUint64 {
			sum += s.Value.Uint64()
		}
	}
	return sum
}
