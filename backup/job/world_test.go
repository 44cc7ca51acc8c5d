package job_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"filippo.io/age"

	"github.com/robustmq/robustmq-operator/backup/archive"
	"github.com/robustmq/robustmq-operator/backup/job"
	"github.com/robustmq/robustmq-operator/backup/store"
	"github.com/robustmq/robustmq-operator/backup/store/s3test"
	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
)

const (
	uid          = "0b6c6a2e-54b1-4d0c-a0a4-4c9a1c9f2f55"
	secretKey    = "planted-secret-key"
	sessionToken = "planted-session-token"
	base         = "prefix/eu/" + uid + "/"
)

var noon = time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)

// world is a bucket, a member's agent and the pod of a Job.
type world struct {
	t       testing.TB
	root    string
	server  *s3test.Server
	faults  *s3test.Faults
	agent   *fakeAgent
	log     *bytes.Buffer
	url     string
	request job.Request
	options job.Options
	secrets []string // that nothing may show
}

func random(seed uint64, n int) []byte {
	b := make([]byte, n)
	r := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8)})
	r.Read(b) //nolint:errcheck // never fails
	return b
}

// image has a table of more than one part, small ones, and what is not a table.
func image() map[string]content {
	return map[string]content{
		"000101.sst":      bytesContent(random(1, store.PartSize+4321)),
		"000102.sst":      bytesContent(random(2, 3000)),
		"000103.sst":      bytesContent(random(3, 200_000)),
		"MANIFEST-000005": bytesContent([]byte("manifest")),
		"CURRENT":         bytesContent([]byte("MANIFEST-000005\n")),
		"000104.log":      bytesContent(bytes.Repeat([]byte("wal"), 30_000)),
	}
}

// small has no table of more than a part.
func small() map[string]content {
	files := image()
	delete(files, "000101.sst")
	return files
}

func newWorld(t testing.TB, changes ...func(*world)) *world {
	t.Helper()
	w := &world{t: t, root: t.TempDir(), log: &bytes.Buffer{}}
	w.server = &s3test.Server{Bucket: "backups", Region: "eu-1", AccessKey: "AKTEST", SecretKey: secretKey}
	w.faults = &s3test.Faults{Next: w.server}
	h := httptest.NewServer(w.faults)
	t.Cleanup(func() { h.CloseClientConnections(); h.Close() })
	w.url = h.URL
	w.agent = newAgent(t, w.root, image())
	w.secret("accessKey", "AKTEST")
	w.secret("secretKey", secretKey)
	w.request = job.Request{
		Destination: job.Destination{Bucket: "backups", Prefix: "prefix/eu", Endpoint: h.URL, Region: "eu-1", PathStyle: true, StaticCredentials: true},
		Owner:       job.Owner{ClusterUID: uid, Name: "my-cluster", Namespace: "prod", Installation: "k1"},
	}
	w.options = job.Options{
		Holder: "pod test", Tool: "robustmq-operator test", Log: slog.New(slog.NewJSONHandler(w.log, nil)), Root: w.root, Now: time.Now,
		Tune: func(c *store.Config) {
			c.Attempts, c.Stall, c.Backoff = 3, 2*time.Second, func(int) time.Duration { return time.Millisecond }
		},
		Patience: job.Patience{Poll: 5 * time.Millisecond, Lost: 2 * time.Second, Stall: time.Second, Busy: time.Second, Backoff: 5 * time.Millisecond, Report: 5 * time.Millisecond, Renew: 50 * time.Millisecond},
	}
	for _, change := range changes {
		change(w)
	}
	return w
}

func (w *world) secret(name, value string) {
	put(w.t, w.root, filepath.Join(job.CredentialsDir, name), []byte(value))
	if name != "accessKey" && value != "" {
		w.secrets = append(w.secrets, value)
	}
}

// take is the request for a backup of this name, started at a time.
func (w *world) take(name string, at time.Time) job.Request {
	r := w.request
	r.Take = &job.TakeRequest{
		Name: name, Schedule: "hourly", Started: at, RecoveryPoint: at, Positions: map[string]uint64{"metadata_0": 100, "data_0": 50},
		Agent: w.agent.address(), ServerName: protocol.ServerName("prod", "my-cluster"), ImageID: "image-" + name,
		Member: archive.Member{Pod: "my-cluster-placement-center-1", NodeID: 2}, RobustMQ: archive.Server{Version: "0.4.11", ImageDigest: "sha256:abc"},
		Nodes: archive.Nodes{PlacementCenter: 3, MQTTBroker: 5}, Counts: []string{"users", "topics", "tenants"}, Verification: archive.Checksum,
	}
	return r
}

