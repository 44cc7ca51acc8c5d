package agents

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
	agentclient "github.com/robustmq/robustmq-operator/internal/agent/client"
	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
	"github.com/robustmq/robustmq-operator/internal/manifests"
	"github.com/robustmq/robustmq-operator/internal/pause"
	"github.com/robustmq/robustmq-operator/internal/pki"
)

// Pool gives clients of agents, with one mutual-TLS transport a cluster.
type Pool interface {
	// Client gives the client of the agent at podIP; key tells clusters apart.
	Client(key string, identity agentclient.Identity, podIP string) (agentclient.Client, error)
}

// Identity is the operator's own towards the cluster's agents, as controllers/cluster made it. An error is that of reading its Secret.
func Identity(ctx context.Context, reader client.Reader, cluster *v1alpha1.RobustMQCluster) (agentclient.Identity, error) {
	var secret corev1.Secret
	name := manifests.OperatorPKISecretName(cluster)
	if err := reader.Get(ctx, types.NamespacedName{Namespace: cluster.Namespace, Name: name}, &secret); err != nil {
		return agentclient.Identity{}, fmt.Errorf("reading Secret %s, the operator's certificate: %w", name, err)
	}
	return agentclient.Identity{
		CA: secret.Data[pki.KeyTrust], Cert: secret.Data[pki.KeyCert], Key: secret.Data[pki.KeyKey], ServerName: protocol.ServerName(cluster.Namespace, cluster.Name),
	}, nil
}

// Ask asks the agent of a pod of the cluster for its state. A pod that does not run is not asked.
func Ask(ctx context.Context, pool Pool, cluster *v1alpha1.RobustMQCluster, identity agentclient.Identity, pod *corev1.Pod) (protocol.State, error) {
	agent, err := of(pool, cluster, identity, pod)
	if err != nil {
		return protocol.State{}, err
	}
	return State(ctx, agent, pod)
}

// AwaitEnd returns nil when the agent of a pod that is being deleted has said that it has ended for good (protocol.PathEnd). An error says that it is not known to have.
func AwaitEnd(ctx context.Context, pool Pool, cluster *v1alpha1.RobustMQCluster, identity agentclient.Identity, pod *corev1.Pod) error {
	agent, err := of(pool, cluster, identity, pod)
	if err != nil {
		return err
	}
	for {
		end, err := agent.End(ctx)
		switch {
		case err == nil:
			return isOf(end.Pod, pod)
		case agentclient.Reason(err) != protocol.ReasonConflict || pause.For(ctx, endPause) != nil:
			return err
		}
	}
}

// endPause is how soon an agent is asked again whose pod has not ended.
const endPause = 100 * time.Millisecond

func of(pool Pool, cluster *v1alpha1.RobustMQCluster, identity agentclient.Identity, pod *corev1.Pod) (agentclient.Client, error) {
	if pod.Status.PodIP == "" || pod.Status.Phase != corev1.PodRunning {
		return nil, errors.New("its pod does not run")
	}
	return pool.Client(client.ObjectKeyFromObject(cluster).String(), identity, pod.Status.PodIP)
}

// State is what an agent says of its pod. An answer of another pod's agent, which has the address by now, is an error.
func State(ctx context.Context, agent agentclient.Client, pod *corev1.Pod) (protocol.State, error) {
	state, err := agent.State(ctx)
	if err == nil {
		err = isOf(state.Pod, pod)
	}
	if err != nil {
		return protocol.State{}, err
	}
	return state, nil
}

// isOf is an error where another pod's agent has answered.
func isOf(answered string, pod *corev1.Pod) error {
	if answered != pod.Name {
		return fmt.Errorf("the agent at %s is that of pod %s", pod.Status.PodIP, answered)
	}
	return nil
}
