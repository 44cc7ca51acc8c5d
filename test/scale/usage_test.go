package scale

import (
	"testing"
	"time"
)

func TestALineOfAProcessIsRead(t *testing.T) {
	line := "42 (a (b) c) S 7 42 42 0 -1 4194560 1 2 3 4 120 34 5 6 20 0 9 0 100 200"
	pid, name, parent, used, err := parseStat(line)
	if err != nil || pid != 42 || name != "a (b) c" || parent != 7 || used != 1540*time.Millisecond {
		t.Errorf("%d %q %d %s %v", pid, name, parent, used, err)
	}
	for _, broken := range []string{"", "42 (a S 7", "42 (a) S 7", "x (a) S 7 42 42 0 -1 4194560 1 2 3 4 120 34 5"} {
		if _, _, _, _, err := parseStat(broken); err == nil {
			t.Errorf("%q was read", broken)
		}
	}
}

func FuzzALineOfAProcess(f *testing.F) {
	f.Add("42 (a (b) c) S 7 42 42 0 -1 4194560 1 2 3 4 120 34 5 6 20 0 9 0 100 200")
	f.Add("1 () R")
	f.Fuzz(func(_ *testing.T, line string) { _, _, _, _, _ = parseStat(line) })
}
