package v1alpha1

import (
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Defaults of the schema.
const (
	DefaultPlacementCenterReplicas int32 = 3
	DefaultMQTTBrokerReplicas      int32 = 2
	DefaultJournalServerReplicas   int32 = 3
	DefaultStorage                       = "10Gi"
	DefaultKeepLast                int32 = 7
)

// Default fills in what the user left out. It says the same as the schema, for objects that never saw an API server, and completes what a schema cannot:
// a listener of which only half is given. It changes nothing that is set, and a second time nothing at all.
func (c *RobustMQCluster) Default() {
	s := &c.Spec
	def(&s.ImagePullPolicy, corev1.PullIfNotPresent)
	def(&s.VolumeRetention, VolumesRetained)
	def(&s.PlacementCenter.Replicas, DefaultPlacementCenterReplicas)
	def(&s.MQTTBroker.Replicas, DefaultMQTTBrokerReplicas)
	if s.JournalServer != nil {
		def(&s.JournalServer.Replicas, DefaultJournalServerReplicas)
	}
	for _, r := range s.Roles() {
		r.defaults()
	}
	s.Listeners.defaults()
	if i := s.TLS.IssuerRef; i != nil {
		def(&i.Kind, "Issuer")
		def(&i.Group, "cert-manager.io")
	}
	defPtr(&s.NetworkPolicy.Enabled, true)
	s.Monitoring.defaults()
	if s.Backup != nil {
		s.Backup.defaults()
	}
}

func (r *RoleSpec) defaults() {
	if r.Storage == nil {
		q := resource.MustParse(DefaultStorage)
		r.Storage = &q
	}
	if r.Resources == nil {
		r.Resources = &ResourcesSpec{
			Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("500m"), corev1.ResourceMemory: resource.MustParse("2Gi")},
			Limits:   corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("2Gi")},
		}
	}
}

func (l *ListenersSpec) defaults() {
	def(&l.Service.Type, corev1.ServiceTypeClusterIP)
	for i, f := range l.fields() {
		if *f == nil {
			*f = &ListenerSpec{}
		}
		defPtr(&(*f).Enabled, usual[i].Enabled)
		def(&(*f).Port, usual[i].Port) // QUIC's is 0: it has none of its own
	}
}

func (m *MonitoringSpec) defaults() {
	defPtr(&m.Enabled, true)
	defPtr(&m.Interval, metav1.Duration{Duration: 30 * time.Second})
	defPtr(&m.Dashboards, true)
	defPtr(&m.Rules, true)
}

func (b *BackupSpec) defaults() {
	def(&b.Verification, VerificationChecksum)
	def(&b.AutoRestore, AutoRestoreOnTotalLoss)
	for i := range b.Schedules {
		s := &b.Schedules[i]
		def(&s.TimeZone, "Etc/UTC")
		defPtr(&s.Retention.KeepLast, DefaultKeepLast)
	}
}

func def[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

func defPtr[T any](field **T, value T) {
	if *field == nil {
		*field = &value
	}
}
