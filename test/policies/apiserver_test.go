package policies

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
	"sigs.k8s.io/controller-runtime/pkg/webhook"
	"sigs.k8s.io/yaml"

	"github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/controllers/cluster"
	"github.com/robustmq/robustmq-operator/controllers/policy"
	agentclient "github.com/robustmq/robustmq-operator/internal/agent/client"
	"github.com/robustmq/robustmq-operator/internal/pki"
	"github.com/robustmq/robustmq-operator/internal/topology"
	"github.com/robustmq/robustmq-operator/webhooks"
)

const (
	operatorNamespace = "robustmq-operator-system"
	operatorUser      = "system:serviceaccount:robustmq-operator-system:robustmq-operator"
	serverImage       = "ghcr.io/robustmq/robustmq:v{version}"
	patience          = 60 * time.Second
)

// apiServer is one real kube-apiserver with our definitions, and the operator's webhooks beside it. The webhook configurations come and go.
type apiServer struct {
	config         *rest.Config
	admin          client.Client
	operator       client.Client // the webhooks are not asked about what it writes
	manager        ctrl.Manager
	policies       *policy.Source
	reconciler     *cluster.Reconciler
	configurations []client.Object
	installed      bool
	kubeconfig     string
	stop           func()
}

var (
	startOnce sync.Once
	started   *apiServer
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
	if started != nil && started.stop != nil {
		started.stop()
	}
	os.Exit(code)
}

// server starts the API server at its first call.
func server(t *testing.T) *apiServer {
	t.Helper()
	if os.Getenv("KUBEBUILDER_ASSETS") == "" {
		t.Skip("KUBEBUILDER_ASSETS does not name a folder with kube-apiserver, etcd and kubectl: `test/bed/bed assets` prints one")
	}
	startOnce.Do(func() {
		started = &apiServer{}
		startErr = started.start()
	})
	if startErr != nil {
		t.Fatal(startErr)
	}
	return started
}

func scheme() *runtime.Scheme {
	s := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, v1alpha1.AddToScheme} {
		if err := add(s); err != nil {
			panic(err)
		}
	}
	return s
}

func (s *apiServer) start() (err error) {
	env := &envtest.Environment{CRDDirectoryPaths: []string{"../../config/crd"}, ErrorIfCRDPathMissing: true}
	env.ControlPlane.GetAPIServer().Configure().Set("enable-priority-and-fairness", "false").Set("max-requests-inflight", "0").Set("max-mutating-requests-inflight", "0")
	if s.config, err = env.Start(); err != nil {
		return fmt.Errorf("starting the API server: %w", err)
	}
	s.config.QPS = -1
	dir, err := os.MkdirTemp("", "policies-test-")
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	s.stop = func() {
		cancel()
		<-ended
		_ = env.Stop()
		_ = os.RemoveAll(dir)
	}
	running := false
	defer func() {
		if !running {
			close(ended)
		}
	}()
	user, err := env.AddUser(envtest.User{Name: "test", Groups: []string{"system:masters"}}, nil)
	if err != nil {
		return err
	}
	kubeconfig, err := user.KubeConfig()
	if err != nil {
		return err
	}
	s.kubeconfig = filepath.Join(dir, "kubeconfig")
	if err := os.WriteFile(s.kubeconfig, kubeconfig, 0o600); err != nil {
		return err
	}
	if s.admin, err = client.New(s.config, client.Options{Scheme: scheme()}); err != nil {
		return err
	}
	asOperator := rest.CopyConfig(s.config)
	asOperator.Impersonate = rest.ImpersonationConfig{UserName: operatorUser, Groups: []string{"system:masters"}}
	if s.operator, err = client.New(asOperator, client.Options{Scheme: scheme()}); err != nil {
		return err
	}
	if err := s.admin.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: operatorNamespace}}); err != nil {
		return err
	}
	s.reconciler = &cluster.Reconciler{
		Client: s.operator, Reader: s.operator, Events: &events.FakeRecorder{}, Agents: agentclient.NewPool(agentclient.Limits{}, nil),
		ServerImage: serverImage, AgentImage: "agent", ClusterDomain: "cluster.local", OperatorNamespace: operatorNamespace,
		Timings: cluster.DefaultTimings(), Limits: topology.DefaultLimits(), PKIRules: pki.DefaultRules(),
		Now: time.Now, NewUID: uuid.NewString, Random: rand.Reader,
	}
	ready, err := s.serve(filepath.Join(dir, "certs"))
	if err != nil {
		return err
	}
	running = true
	failed := make(chan error, 1)
	go func() {
		defer close(ended)
		failed <- s.manager.Start(ctx)
	}()
	return awaitReady(ready, failed)
}

