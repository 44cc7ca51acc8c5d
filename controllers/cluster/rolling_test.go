package cluster

import (
	"context"
	"maps"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/internal/manifests"
	"github.com/robustmq/robustmq-operator/internal/topology"
)

func setWith(hash, revision string, generation, observed int64) *appsv1.StatefulSet {
	set := &appsv1.StatefulSet{ObjectMeta: metav1.ObjectMeta{Generation: generation}}
	set.Spec.Template.Annotations = map[string]string{v1alpha1.AnnotationTemplate: hash}
	set.Status.ObservedGeneration, set.Status.UpdateRevision = observed, revision
	return set
}

func podWith(hash, revision string) *corev1.Pod {
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Annotations: map[string]string{}, Labels: map[string]string{appsv1.ControllerRevisionHashLabelKey: revision}}}
	if hash != "" {
		pod.Annotations[v1alpha1.AnnotationTemplate] = hash
	}
	return pod
}

func TestAPodIsStaleWhereItsServerDependsOnTheDifference(t *testing.T) {
	for name, c := range map[string]struct {
		pod             *corev1.Pod
		set             *appsv1.StatefulSet
		wanted          string
		stale, revision bool
	}{
		"as wanted":                             {podWith("a", "1"), setWith("a", "1", 1, 1), "a", false, false},
		"the agent's image alone differs":       {podWith("a", "1"), setWith("a", "2", 2, 2), "a", false, true},
		"the set has what is wanted":            {podWith("a", "1"), setWith("b", "2", 2, 2), "b", true, true},
		"the set was not seen with it yet":      {podWith("a", "1"), setWith("a", "1", 1, 1), "b", true, false},
		"the set's controller has not seen it":  {podWith("a", "1"), setWith("b", "1", 2, 1), "b", true, false},
		"a pod from before there was a hash":    {podWith("", "1"), setWith("b", "2", 2, 2), "b", true, true},
		"such a pod of the newest revision":     {podWith("", "2"), setWith("b", "2", 2, 2), "b", false, false},
		"a release before there was a hash":     {podWith("a", "1"), setWith("", "1", 1, 1), "", false, false},
		"a change of the spec that is held":     {podWith("a", "1"), setWith("a", "1", 1, 1), "a", false, false},
		"a pod without the label of a revision": {podWith("", ""), setWith("b", "2", 2, 2), "b", false, false},
	} {
		if got := templateStale(c.pod, c.set, c.wanted); got != c.stale {
			t.Errorf("%s: stale %t", name, got)
		}
		if got := revisionStale(c.pod, c.set); got != c.revision {
			t.Errorf("%s: of an older revision %t", name, got)
		}
	}
}

func TestNoPodIsMadeFromATemplateThatItsSetDoesNotHaveYet(t *testing.T) {
	p := formed(t)
	p.inputs.ServerImage, p.inputs.AgentImage = "server:1", "agent:1"
	p.inputs.Replicas = map[v1alpha1.Role]int32{v1alpha1.RolePlacementCenter: 3, v1alpha1.RoleMQTTBroker: 2}
	old := manifests.StatefulSet(p.desired, p.inputs, v1alpha1.RoleMQTTBroker)
	old.Generation, old.Status.ObservedGeneration = 1, 1
	p.observed.sets = map[v1alpha1.Role]*appsv1.StatefulSet{v1alpha1.RoleMQTTBroker: old}
	for _, pod := range p.observed.pods {
		pod.Annotations = map[string]string{v1alpha1.AnnotationTemplate: manifests.TemplateHash(old)}
	}
	look := func() (stale, behind bool) {
		p.snapshot = newSnapshot(p, topology.DefaultLimits())
		wantTemplates(p)
		for _, m := range p.snapshot.Members {
			if m.Role == v1alpha1.RoleMQTTBroker && m.TemplateStale {
				stale = true
			}
		}
		return stale, p.snapshot.SetsBehind[v1alpha1.RoleMQTTBroker]
	}
	if stale, behind := look(); stale || behind {
		t.Errorf("nothing changed: stale %t, behind %t", stale, behind)
	}
	p.inputs.AgentImage = "agent:2"
	if stale, behind := look(); stale || behind {
		t.Errorf("the agent's image changed: stale %t, behind %t", stale, behind)
	}
	p.inputs.ServerImage = "server:2"
	if stale, behind := look(); !stale || !behind {
		t.Errorf("the image changed, the set has not: stale %t, behind %t", stale, behind)
	}
	p.templatesHeld = true
	if stale, behind := look(); stale || behind {
		t.Errorf("the change is held: stale %t, behind %t", stale, behind)
	}
	p.templatesHeld = false
	set := manifests.StatefulSet(p.desired, p.inputs, v1alpha1.RoleMQTTBroker)
	set.Generation, set.Status.ObservedGeneration = 2, 1
	p.observed.sets[v1alpha1.RoleMQTTBroker] = set
	if stale, behind := look(); !stale || !behind {
		t.Errorf("its controller has not seen it: stale %t, behind %t", stale, behind)
	}
	set.Status.ObservedGeneration = 2
	if stale, behind := look(); !stale || behind {
		t.Errorf("it can be made anew: stale %t, behind %t", stale, behind)
	}
}

