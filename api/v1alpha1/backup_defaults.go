package v1alpha1

import (
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Defaults of the schema.
const (
	DefaultStartDeadline    = 10 * time.Minute
	DefaultProgressDeadline = 5 * time.Minute
)

// Default fills in what the user left out. It says the same as the schema, for objects that never saw an API server.
func (b *RobustMQBackup) Default() {
	def(&b.Spec.DeletionPolicy, BackupRetained)
	defPtr(&b.Spec.StartDeadline, metav1.Duration{Duration: DefaultStartDeadline})
	defPtr(&b.Spec.ProgressDeadline, metav1.Duration{Duration: DefaultProgressDeadline})
}

// Default fills in what the user left out. It says the same as the schema, for objects that never saw an API server.
func (r *RobustMQRestore) Default() {
	def(&r.Spec.Trigger, RestoreManual)
}
