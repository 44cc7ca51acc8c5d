package policies

import (
	"context"
	"fmt"
	"strings"
	"testing"

	autoscalingv1 "k8s.io/api/autoscaling/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/scale"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/robustmq/robustmq-operator/api/v1alpha1"
)

// NoShrinkBelowQuorum and the brokers' floor through every door that an API server has, with the webhooks and without.

func members(n int, more string) string {
	return fmt.Sprintf("apiVersion: robustmq.io/v1alpha1\nkind: RobustMQCluster\nmetadata: {name: c}\nspec: {version: \"0.4.11\", placementCenter: {replicas: %d}%s}\n", n, more)
}

func bare(namespace string) *unstructured.Unstructured {
	u := &unstructured.Unstructured{}
	u.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind("RobustMQCluster"))
	u.SetNamespace(namespace)
	u.SetName("c")
	return u
}

// kubectl runs kubectl in the namespace.
func (n *tenant) kubectl(t *testing.T, stdin string, args ...string) error {
	t.Helper()
	if out, err := n.Kubectl(t.Context(), n.namespace, stdin, args...); err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	return nil
}

// cluster makes the cluster with that many members, anew.
func (n *tenant) cluster(t *testing.T, replicas int) {
	t.Helper()
	if err := client.IgnoreNotFound(n.admin.Delete(t.Context(), bare(n.namespace))); err != nil {
		t.Fatal(err)
	}
	if err := n.kubectl(t, members(replicas, ""), "apply", "-f", "-"); err != nil {
		t.Fatal(err)
	}
}

// size is what the spec says now.
func (n *tenant) size(t *testing.T) (members, brokers int32) {
	t.Helper()
	var c v1alpha1.RobustMQCluster
	if err := n.admin.Get(t.Context(), client.ObjectKey{Namespace: n.namespace, Name: "c"}, &c); err != nil {
		t.Fatal(err)
	}
	return c.Spec.PlacementCenter.Replicas, c.Spec.MQTTBroker.Replicas
}

// shrinks are the ways in which a smaller number can be written.
var shrinks = map[string]func(t *testing.T, n *tenant, to int) error{
	"kubectl apply": func(t *testing.T, n *tenant, to int) error { return n.kubectl(t, members(to, ""), "apply", "-f", "-") },
	"kubectl apply --server-side": func(t *testing.T, n *tenant, to int) error {
		return n.kubectl(t, members(to, ""), "apply", "--server-side", "--force-conflicts", "-f", "-")
	},
	"kubectl replace": func(t *testing.T, n *tenant, to int) error {
		return n.kubectl(t, members(to, ""), "replace", "-f", "-")
	},
	"kubectl apply --dry-run=server": func(t *testing.T, n *tenant, to int) error {
		return n.kubectl(t, members(to, ""), "apply", "--dry-run=server", "-f", "-")
	},
	"JSON patch": func(t *testing.T, n *tenant, to int) error {
		return n.Patch(t.Context(), bare(n.namespace), client.RawPatch(types.JSONPatchType, fmt.Appendf(nil, `[{"op":"replace","path":"/spec/placementCenter/replicas","value":%d}]`, to)))
	},
	"JSON patch of everything": func(t *testing.T, n *tenant, to int) error {
		return n.Patch(t.Context(), bare(n.namespace), client.RawPatch(types.JSONPatchType, fmt.Appendf(nil, `[{"op":"replace","path":"/spec","value":{"version":"0.4.11","placementCenter":{"replicas":%d}}}]`, to)))
	},
	"merge patch": func(t *testing.T, n *tenant, to int) error {
		return n.Patch(t.Context(), bare(n.namespace), client.RawPatch(types.MergePatchType, fmt.Appendf(nil, `{"spec":{"placementCenter":{"replicas":%d}}}`, to)))
	},
	"update": func(t *testing.T, n *tenant, to int) error {
		u := bare(n.namespace)
		if err := n.Get(t.Context(), client.ObjectKeyFromObject(u), u); err != nil {
			return err
		}
		if err := unstructured.SetNestedField(u.Object, int64(to), "spec", "placementCenter", "replicas"); err != nil {
			return err
		}
		return n.Update(t.Context(), u)
	},
	"merge patch together with a status that says fewer": func(t *testing.T, n *tenant, to int) error {
		return n.Patch(t.Context(), bare(n.namespace), client.RawPatch(types.MergePatchType, fmt.Appendf(nil, `{"spec":{"placementCenter":{"replicas":%d}},"status":{"placementCenter":{"replicas":%d,"desired":%d,"ready":%d}}}`, to, to, to, to)))
	},
	"merge patch after a status that says fewer": func(t *testing.T, n *tenant, to int) error {
		pretend(t, n, to)
		return n.Patch(t.Context(), bare(n.namespace), client.RawPatch(types.MergePatchType, fmt.Appendf(nil, `{"spec":{"placementCenter":{"replicas":%d}}}`, to)))
	},
}

