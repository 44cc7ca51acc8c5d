package webhooks_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"
	jsonpatch "gopkg.in/evanphx/json-patch.v4"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/robustmq/robustmq-operator/test/apiserver"
	"github.com/robustmq/robustmq-operator/webhooks"
)

const (
	// webhooksOn is a label of namespaces in which the webhooks are asked; in the others only the schema holds.
	webhooksOn = "robustmq.io/test-webhooks"
	patience   = 60 * time.Second
)

// beside is a real kube-apiserver with our definitions, and our webhooks beside it.
type beside struct {
	*apiserver.Server
	replica *apiserver.Replica
	cancel  context.CancelFunc
}

var (
	startOnce sync.Once
	started   *beside
	startErr  error
)

func TestMain(m *testing.M) {
	log.SetLogger(logr.Discard())
	code := m.Run()
	if started != nil {
		if err := started.stop(); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
	}
	os.Exit(code)
}

// server starts the API server at its first call.
func server(t *testing.T) *beside {
	t.Helper()
	apiserver.Need(t)
	startOnce.Do(func() { started, startErr = start() })
	if startErr != nil {
		t.Fatal(startErr)
	}
	return started
}

func (s *beside) stop() error {
	s.cancel()
	var ended error
	if s.replica != nil {
		ended = s.replica.Ended()
	}
	return errors.Join(ended, s.Stop())
}

// start brings the webhooks up as the operator does.
func start() (_ *beside, err error) {
	s := &beside{}
	var ctx context.Context
	ctx, s.cancel = context.WithCancel(context.Background())
	if s.Server, err = apiserver.Start(ctx, "..", nil); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.stop())
		}
	}()
	replica, err := apiserver.NewReplica(s.Config, filepath.Join(s.Dir, "certs"))
	if err != nil {
		return nil, err
	}
	if err := s.configure(ctx, "", "true", replica.Port); err != nil {
		return nil, err
	}
	err = webhooks.Setup(replica.Manager, webhooks.Options{
		Namespace: apiserver.OperatorNamespace, ServiceName: apiserver.WebhookService, CertDir: replica.CertDir, SelfSigned: true, ExtraDNSNames: []string{"localhost"},
	})
	if err != nil {
		return nil, err
	}
	replica.Start(ctx)
	s.replica = replica
	return s, replica.Ready(ctx)
}

// configure makes what config/webhook has, and only for namespaces whose label has the value.
func (s *beside) configure(ctx context.Context, suffix, value string, port int) error {
	all, err := s.Installed(port)
	if err != nil {
		return err
	}
	selector := &metav1.LabelSelector{MatchLabels: map[string]string{webhooksOn: value}}
	for i := range all.Mutating.Webhooks {
		all.Mutating.Webhooks[i].NamespaceSelector = selector
	}
	if suffix != "" {
		// A policy is in no namespace, so nothing confines a second configuration's webhook for policies to the test that made it.
		all.Validating.Webhooks = slices.DeleteFunc(all.Validating.Webhooks, func(w admissionregistrationv1.ValidatingWebhook) bool { return w.Name == "policies.robustmq.io" })
	}
	for i := range all.Validating.Webhooks {
		all.Validating.Webhooks[i].NamespaceSelector = selector
	}
	for _, o := range []client.Object{all.Mutating, all.Validating} {
		o.SetName(o.GetName() + suffix)
		if err := s.Client.Create(ctx, o); err != nil {
			return err
		}
	}
	return nil
}

// tenant is one test's namespace and the clients for it.
type tenant struct {
	client.Client
	server    *beside
	namespace string
	warnings  *apiserver.Warnings
}

// newTenant makes a namespace, with the webhooks or without.
func newTenant(t *testing.T, withWebhooks bool) *tenant {
	t.Helper()
	s := server(t)
	w := &apiserver.Warnings{}
	config := rest.CopyConfig(s.Config)
	config.WarningHandler = w
	c, err := client.New(config, client.Options{Scheme: apiserver.Scheme()})
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
	return n.server.Kubectl(t.Context(), n.namespace, stdin, args...)
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
