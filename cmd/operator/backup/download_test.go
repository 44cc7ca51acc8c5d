package backup

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/robustmq/robustmq-operator/backup/store/s3test"
)

const downloading = "20261125T120000Z-my-cluster-hourly-1.download"

func TestADownloadIsTheDatabaseThatWasSaved(t *testing.T) {
	recipient, key := identity(t)
	for _, recipients := range [][]string{nil, {recipient}} {
		_, _, flags := bucket(t, recipients...)
		into := filepath.Join(t.TempDir(), "metadata")
		r := call(t, append([]string{"download", "latest", "--into", into, "--identity-file", key, "-o", "json"}, flags...)...)
		wantCode(t, r, 0)
		want := savedFiles(t, request(t, "my-cluster-hourly-1", "follower-300users", noon))
		if got := sums(t, into); !maps.Equal(got, want) {
			t.Errorf("%v\nwant %v", got, want)
		}
		if d := decode[Downloaded](t, r); d.Files != len(want) || d.FetchedBytes != d.Bytes || d.Database.LastSequence != 2457+121 || d.Database.Families[0].Tables != 4 {
			t.Errorf("%+v", d)
		}
		left, err := os.ReadDir(filepath.Dir(into))
		if err != nil || len(left) != 1 {
			t.Errorf("%v is left, %v", left, err)
		}
		if info, err := os.Stat(into); err != nil || info.Mode().Perm() != 0o700 {
			t.Errorf("%v, %v", info.Mode(), err)
		}
		sameAsOracle(t, into)
	}
}

// The process is told to end behind every table that comes, and once more at once: each time the next call goes on, and nothing appears before all is there.
func TestAnInterruptedDownloadGoesOnWhereItWas(t *testing.T) {
	went := 0
	for stop := int64(1); ; stop++ {
		_, faults, flags := bucket(t)
		into := filepath.Join(t.TempDir(), "metadata")
		args := append([]string{"download", "latest", "--into", into, "-o", "json"}, flags...)
		var tables, files atomic.Int64
		interrupted := with(t, func(_ *tool, ctx *context.Context) {
			inner, cancel := context.WithCancel(*ctx)
			*ctx = inner
			faults.Choose(func(r *http.Request) s3test.Fault {
				if r.Method == http.MethodGet && strings.Contains(r.URL.Path, "/tables/") && tables.Add(1) > stop {
					cancel()
					return s3test.Truncated
				}
				if r.Method == http.MethodGet && strings.HasSuffix(r.URL.Path, ".tar.zst") && stop == 12 {
					cancel()
					return s3test.Truncated
				}
				return s3test.None
			})
		}, args...)
		if stop > 12 {
			wantCode(t, interrupted, 0)
			break
		}
		wantCode(t, interrupted, codeInterrupted, "interrupted")
		if exists(into) {
			t.Errorf("after %d tables: it is there already", stop)
		}
		left := map[string]string{}
		if exists(into + "." + downloading) { // several come at once: those that were under way are given up
			wantCode(t, interrupted, codeInterrupted, "the same command goes on from there", downloading)
			left = sums(t, into+"."+downloading)
			went++
		}
		for name := range left {
			if strings.HasSuffix(name, ".part") {
				t.Errorf("after %d tables: %s is left half", stop, name)
			}
		}
		if int64(len(left)) > stop || stop == 12 && len(left) != 12 {
			t.Errorf("after %d tables %d files are there", stop, len(left))
		}
		var came sync.Map // by name: requests of the call that was interrupted may still arrive
		faults.Choose(func(r *http.Request) s3test.Fault {
			if r.Method == http.MethodGet && strings.Contains(r.URL.Path, "/tables/") {
				came.Store(r.URL.Path, true)
			}
			if r.Method == http.MethodGet && strings.HasSuffix(r.URL.Path, ".tar.zst") {
				files.Add(1)
			}
			return s3test.None
		})
		r := call(t, args...)
		wantCode(t, r, 0)
		again := 0
		came.Range(func(any, any) bool { again++; return true })
		if d := decode[Downloaded](t, r); (len(left) > 0) != (d.FetchedBytes < d.Bytes) || again != 12-len(left) || files.Load() != 1 {
			t.Errorf("after %d tables %d more and %d archives came: %+v", stop, again, files.Load(), d)
		}
		if !maps.Equal(sums(t, into), savedFiles(t, request(t, "my-cluster-hourly-1", "follower-300users", noon))) {
			t.Errorf("after %d tables: another content", stop)
		}
	}
	if went < 6 {
		t.Errorf("only %d downloads had anything to go on from: the test does not test", went)
	}
}