// pretend writes a status, as somebody with the rights to could.
func pretend(t *testing.T, n *tenant, replicas int) {
	t.Helper()
	status := fmt.Appendf(nil, `{"status":{"placementCenter":{"desired":%d,"replicas":%d,"ready":%d}}}`, replicas, replicas, replicas)
	if err := n.admin.Status().Patch(t.Context(), bare(n.namespace), client.RawPatch(types.MergePatchType, status)); err != nil {
		t.Fatal(err)
	}
}

func TestNoWayOfWritingShrinksAPlacementCentreBelowItsQuorum(t *testing.T) {
	s := server(t)
	for _, on := range []bool{true, false} {
		s.webhooks(t, on)
		n := s.tenant(t, nil)
		for way, shrink := range shrinks {
			for _, size := range [][2]int{{7, 3}, {3, 1}, {5, 1}} {
				n.cluster(t, size[0])
				err := shrink(t, n, size[1])
				if err == nil || !strings.Contains(err.Error(), "NoShrinkBelowQuorum") {
					t.Errorf("webhooks %t: %s from %d to %d: %v", on, way, size[0], size[1], err)
				}
				if is, _ := n.size(t); int(is) != size[0] {
					t.Errorf("webhooks %t: %s from %d to %d: it is %d now", on, way, size[0], size[1], is)
				}
			}
			n.cluster(t, 7)
			if err := shrink(t, n, 5); err != nil {
				t.Errorf("webhooks %t: %s from 7 to 5: %v", on, way, err)
			}
		}
	}
}

// TestWhileAVoterIsDownNoWayOfWritingTakesAnotherMemberAway: five to three keeps a quorum of the present size and is let in while all are well. With a voter down, the webhooks refuse it by what
// the status says of the voters; without them it is stored, and the operator, which asks the members themselves before it acts, does nothing about it and says why.
func TestWhileAVoterIsDownNoWayOfWritingTakesAnotherMemberAway(t *testing.T) {
	const from, to = 5, 3
	s := server(t)
	for _, on := range []bool{true, false} {
		s.webhooks(t, on)
		l := s.tenant(t, nil).stand(t, from)
		for way, shrink := range shrinks {
			if err := shrink(t, l.tenant, to); err != nil {
				t.Errorf("webhooks %t: %s while all are in service: %v", on, way, err)
			}
			if held := heldBack(l.pass(t)); held != "" {
				t.Errorf("webhooks %t: %s while all are in service is held back: %s", on, way, held)
			}
			l.putBack(t)
		}
		pod := l.down(t, 1) // one that would stay
		for way, shrink := range shrinks {
			err := shrink(t, l.tenant, to)
			is, _ := l.tenant.size(t)
			switch {
			case on:
				if err == nil || !strings.Contains(err.Error(), "NoShrinkWhileDegraded") || !strings.Contains(err.Error(), pod) || is != from {
					t.Errorf("with the webhooks: %s: %v; it is %d now", way, err, is)
				}
			case err != nil: // the schema knows nothing of voters
				t.Errorf("without the webhooks: %s: %v", way, err)
			case strings.Contains(way, "dry-run"):
				if is != from {
					t.Errorf("without the webhooks: %s: it is %d now", way, is)
				}
			case is != to:
				t.Errorf("without the webhooks: %s: it is %d now", way, is)
			default:
				if err := l.held(t, "NoShrinkWhileDegraded", pod); err != nil {
					t.Errorf("without the webhooks: %s: %v", way, err)
				}
			}
			l.putBack(t)
		}
	}
}

