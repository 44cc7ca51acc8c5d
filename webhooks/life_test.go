package webhooks_test

import (
	"crypto/tls"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/robustmq/robustmq-operator/test/apiserver"
	"github.com/robustmq/robustmq-operator/webhooks"
)

// TestWithTheOperatorGoneOnlySpecsWait: everything that ends a cluster, or tells of it, goes on.
func TestWithTheOperatorGoneOnlySpecsWait(t *testing.T) {
	n := newTenant(t, false)
	if err := n.Create(t.Context(), n.cluster(t, "c", `{"metadata":{"finalizers":["example.com/wait"]}}`)); err != nil {
		t.Fatal(err)
	}
	nobody, err := apiserver.FreePorts(1)
	if err != nil {
		t.Fatal(err)
	}
	if err := n.server.configure(t.Context(), "-gone", "gone", nobody[0]); err != nil {
		t.Fatal(err)
	}
	turnOn(t, n, "gone")
	patch := func(body string) error {
		return n.Patch(t.Context(), object(n.namespace, "c"), client.RawPatch(types.MergePatchType, []byte(body)))
	}
	if err := patch(`{"spec":{"mqttBroker":{"replicas":3}}}`); err == nil || !strings.Contains(err.Error(), "failed calling webhook") {
		t.Errorf("a spec got in: %v", err)
	}
	if err := patch(`{"metadata":{"labels":{"a":"b"}}}`); err != nil {
		t.Errorf("a label: %v", err)
	}
	if err := n.Status().Patch(t.Context(), object(n.namespace, "c"), client.RawPatch(types.MergePatchType, []byte(`{"status":{"founded":true}}`))); err != nil {
		t.Errorf("the status: %v", err)
	}
	if err := n.Delete(t.Context(), object(n.namespace, "c")); err != nil {
		t.Errorf("deletion: %v", err)
	}
	if err := patch(`{"metadata":{"finalizers":null}}`); err != nil {
		t.Errorf("removal of the finalizer: %v", err)
	}
}

func TestTheOperatorsOwnWritesAreNotJudged(t *testing.T) {
	n := newTenant(t, true)
	u := n.cluster(t, "c", `{"spec":{"config":{"":{"broker_id":7}}}}`)
	for user, refused := range map[string]bool{
		"system:serviceaccount:robustmq-operator-system:robustmq-operator": false,
		"system:serviceaccount:elsewhere:robustmq-operator":                true,
	} {
		config := rest.CopyConfig(n.server.Config)
		config.Impersonate = rest.ImpersonationConfig{UserName: user, Groups: []string{"system:masters"}}
		c, err := client.New(config, client.Options{Scheme: apiserver.Scheme()})
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Create(t.Context(), u.DeepCopy(), client.DryRunAll); apierrors.IsInvalid(err) != refused {
			t.Errorf("%s: %v", user, err)
		}
	}
}

// TestADamagedCertificateIsMadeAnewAndNoRequestFailsMeanwhile: the rotator sees it, the new one is served without a restart, and the authority stays.
func TestADamagedCertificateIsMadeAnewAndNoRequestFailsMeanwhile(t *testing.T) {
	n := newTenant(t, true)
	served := func() string {
		var c admissionregistrationv1.ValidatingWebhookConfiguration
		if err := n.Get(t.Context(), client.ObjectKey{Name: webhooks.DefaultConfigurationName}, &c); err != nil {
			t.Fatal(err)
		}
		at, err := url.Parse(*c.Webhooks[0].ClientConfig.URL)
		if err != nil {
			t.Fatal(err)
		}
		conn, err := tls.Dial("tcp", at.Host, &tls.Config{InsecureSkipVerify: true}) //nolint:gosec // it is only looked at
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close() }()
		return string(conn.ConnectionState().PeerCertificates[0].Raw)
	}
	before := served()
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: apiserver.OperatorNamespace, Name: webhooks.DefaultSecretName}}
	if err := n.Patch(t.Context(), secret, client.RawPatch(types.MergePatchType, []byte(`{"data":{"tls.crt":"bm90aGluZw=="}}`))); err != nil {
		t.Fatal(err)
	}
	asked := 0
	for deadline := time.Now().Add(patience); served() == before; asked++ {
		if time.Now().After(deadline) {
			t.Fatalf("after %d requests the old certificate is still served", asked)
		}
		if err := n.Create(t.Context(), n.cluster(t, fmt.Sprintf("c-%d", asked), `{}`), client.DryRunAll); err != nil {
			t.Fatalf("request %d: %v", asked, err)
		}
	}
	if err := n.Create(t.Context(), n.cluster(t, "after", `{}`)); err != nil {
		t.Error(err)
	}
}
