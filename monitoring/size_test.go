package monitoring_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"github.com/robustmq/robustmq-operator/monitoring"
)

// fill exports clusters that use everything: all conditions, three roles, all certificates, a plan with two schedules. One in ten is in trouble, has backups by hand, failures and a restore besides.
func fill(o *monitoring.Operator, clusters int) {
	conditions := []string{"Ready", "QuorumHealthy", "Progressing", "Degraded", "ConfigApplied", "VersionSupported", "Paused", "StorageReady", "BackupsVerified", "MonitoringAvailable"}
	yes := true
	figures := &monitoring.Figures{Took: 12345 * time.Millisecond, SizeBytes: 1234567890, UploadedBytes: 123456789}
	for i := range clusters {
		key := types.NamespacedName{Namespace: fmt.Sprintf("tenant-%04d", i), Name: fmt.Sprintf("messages-%04d", i)}
		c := monitoring.Cluster{Members: []monitoring.Members{{Role: "placement-center", Desired: 3, Ready: 3}, {Role: "mqtt-broker", Desired: 5, Ready: 5}, {Role: "journal-server", Desired: 3, Ready: 3}}}
		for _, kind := range conditions {
			c.Conditions = append(c.Conditions, monitoring.Condition{Type: kind, Value: 1})
		}
		for _, name := range []string{"authority", "agent", "operator", "job", "listener"} {
			c.Certificates = append(c.Certificates, monitoring.Certificate{Name: name, NotAfter: noon})
		}
		p := monitoring.Plan{Schedules: map[string]monitoring.Schedule{}, StorageReady: &yes, LastCollection: noon, VerifyEvery: 24 * time.Hour, Verified: noon, VerifiedGood: &yes}
		for _, schedule := range []string{"hourly", "daily"} {
			p.Schedules[schedule] = monitoring.Schedule{LastSuccess: noon, LastRun: noon, NextRun: noon, Last: figures}
		}
		o.Backups.Set(key, p, nil)
		var restores []monitoring.Restore
		if i%10 == 0 {
			c.Troubles = []string{"LeaderLost", "ServerCrashed"}
			p.Schedules[monitoring.ByHand] = monitoring.Schedule{LastSuccess: noon, LastFailure: noon, Last: figures}
			o.Backups.Set(key, p, []monitoring.Failure{{UID: "1", Schedule: "hourly", Reason: "StoreUnavailable"}})
			restores = []monitoring.Restore{{UID: "1", Trigger: "Manual", Phase: "Transferring"}, {UID: "2", Succeeded: noon}, {UID: "3", Failed: "RestoreRefused"}}
		}
		o.Restores.Set(key, restores)
		o.Clusters.Set(key, c)
	}
	for _, controller := range []string{"robustmqcluster", "robustmqbackup", "robustmqbackupplan", "robustmqrestore", "robustmqpolicy"} {
		o.Work.Reconciler(controller, nil)
	}
}

type counter struct{ n int }

func (c *counter) Header() http.Header         { return http.Header{} }
func (c *counter) WriteHeader(int)             {}
func (c *counter) Write(b []byte) (int, error) { c.n += len(b); return len(b), nil }

func scraped(t testing.TB, r prometheus.Gatherer) int {
	t.Helper()
	var c counter
	promhttp.HandlerFor(r, promhttp.HandlerOpts{DisableCompression: true, ErrorHandling: promhttp.PanicOnError}).ServeHTTP(&c, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	return c.n
}

func TestTheMetricsOfAThousandClustersAreLessThanFiveMegabytes(t *testing.T) {
	o, r := monitoring.NewOperator(), prometheus.NewRegistry()
	if err := o.Register(r); err != nil {
		t.Fatal(err)
	}
	fill(o, 1000)
	size := scraped(t, prometheus.Gatherers{r, metrics.Registry}) // and what controller-runtime registers by itself: of its queues, of the process and of Go
	t.Logf("%d bytes", size)
	if size >= 5_000_000 || size < 4_000_000 {
		t.Errorf("%d bytes, want less than 5 MB, and as much as so many series take", size)
	}
}

func BenchmarkScrapeOfAThousandClusters(b *testing.B) {
	o, r := monitoring.NewOperator(), prometheus.NewRegistry()
	if err := o.Register(r); err != nil {
		b.Fatal(err)
	}
	fill(o, 1000)
	b.ReportAllocs()
	for b.Loop() {
		scraped(b, r)
	}
}
