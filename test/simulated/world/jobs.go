package world

import (
	"context"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/robustmq/robustmq-operator/backup/job"
	"github.com/robustmq/robustmq-operator/backup/store"
	"github.com/robustmq/robustmq-operator/backup/store/s3test"
	"github.com/robustmq/robustmq-operator/test/simulated/kubelet"
)

// Bucket is an S3 server with one bucket, which fails where a test wants it to.
type Bucket struct {
	*s3test.Server
	Faults *s3test.Faults
	URL    string
}

// Credentials of every bucket.
const (
	BucketName      = "backups"
	BucketAccessKey = "AKSIMULATED"
	BucketSecretKey = "planted-simulated-secret-key"
)

// NewBucket starts an S3 server that ends with the world.
func (w *World) NewBucket() *Bucket {
	w.T.Helper()
	b := &Bucket{Server: &s3test.Server{Bucket: BucketName, Region: "us-east-1", AccessKey: BucketAccessKey, SecretKey: BucketSecretKey}}
	b.Faults = &s3test.Faults{Next: b.Server}
	server := httptest.NewServer(b.Faults)
	w.T.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	b.URL = server.URL
	return b
}

// runJob is `agent backup KIND --request=...` in the container of a Job.
func (w *World) runJob(kill context.Context, term <-chan struct{}, p *kubelet.Process) int {
	kind, text := job.Kind(p.Args[2]), strings.TrimPrefix(p.Args[3], "--request=")
	say := func(r job.Result) int {
		if kill.Err() != nil {
			return 137 // it is dead, and dead programs write nothing
		}
		if err := os.WriteFile(filepath.Join(p.Root, job.TerminationMessage), r.Encode(), 0o600); err != nil {
			_, _ = fmt.Fprintln(p.Log, "termination message:", err)
			return 1
		}
		if !r.OK() {
			return 1
		}
		return 0
	}
	request, err := job.Parse(kind, text)
	if err != nil {
		return say(job.Result{Kind: kind, Reason: job.RequestInvalid, Message: err.Error()})
	}
	ctx, cancel := context.WithCancel(kill)
	defer cancel()
	go func() {
		select {
		case <-term:
			cancel()
		case <-ctx.Done():
		}
	}()
	if hold := w.Options.HoldJob; hold != nil {
		hold(ctx, p.Pod.Name, kind)
	}
	soon := func(d, floor time.Duration) time.Duration { return w.scaledAtLeast(d, floor) }
	return say(job.Run(ctx, kind, request, job.Options{
		Holder: "pod " + p.Pod.Name, Tool: "simulated", Log: slog.New(slog.NewTextHandler(p.Log, nil)), Root: p.Root, Dial: p.Host.DialContext,
		Tune: func(c *store.Config) { w.tuneStore(c) },
		Patience: job.Patience{
			Poll: 50 * time.Millisecond, Lost: soon(45*time.Second, 4*time.Second), Stall: soon(15*time.Second, 2*time.Second), Busy: soon(150*time.Second, time.Minute),
			Backoff: 50 * time.Millisecond, Report: 50 * time.Millisecond, Renew: soon(20*time.Second, 2*time.Second), Deadline: w.Options.JobDeadline,
		},
	}))
}

// tuneStore makes a Job's patience with the bucket fit this world's speed.
func (w *World) tuneStore(c *store.Config) {
	c.Stall, c.Attempts = w.scaledAtLeast(time.Minute, 3*time.Second), 4
	c.Backoff = func(attempt int) time.Duration { return time.Duration(attempt) * 50 * time.Millisecond }
}
