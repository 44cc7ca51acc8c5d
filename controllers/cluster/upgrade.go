package cluster

import (
	"fmt"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/internal/robustmq"
	"github.com/robustmq/robustmq-operator/internal/topology"
)

// targetVersion is the version that pods are built for: the one of the spec, when its servers may run beside those of the version that runs, and else the latter.
// While an upgrade rolls, status.version is still where it came from: it changes when every server runs the new one.
func targetVersion(cluster *v1alpha1.RobustMQCluster) string {
	running := runningVersion(cluster)
	from, fromErr := robustmq.ParseVersion(running)
	to, toErr := robustmq.ParseVersion(cluster.Spec.Version)
	if fromErr != nil || toErr != nil || to.Less(from) || !robustmq.CanRoll(from, to) {
		return running
	}
	return cluster.Spec.Version
}

// offlineOnly says why a change of version waits that cannot roll, and which ways there are.
func offlineOnly(p *pass) string {
	return fmt.Sprintf("the cluster runs RobustMQ %s, whose servers cannot run beside those of %s. An upgrade with everything stopped is not carried out by this release of the operator: "+
		"set spec.version back to %q, or make a new cluster of version %q", p.desired.Spec.Version, p.cluster.Spec.Version, p.desired.Spec.Version, p.cluster.Spec.Version)
}

// allRun reports whether every wanted pod's server is in service and is of the version that pods are built for.
func allRun(p *pass, health topology.Health) bool {
	if p.snapshot.Wanted.Replicas[v1alpha1.RolePlacementCenter] == 0 {
		return false // nothing runs at all
	}
	for _, m := range p.snapshot.Members {
		if m.Ordinal >= p.snapshot.Wanted.Replicas[m.Role] {
			continue
		}
		if m.TemplateStale || !health.InService(m) || p.observed.states[m.Pod].Server.Version != p.desired.Spec.Version {
			return false
		}
	}
	return true
}

// notYet are the wanted pods whose server is not of the version that pods are built for.
func notYet(p *pass) (pods []string, of int) {
	for _, m := range p.snapshot.Members {
		if m.Ordinal >= p.snapshot.Wanted.Replicas[m.Role] {
			continue
		}
		of++
		if p.observed.states[m.Pod].Server.Version != p.desired.Spec.Version {
			pods = append(pods, m.Pod)
		}
	}
	return pods, of
}