func TestWhatAnEarlierDownloadLeftIsBelievedOnlyWhenItIsTheContent(t *testing.T) {
	path, _ := dir(t)
	into := filepath.Join(t.TempDir(), "metadata")
	stage := into + "." + downloading
	if err := os.MkdirAll(filepath.Join(stage, "folder"), 0o700); err != nil {
		t.Fatal(err)
	}
	want := savedFiles(t, request(t, "my-cluster-hourly-1", "follower-300users", noon))
	for i, name := range slices.Sorted(maps.Keys(want)) {
		if err := os.WriteFile(filepath.Join(stage, name), []byte(strings.Repeat("x", i*100)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(stage, "000010.sst.part"), []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	wantCode(t, call(t, "download", "my-cluster-hourly-1", "--into", into, "--dir", path, "--prefix", prefix), 0)
	if got := sums(t, into); !maps.Equal(got, want) {
		t.Errorf("%v", got)
	}
}

func TestTwoDownloadsAtOnceDoNotMix(t *testing.T) {
	path, _ := dir(t)
	into := filepath.Join(t.TempDir(), "metadata")
	if err := os.Mkdir(into+"."+downloading, 0o700); err != nil {
		t.Fatal(err)
	}
	held, err := alone(into + "." + downloading)
	if err != nil {
		t.Fatal(err)
	}
	args := []string{"download", "my-cluster-hourly-1", "--into", into, "--dir", path, "--prefix", prefix}
	wantCode(t, call(t, args...), codeUsage, "another download of this backup is under way")
	held.Close()
	wantCode(t, call(t, args...), 0)
}

func TestADamagedObjectIsNamedAndNothingAppears(t *testing.T) {
	for what, change := range map[string]func([]byte) []byte{
		"a bit":  func(b []byte) []byte { b[len(b)/2] ^= 1; return b },
		"cut":    func(b []byte) []byte { return b[:len(b)-1] },
		"longer": func(b []byte) []byte { return append(b, 0) },
	} {
		server, _, flags := bucket(t)
		for _, key := range server.Objects() {
			if !strings.Contains(key, "/tables/") && !strings.HasSuffix(key, ".tar.zst") {
				continue
			}
			good, _ := server.Object(key)
			server.Corrupt(key, change)
			into := filepath.Join(t.TempDir(), "metadata")
			wantCode(t, call(t, append([]string{"download", "latest", "--into", into}, flags...)...), codeWrong, key)
			if exists(into) {
				t.Errorf("%s of %s: it appeared", what, key)
			}
			server.Corrupt(key, func([]byte) []byte { return good })
		}
	}
}

// Whoever can only read can still restore: nothing keeps a collection away then, and it is said.
func TestReadingNeedsNoRightToWrite(t *testing.T) {
	_, faults, flags := bucket(t)
	faults.Choose(s3test.First(1<<30, http.MethodPut, s3test.Denied))
	wantCode(t, call(t, append([]string{"verify", "latest"}, flags...)...), 0, "nothing keeps a collection away")
	wantCode(t, call(t, append([]string{"download", "latest", "--into", filepath.Join(t.TempDir(), "x")}, flags...)...), 0, "nothing keeps a collection away")
}

func TestACollectionAtWorkIsWaitedFor(t *testing.T) {
	server, _, flags := bucket(t)
	server.Put(fmt.Sprintf("%s/%s/locks/collect-x.json", prefix, uid), []byte(`{"purpose":"collect","holder":"a Job"}`))
	wantCode(t, call(t, append([]string{"verify", "latest"}, flags...)...), codeUndone, "a Job is at work in the bucket")
}
