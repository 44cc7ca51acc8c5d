//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
	agentclient "github.com/robustmq/robustmq-operator/internal/agent/client"
	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
	"github.com/robustmq/robustmq-operator/internal/pki"
	"github.com/robustmq/robustmq-operator/test/e2e/live"
	"github.com/robustmq/robustmq-operator/test/e2e/messages"
)

// scene is one cluster in a namespace of its own.
type scene struct {
	*testing.T
	name client.ObjectKey
	pool *agentclient.Pool
}

// newScene makes the namespace, and removes it with everything in it when the test ends. Of a test that failed it tells first what is known.
func newScene(t *testing.T, cluster string) *scene {
	t.Helper()
	return newSceneIn(t, "e2e-"+cluster, cluster)
}

// newSceneIn is newScene in a namespace that has a name of its own.
func newSceneIn(t *testing.T, namespace, cluster string) *scene {
	t.Helper()
	s := &scene{T: t, name: client.ObjectKey{Namespace: namespace, Name: cluster}, pool: agentclient.NewPool(agentclient.Limits{}, nil)}
	remove := func(ctx context.Context) {
		if err := removeNamespace(ctx, s.name.Namespace); err != nil {
			t.Error(err)
		}
	}
	remove(t.Context()) // of a run that was broken off
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: s.name.Namespace, Labels: map[string]string{"pod-security.kubernetes.io/enforce": "restricted"}}}
	s.must(k8s.Create(t.Context(), ns))
	t.Cleanup(func() {
		ctx := context.WithoutCancel(t.Context())
		if t.Failed() {
			k8s.Diagnose(ctx, os.Stderr, s.name)
			if os.Getenv("E2E_KEEP") != "" {
				return
			}
		}
		remove(ctx)
	})
	return s
}

func removeNamespace(ctx context.Context, name string) error {
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}
	if err := client.IgnoreNotFound(k8s.Delete(ctx, ns)); err != nil {
		return fmt.Errorf("removing namespace %s: %w", name, err)
	}
	return live.Until(ctx, "namespace "+name+" gone", 250*time.Millisecond, 4*time.Minute, func(ctx context.Context) (bool, string, error) {
		err := k8s.Get(ctx, client.ObjectKey{Name: name}, ns)
		return apierrors.IsNotFound(err), fmt.Sprintf("%s %v", ns.Status.Phase, err), nil
	})
}