// run a Job as the operator does: by the text of its request. Nothing that it says or logs may hold a secret.
func (w *world) run(kind job.Kind, r job.Request) job.Result {
	w.t.Helper()
	return w.runWithin(w.t.Context(), kind, r)
}

func (w *world) runWithin(ctx context.Context, kind job.Kind, r job.Request) job.Result {
	w.t.Helper()
	text, err := r.Encode(kind)
	if err != nil {
		w.t.Fatal(err)
	}
	parsed, err := job.Parse(kind, text)
	if err != nil {
		w.t.Fatal(err)
	}
	w.agent.with(func(a *fakeAgent) { a.released = 0 })
	result := job.Run(ctx, kind, parsed, w.options)
	message := string(result.Encode())
	read, err := job.ParseResult(kind, message)
	if err != nil {
		w.t.Errorf("the operator cannot read the result: %v\n%s", err, message)
	}
	if read.OK() != result.OK() || read.Reason != result.Reason {
		w.t.Errorf("the operator reads %+v, the Job said %+v", read, result)
	}
	for _, secret := range append([]string{"PRIVATE KEY"}, w.secrets...) {
		if strings.Contains(message, secret) || strings.Contains(w.log.String(), secret) {
			w.t.Errorf("a secret is in the result or in the log: %s", secret)
		}
	}
	return result
}

// mustTake makes a backup.
func (w *world) mustTake(name string, at time.Time, changes ...func(*job.TakeRequest)) job.Result {
	w.t.Helper()
	r := w.take(name, at)
	for _, change := range changes {
		change(r.Take)
	}
	result := w.run(job.Take, r)
	if !result.OK() {
		w.t.Fatalf("%+v\n%s", result, w.log)
	}
	return result
}

// want is a reason, and words in the message.
func (w *world) want(r job.Result, reason job.Reason, words ...string) {
	w.t.Helper()
	if r.Reason != reason {
		w.t.Errorf("%s, want %s: %s", r.Reason, reason, r.Message)
	}
	for _, word := range words {
		if !strings.Contains(r.Message, word) {
			w.t.Errorf("nothing of %q in %q", word, r.Message)
		}
	}
}

// archive of the bucket, past the faults.
func (w *world) archive() *archive.Archive {
	w.t.Helper()
	h := httptest.NewServer(w.server)
	w.t.Cleanup(h.Close)
	s, err := store.NewS3(store.Config{Bucket: "backups", Region: "eu-1", AccessKey: "AKTEST", SecretKey: secretKey, SessionToken: store.Secret(w.server.SessionToken), PathStyle: true, Endpoint: h.URL})
	if err != nil {
		w.t.Fatal(err)
	}
	a, err := archive.New(s, "prefix/eu", uid)
	if err != nil {
		w.t.Fatal(err)
	}
	return a
}

// backups that exist, each read back in full. There must be no other.
func (w *world) backups() []string {
	w.t.Helper()
	a := w.archive()
	list, err := a.List(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	var ids []string
	for _, b := range list {
		if !b.Good() {
			w.t.Errorf("%s: %s", b.ID, b.Broken)
			continue
		}
		m := b.Manifest
		if err := a.Verify(w.t.Context(), &m, archive.Full, "", nil); err != nil {
			w.t.Errorf("%s is there and not whole: %v", b.ID, err)
		}
		ids = append(ids, b.ID)
	}
	return ids
}

// wantObjects: below the cluster's folder there is nothing else.
func (w *world) wantObjects(want ...string) {
	w.t.Helper()
	var got []string
	for _, key := range w.server.Objects() {
		got = append(got, strings.TrimPrefix(key, base))
	}
	slices.Sort(want)
	if !slices.Equal(got, want) {
		w.t.Errorf("got  %q\nwant %q", got, want)
	}
}

func wantEqual[T any](t testing.TB, got, want T) {
	t.Helper()
	if g, w := fmt.Sprintf("%+v", got), fmt.Sprintf("%+v", want); g != w {
		t.Errorf("got  %s\nwant %s", g, w)
	}
}

func identity(t testing.TB) (recipient, secret string) {
	t.Helper()
	i, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	return i.Recipient().String(), i.String()
}
