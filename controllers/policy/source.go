package policy

import (
	"context"
	"fmt"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/webhooks/rules"
)

// probeInterval is how often a Source looks whether policies can be read, while they cannot.
const probeInterval = 30 * time.Second

// Source holds all RobustMQPolicies and the labels of all namespaces in memory, once the API server has the one and grants both. It is a runnable of every replica: each answers admission.
//
// The cache is its own: the manager's may be limited to some namespaces, and waits for whatever it was asked for once.
type Source struct {
	reader   client.Reader // past any cache and any limit of requests
	cache    cache.Cache
	interval time.Duration
	log      logr.Logger

	started chan struct{} // closed when the cache was started
	synced  chan struct{} // closed when it holds what there is
	late    chan struct{} // closed when it should have been synced by now, and nobody waits for it any more
}

// syncPatience is how long after its start the cache may make admission wait.
const syncPatience = 10 * time.Second

// SourceOption changes a Source.
type SourceOption func(*Source)

// Interval is how often a Source looks whether policies can be read, while they cannot; 30 s where it is not given.
func Interval(d time.Duration) SourceOption { return func(s *Source) { s.interval = d } }

// NewSource makes a Source out of a manager's configuration. An Auditor adds it to the manager.
func NewSource(mgr ctrl.Manager, options ...SourceOption) (*Source, error) {
	config := rest.CopyConfig(mgr.GetConfig())
	config.QPS, config.RateLimiter = -1, nil // admission reads a namespace now and then, and does not wait for the controllers
	reader, err := client.New(config, client.Options{Scheme: mgr.GetScheme(), Mapper: mgr.GetRESTMapper()})
	if err != nil {
		return nil, fmt.Errorf("client for policies: %w", err)
	}
	c, err := cache.New(config, cache.Options{
		Scheme: mgr.GetScheme(), Mapper: mgr.GetRESTMapper(), DefaultTransform: strip, ReaderFailOnMissingInformer: true,
	})
	if err != nil {
		return nil, fmt.Errorf("cache of policies: %w", err)
	}
	s := &Source{
		reader: reader, cache: c, interval: probeInterval, log: mgr.GetLogger().WithName("policies"),
		started: make(chan struct{}), synced: make(chan struct{}), late: make(chan struct{}),
	}
	for _, o := range options {
		o(s)
	}
	return s, nil
}

// strip drops what nobody asks for. Annotations of namespaces can be large.
func strip(object any) (any, error) {
	if o, err := meta.Accessor(object); err == nil {
		o.SetManagedFields(nil)
		if _, ok := object.(*metav1.PartialObjectMetadata); ok {
			o.SetAnnotations(nil)
		}
	}
	return object, nil
}

// NeedLeaderElection is false: every replica answers admission.
func (s *Source) NeedLeaderElection() bool { return false }

// Start waits until policies can be read, and holds them until the context ends.
func (s *Source) Start(ctx context.Context) error {
	for {
		if !s.wait(ctx) {
			return nil
		}
		err := s.watch(ctx)
		if err == nil {
			break
		}
		s.log.Error(err, "watching policies; trying again") // the kind went away in this moment
	}
	close(s.started)
	late := time.AfterFunc(syncPatience, func() { close(s.late) })
	defer late.Stop()
	go func() {
		if s.cache.WaitForCacheSync(ctx) {
			s.log.Info("policies are in force")
			close(s.synced)
		}
	}()
	if err := s.cache.Start(ctx); err != nil {
		return fmt.Errorf("watching policies: %w", err)
	}
	return nil
}

// watch asks the cache for what it shall hold.
func (s *Source) watch(ctx context.Context) error {
	for _, object := range []client.Object{&v1alpha1.RobustMQPolicy{}, namespaceMeta()} {
		if _, err := s.cache.GetInformer(ctx, object, cache.BlockUntilSynced(false)); err != nil {
			return fmt.Errorf("watching %T: %w", object, err)
		}
	}
	return nil
}

// wait probes until policies and namespaces can be read, and says once why they cannot. False: the context ended.
func (s *Source) wait(ctx context.Context) bool {
	tick := time.NewTicker(s.interval)
	defer tick.Stop()
	for said := ""; ; {
		err := s.probe(ctx)
		if err == nil {
			return true
		}
		if ctx.Err() != nil {
			return false
		}
		if why := reason(err); why != said {
			s.log.Info("no policies: the built-in rules hold alone", "because", why, "error", err.Error())
			said = why
		}
		select {
		case <-ctx.Done():
			return false
		case <-tick.C:
		}
	}
}

// probe lists one of each kind.
func (s *Source) probe(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	namespaces := &metav1.PartialObjectMetadataList{}
	namespaces.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("NamespaceList"))
	for _, list := range []client.ObjectList{&v1alpha1.RobustMQPolicyList{}, namespaces} {
		if err := s.reader.List(ctx, list, client.Limit(1)); err != nil {
			return fmt.Errorf("listing %T: %w", list, err)
		}
	}
	return nil
}

// reason says in a few words why policies cannot be read.
func reason(err error) string {
	switch {
	case meta.IsNoMatchError(err), apierrors.IsNotFound(err):
		return "the kind RobustMQPolicy is not installed"
	case apierrors.IsForbidden(err):
		return "the operator may not read policies and namespaces"
	}
	return "the API server does not answer"
}

func namespaceMeta() *metav1.PartialObjectMetadata {
	m := &metav1.PartialObjectMetadata{}
	m.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("Namespace"))
	return m
}

// In returns the policies that hold in a namespace, in the order of their names. Where they are not known there are none, never an error; it waits only while what there is is being read,
// and no longer than the context allows.
func (s *Source) In(ctx context.Context, namespace string) []rules.Policy {
	if !s.ready(ctx) {
		return nil
	}
	var list v1alpha1.RobustMQPolicyList
	if err := s.cache.List(ctx, &list, client.UnsafeDisableDeepCopy); err != nil {
		s.log.Error(err, "reading policies; the built-in rules hold alone")
		return nil
	}
	if len(list.Items) == 0 {
		return nil
	}
	labels, err := s.labels(ctx, namespace)
	if err != nil {
		// What selects every namespace holds all the same.
		s.log.Error(err, "reading the labels of a namespace; policies with a selector do not hold", "namespace", namespace)
		every := list.Items[:0:0]
		for _, p := range list.Items {
			if sel, err := p.Selector(); err == nil && sel.Empty() {
				every = append(every, p)
			}
		}
		return rules.PoliciesFor(every, nil)
	}
	return rules.PoliciesFor(list.Items, labels)
}

// ready reports whether what there is has been read, and waits for it when that has begun.
func (s *Source) ready(ctx context.Context) bool {
	select {
	case <-s.synced:
		return true
	default:
	}
	select {
	case <-s.started:
	default:
		return false
	}
	select {
	case <-s.synced:
		return true
	case <-s.late:
		return false
	case <-ctx.Done():
		return false
	}
}

// labels of a namespace. One that was made a moment ago, by the same `kubectl apply` as what is judged, may not have been seen yet and is asked for.
func (s *Source) labels(ctx context.Context, namespace string) (map[string]string, error) {
	m := namespaceMeta()
	key := client.ObjectKey{Name: namespace}
	err := s.cache.Get(ctx, key, m)
	if apierrors.IsNotFound(err) {
		m = namespaceMeta()
		err = s.reader.Get(ctx, key, m)
	}
	if err != nil {
		return nil, fmt.Errorf("reading namespace %s: %w", namespace, err)
	}
	return m.Labels, nil
}
