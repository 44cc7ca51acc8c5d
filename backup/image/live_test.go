package image

import (
	"bufio"
	"fmt"
	"maps"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// python returns a Python that has rocksdict (PyPI), or skips the test. Nothing installs it.
func python(t *testing.T) string {
	t.Helper()
	python := os.Getenv("IMAGE_PYTHON")
	if python == "" {
		python = "python3"
	}
	if err := exec.Command(python, "-c", "import rocksdict").Run(); err != nil {
		t.Skip("no Python with rocksdict (IMAGE_PYTHON names one): no real RocksDB writes here")
	}
	return python
}

// checker has RocksDB open databases and judge them.
type checker struct {
	t   *testing.T
	in  *os.File
	out *bufio.Scanner
}

func newChecker(t *testing.T, python string) *checker {
	t.Helper()
	cmd := exec.Command(python, "testdata/rocks.py", "check")
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdin, cmd.Stderr = read, os.Stderr
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { write.Close(); _ = cmd.Wait(); read.Close() })
	return &checker{t, write, bufio.NewScanner(out)}
}

func (c *checker) check(dir string) string {
	c.t.Helper()
	fmt.Fprintln(c.in, dir)
	if !c.out.Scan() {
		c.t.Fatal("the checker ended")
	}
	return c.out.Text()
}

// A real RocksDB writes into all five families, with buffers of 64 kB, so that it flushes and compacts all the time. Every image must open in RocksDB and be one moment of the writer.
// IMAGE_COUNT says how many are taken. They are taken without a pause, for IMAGE_WINDOW (4s) at a time; then the writer is alone for as long; then RocksDB judges, which is no part of a backup
// and is measured with neither. How long the writer's writes take is compared between the first two kinds of time.
func TestEveryImageOfABusyRocksDBOpensAndIsOneMoment(t *testing.T) {
	python := python(t)
	count, window := 30, 4*time.Second
	if n, err := strconv.Atoi(os.Getenv("IMAGE_COUNT")); err == nil {
		count = n
	}
	if d, err := time.ParseDuration(os.Getenv("IMAGE_WINDOW")); err == nil {
		window = d
	}
	b := busy{t: t, root: t.TempDir()}
	w := startWriter(t, python, filepath.Join(b.root, "db"))
	w.until(time.Now().Add(3 * time.Second)) // it begins with an empty database
	judge := newChecker(t, python)
	var with, alone []span
	for b.taken < count {
		with = append(with, b.images(count, time.Now().Add(window)))
		alone = append(alone, w.alone(window))
		b.judge(judge)
	}
	if b.reached == 0 || b.tables == 0 {
		t.Error("the writer wrote nothing: the test does not test")
	}
	b.report()
	w.until(time.Now())
	w.compare(with, alone)
}

// span is a time from and to.
type span [2]time.Time

// busy takes images of a database that is written to, and keeps them until they are judged.
type busy struct {
	t    *testing.T
	root string

	taken, attempts, worst, rounds, tables, reached int
	links, extracts                                 []time.Duration
	waiting                                         []string
}

// images takes images until a time, or until there are enough.
func (b *busy) images(enough int, until time.Time) span {
	b.t.Helper()
	began := time.Now()
	for b.taken < enough && time.Now().Before(until) {
		out := filepath.Join(b.root, fmt.Sprintf("out-%d", b.taken))
		s, err := Taker{Reserve: 1 << 20}.Take(context0, filepath.Join(b.root, "db"), filepath.Join(b.root, "stage"), MetadataFamilies)
		if err != nil {
			b.t.Fatalf("image %d: %v", b.taken, err)
		}
		extracting := time.Now()
		result, err := s.Extract(context0, out, Cache{Dir: filepath.Join(b.root, "cache")})
		if err == nil {
			err = s.Release()
		}
		if err != nil {
			b.t.Fatalf("image %d: %v", b.taken, err)
		}
		b.links, b.extracts = append(b.links, s.Took), append(b.extracts, time.Since(extracting))
		b.attempts, b.worst, b.rounds, b.tables = b.attempts+s.Attempts, max(b.worst, s.Attempts), max(b.rounds, s.Rounds), b.tables+len(result.Tables)
		b.waiting = append(b.waiting, out)
		b.taken++
	}
	return span{began, time.Now()}
}

