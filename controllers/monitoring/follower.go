package monitoring

import (
	"context"
	"sync"
	"time"

	"github.com/go-logr/logr"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/metadata/metadatainformer"
	toolscache "k8s.io/client-go/tools/cache"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/robustmq/robustmq-operator/controllers/cluster"
)

const (
	// lookAgain is how soon a kind is asked for again of which nothing tells: it may not be read, or its definition may not.
	lookAgain = 30 * time.Second
	// servedSoon is how soon a kind is asked for again whose definition is there already: the API server serves it a moment later.
	servedSoon = time.Second
)

var definitions = schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"}

// follower holds the metadata of the operator's objects of one kind, for as long as the kind is there. Their content is not held: rules and dashboards are large, and there is a copy in the program.
//
// Whether the kind is there is told by a watch on its definition alone, by name, which costs nothing while nothing changes. Where the operator may not watch definitions, the kind is asked for
// twice a minute.
type follower struct {
	kind       kind
	namespaces []string // metav1.NamespaceAll alone means every one
	selector   string
	client     metadata.Interface
	log        logr.Logger
	lookAgain  time.Duration

	// changed is called when the availability changed, seen when an object did.
	changed func()
	seen    func(object *metav1.PartialObjectMetadata)

	mu     sync.Mutex
	is     availability
	stores []toolscache.Store
}

// availability of the kind now.
func (f *follower) availability() availability {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.is
}

// get returns what is known of an object; nil when there is none with the operator's labels. What it returns belongs to everybody and must not be changed.
func (f *follower) get(key client.ObjectKey) *metav1.PartialObjectMetadata {
	f.mu.Lock()
	stores := f.stores
	f.mu.Unlock()
	for _, s := range stores {
		if o, ok, err := s.GetByKey(key.String()); err == nil && ok {
			return o.(*metav1.PartialObjectMetadata)
		}
	}
	return nil
}

// list returns what is known of all objects, unordered.
func (f *follower) list() []*metav1.PartialObjectMetadata {
	f.mu.Lock()
	stores := f.stores
	f.mu.Unlock()
	var all []*metav1.PartialObjectMetadata
	for _, s := range stores {
		for _, o := range s.List() {
			if m, ok := o.(*metav1.PartialObjectMetadata); ok {
				all = append(all, m)
			}
		}
	}
	return all
}

func (f *follower) set(to availability, stores ...toolscache.Store) {
	f.mu.Lock()
	was := f.is
	f.is, f.stores = to, stores
	f.mu.Unlock()
	if was != to {
		f.log.Info("kind "+to.String(), "kind", f.kind.Kind, "was", was.String())
		f.changed()
	}
}

// run follows the kind until the context ends.
func (f *follower) run(ctx context.Context) {
	var background sync.WaitGroup
	defer background.Wait()
	wake := make(chan struct{}, 1)
	definition := f.watchDefinition(wake)
	if definition != nil {
		background.Go(func() { definition.RunWithContext(ctx) })
		// Most clusters either have the kind or do not: what the definition says is worth waiting for, and not being let read it is soon known.
		first, cancel := context.WithTimeout(ctx, servedSoon)
		toolscache.WaitForCacheSync(first.Done(), definition.HasSynced)
		cancel()
	}
	for ctx.Err() == nil {
		there := f.there(definition)
		state := absent
		if there != no {
			state = f.probe(ctx)
		}
		if state == available {
			f.follow(ctx, wake, func() bool { return f.there(definition) != no })
			if f.there(definition) != no { // the API server refused to go on: it is not asked again in the same breath
				f.wait(ctx, nil, min(servedSoon, f.lookAgain))
			}
			continue
		}
		if ctx.Err() != nil {
			return
		}
		f.set(state)
		f.wait(ctx, wake, patienceFor(there, state, f.lookAgain))
	}
}

// defined is what is known of a kind's definition.
type defined int

const (
	perhaps defined = iota // it cannot be read
	no                     // there is none, or it is going, and its objects with it
	yes
)

// patienceFor says how long to wait before a kind is asked for again if nothing tells; 0 for ever.
func patienceFor(there defined, state availability, lookAgain time.Duration) time.Duration {
	switch {
	case there == no:
		return 0 // the definition's coming will be told
	case there == yes && state != forbidden:
		return min(servedSoon, lookAgain)
	}
	return lookAgain
}

func (f *follower) wait(ctx context.Context, wake <-chan struct{}, long time.Duration) {
	var over <-chan time.Time
	if long > 0 {
		timer := time.NewTimer(long)
		defer timer.Stop()
		over = timer.C
	}
	select {
	case <-ctx.Done():
	case <-wake:
	case <-over:
	}
}

// there reads what the watch on the definition knows.
func (f *follower) there(definition toolscache.SharedIndexInformer) defined {
	if definition == nil {
		return yes // built in
	}
	if !definition.HasSynced() {
		return perhaps
	}
	o, ok, err := definition.GetStore().GetByKey(f.kind.definition())
	if err != nil || !ok {
		return no
	}
	if m, ok := o.(*metav1.PartialObjectMetadata); ok && !m.DeletionTimestamp.IsZero() {
		return no
	}
	return yes
}

