package admission

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync/atomic"
	"time"

	admissionv1 "k8s.io/api/admission/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"

	"github.com/robustmq/robustmq-operator/webhooks"
)

// Review is what an API server sends to the webhooks about an object; was is nil when it is created.
func Review(op admissionv1.Operation, is, was *unstructured.Unstructured) ([]byte, error) {
	var raw [2]runtime.RawExtension
	for i, u := range []*unstructured.Unstructured{is, was} {
		if u == nil {
			continue
		}
		text, err := json.Marshal(u)
		if err != nil {
			return nil, err
		}
		raw[i].Raw = text
	}
	gvk := is.GroupVersionKind()
	kind := metav1.GroupVersionKind{Group: gvk.Group, Version: gvk.Version, Kind: gvk.Kind}
	resource := metav1.GroupVersionResource{Group: kind.Group, Version: kind.Version, Resource: "robustmqclusters"}
	return json.Marshal(admissionv1.AdmissionReview{
		TypeMeta: metav1.TypeMeta{APIVersion: "admission.k8s.io/v1", Kind: "AdmissionReview"},
		Request: &admissionv1.AdmissionRequest{
			UID: types.UID(fmt.Sprintf("%s-1", op)), Kind: kind, Resource: resource, RequestKind: &kind, RequestResource: &resource,
			Name: is.GetName(), Namespace: is.GetNamespace(), Operation: op, Object: raw[0], OldObject: raw[1],
		},
	})
}

// Direct asks the webhooks as an API server does, with the trust that the configuration says, and with new connections twice a second: what costs the most of an admission, the API
// server's own work, is left out, so that a small machine bears the load.
type Direct struct {
	world  *World
	review []byte
	client atomic.Pointer[http.Client]
}

// NewDirect asks about the load's stored cluster. It ends with the context.
func (w *World) NewDirect(ctx context.Context, l *Load) (*Direct, error) {
	review, err := Review(admissionv1.Create, l.stored, nil)
	if err != nil {
		return nil, err
	}
	d := &Direct{world: w, review: review}
	if err := d.renew(ctx); err != nil {
		return nil, err
	}
	go func() {
		for begin := time.Now(); until(ctx, begin.Add(500*time.Millisecond)); begin = time.Now() {
			if d.renew(ctx) != nil {
				return // the context ended
			}
		}
	}()
	return d, nil
}

// renew reads whom to trust, and leaves the connections that there are to their requests.
func (d *Direct) renew(ctx context.Context) error {
	bundle, err := d.world.bundle(ctx)
	if err != nil {
		return err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(bundle)
	now := &http.Client{Transport: &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: roots, ServerName: serviceDNS, MinVersion: tls.VersionTLS12}, ForceAttemptHTTP2: true, IdleConnTimeout: 2 * time.Second,
	}}
	if old := d.client.Swap(now); old != nil {
		old.CloseIdleConnections()
	}
	return nil
}

func (d *Direct) ask(ctx context.Context, n int) error {
	path := []string{webhooks.PathValidateCluster, webhooks.PathDefaultCluster}[n%2]
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://"+d.world.balancer.Addr().String()+path, bytes.NewReader(d.review))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := d.client.Load().Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	var answer admissionv1.AdmissionReview
	if err := json.Unmarshal(text, &answer); err != nil {
		return fmt.Errorf("%s: %w", resp.Status, err)
	}
	if answer.Response == nil || !answer.Response.Allowed {
		return errors.New("refused: " + string(text))
	}
	return nil
}
