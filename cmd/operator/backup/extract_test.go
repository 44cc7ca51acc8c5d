package backup

import (
	"bufio"
	"context"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"github.com/robustmq/robustmq-operator/backup/image"
)

// sameAsOracle lets RocksDB's own tool read a database of the recorded follower's metadata, and compares it with what RocksDB read in the recorded directory. Where ldb (Debian: rocksdb-tools) is
// not installed, the test goes on without.
func sameAsOracle(t *testing.T, dir string) {
	t.Helper()
	ldb, err := exec.LookPath("ldb")
	if err != nil {
		t.Log("RocksDB's ldb is not installed (Debian: rocksdb-tools): the result is not opened by RocksDB here")
		return
	}
	var got []string
	for _, family := range image.MetadataFamilies {
		out, err := exec.Command(ldb, "--db="+dir, "--ignore_unknown_options", "--column_family="+family, "--hex", "scan").Output()
		if err != nil {
			t.Fatalf("ldb of %s: %v", family, err)
		}
		for line := range strings.Lines(string(out)) {
			key, value, _ := strings.Cut(strings.TrimSpace(line), " : ")
			got = append(got, strings.ToLower(family+" "+strings.TrimPrefix(key, "0x")+" "+strings.TrimPrefix(value, "0x")))
		}
	}
	want := oracle(t, image.MetadataFamilies)
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("RocksDB reads %d keys, recorded are %d, or others", len(got), len(want))
	}
}

