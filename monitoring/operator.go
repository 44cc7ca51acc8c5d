package monitoring

import (
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/types"
)

// Operator is everything that the controllers and webhooks of one process count. What is called through its methods is counted by nobody where it is nil.
type Operator struct {
	Clusters   *Clusters
	Backups    *Backups
	Restores   *Restores
	Recoveries *Recoveries
	Steps      *Steps
	Transfers  *Transfers
	Work       *Work
	Admissions *Admissions
	Leader     *Leader
}

// NewOperator makes the metrics of a process that has done nothing yet; whoever makes them registers them.
func NewOperator() *Operator {
	return &Operator{
		Clusters: NewClusters(), Backups: NewBackups(), Restores: NewRestores(), Recoveries: NewRecoveries(), Steps: NewSteps(), Transfers: NewTransfers(),
		Work: NewWork(), Admissions: NewAdmissions(), Leader: NewLeader(),
	}
}

// Register puts all of them into a registry; an error when one of them is there already.
func (o *Operator) Register(r prometheus.Registerer) error {
	for _, c := range []prometheus.Collector{o.Clusters, o.Backups, o.Restores, o.Recoveries, o.Steps, o.Transfers, o.Work, o.Admissions, o.Leader} {
		if err := r.Register(c); err != nil {
			return fmt.Errorf("registering the metrics %T: %w", c, err)
		}
	}
	return nil
}

// Over counts a trouble that is over.
func (o *Operator) Over(kind string, took time.Duration) {
	if o != nil {
		o.Recoveries.Over(kind, took)
	}
}

// Converged counts a step that has brought what it was for.
func (o *Operator) Converged(step string, took time.Duration) {
	if o != nil {
		o.Steps.Converged(step, took)
	}
}

// Transferred counts a transfer of leadership that has ended.
func (o *Operator) Transferred(outcome string, gap time.Duration) {
	if o != nil {
		o.Transfers.Seen(outcome, gap)
	}
}

// Counts are the passes and writes of the controllers; nil where nobody counts.
func (o *Operator) Counts() *Work {
	if o == nil {
		return nil
	}
	return o.Work
}

// Forget a cluster that is gone.
func (o *Operator) Forget(cluster types.NamespacedName) {
	if o != nil {
		o.Clusters.Forget(cluster)
		o.Restores.Forget(cluster)
	}
}
