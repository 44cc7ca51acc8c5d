package webhooks

import (
	"cmp"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/open-policy-agent/cert-controller/pkg/rotator"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	toolscache "k8s.io/client-go/tools/cache"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/robustmq/robustmq-operator/api/v1alpha1"
)

// retryAfter is how long a step that failed waits, where nothing happens before.
const retryAfter = time.Second

// certificates carries what the rotator makes to where it is needed, in an order in which nobody is refused: the authority into the webhook configurations, and only when every
// API server trusts it the serving certificate into the files of the webhook server. The rotator alone would replace one authority by the other, and whoever still served, or
// still trusted, the other one would be refused. Files and not a mounted Secret: that is up to two minutes behind, and an operator that starts for the first time would wait
// that long for a Secret that it filled itself.
//
// Every replica does all of this by itself, as every one serves; they agree through resourceVersions.
type certificates struct {
	secret    client.ObjectKey
	dir       string
	lifetimes Lifetimes
	watched   cache.Cache // of the one Secret and the two configurations
	client    client.Client
	inject    injection
	rotate    func() error // starts the rotator, which wants to find its Secret
	ready     func()       // called when the first certificate is there
	now       func() time.Time

	served   *x509.Certificate
	turnover turnover
}

func newCertificates(mgr ctrl.Manager, o Options, ready func()) (*certificates, error) {
	named := func(name string) cache.ByObject {
		return cache.ByObject{Field: fields.OneTermEqualSelector(metav1.ObjectNameField, name)}
	}
	one := cache.ByObject{Namespaces: map[string]cache.Config{o.Namespace: {FieldSelector: fields.OneTermEqualSelector(metav1.ObjectNameField, o.SecretName)}}}
	objects := map[client.Object]cache.ByObject{&corev1.Secret{}: one}
	for _, kind := range configurationKinds {
		objects[kind.empty()] = named(o.ConfigurationName)
	}
	c, err := cache.New(mgr.GetConfig(), cache.Options{Scheme: mgr.GetScheme(), Mapper: mgr.GetRESTMapper(), ByObject: objects})
	if err != nil {
		return nil, fmt.Errorf("cache of the certificate: %w", err)
	}
	return &certificates{
		secret: client.ObjectKey{Namespace: o.Namespace, Name: o.SecretName}, dir: o.CertDir, lifetimes: o.Lifetimes, watched: c, client: mgr.GetClient(),
		inject: injection{reader: c, writer: mgr.GetClient(), name: o.ConfigurationName, overlap: o.Lifetimes.overlap()},
		rotate: func() error { return addRotator(mgr, o) }, ready: ready, now: time.Now,
		turnover: turnover{name: serviceDNS(o), settle: o.Lifetimes.settle()},
	}, nil
}

func serviceDNS(o Options) string { return o.ServiceName + "." + o.Namespace + ".svc" }

// rotators counts those of this process: controllers have names of their own, also where a test runs two replicas in one process.
var rotators atomic.Int32

// addRotator adds the rotator, which makes authority and certificate and rotates both in the Secret. It is told of no webhook: that is what certificates are for.
func addRotator(mgr ctrl.Manager, o Options) error {
	r := &rotator.CertRotator{
		SecretKey: client.ObjectKey{Namespace: o.Namespace, Name: o.SecretName}, CertDir: o.CertDir,
		CAName: authorityName, CAOrganization: authorityName, DNSName: serviceDNS(o), ExtraDNSNames: o.ExtraDNSNames,
		CaCertDuration: o.Lifetimes.Authority, ServerCertDuration: o.Lifetimes.Certificate,
		LookaheadInterval: o.Lifetimes.RotateBefore, RotationCheckFrequency: o.Lifetimes.checkEvery(),
		ControllerName: fmt.Sprintf("webhook-certificate-%d", rotators.Add(1)), IsReady: make(chan struct{}),
	}
	if err := rotator.AddRotator(mgr, r); err != nil {
		return fmt.Errorf("certificate rotator: %w", err)
	}
	return nil
}

// NeedLeaderElection is false: every replica serves.
func (c *certificates) NeedLeaderElection() bool { return false }