// TestAStatusThatLiesAboutTheVotersIsFoundOutBeforeAnythingIsDone: who may write the status can make the webhooks believe that all is well, or that the cluster was never founded.
func TestAStatusThatLiesAboutTheVotersIsFoundOutBeforeAnythingIsDone(t *testing.T) {
	s := server(t)
	s.webhooks(t, true)
	l := s.tenant(t, nil).stand(t, 5)
	pod := l.down(t, 1)
	for lie, tell := range map[string]func(*v1alpha1.RobustMQClusterStatus){
		"all are in service": func(st *v1alpha1.RobustMQClusterStatus) {
			for i := range st.Members {
				st.Members[i].InService = true
			}
		},
		"it was never founded": func(st *v1alpha1.RobustMQClusterStatus) { st.Founded = false },
		"the voter never was one": func(st *v1alpha1.RobustMQClusterStatus) {
			for i := range st.Members {
				if st.Members[i].Pod == pod {
					st.Members[i].VoterIn = nil
				}
			}
		},
	} {
		c := l.read(t)
		tell(&c.Status)
		if err := l.admin.Status().Update(t.Context(), c); err != nil {
			t.Fatal(err)
		}
		if err := shrinks["merge patch"](t, l.tenant, 3); err != nil {
			t.Errorf("%s: the webhooks know better: %v", lie, err)
		}
		if err := l.held(t, "NoShrinkWhileDegraded", pod); err != nil {
			t.Errorf("%s: %v", lie, err)
		}
		l.putBack(t)
	}
}

// TestTwoSmallStepsAreNoWayRound: the step to 5 is let in; the one to 3 has to wait until the members are gone, whatever the spec says meanwhile.
func TestTwoSmallStepsAreNoWayRound(t *testing.T) {
	s := server(t)
	for _, on := range []bool{true, false} {
		s.webhooks(t, on)
		n := s.tenant(t, nil)
		n.cluster(t, 7)
		s.reconcile(t, n, "c") // seven members are asked for
		pretend(t, n, 7)
		patch := func(to int) error { return shrinks["merge patch"](t, n, to) }
		if err := patch(5); err != nil {
			t.Fatal(err)
		}
		err := patch(3)
		if on {
			if !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), "has 7 members") {
				t.Errorf("with the webhooks: %v", err)
			}
			continue
		}
		// Without them the schema sees 5 and 3 only; the guard sees the StatefulSet of seven, even where a status lies.
		if err != nil {
			t.Fatal(err)
		}
		pretend(t, n, 5)
		before := n.written(t)
		s.reconcile(t, n, "c")
		var c v1alpha1.RobustMQCluster
		if err := s.admin.Get(t.Context(), client.ObjectKey{Namespace: n.namespace, Name: "c"}, &c); err != nil {
			t.Fatal(err)
		}
		message := ""
		for _, condition := range c.Status.Conditions {
			if condition.Type == v1alpha1.ConditionReady && condition.Reason == v1alpha1.ReasonSpecInvalid {
				message = condition.Message
			}
		}
		if !strings.Contains(message, "NoShrinkBelowQuorum") || n.written(t) != before {
			t.Errorf("the guard says %q; written before:\n%s\nand after:\n%s", message, before, n.written(t))
		}
	}
}

// TestOfTwoAdminsAtOnceNeitherTakesWhatTheOtherLeft: both read 7 and write, one 5 and one 3 or 1: whoever comes second is judged by what the first wrote, or has a conflict.
func TestOfTwoAdminsAtOnceNeitherTakesWhatTheOtherLeft(t *testing.T) {
	s := server(t)
	for _, on := range []bool{true, false} {
		s.webhooks(t, on)
		n := s.tenant(t, nil)
		for round := range 10 {
			n.cluster(t, 7)
			pretend(t, n, 7)
			read := bare(n.namespace)
			if err := n.Get(t.Context(), client.ObjectKeyFromObject(read), read); err != nil {
				t.Fatal(err)
			}
			results := make(chan error, 3)
			for i, to := range []int64{5, 3, 1} {
				go func() {
					u := read.DeepCopy() // with the resource version that all of them read
					if err := unstructured.SetNestedField(u.Object, to, "spec", "placementCenter", "replicas"); err != nil {
						results <- err
						return
					}
					if i%2 == round%2 {
						results <- n.Update(context.WithoutCancel(t.Context()), u)
						return
					}
					results <- n.Patch(context.WithoutCancel(t.Context()), bare(n.namespace), client.RawPatch(types.MergePatchType, fmt.Appendf(nil, `{"spec":{"placementCenter":{"replicas":%d}}}`, to)))
				}()
			}
			for range 3 {
				if err := <-results; err != nil && !apierrors.IsInvalid(err) && !apierrors.IsConflict(err) {
					t.Errorf("webhooks %t: %v", on, err)
				}
			}
			is, _ := n.size(t)
			// Without webhooks 7 to 5 and 5 to 3 are two steps that the schema lets in; the guard holds the second (above). Never is it 1, and with the webhooks never 3.
			if is == 1 || on && is == 3 {
				t.Errorf("webhooks %t: it is %d now", on, is)
			}
		}
	}
}

