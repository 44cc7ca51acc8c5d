package spelling

import "testing"

func TestTheDistanceCountsLettersUpToItsLimit(t *testing.T) {
	for _, c := range []struct {
		a, b        string
		limit, want int
	}{
		{"", "", 9, 0}, {"same", "same", 9, 0}, {"", "abc", 9, 3}, {"abc", "", 9, 3},
		{"replica", "replicas", 9, 1}, {"brokre", "broker", 9, 2}, {"kitten", "sitting", 9, 3}, {"kitten", "sitting", 2, 2},
		{"a", "aaaaaaaaaa", 3, 3}, {"abc", "xyz", 3, 3}, {"abc", "xyz", 4, 3},
	} {
		if got := Distance(c.a, c.b, c.limit); got != c.want {
			t.Errorf("%q to %q up to %d: %d, want %d", c.a, c.b, c.limit, got, c.want)
		}
		if got := Distance(c.b, c.a, c.limit); got != c.want {
			t.Errorf("%q to %q up to %d: %d, want %d", c.b, c.a, c.limit, got, c.want)
		}
	}
}
