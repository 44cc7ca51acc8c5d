package backup

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"io/fs"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"filippo.io/age"
	"github.com/spf13/cobra"

	"github.com/robustmq/robustmq-operator/backup/archive"
	"github.com/robustmq/robustmq-operator/backup/image"
	"github.com/robustmq/robustmq-operator/backup/image/imagetest"
	"github.com/robustmq/robustmq-operator/backup/image/rocksdb"
	"github.com/robustmq/robustmq-operator/backup/store"
	"github.com/robustmq/robustmq-operator/backup/store/s3test"
)

var update = flag.Bool("update", false, "write the recorded reports anew")

const (
	uid    = "0b6c6a2e-54b1-4d0c-a0a4-4c9a1c9f2f55"
	prefix = "production/eu"
	// planted must never be printed.
	planted = "planted-secret"
)

var (
	owner = archive.Owner{ClusterUID: uid, Name: "my-cluster", Namespace: "prod", Installation: "k1"}
	noon  = time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
)

// result of a call.
type result struct {
	out, err string
	code     int
}

// call runs the command as main does.
func call(t *testing.T, args ...string) result { return with(t, nil, args...) }

// with changes what the command knows of the world first.
func with(t *testing.T, change func(*tool, *context.Context), args ...string) result {
	t.Helper()
	tool := &tool{fs: image.OS{}, now: func() time.Time { return noon }, backoff: func(int) time.Duration { return time.Millisecond }}
	ctx := t.Context()
	if change != nil {
		change(tool, &ctx)
	}
	cmd := &cobra.Command{Use: "robustmq-operator", SilenceUsage: true, SilenceErrors: true}
	cmd.AddCommand(newCommand(tool))
	var out, notes bytes.Buffer
	cmd.SetArgs(append([]string{"backup"}, args...))
	cmd.SetOut(&out)
	cmd.SetErr(&notes)
	cmd.SetIn(strings.NewReader(""))
	if tool.in != nil {
		cmd.SetIn(tool.in)
	}
	err := cmd.ExecuteContext(ctx)
	r := result{out: out.String(), err: notes.String()}
	if err != nil {
		var ended interface{ ExitCode() int }
		if !errors.As(err, &ended) {
			t.Fatalf("%v: without an exit code: %v", args, err)
		}
		r.err += "robustmq-operator: " + err.Error() + "\n"
		r.code = ended.ExitCode()
	}
	if strings.Contains(r.out+r.err, planted) || strings.Contains(r.out+r.err, "AGE-SECRET-KEY-1") {
		t.Errorf("%v prints a secret:\n%s%s", args, r.out, r.err)
	}
	return r
}

func wantCode(t *testing.T, r result, code int, says ...string) {
	t.Helper()
	if r.code != code {
		t.Errorf("exit code %d, want %d:\n%s%s", r.code, code, r.out, r.err)
	}
	for _, s := range says {
		if !strings.Contains(r.out+r.err, s) {
			t.Errorf("nothing says %q:\n%s%s", s, r.out, r.err)
		}
	}
}

// database is a recorded directory of RobustMQ 0.4.11 (backup/image/testdata), as its data path has it.
func database(t testing.TB, name string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "_rocksdb")
	if err := imagetest.Unpack(name, dir); err != nil {
		t.Fatal(err)
	}
	return dir
}

// images is where recorded directories are, for a test may change its directory.
var images = func() string {
	path, err := filepath.Abs("../../../backup/image/testdata")
	if err != nil {
		panic(err)
	}
	return path
}()

// request saves the metadata of a recorded directory, as the agent and the Job do.
func request(t testing.TB, name, from string, at time.Time, recipients ...string) archive.Request {
	t.Helper()
	out := filepath.Join(t.TempDir(), "image")
	made, err := image.Extract(t.Context(), image.OS{}, database(t, from), out, image.MetadataFamilies)
	if err != nil {
		t.Fatal(err)
	}
	r := archive.Request{
		Owner: owner, Holder: "test", Recipients: recipients, Verification: archive.Checksum, Now: func() time.Time { return at.Add(time.Minute) },
		Manifest: archive.Manifest{
			Name: name, Schedule: "hourly", Tool: "robustmq-operator test", RobustMQ: archive.Server{Version: "0.4.11", ImageDigest: "sha256:" + strings.Repeat("ab", 32)},
			Member: archive.Member{Pod: "my-cluster-placement-center-1", NodeID: 2}, RecoveryPoint: at, Started: at,
			Nodes: archive.Nodes{PlacementCenter: 3, MQTTBroker: 5}, Counts: map[string]int64{"users": 316, "topics": 12},
		},
	}
	for group, applied := range map[string]uint64{"metadata_0": 453, "offset_0": 7, "data_0": 34} {
		r.Manifest.Groups = append(r.Manifest.Groups, archive.Group{Name: group, Term: 1, LastApplied: applied, Vote: archive.Vote{Term: 1, NodeID: 1, Committed: true},
			Membership: archive.Membership{Term: 1, NodeID: 1, Index: 7, Voters: []uint64{1, 2, 3}}})
	}
	slices.SortFunc(r.Manifest.Groups, func(a, b archive.Group) int { return strings.Compare(a.Name, b.Name) })
	for _, file := range made.Files() {
		content, err := os.ReadFile(filepath.Join(out, file))
		if err != nil {
			t.Fatal(err)
		}
		if kind, _ := rocksdb.ParseFileName(file); kind == rocksdb.TableFile {
			r.Tables = append(r.Tables, archive.FileOf(file, content))
		} else {
			r.Files = append(r.Files, archive.FileOf(file, content))
		}
	}
	return r
}

