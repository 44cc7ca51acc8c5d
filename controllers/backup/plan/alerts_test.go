package plan_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/backup/archive"
	"github.com/robustmq/robustmq-operator/backup/job"
	"github.com/robustmq/robustmq-operator/backup/store"
	"github.com/robustmq/robustmq-operator/backup/store/s3test"
	"github.com/robustmq/robustmq-operator/test/recording"
)

// watch is a Prometheus that asks an operator at work, on the clock of its world.
type watch struct {
	*recording.Recording
	w     *world
	began time.Time
	// round is what else happens between two scrapes; nil: nothing.
	round func()
}

func (w *world) watched() *watch {
	return &watch{Recording: recording.Of(w.t, w.ns, "c"), w: w, began: w.now}
}

func (p *watch) since() time.Duration { return p.w.now.Sub(p.began) }

// lasts lets so much time pass. The operator looks, and is asked, every two minutes; Prometheus takes a sample for true for five.
func (p *watch) lasts(d time.Duration) {
	p.w.t.Helper()
	metrics := promhttp.HandlerFor(p.w.registry, promhttp.HandlerOpts{})
	r := p.w.operator()
	for end := p.w.now.Add(d); p.w.now.Before(end); p.w.now = p.w.now.Add(2 * time.Minute) {
		if p.round != nil {
			p.round()
		}
		p.w.look(r)
		p.Scrape(p.w.now, recording.Operator(), metrics)
	}
}

// bucket is where the world's backups lie, and the pod in which Jobs read it.
type bucket struct {
	w      *world
	server *s3test.Server
	faults *s3test.Faults
	url    string
	root   string
	ended  map[string]bool // Jobs that were carried out
}

const (
	accessKey = "AKPLAN"
	secretKey = "planted-plan-secret"
)

// bucket gives the cluster a destination that exists, and one backup in it.
func (w *world) bucket() (*bucket, archive.Written) {
	w.t.Helper()
	b := &bucket{w: w, server: &s3test.Server{Bucket: "backups", Region: "us-east-1", AccessKey: accessKey, SecretKey: secretKey}, root: w.t.TempDir(), ended: map[string]bool{}}
	b.faults = &s3test.Faults{Next: b.server}
	h := httptest.NewServer(b.faults)
	w.t.Cleanup(func() { h.CloseClientConnections(); h.Close() })
	b.url = h.URL
	keys := map[string][]byte{job.AccessKeyFile: []byte(accessKey), job.SecretKeyFile: []byte(secretKey)}
	w.must(w.Create(w.t.Context(), &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "s3", Namespace: w.ns}, Data: keys}))
	folder := filepath.Join(b.root, job.CredentialsDir)
	w.must(os.MkdirAll(folder, 0o700))
	for name, content := range keys {
		w.must(os.WriteFile(filepath.Join(folder, name), content, 0o600))
	}
	w.change(func(c *v1alpha1.RobustMQCluster) {
		c.Spec.Unsafe = []v1alpha1.UnsafeEscape{v1alpha1.AllowInsecureS3}
		d := &c.Spec.Backup.Destination
		d.Endpoint, d.Region, d.PathStyle, d.CredentialsSecretName = b.url, "us-east-1", true, "s3"
	})
	w.writable()

	by := &v1alpha1.RobustMQBackup{ObjectMeta: metav1.ObjectMeta{Name: "by-hand", Namespace: w.ns}, Spec: v1alpha1.RobustMQBackupSpec{ClusterName: "c"}}
	w.must(w.Create(w.t.Context(), by))
	asked := w.asked(probe, job.Probe)
	s, err := store.NewS3(store.Config{Bucket: "backups", Region: "us-east-1", AccessKey: accessKey, SecretKey: secretKey, PathStyle: true, Endpoint: b.url})
	w.must(err)
	a, err := archive.New(s, asked.Destination.Prefix, asked.Owner.ClusterUID)
	w.must(err)
	at := by.CreationTimestamp.UTC()
	written, err := a.Write(w.t.Context(), archive.Request{
		Owner:  archive.Owner{ClusterUID: asked.Owner.ClusterUID, Name: asked.Owner.Name, Namespace: asked.Owner.Namespace, Installation: asked.Owner.Installation},
		Holder: "test", Verification: archive.Checksum, Now: func() time.Time { return at.Add(time.Minute) },
		Files:  []archive.File{archive.FileOf("CURRENT", []byte("MANIFEST-000005\n"))},
		Tables: []archive.File{archive.FileOf("000004.sst", []byte(strings.Repeat("table", 1000)))},
		Manifest: archive.Manifest{
			Name: by.Name, Tool: "test", RobustMQ: archive.Server{Version: "0.4.11"}, Member: archive.Member{Pod: "c-placement-center-1", NodeID: 2}, RecoveryPoint: at, Started: at,
			Groups: []archive.Group{{Name: "metadata_0", Term: 2, LastApplied: 9, Vote: archive.Vote{Term: 2, NodeID: 1, Committed: true},
				Membership: archive.Membership{Term: 1, NodeID: 1, Index: 3, Voters: []uint64{1, 2, 3}}}},
			Nodes: archive.Nodes{PlacementCenter: 3, MQTTBroker: 2}, Counts: map[string]int64{"users": 1},
		},
	})
	w.must(err)
	w.end(by.Name, "")
	return b, written
}

