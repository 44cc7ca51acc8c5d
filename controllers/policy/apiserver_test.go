package policy_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	"sigs.k8s.io/controller-runtime/pkg/log"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
	"sigs.k8s.io/yaml"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/controllers/policy"
	"github.com/robustmq/robustmq-operator/test/apiserver"
)

const patience = 60 * time.Second

// world is an API server of its own with the operator's policies, and whoever may do anything.
type world struct {
	client.Client
	env      *envtest.Environment
	config   *rest.Config
	writes   *atomic.Int64 // requests that change something, by the operator
	source   *policy.Source
	registry *prometheus.Registry
	ended    chan struct{}
	stop     context.CancelFunc
}

func scheme() *runtime.Scheme {
	s := apiserver.Scheme()
	if err := apiextensionsv1.AddToScheme(s); err != nil {
		panic(err)
	}
	return s
}

func TestMain(m *testing.M) {
	log.SetLogger(logr.Discard())
	os.Exit(m.Run())
}

const definitions = "../../config/crd/robustmq.io_"

// start brings an API server up with some of the definitions.
func start(t *testing.T, kinds ...string) *world {
	t.Helper()
	apiserver.Need(t)
	env := &envtest.Environment{ErrorIfCRDPathMissing: true}
	for _, k := range kinds {
		env.CRDDirectoryPaths = append(env.CRDDirectoryPaths, definitions+k+".yaml")
	}
	config, err := env.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = env.Stop() })
	c, err := client.New(config, client.Options{Scheme: scheme()})
	if err != nil {
		t.Fatal(err)
	}
	return &world{Client: c, env: env, config: config}
}

// counted counts requests that change something.
type counted struct {
	next   http.RoundTripper
	writes *atomic.Int64
}

func (c counted) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Method != http.MethodGet {
		c.writes.Add(1)
	}
	return c.next.RoundTrip(r)
}

// operate runs the operator's policies until the test ends, with the rights that config/rbac gives, or without those for policies.
func (w *world) operate(t *testing.T, granted bool) {
	t.Helper()
	user, err := w.env.AddUser(envtest.User{Name: "operator", Groups: []string{"operators"}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Create(t.Context(), &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: "clusters"}, Rules: []rbacv1.PolicyRule{{APIGroups: []string{"robustmq.io"}, Resources: []string{"robustmqclusters"}, Verbs: []string{"get", "list", "watch"}}}}); err != nil {
		t.Fatal(err)
	}
	w.bind(t, "clusters")
	if granted {
		w.grant(t)
	}
	w.writes = &atomic.Int64{}
	config := user.Config()
	config.Wrap(func(next http.RoundTripper) http.RoundTripper { return counted{next, w.writes} })
	mgr, err := ctrl.NewManager(config, ctrl.Options{Scheme: scheme(), Metrics: metricsserver.Options{BindAddress: "0"}, Logger: logr.Discard()})
	if err != nil {
		t.Fatal(err)
	}
	w.source, err = policy.NewSource(mgr, policy.Interval(200*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	w.registry = prometheus.NewRegistry()
	a := &policy.Auditor{Source: w.source, Settle: 100 * time.Millisecond, Metrics: w.registry}
	if err := a.SetupWithManager(mgr); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	w.stop, w.ended = sync.OnceFunc(cancel), make(chan struct{})
	go func() {
		defer close(w.ended)
		if err := mgr.Start(ctx); err != nil {
			t.Error(err)
		}
	}()
	t.Cleanup(func() { w.stop(); <-w.ended })
}

func (w *world) bind(t *testing.T, role string) {
	t.Helper()
	b := &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: role}, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role},
		Subjects: []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: "User", Name: "operator"}},
	}
	if err := w.Create(t.Context(), b); err != nil {
		t.Fatal(err)
	}
}

// grant gives the rights of config/rbac/policies.yaml.
func (w *world) grant(t *testing.T) {
	t.Helper()
	data, err := os.ReadFile("../../config/rbac/policies.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for doc := range strings.SplitSeq(string(data), "\n---\n") {
		var r rbacv1.ClusterRole
		if err := yaml.Unmarshal([]byte(doc), &r); err != nil {
			t.Fatal(err)
		}
		if r.Kind == "ClusterRole" && r.Name == "robustmq-operator-policies" {
			if err := w.Create(t.Context(), &r); err != nil {
				t.Fatal(err)
			}
			w.bind(t, r.Name)
			return
		}
	}
	t.Fatal("no role robustmq-operator-policies")
}

