package policies

import (
	"context"
	"crypto/rand"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	"github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/controllers/cluster"
	"github.com/robustmq/robustmq-operator/controllers/policy"
	agentclient "github.com/robustmq/robustmq-operator/internal/agent/client"
	"github.com/robustmq/robustmq-operator/internal/pki"
	"github.com/robustmq/robustmq-operator/internal/topology"
	"github.com/robustmq/robustmq-operator/test/apiserver"
	"github.com/robustmq/robustmq-operator/webhooks"
)

const (
	serverImage = "ghcr.io/robustmq/robustmq:v{version}"
	patience    = 60 * time.Second
)

// doors are one real kube-apiserver with our definitions, and the operator's webhooks beside it. The webhook configurations come and go.
type doors struct {
	*apiserver.Server
	admin          client.Client
	operator       client.Client // the webhooks are not asked about what it writes
	replica        *apiserver.Replica
	policies       *policy.Source
	reconciler     *cluster.Reconciler
	configurations []client.Object
	installed      bool
	cancel         context.CancelFunc
}

var (
	startOnce sync.Once
	started   *doors
	startErr  error
)

func TestMain(m *testing.M) {
	flag.Parse()
	ctrl.SetLogger(logr.Discard())
	// A case waits for the API server most of its time: more of them than cores can live side by side.
	if err := flag.Set("test.parallel", "8"); err != nil {
		panic(err)
	}
	code := m.Run()
	if started != nil {
		if err := started.stop(); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
	}
	os.Exit(code)
}

// server starts the API server at its first call.
func server(t *testing.T) *doors {
	t.Helper()
	apiserver.Need(t)
	startOnce.Do(func() { started, startErr = start() })
	if startErr != nil {
		t.Fatal(startErr)
	}
	return started
}

func (s *doors) stop() error {
	s.cancel()
	var ended error
	if s.replica != nil {
		ended = s.replica.Ended()
	}
	return errors.Join(ended, s.Stop())
}

func start() (_ *doors, err error) {
	s := &doors{}
	var ctx context.Context
	ctx, s.cancel = context.WithCancel(context.Background())
	s.Server, err = apiserver.Start(ctx, "../..", func(a *envtest.APIServer) {
		a.Configure().Set("enable-priority-and-fairness", "false").Set("max-requests-inflight", "0").Set("max-mutating-requests-inflight", "0")
	})
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.stop())
		}
	}()
	s.admin = s.Client
	asOperator := rest.CopyConfig(s.Config)
	asOperator.Impersonate = rest.ImpersonationConfig{UserName: apiserver.OperatorUser, Groups: []string{"system:masters"}}
	if s.operator, err = client.New(asOperator, client.Options{Scheme: apiserver.Scheme()}); err != nil {
		return nil, err
	}
	s.reconciler = s.newReconciler(agentclient.NewPool(agentclient.Limits{}, nil))
	return s, s.serve(ctx)
}

// newReconciler is the operator's own, which reaches the agents that it is given.
func (s *doors) newReconciler(agents cluster.AgentPool) *cluster.Reconciler {
	return &cluster.Reconciler{
		Client: s.operator, Reader: s.operator, Events: &events.FakeRecorder{}, Agents: agents,
		ServerImage: serverImage, AgentImage: "agent", ClusterDomain: "cluster.local", OperatorNamespace: apiserver.OperatorNamespace,
		Timings: cluster.DefaultTimings(), Limits: topology.DefaultLimits(), PKIRules: pki.DefaultRules(),
		Now: time.Now, NewUID: uuid.NewString, Random: rand.Reader,
	}
}

