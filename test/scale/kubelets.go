package scale

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/internal/manifests"
)

// kubelets bind pods to nodes and say of them what a kubelet says when their containers run and are ready. Nothing runs.
type kubelets struct {
	client  client.Client
	secrets client.Reader // of all Secrets, as a kubelet watches those of its pods
	agents  *agents
	queue   chan *corev1.Pod
	nodes   int

	mu       sync.Mutex
	seen     map[types.UID]bool
	clusters map[types.NamespacedName]*cluster
	trouble  []error
}

const (
	// kubeletWorkers is how many pods are started at once.
	kubeletWorkers = 6
	podsANode      = 50
)

func startKubelets(ctx context.Context, c client.Client, secrets client.Reader, a *agents, pods int) (*kubelets, error) {
	k := &kubelets{client: c, secrets: secrets, agents: a, queue: make(chan *corev1.Pod, 2*pods), nodes: 1 + pods/podsANode, seen: map[types.UID]bool{}, clusters: map[types.NamespacedName]*cluster{}}
	for n := range k.nodes {
		if err := k.register(ctx, nodeName(n)); err != nil {
			return nil, err
		}
	}
	for range kubeletWorkers {
		go func() {
			for {
				select {
				case <-ctx.Done():
					return
				case pod := <-k.queue:
					if err := k.run(ctx, pod); err != nil && ctx.Err() == nil {
						k.note(fmt.Errorf("pod %s/%s: %w", pod.Namespace, pod.Name, err))
					}
				}
			}
		}()
	}
	return k, nil
}

func nodeName(n int) string { return "node-" + strconv.Itoa(n) }

// register makes a node, which is Ready for ever: nobody here looks after leases.
func (k *kubelets) register(ctx context.Context, name string) error {
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}}
	if err := k.client.Create(ctx, node); err != nil {
		return fmt.Errorf("node %s: %w", name, err)
	}
	node.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue, Reason: "KubeletReady", LastHeartbeatTime: metav1.Now(), LastTransitionTime: metav1.Now()}}
	if err := k.client.Status().Update(ctx, node); err != nil {
		return fmt.Errorf("node %s: %w", name, err)
	}
	return nil
}

// saw gets every change of every pod; each pod is started once. None is ever deleted here.
func (k *kubelets) saw(pod *corev1.Pod) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if !k.seen[pod.UID] {
		k.seen[pod.UID] = true
		k.queue <- pod
	}
}

func (k *kubelets) note(err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.trouble = append(k.trouble, err)
}

func (k *kubelets) troubles() []error {
	k.mu.Lock()
	defer k.mu.Unlock()
	return append([]error(nil), k.trouble...)
}

// run starts a pod: it mounts its Secrets, is bound, gets an address with its agent behind it, and is ready when the agent's server is.
func (k *kubelets) run(ctx context.Context, made *corev1.Pod) error {
	pod := made.DeepCopy()
	cut := strings.LastIndexByte(pod.Name, '-')
	ordinal, err := strconv.ParseUint(pod.Name[cut+1:], 10, 32)
	if err != nil {
		return err
	}
	c, err := k.clusterOf(ctx, pod)
	if err != nil {
		return err
	}
	config, err := k.secret(ctx, pod.Namespace, pod.Name[:cut]+"-config")
	if err != nil {
		return err
	}
	status := pod.DeepCopy()
	agent, err := newPod(c, pod.Name, ordinal, config["config.json"], func() {
		status.Status.Conditions = conditions(corev1.ConditionTrue)
		if err := k.client.Status().Update(context.WithoutCancel(ctx), status); err != nil && ctx.Err() == nil {
			k.note(fmt.Errorf("readiness of %s/%s: %w", pod.Namespace, pod.Name, err))
		}
	})
	if err != nil {
		return err
	}
	node := nodeName(int(pod.UID[0]+pod.UID[1]) % k.nodes)
	binding := &corev1.Binding{ObjectMeta: metav1.ObjectMeta{Name: pod.Name, Namespace: pod.Namespace, UID: pod.UID}, Target: corev1.ObjectReference{Kind: "Node", Name: node}}
	if err := k.client.SubResource("binding").Create(ctx, pod, binding); err != nil && !apierrors.IsConflict(err) {
		return fmt.Errorf("binding: %w", err)
	}
	address, err := k.agents.start(agent)
	if err != nil {
		return err
	}
	now := metav1.Now()
	status.ResourceVersion = "" // nobody else writes it, and the binding changed it
	status.Status = corev1.PodStatus{
		Phase: corev1.PodRunning, PodIP: address, PodIPs: []corev1.PodIP{{IP: address}}, HostIP: "192.0.2.1", HostIPs: []corev1.HostIP{{IP: "192.0.2.1"}}, StartTime: &now,
		QOSClass: made.Status.QOSClass, Conditions: conditions(corev1.ConditionFalse),
	}
	for _, container := range pod.Spec.InitContainers {
		done := corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{Reason: "Completed", StartedAt: now, FinishedAt: now}}
		status.Status.InitContainerStatuses = append(status.Status.InitContainerStatuses, containerStatus(container, done))
	}
	for _, container := range pod.Spec.Containers {
		status.Status.ContainerStatuses = append(status.Status.ContainerStatuses, containerStatus(container, corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: now}}))
	}
	if err := k.client.Status().Update(ctx, status); err != nil {
		return fmt.Errorf("status: %w", err)
	}
	status.ResourceVersion = ""
	return nil
}

