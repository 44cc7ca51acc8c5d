package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/runtime"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	"sigs.k8s.io/controller-runtime/pkg/metrics"
	"sigs.k8s.io/controller-runtime/pkg/metrics/filters"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
	"sigs.k8s.io/controller-runtime/pkg/webhook"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/controllers/backup"
	"github.com/robustmq/robustmq-operator/controllers/backup/plan"
	"github.com/robustmq/robustmq-operator/controllers/cluster"
	monitored "github.com/robustmq/robustmq-operator/controllers/monitoring"
	"github.com/robustmq/robustmq-operator/controllers/policy"
	"github.com/robustmq/robustmq-operator/controllers/registration"
	"github.com/robustmq/robustmq-operator/controllers/restore"
	agentclient "github.com/robustmq/robustmq-operator/internal/agent/client"
	"github.com/robustmq/robustmq-operator/monitoring"
	"github.com/robustmq/robustmq-operator/monitoring/alerts"
	"github.com/robustmq/robustmq-operator/webhooks"
)

// leaseName is the leader-election lease.
const leaseName = "robustmq-operator"

func newScheme() *runtime.Scheme {
	s := runtime.NewScheme()
	utilruntime.Must(clientgoscheme.AddToScheme(s))
	utilruntime.Must(v1alpha1.AddToScheme(s))
	return s
}

func run(ctx context.Context, o *options) error {
	boundMemory(ctx)
	if err := o.validate(); err != nil {
		return err
	}
	level, err := o.level()
	if err != nil {
		return err
	}
	logger := logr.FromSlogHandler(slog.NewJSONHandler(os.Stderr, &slog.HandlerOptions{Level: level}))
	ctrl.SetLogger(logger)
	klog.SetLogger(logger)

	config, err := ctrl.GetConfig()
	if err != nil {
		return fmt.Errorf("finding the API server: %w", err)
	}
	config.QPS, config.Burst, config.UserAgent = o.kubeAPIQPS, o.kubeAPIBurst, "robustmq-operator/"+version
	config.DisableCompression = true // the API server would compress every event of a watch by itself, and we are next to it

	mgr, err := ctrl.NewManager(config, managerOptions(o))
	if err != nil {
		return fmt.Errorf("making the manager: %w", err)
	}
	if err := mgr.AddHealthzCheck("alive", healthz.Ping); err != nil {
		return fmt.Errorf("health check: %w", err)
	}
	counts := monitoring.NewOperator()
	if err := counts.Register(metrics.Registry); err != nil {
		return err
	}
	counts.Leader.Follow(mgr.Elected())
	policies, err := policy.NewSource(mgr)
	if err != nil {
		return err
	}
	if err := setupWebhooks(mgr, o, policies, counts.Admissions); err != nil {
		return err
	}
	auditor := &policy.Auditor{Source: policies, ServerImage: o.serverImage, Work: counts.Work}
	if err := auditor.SetupWithManager(mgr); err != nil {
		return err
	}
	agents := agentclient.NewPool(agentclient.Limits{}, nil)
	restores := restoresOf(mgr.GetClient())
	record := monitored.NewRecord()
	reconciler := &cluster.Reconciler{
		Agents: agents, ServerImage: o.serverImage, AgentImage: o.agentImage, CopyAgent: o.copyAgent,
		ClusterDomain: o.clusterDomain, OperatorNamespace: namespace(), DisableRelay: o.disableRelay, Metrics: counts, Restores: restores, Monitoring: record,
	}
	machines, err := cluster.MayReadMachines(ctx, mgr.GetClient())
	if err != nil {
		return err
	}
	if !machines {
		logger.Info("the operator may not read nodes and PersistentVolumes: no pod of a node that is gone is made anew elsewhere, and cordons are not heeded", "role", "robustmq-operator-nodes")
	}
	if err := reconciler.SetupWithManager(ctx, mgr, cluster.Options{Options: registration.Options{Concurrency: o.concurrency}, NoMachines: !machines}); err != nil {
		return fmt.Errorf("cluster controller: %w", err)
	}
	if err := (&cluster.LeavingPods{Agents: agents, Work: counts.Work}).SetupWithManager(mgr, registration.Options{Concurrency: o.concurrency}); err != nil {
		return fmt.Errorf("controller of pods that leave: %w", err)
	}
	if err := (&cluster.ArrivingPods{Work: counts.Work}).SetupWithManager(mgr, registration.Options{Concurrency: o.concurrency}); err != nil {
		return fmt.Errorf("controller of pods that arrive: %w", err)
	}
	backups := &backup.Reconciler{Agents: agents, AgentImage: o.agentImage, Restores: restores, Work: counts.Work}
	if err := backups.SetupWithManager(mgr, registration.Options{Concurrency: o.concurrency}); err != nil {
		return fmt.Errorf("backup controller: %w", err)
	}
	restorer := &restore.Reconciler{Agents: agents, AgentImage: o.agentImage, ClusterDomain: o.clusterDomain, Work: counts.Work}
	if err := restorer.SetupWithManager(mgr, registration.Options{Concurrency: o.concurrency}); err != nil {
		return fmt.Errorf("restore controller: %w", err)
	}
	plans := &plan.Reconciler{AgentImage: o.agentImage, Metrics: counts.Backups, Work: counts.Work, Restores: restores}
	if err := plans.SetupWithManager(mgr, registration.Options{Concurrency: o.concurrency}); err != nil {
		return fmt.Errorf("controller of backup plans: %w", err)
	}
	if err := setupMonitoring(mgr, o, record, counts.Work); err != nil {
		return err
	}
	logger.Info("starting", "version", version, "webhooks", o.webhooks, "namespaces", o.watchNamespaces)
	return mgr.Start(ctx)
}