// watchDefinition makes the watch on the kind's definition; nil where there is none.
func (f *follower) watchDefinition(wake chan<- struct{}) toolscache.SharedIndexInformer {
	if f.kind.builtIn {
		return nil
	}
	one := func(o *metav1.ListOptions) {
		o.FieldSelector = fields.OneTermEqualSelector(metav1.ObjectNameField, f.kind.definition()).String()
	}
	i := metadatainformer.NewFilteredMetadataInformer(f.client, definitions, metav1.NamespaceAll, 0, toolscache.Indexers{}, one).Informer()
	tell := func() {
		select {
		case wake <- struct{}{}:
		default:
		}
	}
	f.prepare(i, slim, toolscache.ResourceEventHandlerFuncs{
		AddFunc: func(any) { tell() }, UpdateFunc: func(any, any) { tell() }, DeleteFunc: func(any) { tell() },
	}, func(err error) {
		f.log.V(1).Info("the definition cannot be watched", "definition", f.kind.definition(), "error", err.Error())
	})
	return i
}

// prepare gives an informer what it needs before it runs; that fails for one that runs already only.
func (f *follower) prepare(i toolscache.SharedIndexInformer, transform toolscache.TransformFunc, h toolscache.ResourceEventHandler, failed func(error)) {
	_, err := i.AddEventHandler(h)
	for _, err := range []error{err, i.SetTransform(transform), i.SetWatchErrorHandlerWithContext(func(_ context.Context, _ *toolscache.Reflector, err error) { failed(err) })} {
		if err != nil {
			f.log.Error(err, "preparing the watch", "kind", f.kind.Kind)
		}
	}
}

// probe asks for one object in each namespace, and for a watch: the answers say whether there is the kind, and whether the operator may read it.
func (f *follower) probe(ctx context.Context) availability {
	for _, ns := range f.namespaces {
		objects := f.client.Resource(f.kind.gvr()).Namespace(ns)
		list, err := objects.List(ctx, metav1.ListOptions{Limit: 1, LabelSelector: f.selector})
		if err == nil {
			var w watch.Interface
			if w, err = objects.Watch(ctx, metav1.ListOptions{LabelSelector: f.selector, ResourceVersion: list.ResourceVersion, TimeoutSeconds: ptr.To[int64](1)}); err == nil {
				w.Stop()
			}
		}
		if err != nil {
			f.log.V(1).Info("the kind cannot be read", "kind", f.kind.Kind, "namespace", ns, "error", err.Error())
			return answered(err)
		}
	}
	return available
}

// answered says what an error of the API server means for a kind.
func answered(err error) availability {
	switch {
	case apierrors.IsNotFound(err):
		return absent
	case apierrors.IsForbidden(err):
		return forbidden
	}
	return unknown
}

// follow holds the objects until the kind goes, may not be read any more, or the context ends.
func (f *follower) follow(ctx context.Context, wake <-chan struct{}, defined func() bool) {
	ctx, cancel := context.WithCancel(ctx)
	var background sync.WaitGroup
	defer background.Wait()
	defer cancel()
	var stores []toolscache.Store
	var synced []toolscache.InformerSynced
	for _, ns := range f.namespaces {
		i := metadatainformer.NewFilteredMetadataInformer(f.client, f.kind.gvr(), ns, 0, toolscache.Indexers{}, func(o *metav1.ListOptions) { o.LabelSelector = f.selector }).Informer()
		f.prepare(i, slim, f.handler(), func(err error) {
			f.log.V(1).Info("the watch ended", "kind", f.kind.Kind, "error", err.Error())
			if answered(err) != unknown {
				cancel()
			}
		})
		background.Go(func() { i.RunWithContext(ctx) })
		stores, synced = append(stores, i.GetStore()), append(synced, i.HasSynced)
	}
	background.Go(func() {
		if toolscache.WaitForCacheSync(ctx.Done(), synced...) {
			f.set(available, stores...)
		}
	})
	for {
		select {
		case <-ctx.Done():
			return
		case <-wake:
			if !defined() {
				return
			}
		}
	}
}

// handler passes on what may have to be put right. What comes with the first list is looked at anyway, as the kind has become available.
func (f *follower) handler() toolscache.ResourceEventHandler {
	tell := func(o any) {
		if gone, ok := o.(toolscache.DeletedFinalStateUnknown); ok {
			o = gone.Obj
		}
		if m, ok := o.(*metav1.PartialObjectMetadata); ok {
			f.seen(m)
		}
	}
	return toolscache.ResourceEventHandlerDetailedFuncs{
		AddFunc: func(o any, first bool) {
			if !first {
				tell(o)
			}
		},
		UpdateFunc: func(_, is any) { tell(is) },
		DeleteFunc: tell,
	}
}

// slim keeps of an object what is compared with what is wanted.
func slim(o any) (any, error) {
	m, ok := o.(*metav1.PartialObjectMetadata)
	if !ok {
		return o, nil
	}
	return cluster.Slim(&metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{
		Namespace: m.Namespace, Name: m.Name, UID: m.UID, ResourceVersion: m.ResourceVersion, Generation: m.Generation, DeletionTimestamp: m.DeletionTimestamp,
		Labels: m.Labels, OwnerReferences: m.OwnerReferences,
	}})
}
