//go:build e2e

package e2e

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/backup/archive"
	"github.com/robustmq/robustmq-operator/backup/image"
	"github.com/robustmq/robustmq-operator/backup/image/rocksdb"
	"github.com/robustmq/robustmq-operator/test/e2e/bed"
	"github.com/robustmq/robustmq-operator/test/e2e/messages"
)

// TestBackupsUnderLoadHoldWhatWasAcknowledged takes backups, one after another, while messages are published and users are made all the time. Each is downloaded as people do and opened by a
// real RocksDB, where one is at hand (E2E_PYTHON names a Python with rocksdict): it holds every user that was acknowledged before it was asked for, and what its manifest says was applied in each raft group.
// How long publishers wait for acknowledgements with a backup under way is compared with the pauses between. E2E_BACKUPS says how many (50).
func TestBackupsUnderLoadHoldWhatWasAcknowledged(t *testing.T) {
	onlyLong(t)
	count := 50
	if text := os.Getenv("E2E_BACKUPS"); text != "" {
		var err error
		if count, err = strconv.Atoi(text); err != nil || count < 1 {
			t.Fatalf("E2E_BACKUPS=%s: a number from 1", text)
		}
	}
	s, _, s3 := planned(t, "busy", bed.MinIO, nil)
	s.storage(2 * time.Minute)
	s.messages("e2e/busy")
	access, err := messages.Reach(t.Context(), k8s, s.cluster())
	s.must(err)
	traffic, err := messages.Start(t.Context(), access.Brokers(), "e2e/busy", messages.NewRun(time.Now()), 20*time.Millisecond)
	s.must(err)
	registrar := register(t.Context(), access.Admin(0))
	judge := newJudge(s)

	var busy []span
	sources := map[string]int{}
	for i := range count {
		s.quietFor(2 * time.Second) // so that there is something to compare with
		want := registrar.made()
		name := fmt.Sprintf("under-load-%d", i)
		begin := time.Now()
		s.ask(name, v1alpha1.RobustMQBackupSpec{})
		b, found := s.complete(name, s3, 2*time.Minute)
		busy = append(busy, span{begin, time.Now()})
		sources[b.Status.Source.Pod]++
		s.holds(judge, b, found, s3, want)
	}
	users := len(registrar.stop(s))
	acks := traffic.Acks()
	sent := traffic.Stop(20 * time.Second)
	if sent.Lost > 0 {
		t.Errorf("the messages: %s", sent)
	}
	with, without := split(acks, busy)
	figures.add(fmt.Sprintf("%d backups under load", count), "each holds what was acknowledged before (%d users in the end, judged by %s); taken from %v; %s", users, judge.name(), sources, sent)
	figures.add("publishing: median and p99 with a backup under way", "%.1f and %.1f ms (%d messages)", ms(quantile(with, 0.5)), ms(quantile(with, 0.99)), len(with))
	figures.add("publishing: median and p99 between backups", "%.1f and %.1f ms (%d messages); ratio of the medians %.2f", ms(quantile(without, 0.5)), ms(quantile(without, 0.99)), len(without),
		float64(quantile(with, 0.5))/float64(quantile(without, 0.5)))
}

// holds downloads a backup with the command for people, and looks into it.
func (s *scene) holds(judge *judge, b *v1alpha1.RobustMQBackup, found archive.Backup, s3 bed.S3, want []string) {
	s.Helper()
	into := filepath.Join(s.TempDir(), b.Name)
	s.offline(s3, "download", path.Base(path.Dir(b.Status.Key)), "--into", into, "--bucket", b.Status.Destination.Bucket, "--prefix", b.Status.Destination.Prefix)
	defer os.RemoveAll(into) //nolint:errcheck // below the temporary folders
	has := judge.users(s, into)
	for _, user := range want {
		if !slices.Contains(has, user) {
			s.Errorf("%s was taken after user %s was acknowledged, and does not hold it (it has %d users)", b.Name, user, len(has))
			break
		}
	}
	inside, err := image.Inspect(s.Context(), image.OS{}, into)
	s.must(err)
	for _, g := range found.Manifest.Groups {
		applied := inside.Groups[g.Name].Applied
		if applied == nil || applied.Index < g.LastApplied { // the position was asked for before the links were made: the image may hold an entry more
			s.Errorf("%s: raft group %s: the manifest says %d was applied, its database %+v", b.Name, g.Name, g.LastApplied, applied)
		}
	}
}

