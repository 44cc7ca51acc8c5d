package scale

import (
	"testing"
	"time"
)

func TestAReadPastTheCachesTakesLongerThanAnInstructionAndLessThanADisk(t *testing.T) {
	if took := MissTime(); took < 5*time.Nanosecond || took > 20*time.Microsecond {
		t.Errorf("%s", took)
	} else {
		t.Logf("%s", took)
	}
}
