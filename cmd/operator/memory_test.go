package main

import (
	"runtime"
	"testing"
)

func TestGarbageMayFillWhatIsLeftBelowTheGoalWithinAShareOfWhatLives(t *testing.T) {
	for _, c := range []struct {
		name  string
		lives uint64
		want  int
	}{
		{"not known yet", 0, garbageBefore},
		{"next to nothing", 1 << 20, mostGarbage},
		{"half of the goal", memoryGoal / 2, 100},
		{"as much as leaves a quarter", memoryGoal / 5 * 4, leastGarbage},
		{"all of it", memoryGoal, leastGarbage},
		{"ten times as much", 10 * memoryGoal, leastGarbage},
	} {
		if got := garbagePercent(c.lives); got != c.want {
			t.Errorf("%s: %d %% for %d bytes, want %d %%", c.name, got, c.lives, c.want)
		}
	}
}

func TestWhatLivesIsKnown(t *testing.T) {
	runtime.GC()
	if got := living(); got < 1<<18 || got > 4<<30 {
		t.Errorf("%d bytes live", got)
	}
}