// span is a time in which a backup was under way.
type span struct{ from, to time.Time }

// split are the times of acknowledgements in the spans, and outside of them.
func split(acks []messages.Ack, spans []span) (in, out []time.Duration) {
	for _, a := range acks {
		if slices.ContainsFunc(spans, func(s span) bool { return !a.At.Before(s.from) && !a.At.After(s.to) }) {
			in = append(in, a.Took)
		} else {
			out = append(out, a.Took)
		}
	}
	return in, out
}

func quantile(took []time.Duration, q float64) time.Duration {
	if len(took) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(took))
	return sorted[min(int(q*float64(len(sorted))), len(sorted)-1)]
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// registrar makes users all the time.
type registrar struct {
	cancel context.CancelFunc
	ended  sync.WaitGroup
	mu     sync.Mutex
	users  []string
	err    error
}

func register(ctx context.Context, a messages.Admin) *registrar {
	r := &registrar{}
	ctx, r.cancel = context.WithCancel(ctx)
	r.ended.Go(func() {
		for i := 0; ctx.Err() == nil; i++ {
			name := fmt.Sprintf("user-%06d", i)
			_, err := a.CreateUser(ctx, name, "secret-"+name)
			r.mu.Lock()
			if err == nil {
				r.users = append(r.users, name)
			} else if ctx.Err() == nil {
				r.err = err
			}
			r.mu.Unlock()
		}
	})
	return r
}

// made are the users that were acknowledged so far.
func (r *registrar) made() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.users)
}

// stop ends it; a user that was refused is an error.
func (r *registrar) stop(s *scene) []string {
	s.Helper()
	r.cancel()
	r.ended.Wait()
	s.must(r.err)
	return r.users
}

// judge opens databases with a real RocksDB, if there is one, and else with the product's own reader.
type judge struct {
	in  io.WriteCloser
	out *bufio.Reader
}

func newJudge(s *scene) *judge {
	s.Helper()
	python := os.Getenv("E2E_PYTHON")
	if python == "" {
		return &judge{}
	}
	cmd := exec.CommandContext(s.Context(), python, filepath.Join(root, "test/e2e/testdata/users.py"))
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	s.must(err)
	out, err := cmd.StdoutPipe()
	s.must(err)
	s.must(cmd.Start())
	s.Cleanup(func() {
		_ = in.Close()
		_ = cmd.Wait()
	})
	return &judge{in: in, out: bufio.NewReader(out)}
}

func (j *judge) name() string {
	if j.in == nil {
		return "our own reader of WALs"
	}
	return "RocksDB"
}

// users are the MQTT users in a database.
func (j *judge) users(s *scene, dir string) []string {
	s.Helper()
	if j.in == nil {
		return usersInLogs(s, dir)
	}
	_, err := fmt.Fprintln(j.in, dir)
	s.must(err)
	line, err := j.out.ReadString('\n')
	s.must(err)
	word, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
	if word != "ok" {
		s.Fatalf("RocksDB does not open %s: %s", dir, rest)
	}
	return strings.Fields(rest)
}

// usersInLogs are those that the WALs tell of: all, in a cluster whose servers were never started again.
func usersInLogs(s *scene, dir string) []string {
	s.Helper()
	var names []string
	s.must(image.Entries(s.Context(), image.OS{}, dir, func(family string, op rocksdb.Op) error {
		if name, ok := strings.CutPrefix(string(op.Key), "/meta/mqtt/user/default/"); ok && family == image.FamilyMetadata {
			names = append(names, name)
		}
		return nil
	}))
	return names
}
