package agent

import (
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
)

var (
	descWAL     = describe("robustmq_metadata_wal_bytes", "Bytes in the write-ahead logs of a placement-centre member's database: what an image has to read. A restart in place empties them.")
	descStaging = describe("robustmq_agent_staging_bytes", "Bytes written for images and not removed yet; hard links are not counted.")
	descImage   = describe("robustmq_agent_image", "1 while an image of this pod's metadata is there.")
)

// describeImages makes the counters of images.
func (m *metrics) describeImages() {
	m.images = prometheus.NewCounter(prometheus.CounterOpts{Name: "robustmq_agent_images_total", Help: "Images of this pod's metadata that became ready."})
	m.imageFailures = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "robustmq_agent_image_failures_total",
		Help: "Images of this pod's metadata that failed, by reason (" + strings.Join(protocol.ImageReasons(), ", ") + ").",
	}, []string{"reason"})
	for _, reason := range protocol.ImageReasons() {
		m.imageFailures.WithLabelValues(reason) // so that an increase has the first one
	}
	m.imageSeconds = prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: "robustmq_agent_image_duration_seconds", Help: "Time from the request for an image until it was ready.", Buckets: prometheus.ExponentialBuckets(0.05, 3, 9),
	})
}

// imageEnded counts an image that is ready or failed.
func (m *metrics) imageEnded(i protocol.Image) {
	if i.Phase == protocol.ImageFailed {
		m.imageFailures.WithLabelValues(i.Reason).Inc()
		return
	}
	m.images.Inc()
	m.imageSeconds.Observe(float64(i.TookMillis) / 1000)
}

func (a *Agent) collectImages(gauge func(*prometheus.Desc, float64, ...string)) {
	state := a.imagesState()
	a.mu.Lock()
	meta := a.mounted.readable && a.mounted.isMeta()
	a.mu.Unlock()
	if meta {
		gauge(descWAL, float64(state.WALBytes))
	}
	gauge(descStaging, float64(state.StagingBytes))
	gauge(descImage, one(state.Image != nil))
}
