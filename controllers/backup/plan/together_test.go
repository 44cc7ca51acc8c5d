package plan_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/backup/job"
	"github.com/robustmq/robustmq-operator/controllers/backup/plan"
	"github.com/robustmq/robustmq-operator/controllers/cluster"
	"github.com/robustmq/robustmq-operator/controllers/registration"
	agentclient "github.com/robustmq/robustmq-operator/internal/agent/client"
	"github.com/robustmq/robustmq-operator/monitoring"
)

const patience = 60 * time.Second

// eventually waits until a condition holds.
func eventually(t *testing.T, what string, holds func() error) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for {
		err := holds()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: %v", what, err)
		}
		select {
		case <-t.Context().Done():
			t.Fatal(what, t.Context().Err())
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// absent agents: no pod runs, so nobody is asked.
type absent struct{}

func (absent) Client(string, agentclient.Identity, string) (agentclient.Client, error) {
	return nil, errors.New("nobody is there")
}

func (absent) Forget(string) {}
func (absent) Trim(string)   {}

// journal notes requests that change something, but for events.
type journal struct {
	next http.RoundTripper
	mu   *sync.Mutex
	all  *[]string
}

func (j journal) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Method != http.MethodGet && !strings.Contains(r.URL.Path, "/events") {
		j.mu.Lock()
		*j.all = append(*j.all, r.Method+" "+r.URL.Path)
		j.mu.Unlock()
	}
	return j.next.RoundTrip(r)
}

// process is the operator's process: the controller of clusters and that of plans, with their watches and caches.
type process struct {
	clock  atomic.Int64
	mu     sync.Mutex
	writes []string
}

func (p *process) wrote() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.writes)
}

func (p *process) set(at time.Time) { p.clock.Store(at.UnixNano()) }

// run the process until the test ends.
func (w *world) run() *process {
	w.t.Helper()
	p := &process{}
	p.set(w.now)
	config := rest.CopyConfig(w.config)
	config.UserAgent = "robustmq-operator"
	config.Wrap(func(next http.RoundTripper) http.RoundTripper { return journal{next, &p.mu, &p.writes} })
	mgr, err := ctrl.NewManager(config, ctrl.Options{
		Scheme: scheme(), Metrics: metricsserver.Options{BindAddress: "0"}, HealthProbeBindAddress: "0",
		Cache: cache.Options{ByObject: cluster.CacheByObject(), DefaultNamespaces: map[string]cache.Config{w.ns: {}}},
	})
	w.must(err)
	clusters := &cluster.Reconciler{
		Agents: absent{}, ServerImage: "example.org/robustmq:v{version}", AgentImage: "example.org/agent:1",
		Timings: cluster.Timings{Busy: 100 * time.Millisecond, Quiet: 100 * time.Millisecond, Observe: time.Second, Order: time.Second},
	}
	w.must(clusters.SetupWithManager(w.t.Context(), mgr, cluster.Options{Options: registration.Options{SkipNameValidation: true}}))
	plans := &plan.Reconciler{
		AgentImage: "example.org/agent:1", Metrics: monitoring.NewBackups(), Now: func() time.Time { return time.Unix(0, p.clock.Load()) },
		Timings: plan.Timings{Quiet: 100 * time.Millisecond, Mending: 100 * time.Millisecond, Busy: 50 * time.Millisecond, Yield: time.Minute},
	}
	w.must(plans.SetupWithManager(mgr, registration.Options{SkipNameValidation: true}))
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := mgr.Start(ctx); err != nil {
			w.t.Error(err)
		}
	}()
	w.t.Cleanup(func() { cancel(); <-ended })
	return p
}

// rests waits until the process has written nothing for a while, in which each controller has looked many times.
func (w *world) rests(p *process) {
	w.t.Helper()
	last, since := p.wrote(), time.Now()
	eventually(w.t, "rest", func() error {
		if n := p.wrote(); n != last {
			last, since = n, time.Now()
		}
		if time.Since(since) < 2*time.Second {
			p.mu.Lock()
			defer p.mu.Unlock()
			return fmt.Errorf("it writes: %v", p.writes[max(0, len(p.writes)-6):])
		}
		return nil
	})
}

