package webhooks_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"
	jsonpatch "gopkg.in/evanphx/json-patch.v4"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	"sigs.k8s.io/controller-runtime/pkg/log"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
	"sigs.k8s.io/controller-runtime/pkg/webhook"
	"sigs.k8s.io/yaml"

	"github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/webhooks"
)

const (
	operatorNamespace = "robustmq-operator-system"
	// webhooksOn is a label of namespaces in which the webhooks are asked; in the others only the schema holds.
	webhooksOn = "robustmq.io/test-webhooks"
	patience   = 60 * time.Second
)

// apiServer is a real kube-apiserver with our definitions and our webhooks.
type apiServer struct {
	config     *rest.Config
	kubeconfig string
	kubectl    string
	readyz     string
	stop       func()
}

var (
	startOnce sync.Once
	started   *apiServer
	startErr  error
)

func TestMain(m *testing.M) {
	log.SetLogger(logr.Discard())
	code := m.Run()
	if started != nil {
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
	startOnce.Do(func() { started, startErr = start() })
	if startErr != nil {
		t.Fatal(startErr)
	}
	return started
}

func scheme() *runtime.Scheme {
	s := runtime.NewScheme()
	if err := clientgoscheme.AddToScheme(s); err != nil {
		panic(err)
	}
	if err := v1alpha1.AddToScheme(s); err != nil {
		panic(err)
	}
	return s
}

func start() (_ *apiServer, err error) {
	env := &envtest.Environment{CRDDirectoryPaths: []string{"../config/crd"}, ErrorIfCRDPathMissing: true}
	config, err := env.Start()
	if err != nil {
		return nil, fmt.Errorf("starting the API server: %w", err)
	}
	dir, err := os.MkdirTemp("", "webhooks-test-")
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	s := &apiServer{config: config, kubectl: filepath.Join(os.Getenv("KUBEBUILDER_ASSETS"), "kubectl"), kubeconfig: filepath.Join(dir, "kubeconfig")}
	s.stop = func() {
		cancel()
		<-ended
		_ = env.Stop()
		_ = os.RemoveAll(dir)
	}
	defer func() {
		if err != nil {
			s.stop()
		}
	}()
	user, err := env.AddUser(envtest.User{Name: "test", Groups: []string{"system:masters"}}, nil)
	if err != nil {
		close(ended)
		return nil, err
	}
	kubeconfig, err := user.KubeConfig()
	if err == nil {
		err = os.WriteFile(s.kubeconfig, kubeconfig, 0o600)
	}
	if err != nil {
		close(ended)
		return nil, err
	}
	if err := s.install(ctx, filepath.Join(dir, "certs"), ended); err != nil {
		return nil, err
	}
	return s, nil
}

// install brings the webhooks up as the operator does; the API server calls them by URL, as there is no network of pods.
func (s *apiServer) install(ctx context.Context, certs string, ended chan struct{}) error {
	running := false
	defer func() {
		if !running {
			close(ended)
		}
	}()
	c, err := client.New(s.config, client.Options{Scheme: scheme()})
	if err != nil {
		return err
	}
	if err := c.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: operatorNamespace}}); err != nil {
		return err
	}
	port, err := freePort()
	if err != nil {
		return err
	}
	health, err := freePort()
	if err != nil {
		return err
	}
	if err := createConfigurations(ctx, c, "", "true", port); err != nil {
		return err
	}
	mgr, err := ctrl.NewManager(s.config, ctrl.Options{
		Scheme: scheme(), Metrics: metricsserver.Options{BindAddress: "0"}, HealthProbeBindAddress: fmt.Sprintf("127.0.0.1:%d", health),
		WebhookServer: webhook.NewServer(webhook.Options{Host: "127.0.0.1", Port: port, CertDir: certs}),
	})
	if err != nil {
		return err
	}
	err = webhooks.Setup(mgr, webhooks.Options{Namespace: operatorNamespace, ServiceName: "robustmq-operator-webhook", CertDir: certs, SelfSigned: true, ExtraDNSNames: []string{"localhost"}})
	if err != nil {
		return err
	}
	running = true
	failed := make(chan error, 1)
	go func() {
		defer close(ended)
		failed <- mgr.Start(ctx)
	}()
	s.readyz = fmt.Sprintf("http://127.0.0.1:%d/readyz", health)
	for deadline := time.After(patience); ; {
		if resp, err := http.Get(s.readyz); err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
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

// createConfigurations makes what config/webhook has, with URLs, and only for namespaces whose label has the value.
func createConfigurations(ctx context.Context, c client.Client, suffix, value string, port int) error {
	manifests, err := os.ReadFile("../config/webhook/manifests.yaml")
	if err != nil {
		return err
	}
	selector := &metav1.LabelSelector{MatchLabels: map[string]string{webhooksOn: value}}
	adapt := func(cc *admissionregistrationv1.WebhookClientConfig) {
		url := fmt.Sprintf("https://localhost:%d%s", port, *cc.Service.Path)
		*cc = admissionregistrationv1.WebhookClientConfig{URL: &url}
	}
	for _, doc := range bytes.Split(manifests, []byte("\n---\n")) {
		var kind metav1.TypeMeta
		if err := yaml.Unmarshal(doc, &kind); err != nil {
			return err
		}
		var obj client.Object
		switch kind.Kind {
		case "MutatingWebhookConfiguration":
			m := &admissionregistrationv1.MutatingWebhookConfiguration{}
			if err := yaml.UnmarshalStrict(doc, m); err != nil {
				return err
			}
			for i := range m.Webhooks {
				adapt(&m.Webhooks[i].ClientConfig)
				m.Webhooks[i].NamespaceSelector = selector
			}
			obj = m
		case "ValidatingWebhookConfiguration":
			v := &admissionregistrationv1.ValidatingWebhookConfiguration{}
			if err := yaml.UnmarshalStrict(doc, v); err != nil {
				return err
			}
			// What is asked about kinds that config/default does not install yet.
			var operations admissionregistrationv1.ValidatingWebhookConfiguration
			if data, err := os.ReadFile("../config/webhook/operations.yaml"); err != nil {
				return err
			} else if err := yaml.UnmarshalStrict(data, &operations); err != nil {
				return err
			}
			v.Webhooks = append(v.Webhooks, operations.Webhooks...)
			if suffix != "" {
				// A policy is in no namespace, so nothing confines a second configuration's webhook for policies to the test that made it.
				v.Webhooks = slices.DeleteFunc(v.Webhooks, func(w admissionregistrationv1.ValidatingWebhook) bool { return w.Name == "policies.robustmq.io" })
			}
			for i := range v.Webhooks {
				adapt(&v.Webhooks[i].ClientConfig)
				v.Webhooks[i].NamespaceSelector = selector
			}
			obj = v
		default:
			return fmt.Errorf("config/webhook/manifests.yaml holds a %q", kind.Kind)
		}
		obj.SetName(obj.GetName() + suffix)
		if err := c.Create(ctx, obj); err != nil {
			return err
		}
	}
	return nil
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
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

func (w *warnings) contains(s string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.ContainsFunc(w.texts, func(t string) bool { return strings.Contains(t, s) })
}

// tenant is one test's namespace and the clients for it.
type tenant struct {
	client.Client
	server    *apiServer
	namespace string
	warnings  *warnings
}

// newTenant makes a namespace, with the webhooks or without.
func newTenant(t *testing.T, withWebhooks bool) *tenant {
	t.Helper()
	s := server(t)
	w := &warnings{}
	config := rest.CopyConfig(s.config)
	config.WarningHandler, config.QPS = w, -1
	c, err := client.New(config, client.Options{Scheme: scheme()})
	if err != nil {
		t.Fatal(err)
	}
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "test-"}}
	if withWebhooks {
		ns.Labels = map[string]string{webhooksOn: "true"}
	}
	if err := c.Create(t.Context(), ns); err != nil {
		t.Fatal(err)
	}
	return &tenant{Client: c, server: s, namespace: ns.Name, warnings: w}
}

