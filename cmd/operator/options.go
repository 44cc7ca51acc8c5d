package main

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/spf13/pflag"

	monitored "github.com/robustmq/robustmq-operator/controllers/monitoring"
	"github.com/robustmq/robustmq-operator/internal/manifests"
	"github.com/robustmq/robustmq-operator/webhooks"
)

// options are the flags. Nothing is read from the environment but POD_NAMESPACE.
type options struct {
	watchNamespaces  []string
	concurrency      int
	kubeAPIQPS       float32
	kubeAPIBurst     int
	metricsAddress   string
	metricsSecure    bool
	healthAddress    string
	pprofAddress     string
	leaderElect      bool
	leaderElectionNS string
	clusterDomain    string
	agentImage       string
	copyAgent        bool
	serverImage      string
	logLevel         string
	webhooks         bool
	webhookPort      int
	webhookCertDir   string
	webhookService   string
	selfSigned       bool
	certificateLife  time.Duration
	authorityLife    time.Duration
	shutdown         time.Duration
	disableRelay     bool
	dashboardLabels  map[string]string
}

func defaultOptions() *options {
	return &options{
		concurrency: 8, kubeAPIQPS: -1, metricsAddress: ":8443", metricsSecure: true, healthAddress: ":8081", leaderElect: true,
		clusterDomain: "cluster.local", serverImage: manifests.DefaultServerImage, logLevel: "info",
		webhooks: true, webhookPort: 9443, webhookCertDir: "/tmp/webhook-certs", webhookService: "robustmq-operator-webhook", selfSigned: true,
		certificateLife: webhooks.DefaultCertificateLifetime, authorityLife: webhooks.DefaultAuthorityLifetime, shutdown: 30 * time.Second,
		dashboardLabels: monitored.DefaultDashboardLabels(),
	}
}

func (o *options) bind(f *pflag.FlagSet) {
	f.StringSliceVar(&o.watchNamespaces, "watch-namespaces", o.watchNamespaces, "namespaces to watch, comma separated; empty: all")
	f.IntVar(&o.concurrency, "max-concurrent-reconciles", o.concurrency, "how many clusters are reconciled at once")
	f.Float32Var(&o.kubeAPIQPS, "kube-api-qps", o.kubeAPIQPS, "requests a second to the API server, sustained; negative: as many as its own priority and fairness let through")
	f.IntVar(&o.kubeAPIBurst, "kube-api-burst", o.kubeAPIBurst, "requests to the API server in a burst; needed with --kube-api-qps")
	f.StringVar(&o.metricsAddress, "metrics-bind-address", o.metricsAddress, "address of /metrics; 0: none")
	f.BoolVar(&o.metricsSecure, "metrics-secure", o.metricsSecure, "serve /metrics over TLS to authenticated callers that may get it")
	f.StringVar(&o.healthAddress, "health-probe-bind-address", o.healthAddress, "address of /healthz and /readyz")
	f.StringVar(&o.pprofAddress, "pprof-bind-address", o.pprofAddress, "address of Go's profiles, which show what the process holds in memory: of this machine only, such as 127.0.0.1:6060; empty: none")
	f.BoolVar(&o.leaderElect, "leader-elect", o.leaderElect, "let one replica of several be active; its lease is released when it ends")
	f.StringVar(&o.leaderElectionNS, "leader-election-namespace", o.leaderElectionNS, "namespace of the lease; empty: the operator's own")
	f.StringVar(&o.clusterDomain, "cluster-domain", o.clusterDomain, "DNS domain of the Kubernetes cluster")
	f.StringVar(&o.agentImage, "agent-image", o.agentImage, "image that carries the agent (required)")
	f.BoolVar(&o.copyAgent, "copy-agent", o.copyAgent, "have an init container copy the agent into every pod, also where all nodes could mount its image")
	f.StringVar(&o.serverImage, "server-image", o.serverImage, "image of RobustMQ where a cluster names none; {version} stands for its version")
	f.StringVar(&o.logLevel, "log-level", o.logLevel, "debug, info, warn or error")
	f.BoolVar(&o.webhooks, "webhooks", o.webhooks, "serve the admission webhooks; without them the rules hold in the schema and when a cluster is reconciled")
	f.IntVar(&o.webhookPort, "webhook-port", o.webhookPort, "port of the admission webhooks")
	f.StringVar(&o.webhookCertDir, "webhook-cert-dir", o.webhookCertDir, "folder of the serving certificate")
	f.StringVar(&o.webhookService, "webhook-service", o.webhookService, "Service in front of the webhooks, in the operator's namespace")
	f.BoolVar(&o.selfSigned, "webhook-self-signed", o.selfSigned, "make, inject and rotate the serving certificate; false: somebody else (cert-manager) does")
	f.DurationVar(&o.certificateLife, "webhook-certificate-lifetime", o.certificateLife, "how long a serving certificate lives; it is made anew when a third of that is left")
	f.DurationVar(&o.authorityLife, "webhook-authority-lifetime", o.authorityLife, "how long the authority that signs the serving certificates lives; it is replaced as early as they are")
	f.StringToStringVar(&o.dashboardLabels, "dashboard-labels", o.dashboardLabels, "labels by which Grafana finds the ConfigMaps with dashboards")
	f.BoolVar(&o.disableRelay, "disable-heartbeat-relay", false, "for tests: without the relay one dead host empties the registry of nodes")
	if err := f.MarkHidden("disable-heartbeat-relay"); err != nil {
		panic(err) // the flag is defined in the line above
	}
	f.DurationVar(&o.shutdown, "graceful-shutdown-timeout", o.shutdown, "how long running reconciles may take to end")
}

// level returns the log level, or an error that names the flag, the value and the way out.
func (o *options) level() (slog.Level, error) {
	var l slog.Level
	if err := l.UnmarshalText([]byte(o.logLevel)); err != nil {
		return 0, fmt.Errorf("--log-level %q: say debug, info, warn or error", o.logLevel)
	}
	return l, nil
}

func (o *options) validate() error {
	var errs []error
	if o.agentImage == "" {
		errs = append(errs, errors.New("--agent-image is required: every RobustMQ pod gets its agent from that image"))
	}
	if o.concurrency < 1 {
		errs = append(errs, fmt.Errorf("--max-concurrent-reconciles %d: at least 1", o.concurrency))
	}
	if o.clusterDomain == "" || strings.HasPrefix(o.clusterDomain, ".") || strings.HasSuffix(o.clusterDomain, ".") {
		errs = append(errs, fmt.Errorf("--cluster-domain %q: a domain without dots at its ends, such as cluster.local", o.clusterDomain))
	}
	if _, err := o.level(); err != nil {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}