func TestTheTwoWhoWriteAClustersStatusLeaveEachOthersPartAlone(t *testing.T) {
	w := newWorld(t)
	w.now = time.Now().UTC().Truncate(time.Hour).Add(30 * time.Minute)
	w.cluster(hourly)
	p := w.run()
	read := func() (c v1alpha1.RobustMQCluster) {
		w.must(w.Get(t.Context(), client.ObjectKey{Namespace: w.ns, Name: "c"}, &c))
		return c
	}
	eventually(t, "both have written", func() error {
		c := read()
		if meta.FindStatusCondition(c.Status.Conditions, v1alpha1.ConditionReady) == nil || meta.FindStatusCondition(c.Status.Conditions, v1alpha1.ConditionStorageReady) == nil || c.Status.Backup == nil || w.job(probe) == nil {
			return errors.New(text(c.Status))
		}
		return nil
	})
	w.endJob(probe, job.Result{Kind: job.Probe, Reason: job.DestinationWritable})
	eventually(t, "the storage is ready", func() error {
		if c := read(); !meta.IsStatusConditionTrue(c.Status.Conditions, v1alpha1.ConditionStorageReady) {
			return errors.New(text(c.Status.Conditions))
		}
		return nil
	})
	if c := read(); meta.IsStatusConditionTrue(c.Status.Conditions, v1alpha1.ConditionReady) || len(c.Status.Conditions) != len(v1alpha1.ConditionTypes)+1 {
		t.Errorf("%s", text(c.Status.Conditions))
	}
	w.rests(p)

	// Ticks come and backups end without anybody asking.
	p.set(w.now.Add(time.Hour))
	var made string
	eventually(t, "a backup is made", func() error {
		all := w.backups()
		if len(all) != 1 {
			return fmt.Errorf("%v", all)
		}
		made = all[0]
		return nil
	})
	w.now = w.now.Add(time.Hour)
	w.end(made, "")
	eventually(t, "its end is noted, and what expired is collected", func() error {
		if c := read(); c.Status.Backup.LastSuccessTime.IsZero() || w.job(collection) == nil {
			return errors.New(text(c.Status.Backup))
		}
		return nil
	})
	w.endJob(collection, job.Result{Kind: job.Collect, Reason: job.BackupsCollected, Collected: &job.Collected{Kept: 1}})
	w.rests(p)

	// A backup that is deleted from the bucket leaves tables behind.
	hand := &v1alpha1.RobustMQBackup{}
	hand.Name, hand.Namespace, hand.Spec.ClusterName, hand.Spec.DeletionPolicy = "by-hand", w.ns, "c", v1alpha1.BackupDeleted
	w.must(w.Create(t.Context(), hand))
	w.end("by-hand", "")
	p.set(w.now.Add(90 * time.Minute)) // also a tick
	eventually(t, "the next backup", func() error {
		if all := w.backups(); len(all) != 3 {
			return fmt.Errorf("%v", all)
		}
		return nil
	})
	w.now = w.now.Add(90 * time.Minute)
	for _, name := range w.backups() {
		w.end(name, "")
	}
	eventually(t, "that is collected after", func() error {
		if c, j := read(), w.job(collection); j == nil || c.Status.Backup.Collection.JobUID == string(j.UID) {
			return errors.New(text(c.Status.Backup.Collection))
		}
		return nil
	})
	w.endJob(collection, job.Result{Kind: job.Collect, Reason: job.BackupsCollected, Collected: &job.Collected{Kept: 3}})
	w.rests(p)
	last := w.job(collection).UID
	w.change(func(c *v1alpha1.RobustMQCluster) { c.Spec.Backup.Schedules[0].Suspend = true })
	eventually(t, "the schedule is suspended", func() error {
		if c := read(); !c.Status.Backup.Schedules[0].NextScheduleTime.IsZero() {
			return errors.New(text(c.Status.Backup))
		}
		return nil
	})
	w.must(w.Delete(t.Context(), hand))
	p.set(w.now.Add(150 * time.Minute))
	eventually(t, "the tables of what was deleted are collected", func() error {
		if j := w.job(collection); j == nil || j.UID == last {
			return fmt.Errorf("backups %v", w.backups())
		}
		return nil
	})

	// The controller of clusters changes its part while this one's stands, and the other way round.
	before := read()
	w.change(func(c *v1alpha1.RobustMQCluster) { c.Spec.Paused = true })
	eventually(t, "the pause is seen", func() error {
		if c := read(); !meta.IsStatusConditionTrue(c.Status.Conditions, v1alpha1.ConditionPaused) {
			return errors.New(text(c.Status.Conditions))
		}
		return nil
	})
	w.rests(p)
	after := read()
	if !meta.IsStatusConditionTrue(after.Status.Conditions, v1alpha1.ConditionStorageReady) || after.Status.Backup == nil || after.Status.Backup.LastSuccessTime != before.Status.Backup.LastSuccessTime {
		t.Errorf("%s", text(after.Status))
	}
	w.change(func(c *v1alpha1.RobustMQCluster) { c.Spec.Backup, c.Spec.Paused = nil, false })
	eventually(t, "the plan is gone", func() error {
		if c := read(); c.Status.Backup != nil || len(c.Status.Conditions) != len(v1alpha1.ConditionTypes) {
			return errors.New(text(c.Status))
		}
		return nil
	})
	w.rests(p)
	if c := read(); len(c.Status.Members) == 0 || c.Status.ClusterUID != before.Status.ClusterUID {
		t.Errorf("%s", text(c.Status))
	}
	t.Logf("%d writes in all", p.wrote())
}
