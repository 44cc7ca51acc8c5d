package admission

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
	"sigs.k8s.io/controller-runtime/pkg/webhook"
	"sigs.k8s.io/yaml"

	"github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/controllers/policy"
	"github.com/robustmq/robustmq-operator/webhooks"
)

const (
	namespace = "robustmq-operator-system"
	// OperatorUser is how the API server knows the operator's pod.
	OperatorUser = "system:serviceaccount:robustmq-operator-system:robustmq-operator"
	serviceName  = "robustmq-operator-webhook"
	serviceDNS   = serviceName + "." + namespace + ".svc"
	startWithin  = 90 * time.Second
)

// World is an API server with the webhooks in front of it.
type World struct {
	// Config is an administrator's: the webhooks judge what he does.
	Config *rest.Config
	Client client.Client
	// Replicas of the webhooks.
	Replicas []*Replica

	root     string
	dir      string
	api      *envtest.Environment
	balancer net.Listener
	cancel   context.CancelFunc
}

// Replica is one operator's webhooks.
type Replica struct {
	Manager  ctrl.Manager
	Registry *prometheus.Registry
	address  string // of its webhook server
	health   string
	ended    chan error
}

// Start brings up an API server with the definitions and the operator's rights of the repository at root, and replicas of the webhooks with these lifetimes, whose managers have those rights and no others. Without replicas the operator is gone, and its webhook configurations were left behind.
// It returns when all are ready. Stop has to be called, unless there is an error.
func Start(ctx context.Context, root string, replicas int, lifetimes webhooks.Lifetimes) (_ *World, err error) {
	w := &World{root: root, api: &envtest.Environment{CRDDirectoryPaths: []string{filepath.Join(root, "config", "crd")}, ErrorIfCRDPathMissing: true}}
	ctx, w.cancel = context.WithCancel(ctx)
	defer func() {
		if err != nil {
			err = errors.Join(err, w.Stop())
		}
	}()
	if w.dir, err = os.MkdirTemp("", "robustmq-admission-"); err != nil {
		return nil, err
	}
	if w.Config, err = w.api.Start(); err != nil {
		return nil, fmt.Errorf("starting the API server: %w", err)
	}
	w.Config.QPS = -1
	if w.Client, err = client.New(w.Config, client.Options{Scheme: scheme()}); err != nil {
		return nil, err
	}
	if err := w.Client.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}}); err != nil {
		return nil, err
	}
	for _, folder := range []string{"rbac", "webhook"} {
		if err := w.apply(ctx, filepath.Join(root, "config", folder)); err != nil {
			return nil, err
		}
	}
	if w.balancer, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		return nil, err
	}
	if err := w.configure(ctx); err != nil {
		return nil, err
	}
	for i := range replicas {
		r, err := w.start(ctx, i, lifetimes)
		if err != nil {
			return nil, fmt.Errorf("replica %d: %w", i, err)
		}
		w.Replicas = append(w.Replicas, r)
	}
	if replicas == 0 {
		_ = w.balancer.Close() // the operator is gone: nobody listens
	} else {
		go w.balance(ctx)
	}
	for i, r := range w.Replicas {
		if err := r.await(ctx); err != nil {
			return nil, fmt.Errorf("replica %d: %w", i, err)
		}
	}
	return w, nil
}

// Stop ends everything.
func (w *World) Stop() error {
	w.cancel()
	var errs []error
	for _, r := range w.Replicas {
		if err := <-r.ended; err != nil {
			errs = append(errs, err)
		}
	}
	if w.balancer != nil {
		_ = w.balancer.Close()
	}
	return errors.Join(append(errs, w.api.Stop(), os.RemoveAll(w.dir))...)
}

// AddPolicies makes n policies that hold everywhere and ask for what the load's clusters have.
func (w *World) AddPolicies(ctx context.Context, n int) error {
	for i := range n {
		least := int32(1 + i%3)
		p := &v1alpha1.RobustMQPolicy{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("policy-%d", i)}}
		p.Spec.Requirements.MinimumPlacementCenterReplicas = &least
		if err := w.Client.Create(ctx, p); err != nil {
			return fmt.Errorf("policy %s: %w", p.Name, err)
		}
	}
	return nil
}

func scheme() *runtime.Scheme {
	s := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, v1alpha1.AddToScheme} {
		if err := add(s); err != nil {
			panic(err) // the types are the program's own
		}
	}
	return s
}

// apply makes the roles and bindings of a folder.
func (w *World) apply(ctx context.Context, folder string) error {
	return eachDocument(folder, func(u *unstructured.Unstructured) error {
		switch u.GetKind() {
		case "Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding":
			return w.Client.Apply(ctx, client.ApplyConfigurationFromUnstructured(u), client.FieldOwner("kubectl"))
		}
		return nil
	})
}