// judge lets RocksDB open what was taken, in order: none goes back behind the one before.
func (b *busy) judge(c *checker) {
	b.t.Helper()
	for _, out := range b.waiting {
		answer := c.check(out)
		fields := strings.Fields(answer)
		if fields[0] != "ok" {
			b.t.Fatalf("%s: RocksDB says: %s", filepath.Base(out), answer)
		}
		last, err := strconv.Atoi(fields[1])
		if err != nil || last < b.reached {
			b.t.Fatalf("%s goes back from %d: %s", filepath.Base(out), b.reached, answer)
		}
		b.reached = last
		if err := os.RemoveAll(out); err != nil {
			b.t.Fatal(err)
		}
	}
	b.waiting = nil
}

func (b *busy) report() {
	slices.Sort(b.links)
	slices.Sort(b.extracts)
	n := b.taken
	b.t.Logf("%d images in %d attempts (%d at most, %d rounds at most), links p50 %v p99 %v max %v, extraction p50 %v p99 %v max %v, %d tables an image, writer at entry %d",
		n, b.attempts, b.worst, b.rounds, b.links[n/2], b.links[n*99/100], b.links[n-1], b.extracts[n/2], b.extracts[n*99/100], b.extracts[n-1], b.tables/n, b.reached)
}

// writer is a real RocksDB that writes, and what it said of every second.
type writer struct {
	t       *testing.T
	lines   chan string
	seconds []second
}

// second is how many writes took how long, by bucket.
type second struct {
	end     time.Time
	buckets map[int]int
}

func startWriter(t *testing.T, python, dir string) *writer {
	t.Helper()
	cmd := exec.Command(python, "testdata/rocks.py", "write", dir)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	w := &writer{t: t, lines: make(chan string, 10000)}
	go func() {
		defer close(w.lines)
		for scanner := bufio.NewScanner(out); scanner.Scan(); {
			w.lines <- scanner.Text()
		}
	}()
	return w
}

// until reads what the writer says, up to its first second that ends behind a time.
func (w *writer) until(at time.Time) {
	w.t.Helper()
	for len(w.seconds) == 0 || w.seconds[len(w.seconds)-1].end.Before(at) {
		line, open := <-w.lines
		if !open {
			w.t.Fatal("the writer ended")
		}
		fields := strings.Fields(line)
		unix, err := strconv.ParseFloat(fields[0], 64)
		if err != nil {
			w.t.Fatal(line)
		}
		s := second{end: time.UnixMilli(int64(unix * 1000)), buckets: map[int]int{}}
		for _, f := range fields[2:] {
			var bucket, n int
			if _, err := fmt.Sscanf(f, "%d:%d", &bucket, &n); err != nil {
				w.t.Fatal(line)
			}
			s.buckets[bucket] = n
		}
		w.seconds = append(w.seconds, s)
	}
}

// alone lets the writer be alone for a while.
func (w *writer) alone(d time.Duration) span {
	w.t.Helper()
	began := time.Now()
	w.until(began.Add(d))
	return span{began, w.seconds[len(w.seconds)-1].end}
}

// p99 of the writes of all seconds that lie within spans, in microseconds, and how many they were.
func (w *writer) p99(spans []span) (micros float64, n int) {
	sum := map[int]int{}
	for _, s := range w.seconds {
		within := slices.ContainsFunc(spans, func(x span) bool { return !s.end.Add(-time.Second).Before(x[0]) && !s.end.After(x[1]) })
		if within {
			for bucket, k := range s.buckets {
				sum[bucket] += k
				n += k
			}
		}
	}
	left := n / 100
	for _, bucket := range slices.Backward(slices.Sorted(maps.Keys(sum))) {
		if left -= sum[bucket]; left < 0 {
			return math.Exp2(float64(bucket)/16) - 1, n
		}
	}
	return 0, n
}

// compare prints the ratio, and as a measure of noise that of the times alone among themselves.
func (w *writer) compare(with, alone []span) {
	var halves [2][]span
	for i, s := range alone {
		halves[i%2] = append(halves[i%2], s)
	}
	imaged, n := w.p99(with)
	lonely, m := w.p99(alone)
	even, _ := w.p99(halves[0])
	odd, _ := w.p99(halves[1])
	if n == 0 || m == 0 || even == 0 || odd == 0 {
		w.t.Logf("the writer's latency: too few seconds to compare (%d writes beside images, %d alone): raise IMAGE_COUNT or IMAGE_WINDOW", n, m)
		return
	}
	w.t.Logf("the writer's p99: %.0f µs while images were taken without a pause (%d writes), %.0f µs alone (%d writes): ratio %.2f; alone, every second window to the others: %.2f", imaged, n, lonely, m, imaged/lonely, odd/even)
}
