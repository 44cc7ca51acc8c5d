package webhooks

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

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

// certificateFiles writes the serving certificate from its Secret to where the webhook server reads it, at once: a mounted Secret is up to two minutes behind, and an
// operator that starts for the first time would wait that long for a Secret that it filled itself.
type certificateFiles struct {
	key    client.ObjectKey
	dir    string
	secret cache.Cache // of this one Secret
	client client.Client
	rotate func() error // starts the rotator, which wants to find its Secret
}

func newCertificateFiles(mgr ctrl.Manager, o Options) (*certificateFiles, error) {
	one := cache.ByObject{Namespaces: map[string]cache.Config{o.Namespace: {FieldSelector: fields.OneTermEqualSelector(metav1.ObjectNameField, o.SecretName)}}}
	c, err := cache.New(mgr.GetConfig(), cache.Options{Scheme: mgr.GetScheme(), Mapper: mgr.GetRESTMapper(), ByObject: map[client.Object]cache.ByObject{&corev1.Secret{}: one}})
	if err != nil {
		return nil, fmt.Errorf("cache of the certificate: %w", err)
	}
	return &certificateFiles{key: client.ObjectKey{Namespace: o.Namespace, Name: o.SecretName}, dir: o.CertDir, secret: c, client: mgr.GetClient()}, nil
}

// NeedLeaderElection is false: every replica serves.
func (f *certificateFiles) NeedLeaderElection() bool { return false }

// Start makes the Secret if it is missing, which the rotator does not, and follows it until the context ends.
func (f *certificateFiles) Start(ctx context.Context) error {
	if err := f.ensureSecret(ctx); err != nil {
		return err
	}
	if err := f.rotate(); err != nil {
		return err
	}
	informer, err := f.secret.GetInformer(ctx, &corev1.Secret{}, cache.BlockUntilSynced(false))
	if err != nil {
		return fmt.Errorf("watching Secret %s: %w", f.key, err)
	}
	write := func(obj any) {
		if s, ok := obj.(*corev1.Secret); ok {
			if err := f.write(s.Data); err != nil {
				log.FromContext(ctx).Error(err, "writing the serving certificate", "folder", f.dir)
			}
		}
	}
	if _, err := informer.AddEventHandler(toolscache.ResourceEventHandlerFuncs{AddFunc: write, UpdateFunc: func(_, obj any) { write(obj) }}); err != nil {
		return fmt.Errorf("watching Secret %s: %w", f.key, err)
	}
	if err := f.secret.Start(ctx); err != nil {
		return fmt.Errorf("watching Secret %s: %w", f.key, err)
	}
	return nil
}

func (f *certificateFiles) ensureSecret(ctx context.Context) error {
	s := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: f.key.Namespace, Name: f.key.Name, Labels: map[string]string{v1alpha1.LabelManaged: v1alpha1.ManagedBy}},
		Type:       corev1.SecretTypeOpaque,
	}
	if err := f.client.Create(ctx, s); err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("creating Secret %s: %w", f.key, err)
	}
	return nil
}

// write puts the key before the certificate: a reader that is woken by the second finds a pair. An empty Secret, which the rotator fills next, is passed over.
func (f *certificateFiles) write(data map[string][]byte) error {
	crt, key := data[corev1.TLSCertKey], data[corev1.TLSPrivateKeyKey]
	if len(crt) == 0 || len(key) == 0 {
		return nil
	}
	if err := os.MkdirAll(f.dir, 0o700); err != nil {
		return err
	}
	return errors.Join(replace(filepath.Join(f.dir, corev1.TLSPrivateKeyKey), key), replace(filepath.Join(f.dir, corev1.TLSCertKey), crt))
}

// replace writes a file in one step.
func replace(path string, content []byte) error {
	if err := os.WriteFile(path+".new", content, 0o600); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}