func TestAPodIsGivenAnotherImageWhereNothingElseDiffers(t *testing.T) {
	p := formed(t)
	p.inputs.ServerImage, p.inputs.AgentImage = "server:1", "agent:1"
	p.inputs.Replicas = map[v1alpha1.Role]int32{v1alpha1.RolePlacementCenter: 3, v1alpha1.RoleMQTTBroker: 2}
	const name = "c-mqtt-broker-0"
	p.observed.pods[name].UID = "uid-0"
	pod := podOf(manifests.StatefulSet(p.desired, p.inputs, v1alpha1.RoleMQTTBroker), p.observed.pods[name])
	p.observed.pods[name] = pod
	p.inputs.ServerImage = "server:2"
	set := manifests.StatefulSet(p.desired, p.inputs, v1alpha1.RoleMQTTBroker)
	set.Status.UpdateRevision = "c-mqtt-broker-2"
	p.observed.sets = map[v1alpha1.Role]*appsv1.StatefulSet{v1alpha1.RoleMQTTBroker: set}
	step := func() (stale, image bool) {
		p.snapshot = newSnapshot(p, topology.DefaultLimits())
		wantTemplates(p)
		for _, m := range p.snapshot.Members {
			if m.Pod == name {
				return m.TemplateStale, m.OnlyImage
			}
		}
		t.Fatal("no such member")
		return false, false
	}
	if stale, image := step(); !stale || !image {
		t.Errorf("stale %t, in its image alone %t", stale, image)
	}
	pod.Status.Phase, p.observed.pods[name] = corev1.PodPending, pod
	if stale, image := step(); !stale || image {
		t.Errorf("it does not run, so it is made anew: stale %t, in its image alone %t", stale, image)
	}
	pod.Status.Phase = corev1.PodRunning
	step()
	api := ahead(t, pod)
	var patch []byte
	r := &Reconciler{Client: interceptor.NewClient(api, interceptor.Funcs{Patch: func(ctx context.Context, c client.WithWatch, o client.Object, p client.Patch, opts ...client.PatchOption) (err error) {
		if patch, err = p.Data(o); err != nil {
			return err
		}
		return c.Patch(ctx, o, p, opts...)
	}})}
	if err := r.changeImage(t.Context(), p, topology.Step{Kind: topology.StepChangeImage, Pod: name}); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(patch), `"uid":"`+string(pod.UID)+`"`) {
		t.Errorf("another pod of that name would take %s, too", patch)
	}
	var now corev1.Pod
	if err := api.Get(t.Context(), client.ObjectKeyFromObject(pod), &now); err != nil {
		t.Fatal(err)
	}
	want := podOf(set, pod)
	if now.UID != pod.UID || now.Spec.Containers[0].Image != "server:2" || len(now.Spec.Containers) != 1 || now.Spec.InitContainers[0].Image != "agent:1" ||
		now.Annotations[v1alpha1.AnnotationTemplate] != manifests.TemplateHash(set) || now.Labels[appsv1.ControllerRevisionHashLabelKey] != "c-mqtt-broker-2" || len(now.Labels) != len(want.Labels) {
		t.Errorf("%+v", now)
	}
	p.observed.pods[name] = &now
	if stale, image := step(); stale || image {
		t.Errorf("after it: stale %t, in its image alone %t", stale, image)
	}
	state := p.observed.states[name]
	for template, pending := range map[string]bool{manifests.TemplateHash(set): false, pod.Annotations[v1alpha1.AnnotationTemplate]: true, "": false} {
		state.Template = template
		p.observed.states[name] = state
		if step(); p.snapshot.Members[slices.IndexFunc(p.snapshot.Members, func(m topology.Member) bool { return m.Pod == name })].ImagePending != pending {
			t.Errorf("its container was started from template %q: pending should be %t", template, pending)
		}
	}
}

