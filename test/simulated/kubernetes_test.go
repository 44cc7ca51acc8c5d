package simulated

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/robustmq/robustmq-operator/test/simulated/kubelet"
	"github.com/robustmq/robustmq-operator/test/simulated/world"
)

// These tests hold the simulated parts of Kubernetes to what was seen of the real ones (kubelet, controller manager and CoreDNS of 1.37.2), with a small HTTP program in the pods.

// httpd serves /healthz and /readyz, keeps a counter on its volume, and needs 300 ms (of real life: a second or so) to end.
func httpd(starts *atomic.Int32) func(*world.World) func(string, *corev1.Container) kubelet.Program {
	return func(*world.World) func(string, *corev1.Container) kubelet.Program {
		return func(image string, _ *corev1.Container) kubelet.Program {
			switch image {
			case "missing":
				return nil
			case "init":
				return func(context.Context, <-chan struct{}, *kubelet.Process) int { return 0 }
			}
			return func(kill context.Context, term <-chan struct{}, p *kubelet.Process) int {
				starts.Add(1)
				f, err := os.OpenFile(filepath.Join(p.Root, "data", "starts"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
				if err != nil {
					return 3
				}
				_, _ = f.WriteString("x")
				_ = f.Close()
				l, err := net.Listen("tcp", net.JoinHostPort(p.Host.Address, "7480"))
				if err != nil {
					return 4
				}
				var unready atomic.Bool
				server := &http.Server{ReadHeaderTimeout: time.Second, Handler: http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
					switch {
					case r.URL.Path == "/exit":
						unready.Store(true)
					case r.URL.Path == "/readyz" && unready.Load():
						rw.WriteHeader(http.StatusServiceUnavailable)
					case r.URL.Path == "/secret":
						b, _ := os.ReadFile(filepath.Join(p.Root, "secret", "key"))
						_, _ = rw.Write(b)
					}
				})}
				go func() { _ = server.Serve(l) }()
				defer func() { _ = server.Close() }()
				select {
				case <-kill.Done():
					return 137
				case <-term:
					return 0
				}
			}
		}
	}
}

// set makes a StatefulSet of httpd with a Secret and a volume, and its two Services.
func set(t *testing.T, w *world.World, replicas int32, retention appsv1.PersistentVolumeClaimRetentionPolicyType) *appsv1.StatefulSet {
	t.Helper()
	probe := func(path string) *corev1.Probe {
		return &corev1.Probe{ProbeHandler: corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Path: path, Port: intstr.FromInt32(7480)}}, PeriodSeconds: 1, FailureThreshold: 2, TimeoutSeconds: 1}
	}
	labels := map[string]string{"app": "x"}
	s := &appsv1.StatefulSet{
		ObjectMeta: metav1.ObjectMeta{Name: "x", Namespace: w.Namespace},
		Spec: appsv1.StatefulSetSpec{
			Replicas: &replicas, ServiceName: "x", PodManagementPolicy: appsv1.ParallelPodManagement, Selector: &metav1.LabelSelector{MatchLabels: labels},
			UpdateStrategy:                       appsv1.StatefulSetUpdateStrategy{Type: appsv1.OnDeleteStatefulSetStrategyType},
			PersistentVolumeClaimRetentionPolicy: &appsv1.StatefulSetPersistentVolumeClaimRetentionPolicy{WhenDeleted: retention, WhenScaled: appsv1.RetainPersistentVolumeClaimRetentionPolicyType},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec: corev1.PodSpec{
					InitContainers: []corev1.Container{{Name: "i", Image: "init"}},
					Containers: []corev1.Container{{
						Name: "c", Image: "httpd", ReadinessProbe: probe("/readyz"), LivenessProbe: probe("/healthz"), StartupProbe: probe("/healthz"),
						VolumeMounts: []corev1.VolumeMount{{Name: "data", MountPath: "/data"}, {Name: "secret", MountPath: "/secret"}},
					}},
					Volumes: []corev1.Volume{{Name: "secret", VolumeSource: corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: "s"}}}},
				},
			},
			VolumeClaimTemplates: []corev1.PersistentVolumeClaim{{
				ObjectMeta: metav1.ObjectMeta{Name: "data", Annotations: map[string]string{"kept": "yes"}},
				Spec: corev1.PersistentVolumeClaimSpec{
					AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
					Resources:   corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")}},
				},
			}},
		},
	}
	create(t, w, s)
	create(t, w, &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: "x", Namespace: w.Namespace}, Spec: corev1.ServiceSpec{ClusterIP: corev1.ClusterIPNone, Selector: labels, Ports: []corev1.ServicePort{{Port: 7480}}}})
	return s
}

