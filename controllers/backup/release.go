package backup

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/controllers/agents"
	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
)

// letGo releases the image of a backup that has failed: its Job may have been killed, and then nobody else does before its lease ends, and the next backup of the member waits. It is no duty:
// an agent that is not reached removes the image by itself, within protocol.ImageLease.
func (r *Reconciler) letGo(ctx context.Context, o *observation) {
	pod := o.backup.Status.Source.Pod
	if pod == "" {
		pod = o.record.take.Member.Pod
	}
	if pod == "" || o.cluster == nil {
		return
	}
	if err := r.releaseImage(ctx, o.cluster, o.backup, pod); err != nil {
		ctrl.LoggerFrom(ctx).Info("the image of a failed backup could not be released; its agent removes it by itself", "pod", pod, "within", protocol.ImageLease.String(), "error", err.Error())
	}
}

func (r *Reconciler) releaseImage(ctx context.Context, cluster *v1alpha1.RobustMQCluster, b *v1alpha1.RobustMQBackup, name string) error {
	var pod corev1.Pod
	if err := r.Get(ctx, types.NamespacedName{Namespace: b.Namespace, Name: name}, &pod); err != nil {
		return fmt.Errorf("reading pod %s: %w", name, err)
	}
	if pod.Status.PodIP == "" {
		return nil // what was staged by it is gone at its agent's next start
	}
	identity, err := agents.Identity(ctx, r.Client, cluster)
	if err != nil {
		return err
	}
	agent, err := r.Agents.Client(types.NamespacedName{Namespace: cluster.Namespace, Name: cluster.Name}.String(), identity, pod.Status.PodIP)
	if err != nil {
		return fmt.Errorf("making a client of the agent of %s: %w", name, err)
	}
	ctx, cancel := context.WithTimeout(ctx, r.Timings.Observe)
	defer cancel()
	return agent.ReleaseImage(ctx, imageID(b))
}
