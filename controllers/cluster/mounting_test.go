package cluster

import (
	"errors"
	"slices"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/internal/manifests"
	"github.com/robustmq/robustmq-operator/internal/topology"
)

// mountedAgent is the volume of a pod that has its agent mounted.
var mountedAgent = corev1.Volume{Name: "agent", VolumeSource: corev1.VolumeSource{Image: &corev1.ImageVolumeSource{Reference: "agent:1"}}}

// mounting gives a node the versions from which on it mounts images.
func mounting(n *corev1.Node) {
	n.Status.NodeInfo = corev1.NodeSystemInfo{OperatingSystem: "linux", KubeletVersion: "v1.36.0", ContainerRuntimeVersion: "containerd://2.1.0"}
}

func TestWhichNodesMountImages(t *testing.T) {
	for _, c := range []struct {
		system, kubelet, runtime string
		mounts                   bool
	}{
		{"linux", "v1.36.0", "containerd://2.1.0", true},
		{"linux", "v1.37.2-gke.100", "containerd://2.2.1-k3s1", true},
		{"linux", "v1.36.1", "cri-o://1.36.0", true},
		{"linux", "v1.35.9", "containerd://2.1.0", false}, // beta: it may be off
		{"linux", "v1.36.0", "containerd://2.0.7", false},
		{"linux", "v1.36.0", "containerd://1.7.28", false},
		{"linux", "v1.36.0", "cri-o://1.30.9", false},
		{"linux", "v1.36.0", "docker://28.0.1", false},
		{"linux", "v1.36.0", "containerd://unknown", false},
		{"linux", "v1.36.0", "", false},
		{"linux", "fake", "containerd://2.1.0", false},
		{"", "", "", false}, // it has not reported yet
		{"windows", "v1.33.0", "containerd://1.7.28", true},
	} {
		n := corev1.Node{Status: corev1.NodeStatus{NodeInfo: corev1.NodeSystemInfo{OperatingSystem: c.system, KubeletVersion: c.kubelet, ContainerRuntimeVersion: c.runtime}}}
		if got := mountsImages(&n); got != c.mounts {
			t.Errorf("%+v: %t", c, got)
		}
	}
}

func TestTheAgentIsMountedOnlyWhereEveryNodeCanAndNoneHasFailed(t *testing.T) {
	now := noon
	k := &kubernetes{nodes: []corev1.Node{node("m1", mounting), node("m2", mounting)}}
	p := formed(t)
	p.memory = &memory{}
	r := &Reconciler{Client: k, Machines: k, Now: func() time.Time { return now }}
	later := func(d time.Duration) { now = now.Add(d) }
	if !r.mayMount(t.Context(), p) {
		t.Error("both nodes can")
	}
	k.nodes = []corev1.Node{node("m0", nil), k.nodes[0], k.nodes[1]}
	if !r.mayMount(t.Context(), p) {
		t.Error("all nodes were read for every cluster's every pass")
	}
	if later(mountLooks + 1); r.mayMount(t.Context(), p) {
		t.Error("a node of an unknown version came")
	}
	k.nodes = k.nodes[1:]
	if later(mountLooks + 1); !r.mayMount(t.Context(), p) {
		t.Error("it went")
	}
	p.memory.mountFailed = now
	if r.mayMount(t.Context(), p) {
		t.Error("a node has just failed to")
	}
	if later(mountAgain); !r.mayMount(t.Context(), p) {
		t.Error("that was an hour ago")
	}
	k.fails = errors.New("forbidden")
	if later(mountLooks + 1); r.mayMount(t.Context(), p) {
		t.Error("the nodes cannot be read")
	}
	k.fails, k.nodes = nil, nil
	if r.mayMount(t.Context(), p) {
		t.Error("no node is known")
	}
	k.nodes = []corev1.Node{node("m1", mounting)}
	later(mountLooks + 1)
	if r.CopyAgent = true; r.mayMount(t.Context(), p) {
		t.Error("it was switched off")
	}
	r.CopyAgent, r.Machines = false, nil
	if r.mayMount(t.Context(), p) {
		t.Error("the operator may not read nodes")
	}
}

