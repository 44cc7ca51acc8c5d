package job_test

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/robustmq/robustmq-operator/backup/job"
)

// leastOfMCRestored is how fast a restore has to be at least, where `mc cp` of the same objects to as many folders at once is 1.
const leastOfMCRestored = 0.7

// BenchmarkAGibibyteToThreeMembersBesideMC brings a backup of 16 tables of 64 MiB to three members, and copies its objects with three of MinIO's own clients at once to three folders, alternately and
// three times over, from the same MinIO over TLS. Members and folders are in memory (BENCH_MEMORY_DIR, default /dev/shm). It prints what each took, and fails where the median of the ratios, or the
// Job's memory, misses its target. The agents, which elsewhere have machines of their own and encrypt, verify and write three times what the Job reads, are in the benchmark's process.
func BenchmarkAGibibyteToThreeMembersBesideMC(b *testing.B) {
	minio, mc := built(b, "minio"), built(b, "mc")
	memory, err := os.MkdirTemp(cmp.Or(os.Getenv("BENCH_MEMORY_DIR"), "/dev/shm"), "restore-bench-")
	if err != nil {
		b.Skipf("no folder in memory: %v", err)
	}
	b.Cleanup(func() { os.RemoveAll(memory) }) //nolint:errcheck // of a benchmark
	var sizes []int64
	for range 16 {
		sizes = append(sizes, 64<<20)
	}
	w := bulk(b, sizes)
	s := startMinIO(b, minio, true)
	m := mcClient{s, mc, b.TempDir()}
	m.trust(b)
	m.run(b, "mb", "bench/backups")
	d := &w.request.Destination
	d.Endpoint, d.Bucket, d.Region, d.PrivateCA, d.Prefix = s.url, "backups", "us-east-1", true, "bench"
	put(b, w.root, job.CAFile, s.authority)
	w.secret("accessKey", s.accessKey)
	w.secret("secretKey", s.secretKey)
	backup := child(b, "job", childInput{Root: w.root, Request: w.take("bench", noon)}).Result
	for b.Loop() {
		restoreBesideMC(b, w, m, backup, memory)
	}
}

func restoreBesideMC(b *testing.B, w *world, m mcClient, backup job.Result, memory string) {
	b.Helper()
	const members = 3
	var ratios []float64
	var peakMiB int64
	for round := range mcRounds {
		var took, theirs time.Duration
		var out childOutput
		work := []func(){
			func() {
				dir := filepath.Join(memory, fmt.Sprintf("members-%d", round))
				var all []*restoredMember
				for i := range members {
					all = append(all, w.memberAt(uint64(i+1), filepath.Join(dir, fmt.Sprint(i))))
				}
				began := time.Now()
				out = child(b, "job", childInput{Root: w.root, Kind: job.Restore, Request: w.restore(backup, all)})
				took = time.Since(began)
				for _, member := range all {
					member.wantWhole(w.agent.files)
				}
				remove(b, dir)
			},
			func() {
				dir := filepath.Join(memory, fmt.Sprintf("mc-%d", round))
				errs := make([]error, members)
				var group sync.WaitGroup
				began := time.Now()
				for i := range members {
					group.Go(func() {
						errs[i] = m.try(b, "cp", "--recursive", "--quiet", "bench/backups/bench/"+uid+"/", filepath.Join(dir, fmt.Sprint(i))+"/")
					})
				}
				group.Wait()
				theirs = time.Since(began)
				if err := errors.Join(errs...); err != nil {
					b.Fatal(err)
				}
				remove(b, dir)
			},
		}
		if round%2 == 1 {
			slices.Reverse(work)
		}
		for _, do := range work {
			do()
		}
		ratio := theirs.Seconds() / took.Seconds()
		ratios = append(ratios, ratio)
		peakMiB = max(peakMiB, out.PeakKiB>>10)
		total := members * float64(backup.SizeBytes) / (1 << 20)
		b.Logf("round %d: Job %.0f MiB/s, three of mc cp %.0f MiB/s together, ratio %.2f; the Job took %.2f s of processor time and %d MiB at most", round+1,
			total/took.Seconds(), total/theirs.Seconds(), ratio, out.CPU.Seconds(), out.PeakKiB>>10)
	}
	slices.Sort(ratios)
	median := ratios[len(ratios)/2]
	b.ReportMetric(median, "x_of_mc")
	b.ReportMetric(float64(peakMiB), "peak_MiB")
	b.ReportMetric(0, "ns/op") // says nothing: it is the time of both
	if median < leastOfMCRestored || peakMiB >= jobMemoryMiB {
		b.Errorf("%.2f of three mc cp, target at least %.1f; peak of %d MiB, target below %d: MISSED", median, leastOfMCRestored, peakMiB, jobMemoryMiB)
	}
}

func remove(b *testing.B, dir string) {
	b.Helper()
	if err := os.RemoveAll(dir); err != nil {
		b.Fatal(err)
	}
}