// eventually waits until a condition holds.
func eventually(t *testing.T, what string, holds func() error) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for {
		err := holds()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: %v", what, err)
		}
		select {
		case <-t.Context().Done():
			t.Fatal(what, t.Context().Err())
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func (w *world) namespace(t *testing.T, name string, labels map[string]string) {
	t.Helper()
	if err := w.Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels}}); err != nil {
		t.Fatal(err)
	}
}

func (w *world) cluster(t *testing.T, namespace, name string, members int32) *v1alpha1.RobustMQCluster {
	t.Helper()
	c := &v1alpha1.RobustMQCluster{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
	c.Spec.Version, c.Spec.PlacementCenter.Replicas = "0.4.11", members
	c.Default()
	if err := w.Create(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	return c
}

// threeMembers is a policy for namespaces with env=prod, all when env is empty.
func threeMembers(name, env string) *v1alpha1.RobustMQPolicy {
	three := int32(3)
	p := &v1alpha1.RobustMQPolicy{ObjectMeta: metav1.ObjectMeta{Name: name}}
	if env != "" {
		p.Spec.NamespaceSelector = &metav1.LabelSelector{MatchLabels: map[string]string{"env": env}}
	}
	p.Spec.Requirements.MinimumPlacementCenterReplicas = &three
	return p
}

// audited waits until the status counts so many clusters and violations of the present generation.
func (w *world) audited(t *testing.T, name string, clusters, violations int32) *v1alpha1.RobustMQPolicy {
	t.Helper()
	var p v1alpha1.RobustMQPolicy
	eventually(t, "the audit of "+name, func() error {
		p = v1alpha1.RobustMQPolicy{}
		if err := w.Get(t.Context(), client.ObjectKey{Name: name}, &p); err != nil {
			return err
		}
		if c := p.Status.Counts; c == nil || c.Clusters != clusters || c.Violations != violations || p.Status.ObservedGeneration != p.Generation {
			return fmt.Errorf("%+v", p.Status)
		}
		return nil
	})
	return &p
}

// exported is a value of the metric, -1 when there is no such line.
func (w *world) exported(t *testing.T, labels ...string) float64 {
	t.Helper()
	families, err := w.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			var values []string
			for _, l := range m.GetLabel() { // by name: action, policy, rule
				values = append(values, l.GetValue())
			}
			if f.GetName() == "robustmq_policy_violations" && slices.Equal(values, labels) {
				return m.GetGauge().GetValue()
			}
		}
	}
	return -1
}

func in(t *testing.T, w *world, namespace string) string {
	t.Helper()
	var names []string
	for _, p := range w.source.In(t.Context(), namespace) {
		names = append(names, p.Name)
	}
	return strings.Join(names, " ")
}