func containerStatus(c corev1.Container, state corev1.ContainerState) corev1.ContainerStatus {
	return corev1.ContainerStatus{Name: c.Name, Image: c.Image, ImageID: c.Image + "@sha256:" + strings.Repeat("0", 64), ContainerID: "containerd://" + strings.Repeat("0", 64), State: state, Ready: true}
}

func conditions(ready corev1.ConditionStatus) []corev1.PodCondition {
	at := metav1.Now()
	var out []corev1.PodCondition
	for _, kind := range []corev1.PodConditionType{corev1.PodScheduled, corev1.PodReadyToStartContainers, corev1.PodInitialized} {
		out = append(out, corev1.PodCondition{Type: kind, Status: corev1.ConditionTrue, LastTransitionTime: at})
	}
	for _, kind := range []corev1.PodConditionType{corev1.ContainersReady, corev1.PodReady} {
		out = append(out, corev1.PodCondition{Type: kind, Status: ready, LastTransitionTime: at})
	}
	return out
}

// clusterOf is the cluster that a pod belongs to, with the certificate that is mounted into its pods.
func (k *kubelets) clusterOf(ctx context.Context, pod *corev1.Pod) (*cluster, error) {
	key := types.NamespacedName{Namespace: pod.Namespace, Name: pod.Labels[v1alpha1.LabelCluster]}
	k.mu.Lock()
	c := k.clusters[key]
	k.mu.Unlock()
	if c != nil {
		return c, nil
	}
	of := &v1alpha1.RobustMQCluster{ObjectMeta: metav1.ObjectMeta{Namespace: key.Namespace, Name: key.Name}}
	pki, err := k.secret(ctx, key.Namespace, manifests.AgentPKISecretName(of))
	if err != nil {
		return nil, err
	}
	c = &cluster{namespace: key.Namespace, name: key.Name}
	if c.tls, err = serverTLS(pki["ca.crt"], pki["tls.crt"], pki["tls.key"]); err != nil {
		return nil, fmt.Errorf("certificate of its agent: %w", err)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if other := k.clusters[key]; other != nil { // another of its pods was as quick
		return other, nil
	}
	k.clusters[key] = c
	return c, nil
}

// secret waits for a Secret that is to be mounted, as a kubelet does.
func (k *kubelets) secret(ctx context.Context, namespace, name string) (map[string][]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	for {
		var secret corev1.Secret
		err := k.secrets.Get(ctx, client.ObjectKey{Namespace: namespace, Name: name}, &secret)
		if err == nil {
			return secret.Data, nil
		}
		if !apierrors.IsNotFound(err) {
			return nil, fmt.Errorf("reading Secret %s: %w", name, err)
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("reading Secret %s: %w", name, err)
		case <-tick.C:
		}
	}
}