// Start makes the Secret if it is missing, which the rotator does not, and carries what is in it until the context ends.
func (c *certificates) Start(ctx context.Context) error {
	if err := c.ensureSecret(ctx); err != nil {
		return err
	}
	if err := c.rotate(); err != nil {
		return err
	}
	changed := make(chan struct{}, 1)
	wake := func(any) {
		select {
		case changed <- struct{}{}:
		default: // it will look anyway
		}
	}
	kinds := []client.Object{&corev1.Secret{}}
	for _, kind := range configurationKinds {
		kinds = append(kinds, kind.empty())
	}
	for _, kind := range kinds {
		informer, err := c.watched.GetInformer(ctx, kind, cache.BlockUntilSynced(false))
		if err == nil {
			_, err = informer.AddEventHandler(toolscache.ResourceEventHandlerFuncs{AddFunc: wake, UpdateFunc: func(_, o any) { wake(o) }, DeleteFunc: wake})
		}
		if err != nil {
			return fmt.Errorf("watching %T: %w", kind, err)
		}
	}
	ended := make(chan error, 1)
	go func() { ended <- c.watched.Start(ctx) }()
	if !c.watched.WaitForCacheSync(ctx) {
		return <-ended
	}
	c.follow(ctx, changed)
	return <-ended
}

// follow steps when something changed, when a step asked for it, and after a failure.
func (c *certificates) follow(ctx context.Context, changed <-chan struct{}) {
	for {
		again, err := c.step(ctx)
		switch {
		case err == nil:
		case apierrors.IsConflict(err): // another replica was first
			again = retryAfter / 10
		case ctx.Err() == nil:
			log.FromContext(ctx).Error(err, "carrying the webhooks' certificate")
			again = retryAfter
		}
		var timer <-chan time.Time
		if again > 0 {
			timer = time.After(again)
		}
		select {
		case <-ctx.Done():
			return
		case <-changed:
		case <-timer:
		}
	}
}

// step brings authority and certificate one step further. It returns after how long to look again; 0: when something changed.
func (c *certificates) step(ctx context.Context) (time.Duration, error) {
	var s corev1.Secret
	if err := c.watched.Get(ctx, c.secret, &s); apierrors.IsNotFound(err) {
		return 0, c.ensureSecret(ctx) // it was removed: the rotator fills the new one
	} else if err != nil {
		return 0, fmt.Errorf("reading Secret %s: %w", c.secret, err)
	}
	next, err := parseIssued(s.Data)
	if err != nil {
		return 0, nil //nolint:nilerr // empty or damaged: the rotator makes it anew, and what is served meanwhile stays good
	}
	bundles, complete, err := c.inject.run(ctx, next.authority, c.now())
	if !complete {
		return 0, err
	}
	due, again := c.turnover.due(c.served, next, bundles, c.now())
	if !due {
		return cmp.Or(again, c.lifetimes.checkEvery()), err
	}
	if writing := c.write(s.Data); writing != nil {
		return 0, errors.Join(err, fmt.Errorf("writing the serving certificate into %s: %w", c.dir, writing))
	}
	if c.served == nil {
		c.ready()
	}
	c.served = next.leaf
	log.FromContext(ctx).Info("serving the webhooks with a new certificate", "notAfter", next.leaf.NotAfter, "authorityNotAfter", next.authority.NotAfter)
	return c.lifetimes.checkEvery(), err // an authority that was replaced has to go in time
}

func (c *certificates) ensureSecret(ctx context.Context) error {
	s := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: c.secret.Namespace, Name: c.secret.Name, Labels: map[string]string{v1alpha1.LabelManaged: v1alpha1.ManagedBy}},
		Type:       corev1.SecretTypeOpaque,
	}
	if err := c.client.Create(ctx, s); err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("creating Secret %s: %w", c.secret, err)
	}
	return nil
}

// write puts the key before the certificate: a reader that is woken by the second finds a pair, and one that comes between keeps what it has.
func (c *certificates) write(data map[string][]byte) error {
	if err := os.MkdirAll(c.dir, 0o700); err != nil {
		return err
	}
	var errs []error
	for _, key := range []string{keyAuthority, corev1.TLSPrivateKeyKey, corev1.TLSCertKey} {
		errs = append(errs, replace(filepath.Join(c.dir, key), data[key]))
	}
	return errors.Join(errs...)
}

// replace writes a file in one step.
func replace(path string, content []byte) error {
	if err := os.WriteFile(path+".new", content, 0o600); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}
