package simulated

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/test/simulated/world"
)

// formations is how many random formations are tried: SIM_FORMATIONS, default 16. SIM_SEED tries only one.
func formations(t *testing.T) []uint64 {
	t.Helper()
	number := func(name string, otherwise uint64) uint64 {
		text := os.Getenv(name)
		if text == "" {
			return otherwise
		}
		n, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		return n
	}
	if seed := number("SIM_SEED", 0); seed != 0 {
		return []uint64{seed}
	}
	first := number("SIM_FIRST_SEED", 1)
	var seeds []uint64
	for i := range number("SIM_FORMATIONS", 16) {
		seeds = append(seeds, first+i)
	}
	return seeds
}

func TestRandomFormationsUnderFaultsAlwaysEndAsOneCluster(t *testing.T) {
	t.Parallel()
	for _, seed := range formations(t) {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			t.Parallel()
			r := rand.New(rand.NewPCG(seed, 1))
			members := []int{1, 3, 3, 3, 3, 5}[r.IntN(6)]
			brokers := 1 + r.IntN(3)
			more := ""
			if r.IntN(4) == 0 {
				more = "  journalServer: {replicas: 2}\n"
			}
			w := env.New(t, world.Options{
				Seed: seed, Nodes: 5, DNSDelay: time.Duration(r.Int64N(int64(6 * time.Second))), SecretDelay: time.Duration(r.Int64N(int64(90 * time.Second))),
			})
			if r.IntN(2) == 0 {
				w.Network.Delay(0, w.Scaled(time.Duration(r.Int64N(int64(200*time.Millisecond)))))
			}
			w.StartOperator()
			c := w.Apply(manifest(newest, members, brokers, more))
			plan := world.NewPlan(r, w.AllPods(c))
			t.Logf("seed %d: %d members, %d brokers%s; %s", seed, members, brokers, strings.TrimSuffix(more, "\n"), fmt.Sprint(plan))
			heal := w.Suffer(plan)
			heal()
			healed := time.Now()
			formed(t, w)
			// Bounded: with everything mended, the longest repairs are a crash back-off and two roll-backs after each other.
			took := time.Duration(float64(time.Since(healed)) * w.Speed)
			t.Logf("seed %d: whole %v of real life after the last fault", seed, took.Round(time.Second))
			for _, pod := range w.Founders() {
				if pod != w.Pods(c, v1alpha1.RolePlacementCenter)[0] {
					t.Logf("seed %d: %s founded a cluster of its own for a while", seed, pod)
				}
			}
		})
	}
}