// save writes a backup.
func save(t testing.TB, s store.Store, r archive.Request) archive.Written {
	t.Helper()
	a, err := archive.New(s, prefix, r.Owner.ClusterUID)
	if err != nil {
		t.Fatal(err)
	}
	w, err := a.Write(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// dir is a directory that a bucket was copied into, with two backups that share tables.
func dir(t testing.TB) (string, *store.Dir) {
	t.Helper()
	path := t.TempDir()
	d := openDir(t, path)
	save(t, d, request(t, "my-cluster-hourly-1", "follower-300users", noon))
	save(t, d, request(t, "my-cluster-hourly-2", "follower-300users", noon.Add(time.Hour)))
	return path, d
}

// bucket is a server of this process with the same, and the flags that name it.
func bucket(t *testing.T, recipients ...string) (*s3test.Server, *s3test.Faults, []string) {
	t.Helper()
	server := &s3test.Server{Bucket: "backups", Region: "r", AccessKey: "AKTEST", SecretKey: planted}
	faults := &s3test.Faults{Next: server}
	h := httptest.NewServer(faults)
	t.Cleanup(func() { h.CloseClientConnections(); h.Close() })
	s, err := store.NewS3(store.Config{Bucket: "backups", Region: "r", AccessKey: "AKTEST", SecretKey: planted, PathStyle: true, Endpoint: h.URL})
	if err != nil {
		t.Fatal(err)
	}
	save(t, s, request(t, "my-cluster-hourly-1", "follower-300users", noon, recipients...))
	environment(t, map[string]string{"AWS_ACCESS_KEY_ID": "AKTEST", "AWS_SECRET_ACCESS_KEY": planted})
	return server, faults, []string{"--bucket", "backups", "--prefix", prefix, "--endpoint", h.URL, "--region", "r", "--path-style"}
}

// environment has nothing of AWS but what is given: whatever this machine has is not asked.
func environment(t *testing.T, set map[string]string) {
	t.Helper()
	home := t.TempDir()
	for _, name := range append([]string{"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_ACCESS_KEY", "AWS_SECRET_KEY", "AWS_PROFILE", "AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE", "AWS_REGION", "AWS_DEFAULT_REGION"}, workload...) {
		t.Setenv(name, "")
	}
	t.Setenv("HOME", home)
	for name, value := range set {
		t.Setenv(name, value)
	}
}

func identity(t testing.TB) (recipient, file string) {
	t.Helper()
	i, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	file = filepath.Join(t.TempDir(), "key.txt")
	if err := os.WriteFile(file, []byte("# a comment\n"+i.String()+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return i.Recipient().String(), file
}

// sums are the hashes of the files below a directory, by their names.
func sums(t testing.TB, dir string) map[string]string {
	t.Helper()
	found := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		sum := sha256.Sum256(content)
		name, _ := filepath.Rel(dir, path)
		found[name] = hex.EncodeToString(sum[:])
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// savedFiles are the files of a request, as a download must give them.
func savedFiles(t testing.TB, r archive.Request) map[string]string {
	t.Helper()
	want := map[string]string{}
	for _, f := range append(r.Files, r.Tables...) {
		want[f.Name] = f.SHA256
	}
	return want
}

func decode[T any](t testing.TB, r result) T {
	t.Helper()
	var v T
	d := json.NewDecoder(strings.NewReader(r.out))
	d.DisallowUnknownFields()
	if err := d.Decode(&v); err != nil {
		t.Fatalf("%v:\n%s%s", err, r.out, r.err)
	}
	return v
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func openDir(t testing.TB, path string) *store.Dir {
	t.Helper()
	d, err := store.OpenDir(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
	return d
}
