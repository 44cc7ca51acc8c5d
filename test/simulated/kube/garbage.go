package kube

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	toolscache "k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/workqueue"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// collector deletes objects whose owners are all gone (background propagation), and takes the owner from those of an owner that shall go without them (orphan propagation).
type collector struct {
	cp    *ControlPlane
	queue workqueue.TypedRateLimitingInterface[item]

	mu       sync.Mutex
	present  map[types.UID]bool               // every object that was seen and has not gone
	children map[types.UID]map[types.UID]item // owner -> dependents
}

// item is one dependent object.
type item struct {
	kind schema.GroupVersionKind
	key  types.NamespacedName
	uid  types.UID
}

func newCollector(ctx context.Context, cp *ControlPlane, mgr ctrl.Manager) (*collector, error) {
	g := &collector{
		cp:       cp,
		queue:    workqueue.NewTypedRateLimitingQueue(workqueue.DefaultTypedControllerRateLimiter[item]()),
		present:  map[types.UID]bool{},
		children: map[types.UID]map[types.UID]item{},
	}
	watched := map[schema.GroupVersionKind]bool{}
	for _, kind := range append(append([]schema.GroupVersionKind{}, owners...), dependents...) {
		if watched[kind] {
			continue
		}
		watched[kind] = true
		if _, err := mgr.GetRESTMapper().RESTMapping(kind.GroupKind(), kind.Version); meta.IsNoMatchError(err) {
			continue // a control plane without our CRD: nothing of that kind can own anything
		}
		informer, err := mgr.GetCache().GetInformer(ctx, watchedAs(mgr.GetScheme(), kind))
		if err != nil {
			return nil, fmt.Errorf("watch %s: %w", kind.Kind, err)
		}
		if _, err := informer.AddEventHandler(toolscache.ResourceEventHandlerFuncs{
			AddFunc:    func(o any) { g.seen(kind, o) },
			UpdateFunc: func(_, o any) { g.seen(kind, o) },
			DeleteFunc: g.gone,
		}); err != nil {
			return nil, fmt.Errorf("watch %s: %w", kind.Kind, err)
		}
	}
	for range 2 {
		go g.work(ctx)
	}
	go func() {
		<-ctx.Done()
		g.queue.ShutDown()
	}()
	return g, nil
}

// watchedAs is what to watch a kind as: whole where its Go type is known, because the other controllers do so too and share the watch; otherwise its metadata.
func watchedAs(scheme *runtime.Scheme, kind schema.GroupVersionKind) client.Object {
	if whole, err := scheme.New(kind); err == nil {
		return whole.(client.Object)
	}
	return metadataOf(kind)
}

func metadataOf(kind schema.GroupVersionKind) *metav1.PartialObjectMetadata {
	made := &metav1.PartialObjectMetadata{}
	made.SetGroupVersionKind(kind)
	return made
}

// seen records an object and its owners. It is examined when it names an owner that was not seen, which may be gone already; later only when an owner goes.
func (g *collector) seen(kind schema.GroupVersionKind, object any) {
	o, ok := object.(client.Object)
	if !ok {
		return
	}
	it := item{kind: kind, key: client.ObjectKeyFromObject(o), uid: o.GetUID()}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.present[it.uid] = true
	if o.GetDeletionTimestamp() != nil && slices.Contains(o.GetFinalizers(), metav1.FinalizerOrphanDependents) {
		g.queue.Add(it)
	}
	for _, ref := range o.GetOwnerReferences() {
		if g.children[ref.UID] == nil {
			g.children[ref.UID] = map[types.UID]item{}
		}
		if _, known := g.children[ref.UID][it.uid]; !known {
			g.children[ref.UID][it.uid] = it
			if !g.present[ref.UID] {
				g.queue.Add(it)
			}
		}
	}
}

