package cluster

import (
	"cmp"

	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/internal/pki"
	"github.com/robustmq/robustmq-operator/monitoring"
)

// export tells the metrics what this pass saw: the conditions and members as the status has them, and the troubles that are not over.
func (r *Reconciler) export(p *pass, status v1alpha1.RobustMQClusterStatus) {
	if r.Metrics == nil {
		return
	}
	cluster := monitoring.Cluster{Conditions: monitoring.ConditionsOf(status.Conditions), Members: membersOf(status), Certificates: p.memory.certificates}
	if p.cluster.Spec.Hibernated { // nobody is to be woken for pods that sleep
		for i := range cluster.Members {
			cluster.Members[i].Desired = 0
		}
	}
	for _, rung := range p.memory.watch.Rungs() {
		cluster.Troubles = append(cluster.Troubles, string(rung))
	}
	r.Metrics.Clusters.Set(client.ObjectKeyFromObject(p.cluster), cluster)
}

func membersOf(status v1alpha1.RobustMQClusterStatus) []monitoring.Members {
	members := []monitoring.Members{
		{Role: v1alpha1.RolePlacementCenter.Component(), Desired: status.PlacementCenter.Desired, Ready: status.PlacementCenter.Ready},
		{Role: v1alpha1.RoleMQTTBroker.Component(), Desired: status.MQTTBroker.Desired, Ready: status.MQTTBroker.Ready},
	}
	if j := status.JournalServer; j != nil {
		members = append(members, monitoring.Members{Role: v1alpha1.RoleJournalServer.Component(), Desired: j.Desired, Ready: j.Ready})
	}
	return members
}

func restoresToExport(restores []v1alpha1.RobustMQRestore) []monitoring.Restore {
	out := make([]monitoring.Restore, 0, len(restores))
	for i := range restores {
		x := &restores[i]
		one := monitoring.Restore{UID: x.UID, Trigger: string(cmp.Or(x.Spec.Trigger, v1alpha1.RestoreManual))}
		switch ended := x.Ended(); {
		case !ended:
			one.Phase = string(restoreOf(x).Stage)
		case x.Status.Stage == v1alpha1.RestoreComplete:
			one.Succeeded = x.Status.CompletionTime.Time
		case x.Status.Stage == v1alpha1.RestoreFailed:
			one.Failed = restoreOf(x).Reason
		}
		out = append(out, one)
	}
	return out
}

// certificatesOf are the ends of the certificates that the operator keeps for a cluster. What cannot be read has none.
func certificatesOf(secrets pki.Secrets) []monitoring.Certificate {
	var out []monitoring.Certificate
	for _, c := range []struct {
		name string
		data map[string][]byte
	}{{"authority", secrets.Authority}, {"agent", secrets.Agent}, {"operator", secrets.Operator}, {"job", secrets.Job}, {"listener", secrets.Listener}} {
		if end, err := pki.NotAfter(c.data[pki.KeyCert]); err == nil {
			out = append(out, monitoring.Certificate{Name: c.name, NotAfter: end})
		}
	}
	return out
}

// noteCertificates reads the ends of a cluster's certificates and exports them at once: of a pass that fails later nothing else is.
func (r *Reconciler) noteCertificates(p *pass, secrets pki.Secrets) {
	p.memory.certificates = certificatesOf(secrets)
	if r.Metrics != nil {
		r.Metrics.Clusters.SetCertificates(client.ObjectKeyFromObject(p.cluster), p.memory.certificates)
	}
}
