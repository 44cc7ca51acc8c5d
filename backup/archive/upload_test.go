package archive_test

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/robustmq/robustmq-operator/backup/archive"
	rocksimage "github.com/robustmq/robustmq-operator/backup/image"
	"github.com/robustmq/robustmq-operator/backup/image/rocksdb"
)

const rocks = "../image/testdata/rocks.py"

// python returns a Python with rocksdict (PyPI), or skips the test: these take minutes and gigabytes, and run when they are asked for.
//
//	BACKUP_BIG=1 IMAGE_PYTHON=python go test -run 'Uploads' -v ./backup/archive
func python(t *testing.T) string {
	t.Helper()
	if os.Getenv("BACKUP_BIG") == "" {
		t.Skip("BACKUP_BIG=1 runs it: it writes gigabytes with a real RocksDB")
	}
	python := os.Getenv("IMAGE_PYTHON")
	if python == "" {
		python = "python3"
	}
	if err := exec.Command(python, "-c", "import rocksdict").Run(); err != nil {
		t.Fatal("no Python with rocksdict; IMAGE_PYTHON names one: ", err)
	}
	return python
}

// live is a real RocksDB that has a database open, with the options of RobustMQ.
type live struct {
	t   *testing.T
	dir string
	in  io.Writer
	out *bufio.Scanner
}

func serve(t *testing.T, python, dir string) *live {
	t.Helper()
	cmd := exec.Command(python, rocks, "serve", dir)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { in.Close(); _ = cmd.Wait() })
	l := &live{t, dir, in, bufio.NewScanner(out)}
	l.answer("opening")
	return l
}

// do something, and wait until it is done.
func (l *live) do(command string) {
	l.t.Helper()
	fmt.Fprintln(l.in, command)
	l.answer(command)
}

func (l *live) answer(to string) {
	l.t.Helper()
	if !l.out.Scan() || !strings.HasPrefix(l.out.Text(), "ok") {
		l.t.Fatalf("%s: RocksDB says %q", to, l.out.Text())
	}
}

// backup of the metadata of a database that is in use, as the agent and the Job make it.
func (l *live) backup(a *archive.Archive, name string, at time.Time) archive.Written {
	l.t.Helper()
	root := filepath.Join(filepath.Dir(l.dir), name)
	staged, err := rocksimage.Taker{}.Take(l.t.Context(), l.dir, root+".stage", rocksimage.MetadataFamilies)
	if err != nil {
		l.t.Fatal(err)
	}
	began := time.Now()
	made, err := staged.Extract(l.t.Context(), root, rocksimage.Cache{Dir: filepath.Join(filepath.Dir(l.dir), "cache")})
	if err == nil {
		err = staged.Release()
	}
	if err != nil {
		l.t.Fatal(err)
	}
	extracted := time.Since(began)
	r := request(name, at)
	r.Files, r.Tables = nil, nil
	for _, file := range made.Files() {
		f := fileOn(l.t, filepath.Join(root, file))
		if kind, _ := rocksdb.ParseFileName(file); kind == rocksdb.TableFile {
			r.Tables = append(r.Tables, f)
		} else {
			r.Files = append(r.Files, f)
		}
	}
	began = time.Now()
	w := write(l.t, a, r)
	l.t.Logf("%s: %d tables of %s and a WAL of %s; linked in %v, extracted in %v, written in %v: %s uploaded", name, len(made.Tables), mib(made.TableBytes), mib(made.WALBytes),
		staged.Took.Round(time.Microsecond), extracted.Round(time.Millisecond), time.Since(began).Round(time.Millisecond), mib(w.Uploaded))
	if err := os.RemoveAll(root); err != nil {
		l.t.Fatal(err)
	}
	return w
}

func fileOn(t *testing.T, path string) archive.File {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	h := sha256.New()
	n, err := io.Copy(h, f)
	if err != nil {
		t.Fatal(err)
	}
	return archive.File{Name: filepath.Base(path), Size: n, SHA256: hex.EncodeToString(h.Sum(nil)), Open: func(context.Context) (io.ReadCloser, error) { return os.Open(path) }}
}

func mib(n int64) string { return fmt.Sprintf("%.2f MiB", float64(n)/(1<<20)) }

// keys are how many RocksDB finds in a backup.
func keys(t *testing.T, python string, a *archive.Archive, w archive.Written) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "restored")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	s, err := a.Open(w.Manifest, "")
	if err != nil {
		t.Fatal(err)
	}
	save := func(name string, content io.Reader) error {
		f, err := os.Create(filepath.Join(dir, name))
		if err != nil {
			return err
		}
		defer f.Close()
		_, err = io.Copy(f, content)
		return err
	}
	for _, table := range w.Manifest.Tables {
		body, err := s.Table(t.Context(), table)
		if err == nil {
			err = save(table.Name, body)
			body.Close()
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Files(t.Context(), func(e archive.Entry, content io.Reader) error { return save(e.Name, content) }); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(python, rocks, "count")
	cmd.Stdin = strings.NewReader(dir + "\n")
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}

func TestASecondBackupOfAGibibyteUploadsLittleMoreThanWhatChanged(t *testing.T) {
	python := python(t)
	l := serve(t, python, filepath.Join(t.TempDir(), "_rocksdb"))
	a, _, _ := dir(t)
	l.do("fill 1024")
	// What is not in tables yet is in every backup anew, up to four buffers of 128 MiB a family: a data set that was just loaded is not settled until the server has flushed it, as a restart does.
	l.do("flush")
	first := l.backup(a, "first", noon)
	l.do("change 1")
	second := l.backup(a, "second", noon.Add(time.Hour))
	l.do("change 1")
	l.do("flush") // both changes
	third := l.backup(a, "third", noon.Add(2*time.Hour))
	total := first.Manifest.Size()
	if total < 1<<30 {
		t.Fatalf("only %s", mib(total))
	}
	for _, w := range []archive.Written{second, third} {
		t.Logf("%s: %.2f %% of the first one's %s", w.Manifest.Name, 100*float64(w.Uploaded)/float64(total), mib(total))
		if w.Uploaded >= total/20 {
			t.Errorf("%s uploads %s of %s", w.Manifest.Name, mib(w.Uploaded), mib(total))
		}
		if got := keys(t, python, a, w); got != "ok 1048576" {
			t.Errorf("%s: RocksDB says %s", w.Manifest.Name, got)
		}
	}
}

func TestAMebibyteOfMetadataAmongGibibytesOfMessagesUploadsLittleMoreThanItself(t *testing.T) {
	python := python(t)
	l := serve(t, python, filepath.Join(t.TempDir(), "_rocksdb"))
	a, _, _ := dir(t)
	l.do("messages 2048 1024")
	var wal int64
	logs, err := filepath.Glob(filepath.Join(l.dir, "*.log"))
	for _, name := range logs {
		if stat, err := os.Stat(name); err == nil {
			wal += stat.Size()
		}
	}
	if err != nil || wal < 2<<30 {
		t.Fatalf("WALs of %s: the test does not test", mib(wal))
	}
	for i := range 2 { // the second time closed WALs are in the cache
		w := l.backup(a, fmt.Sprintf("backup-%d", i), noon.Add(time.Duration(i)*time.Hour))
		t.Logf("WALs of %s: %s uploaded", mib(wal), mib(w.Uploaded))
		if w.Uploaded >= 5<<20 {
			t.Errorf("%s uploaded", mib(w.Uploaded))
		}
		if got := keys(t, python, a, w); got != "ok 1024" {
			t.Errorf("RocksDB says %s", got)
		}
	}
}
