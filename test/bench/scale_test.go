package bench

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/robustmq/robustmq-operator/test/apiserver"
	"github.com/robustmq/robustmq-operator/test/scale"
)

// What the operator is held to.
const (
	memoryLimit = 256 << 20
	// memoryGrowth is by how much memory may be more after Secrets of others were made: the collector's own ups and downs are as large.
	memoryGrowth = 1.05
	// idleProcessors is how many of them a hundred clusters at rest may keep busy.
	idleProcessors = 0.050
	idleLasting    = 2 * time.Minute
	// idleAfter is how long nothing is written until a fleet is at rest: longer than the 33 s in which every quiet cluster is looked at once, and than the 30 s after which its members are counted.
	idleAfter     = 70 * time.Second
	othersSecrets = 600
	othersSize    = 1_000_000
	scaleNumbers  = "BENCH_SCALE"
)

// scaleGoals are the numbers of clusters, and within what time they have to be ready.
var scaleGoals = map[int]time.Duration{100: time.Minute, 500: 5 * time.Minute, 1000: 10 * time.Minute}

// figures of one fleet.
type figures struct {
	clusters       int
	converged      time.Duration
	used           scale.Usage // until all were ready
	writes         int         // until it was at rest
	idleWrites     int
	idleProcessors float64
	resident, peak int64
	withSecrets    int64 // 0: not measured
	miss           time.Duration
}

// BenchmarkScale creates fleets of 100, 500 and 1,000 clusters of three members and three brokers, each in an API server of its own, with the operator's program as a process beside it, and
// fails when one takes longer to be ready than it may, when the operator writes anything, or works too much, while all rest, or when it holds too much memory: beside 1,000 clusters and
// when others make 600 Secrets of a megabyte each. Pods are objects, their agents are simulated (package test/scale). BENCH_SCALE=20,100 says other numbers.
func BenchmarkScale(b *testing.B) {
	apiserver.Need(b)
	log.SetLogger(logr.Discard())
	program, err := scale.Build(b.Context(), repository, b.TempDir())
	must(b, err)
	numbers := []int{100, 500, 1000}
	if text := os.Getenv(scaleNumbers); text != "" {
		numbers = nil
		for _, field := range strings.Split(text, ",") {
			n, err := strconv.Atoi(field)
			must(b, err)
			numbers = append(numbers, n)
		}
	}
	var all []figures
	for _, n := range numbers {
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			all = append(all, fleet(b, program, n, n == slices.Max(numbers)))
		})
	}
	b.Logf("%d processors, shared with the API server, etcd and everything that is simulated\n%s", runtime.GOMAXPROCS(0), table(all))
}

// fleet measures one number of clusters.
func fleet(b *testing.B, program string, n int, secrets bool) figures {
	ctx := b.Context()
	f := figures{clusters: n, miss: scale.MissTime()}
	w, err := scale.Start(ctx, repository, program, n, strings.Fields(os.Getenv("BENCH_SCALE_FLAGS"))...)
	must(b, err)
	b.Cleanup(func() { must(b, w.Stop()) })

	goal, ok := scaleGoals[n]
	if !ok {
		goal = time.Duration(max(n, 100)) * 600 * time.Millisecond
	}
	start, err := w.Usage()
	must(b, err)
	began := time.Now()
	must(b, w.Create(ctx, n))
	told := began
	eventually(b, 2*goal, fmt.Sprintf("%d clusters to be ready", n), func() bool {
		ready := w.Ready()
		if now := time.Now(); now.Sub(told) > 20*time.Second {
			told = now
			resident, _, err := w.Operator.Memory()
			must(b, err)
			used, err := w.Usage()
			must(b, err)
			b.Logf("%s: %d of %d clusters are ready (not: %s), the operator holds %.0f MiB; %s", now.Sub(began).Round(time.Second), ready, n, w.NotReady(), mib(resident), used.Minus(start))
		}
		return ready == n
	})
	f.converged = time.Since(began)
	used, err := w.Usage()
	must(b, err)
	f.used = used.Minus(start)
	b.Logf("%d clusters are ready after %s; %s", n, f.converged.Round(time.Second), f.used)
	must(b, w.Wrong())
	f.writes, err = rest(b, w)
	must(b, err)

	before, err := w.Usage()
	must(b, err)
	measured := time.Now()
	pass(b.Context(), idleLasting)
	took := time.Since(measured)
	after, err := w.Usage()
	must(b, err)
	idle, err := w.Writes()
	must(b, err)
	f.idleWrites, f.idleProcessors = len(idle), after.Minus(before).Operator.Seconds()/took.Seconds()
	f.resident, f.peak, err = w.Operator.Memory()
	must(b, err)
	profile(b, w, fmt.Sprintf("idle-%d", n))

	if secrets {
		w.StopControllers()
		must(b, w.AddSecrets(ctx, othersSecrets, othersSize))
		pass(ctx, time.Minute)
		f.withSecrets, f.peak, err = w.Operator.Memory()
		must(b, err)
	}
	must(b, w.Wrong())
	if w.Ready() != n {
		b.Errorf("%d of %d clusters are ready at the end", w.Ready(), n)
	}
	judge(b, f, goal, idle)
	return f
}