func TestPodsAreMadeWithAMountedAgentOnceOneWasSeenToRun(t *testing.T) {
	p := formed(t)
	if p.mounted() {
		t.Error("nobody has")
	}
	pull := &corev1.Pod{Spec: corev1.PodSpec{Volumes: []corev1.Volume{mountedAgent}}, Status: corev1.PodStatus{Phase: corev1.PodRunning}}
	p.observed.pulls = map[string]*corev1.Pod{"c-pull-1": pull}
	if p.mounted() {
		t.Error("it has not ended")
	}
	if pull.Status.Phase = corev1.PodSucceeded; !p.mounted() {
		t.Error("it has")
	}
	if pull.Spec.Volumes = nil; p.mounted() {
		t.Error("that one copied")
	}
	pod := p.observed.pods["c-mqtt-broker-0"]
	pod.Spec.Volumes = []corev1.Volume{mountedAgent}
	pod.Status.ContainerStatuses = []corev1.ContainerStatus{{State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{}}}}
	if p.mounted() || !p.cannotMount(pod) {
		t.Error("it waits, and copies are wanted: it is made anew")
	}
	if p.inputs.AgentMounted = true; p.cannotMount(pod) {
		t.Error("it is as it shall be")
	}
	p.inputs.AgentMounted = false
	pod.Status.ContainerStatuses[0].State = corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}
	if !p.mounted() || p.cannotMount(pod) {
		t.Error("it runs, and is left alone")
	}
	if hasImages(pod, manifests.Inputs{AgentImage: "agent:1"}, false) || !hasImages(pod, manifests.Inputs{AgentImage: "agent:1"}, true) ||
		!hasImages(pod, manifests.Inputs{AgentImage: "agent:1", AgentMounted: true}, false) || hasImages(pod, manifests.Inputs{AgentImage: "agent:2", AgentMounted: true}, true) {
		t.Error("a pod that is made anew has its images where its agent comes in the same way, one that stays where it is the same agent")
	}
}

func TestAJobShowsThatTheAgentCanBeMountedBeforePodsAreMadeWithIt(t *testing.T) {
	p := formed(t)
	p.memory, p.mayMount = &memory{}, true
	r := &Reconciler{ServerImage: "server:1", AgentImage: "agent:1", Now: func() time.Time { return noon }}
	p.inputs = r.inputs(p)
	if p.inputs.AgentMounted {
		t.Error("nobody has shown it")
	}
	const name = "c-mqtt-broker-0"
	pod := podOf(manifests.StatefulSet(p.desired, p.inputs, v1alpha1.RoleMQTTBroker), p.observed.pods[name])
	pod.Spec.NodeName, p.observed.pods[name] = "m1", pod
	look := func() *topology.Member {
		t.Helper()
		p.inputs = r.inputs(p)
		p.snapshot = newSnapshot(p, topology.DefaultLimits())
		wantTemplates(p)
		m := &p.snapshot.Members[slices.IndexFunc(p.snapshot.Members, func(m topology.Member) bool { return m.Pod == name })]
		stale := m.TemplateStale
		m.TemplateStale = true // it is made anew for another reason
		if err := r.observePulls(t.Context(), p); err != nil {
			t.Fatal(err)
		}
		m.TemplateStale = stale
		return m
	}
	r.Client = ahead(t)
	if m := look(); m.TemplateStale || m.Pull.Phase != topology.PullWanted || !p.pulledInputs.AgentMounted {
		t.Errorf("its images are there, and whether it mounts one is not known: %+v", m.Pull)
	}
	job := manifests.PullJob(p.pulled, p.pulledInputs, v1alpha1.RoleMQTTBroker, "m1")
	job.Status.Conditions = []batchv1.JobCondition{{Type: batchv1.JobComplete, Status: corev1.ConditionTrue}}
	p.observed.pulls = map[string]*corev1.Pod{job.Name: {Spec: job.Spec.Template.Spec, Status: corev1.PodStatus{Phase: corev1.PodSucceeded}}}
	r.Client = ahead(t, job)
	if m := look(); m.TemplateStale || m.Pull.Phase != topology.PullDone || !p.inputs.AgentMounted {
		t.Errorf("it does: %+v, mounted %t", m.Pull, p.inputs.AgentMounted)
	}
	pod.Spec = *manifests.StatefulSet(p.desired, p.inputs, v1alpha1.RoleMQTTBroker).Spec.Template.Spec.DeepCopy()
	pod.Spec.NodeName = "m1"
	if m := look(); m.TemplateStale || m.Pull.Phase != topology.PullNone {
		t.Errorf("it was made with it: %+v", m.Pull)
	}
	pod.Status.ContainerStatuses = []corev1.ContainerStatus{{State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{}}}}
	p.observed.pulls, p.mayMount = nil, false
	if m := look(); !m.TemplateStale || m.Pull.Phase != topology.PullWanted || p.pulledInputs.AgentMounted {
		t.Errorf("it waits for an image that is no longer mounted: stale %t, %+v", m.TemplateStale, m.Pull)
	}
}