// podOf is the pod that a StatefulSet makes of its template, with the place and state of another.
func podOf(set *appsv1.StatefulSet, as *corev1.Pod) *corev1.Pod {
	pod := as.DeepCopy()
	pod.Labels, pod.Annotations, pod.Spec = maps.Clone(set.Spec.Template.Labels), maps.Clone(set.Spec.Template.Annotations), *set.Spec.Template.Spec.DeepCopy()
	pod.Labels[appsv1.ControllerRevisionHashLabelKey] = set.Status.UpdateRevision
	return pod
}

func TestHowFarAPullIsFollowsFromItsJobAndItsPod(t *testing.T) {
	job := func(conditions ...batchv1.JobConditionType) *batchv1.Job {
		j := &batchv1.Job{ObjectMeta: metav1.ObjectMeta{Name: "c-pull-1"}}
		for _, c := range conditions {
			j.Status.Conditions = append(j.Status.Conditions, batchv1.JobCondition{Type: c, Status: corev1.ConditionTrue})
		}
		return j
	}
	going := job()
	going.DeletionTimestamp = &metav1.Time{Time: noon}
	pending := func(reason string) *corev1.Pod {
		return &corev1.Pod{Status: corev1.PodStatus{Phase: corev1.PodPending, ContainerStatuses: []corev1.ContainerStatus{
			{Name: "server", Image: "example.org/none:1", State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason}}},
		}}}
	}
	full := &corev1.Pod{Status: corev1.PodStatus{Phase: corev1.PodPending, Conditions: []corev1.PodCondition{{Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Message: "node is cordoned"}}}}
	ended := &corev1.Pod{Status: corev1.PodStatus{Phase: corev1.PodFailed, ContainerStatuses: []corev1.ContainerStatus{
		{Name: "server", Image: "arm:1", State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: 128, Message: "exec format error"}}},
	}}}
	for name, c := range map[string]struct {
		job    *batchv1.Job
		pod    *corev1.Pod
		phase  topology.PullPhase
		reason string
		words  string
	}{
		"nobody began":      {nil, nil, topology.PullWanted, "", ""},
		"an older one goes": {going, nil, topology.PullWanted, "", ""},
		"begun":             {job(), nil, topology.PullRunning, "", ""},
		"pulling":           {job(), pending("ContainerCreating"), topology.PullRunning, "", ""},
		"cannot be pulled":  {job(), pending("ErrImagePull"), topology.PullFailed, v1alpha1.ReasonImagePullFailed, "example.org/none:1"},
		"a pod that counts as running because its first container ran": {job(), func() *corev1.Pod { p := pending("ErrImagePull"); p.Status.Phase = corev1.PodRunning; return p }(), topology.PullFailed, v1alpha1.ReasonImagePullFailed, "example.org/none:1"},
		"the node takes none":  {job(), full, topology.PullFailed, v1alpha1.ReasonUnschedulable, "cordoned"},
		"done":                 {job(batchv1.JobSuccessCriteriaMet, batchv1.JobComplete), nil, topology.PullDone, "", ""},
		"failed":               {job(batchv1.JobFailed), nil, topology.PullFailed, "", "c-pull-1"},
		"of another processor": {job(batchv1.JobFailed), ended, topology.PullFailed, "", "exec format error"},
	} {
		if got := pullOf(c.job, c.pod); got.Phase != c.phase || got.Reason != c.reason || !strings.Contains(got.Message, c.words) {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

func TestTheVersionThatPodsAreBuiltForIsTheSpecsWhereItCanRoll(t *testing.T) {
	for name, c := range map[string]struct{ status, spec, want string }{
		"not founded yet":             {"", "0.4.11", "0.4.11"},
		"the same":                    {"0.4.11", "0.4.11", "0.4.11"},
		"a step that rolls":           {"0.4.9", "0.4.11", "0.4.11"},
		"a newer one that is unknown": {"0.4.11", "0.4.12", "0.4.12"},
		"a step that cannot roll":     {"0.4.8", "0.4.11", "0.4.8"},
		"back":                        {"0.4.11", "0.4.10", "0.4.11"},
		"no version":                  {"0.4.11", "newest", "0.4.11"},
	} {
		cluster := sample(c.spec)
		cluster.Status.Version = c.status
		if got := targetVersion(cluster); got != c.want {
			t.Errorf("%s: %s", name, got)
		}
	}
}

func TestTheStatusFollowsAnUpgradeWhenEveryServerRunsIt(t *testing.T) {
	p := formed(t)
	p.cluster.Status.Version, p.cluster.Status.Founded = "0.4.10", true
	st := p.observed.states["c-mqtt-broker-1"]
	st.Server.Version = "0.4.10"
	p.observed.states["c-mqtt-broker-1"] = st
	status := statusOf(p, noon)
	if c := condition(t, status, v1alpha1.ConditionConfigApplied); status.Version != "0.4.10" || c.Reason != v1alpha1.ReasonVersionPending || !strings.Contains(c.Message, "4 of 5") || !strings.Contains(c.Message, "c-mqtt-broker-1") {
		t.Errorf("%s, %s: %s", status.Version, c.Reason, c.Message)
	}
	st.Server.Version = "0.4.11"
	p.observed.states["c-mqtt-broker-1"] = st
	if status := statusOf(p, noon); status.Version != "0.4.11" {
		t.Error(status.Version)
	}
	st.Server.Phase = "Exited"
	p.observed.states["c-mqtt-broker-1"] = st
	p.snapshot = newSnapshot(p, topology.DefaultLimits())
	if status := statusOf(p, noon); status.Version != "0.4.10" {
		t.Errorf("a server that has not come up is taken for one that runs: %s", status.Version)
	}
}

func TestWhatIsPendingIsToldByPodAndWay(t *testing.T) {
	p := formed(t)
	for i := range p.snapshot.Members {
		switch m := &p.snapshot.Members[i]; m.Pod {
		case "c-mqtt-broker-0":
			m.Agent.ConfigStale = true
		case "c-placement-center-2":
			m.TemplateStale, m.Agent = true, nil
		case "c-placement-center-1":
			m.TemplateStale, m.OnlyImage = true, true
		case "c-mqtt-broker-1":
			m.ImagePending = true
		}
	}
	c := condition(t, statusOf(p, noon), v1alpha1.ConditionConfigApplied)
	if c.Status != metav1.ConditionFalse || !strings.Contains(c.Message, "restarted in place for a newer configuration: c-mqtt-broker-0;") || !strings.Contains(c.Message, "pod template: c-placement-center-2") ||
		!strings.Contains(c.Message, "image, or to be started with it: c-placement-center-1, c-mqtt-broker-1;") {
		t.Error(c.Message)
	}
}

func TestAVersionThatNeverCameUpMayBeTakenBack(t *testing.T) {
	p := formed(t)
	p.cluster.Status.Version, p.desired.Spec.Version = "0.4.10", "0.4.10"
	for name, st := range p.observed.states {
		st.Server.Version = "0.4.10"
		p.observed.states[name] = st
	}
	p.observed.sets = map[v1alpha1.Role]*appsv1.StatefulSet{v1alpha1.RoleMQTTBroker: {}}
	st := p.observed.states["c-mqtt-broker-1"]
	st.Server.Version, st.Server.Phase = "0.4.11", "Exited"
	p.observed.states["c-mqtt-broker-1"] = st
	if was := lived(p, topology.Assess(p.snapshot)); was.Status.Version != "0.4.10" {
		t.Error(was.Status.Version)
	}
	st.Server.Phase = "Running"
	p.observed.states["c-mqtt-broker-1"] = st
	if was := lived(p, topology.Assess(p.snapshot)); was.Status.Version != "0.4.11" {
		t.Error(was.Status.Version)
	}
}