func TestClustersThatExistAreAuditedAgainAtEveryChangeAndNeverTouched(t *testing.T) {
	w := start(t, "robustmqclusters", "robustmqpolicies")
	w.namespace(t, "one", map[string]string{"env": "prod"})
	w.namespace(t, "two", nil)
	small, big, elsewhere := w.cluster(t, "one", "small", 1), w.cluster(t, "one", "big", 3), w.cluster(t, "two", "small", 1)
	w.operate(t, true)
	if err := w.Create(t.Context(), threeMembers("prod", "prod")); err != nil {
		t.Fatal(err)
	}
	p := w.audited(t, "prod", 2, 1)
	if v := p.Status.Violations[0]; v.Namespace != "one" || v.Cluster != "small" || v.Rule != "PolicyMinimumMembers" || v.Action != "Deny" || v.Field != "spec.placementCenter.replicas" || !strings.Contains(v.Message, "write 3 or more") {
		t.Errorf("%+v", v)
	}
	if !meta.IsStatusConditionTrue(p.Status.Conditions, v1alpha1.ConditionReady) || !meta.IsStatusConditionFalse(p.Status.Conditions, v1alpha1.ConditionCompliant) || p.Status.LastChangeTime == nil {
		t.Errorf("%+v", p.Status)
	}
	if got := w.exported(t, "Deny", "prod", "PolicyMinimumMembers"); got != 1 {
		t.Errorf("the metric says %v", got)
	}

	// A namespace comes to be selected by its label, and a cluster to comply.
	if err := w.Patch(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "two"}}, client.RawPatch("application/merge-patch+json", []byte(`{"metadata":{"labels":{"env":"prod"}}}`))); err != nil {
		t.Fatal(err)
	}
	w.audited(t, "prod", 3, 2)
	grown := elsewhere.DeepCopy()
	grown.Spec.PlacementCenter.Replicas = 3
	if err := w.Update(t.Context(), grown); err != nil {
		t.Fatal(err)
	}
	w.audited(t, "prod", 3, 1)
	if err := w.Delete(t.Context(), grown); err != nil {
		t.Fatal(err)
	}
	w.audited(t, "prod", 2, 1)

	// The policy says something else.
	p = w.audited(t, "prod", 2, 1)
	p.Spec.Rules = []v1alpha1.PolicyRule{{Name: "PolicyMinimumMembers", Action: "Audit"}, {Name: "BackupAdvised", Action: "Warn"}}
	if err := w.Update(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	p = w.audited(t, "prod", 2, 3)
	if c := p.Status.Counts; c.Deny != 0 || c.Warn != 2 || c.Audit != 1 || c.Violating != 2 {
		t.Errorf("%+v", c)
	}
	eventually(t, "the metric", func() error {
		if a, b, c := w.exported(t, "Audit", "prod", "PolicyMinimumMembers"), w.exported(t, "Warn", "prod", "BackupAdvised"), w.exported(t, "Deny", "prod", "PolicyMinimumMembers"); a != 1 || b != 2 || c != -1 {
			return fmt.Errorf("%v %v %v", a, b, c)
		}
		return nil
	})

	for _, c := range []*v1alpha1.RobustMQCluster{small, big} {
		var is v1alpha1.RobustMQCluster
		if err := w.Get(t.Context(), client.ObjectKeyFromObject(c), &is); err != nil || is.ResourceVersion != c.ResourceVersion {
			t.Errorf("%s/%s was touched: %v", c.Namespace, c.Name, err)
		}
	}
	if err := w.Delete(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the metric of a policy that is gone", func() error {
		if got := w.exported(t, "Audit", "prod", "PolicyMinimumMembers"); got != -1 {
			return fmt.Errorf("%v", got)
		}
		return nil
	})
}

func TestAPolicyWhoseClustersDoNotChangeIsNotWrittenAgain(t *testing.T) {
	w := start(t, "robustmqclusters", "robustmqpolicies")
	w.namespace(t, "one", nil)
	for i := range 4 {
		w.cluster(t, "one", fmt.Sprintf("c%d", i), 1)
	}
	w.operate(t, true)
	if err := w.Create(t.Context(), threeMembers("p", "")); err != nil {
		t.Fatal(err)
	}
	before := w.audited(t, "p", 4, 4)
	written := w.writes.Load()
	// A change that leads to an audit with the same result: a label of a namespace, and a second policy that waits in the same queue behind the first.
	if err := w.Patch(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "one"}}, client.RawPatch("application/merge-patch+json", []byte(`{"metadata":{"labels":{"a":"b"}}}`))); err != nil {
		t.Fatal(err)
	}
	if err := w.Create(t.Context(), threeMembers("q", "")); err != nil {
		t.Fatal(err)
	}
	w.audited(t, "q", 4, 4)
	after := w.audited(t, "p", 4, 4)
	if after.ResourceVersion != before.ResourceVersion {
		t.Errorf("%+v became %+v", before.Status, after.Status)
	}
	if n := w.writes.Load() - written; n != 1 {
		t.Errorf("%d writes, and one was needed", n)
	}
}

func TestTheListOfViolationsHasAnEndAndTheCountsDoNot(t *testing.T) {
	w := start(t, "robustmqclusters", "robustmqpolicies")
	w.namespace(t, "one", nil)
	const n = v1alpha1.MaxPolicyViolations + 7
	for i := range n {
		w.cluster(t, "one", fmt.Sprintf("c%d", i), 1)
	}
	w.operate(t, true)
	if err := w.Create(t.Context(), threeMembers("p", "")); err != nil {
		t.Fatal(err)
	}
	p := w.audited(t, "p", n, n)
	if len(p.Status.Violations) != v1alpha1.MaxPolicyViolations || p.Status.OmittedViolations != 7 {
		t.Errorf("%d listed, %d left out", len(p.Status.Violations), p.Status.OmittedViolations)
	}
}

