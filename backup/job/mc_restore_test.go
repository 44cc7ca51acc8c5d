package job_test

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
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
// three times over, from the same MinIO over TLS. A round before those is not counted: its pages are the first of the folders in memory, and it was seen to take twice the processor time of the others.
// Members and folders are in memory (BENCH_MEMORY_DIR, default /dev/shm). It prints what each took, and fails where the median of the ratios, or the Job's memory, misses its target. Every member is a process, as every mc is; elsewhere they have machines of their own. Beside the times stands the processor time of all processes together, MinIO's
// included: that of a machine that is busy with other things says more.
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
	var ratios, cpuRatios []float64
	var peakMiB int64
	for round := range mcRounds + 1 {
		var took, theirs time.Duration
		var ofServer, ofMembers, theirServer, theirClients time.Duration // processor time
		var out childOutput
		work := []func(){
			func() {
				dir := filepath.Join(memory, fmt.Sprintf("members-%d", round))
				var all []*restoredMember
				var processes []*memberProcess
				for i := range members {
					p := startMember(b, childInput{Root: w.root, NodeID: uint64(i + 1), Volume: filepath.Join(dir, fmt.Sprint(i))})
					processes = append(processes, p)
					all = append(all, p.member)
				}
				began, before := time.Now(), m.server.cpu(b)
				out = child(b, "job", childInput{Root: w.root, Kind: job.Restore, Request: w.restore(backup, all)})
				took, ofServer = time.Since(began), m.server.cpu(b)-before
				for _, p := range processes {
					ofMembers += p.end(b)
					p.member.wantFiles(w.agent.files)
				}
				remove(b, dir)
			},
			func() {
				dir := filepath.Join(memory, fmt.Sprintf("mc-%d", round))
				errs, used := make([]error, members), make([]time.Duration, members)
				var group sync.WaitGroup
				began, before := time.Now(), m.server.cpu(b)
				for i := range members {
					group.Go(func() {
						used[i], errs[i] = m.try(b, "cp", "--recursive", "--quiet", "bench/backups/bench/"+uid+"/", filepath.Join(dir, fmt.Sprint(i))+"/")
					})
				}
				group.Wait()
				theirs, theirClients, theirServer = time.Since(began), used[0]+used[1]+used[2], m.server.cpu(b)-before
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
		if round == 0 {
			continue
		}
		ratio := theirs.Seconds() / took.Seconds()
		cpu, theirCPU := out.CPU+ofServer+ofMembers, theirClients+theirServer
		cpuRatios = append(cpuRatios, theirCPU.Seconds()/cpu.Seconds())
		ratios = append(ratios, ratio)
		peakMiB = max(peakMiB, out.PeakKiB>>10)
		total := members * float64(backup.SizeBytes) / (1 << 20)
		b.Logf("round %d: Job %.0f MiB/s, three of mc cp %.0f MiB/s together, ratio %.2f; processor time %.2f s (Job %.2f, members %.2f, MinIO %.2f) and %.2f s (mc %.2f, MinIO %.2f), ratio %.2f; the Job took %d MiB at most",
			round, total/took.Seconds(), total/theirs.Seconds(), ratio, cpu.Seconds(), out.CPU.Seconds(), ofMembers.Seconds(), ofServer.Seconds(),
			theirCPU.Seconds(), theirClients.Seconds(), theirServer.Seconds(), theirCPU.Seconds()/cpu.Seconds(), out.PeakKiB>>10)
	}
	slices.Sort(ratios)
	slices.Sort(cpuRatios)
	median := ratios[len(ratios)/2]
	b.ReportMetric(median, "x_of_mc")
	b.ReportMetric(cpuRatios[len(cpuRatios)/2], "cpu_x_of_mc")
	b.ReportMetric(float64(peakMiB), "peak_MiB")
	b.ReportMetric(0, "ns/op") // says nothing: it is the time of both
	if median < leastOfMCRestored || peakMiB >= jobMemoryMiB {
		b.Errorf("%.2f of three mc cp, target at least %.1f; peak of %d MiB, target below %d: MISSED", median, leastOfMCRestored, peakMiB, jobMemoryMiB)
	}
}

// memberProcess is a member that is a process of its own.
type memberProcess struct {
	member *restoredMember
	cmd    *exec.Cmd
	stdin  io.Closer
}

// startMember runs this binary as a member.
func startMember(b *testing.B, in childInput) *memberProcess {
	b.Helper()
	text, err := json.Marshal(in)
	if err != nil {
		b.Fatal(err)
	}
	p := &memberProcess{member: &restoredMember{t: b, dir: filepath.Join(in.Volume, "placement")}, cmd: exec.CommandContext(b.Context(), os.Args[0])}
	p.cmd.Env = append(os.Environ(), envChild+"=member", envInput+"="+string(text))
	p.cmd.Stderr = os.Stderr
	stdin, err := p.cmd.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	p.stdin = stdin
	stdout, err := p.cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		b.Fatal(err)
	}
	if err := json.NewDecoder(stdout).Decode(&p.member.RestoreMember); err != nil {
		b.Fatal(err)
	}
	return p
}

// end the process, and say what processor time it took.
func (p *memberProcess) end(b *testing.B) time.Duration {
	b.Helper()
	p.stdin.Close()
	if err := p.cmd.Wait(); err != nil {
		b.Fatal(err)
	}
	return p.cmd.ProcessState.UserTime() + p.cmd.ProcessState.SystemTime()
}

// memberProgram serves one member until nobody holds its standard input any more.
func memberProgram(in childInput) error {
	config, err := agentTLS(in.Root)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(in.Volume, 0o700); err != nil {
		return err
	}
	m := &restoredMember{dir: filepath.Join(in.Volume, "placement")}
	m.Pod, m.NodeID = fmt.Sprintf("my-cluster-placement-center-%d", in.NodeID-1), in.NodeID
	if err := m.start(); err != nil {
		return err
	}
	m.serve(config)
	if err := json.NewEncoder(os.Stdout).Encode(m.RestoreMember); err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

func remove(b *testing.B, dir string) {
	b.Helper()
	if err := os.RemoveAll(dir); err != nil {
		b.Fatal(err)
	}
}