// judge fails when a limit is missed.
func judge(b *testing.B, f figures, goal time.Duration, idle []scale.Write) {
	b.ReportMetric(f.converged.Seconds(), "s-to-ready")
	b.ReportMetric(mib(f.resident), "MiB-resident")
	b.ReportMetric(1000*f.idleProcessors*100/float64(f.clusters), "m-idle/100-clusters")
	b.ReportMetric(float64(f.writes)/float64(f.clusters), "writes/cluster")
	b.ReportMetric(0, "ns/op") // says nothing: the number of clusters is given
	if f.converged > goal {
		b.Errorf("%d clusters are ready after %s, want within %s", f.clusters, f.converged.Round(time.Second), goal)
	}
	if len(idle) > 0 {
		b.Errorf("%d writes within %s while nothing was to be done, such as %s", len(idle), idleLasting, idle[0])
	}
	if f.idleProcessors*100/float64(f.clusters) >= idleProcessors && f.clusters >= 100 { // fewer do not outweigh what the process needs by itself
		b.Errorf("at rest the operator keeps %.0f m busy for every 100 clusters, want less than %.0f m", 1000*f.idleProcessors*100/float64(f.clusters), 1000*idleProcessors)
	}
	if f.resident >= memoryLimit {
		b.Errorf("the operator holds %.0f MiB beside %d clusters, want less than %.0f MiB", mib(f.resident), f.clusters, mib(memoryLimit))
	}
	if float64(f.withSecrets) > memoryGrowth*float64(f.resident) {
		b.Errorf("with %d Secrets of others the operator holds %.0f MiB, without them %.0f MiB", othersSecrets, mib(f.withSecrets), mib(f.resident))
	}
}

// rest waits until nothing was written for a while, and returns how much was written until then.
func rest(b *testing.B, w *scale.World) (writes int, err error) {
	last, some := time.Now(), scale.Write{}
	eventually(b, 5*time.Minute, "the operator to have nothing to write", func() bool {
		var more []scale.Write
		if more, err = w.Writes(); err != nil {
			return true
		}
		if writes += len(more); len(more) > 0 {
			last, some = time.Now(), more[len(more)-1]
		}
		return time.Since(last) > idleAfter
	})
	b.Logf("the last write was %s", some)
	return writes, err
}

func eventually(b *testing.B, within time.Duration, what string, done func() bool) {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.Context(), within)
	defer cancel()
	for !done() {
		pass(ctx, 200*time.Millisecond)
		if ctx.Err() != nil {
			b.Fatalf("waited %s for %s", within, what)
		}
	}
}

// pass lets time go by.
func pass(ctx context.Context, d time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	<-ctx.Done()
}

// profile keeps what the operator holds in memory, where BENCH_SCALE_PROFILES names a folder.
func profile(b *testing.B, w *scale.World, name string) {
	dir := os.Getenv("BENCH_SCALE_PROFILES")
	if dir == "" {
		return
	}
	must(b, w.Operator.SaveProfiles(b.Context(), filepath.Join(dir, name)))
}

func mib(bytes int64) float64 { return float64(bytes) / (1 << 20) }

// table is for docs/performance.md.
func table(all []figures) string {
	var t strings.Builder
	t.WriteString("| clusters | pods | all ready after | processor time a cluster until then: operator | and everything | writes a cluster | memory at rest | highest | with 600 Secrets of others | processor at rest, per 100 clusters | writes in 2 min at rest | a read past the caches |\n|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|\n")
	for _, f := range all {
		with := "–"
		if f.withSecrets > 0 {
			with = fmt.Sprintf("%.0f MiB", mib(f.withSecrets))
		}
		fmt.Fprintf(&t, "| %d | %d | %.0f s | %.2f s | %.2f s | %.0f | %.0f MiB | %.0f MiB | %s | %.1f m | %d | %d ns |\n", f.clusters, f.clusters*scale.Pods, f.converged.Seconds(), f.used.Operator.Seconds()/float64(f.clusters), (f.used.Operator+f.used.APIServer+f.used.Etcd+f.used.Simulated).Seconds()/float64(f.clusters), float64(f.writes)/float64(f.clusters),
			mib(f.resident), mib(f.peak), with, 1000*f.idleProcessors*100/float64(f.clusters), f.idleWrites, f.miss.Nanoseconds())
	}
	return t.String()
}