// configure makes the webhook configurations; the API server calls by URL, as there is no network of pods.
func (w *World) configure(ctx context.Context) error {
	into := func(u *unstructured.Unstructured, o client.Object) error {
		return runtime.DefaultUnstructuredConverter.FromUnstructuredWithValidation(u.Object, o, true)
	}
	adapt := func(c *admissionregistrationv1.WebhookClientConfig) {
		url := fmt.Sprintf("https://localhost:%d%s", w.balancer.Addr().(*net.TCPAddr).Port, *c.Service.Path)
		*c = admissionregistrationv1.WebhookClientConfig{URL: &url}
	}
	return eachDocument(filepath.Join(w.root, "config", "webhook"), func(u *unstructured.Unstructured) error {
		switch u.GetKind() {
		case "MutatingWebhookConfiguration":
			var m admissionregistrationv1.MutatingWebhookConfiguration
			if err := into(u, &m); err != nil {
				return err
			}
			for i := range m.Webhooks {
				adapt(&m.Webhooks[i].ClientConfig)
			}
			return w.Client.Create(ctx, &m)
		case "ValidatingWebhookConfiguration":
			var v admissionregistrationv1.ValidatingWebhookConfiguration
			if err := into(u, &v); err != nil {
				return err
			}
			for i := range v.Webhooks {
				adapt(&v.Webhooks[i].ClientConfig)
			}
			return w.Client.Create(ctx, &v)
		}
		return nil
	})
}

// eachDocument visits what a folder installs.
func eachDocument(folder string, do func(*unstructured.Unstructured) error) error {
	var kustomization struct{ Resources []string }
	text, err := os.ReadFile(filepath.Join(folder, "kustomization.yaml"))
	if err == nil {
		err = yaml.Unmarshal(text, &kustomization)
	}
	if err != nil || len(kustomization.Resources) == 0 {
		return fmt.Errorf("%d resources in the kustomization of %s: %w", len(kustomization.Resources), folder, err)
	}
	for _, file := range kustomization.Resources {
		file = filepath.Join(folder, file)
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		documents := utilyaml.NewYAMLOrJSONDecoder(bytes.NewReader(text), 4096)
		for {
			u := &unstructured.Unstructured{}
			err := documents.Decode(u)
			if errors.Is(err, io.EOF) {
				break
			}
			if err == nil && u.Object != nil {
				err = do(u)
			}
			if err != nil {
				return fmt.Errorf("%s: %w", file, err)
			}
		}
	}
	return nil
}

// start runs one replica.
func (w *World) start(ctx context.Context, i int, lifetimes webhooks.Lifetimes) (*Replica, error) {
	user, err := w.api.AddUser(envtest.User{Name: OperatorUser, Groups: []string{"system:serviceaccounts", "system:authenticated"}}, nil)
	if err != nil {
		return nil, err
	}
	ports, err := freePorts(2)
	if err != nil {
		return nil, err
	}
	r := &Replica{
		Registry: prometheus.NewRegistry(), ended: make(chan error, 1),
		address: fmt.Sprintf("127.0.0.1:%d", ports[0]), health: fmt.Sprintf("127.0.0.1:%d", ports[1]),
	}
	certs := filepath.Join(w.dir, fmt.Sprintf("replica-%d", i))
	r.Manager, err = ctrl.NewManager(user.Config(), ctrl.Options{
		Scheme: scheme(), Metrics: metricsserver.Options{BindAddress: "0"}, HealthProbeBindAddress: r.health,
		WebhookServer: webhook.NewServer(webhook.Options{Host: "127.0.0.1", Port: ports[0], CertDir: certs}),
	})
	if err != nil {
		return nil, err
	}
	source, err := policy.NewSource(r.Manager)
	if err != nil {
		return nil, err
	}
	if err := r.Manager.Add(source); err != nil {
		return nil, err
	}
	if err := webhooks.Setup(r.Manager, webhooks.Options{
		Namespace: namespace, ServiceName: serviceName, CertDir: certs, SelfSigned: true, ExtraDNSNames: []string{"localhost"},
		Lifetimes: lifetimes, Metrics: r.Registry, Policies: source,
	}); err != nil {
		return nil, err
	}
	go func() { r.ended <- r.Manager.Start(ctx) }()
	return r, nil
}

func freePorts(n int) ([]int, error) {
	var ports []int
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer l.Close() // all at once, so that they differ
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
	}
	return ports, nil
}

// await waits until the replica says that it is ready.
func (r *Replica) await(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startWithin)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for last := ""; ; {
		if resp, err := http.Get("http://" + r.health + "/readyz"); err == nil {
			body, _ := io.ReadAll(resp.Body)
			_ = resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return nil
			}
			last = strings.TrimSpace(string(body))
		}
		select {
		case err := <-r.ended:
			r.ended <- err
			return fmt.Errorf("the manager ended: %w", err)
		case <-ctx.Done():
			return fmt.Errorf("not ready after %s: %s", startWithin, last)
		case <-tick.C:
		}
	}
}

// balance is the Service: each connection goes to the next replica.
func (w *World) balance(ctx context.Context) {
	for i := 0; ; i++ {
		from, err := w.balancer.Accept()
		if err != nil {
			return
		}
		go func() {
			defer from.Close()
			to, err := (&net.Dialer{}).DialContext(ctx, "tcp", w.Replicas[i%len(w.Replicas)].address)
			if err != nil {
				return
			}
			defer to.Close()
			go func() {
				_, _ = io.Copy(to, from)
				_ = to.(*net.TCPConn).CloseWrite()
			}()
			_, _ = io.Copy(from, to)
		}()
	}
}