// monitorsAtOnce is small: after a start each cluster's rules are read whole, once, and nobody waits for them.
const monitorsAtOnce = 2

// setupMonitoring has the objects made by which clusters are monitored.
func setupMonitoring(mgr ctrl.Manager, o *options, record *monitored.Record, work *monitoring.Work) error {
	monitors := &monitored.Reconciler{Rules: alerts.ForCluster, Record: record, Work: work}
	if err := monitors.SetupWithManager(mgr, monitored.Options{Options: registration.Options{Concurrency: monitorsAtOnce}, Namespaces: o.watchNamespaces}); err != nil {
		return fmt.Errorf("controller of monitoring: %w", err)
	}
	dashboards := &monitored.Dashboards{Namespace: namespace(), Labels: o.dashboardLabels, Record: record, Work: work}
	if err := dashboards.SetupWithManager(mgr, monitored.Options{}); err != nil {
		return fmt.Errorf("controller of dashboards: %w", err)
	}
	return nil
}

// restoresOf lists the restores of a namespace from a cache: they are asked for at every pass of every cluster.
func restoresOf(cached client.Reader) func(context.Context, string) ([]v1alpha1.RobustMQRestore, error) {
	return func(ctx context.Context, namespace string) ([]v1alpha1.RobustMQRestore, error) {
		var list v1alpha1.RobustMQRestoreList
		err := cached.List(ctx, &list, client.InNamespace(namespace))
		return list.Items, err
	}
}

func managerOptions(o *options) ctrl.Options {
	serving := metricsserver.Options{BindAddress: o.metricsAddress, SecureServing: o.metricsSecure}
	if o.metricsSecure {
		serving.FilterProvider = filters.WithAuthenticationAndAuthorization
	}
	caches := cache.Options{ByObject: cluster.CacheByObject(), DefaultTransform: cluster.Slim}
	if len(o.watchNamespaces) > 0 {
		caches.DefaultNamespaces = map[string]cache.Config{}
		for _, ns := range o.watchNamespaces {
			caches.DefaultNamespaces[ns] = cache.Config{}
		}
	}
	return ctrl.Options{
		Scheme: newScheme(), Metrics: serving, HealthProbeBindAddress: o.healthAddress, PprofBindAddress: o.pprofAddress, Cache: caches,
		LeaderElection: o.leaderElect, LeaderElectionID: leaseName, LeaderElectionNamespace: o.leaderElectionNS,
		LeaderElectionReleaseOnCancel: true, GracefulShutdownTimeout: &o.shutdown,
		Client:        client.Options{Cache: &client.CacheOptions{Unstructured: false}},
		WebhookServer: webhook.NewServer(webhook.Options{Port: o.webhookPort, CertDir: o.webhookCertDir}),
	}
}

func setupWebhooks(mgr ctrl.Manager, o *options, policies webhooks.Policies, decisions *monitoring.Admissions) error {
	if !o.webhooks {
		if err := mgr.AddReadyzCheck("ready", healthz.Ping); err != nil {
			return fmt.Errorf("readiness check: %w", err)
		}
		return nil
	}
	if err := webhooks.Setup(mgr, webhooks.Options{
		Namespace: namespace(), ServiceName: o.webhookService, CertDir: o.webhookCertDir, SelfSigned: o.selfSigned,
		Lifetimes: webhooks.Lifetimes{Certificate: o.certificateLife, Authority: o.authorityLife}, Policies: policies, ServerImage: o.serverImage, Decisions: decisions,
	}); err != nil {
		return fmt.Errorf("webhooks: %w", err)
	}
	return nil
}

// namespace is the operator's own, from the downward API.
func namespace() string {
	if ns := os.Getenv("POD_NAMESPACE"); ns != "" {
		return ns
	}
	return "robustmq-operator-system"
}