func TestWhatCannotBeIsIgnoredAndSaidAndTheRestHolds(t *testing.T) {
	w := start(t, "robustmqclusters", "robustmqpolicies")
	w.namespace(t, "one", nil)
	w.cluster(t, "one", "small", 1)
	w.operate(t, true)
	p := threeMembers("p", "")
	p.Spec.Rules = []v1alpha1.PolicyRule{{Name: "BackupAdvise", Action: "Deny"}}
	if err := w.Create(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	p = w.audited(t, "p", 1, 1)
	c := meta.FindStatusCondition(p.Status.Conditions, v1alpha1.ConditionReady)
	if c == nil || c.Status != metav1.ConditionFalse || c.Reason != v1alpha1.ReasonPartlyIgnored || !strings.Contains(c.Message, "write BackupAdvised") {
		t.Errorf("%+v", c)
	}
}

func TestPoliciesHoldInTheNamespacesThatTheySelectAlsoInOneMadeAMomentAgo(t *testing.T) {
	w := start(t, "robustmqclusters", "robustmqpolicies")
	for name, env := range map[string]string{"b-prod": "prod", "a-all": ""} {
		if err := w.Create(t.Context(), threeMembers(name, env)); err != nil {
			t.Fatal(err)
		}
	}
	w.operate(t, true)
	w.audited(t, "a-all", 0, 0)
	for i := range 20 { // some of them are asked for before the cache has seen them
		name, want := fmt.Sprintf("n%d", i), "a-all"
		labels := map[string]string{}
		if i%2 == 0 {
			labels["env"], want = "prod", "a-all b-prod"
		}
		w.namespace(t, name, labels)
		if got := in(t, w, name); got != want {
			t.Errorf("%s: %q; want %q", name, got, want)
		}
	}
	if got := in(t, w, "no-such"); got != "a-all" {
		t.Errorf("of a namespace whose labels cannot be read: %q", got)
	}
}

func TestWithoutTheKindThereAreNoPoliciesUntilItAppears(t *testing.T) {
	w := start(t, "robustmqclusters")
	w.operate(t, true)
	w.namespace(t, "one", nil)
	w.cluster(t, "one", "small", 1)
	began := time.Now()
	if got := in(t, w, "one"); got != "" || time.Since(began) > time.Second {
		t.Errorf("%q after %s", got, time.Since(began))
	}
	crds, err := envtest.InstallCRDs(w.config, envtest.CRDInstallOptions{Paths: []string{definitions + "robustmqpolicies.yaml"}})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Create(t.Context(), threeMembers("p", "")); err != nil {
		t.Fatal(err)
	}
	w.audited(t, "p", 1, 1)
	if got := in(t, w, "one"); got != "p" {
		t.Errorf("%q", got)
	}
	// And when it goes away again, so do they; the operator runs on.
	if err := w.Delete(t.Context(), crds[0]); err != nil {
		t.Fatal(err)
	}
	eventually(t, "no policies", func() error {
		if got := in(t, w, "one"); got != "" {
			return errors.New(got)
		}
		return nil
	})
	select {
	case <-w.ended:
		t.Error("the operator ended")
	default:
	}
}

func TestWithoutRightsThereAreNoPoliciesUntilTheyAreGranted(t *testing.T) {
	w := start(t, "robustmqclusters", "robustmqpolicies")
	w.namespace(t, "one", nil)
	if err := w.Create(t.Context(), threeMembers("p", "")); err != nil {
		t.Fatal(err)
	}
	w.operate(t, false)
	began := time.Now()
	if got := in(t, w, "one"); got != "" || time.Since(began) > time.Second {
		t.Errorf("%q after %s", got, time.Since(began))
	}
	w.grant(t)
	w.audited(t, "p", 0, 0)
	if got := in(t, w, "one"); got != "p" {
		t.Errorf("%q", got)
	}
	if err := w.Create(t.Context(), &v1alpha1.RobustMQPolicy{}); !apierrors.IsInvalid(err) {
		t.Errorf("%v", err)
	}
}