func TestAPodThatWasMadeWhereItsAgentCannotBeMountedGetsACopy(t *testing.T) {
	k := &kubernetes{nodes: []corev1.Node{node("m1", mounting)}}
	for what, c := range map[string]struct {
		volumes []corev1.Volume
		reason  string
		age     time.Duration
		copies  bool
	}{
		"it cannot":          {[]corev1.Volume{mountedAgent}, "CreateContainerError", mountTried + time.Second, true},
		"it may yet":         {[]corev1.Volume{mountedAgent}, "CreateContainerError", mountTried, false},
		"it waits otherwise": {[]corev1.Volume{mountedAgent}, "ImagePullBackOff", time.Hour, false},
		"it has a copy":      {nil, "CreateContainerError", time.Hour, false},
		"it runs":            {[]corev1.Volume{mountedAgent}, "", time.Hour, false},
	} {
		p := formed(t)
		p.memory = &memory{}
		pod := p.observed.pods["c-mqtt-broker-0"]
		pod.CreationTimestamp, pod.Spec.Volumes = metav1.NewTime(noon.Add(-c.age)), c.volumes
		pod.Status.ContainerStatuses = []corev1.ContainerStatus{{State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}}}
		if c.reason != "" {
			pod.Status.ContainerStatuses[0].State = corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: c.reason}}
		}
		r := &Reconciler{Machines: k, Now: func() time.Time { return noon }}
		if may := r.mayMount(t.Context(), p); may == c.copies {
			t.Errorf("%s: may mount %t", what, may)
		}
	}
}

func TestANodeThatCannotMountGetsCopiesAndNoPodIsTakenDownMeanwhile(t *testing.T) {
	job := &batchv1.Job{ObjectMeta: metav1.ObjectMeta{Name: "c-pull-1", CreationTimestamp: metav1.NewTime(noon)}}
	for what, c := range map[string]struct {
		mounts bool
		job    *batchv1.Job
		pull   topology.PullPhase
		after  time.Duration
		failed bool
	}{
		"refused, or the program did not run": {true, job, topology.PullFailed, time.Second, true},
		"takes for ever":                      {true, job, topology.PullRunning, mountTried + time.Second, true},
		"under way":                           {true, job, topology.PullRunning, mountTried - time.Second, false},
		"done":                                {true, job, topology.PullDone, time.Hour, false},
		"not begun":                           {true, nil, topology.PullWanted, time.Hour, false},
		"copies: as ever":                     {false, job, topology.PullFailed, time.Hour, false},
	} {
		p := formed(t)
		p.memory, p.pulledInputs.AgentMounted = &memory{}, c.mounts
		r := &Reconciler{Now: func() time.Time { return noon.Add(c.after) }}
		m := &topology.Member{Pull: topology.Pull{Phase: c.pull}}
		r.noteMount(p, m, c.job)
		want := c.pull
		if c.failed {
			want = topology.PullRunning // nothing is taken down in this pass, whose templates mount
		}
		if p.memory.mountFailed.IsZero() == c.failed || m.Pull.Phase != want {
			t.Errorf("%s: %v, %s", what, p.memory.mountFailed, m.Pull.Phase)
		}
	}
}
