package main

import "testing"

func TestGarbageMayFillWhatIsLeftBelowTheGoalAndBeyondItAQuarterOfWhatLives(t *testing.T) {
	for _, c := range []struct {
		name  string
		lives uint64
		limit int64
	}{
		{"nothing yet", 0, memoryGoal},
		{"a hundred clusters", 60 << 20, memoryGoal},
		{"as much as leaves a quarter", memoryGoal / 5 * 4, memoryGoal},
		{"more than that", memoryGoal, memoryGoal / 4 * 5},
		{"ten times as much", 10 * memoryGoal, memoryGoal / 4 * 50},
	} {
		if got := memoryLimit(c.lives); got < c.limit-8 || got > c.limit+8 {
			t.Errorf("%s: %d bytes live, the limit is %d, want %d", c.name, c.lives, got, c.limit)
		}
	}
}

func TestWhatLivesIsKnown(t *testing.T) {
	if got := living(); got < 1<<20 || got > 4<<30 {
		t.Errorf("%d bytes live", got)
	}
}