func oracle(t *testing.T, families []string) []string {
	t.Helper()
	f, err := os.Open(filepath.Join(images, "follower-300users.dump.zst"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r, err := zstd.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var lines []string
	for s := bufio.NewScanner(r); s.Scan(); {
		family, _, _ := strings.Cut(s.Text(), " ")
		for _, name := range families {
			if name == family {
				lines = append(lines, s.Text())
			}
		}
	}
	if len(lines) < 300 {
		t.Fatal("no oracle: ", len(lines))
	}
	return lines
}

func TestExtractDoesWhatTheAgentDoes(t *testing.T) {
	for _, live := range []bool{false, true} {
		from, into := database(t, "follower-300users"), filepath.Join(t.TempDir(), "metadata")
		if live {
			lock, err := image.OS{}.Lock(from)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { lock.Close() })
		}
		before := sums(t, filepath.Dir(from))
		r := call(t, "extract", filepath.Dir(from), "--into", into, "-o", "json")
		wantCode(t, r, 0)
		want := filepath.Join(t.TempDir(), "agent")
		if live {
			staged, err := image.Taker{}.Take(t.Context(), from, filepath.Join(t.TempDir(), "stage"), image.MetadataFamilies)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := staged.Extract(t.Context(), want, image.Cache{}); err != nil {
				t.Fatal(err)
			}
		} else if _, err := image.Extract(t.Context(), image.OS{}, from, want, image.MetadataFamilies); err != nil {
			t.Fatal(err)
		}
		if !maps.Equal(sums(t, into), sums(t, want)) {
			t.Errorf("live %t: another result than the agent's", live)
		}
		if e := decode[Extracted](t, r); e.Live != live || e.Database.LastSequence != 2457+121 || len(e.Database.Families) != 5 || e.Database.Families[3].Tables != 0 {
			t.Errorf("%+v", e)
		}
		if !maps.Equal(sums(t, filepath.Dir(from)), before) {
			t.Errorf("live %t: the data directory is another one", live)
		}
		for _, dir := range []string{from, into} {
			names, err := os.ReadDir(filepath.Dir(dir))
			if err != nil || len(names) != 1 {
				t.Errorf("live %t: %v is left, %v", live, names, err)
			}
		}
		sameAsOracle(t, into)
	}
}

func TestWhatTheLogSaysOfTheRaftGroupsIsSaid(t *testing.T) {
	r := call(t, "extract", database(t, "fresh-1node"), "--into", filepath.Join(t.TempDir(), "x"), "-o", "json")
	g := decode[Extracted](t, r).Database.Groups["metadata_0"]
	if g.LastLog == nil || *g.LastLog != 21 || g.Applied == nil || *g.Applied != 21 || g.Vote == nil || *g.Vote != (Vote{1, 7, true}) || len(g.Voters) != 1 || g.Voters[7] == "" || g.Purged != nil {
		t.Errorf("%+v", g)
	}
}

func TestADownloadedBackupCanBeExtractedAgain(t *testing.T) {
	path, _ := dir(t)
	into, again := filepath.Join(t.TempDir(), "metadata"), filepath.Join(t.TempDir(), "again")
	wantCode(t, call(t, "download", "latest", "--into", into, "--dir", path, "--prefix", prefix), 0)
	wantCode(t, call(t, "extract", into, "--into", again), 0, "meta_metadata")
	sameAsOracle(t, again)
}

func TestEveryFamilyCanBeTaken(t *testing.T) {
	into := filepath.Join(t.TempDir(), "all")
	r := call(t, "extract", database(t, "follower-300users"), "--into", into, "--families", strings.Join(image.Families, ","), "-o", "json")
	for _, f := range decode[Extracted](t, r).Database.Families {
		if f.Tables != 4 {
			t.Errorf("%+v", f)
		}
	}
}

func TestAnExtractThatFailsOrIsInterruptedLeavesNothing(t *testing.T) {
	damaged := database(t, "follower-300users")
	name := filepath.Join(damaged, "000047.log")
	content, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	content[5000] ^= 0x10
	if err := os.WriteFile(name, content, 0o600); err != nil {
		t.Fatal(err)
	}
	into := filepath.Join(t.TempDir(), "x")
	wantCode(t, call(t, "extract", damaged, "--into", into), codeWrong, "WAL 000047.log: corrupt at byte ")
	stopped := with(t, func(_ *tool, ctx *context.Context) {
		inner, cancel := context.WithCancel(*ctx)
		cancel()
		*ctx = inner
	}, "extract", database(t, "follower-300users"), "--into", into)
	wantCode(t, stopped, codeInterrupted)
	names, err := os.ReadDir(filepath.Dir(into))
	if err != nil || len(names) > 0 {
		t.Errorf("%v is left, %v", names, err)
	}
}

func TestALockThatNobodyHoldsIsNoServer(t *testing.T) {
	dir := database(t, "fresh-1node")
	lock, err := image.OS{}.Lock(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []bool{true, false} {
		if got, err := inUse(dir); err != nil || got != want {
			t.Errorf("%t, %v; want %t", got, err, want)
		}
		lock.Close()
	}
}

// starting is a file system on which a server starts while the database is read.
type starting struct {
	image.OS
	start func()
}

// Open see image.FS.
func (s starting) Open(name string) (io.ReadCloser, error) {
	if strings.HasSuffix(name, ".log") {
		s.start()
	}
	return s.OS.Open(name)
}

func TestAServerThatStartsMeanwhileIsFoundOut(t *testing.T) {
	for what, live := range map[string]bool{"it runs on": true, "it has ended again": false} {
		from, into := database(t, "follower-300users"), filepath.Join(t.TempDir(), "x")
		started := 0
		start := func() {
			if started++; started > 1 {
				return
			}
			if live {
				lock, err := image.OS{}.Lock(from)
				if err != nil {
					t.Error(err)
					return
				}
				t.Cleanup(func() { lock.Close() })
				return
			}
			// What a start leaves behind: a MANIFEST that says the same under another name.
			manifest, err := os.ReadFile(filepath.Join(from, "MANIFEST-000048"))
			if err == nil {
				err = os.WriteFile(filepath.Join(from, "MANIFEST-000050"), manifest, 0o600)
			}
			if err == nil {
				err = os.WriteFile(filepath.Join(from, "CURRENT"), []byte("MANIFEST-000050\n"), 0o600)
			}
			if err != nil {
				t.Error(err)
			}
		}
		r := with(t, func(tool *tool, _ *context.Context) { tool.fs = starting{start: start} }, "extract", from, "--into", into, "-o", "json")
		wantCode(t, r, 0)
		if e := decode[Extracted](t, r); e.Live != live || started < 4 && !live { // each extraction reads the log twice
			t.Errorf("%s: live %t, read %d times", what, e.Live, started)
		}
		sameAsOracle(t, into)
	}
}
