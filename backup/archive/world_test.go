package archive_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"filippo.io/age"

	"github.com/robustmq/robustmq-operator/backup/archive"
	"github.com/robustmq/robustmq-operator/backup/store"
	"github.com/robustmq/robustmq-operator/backup/store/s3test"
)

const uid = "0b6c6a2e-54b1-4d0c-a0a4-4c9a1c9f2f55"

var (
	owner = archive.Owner{ClusterUID: uid, Name: "my-cluster", Namespace: "prod", Installation: "k1"}
	noon  = time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
)

func random(seed uint64, n int) []byte {
	b := make([]byte, n)
	r := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8), byte(seed >> 16)})
	r.Read(b) //nolint:errcheck // never fails
	return b
}

// image is what a member might hand over: tables by number, and the rest.
func image(seeds ...uint64) (files, tables []archive.File) {
	for _, s := range seeds {
		tables = append(tables, archive.FileOf(fmt.Sprintf("%06d.sst", s), random(s, 2000+int(s))))
	}
	files = []archive.File{
		archive.FileOf("MANIFEST-000005", []byte(fmt.Sprint(seeds))),
		archive.FileOf("CURRENT", []byte("MANIFEST-000005\n")),
		archive.FileOf("000004.log", bytes.Repeat([]byte("wal"), 10000)),
	}
	return files, tables
}

func request(name string, at time.Time, seeds ...uint64) archive.Request {
	files, tables := image(seeds...)
	return archive.Request{
		Owner: owner, Holder: "test", Files: files, Tables: tables, Verification: archive.Checksum, Now: func() time.Time { return at.Add(time.Minute) },
		Manifest: archive.Manifest{
			Name: name, Schedule: "hourly", Tool: "test", RobustMQ: archive.Server{Version: "0.4.11"}, Member: archive.Member{Pod: "my-cluster-placement-center-1", NodeID: 2},
			Groups: []archive.Group{{Name: "metadata_0", Term: 2, LastApplied: 10060, Vote: archive.Vote{Term: 2, NodeID: 1, Committed: true},
				Membership: archive.Membership{Term: 1, NodeID: 1, Index: 3, Voters: []uint64{1, 2, 3}}}},
			RecoveryPoint: at, Started: at, Nodes: archive.Nodes{PlacementCenter: 3, MQTTBroker: 5}, Counts: map[string]int64{"users": 316},
		},
	}
}

// dir is an archive in a directory.
func dir(t testing.TB) (*archive.Archive, *store.Dir, string) {
	t.Helper()
	path := t.TempDir()
	d, err := store.OpenDir(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
	return open(t, d), d, path
}

func open(t testing.TB, s store.Store) *archive.Archive {
	t.Helper()
	a, err := archive.New(s, "prefix/eu", uid)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// bucket is an archive in a server of this process.
func bucket(t testing.TB, change func(*s3test.Server)) (*archive.Archive, *s3test.Server, *s3test.Faults) {
	t.Helper()
	server := &s3test.Server{Bucket: "backups", Region: "r", AccessKey: "AKTEST", SecretKey: "planted-secret"}
	if change != nil {
		change(server)
	}
	faults := &s3test.Faults{Next: server}
	h := httptest.NewServer(faults)
	t.Cleanup(func() { h.CloseClientConnections(); h.Close() })
	s, err := store.NewS3(store.Config{Bucket: "backups", Region: "r", AccessKey: "AKTEST", SecretKey: "planted-secret", PathStyle: true, Endpoint: h.URL, Attempts: 2,
		Backoff: func(int) time.Duration { return time.Millisecond }})
	if err != nil {
		t.Fatal(err)
	}
	return open(t, s), server, faults
}

func write(t testing.TB, a *archive.Archive, r archive.Request) archive.Written {
	t.Helper()
	w, err := a.Write(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func list(t testing.TB, a *archive.Archive) []archive.Backup {
	t.Helper()
	l, err := a.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// wantContent reads everything and compares it with what was saved.
func wantContent(t testing.TB, a *archive.Archive, m archive.Manifest, identities string, r archive.Request) {
	t.Helper()
	s, err := a.Open(m, identities)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string][]byte{}
	for _, f := range append(r.Files, r.Tables...) {
		want[f.Name] = contentOf(t, f)
	}
	for _, table := range m.Tables {
		body, err := s.Table(t.Context(), table)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(body)
		body.Close()
		if err != nil || !bytes.Equal(got, want[table.Name]) {
			t.Fatalf("%s: %d bytes, %v; want %d", table.Name, len(got), err, len(want[table.Name]))
		}
		delete(want, table.Name)
	}
	err = s.Files(t.Context(), func(e archive.Entry, content io.Reader) error {
		got, err := io.ReadAll(content)
		if err != nil || !bytes.Equal(got, want[e.Name]) {
			t.Fatalf("%s: %d bytes, %v", e.Name, len(got), err)
		}
		delete(want, e.Name)
		return nil
	})
	if err != nil || len(want) > 0 {
		t.Fatalf("%v; not there: %d", err, len(want))
	}
}

func contentOf(t testing.TB, f archive.File) []byte {
	t.Helper()
	r, err := f.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func identity(t testing.TB) (recipient, secret string) {
	t.Helper()
	i, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	return i.Recipient().String(), i.String()
}

// older makes every object of a directory older.
func older(t testing.TB, path string, by time.Duration) {
	t.Helper()
	err := filepath.WalkDir(path, func(name string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		stat, err := e.Info()
		if err != nil {
			return err
		}
		return os.Chtimes(name, time.Time{}, stat.ModTime().Add(-by))
	})
	if err != nil {
		t.Fatal(err)
	}
}

func objects(t testing.TB, s store.Store) []string {
	t.Helper()
	var keys []string
	for info, err := range s.List(context.WithoutCancel(t.Context()), "", true) {
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, info.Key)
	}
	return keys
}

func wantBroken(t testing.TB, err error, key string) {
	t.Helper()
	var broken *archive.BrokenError
	if !errors.As(err, &broken) || broken.Key != key {
		t.Errorf("%v is not %s", err, key)
	}
}
