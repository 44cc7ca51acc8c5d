package kube

import (
	"context"
	"fmt"
	"sync"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	toolscache "k8s.io/client-go/tools/cache"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/config"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
)

// ControlPlane runs the controllers for every namespace that was added to it. One serves a whole test binary.
type ControlPlane struct {
	Client client.Client // reads come from one cache
	direct client.Client

	mu         sync.Mutex
	namespaces map[string]*Namespace
	garbage    *collector
	written    written
}

// Namespace is one simulated world's share of the control plane.
type Namespace struct {
	// HoldClaim, when it returns a reason, keeps a claim Pending (no provisioner, no space). May be nil.
	HoldClaim func(claim *corev1.PersistentVolumeClaim) bool
	// Pods gets every change of a pod, in order for one pod. It must not block.
	Pods func(pod *corev1.Pod)
	// Gone gets every pod and every claim whose object was removed. It must not block.
	Gone func(uid types.UID)
	// Changed is called after any change that the names in DNS depend on: pods and Services. It must not block.
	Changed func()
}

// owners are the kinds that other objects name as owner.
var owners = []schema.GroupVersionKind{
	{Group: "apps", Version: "v1", Kind: "StatefulSet"},
	{Group: "robustmq.io", Version: "v1alpha1", Kind: "RobustMQCluster"},
	{Group: "robustmq.io", Version: "v1alpha1", Kind: "RobustMQBackup"},
	{Group: "batch", Version: "v1", Kind: "Job"},
}

// dependents are the kinds that the operator, the StatefulSet and the Job controller make.
var dependents = []schema.GroupVersionKind{
	{Version: "v1", Kind: "Pod"},
	{Version: "v1", Kind: "PersistentVolumeClaim"},
	{Version: "v1", Kind: "Secret"},
	{Version: "v1", Kind: "ConfigMap"},
	{Version: "v1", Kind: "Service"},
	{Version: "v1", Kind: "ServiceAccount"},
	{Group: "policy", Version: "v1", Kind: "PodDisruptionBudget"},
	{Group: "networking.k8s.io", Version: "v1", Kind: "NetworkPolicy"},
	{Group: "networking.k8s.io", Version: "v1", Kind: "Ingress"},
	{Group: "batch", Version: "v1", Kind: "Job"},
}

// Start runs the controllers against cfg until ctx ends.
func Start(ctx context.Context, cfg *rest.Config) (*ControlPlane, error) {
	cfg = rest.CopyConfig(cfg)
	cfg.QPS = -1 // the real controller manager has limits; here hundreds of clusters share it
	skip := true
	mgr, err := ctrl.NewManager(cfg, ctrl.Options{
		Metrics: metricsserver.Options{BindAddress: "0"}, HealthProbeBindAddress: "0",
		Controller: config.Controller{SkipNameValidation: &skip, MaxConcurrentReconciles: 4},
	})
	if err != nil {
		return nil, fmt.Errorf("control plane: %w", err)
	}
	direct, err := client.New(cfg, client.Options{Scheme: mgr.GetScheme()})
	if err != nil {
		return nil, fmt.Errorf("control plane: %w", err)
	}
	cp := &ControlPlane{Client: mgr.GetClient(), direct: direct, namespaces: map[string]*Namespace{}, written: written{last: map[types.UID]string{}}}
	for name, values := range map[string]client.IndexerFunc{ownerIndex: ownersOf, clusterIndex: clusterOf} {
		if err := mgr.GetFieldIndexer().IndexField(ctx, &corev1.Pod{}, name, values); err != nil {
			return nil, fmt.Errorf("control plane: %w", err)
		}
	}
	if err := mgr.GetFieldIndexer().IndexField(ctx, &policyv1.PodDisruptionBudget{}, clusterIndex, clusterOf); err != nil {
		return nil, fmt.Errorf("control plane: %w", err)
	}
	if err := ctrl.NewControllerManagedBy(mgr).Named("statefulset").For(&appsv1.StatefulSet{}).Owns(&corev1.Pod{}).
		Complete(&statefulSets{ControlPlane: cp}); err != nil {
		return nil, fmt.Errorf("control plane: %w", err)
	}
	if err := ctrl.NewControllerManagedBy(mgr).Named("claims").For(&corev1.PersistentVolumeClaim{}).
		Watches(&corev1.Pod{}, claimsOfPod()).Complete(&claims{ControlPlane: cp}); err != nil {
		return nil, fmt.Errorf("control plane: %w", err)
	}
	if err := ctrl.NewControllerManagedBy(mgr).Named("jobs").For(&batchv1.Job{}).Owns(&corev1.Pod{}).Complete(&jobs{ControlPlane: cp}); err != nil {
		return nil, fmt.Errorf("control plane: %w", err)
	}
	disruption := &budgets{ControlPlane: cp}
	if err := ctrl.NewControllerManagedBy(mgr).Named("budgets").For(&policyv1.PodDisruptionBudget{}).
		Watches(&corev1.Pod{}, disruption.budgetsOfPod()).
		WithOptions(controller.Options{MaxConcurrentReconciles: 1}). // as the real one
		Complete(disruption); err != nil {
		return nil, fmt.Errorf("control plane: %w", err)
	}
	if cp.garbage, err = newCollector(ctx, cp, mgr); err != nil {
		return nil, fmt.Errorf("control plane: garbage collector: %w", err)
	}
	if err := cp.watch(ctx, mgr); err != nil {
		return nil, fmt.Errorf("control plane: %w", err)
	}
	stopped := make(chan error, 1)
	go func() { stopped <- mgr.Start(ctx) }()
	if !mgr.GetCache().WaitForCacheSync(ctx) {
		return nil, fmt.Errorf("control plane: the cache did not fill: %w", <-stopped)
	}
	return cp, nil
}

