package webhooks

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/metrics"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"github.com/robustmq/robustmq-operator/monitoring"
)

// Paths of the webhooks, as config/webhook has them.
const (
	PathDefaultCluster  = "/mutate-robustmq-io-v1alpha1-robustmqcluster"
	PathValidateCluster = "/validate-robustmq-io-v1alpha1-robustmqcluster"
	PathValidateScale   = "/validate-robustmq-io-v1alpha1-robustmqcluster-scale"
	PathValidatePolicy  = "/validate-robustmq-io-v1alpha1-robustmqpolicy"
	PathDeleteCluster   = "/validate-robustmq-io-v1alpha1-robustmqcluster-deletion"
	PathValidateBackup  = "/validate-robustmq-io-v1alpha1-robustmqbackup"
	PathValidateRestore = "/validate-robustmq-io-v1alpha1-robustmqrestore"
)

// Names of objects in config/webhook.
const (
	DefaultSecretName        = "robustmq-operator-webhook-cert"
	DefaultConfigurationName = "robustmq-operator"
)

// Options of the webhooks.
type Options struct {
	// Namespace of the operator.
	Namespace string
	// ServiceName is the Service in front of the webhooks.
	ServiceName string
	// CertDir is where the manager's webhook server looks for tls.crt and tls.key. With SelfSigned they are written there: it must be writable, and should be in memory.
	CertDir string
	// SelfSigned makes, injects and rotates the serving certificate. False: somebody else (cert-manager) does, and mounts it at CertDir.
	SelfSigned bool
	// SecretName holds certificate and authority; default DefaultSecretName.
	SecretName string
	// ConfigurationName is the name of both webhook configurations, into which the authority is injected; default DefaultConfigurationName.
	ConfigurationName string
	// ExtraDNSNames are added to the certificate (an API server that calls by URL).
	ExtraDNSNames []string
	// Lifetimes of authority and certificate with SelfSigned; zero: the usual ones.
	Lifetimes Lifetimes
	// Policies tell which policies hold in a namespace; nil: none hold anywhere.
	Policies Policies
	// ServerImage is what the operator runs where a cluster names no image, with {version} in it; empty: the usual one.
	ServerImage string
	// Metrics takes the collector of the certificates' ends; default the manager's own registry.
	Metrics prometheus.Registerer
	// Decisions counts what the webhooks decide; nil: nobody counts.
	Decisions *monitoring.Admissions
}

// Setup adds the webhooks to a manager: handlers, certificates, and a readiness check that turns true when requests are served.
// The server starts when its certificate is there and the API server was told whom to trust, not before.
func Setup(mgr ctrl.Manager, o Options) error {
	if o.Namespace == "" || o.ServiceName == "" || o.CertDir == "" {
		return errors.New("namespace, service name and certificate folder are needed")
	}
	o.SecretName = cmp.Or(o.SecretName, DefaultSecretName)
	o.ConfigurationName = cmp.Or(o.ConfigurationName, DefaultConfigurationName)
	reader, err := unhurried(mgr)
	if err != nil {
		return err
	}
	a := &admissionServer{mgr: mgr, reader: reader, platform: platform{policies: o.Policies, serverImage: o.ServerImage, beside: newSurroundings(reader, mgr.GetClient()), decisions: decisions{o.Decisions}}, certificate: make(chan struct{})}
	if err := mgr.AddReadyzCheck("webhooks", a.check); err != nil {
		return fmt.Errorf("readiness check: %w", err)
	}
	if o.Metrics == nil {
		o.Metrics = metrics.Registry
	}
	if err := o.Metrics.Register(expiry{dir: o.CertDir}); err != nil {
		return fmt.Errorf("metrics of the certificate: %w", err)
	}
	if !o.SelfSigned {
		close(a.certificate)
		a.serve()
		return nil
	}
	if o.Lifetimes, err = o.Lifetimes.complete(); err != nil {
		return err
	}
	certificates, err := newCertificates(mgr, o, func() { close(a.certificate) })
	if err != nil {
		return err
	}
	for _, r := range []manager.Runnable{certificates, a} {
		if err := mgr.Add(r); err != nil {
			return fmt.Errorf("adding %T: %w", r, err)
		}
	}
	return nil
}

// unhurried reads past the cache, and without the manager's limit of requests a second: an API server waits 5 s for an answer, and must not wait because the controllers are busy.
// It asks no more than it is asked.
func unhurried(mgr ctrl.Manager) (client.Reader, error) {
	config := rest.CopyConfig(mgr.GetConfig())
	config.QPS, config.RateLimiter = -1, nil
	c, err := client.New(config, client.Options{Scheme: mgr.GetScheme(), Mapper: mgr.GetRESTMapper()})
	if err != nil {
		return nil, fmt.Errorf("client of the webhooks: %w", err)
	}
	return c, nil
}

// admissionServer registers the handlers once there is a certificate: the manager's server cannot start without one, and starts when it is first asked for.
type admissionServer struct {
	mgr         ctrl.Manager
	reader      client.Reader
	platform    platform
	certificate chan struct{} // closed when it is there
	serving     atomic.Bool
}

// Start waits for the certificate.
func (a *admissionServer) Start(ctx context.Context) error {
	select {
	case <-ctx.Done():
	case <-a.certificate:
		a.serve()
	}
	return nil
}

// NeedLeaderElection is false: every replica answers.
func (a *admissionServer) NeedLeaderElection() bool { return false }

func (a *admissionServer) serve() {
	s := a.mgr.GetWebhookServer()
	s.Register(PathDefaultCluster, &admission.Webhook{Handler: clusterDefaulter{}})
	s.Register(PathValidateCluster, &admission.Webhook{Handler: clusterValidator{a.platform}})
	s.Register(PathValidateScale, &admission.Webhook{Handler: scaleValidator{near: a.mgr.GetClient(), clusters: a.reader, platform: a.platform}})
	s.Register(PathValidatePolicy, &admission.Webhook{Handler: policyValidator{a.platform.decisions}})
	s.Register(PathDeleteCluster, &admission.Webhook{Handler: clusterDeletion{a.platform.decisions}})
	s.Register(PathValidateBackup, &admission.Webhook{Handler: backupValidator{a.platform.beside, a.platform.decisions}})
	s.Register(PathValidateRestore, &admission.Webhook{Handler: restoreValidator{a.platform}})
	a.serving.Store(true)
}

func (a *admissionServer) check(req *http.Request) error {
	if !a.serving.Load() {
		return errors.New("the webhooks wait for their certificate")
	}
	return a.mgr.GetWebhookServer().StartedChecker()(req)
}
