package kube

import (
	"sync"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/resourceversion"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// written are the versions that the controllers wrote last. The cache may still have an earlier one, and a write that goes by that would only be refused; it will have the later one soon, and tell.
type written struct {
	mu   sync.Mutex
	last map[types.UID]string
}

// note takes an object as it was answered to a write.
func (w *written) note(o client.Object) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.last[o.GetUID()] = o.GetResourceVersion()
}

// outdated says whether an object was read from before its last write.
func (w *written) outdated(o client.Object) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	last, ok := w.last[o.GetUID()]
	if !ok {
		return false
	}
	order, err := resourceversion.CompareResourceVersion(o.GetResourceVersion(), last)
	return err == nil && order < 0
}
