package alerts

import (
	"encoding/json"
	"strings"
	"testing"
)

// A thousand clusters have a copy each, in etcd and in Prometheus' configuration; and an object may not be larger than 1.5 MB.
func TestTheRulesOfAClusterAreSmall(t *testing.T) {
	groups, err := ForCluster(strings.Repeat("n", 63), strings.Repeat("c", 35))
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(groups)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d rules, %d bytes", len(groups[0].Rules), len(text))
	if len(text) > 64_000 {
		t.Errorf("%d bytes", len(text))
	}
}

// What it costs to make them, for those who compare all clusters after a start.
func BenchmarkForCluster(b *testing.B) {
	for b.Loop() {
		if _, err := ForCluster("apps", "orders"); err != nil {
			b.Fatal(err)
		}
	}
}
