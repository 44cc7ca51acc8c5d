package installation

import (
	"context"
	"fmt"
	"sync"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// ID is the UID of the namespace kube-system, which every Kubernetes has and no copy of one shares. Its zero value is ready for use by several at once.
type ID struct {
	mu    sync.Mutex
	known string
}

// Get reads it once; an error is that of the reading, and the next call tries again.
func (i *ID) Get(ctx context.Context, reader client.Reader) (string, error) {
	i.mu.Lock()
	known := i.known
	i.mu.Unlock()
	if known != "" {
		return known, nil
	}
	ns := &metav1.PartialObjectMetadata{}
	ns.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("Namespace"))
	if err := reader.Get(ctx, client.ObjectKey{Name: metav1.NamespaceSystem}, ns); err != nil {
		return "", fmt.Errorf("reading namespace %s, whose UID tells this Kubernetes from a copy of it (config/rbac/backups.yaml grants it): %w", metav1.NamespaceSystem, err)
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	i.known = string(ns.UID)
	return i.known, nil
}