// carryOut runs the programs of the Jobs that the operator has made, as their pods would.
func (b *bucket) carryOut() {
	b.w.t.Helper()
	for name, kind := range map[string]job.Kind{collection: job.Collect, reading: job.Verify} {
		j := b.w.job(name)
		if j == nil || b.ended[string(j.UID)] {
			continue
		}
		b.ended[string(j.UID)] = true
		b.w.endJob(name, job.Run(b.w.t.Context(), kind, b.w.asked(name, kind), job.Options{
			Holder: "pod test", Tool: "test", Root: b.root, Log: slog.New(slog.DiscardHandler), Tune: func(c *store.Config) {
				c.Attempts, c.Stall, c.Backoff = 2, 2*time.Second, func(int) time.Duration { return time.Millisecond }
			},
		}))
	}
}

// verifiedHourly is a cluster whose backup is read again every hour, and Prometheus has seen it well for twenty minutes.
func verifiedHourly(t *testing.T) (*world, *bucket, archive.Written, *watch) {
	t.Helper()
	w := newWorld(t)
	w.cluster()
	b, written := w.bucket()
	w.change(func(c *v1alpha1.RobustMQCluster) {
		c.Spec.Backup.VerifyEvery = &metav1.Duration{Duration: time.Hour}
	})
	p := w.watched()
	p.round = b.carryOut
	p.lasts(20 * time.Minute)
	return w, b, written, p
}

func TestAlertBackupBrokenFiresWhenAVerificationFindsAnObjectDamagedInTheBucket(t *testing.T) {
	w, b, written, p := verifiedHourly(t)
	p.Quiet(0, "RobustMQBackupBroken")
	cause := p.since()
	var table string
	var whole []byte
	for _, key := range b.server.Objects() {
		if strings.HasSuffix(key, written.Manifest.Tables[0].Object.Key) {
			table = key
		}
	}
	b.server.Corrupt(table, func(content []byte) []byte {
		whole = append([]byte{}, content...)
		content[17] ^= 1
		return content
	})
	p.lasts(70 * time.Minute) // it is read at the next hour
	cure := p.since()
	b.server.Corrupt(table, func([]byte) []byte { return whole }) // an older version of the object is brought back
	p.lasts(70 * time.Minute)
	fired := p.Fires("RobustMQBackupBroken", 0, cause, cure)
	if st, _ := w.status(); st.Verification.Failures != 0 || fired.Labels["severity"] != "critical" {
		t.Errorf("%s, %v", text(st.Verification), fired.Labels)
	}
}

func TestAlertBackupUnverifiedFiresWhileTheBucketCannotBeRead(t *testing.T) {
	_, b, _, p := verifiedHourly(t)
	cause := p.since()
	b.faults.Choose(func(*http.Request) s3test.Fault { return s3test.Gone })
	p.lasts(4 * time.Hour)
	cure := p.since()
	b.faults.Choose(nil)
	p.lasts(80 * time.Minute) // the pause between two attempts has grown to an hour
	p.Fires("RobustMQBackupUnverified", 0, cause, cure)
	p.Quiet(0, "RobustMQBackupBroken") // what cannot be read is not broken for that
}

func TestAlertBackupOverdueFiresWhileAQuotaRefusesTheBackupOfASchedule(t *testing.T) {
	w := newWorld(t)
	w.cluster(hourly)
	w.writable()
	p := w.watched()
	p.lasts(10 * time.Minute)
	p.Quiet(0, "RobustMQBackupOverdue")
	one := &corev1.ResourceQuota{ObjectMeta: metav1.ObjectMeta{Name: "none", Namespace: w.ns}, Spec: corev1.ResourceQuotaSpec{
		Hard: corev1.ResourceList{"count/robustmqbackups.robustmq.io": resource.MustParse("0")},
	}}
	w.must(w.Create(t.Context(), one))
	one.Status.Hard, one.Status.Used = one.Spec.Hard, corev1.ResourceList{"count/robustmqbackups.robustmq.io": resource.MustParse("0")} // as the quota controller does
	w.must(w.Status().Update(t.Context(), one))
	// refused waits until the API server lets nobody make a backup, or lets them again.
	refused := func(want bool) {
		t.Helper()
		err := wait.PollUntilContextTimeout(t.Context(), 20*time.Millisecond, 30*time.Second, true, func(ctx context.Context) (bool, error) {
			trial := &v1alpha1.RobustMQBackup{ObjectMeta: metav1.ObjectMeta{Name: "trial", Namespace: w.ns}, Spec: v1alpha1.RobustMQBackupSpec{ClusterName: "c"}}
			err := w.Create(ctx, trial, client.DryRunAll)
			if err != nil && !apierrors.IsForbidden(err) {
				return false, fmt.Errorf("trial: %w", err)
			}
			return (err != nil) == want, nil
		})
		w.must(err)
	}
	refused(true)
	cause := p.since()
	p.lasts(50 * time.Minute)
	if st, _ := w.status(); len(w.made) != 0 || !strings.Contains(st.Schedules[0].Note, "exceeded quota") {
		t.Fatalf("%v %s", w.made, text(st.Schedules))
	}
	cure := p.since()
	w.must(w.Delete(t.Context(), one))
	refused(false)
	p.lasts(6 * time.Minute)
	p.Fires("RobustMQBackupOverdue", 0, cause, cure)
	if len(w.made) != 1 {
		t.Errorf("%v", w.made)
	}
}