// cluster is a small valid one, changed by a JSON merge patch.
func (n *tenant) cluster(t *testing.T, name, patch string) *unstructured.Unstructured {
	t.Helper()
	base := fmt.Sprintf(`{"apiVersion":"robustmq.io/v1alpha1","kind":"RobustMQCluster","metadata":{"name":%q,"namespace":%q},"spec":{"version":"0.4.11"}}`, name, n.namespace)
	merged, err := jsonpatch.MergePatch([]byte(base), []byte(patch))
	if err != nil {
		t.Fatal(err)
	}
	u := &unstructured.Unstructured{}
	if err := json.Unmarshal(merged, &u.Object); err != nil {
		t.Fatal(err)
	}
	return u
}

// run calls kubectl in the namespace.
func (n *tenant) run(t *testing.T, stdin string, args ...string) (string, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), n.server.kubectl, append([]string{"--kubeconfig", n.server.kubeconfig, "--namespace", n.namespace}, args...)...)
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// turnOn makes the API server ask webhooks about a namespace, "true" ours or others, and waits until it does.
func turnOn(t *testing.T, n *tenant, value string) {
	t.Helper()
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: n.namespace}}
	if err := n.Patch(t.Context(), ns, client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"labels":{"`+webhooksOn+`":"`+value+`"}}}`))); err != nil {
		t.Fatal(err)
	}
	refused := n.cluster(t, "probe", `{"spec":{"config":{"":{"broker_id":7}}}}`)
	for deadline := time.Now().Add(patience); ; {
		err := n.Create(t.Context(), refused.DeepCopy(), client.DryRunAll)
		if err != nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("the webhooks of the namespace are not asked: %v", err)
		}
	}
}

// merge is one JSON merge patch after another as one.
func merge(t *testing.T, first, second string) string {
	t.Helper()
	merged, err := jsonpatch.MergePatch([]byte(first), []byte(second))
	if err != nil {
		t.Fatal(err)
	}
	return string(merged)
}