func create(t *testing.T, w *world.World, o client.Object) {
	t.Helper()
	if err := w.Client.Create(w.Context(), o); err != nil {
		t.Fatal(err)
	}
}

func secret(t *testing.T, w *world.World, value string) {
	t.Helper()
	create(t, w, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "s", Namespace: w.Namespace}, Data: map[string][]byte{"key": []byte(value)}})
}

func pod(t *testing.T, w *world.World, name string) *corev1.Pod {
	t.Helper()
	var p corev1.Pod
	if err := w.Client.Get(w.Context(), client.ObjectKey{Namespace: w.Namespace, Name: name}, &p); err != nil {
		if apierrors.IsNotFound(err) {
			return nil
		}
		t.Fatal(err)
	}
	return &p
}

func isReady(p *corev1.Pod) bool {
	if p == nil || p.DeletionTimestamp != nil {
		return false
	}
	for _, c := range p.Status.Conditions {
		if c.Type == corev1.PodReady {
			return c.Status == corev1.ConditionTrue
		}
	}
	return false
}

func awaitPods(t *testing.T, w *world.World, names ...string) {
	t.Helper()
	for _, name := range names {
		w.Await(name+" ready", func() (bool, string) { return isReady(pod(t, w, name)), "" })
	}
}

func TestAStatefulSetGivesPodsTheirIdentityClaimsAndNames(t *testing.T) {
	t.Parallel()
	w := env.New(t, world.Options{Programs: httpd(new(atomic.Int32))})
	secret(t, w, "1")
	s := set(t, w, 3, appsv1.RetainPersistentVolumeClaimRetentionPolicyType)
	awaitPods(t, w, "x-0", "x-1", "x-2")
	p := pod(t, w, "x-1")
	if p.Labels[appsv1.PodIndexLabel] != "1" || p.Labels[appsv1.StatefulSetPodNameLabel] != "x-1" || p.Spec.Hostname != "x-1" || p.Spec.Subdomain != "x" {
		t.Errorf("identity of x-1: labels %v, hostname %s, subdomain %s", p.Labels, p.Spec.Hostname, p.Spec.Subdomain)
	}
	var claim corev1.PersistentVolumeClaim
	if err := w.Client.Get(w.Context(), client.ObjectKey{Namespace: w.Namespace, Name: "data-x-1"}, &claim); err != nil {
		t.Fatal(err)
	}
	if claim.Status.Phase != corev1.ClaimBound || claim.Annotations["kept"] != "yes" || claim.Labels["app"] != "x" || len(claim.OwnerReferences) != 0 {
		t.Errorf("claim: %s, annotations %v, labels %v, owners %v", claim.Status.Phase, claim.Annotations, claim.Labels, claim.OwnerReferences)
	}
	host := w.Network.Attach("client", "")
	name := "x-1.x." + w.Namespace + ".svc.cluster.local"
	w.Await("the name of x-1", func() (bool, string) {
		found, err := host.LookupHost(w.Context(), name)
		return err == nil && len(found) == 1 && found[0] == p.Status.PodIP, fmt.Sprint(found, err)
	})
	w.Await("status of the set", func() (bool, string) {
		if err := w.Client.Get(w.Context(), client.ObjectKeyFromObject(s), s); err != nil {
			return false, err.Error()
		}
		return s.Status.ReadyReplicas == 3 && s.Status.CurrentRevision == s.Status.UpdateRevision && s.Status.ObservedGeneration == s.Generation, fmt.Sprintf("%+v", s.Status)
	})
}

func TestADeletedPodEndsWithGraceAndComesBackOnItsVolumeWithAnotherAddress(t *testing.T) {
	t.Parallel()
	var starts atomic.Int32
	w := env.New(t, world.Options{Programs: httpd(&starts)})
	secret(t, w, "1")
	set(t, w, 1, appsv1.RetainPersistentVolumeClaimRetentionPolicyType)
	awaitPods(t, w, "x-0")
	first := pod(t, w, "x-0")
	if err := w.Client.Delete(w.Context(), first); err != nil {
		t.Fatal(err)
	}
	w.Await("a new pod", func() (bool, string) {
		p := pod(t, w, "x-0")
		return p != nil && p.UID != first.UID && isReady(p), ""
	})
	second := pod(t, w, "x-0")
	if second.Status.PodIP == first.Status.PodIP {
		t.Errorf("both pods have the address %s", first.Status.PodIP)
	}
	var claim corev1.PersistentVolumeClaim
	if err := w.Client.Get(w.Context(), client.ObjectKey{Namespace: w.Namespace, Name: "data-x-0"}, &claim); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(w.Kubelet.ClaimDir(claim.UID), "starts"))
	if err != nil || string(text) != "xx" {
		t.Errorf("the volume says %q, %v; want two starts", text, err)
	}
}

