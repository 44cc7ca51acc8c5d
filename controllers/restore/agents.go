package restore

import (
	"context"
	"strconv"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/controllers/agents"
	agentclient "github.com/robustmq/robustmq-operator/internal/agent/client"
	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
	"github.com/robustmq/robustmq-operator/internal/pause"
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
			state, err := agents.Ask(ctx, r.Agents, cluster, identity, pods[m.pod])
			if err != nil {
				m.problem = err.Error()
				return
			}
			m.state = &state
		})
	}
	all.Wait()
}

// censusPeriod is how long one round of counting has one ID: members that were met at different positions are counted anew under the next.
const censusPeriod = 15 * time.Second

// count has the voters' databases counted, and waits for that within the pass as long as an observation may take. What is not counted then is, in one of the next passes.
func (r *Reconciler) count(ctx context.Context, o *observation) {
	identity, err := agents.Identity(ctx, r.Client, o.cluster)
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
