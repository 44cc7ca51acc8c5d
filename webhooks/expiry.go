package webhooks

import (
	"os"
	"path/filepath"

	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
)

// expiry tells when the certificates of this replica's webhooks end, out of the files that its server reads: the same whoever made them.
type expiry struct{ dir string }

var descExpiry = prometheus.NewDesc("robustmq_operator_webhook_certificate_expiry_timestamp_seconds",
	"Unix time at which a certificate of the admission webhooks expires: serving, or the authority that signed it.", []string{"certificate"}, nil)

// Describe implements prometheus.Collector.
func (expiry) Describe(ch chan<- *prometheus.Desc) { ch <- descExpiry }

// Collect implements prometheus.Collector. What is not there, or cannot be read, has no value.
func (e expiry) Collect(ch chan<- prometheus.Metric) {
	for name, file := range map[string]string{"serving": corev1.TLSCertKey, "authority": keyAuthority} {
		text, err := os.ReadFile(filepath.Join(e.dir, file))
		if err != nil {
			continue
		}
		if all := parseBundle(text); len(all) > 0 {
			ch <- prometheus.MustNewConstMetric(descExpiry, prometheus.GaugeValue, float64(all[0].NotAfter.Unix()), name)
		}
	}
}
