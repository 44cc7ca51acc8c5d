package store_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"github.com/robustmq/robustmq-operator/backup/store"
	"github.com/robustmq/robustmq-operator/backup/store/s3test"
)

// places are the stores that every test of a promise runs against.
func places(t *testing.T, test func(t *testing.T, s store.Store)) {
	t.Run("a directory", func(t *testing.T) {
		d, err := store.OpenDir(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = d.Close() })
		test(t, d)
	})
	t.Run("the server in this process", func(t *testing.T) {
		_, _, s := serve(t, nil)
		test(t, s)
	})
	t.Run("MinIO", func(t *testing.T) { test(t, minioStore(t)) })
}

// serve starts a server with faults before it and a client for it. The client is impatient, but tries often.
func serve(t *testing.T, change func(*s3test.Server, *store.Config)) (*s3test.Server, *s3test.Faults, *store.S3) {
	t.Helper()
	server := &s3test.Server{Bucket: "backups", Region: "eu-central-1", AccessKey: "AKTEST", SecretKey: "planted-secret-1"}
	config := store.Config{Bucket: "backups", Region: "eu-central-1", AccessKey: "AKTEST", SecretKey: "planted-secret-1", PathStyle: true,
		Stall: 20 * time.Second, Backoff: func(int) time.Duration { return time.Millisecond }}
	if change != nil {
		change(server, &config)
	}
	faults := &s3test.Faults{Next: server}
	h := httptest.NewServer(faults)
	t.Cleanup(func() { h.CloseClientConnections(); h.Close() })
	if config.Endpoint == "" {
		config.Endpoint = h.URL
	}
	s, err := store.NewS3(config)
	if err != nil {
		t.Fatal(err)
	}
	return server, faults, s
}

// minioStore is a bucket of its own on a MinIO of its own, from the binary that the bed has built; where there is none, the test is skipped.
func minioStore(t *testing.T) *store.S3 {
	t.Helper()
	url := startMinIO(t)
	s, err := store.NewS3(store.Config{Bucket: "backups", Endpoint: url, Region: "us-east-1", PathStyle: true, AccessKey: "tester", SecretKey: "planted-secret-2"})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func startMinIO(t *testing.T) string {
	t.Helper()
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Skip(err)
	}
	found, err := filepath.Glob(filepath.Join(cache, "robustmq-operator", "bed", "minio-*", "minio"))
	if err != nil || len(found) == 0 {
		t.Skip("the bed has not built MinIO: test/bed/bed build")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()
	cmd := exec.Command(found[len(found)-1], "server", "--quiet", "--address", address, t.TempDir()) // ended by the clean-up
	cmd.Env = append(os.Environ(), "MINIO_ROOT_USER=tester", "MINIO_ROOT_PASSWORD=planted-secret-2", "MINIO_UPDATE=off", "MINIO_BROWSER=off")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill() //nolint:errcheck // it may have ended
		cmd.Wait()         //nolint:errcheck // killed
	})
	eventually(t, "MinIO answers", func() bool {
		r, err := http.Get("http://" + address + "/minio/health/ready") // loopback, in a test
		if err != nil {
			return false
		}
		r.Body.Close()
		return r.StatusCode == http.StatusOK
	})
	client, err := minio.New(address, &minio.Options{Creds: credentials.NewStaticV4("tester", "planted-secret-2", "")})
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "the bucket is made", func() bool {
		return client.MakeBucket(t.Context(), "backups", minio.MakeBucketOptions{}) == nil
	})
	return "http://" + address
}

func eventually(t *testing.T, what string, done func() bool) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(30 * time.Second)
	for !done() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("not in 30 s: %s", what)
		}
	}
}

func random(n int) []byte {
	b := make([]byte, n)
	rand.Read(b)
	return b
}

func keys(ctx context.Context, t *testing.T, s store.Store, prefix string, deep bool) []string {
	t.Helper()
	found := []string{}
	for info, err := range s.List(ctx, prefix, deep) {
		if err != nil {
			t.Fatal(err)
		}
		found = append(found, info.Key)
	}
	return found
}

func wantKind(t *testing.T, err error, kind store.Kind) {
	t.Helper()
	if !store.Is(err, kind) {
		t.Errorf("%v is %s, want %s", err, store.KindOf(err), kind)
	}
}

func wantEqual(t *testing.T, got, want any) {
	t.Helper()
	if g, w := fmt.Sprint(got), fmt.Sprint(want); g != w {
		t.Errorf("got %s, want %s", g, w)
	}
}
