package job_test

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"os"
	"os/exec"
	"runtime/debug"
	"runtime/pprof"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"github.com/robustmq/robustmq-operator/backup/archive"
	"github.com/robustmq/robustmq-operator/backup/job"
)

// Programs that this test's binary can be, so that what is measured has a process of its own.
const (
	envChild = "BACKUP_JOB_TEST_CHILD" // "job", "plain" or "member"
	envInput = "BACKUP_JOB_TEST_INPUT" // JSON of childInput
)

type childInput struct {
	Root    string
	Kind    job.Kind // of the Job; empty: Take
	Request job.Request
	Tables  []int64 // sizes, for the plain upload
	Volume  string  // of a member
	NodeID  uint64
}

type childOutput struct {
	Result  job.Result
	Millis  int64
	CPU     time.Duration
	PeakKiB int64
}

func TestMain(m *testing.M) {
	child := os.Getenv(envChild)
	if child == "" {
		os.Exit(m.Run())
	}
	var in childInput
	if err := json.Unmarshal([]byte(os.Getenv(envInput)), &in); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	stop := profiled(child)
	defer stop()
	if child == "member" {
		if err := memberProgram(in); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	var out childOutput
	began := time.Now()
	if child == "job" {
		debug.SetMemoryLimit(job.MemoryLimit) // as the program does
		out.Result = job.Run(context.Background(), cmp.Or(in.Kind, job.Take), in.Request, job.Options{Holder: "child", Tool: "test", Root: in.Root, Log: slog.New(slog.NewJSONHandler(os.Stderr, nil))})
	} else if err := plainUpload(in); err != nil {
		out.Result.Message = err.Error()
	}
	out.Millis = time.Since(began).Milliseconds()
	out.PeakKiB = peak()
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err == nil {
		out.CPU = time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
	}
	json.NewEncoder(os.Stdout).Encode(out) //nolint:errcheck // the parent sees
}

// profiled writes what the processor time of this process goes into until it ends, where BENCH_CPU_PROFILE names the beginning of a file's name.
func profiled(child string) (stop func()) {
	name := os.Getenv("BENCH_CPU_PROFILE")
	if name == "" {
		return func() {}
	}
	f, err := os.Create(fmt.Sprintf("%s-%s-%d", name, child, os.Getpid()))
	if err == nil {
		err = pprof.StartCPUProfile(f)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	return pprof.StopCPUProfile
}

// peak of the process's memory as the kernel counts it, in KiB. The usage that a parent gets of its child counts the parent's own too.
func peak() int64 {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(status)) {
		var n int64
		if _, err := fmt.Sscanf(line, "VmHWM: %d kB", &n); err == nil {
			return n
		}
	}
	return 0
}

var pattern = random(42, 4<<20)

// table is a file of a size whose content nothing compresses, made as it is read.
func table(number int, size int64) content {
	return content{size, func(offset int64) io.Reader {
		return io.LimitReader(&generated{number: number, at: offset}, size-offset)
	}}
}

type generated struct {
	number int
	at     int64
}

// Read implements io.Reader: the pattern, begun elsewhere in each file.
func (g *generated) Read(p []byte) (int, error) {
	block := int64(len(pattern))
	start := (g.at + int64(g.number)*7919) % block
	n := copy(p, pattern[start:])
	g.at += int64(n)
	return n, nil
}

// plainUpload is what anybody would do with minio-go: four files at a time, each in parallel parts.
func plainUpload(in childInput) error {
	d := in.Request.Destination
	u, err := url.Parse(d.Endpoint)
	if err != nil {
		return err
	}
	keys := [2]string{}
	for i, name := range []string{job.AccessKeyFile, job.SecretKeyFile} {
		b, err := os.ReadFile(in.Root + job.CredentialsDir + "/" + name)
		if err != nil {
			return err
		}
		keys[i] = string(b)
	}
	c, err := minio.New(u.Host, &minio.Options{Creds: credentials.NewStaticV4(keys[0], keys[1], ""), Secure: u.Scheme == "https", Region: d.Region, BucketLookup: minio.BucketLookupPath})
	if err != nil {
		return err
	}
	slots := make(chan struct{}, 4)
	errs := make(chan error, len(in.Tables))
	var group sync.WaitGroup
	for i, size := range in.Tables {
		slots <- struct{}{}
		group.Go(func() {
			defer func() { <-slots }()
			_, err := c.PutObject(context.Background(), d.Bucket, fmt.Sprintf("plain/%d", i), table(i, size).at(0), size, minio.PutObjectOptions{
				PartSize: 16 << 20, NumThreads: 4,
				DisableContentSha256: os.Getenv("BENCH_S3_ENDPOINT") == "", // a signature in chunks is nothing for the store of the tests
			})
			errs <- err
		})
	}
	group.Wait()
	close(errs)
	for err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// child runs this binary as one of the programs.
func child(t testing.TB, program string, in childInput) childOutput {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self)
	cmd.Env = append(os.Environ(), envChild+"="+program, envInput+"="+string(text))
	var log bytes.Buffer
	cmd.Stderr = &log
	raw, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, &log)
	}
	var out childOutput
	if err := json.Unmarshal(raw, &out); err != nil {
		t.Fatal(err)
	}
	if program == "job" && !out.Result.OK() || program != "job" && out.Result.Message != "" {
		t.Fatalf("%+v\n%s", out, &log)
	}
	return out
}

