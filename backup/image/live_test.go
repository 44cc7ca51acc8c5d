package image

import (
	"bufio"
	"fmt"
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
// IMAGE_COUNT says how many are taken.
func TestEveryImageOfABusyRocksDBOpensAndIsOneMoment(t *testing.T) {
	python := python(t)
	count := 30
	if n, err := strconv.Atoi(os.Getenv("IMAGE_COUNT")); err == nil {
		count = n
	}
	root := t.TempDir()
	dir, cache := filepath.Join(root, "db"), Cache{Dir: filepath.Join(root, "cache")}
	writer := exec.Command(python, "testdata/rocks.py", "write", dir)
	latencies, err := writer.StdoutPipe()
	if err == nil {
		err = writer.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = writer.Process.Kill(); _ = writer.Wait() }()
	// The writer's p99 of every second, in microseconds: some seconds alone, then while images are taken.
	seconds := make(chan int, 10000)
	go func() {
		defer close(seconds)
		for lines := bufio.NewScanner(latencies); lines.Scan(); {
			first, _, _ := strings.Cut(lines.Text(), " ")
			if n, err := strconv.Atoi(first); err == nil {
				seconds <- n
			}
		}
	}()
	var alone, during []int
	for range 8 {
		n, open := <-seconds
		if !open {
			t.Fatal("the writer ended")
		}
		alone = append(alone, n)
	}
	judge := newChecker(t, python)
	var attempts, worst int
	var links, extracts []time.Duration
	reached, tables := 0, 0
	for n := range count {
		stage, out := filepath.Join(root, "stage"), filepath.Join(root, "out")
		s, err := Taker{Reserve: 1 << 20}.Take(context0, dir, stage, MetadataFamilies)
		if err != nil {
			t.Fatalf("image %d: %v", n, err)
		}
		began := time.Now()
		result, err := s.Extract(context0, out, cache)
		if err != nil {
			t.Fatalf("image %d: %v", n, err)
		}
		extracts, links = append(extracts, time.Since(began)), append(links, s.Took)
		attempts, worst, tables = attempts+s.Attempts, max(worst, s.Attempts), tables+len(result.Tables)
		answer := judge.check(out)
		fields := strings.Fields(answer)
		if fields[0] != "ok" {
			t.Fatalf("image %d: RocksDB says: %s", n, answer)
		}
		last, err := strconv.Atoi(fields[1])
		if err != nil || last < reached {
			t.Fatalf("image %d goes back from %d: %s", n, reached, answer)
		}
		reached = last
		if err := s.Release(); err != nil {
			t.Fatal(err)
		}
		if err := os.RemoveAll(out); err != nil {
			t.Fatal(err)
		}
	}
	if reached == 0 || tables == 0 {
		t.Error("the writer wrote nothing: the test does not test")
	}
	slices.Sort(links)
	slices.Sort(extracts)
	for len(seconds) > 0 {
		during = append(during, <-seconds)
	}
	slices.Sort(alone)
	slices.Sort(during)
	t.Logf("%d images in %d attempts (%d at most), links p50 %v max %v, extraction p50 %v max %v, %d tables an image, writer at entry %d",
		count, attempts, worst, links[count/2], links[count-1], extracts[count/2], extracts[count-1], tables/count, reached)
	if len(during) > 0 {
		t.Logf("the writer's p99 of a second: median %d µs alone (%d s), %d µs while images were taken and read (%d s)", alone[len(alone)/2], len(alone), during[len(during)/2], len(during))
	}
}
