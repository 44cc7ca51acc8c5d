package robustmq

import "testing"

func TestATopicIsCalledByItsTenantOnlyWhereThatIsNotTheDefaultOne(t *testing.T) {
	for _, test := range [][3]string{{"", "a/b", "a/b"}, {"default", "a/b", "a/b"}, {"t1", "a/b", "t1/a/b"}} {
		if got := TopicTitle(test[0], test[1]); got != test[2] {
			t.Errorf("tenant %q, topic %q: %q, want %q", test[0], test[1], got, test[2])
		}
	}
}