// bulk is a world whose image has tables of a size, beside a small rest.
func bulk(t testing.TB, sizes []int64) *world {
	t.Helper()
	w := newWorld(t)
	files := map[string]content{"MANIFEST-000005": bytesContent([]byte("manifest")), "CURRENT": bytesContent([]byte("MANIFEST-000005\n")), "000104.log": bytesContent(random(5, 1<<20))}
	for i, size := range sizes {
		files[fmt.Sprintf("%06d.sst", 200+i)] = table(i, size)
	}
	w.agent = newAgent(t, w.root, files)
	return w
}

func TestARestoreToSevenMembersStaysWithinItsMemory(t *testing.T) {
	w := bulk(t, []int64{40 << 20, 40 << 20})
	recipient, secret := identity(t)
	put(t, w.root, job.IdentityFile, []byte(secret))
	for name, recipients := range map[string][]string{"plain": nil, "encrypted": {recipient}} {
		backup := w.mustTake(name, noon, func(r *job.TakeRequest) { r.Recipients = recipients })
		members := w.members(7)
		out := child(t, "job", childInput{Root: w.root, Kind: job.Restore, Request: w.restore(backup, members)})
		t.Logf("%s: peak of %d MiB for 7 members that got %d MiB each", name, out.PeakKiB>>10, out.Result.SizeBytes>>20)
		if out.PeakKiB == 0 || out.PeakKiB > 120<<10 {
			t.Errorf("%s: %d KiB, the container has 128 MiB", name, out.PeakKiB)
		}
		for _, m := range members {
			m.wantWhole(w.agent.files)
			m.discard()
		}
	}
}

func TestAJobStaysWithinItsMemory(t *testing.T) {
	sizes := []int64{48 << 20, 48 << 20, 48 << 20, 48 << 20, 48 << 20}
	w := bulk(t, sizes)
	recipient, _ := identity(t)
	for name, recipients := range map[string][]string{"plain": nil, "encrypted": {recipient}} {
		r := w.take(name, noon)
		r.Take.Recipients = recipients
		out := child(t, "job", childInput{Root: w.root, Request: r})
		t.Logf("%s: peak of %d MiB for an image of %d MiB", name, out.PeakKiB>>10, out.Result.SizeBytes>>20)
		if out.PeakKiB == 0 || out.PeakKiB > 120<<10 {
			t.Errorf("%s: %d KiB, the container has 128 MiB", name, out.PeakKiB)
		}
		w.agent.with(func(a *fakeAgent) { a.released = 0 })
	}
}

// BenchmarkAGibibyteBesideAPlainUpload prints how fast a backup of 1 GiB is beside an upload of the same bytes to the same store, and what memory its process took at most.
// Beside them stands what processor time each of the two processes took. The agent, which elsewhere has a machine of its own, is in the benchmark's process.
// BENCH_S3_ENDPOINT, _BUCKET, _REGION, _ACCESS_KEY and _SECRET_KEY name a store; without them it is the one of the tests, in the benchmark's own process.
func BenchmarkAGibibyteBesideAPlainUpload(b *testing.B) {
	var sizes []int64
	for range 16 {
		sizes = append(sizes, 64<<20)
	}
	w := bulk(b, sizes)
	d := &w.request.Destination
	if endpoint := os.Getenv("BENCH_S3_ENDPOINT"); endpoint != "" {
		d.Endpoint, d.Bucket, d.Region = endpoint, cmp.Or(os.Getenv("BENCH_S3_BUCKET"), d.Bucket), cmp.Or(os.Getenv("BENCH_S3_REGION"), "us-east-1")
		w.secret("accessKey", os.Getenv("BENCH_S3_ACCESS_KEY"))
		w.secret("secretKey", os.Getenv("BENCH_S3_SECRET_KEY"))
	}
	var ours, plain, cpu, plainCPU time.Duration
	var peakKiB int64
	for i := 0; b.Loop(); i++ {
		d.Prefix = fmt.Sprintf("bench/%d/%d", time.Now().Unix(), i) // nothing is there already
		r := w.take("bench", time.Now().UTC().Truncate(time.Second))
		r.Take.Verification = archive.Checksum
		w.agent.with(func(a *fakeAgent) { a.released = 0 })
		p := child(b, "plain", childInput{Root: w.root, Request: r, Tables: sizes})
		o := child(b, "job", childInput{Root: w.root, Request: r})
		if o.Result.UploadedBytes < 1<<30 {
			b.Fatalf("only %d bytes were uploaded", o.Result.UploadedBytes)
		}
		ours += time.Duration(o.Millis) * time.Millisecond
		plain += time.Duration(p.Millis) * time.Millisecond
		cpu += o.CPU
		plainCPU += p.CPU
		peakKiB = max(peakKiB, o.PeakKiB)
	}
	b.ReportMetric(float64(plain)/float64(ours), "x_of_plain")
	b.ReportMetric(float64(peakKiB>>10), "peak_MiB")
	b.ReportMetric(cpu.Seconds()/float64(b.N), "cpu_s")
	b.ReportMetric(plainCPU.Seconds()/float64(b.N), "plain_cpu_s")
	b.ReportMetric(float64(b.N)*1024/ours.Seconds(), "MiB/s")
	b.ReportMetric(float64(b.N)*1024/plain.Seconds(), "plain_MiB/s")
}