func TestAMissingSecretHoldsThePodUntilItIsThereAndAChangedOneArrivesLater(t *testing.T) {
	t.Parallel()
	w := env.New(t, world.Options{Programs: httpd(new(atomic.Int32))})
	set(t, w, 1, appsv1.RetainPersistentVolumeClaimRetentionPolicyType)
	w.Await("the event that names the Secret", func() (bool, string) {
		var events corev1.EventList
		if err := w.Client.List(w.Context(), &events, client.InNamespace(w.Namespace)); err != nil {
			return false, err.Error()
		}
		for _, e := range events.Items {
			if e.Reason == "FailedMount" && strings.Contains(e.Message, `secret "s" not found`) {
				return true, ""
			}
		}
		return false, fmt.Sprint(len(events.Items), " events")
	})
	if s := pod(t, w, "x-0").Status; s.Phase != corev1.PodPending || s.ContainerStatuses[0].State.Waiting == nil || s.ContainerStatuses[0].State.Waiting.Reason != "ContainerCreating" {
		t.Errorf("status while the Secret is missing: %+v", s)
	}
	secret(t, w, "1")
	awaitPods(t, w, "x-0")
	read := func() string {
		answer, err := http.Get("http://" + pod(t, w, "x-0").Status.PodIP + ":7480/secret")
		if err != nil {
			return err.Error()
		}
		defer func() { _ = answer.Body.Close() }()
		b := make([]byte, 16)
		n, _ := answer.Body.Read(b)
		return string(b[:n])
	}
	if got := read(); got != "1" {
		t.Errorf("mounted: %q, want 1", got)
	}
	if err := w.Client.Update(w.Context(), &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "s", Namespace: w.Namespace}, Data: map[string][]byte{"key": []byte("2")}}); err != nil {
		t.Fatal(err)
	}
	w.Await("the changed Secret in the volume", func() (bool, string) { got := read(); return got == "2", got })
}

func TestACrashedContainerIsStartedAgainInPlaceWithBackOff(t *testing.T) {
	t.Parallel()
	var starts atomic.Int32
	w := env.New(t, world.Options{Programs: httpd(&starts)})
	secret(t, w, "1")
	set(t, w, 1, appsv1.RetainPersistentVolumeClaimRetentionPolicyType)
	awaitPods(t, w, "x-0")
	before := pod(t, w, "x-0")
	for n := int32(2); n <= 3; n++ {
		if !w.Kubelet.Crash("x-0") {
			t.Fatal("nothing ran")
		}
		w.Await("another start", func() (bool, string) { return starts.Load() == n, fmt.Sprint(starts.Load()) })
		w.Await("readiness and the count of restarts", func() (bool, string) {
			p := pod(t, w, "x-0")
			return isReady(p) && p.Status.ContainerStatuses[0].RestartCount == n-1, fmt.Sprintf("%+v", p.Status.ContainerStatuses)
		})
	}
	after := pod(t, w, "x-0")
	last := after.Status.ContainerStatuses[0].LastTerminationState.Terminated
	if after.UID != before.UID || after.Status.PodIP != before.Status.PodIP || last == nil || last.ExitCode != 137 {
		t.Errorf("address %s then %s, last end %+v", before.Status.PodIP, after.Status.PodIP, last)
	}
}

func TestAPowerCutIsSilentUntilTheNodeMonitorSpeaksAndThePodReturnsWithItsData(t *testing.T) {
	t.Parallel()
	w := env.New(t, world.Options{Programs: httpd(new(atomic.Int32))})
	secret(t, w, "1")
	set(t, w, 2, appsv1.RetainPersistentVolumeClaimRetentionPolicyType)
	awaitPods(t, w, "x-0", "x-1")
	before := pod(t, w, "x-0")
	node := w.Kubelet.NodeOf("x-0")
	w.Kubelet.PowerCut(node)
	cut := time.Now()
	host := w.Network.Attach("client", "")
	ctx, cancel := context.WithTimeout(w.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := host.DialContext(ctx, "tcp", before.Status.PodIP+":7480"); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("connect to the dead pod: %v, want silence", err)
	}
	w.Await("not ready", func() (bool, string) { return !isReady(pod(t, w, "x-0")), "" })
	if early := time.Since(cut); early < w.Scaled(39*time.Second) {
		t.Errorf("not ready %v after the cut, before the monitor's grace is over", early)
	}
	if !isReady(pod(t, w, "x-1")) && w.Kubelet.NodeOf("x-1") != node {
		t.Error("the pod of the other machine is not ready")
	}
	name := "x-0.x." + w.Namespace + ".svc.cluster.local"
	w.Await("the name to vanish", func() (bool, string) { _, err := host.LookupHost(w.Context(), name); return err != nil, "" })
	w.Kubelet.PowerOn(node)
	awaitPods(t, w, "x-0")
	after := pod(t, w, "x-0")
	if after.UID != before.UID || after.Status.PodIP == before.Status.PodIP || after.Status.ContainerStatuses[0].RestartCount != 1 {
		t.Errorf("after the return: same pod %v, address %s then %s, %+v", after.UID == before.UID, before.Status.PodIP, after.Status.PodIP, after.Status.ContainerStatuses)
	}
}