// serve brings the webhooks up as the operator does.
func (s *doors) serve(ctx context.Context) error {
	replica, err := apiserver.NewReplica(s.Config, filepath.Join(s.Dir, "certs"))
	if err != nil {
		return err
	}
	all, err := s.Installed(replica.Port)
	if err != nil {
		return err
	}
	s.configurations = []client.Object{all.Mutating, all.Validating}
	if err := s.install(ctx); err != nil {
		return err
	}
	if s.policies, err = policy.NewSource(replica.Manager); err != nil {
		return err
	}
	if err := replica.Manager.Add(s.policies); err != nil {
		return err
	}
	err = webhooks.Setup(replica.Manager, webhooks.Options{
		Namespace: apiserver.OperatorNamespace, ServiceName: apiserver.WebhookService, CertDir: replica.CertDir, SelfSigned: true, ExtraDNSNames: []string{"localhost"},
		Metrics: prometheus.NewRegistry(), Policies: s.policies, ServerImage: serverImage,
	})
	if err != nil {
		return err
	}
	replica.Start(ctx)
	s.replica = replica
	return replica.Ready(ctx)
}

// install creates the configurations; their authority is injected by the operator, or was kept when they were taken away.
func (s *doors) install(ctx context.Context) error {
	for _, o := range s.configurations {
		o.SetResourceVersion("")
		o.SetUID("")
		if err := s.admin.Create(ctx, o); err != nil {
			return err
		}
	}
	s.installed = true
	return nil
}

// webhooks brings the configurations into the state that a test wants, and waits until the API server acts accordingly.
func (s *doors) webhooks(t *testing.T, wanted bool) {
	t.Helper()
	switch {
	case wanted && !s.installed:
		if err := s.install(t.Context()); err != nil {
			t.Fatal(err)
		}
	case !wanted && s.installed:
		for _, o := range s.configurations {
			if err := s.admin.Get(t.Context(), client.ObjectKeyFromObject(o), o); err != nil { // with the authority in it
				t.Fatal(err)
			}
			if err := s.admin.Delete(t.Context(), o); err != nil {
				t.Fatal(err)
			}
		}
		s.installed = false
	}
	probe := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": v1alpha1.GroupVersion.String(), "kind": "RobustMQCluster", "metadata": map[string]any{"name": "probe", "namespace": "default"},
		"spec": map[string]any{"version": "0.4.11", "config": map[string]any{"": map[string]any{"broker_id": int64(7)}}},
	}}
	await(t, fmt.Sprintf("webhooks %t", wanted), func() (bool, string) {
		err := s.admin.Create(t.Context(), probe.DeepCopy(), client.DryRunAll)
		return apierrors.IsInvalid(err) == wanted && (err == nil) != wanted, fmt.Sprint(err)
	})
}

// await waits for a condition.
func await(t *testing.T, what string, condition func() (bool, string)) {
	t.Helper()
	for deadline := time.Now().Add(patience); ; {
		ok, why := condition()
		if ok {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("waited %s for %s: %s", patience, what, why)
		}
		select {
		case <-t.Context().Done():
			t.Fatal(t.Context().Err())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// tenant is one case's namespace, and somebody who works in it as kubectl does: unknown fields are refused.
type tenant struct {
	client.Client
	*doors
	namespace string
	warnings  *apiserver.Warnings
}

func (s *doors) tenant(t *testing.T, labels map[string]string) *tenant {
	t.Helper()
	n := &tenant{doors: s, warnings: &apiserver.Warnings{}}
	config := rest.CopyConfig(s.Config)
	config.WarningHandler = n.warnings
	c, err := client.New(config, client.Options{Scheme: apiserver.Scheme(), Mapper: s.admin.RESTMapper()})
	if err != nil {
		t.Fatal(err)
	}
	n.Client = client.WithFieldValidation(c, metav1.FieldValidationStrict)
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "case-", Labels: labels}}
	if err := s.admin.Create(t.Context(), ns); err != nil {
		t.Fatal(err)
	}
	n.namespace = ns.Name
	return n
}

// said is the text of a refusal, as kubectl prints it.
func said(err error) string {
	var status apierrors.APIStatus
	if errors.As(err, &status) {
		return status.Status().Message
	}
	return strings.TrimSpace(err.Error())
}