// TestTheBrokersFloorHoldsForAnAutoscaler: the client is the one of the HorizontalPodAutoscaler controller, with its own discovery of the subresource.
func TestTheBrokersFloorHoldsForAnAutoscaler(t *testing.T) {
	s := server(t)
	d, err := discovery.NewDiscoveryClientForConfig(s.Config)
	if err != nil {
		t.Fatal(err)
	}
	scales, err := scale.NewForConfig(s.Config, s.admin.RESTMapper(), dynamic.LegacyAPIPathResolverFunc, scale.NewDiscoveryScaleKindResolver(d))
	if err != nil {
		t.Fatal(err)
	}
	resource := schema.GroupResource{Group: v1alpha1.GroupVersion.Group, Resource: "robustmqclusters"}
	for _, on := range []bool{true, false} {
		s.webhooks(t, on)
		n := s.tenant(t, nil)
		if err := n.kubectl(t, members(3, ", mqttBroker: {replicas: 5}, config: {runtime: {default_topic_replica_num: 6}}"), "apply", "-f", "-"); err != nil {
			t.Fatal(err)
		}
		ways := map[string]func(to int32) error{
			"HPA": func(to int32) error {
				is, err := scales.Scales(n.namespace).Get(t.Context(), resource, "c", metav1.GetOptions{})
				if err != nil {
					return err
				}
				is.Spec.Replicas = to
				_, err = scales.Scales(n.namespace).Update(t.Context(), resource, is, metav1.UpdateOptions{})
				return err
			},
			"patch of /scale": func(to int32) error {
				_, err := scales.Scales(n.namespace).Patch(t.Context(), v1alpha1.GroupVersion.WithResource("robustmqclusters"), "c", types.MergePatchType, fmt.Appendf(nil, `{"spec":{"replicas":%d}}`, to), metav1.PatchOptions{})
				return err
			},
			"kubectl scale": func(to int32) error { return n.kubectl(t, "", "scale", "rmqc/c", fmt.Sprintf("--replicas=%d", to)) },
			"update of /scale": func(to int32) error {
				return n.SubResource("scale").Update(t.Context(), bare(n.namespace), client.WithSubResourceBody(&autoscalingv1.Scale{Spec: autoscalingv1.ScaleSpec{Replicas: to}}))
			},
		}
		for way, scaleTo := range ways {
			for _, to := range []int32{0, 1001} {
				if err := scaleTo(to); err == nil || !strings.Contains(err.Error(), "spec.mqttBroker.replicas") || !strings.Contains(err.Error(), "1000") && !strings.Contains(err.Error(), "equal to 1") {
					t.Errorf("webhooks %t: %s to %d: %v", on, way, to, err)
				}
			}
			if on { // three members and two brokers for six copies: what the schema cannot know, the guard does (BrokersWithinScale/scaled-below-the-copies)
				if err := scaleTo(2); err == nil || !strings.Contains(err.Error(), "6 copies") {
					t.Errorf("%s to 2: %v", way, err)
				}
			}
			if err := scaleTo(7); err != nil {
				t.Errorf("webhooks %t: %s to 7: %v", on, way, err)
			}
			if err := scaleTo(5); err != nil {
				t.Errorf("webhooks %t: %s back to 5: %v", on, way, err)
			}
			if _, brokers := n.size(t); brokers != 5 {
				t.Errorf("webhooks %t: after %s: %d brokers", on, way, brokers)
			}
		}
	}
}
