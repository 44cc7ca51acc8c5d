package cluster

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/version"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/robustmq/robustmq-operator/internal/manifests"
	"github.com/robustmq/robustmq-operator/internal/topology"
)

// The agent's image is mounted instead of copied (manifests.Inputs.AgentMounted) where three things are so: every node's versions say that it can, a Job has shown on the node of each pod that is about to be made
// anew that this node does, under whatever policies hold in the namespace, and none has failed to lately. Nothing is made anew for it, and a new cluster begins with copies.

// Versions from which on a node mounts images whatever its settings are: Kubernetes 1.36 (KEP-4639 is stable there; no kubelet is newer than its API server, so that one can, too), and those of the container runtimes
// that implement it.
var (
	kubeletMounts = version.MustParseGeneric("1.36.0")
	runtimeMounts = map[string]*version.Version{"containerd": version.MustParseGeneric("2.1.0"), "cri-o": version.MustParseGeneric("1.31.0")}
)

const (
	// mountLooks is how long what is known of all nodes is good for.
	mountLooks = 30 * time.Second
	// mountTried is how long a Job may take that pulls and mounts; then the agent is copied, and what was pulled by then is there.
	mountTried = 2 * time.Minute
	// mountAgain is how soon it is tried again after a node could not.
	mountAgain = time.Hour
)

// mounts is what was last seen of all nodes.
type mounts struct {
	sync.Mutex
	looked time.Time
	all    bool
}

// mountsImages reports whether a node's versions are ones that mount images. Windows nodes take none of the pods.
func mountsImages(node *corev1.Node) bool {
	info := &node.Status.NodeInfo
	if info.OperatingSystem == "windows" {
		return true
	}
	kubelet, err := version.ParseGeneric(info.KubeletVersion)
	if err != nil || kubelet.LessThan(kubeletMounts) {
		return false
	}
	name, text, _ := strings.Cut(info.ContainerRuntimeVersion, "://")
	runtime, err := version.ParseGeneric(text)
	since := runtimeMounts[name]
	return err == nil && since != nil && !runtime.LessThan(since)
}

// mayMount reports whether the agent's image may be mounted into this cluster's pods, after it has noted those that wait for it in vain. It is false where nodes cannot be read.
func (r *Reconciler) mayMount(ctx context.Context, p *pass) bool {
	r.noteUnmounted(p)
	if r.CopyAgent || r.Machines == nil || !p.memory.mountFailed.IsZero() && r.Now().Sub(p.memory.mountFailed) < mountAgain {
		return false
	}
	r.mounts.Lock()
	defer r.mounts.Unlock()
	if now := r.Now(); r.mounts.looked.IsZero() || now.Sub(r.mounts.looked) > mountLooks {
		var nodes corev1.NodeList
		if err := r.Machines.List(ctx, &nodes, client.UnsafeDisableDeepCopy); err != nil {
			p.log.Info("the Kubernetes nodes cannot be read", "error", err.Error())
			return false
		}
		r.mounts.looked, r.mounts.all = now, len(nodes.Items) > 0
		for i := range nodes.Items {
			r.mounts.all = r.mounts.all && mountsImages(&nodes.Items[i])
		}
	}
	return r.mounts.all
}

// mounted reports whether a pod of the cluster was seen to run with the agent's image mounted: one of its own, or one that pulled images.
func (p *pass) mounted() bool {
	for _, pod := range p.observed.pulls {
		if _, mounted := manifests.AgentImageOf(&pod.Spec); mounted && pod.Status.Phase == corev1.PodSucceeded {
			return true
		}
	}
	for _, pod := range p.observed.pods {
		if _, mounted := manifests.AgentImageOf(&pod.Spec); mounted && started(pod) {
			return true
		}
	}
	return false
}

// noteUnmounted notes a pod that was made on a node that turns out not to mount its agent, since it was made anew there for a reason that nobody planned: it gets a copy (cannotMount), and so do the others.
func (r *Reconciler) noteUnmounted(p *pass) {
	for name, pod := range p.observed.pods {
		if _, mounted := manifests.AgentImageOf(&pod.Spec); !mounted || started(pod) || r.Now().Sub(pod.CreationTimestamp.Time) <= mountTried {
			continue
		}
		for _, c := range pod.Status.ContainerStatuses {
			if w := c.State.Waiting; w != nil && w.Reason == "CreateContainerError" {
				r.stopMounting(p, pod.Spec.NodeName, fmt.Sprintf("pod %s: %s", name, w.Message))
			}
		}
	}
}

// noteMount ends a try to mount that failed, or takes long: the pods get copies then, from the next pass on, and until then none is made anew.
func (r *Reconciler) noteMount(p *pass, m *topology.Member, job *batchv1.Job) {
	if !p.pulledInputs.AgentMounted || job == nil {
		return
	}
	why := m.Pull.Message
	switch {
	case m.Pull.Phase == topology.PullFailed:
	case m.Pull.Phase == topology.PullRunning && r.Now().Sub(job.CreationTimestamp.Time) > mountTried:
		why = fmt.Sprintf("Job %s has not ended after %s", job.Name, mountTried)
	default:
		return
	}
	r.stopMounting(p, m.Node, why)
	m.Pull = topology.Pull{Phase: topology.PullRunning}
}

// stopMounting has pods get copies for mountAgain, because of what was seen on a node.
func (r *Reconciler) stopMounting(p *pass, node, why string) {
	p.log.Info("the agent's image was not seen to be mounted; pods get a copy of the agent for now", "node", node, "why", why, "again", mountAgain)
	p.memory.mountFailed = r.Now()
}

// cannotMount reports whether a pod waits for an image to be mounted where that is no longer done: since a node came that cannot, say. It is made anew, with a copy.
func (p *pass) cannotMount(pod *corev1.Pod) bool {
	_, mounted := manifests.AgentImageOf(&pod.Spec)
	return mounted && !p.inputs.AgentMounted && !started(pod)
}
