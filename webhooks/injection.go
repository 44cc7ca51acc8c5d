package webhooks

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// configurationKind is a kind of webhook configuration. It is read and written untyped, so that fields of a newer Kubernetes are not lost.
type configurationKind string

var configurationKinds = []configurationKind{"MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"}

func (k configurationKind) empty() *unstructured.Unstructured {
	u := &unstructured.Unstructured{}
	u.SetGroupVersionKind(admissionregistrationv1.SchemeGroupVersion.WithKind(string(k)))
	return u
}

// injection tells the API server whom to trust.
type injection struct {
	reader  client.Reader // what is seen here, API servers are about to see
	writer  client.Writer
	name    string
	overlap time.Duration
}

// run adds an authority to the bundles of both configurations where it is missing, takes out those whose time is over, and returns the bundles as they were when it was called:
// one for each webhook, and whether these are all. What cannot be written does not keep it from saying so. A configuration that does not exist, or is going away, asks nobody.
func (i injection) run(ctx context.Context, authority *x509.Certificate, now time.Time) (bundles [][]byte, complete bool, err error) {
	var errs []error
	for _, kind := range configurationKinds {
		u := kind.empty()
		if err := i.reader.Get(ctx, client.ObjectKey{Name: i.name}, u); apierrors.IsNotFound(err) {
			continue
		} else if err != nil {
			return nil, false, fmt.Errorf("reading %s %s: %w", kind, i.name, err)
		}
		if u.GetDeletionTimestamp() != nil {
			continue
		}
		u = u.DeepCopy()
		present, changed, err := i.amend(u, authority, now)
		if err != nil {
			return nil, false, fmt.Errorf("%s %s: %w", kind, i.name, err)
		}
		bundles = append(bundles, present...)
		if !changed {
			continue
		}
		if err := i.writer.Update(ctx, u, client.FieldOwner("robustmq-operator")); err != nil {
			errs = append(errs, fmt.Errorf("putting the authority into %s %s: %w", kind, i.name, err))
		}
	}
	return bundles, true, errors.Join(errs...)
}

// amend changes a configuration in memory; it returns the bundles that it had.
func (i injection) amend(u *unstructured.Unstructured, authority *x509.Certificate, now time.Time) (present [][]byte, changed bool, err error) {
	hooks, _, err := unstructured.NestedSlice(u.Object, "webhooks")
	if err != nil {
		return nil, false, err
	}
	for _, h := range hooks {
		hook, ok := h.(map[string]any)
		if !ok {
			return nil, false, fmt.Errorf("a webhook is a %T", h)
		}
		text, _, err := unstructured.NestedString(hook, "clientConfig", "caBundle")
		if err != nil {
			return nil, false, err
		}
		bundle, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			bundle = nil // then it is written anew
		}
		present = append(present, bundle)
		wanted := wantedBundle(bundle, authority, now, i.overlap)
		if bytes.Equal(wanted, bundle) {
			continue
		}
		changed = true
		if err := unstructured.SetNestedField(hook, base64.StdEncoding.EncodeToString(wanted), "clientConfig", "caBundle"); err != nil {
			return nil, false, err
		}
	}
	return present, changed, unstructured.SetNestedSlice(u.Object, hooks, "webhooks")
}