func (s *scene) must(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

// small is a cluster that leaves room on the nodes for others: three members and two brokers.
func small(name string) *v1alpha1.RobustMQCluster {
	c := &v1alpha1.RobustMQCluster{TypeMeta: metav1.TypeMeta{APIVersion: v1alpha1.GroupVersion.String(), Kind: "RobustMQCluster"}}
	c.Name = name
	c.Spec.Version = "0.4.11"
	c.Spec.MQTTBroker.Replicas = 2
	tiny := &v1alpha1.ResourcesSpec{Requests: corev1.ResourceList{corev1.ResourceCPU: quantity("100m"), corev1.ResourceMemory: quantity("256Mi")}, Limits: corev1.ResourceList{corev1.ResourceMemory: quantity("1536Mi")}}
	c.Spec.PlacementCenter.Resources, c.Spec.MQTTBroker.Resources = tiny, tiny
	c.Spec.Config = v1alpha1.Config{}
	if realServer {
		c.Spec.Config = fewProcessors() // five idle ones need half a processor for their fetches otherwise
	}
	return c
}

// fewProcessors is a configuration for many servers on a machine with few processors: they fetch each other's copies less often, as docs/config.md has it. Still more rarely, and what was acknowledged in between is
// lost with its leader.
func fewProcessors() v1alpha1.Config {
	fetch := apiextensionsv1.JSON{Raw: []byte("50")}
	return v1alpha1.Config{"storage_runtime": {"replica_fetch_max_wait_ms": fetch, "replica_fetch_backoff_ms": fetch}}
}

// sample is a manifest of config/samples under the scene's name.
func (s *scene) sample(file string) *v1alpha1.RobustMQCluster {
	s.Helper()
	c, err := live.ReadCluster(root + "/config/samples/" + file)
	s.must(err)
	c.Name = s.name.Name
	return c
}

// manifest is what a user would write: without status and empty fields.
func manifest(t testing.TB, c *v1alpha1.RobustMQCluster) string {
	t.Helper()
	text, err := yaml.Marshal(map[string]any{
		"apiVersion": c.APIVersion, "kind": c.Kind, "metadata": map[string]any{"name": c.Name}, "spec": c.Spec,
	})
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// apply is kubectl apply; it returns what kubectl said, warnings included.
func (s *scene) apply(c *v1alpha1.RobustMQCluster, flags ...string) string {
	s.Helper()
	out, warnings, err := s.tryApply(c, flags...)
	for try := 0; try < 10 && err != nil && os.Getenv("E2E_OPERATOR_KILLED") != "" && strings.Contains(err.Error(), "failed calling webhook"); try++ {
		s.quietFor(time.Second) // the replica that was to answer has just been killed
		out, warnings, err = s.tryApply(c, flags...)
	}
	s.must(err)
	return out + warnings
}

func (s *scene) tryApply(c *v1alpha1.RobustMQCluster, flags ...string) (string, string, error) {
	s.Helper()
	args := append([]string{"apply", "-n", s.name.Namespace, "-f", "-"}, flags...)
	return k8s.KubectlAll(s.Context(), strings.NewReader(manifest(s, c)), args...)
}

// cluster is the resource as it is.
func (s *scene) cluster() *v1alpha1.RobustMQCluster {
	s.Helper()
	var c v1alpha1.RobustMQCluster
	s.must(k8s.Get(s.Context(), s.name, &c))
	return &c
}

// ready waits until the cluster is Ready, and says how long that took.
func (s *scene) ready(within time.Duration) (*v1alpha1.RobustMQCluster, time.Duration) {
	s.Helper()
	begin := time.Now()
	c, err := k8s.AwaitCluster(s.Context(), "Ready", s.name, within, nil, live.IsReady)
	s.must(err)
	return c, time.Since(begin)
}

// await waits until a condition of the test's own holds.
func (s *scene) await(what string, within time.Duration, holds func(*v1alpha1.RobustMQCluster) bool) *v1alpha1.RobustMQCluster {
	s.Helper()
	c, err := k8s.AwaitCluster(s.Context(), what, s.name, within, nil, holds)
	s.must(err)
	return c
}

// says waits for a condition with a reason and words in its message.
func (s *scene) says(within time.Duration, condition string, status metav1.ConditionStatus, reason string, words ...string) {
	s.Helper()
	s.await(fmt.Sprintf("%s %s, %s, with %q", condition, status, reason, words), within, func(c *v1alpha1.RobustMQCluster) bool {
		got := meta.FindStatusCondition(c.Status.Conditions, condition)
		return got != nil && got.Status == status && got.Reason == reason &&
			!slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(got.Message, w) })
	})
}

func (s *scene) events() []live.Event {
	s.Helper()
	list, err := k8s.Events(s.Context(), "RobustMQCluster", s.name, string(s.cluster().UID))
	s.must(err)
	return list
}

func (s *scene) pod(role v1alpha1.Role, ordinal int) client.ObjectKey {
	return client.ObjectKey{Namespace: s.name.Namespace, Name: fmt.Sprintf("%s-%s-%d", s.name.Name, role.Component(), ordinal)}
}

func (s *scene) member(ordinal int) client.ObjectKey {
	return s.pod(v1alpha1.RolePlacementCenter, ordinal)
}

func (s *scene) broker(ordinal int) client.ObjectKey { return s.pod(v1alpha1.RoleMQTTBroker, ordinal) }

func (s *scene) getPod(key client.ObjectKey) *corev1.Pod {
	s.Helper()
	var p corev1.Pod
	s.must(k8s.Get(s.Context(), key, &p))
	return &p
}

// agent is what the operator uses too: its client certificate is in a Secret.
func (s *scene) agent(ctx context.Context, key client.ObjectKey) (agentclient.Client, error) {
	var pod corev1.Pod
	if err := k8s.Get(ctx, key, &pod); err != nil {
		return nil, err
	}
	if pod.Status.PodIP == "" {
		return nil, fmt.Errorf("pod %s has no address", key.Name)
	}
	var secret corev1.Secret
	if err := k8s.Get(ctx, client.ObjectKey{Namespace: s.name.Namespace, Name: s.name.Name + "-operator-pki"}, &secret); err != nil {
		return nil, err
	}
	return s.pool.Client(s.name.String(), agentclient.Identity{
		CA: secret.Data[pki.KeyTrust], Cert: secret.Data[pki.KeyCert], Key: secret.Data[pki.KeyKey], ServerName: protocol.ServerName(s.name.Namespace, s.name.Name),
	}, pod.Status.PodIP)
}

