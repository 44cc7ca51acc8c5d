package main

import (
	"runtime"
	"testing"
)

func TestGarbageMayFillWhatIsLeftBelowTheGoalWithinAShareOfWhatLives(t *testing.T) {
	for _, c := range []struct {
		name     string
		lives    uint64
		changing int
		want     int
	}{
		{"not known yet", 0, 0, garbageBefore},
		{"next to nothing", 1 << 20, 0, mostGarbage},
		{"half of the goal", memoryGoal / 2, 0, 100},
		{"as much as leaves a quarter", memoryGoal / 5 * 4, 0, leastGarbage},
		{"all of it", memoryGoal, busyFrom - 1, leastGarbage},
		{"ten times as much", 10 * memoryGoal, 0, leastGarbage},
		{"half of what there may be while many change", busyGoal / 2, busyFrom, 100},
		{"all of that", busyGoal, busyFrom, leastGarbage},
		{"next to nothing while many change", 1 << 20, busyFrom, mostGarbage},
	} {
		if got := garbagePercent(c.lives, c.changing); got != c.want {
			t.Errorf("%s: %d %% for %d bytes and %d clusters, want %d %%", c.name, got, c.lives, c.changing, c.want)
		}
	}
}

func TestWhatLivesIsKnown(t *testing.T) {
	runtime.GC()
	if got := living(); got < 1<<18 || got > 4<<30 {
		t.Errorf("%d bytes live", got)
	}
}
