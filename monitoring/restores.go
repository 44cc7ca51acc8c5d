package monitoring

import (
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/types"
)

// Restore is one RobustMQRestore of a cluster.
type Restore struct {
	UID     types.UID
	Trigger string
	// Phase it is in; empty once it has ended.
	Phase string
	// Succeeded is when it was complete; zero if it was not, or not yet.
	Succeeded time.Time
	// Failed is the reason why it failed; empty if it did not.
	Failed string
}

// Restores exports the restores of clusters. A restore has a series of its phase while it is under way, so there are as many as clusters that are being restored; those of a cluster that is
// forgotten are gone.
type Restores struct {
	mu       sync.Mutex
	clusters map[types.NamespacedName]*restored
}

type restored struct {
	underWay    []restorePhase
	lastSuccess time.Time
	counted     map[types.UID]bool
	failures    map[string]float64 // by reason
}

type restorePhase struct{ trigger, phase string }

// NewRestores makes a collector without restores; whoever makes it registers it.
func NewRestores() *Restores { return &Restores{clusters: map[types.NamespacedName]*restored{}} }

// Set exports the restores of a cluster that exist. A failure is counted once; those that exist when a cluster is seen first were counted by an operator before this one and begin at 0, as for
// backups. What succeeded last stays known when its object is deleted.
func (r *Restores) Set(cluster types.NamespacedName, restores []Restore) {
	r.mu.Lock()
	defer r.mu.Unlock()
	c := r.clusters[cluster]
	first := c == nil
	if first {
		c = &restored{}
		r.clusters[cluster] = c
	}
	c.underWay = nil
	var there map[types.UID]bool
	for _, restore := range restores {
		if restore.Succeeded.After(c.lastSuccess) {
			c.lastSuccess = restore.Succeeded
		}
		if phase := (restorePhase{restore.Trigger, restore.Phase}); restore.Phase != "" && !slices.Contains(c.underWay, phase) {
			c.underWay = append(c.underWay, phase)
		}
		if restore.Failed == "" {
			continue
		}
		if there == nil {
			there = map[types.UID]bool{}
		}
		there[restore.UID] = true
		if first || !c.counted[restore.UID] {
			if c.failures == nil {
				c.failures = map[string]float64{}
			}
			c.failures[restore.Failed] += oneIf(!first)
		}
	}
	c.counted = there
}

// Forget a cluster that is gone.
func (r *Restores) Forget(cluster types.NamespacedName) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.clusters, cluster)
}

var (
	restorePhaseDesc    = ofCluster("robustmq_restore_phase", "1 while a restore of the cluster is in this phase; absent when none is.", "trigger", "phase")
	restoreLastSuccess  = ofCluster("robustmq_restore_last_success_timestamp_seconds", "When a restore of the cluster became complete last.")
	restoreFailuresDesc = ofCluster("robustmq_restore_failures_total", "Restores that failed, by the reason of their condition Complete.", "reason")
)

// Describe sends what there can be.
func (r *Restores) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{restorePhaseDesc, restoreLastSuccess, restoreFailuresDesc} {
		ch <- d
	}
}

// Collect sends what there is.
func (r *Restores) Collect(ch chan<- prometheus.Metric) {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := newScrape(ch)
	for key, c := range r.clusters {
		one := all.of(key.Namespace, key.Name)
		for _, p := range c.underWay {
			one.gauge(restorePhaseDesc, 1, all.pair("trigger", p.trigger), all.pair("phase", p.phase))
		}
		if !c.lastSuccess.IsZero() {
			one.gauge(restoreLastSuccess, float64(c.lastSuccess.Unix()))
		}
		for reason, n := range c.failures {
			one.counter(restoreFailuresDesc, n, all.pair("reason", reason))
		}
	}
}