// state asks one pod's agent.
func (s *scene) state(ctx context.Context, key client.ObjectKey) (protocol.State, error) {
	agent, err := s.agent(ctx, key)
	if err != nil {
		return protocol.State{}, err
	}
	return agent.State(ctx)
}

// leader is the pod that leads every raft group.
func (s *scene) leader() client.ObjectKey {
	s.Helper()
	c := s.await("one leader of all groups", 90*time.Second, func(c *v1alpha1.RobustMQCluster) bool {
		return c.Status.Leader != "" && !strings.HasPrefix(c.Status.Leader, "apart")
	})
	return client.ObjectKey{Namespace: s.name.Namespace, Name: c.Status.Leader}
}

// terms of the raft groups as a pod sees them.
func (s *scene) terms(key client.ObjectKey) map[string]uint64 {
	s.Helper()
	state, err := s.state(s.Context(), key)
	s.must(err)
	terms := map[string]uint64{}
	for name, g := range state.Raft {
		terms[name] = g.Term
	}
	if len(terms) == 0 {
		s.Fatalf("%s says nothing of its raft groups: %s", key.Name, state.RaftError)
	}
	return terms
}

func (s *scene) sameTerms(before, after map[string]uint64) {
	s.Helper()
	if !maps.Equal(before, after) {
		s.Errorf("terms were %v and are %v: there was an election", before, after)
	}
}

// clientsReturn is how long clients may be turned away after the loss of a leader: one election.
const clientsReturn = 45 * time.Second

// messages sends some from the first broker to the last, on a topic that is made when it does not exist.
func (s *scene) messages(topic string) {
	s.Helper()
	c := s.cluster()
	access, err := messages.Reach(s.Context(), k8s, c)
	s.must(err)
	s.topic(access, topic)
	from, to := int32(0), c.Spec.MQTTBroker.Replicas-1
	// For a moment after a leader's pod went away, brokers can turn clients away ("server unavailable"): clients try again then, and so does this one. Once something was sent, nothing is tried twice.
	begin := time.Now()
	for deadline := begin.Add(clientsReturn); ; {
		r, err := messages.Exchange(s.Context(), access.Broker(from), access.Broker(to), topic, messages.NewRun(time.Now()), 20, time.Minute)
		if err != nil && r.Sent == 0 && time.Now().Before(deadline) {
			s.Logf("nobody gets in yet: %v", err)
			select {
			case <-time.After(time.Second):
			case <-s.Context().Done():
			}
			continue
		}
		if err != nil || r.Acknowledged != 20 || r.Received != 20 {
			s.Fatalf("%+v, %v", r, err)
		}
		if away := time.Since(begin) - r.Took; away > time.Second {
			figures.add("clients were turned away, "+s.T.Name(), "%.1f s after the cluster was Ready", away.Seconds())
		}
		return
	}
}

func (s *scene) topic(access *messages.Access, name string) {
	s.Helper()
	_, err := access.Admin(0).CreateTopic(s.Context(), name, 3)
	s.must(err)
}

// traffic starts clients that go on over outages; they know every broker.
func (s *scene) traffic(topic string) *messages.Traffic {
	s.Helper()
	access, err := messages.Reach(s.Context(), k8s, s.cluster())
	s.must(err)
	s.topic(access, topic)
	t, err := messages.Start(s.Context(), access.Brokers(), topic, messages.NewRun(time.Now()), pace())
	s.must(err)
	return t
}

// pace is how long a client that never stops waits before its next call: it is the resolution with which a gap is seen. One that does not wait takes all that two processors have left, whatever a call costs,
// and then what is measured is that servers, kubelets and API server get what it leaves them. Real servers are compiled for tests without optimisation, and five of them leave less.
func pace() time.Duration {
	if realServer {
		return 500 * time.Millisecond
	}
	return 100 * time.Millisecond
}

// contextWithoutCancel is for what is done after a test ended.
func contextWithoutCancel(t *testing.T) context.Context { return context.WithoutCancel(t.Context()) }
