package restore

import (
	"fmt"
	"slices"
	"testing"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
)

func TestTopicsThatTheBackupDoesNotKnowAreNamed(t *testing.T) {
	before := &inventory{topics: map[string]string{"1": "a", "2": "late", "3": "again"}}
	after := &inventory{topics: map[string]string{"1": "a", "9": "again"}}
	if got := orphans(before, after); !slices.Equal(got, []string{"again", "late"}) {
		t.Errorf("%v", got)
	}
	if got := orphans(nil, after); got != nil {
		t.Errorf("what was not listed before: %v", got)
	}
	if got := orphans(before, nil); got != nil {
		t.Errorf("what was not listed afterwards: %v", got)
	}
}

func TestMoreOrphansThanTheStatusTakesAreCounted(t *testing.T) {
	o := seen(v1alpha1.RestoreStarting)
	var many []string
	for i := range 100 {
		many = append(many, fmt.Sprintf("topic-%03d", i))
	}
	s := computeStatus(o, verdict{stage: v1alpha1.RestoreComplete, reason: v1alpha1.ReasonRestoreComplete, orphans: many}, DefaultTimings())
	if s.OrphanTopicCount != 100 || len(s.OrphanTopics) != maxOrphans {
		t.Errorf("%d, %d", s.OrphanTopicCount, len(s.OrphanTopics))
	}
}

func FuzzReadList(f *testing.F) {
	for _, text := range []string{`{"data":[{"topic_id":"1","topic_name":"a","tenant":"default"}],"total_count":1}`, `{"total_count":-1}`, `{"data":null}`, `[]`, `{"data":[{}],"total_count":9}`} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		if _, total, err := readList(raw); err == nil && total < 0 {
			t.Errorf("%d rows", total)
		}
	})
}
