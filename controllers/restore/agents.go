package restore

import (
	"context"
	"fmt"
	"strconv"
	"sync"
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

// askAll asks the agents for their states, within the deadline.
func (r *Reconciler) askAll(ctx context.Context, cluster *v1alpha1.RobustMQCluster, identity agentclient.Identity, pods map[string]*corev1.Pod, members []*member) {
	ctx, cancel := context.WithTimeout(ctx, r.Timings.Observe)
	defer cancel()
	var all sync.WaitGroup
	for _, m := range members {
		if !m.exists {
			continue
		}
		all.Go(func() {
			state, err := r.ask(ctx, cluster, identity, pods[m.pod])
			if err != nil {
				m.problem = err.Error()
				return
			}
			m.state = &state
		})
	}
	all.Wait()
}

func (r *Reconciler) ask(ctx context.Context, cluster *v1alpha1.RobustMQCluster, identity agentclient.Identity, pod *corev1.Pod) (protocol.State, error) {
	if pod.Status.PodIP == "" || pod.Status.Phase != corev1.PodRunning {
		return protocol.State{}, fmt.Errorf("its pod does not run")
	}
	agent, err := r.Agents.Client(client.ObjectKeyFromObject(cluster).String(), identity, pod.Status.PodIP)
	if err != nil {
		return protocol.State{}, err
	}
	state, err := agent.State(ctx)
	switch {
	case err != nil:
		return protocol.State{}, err
	case state.Pod != pod.Name:
		return protocol.State{}, fmt.Errorf("the agent at %s is that of pod %s", pod.Status.PodIP, state.Pod)
	}
	return state, nil
}

// identity is the operator's own towards the cluster's agents, as controllers/cluster made it.
func (r *Reconciler) identity(ctx context.Context, cluster *v1alpha1.RobustMQCluster) (agentclient.Identity, error) {
	var secret corev1.Secret
	name := manifests.OperatorPKISecretName(cluster)
	if err := r.Get(ctx, types.NamespacedName{Namespace: cluster.Namespace, Name: name}, &secret); err != nil {
		return agentclient.Identity{}, fmt.Errorf("reading Secret %s, the operator's certificate: %w", name, err)
	}
	return agentclient.Identity{
		CA: secret.Data[pki.KeyTrust], Cert: secret.Data[pki.KeyCert], Key: secret.Data[pki.KeyKey], ServerName: protocol.ServerName(cluster.Namespace, cluster.Name),
	}, nil
}

// censusPeriod is how long one round of counting has one ID: members that were met at different positions are counted anew under the next.
const censusPeriod = 15 * time.Second

// count has the voters' databases counted, and waits for that within the pass as long as an observation may take. What is not counted then is, in one of the next passes.
func (r *Reconciler) count(ctx context.Context, o *observation) {
	identity, err := r.identity(ctx, o.cluster)
	if err != nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, r.Timings.Observe)
	defer cancel()
	id := "restore-" + strconv.FormatInt(o.now.UnixNano()/int64(censusPeriod), 10)
	var mu sync.Mutex
	var all sync.WaitGroup
	o.counted = map[uint64]protocol.Census{}
	for _, m := range o.voters() {
		all.Go(func() {
			agent, err := r.Agents.Client(client.ObjectKeyFromObject(o.cluster).String(), identity, m.address)
			if err != nil {
				return
			}
			census, err := r.awaitCensus(ctx, agent, id)
			if err != nil {
				return // not counted
			}
			mu.Lock()
			defer mu.Unlock()
			o.counted[m.nodeID] = census
		})
	}
	all.Wait()
}

// awaitCensus asks until the census has ended. The error of one that has not is that of the context.
func (r *Reconciler) awaitCensus(ctx context.Context, agent agentclient.Client, id string) (protocol.Census, error) {
	for {
		census, err := agent.Census(ctx, id)
		switch {
		case err != nil && agentclient.Reason(err) != protocol.ReasonBusy:
			return protocol.Census{}, err
		case err == nil && census.Phase != protocol.CensusCounting:
			return census, nil
		}
		if err := pause.For(ctx, r.Timings.Poll); err != nil {
			return protocol.Census{}, err
		}
	}
}
