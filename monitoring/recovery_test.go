package monitoring

import (
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
)

func TestRecoveriesAreCountedByKind(t *testing.T) {
	r := NewRecoveries()
	r.Over("FaultyMember", 90*time.Second)
	r.Over("FaultyMember", time.Second)
	r.Over("LeaderLost", 35*time.Second)
	if n := testutil.CollectAndCount(r); n != 2 {
		t.Errorf("%d series", n)
	}
	problems, err := testutil.CollectAndLint(r)
	if err != nil || len(problems) > 0 {
		t.Errorf("%v %v", problems, err)
	}
	var none *Recoveries
	none.Over("LeaderLost", time.Second)
}
