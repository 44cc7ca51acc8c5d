package simulator_test

import (
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/robustmq/robustmq-operator/internal/robustmq"
	"github.com/robustmq/robustmq-operator/test/contract/lab"
)

// processorTime is what this process has used so far.
func processorTime(t *testing.T) time.Duration {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func TestFiveIdleServersCostLessThanATenthOfACore(t *testing.T) {
	if testing.Short() || lab.Real() {
		t.Skip("half a minute in real time")
	}
	l := lab.New(t, lab.Options{Speed: 1, Alone: true}) // what other tests use would count
	var nodes []*lab.Node
	for id := range uint64(3) {
		n := l.Node(id + 1).Start()
		nodes = append(nodes, n)
		l.Eventually(20*time.Second, n.Name+" is up", func() bool { return n.Open(lab.MQTT) })
	}
	for _, id := range []uint64{1001, 1002} {
		n := l.Node(id)
		n.Roles = []string{"broker", "engine"}
		nodes = append(nodes, n.Start())
	}
	l.Eventually(20*time.Second, "all are up, three of them voters", func() bool {
		for _, n := range nodes {
			if !n.Open(lab.MQTT) {
				return false
			}
		}
		return slices.Equal(nodes[0].Status()[robustmq.GroupMetadata].Voters(), []uint64{1, 2, 3})
	})
	const window = 8 * time.Second
	before, start := processorTime(t), time.Now()
	timer := time.NewTimer(window)
	defer timer.Stop()
	<-timer.C
	share := float64(processorTime(t)-before) / float64(time.Since(start))
	t.Logf("five idle servers: %.1f %% of a core", 100*share)
	if share > 0.1 {
		t.Errorf("five idle servers use %.1f %% of a core", 100*share)
	}
}