func TestDeletingASetRemovesItsPodsAndItsClaimsOnlyIfItsPolicySaysSo(t *testing.T) {
	t.Parallel()
	for _, policy := range []appsv1.PersistentVolumeClaimRetentionPolicyType{appsv1.RetainPersistentVolumeClaimRetentionPolicyType, appsv1.DeletePersistentVolumeClaimRetentionPolicyType} {
		t.Run(string(policy), func(t *testing.T) {
			w := env.New(t, world.Options{Programs: httpd(new(atomic.Int32))})
			secret(t, w, "1")
			s := set(t, w, 2, policy)
			awaitPods(t, w, "x-0", "x-1")
			if err := w.Client.Delete(w.Context(), s, client.PropagationPolicy(metav1.DeletePropagationBackground)); err != nil {
				t.Fatal(err)
			}
			w.Await("the pods to go", func() (bool, string) { return pod(t, w, "x-0") == nil && pod(t, w, "x-1") == nil, "" })
			claims := func() int {
				var list corev1.PersistentVolumeClaimList
				if err := w.Client.List(w.Context(), &list, client.InNamespace(w.Namespace)); err != nil {
					t.Fatal(err)
				}
				return len(list.Items)
			}
			if policy == appsv1.DeletePersistentVolumeClaimRetentionPolicyType {
				w.Await("the claims to go", func() (bool, string) { return claims() == 0, fmt.Sprint(claims()) })
				return
			}
			w.Stays(10*time.Second, "the claims", func() (bool, string) { return claims() == 2, fmt.Sprint(claims()) })
		})
	}
}

func TestAnObjectGoesWithTheLastOfItsOwnersAndAlsoWhenThatHasGoneBefore(t *testing.T) {
	t.Parallel()
	w := env.New(t, world.Options{})
	made := func(name string, owners ...*corev1.ConfigMap) *corev1.ConfigMap {
		c := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: w.Namespace}}
		for _, o := range owners {
			c.OwnerReferences = append(c.OwnerReferences, metav1.OwnerReference{APIVersion: "v1", Kind: "ConfigMap", Name: o.Name, UID: o.UID})
		}
		create(t, w, c)
		return c
	}
	there := func(c *corev1.ConfigMap) bool {
		err := w.Client.Get(w.Context(), client.ObjectKeyFromObject(c), &corev1.ConfigMap{})
		if client.IgnoreNotFound(err) != nil {
			t.Fatal(err)
		}
		return err == nil
	}
	first, second := made("first"), made("second")
	child, shared := made("child", first), made("shared", first, second)
	if err := w.Client.Delete(w.Context(), first, client.PropagationPolicy(metav1.DeletePropagationBackground)); err != nil {
		t.Fatal(err)
	}
	w.Await("the object to go with its owner", func() (bool, string) { return !there(child), "" })
	late := made("late", first)
	w.Await("the object to go that came after its owner", func() (bool, string) { return !there(late), "" })
	w.Stays(5*time.Second, "the object that has another owner", func() (bool, string) { return there(shared), "" })
}