// Add makes the control plane care for a namespace.
func (cp *ControlPlane) Add(name string, ns *Namespace) {
	cp.mu.Lock()
	defer cp.mu.Unlock()
	cp.namespaces[name] = ns
}

// Remove makes the control plane forget a namespace: its objects stay as they are.
func (cp *ControlPlane) Remove(name string) {
	cp.mu.Lock()
	defer cp.mu.Unlock()
	delete(cp.namespaces, name)
}

func (cp *ControlPlane) namespace(name string) *Namespace {
	cp.mu.Lock()
	defer cp.mu.Unlock()
	return cp.namespaces[name]
}

// watch passes pods, Services and removals on to the namespaces.
func (cp *ControlPlane) watch(ctx context.Context, mgr ctrl.Manager) error {
	for _, kind := range []client.Object{&corev1.Pod{}, &corev1.Service{}, &corev1.PersistentVolumeClaim{}, &corev1.Secret{}, &corev1.ConfigMap{}} {
		informer, err := mgr.GetCache().GetInformer(ctx, kind)
		if err != nil {
			return err
		}
		handler := toolscache.ResourceEventHandlerFuncs{
			AddFunc:    cp.changed,
			UpdateFunc: func(_, now any) { cp.changed(now) },
			DeleteFunc: cp.removed,
		}
		if _, err := informer.AddEventHandler(handler); err != nil {
			return err
		}
	}
	return nil
}

func (cp *ControlPlane) changed(object any) {
	o, ok := object.(client.Object)
	if !ok {
		return
	}
	ns := cp.namespace(o.GetNamespace())
	if ns == nil {
		return
	}
	switch o := o.(type) {
	case *corev1.Pod:
		ns.Pods(o)
		ns.Changed()
	case *corev1.Service:
		ns.Changed()
	}
}

func (cp *ControlPlane) removed(object any) {
	if tombstone, ok := object.(toolscache.DeletedFinalStateUnknown); ok {
		object = tombstone.Obj
	}
	o, ok := object.(client.Object)
	if !ok {
		return
	}
	ns := cp.namespace(o.GetNamespace())
	if ns == nil {
		return
	}
	switch o.(type) {
	case *corev1.Pod:
		ns.Gone(o.GetUID())
		ns.Changed()
	case *corev1.PersistentVolumeClaim:
		ns.Gone(o.GetUID())
	case *corev1.Service:
		ns.Changed()
	}
}
