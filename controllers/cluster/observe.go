package cluster

import (
	"context"
	"fmt"
	"sync"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/controllers/agents"
	agentclient "github.com/robustmq/robustmq-operator/internal/agent/client"
	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
	"github.com/robustmq/robustmq-operator/internal/manifests"
	"github.com/robustmq/robustmq-operator/internal/topology"
)

// observation is what one pass saw of Kubernetes and of the agents. It is never changed once made: its objects are the cache's own.
type observation struct {
	pods   map[string]*corev1.Pod
	claims map[string]*corev1.PersistentVolumeClaim // by pod name
	sets   map[v1alpha1.Role]*appsv1.StatefulSet
	pulls  map[string]*corev1.Pod    // pods that pull images, by the name of their Job
	states map[string]protocol.State // by pod name
	errs   map[string]error          // agents that could not be asked, by pod name
	// machines are the nodes that carry the pods or their volumes, by name; local are the volumes of pods that cannot be scheduled, by pod name. Both are nil where they may not be read.
	machines map[string]topology.Machine
	local    map[string]*topology.LocalVolume
}

// clusterIndex finds the cached pods, claims and StatefulSets of a cluster by its name, among those of all clusters of its namespace.
const clusterIndex = "cluster"

// indexByCluster prepares the cache for it.
func indexByCluster(ctx context.Context, indexer client.FieldIndexer) error {
	of := func(object client.Object) []string { return []string{object.GetLabels()[v1alpha1.LabelCluster]} }
	for _, object := range []client.Object{&corev1.Pod{}, &corev1.PersistentVolumeClaim{}, &appsv1.StatefulSet{}} {
		if err := indexer.IndexField(ctx, object, clusterIndex, of); err != nil {
			return fmt.Errorf("index of %T by cluster: %w", object, err)
		}
	}
	return nil
}

// cachedOf selects what belongs to a cluster where the reconciler reads it, livingOf past the cache.
func (r *Reconciler) cachedOf(cluster *v1alpha1.RobustMQCluster) client.ListOption {
	if r.indexed {
		return client.MatchingFields{clusterIndex: cluster.Name}
	}
	return livingOf(cluster)
}

func livingOf(cluster *v1alpha1.RobustMQCluster) client.ListOption {
	return client.MatchingLabels{v1alpha1.LabelCluster: cluster.Name}
}

// observeKubernetes reads the cluster's pods, claims and StatefulSets.
func observeKubernetes(ctx context.Context, reader client.Reader, cluster *v1alpha1.RobustMQCluster, of client.ListOption) (*observation, error) {
	o := &observation{
		pods: map[string]*corev1.Pod{}, claims: map[string]*corev1.PersistentVolumeClaim{}, sets: map[v1alpha1.Role]*appsv1.StatefulSet{},
		pulls: map[string]*corev1.Pod{}, states: map[string]protocol.State{}, errs: map[string]error{},
	}
	own := []client.ListOption{client.InNamespace(cluster.Namespace), of, client.UnsafeDisableDeepCopy}
	var pods corev1.PodList
	if err := reader.List(ctx, &pods, own...); err != nil {
		return nil, fmt.Errorf("listing the pods of cluster %s: %w", cluster.Name, err)
	}
	for i := range pods.Items {
		switch pod := &pods.Items[i]; pod.Labels[v1alpha1.LabelRole] {
		case v1alpha1.ComponentBackup: // a Job's pod has no agent
		case v1alpha1.ComponentPull:
			o.pulls[pod.Labels[batchv1.JobNameLabel]] = pod
		default:
			o.pods[pod.Name] = pod
		}
	}
	var claims corev1.PersistentVolumeClaimList
	if err := reader.List(ctx, &claims, own...); err != nil {
		return nil, fmt.Errorf("listing the volume claims of cluster %s: %w", cluster.Name, err)
	}
	for i := range claims.Items {
		if pod, ok := manifests.PodOfVolumeClaim(claims.Items[i].Name); ok {
			o.claims[pod] = &claims.Items[i]
		}
	}
	var sets appsv1.StatefulSetList
	if err := reader.List(ctx, &sets, own...); err != nil {
		return nil, fmt.Errorf("listing the StatefulSets of cluster %s: %w", cluster.Name, err)
	}
	for i := range sets.Items {
		for _, role := range roles {
			if sets.Items[i].Name == manifests.WorkloadName(cluster, role) {
				o.sets[role] = &sets.Items[i]
			}
		}
	}
	return o, nil
}

// observeAgents asks the agent of every pod that has an address, all at once, within the deadline.
func (r *Reconciler) observeAgents(ctx context.Context, dial func(pod *corev1.Pod) (agentclient.Client, error), o *observation) {
	ctx, cancel := context.WithTimeout(ctx, r.Timings.Observe)
	defer cancel()
	var mu sync.Mutex
	var all sync.WaitGroup
	for name, pod := range o.pods {
		if pod.Status.PodIP == "" || pod.Status.Phase != corev1.PodRunning {
			continue
		}
		all.Go(func() {
			state, err := ask(ctx, dial, pod)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				o.errs[name] = err
				return
			}
			o.states[name] = state
		})
	}
	all.Wait()
}

func ask(ctx context.Context, dial func(*corev1.Pod) (agentclient.Client, error), pod *corev1.Pod) (protocol.State, error) {
	agent, err := dial(pod)
	if err != nil {
		return protocol.State{}, err
	}
	return agents.State(ctx, agent, pod)
}

// Timings are the reconciler's own times. Zero values are replaced by the defaults.
type Timings struct {
	// Busy is how soon a cluster that changes is looked at again, Quiet one that does not.
	Busy, Quiet time.Duration
	// Observe bounds the questions to all agents together.
	Observe time.Duration
	// Order bounds one order to an agent.
	Order time.Duration
	// Transfer bounds a transfer of leadership, and once more the putting back of one that failed; TransferCall one call of it, TransferPoll is how often the new leader is looked at.
	Transfer, TransferCall, TransferPoll time.Duration
	// Refused is how soon an object that the API server refused is applied again.
	Refused time.Duration
	// Absent is how soon an object of a kind that is not cached, that nobody wants and that did not exist, is looked for again: others than the operator make none.
	Absent time.Duration
	// Census says when the members' data is counted and compared.
	Census CensusTimings
}

// DefaultTimings are the times at real speed.
func DefaultTimings() Timings {
	return Timings{Busy: 2 * time.Second, Quiet: 30 * time.Second, Observe: 5 * time.Second, Order: 45 * time.Second, Transfer: protocol.TransferCommitWithin, TransferCall: 6 * time.Second, TransferPoll: 100 * time.Millisecond, Refused: 15 * time.Second, Absent: time.Hour, Census: DefaultCensusTimings()}
}