func (g *collector) gone(object any) {
	if tombstone, ok := object.(toolscache.DeletedFinalStateUnknown); ok {
		object = tombstone.Obj
	}
	o, ok := object.(client.Object)
	if !ok {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, child := range g.children[o.GetUID()] {
		g.queue.Add(child)
	}
	delete(g.children, o.GetUID())
	delete(g.present, o.GetUID())
	for _, ref := range o.GetOwnerReferences() {
		delete(g.children[ref.UID], o.GetUID())
	}
}

func (g *collector) work(ctx context.Context) {
	for {
		it, shutdown := g.queue.Get()
		if shutdown {
			return
		}
		if g.cp.namespace(it.key.Namespace) == nil {
			g.queue.Forget(it)
		} else if err := g.examine(ctx, it); err != nil {
			g.queue.AddRateLimited(it)
		} else {
			g.queue.Forget(it)
		}
		g.queue.Done(it)
	}
}

// examine asks the API server itself, never the cache, whether an object's owners live, and deletes the object when none does.
func (g *collector) examine(ctx context.Context, it item) error {
	o := metadataOf(it.kind)
	if err := g.cp.direct.Get(ctx, it.key, o); err != nil {
		return client.IgnoreNotFound(err)
	}
	if o.UID == it.uid && o.DeletionTimestamp != nil && slices.Contains(o.Finalizers, metav1.FinalizerOrphanDependents) {
		return g.orphan(ctx, o)
	}
	if o.UID != it.uid || o.DeletionTimestamp != nil || len(o.OwnerReferences) == 0 {
		return nil
	}
	for _, ref := range o.OwnerReferences {
		lives, err := g.lives(ctx, it.key.Namespace, ref)
		if err != nil {
			return fmt.Errorf("owner of %s %s: %w", it.kind.Kind, it.key, err)
		}
		if lives {
			return nil
		}
	}
	background := metav1.DeletePropagationBackground
	err := g.cp.direct.Delete(ctx, o, client.Preconditions{UID: &it.uid}, client.PropagationPolicy(background))
	if apierrors.IsConflict(err) {
		return nil
	}
	return client.IgnoreNotFound(err)
}

// orphan takes the owner from its dependents and lets it go.
func (g *collector) orphan(ctx context.Context, owner *metav1.PartialObjectMetadata) error {
	g.mu.Lock()
	children := slices.Collect(maps.Values(g.children[owner.UID]))
	g.mu.Unlock()
	for _, child := range children {
		o := metadataOf(child.kind)
		if err := g.cp.direct.Get(ctx, child.key, o); apierrors.IsNotFound(err) {
			continue
		} else if err != nil {
			return err
		}
		base := o.DeepCopy()
		o.OwnerReferences = slices.DeleteFunc(o.OwnerReferences, func(ref metav1.OwnerReference) bool { return ref.UID == owner.UID })
		if err := g.cp.direct.Patch(ctx, o, client.MergeFromWithOptions(base, client.MergeFromWithOptimisticLock{})); client.IgnoreNotFound(err) != nil {
			return err
		}
	}
	base := owner.DeepCopy()
	owner.Finalizers = slices.DeleteFunc(owner.Finalizers, func(f string) bool { return f == metav1.FinalizerOrphanDependents })
	return client.IgnoreNotFound(g.cp.direct.Patch(ctx, owner, client.MergeFromWithOptions(base, client.MergeFromWithOptimisticLock{})))
}

func (g *collector) lives(ctx context.Context, namespace string, ref metav1.OwnerReference) (bool, error) {
	gv, err := schema.ParseGroupVersion(ref.APIVersion)
	if err != nil {
		return false, err
	}
	owner := metadataOf(gv.WithKind(ref.Kind))
	err = g.cp.direct.Get(ctx, types.NamespacedName{Namespace: namespace, Name: ref.Name}, owner)
	if apierrors.IsNotFound(err) {
		return false, nil
	}
	return err == nil && owner.UID == ref.UID, err
}