func TestABudgetExpectsThePodsThatStatefulSetsWantAndAllowsNothingWhereNobodyWantsAny(t *testing.T) {
	t.Parallel()
	w := env.New(t, world.Options{Programs: httpd(new(atomic.Int32))})
	secret(t, w, "1")
	s := set(t, w, 2, appsv1.RetainPersistentVolumeClaimRetentionPolicyType)
	budget := &policyv1.PodDisruptionBudget{
		ObjectMeta: metav1.ObjectMeta{Name: "x", Namespace: w.Namespace},
		Spec:       policyv1.PodDisruptionBudgetSpec{MaxUnavailable: ptr.To(intstr.FromInt32(1)), Selector: s.Spec.Selector},
	}
	create(t, w, budget)
	awaitPods(t, w, "x-0", "x-1")
	says := func(expected, healthy, allowed int32) func() (bool, string) {
		return func() (bool, string) {
			var b policyv1.PodDisruptionBudget
			if err := w.Client.Get(w.Context(), client.ObjectKeyFromObject(budget), &b); err != nil {
				return false, err.Error()
			}
			return b.Status.ExpectedPods == expected && b.Status.CurrentHealthy == healthy && b.Status.DisruptionsAllowed == allowed, fmt.Sprintf("%+v", b.Status)
		}
	}
	w.Await("both pods to be expected", says(2, 2, 1))
	alone := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "alone", Namespace: w.Namespace, Labels: s.Spec.Selector.MatchLabels},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: "missing"}}},
	}
	create(t, w, alone)
	w.Stays(5*time.Second, "the pod that nobody controls is not expected", says(2, 2, 1))
	if err := w.Client.Delete(w.Context(), s, client.PropagationPolicy(metav1.DeletePropagationOrphan)); err != nil {
		t.Fatal(err)
	}
	w.Await("nobody to be expected, and nobody to be evictable", says(0, 2, 0))
}

func TestScalingInKeepsTheClaimsAndOnDeleteStartsNothingByItself(t *testing.T) {
	t.Parallel()
	w := env.New(t, world.Options{Programs: httpd(new(atomic.Int32))})
	secret(t, w, "1")
	s := set(t, w, 2, appsv1.RetainPersistentVolumeClaimRetentionPolicyType)
	awaitPods(t, w, "x-0", "x-1")
	first := pod(t, w, "x-0")
	patch := client.MergeFrom(s.DeepCopy())
	s.Spec.Template.Annotations = map[string]string{"changed": "yes"}
	s.Spec.Replicas = ptr.To[int32](1)
	if err := w.Client.Patch(w.Context(), s, patch); err != nil {
		t.Fatal(err)
	}
	w.Await("x-1 to go", func() (bool, string) { return pod(t, w, "x-1") == nil, "" })
	w.Await("two revisions", func() (bool, string) {
		if err := w.Client.Get(w.Context(), client.ObjectKeyFromObject(s), s); err != nil {
			return false, err.Error()
		}
		return s.Status.CurrentRevision != s.Status.UpdateRevision && s.Status.UpdatedReplicas == 0 && s.Status.Replicas == 1, fmt.Sprintf("%+v", s.Status)
	})
	if now := pod(t, w, "x-0"); now.UID != first.UID {
		t.Error("OnDelete replaced x-0 by itself")
	}
	var claim corev1.PersistentVolumeClaim
	if err := w.Client.Get(w.Context(), client.ObjectKey{Namespace: w.Namespace, Name: "data-x-1"}, &claim); err != nil {
		t.Errorf("the claim of the pod that was scaled away: %v", err)
	}
}

func TestPodsThatCannotStartSayWhyAndStartWhenItIsMended(t *testing.T) {
	t.Parallel()
	w := env.New(t, world.Options{Programs: httpd(new(atomic.Int32))})
	secret(t, w, "1")
	w.HoldClaim("*", true)
	w.Kubelet.SetUnschedulable(func(*corev1.Pod) string { return "0/3 nodes are available: 3 Insufficient memory." })
	w.Kubelet.SetPullFailure(func(image string) string {
		if image == "httpd" {
			return "no such host"
		}
		return ""
	})
	set(t, w, 1, appsv1.RetainPersistentVolumeClaimRetentionPolicyType)
	scheduled := func(part string) func() (bool, string) {
		return func() (bool, string) {
			p := pod(t, w, "x-0")
			if p == nil {
				return false, "no pod"
			}
			for _, c := range p.Status.Conditions {
				if c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse && c.Reason == corev1.PodReasonUnschedulable && strings.Contains(c.Message, part) {
					return true, ""
				}
			}
			return false, fmt.Sprintf("%+v", p.Status.Conditions)
		}
	}
	w.Await("unbound claims", scheduled("unbound"))
	w.HoldClaim("*", false)
	w.Await("no machine", scheduled("Insufficient memory"))
	w.Kubelet.SetUnschedulable(nil)
	w.Await("the pull to fail", func() (bool, string) {
		s := pod(t, w, "x-0").Status
		for _, c := range s.ContainerStatuses {
			if c.State.Waiting != nil && c.State.Waiting.Reason == "ImagePullBackOff" {
				return true, ""
			}
		}
		return false, fmt.Sprintf("%+v", s.ContainerStatuses)
	})
	w.Kubelet.SetPullFailure(nil)
	awaitPods(t, w, "x-0")
}