// serve brings the webhooks up as the operator does; the API server calls them by URL, as there is no network of pods.
func (s *apiServer) serve(certs string) (readyz string, err error) {
	var ports [2]int
	for i := range ports {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return "", err
		}
		ports[i] = l.Addr().(*net.TCPAddr).Port
		if err := l.Close(); err != nil {
			return "", err
		}
	}
	if s.configurations, err = configurations(ports[0]); err != nil {
		return "", err
	}
	if err := s.install(context.Background()); err != nil {
		return "", err
	}
	s.manager, err = ctrl.NewManager(s.config, ctrl.Options{
		Scheme: scheme(), Metrics: metricsserver.Options{BindAddress: "0"}, HealthProbeBindAddress: fmt.Sprintf("127.0.0.1:%d", ports[1]),
		WebhookServer: webhook.NewServer(webhook.Options{Host: "127.0.0.1", Port: ports[0], CertDir: certs}),
	})
	if err != nil {
		return "", err
	}
	if s.policies, err = policy.NewSource(s.manager); err != nil {
		return "", err
	}
	if err := s.manager.Add(s.policies); err != nil {
		return "", err
	}
	return fmt.Sprintf("http://127.0.0.1:%d/readyz", ports[1]), webhooks.Setup(s.manager, webhooks.Options{
		Namespace: operatorNamespace, ServiceName: "robustmq-operator-webhook", CertDir: certs, SelfSigned: true, ExtraDNSNames: []string{"localhost"}, Metrics: prometheus.NewRegistry(),
		Policies: s.policies, ServerImage: serverImage,
	})
}

func awaitReady(readyz string, failed <-chan error) error {
	for deadline := time.After(patience); ; {
		if resp, err := http.Get(readyz); err == nil {
			if err := resp.Body.Close(); err == nil && resp.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case err := <-failed:
			return fmt.Errorf("the manager ended: %w", err)
		case <-deadline:
			return fmt.Errorf("the webhooks were not ready after %s", patience)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// configurations are what config/webhook has, with URLs.
func configurations(port int) ([]client.Object, error) {
	manifests, err := os.ReadFile("../../config/webhook/manifests.yaml")
	if err != nil {
		return nil, err
	}
	adapt := func(cc *admissionregistrationv1.WebhookClientConfig) {
		url := fmt.Sprintf("https://localhost:%d%s", port, *cc.Service.Path)
		cc.URL, cc.Service = &url, nil
	}
	var out []client.Object
	for _, doc := range bytes.Split(manifests, []byte("\n---\n")) {
		var kind metav1.TypeMeta
		if err := yaml.Unmarshal(doc, &kind); err != nil {
			return nil, err
		}
		switch kind.Kind {
		case "MutatingWebhookConfiguration":
			m := &admissionregistrationv1.MutatingWebhookConfiguration{}
			if err := yaml.UnmarshalStrict(doc, m); err != nil {
				return nil, err
			}
			for i := range m.Webhooks {
				adapt(&m.Webhooks[i].ClientConfig)
			}
			out = append(out, m)
		case "ValidatingWebhookConfiguration":
			v := &admissionregistrationv1.ValidatingWebhookConfiguration{}
			if err := yaml.UnmarshalStrict(doc, v); err != nil {
				return nil, err
			}
			// What is asked about kinds that config/default does not install yet.
			data, err := os.ReadFile("../../config/webhook/operations.yaml")
			if err != nil {
				return nil, err
			}
			var operations admissionregistrationv1.ValidatingWebhookConfiguration
			if err := yaml.UnmarshalStrict(data, &operations); err != nil {
				return nil, err
			}
			v.Webhooks = append(v.Webhooks, operations.Webhooks...)
			for i := range v.Webhooks {
				adapt(&v.Webhooks[i].ClientConfig)
			}
			out = append(out, v)
		default:
			return nil, fmt.Errorf("config/webhook/manifests.yaml holds a %q", kind.Kind)
		}
	}
	return out, nil
}

// install creates the configurations; their authority is injected by the operator, or was kept when they were taken away.
func (s *apiServer) install(ctx context.Context) error {
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
func (s *apiServer) webhooks(t *testing.T, wanted bool) {
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

// warnings collects what the API server warns of.
type warnings struct {
	mu    sync.Mutex
	texts []string
}

func (w *warnings) HandleWarningHeader(_ int, _, text string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.texts = append(w.texts, text)
}

func (w *warnings) all() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.texts)
}

// tenant is one case's namespace, and somebody who works in it as kubectl does: unknown fields are refused.
type tenant struct {
	client.Client
	*apiServer
	namespace string
	warnings  *warnings
}

func (s *apiServer) tenant(t *testing.T, labels map[string]string) *tenant {
	t.Helper()
	n := &tenant{apiServer: s, warnings: &warnings{}}
	config := rest.CopyConfig(s.config)
	config.WarningHandler = n.warnings
	c, err := client.New(config, client.Options{Scheme: scheme(), Mapper: s.admin.RESTMapper()})
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
