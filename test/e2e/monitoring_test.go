//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	prometheusv1 "github.com/prometheus/client_golang/api/prometheus/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/monitoring/alerts"
	"github.com/robustmq/robustmq-operator/monitoring/dashboards"
	"github.com/robustmq/robustmq-operator/test/e2e/bed"
	"github.com/robustmq/robustmq-operator/test/e2e/live"
	"github.com/robustmq/robustmq-operator/test/e2e/watch"
)

// watchedComponent adds the operator's own ServiceMonitor and alerts to an installation.
const watchedComponent = "config/prometheus"

// TestMonitoringComesAndGoesWithTheKindsOfPrometheus: the kinds of the Prometheus operator are absent, installed, and removed, while a cluster goes on as if nothing were.
func TestMonitoringComesAndGoesWithTheKindsOfPrometheus(t *testing.T) {
	onlyLong(t)
	s := newScene(t, "kinds")
	s.apply(small("kinds"))
	s.ready(3 * time.Minute)
	i, err := watch.NewInstallation(k8s, root)
	s.must(err)
	there, err := i.HasKinds(s.Context())
	s.must(err)
	if there {
		s.Skip("the kinds of the Prometheus operator are there, and something may use them") // a bed on which somebody looks at dashboards
	}
	before, servers := s.operators(), s.servers()
	s.available(time.Minute, metav1.ConditionFalse)
	s.Cleanup(func() { _ = i.RemoveKinds(contextWithoutCancel(s.T)) })
	begin := time.Now()
	s.must(i.AddKinds(s.Context(), "servicemonitors", "prometheusrules"))
	s.available(90*time.Second, metav1.ConditionTrue)
	figures.add("the kinds of the Prometheus operator installed, until the cluster has its ServiceMonitor and PrometheusRule", "%.1f s", time.Since(begin).Seconds())
	for _, kind := range []string{"servicemonitors", "prometheusrules"} {
		out, err := k8s.Kubectl(s.Context(), nil, "get", kind+"."+watch.Group, "-n", s.name.Namespace, "-o", "name")
		s.must(err)
		if len(strings.Fields(out)) == 0 {
			s.Errorf("there are no %s", kind)
		}
	}
	s.must(i.RemoveKinds(s.Context()))
	s.available(90*time.Second, metav1.ConditionFalse)
	s.sameServers(servers, "the kinds of Prometheus came and went")
	if after := s.operators(); !maps.Equal(before, after) {
		s.Errorf("the operator was started anew: %v, before %v", after, before)
	}
}

// available waits for what the cluster says of its monitoring.
func (s *scene) available(within time.Duration, status metav1.ConditionStatus) {
	s.Helper()
	s.await(fmt.Sprintf("MonitoringAvailable %s", status), within, func(c *v1alpha1.RobustMQCluster) bool {
		return meta.IsStatusConditionPresentAndEqual(c.Status.Conditions, v1alpha1.ConditionMonitoringAvailable, status)
	})
}

// operators are the operator's pods, and how often each was started.
func (s *scene) operators() map[string]int32 {
	s.Helper()
	var pods corev1.PodList
	s.must(k8s.List(s.Context(), &pods, client.InNamespace(live.OperatorNamespace), live.OperatorSelector))
	starts := map[string]int32{}
	for _, p := range pods.Items {
		for _, c := range p.Status.ContainerStatuses {
			starts[p.Name] = c.RestartCount
		}
	}
	return starts
}

// watched is a cluster that a real Prometheus watches, and that operator too.
type watched struct {
	*scene
	in    watch.Installation
	prom  *watch.Prometheus
	minio bed.S3
	// since is when Prometheus began to look.
	since time.Time
	// spec is what was applied.
	spec *v1alpha1.RobustMQCluster
}

// patience of the alerts in the copies of the rules whose firing is awaited: an alert that would wait ten minutes fires after this.
const patience = 5 * time.Second

// TestPrometheusSeesAClusterAndEveryAlertIsFiredByItsCause is one long story: Prometheus' own operator runs a Prometheus, which takes what our operator asks for.
func TestPrometheusSeesAClusterAndEveryAlertIsFiredByItsCause(t *testing.T) {
	onlyLong(t)
	onBed(t)
	w := &watched{scene: newScene(t, "watched")}
	step := func(name string, do func(*watched)) bool {
		t.Helper()
		return t.Run(name, func(t *testing.T) { do(w.with(t)) })
	}
	w.start(func(*v1alpha1.RobustMQCluster) {})
	if !step("every target is up, with its labels", (*watched).targetsUp) || !step("every rule is loaded and can be evaluated", (*watched).rulesLoaded) {
		return
	}
	step("nothing fires while all is well", (*watched).nothingFires)
	step("everything happens under traffic", (*watched).happens)
	w.fireAll()
	step("every expression of every dashboard had data", (*watched).dashboardsShow)
	if folder := os.Getenv("E2E_PICTURES"); folder != "" {
		step("the dashboards are drawn", func(w *watched) { w.draw(folder) })
	}
}

// TestPrometheusSeesEveryRole: a journal server is a target, too.
func TestPrometheusSeesEveryRole(t *testing.T) {
	onlyLong(t)
	onBed(t)
	w := &watched{scene: newScene(t, "roles")}
	w.start(func(c *v1alpha1.RobustMQCluster) {
		c.Spec.JournalServer = &v1alpha1.JournalServerSpec{Replicas: 1}
		c.Spec.JournalServer.Resources = c.Spec.MQTTBroker.Resources
	})
	w.targetsUp()
}

// with is the same in a subtest.
func (w *watched) with(t *testing.T) *watched {
	one := *w
	one.scene = &scene{T: t, name: w.name, pool: w.pool}
	return &one
}

// draw has the pictures of docs/dashboards made, of what Prometheus has seen.
func (w *watched) draw(folder string) {
	w.Helper()
	if !filepath.IsAbs(folder) {
		folder = filepath.Join(root, folder)
	}
	pod := w.getPod(watch.PrometheusPod)
	cmd := exec.CommandContext(w.Context(), filepath.Join(root, "test/tools/run"), "pictures", "-prometheus", fmt.Sprintf("http://%s:%d", pod.Status.PodIP, watch.PrometheusPort),
		"-namespace", w.name.Namespace, "-cluster", w.name.Name, "-for", "30m", "-out", folder)
	out, err := cmd.CombinedOutput()
	w.Logf("%s", out)
	w.must(err)
}

// start installs Prometheus, the operator's own monitoring, and a cluster with everything that has metrics, changed as the test wants it.
func (w *watched) start(change func(*v1alpha1.RobustMQCluster)) {
	w.Helper()
	var err error
	w.in, err = watch.NewInstallation(k8s, root)
	w.must(err)
	in := installation()
	w.Cleanup(func() {
		ctx := contextWithoutCancel(w.T)
		if err := k8s.Install(ctx, in, 2*time.Minute); err != nil {
			w.Error(err)
		}
		if err := w.in.Stop(ctx); err != nil {
			w.Error(err)
		}
	})
	w.since = time.Now()
	w.prom, err = w.in.Start(w.Context(), 3*time.Minute)
	w.must(err)
	figures.add("Prometheus installed by its operator, until it answers", "%.1f s", time.Since(w.since).Seconds())

	in.Components = []string{watchedComponent}
	w.must(k8s.Install(w.Context(), in, 2*time.Minute))

	w.minio = w.scene.s3(bed.MinIO)
	c := small(w.name.Name)
	c.Spec.Monitoring.PerTopicMetrics = true // a dashboard shows them where they are
	c.Spec.Monitoring.Interval = &metav1.Duration{Duration: 5 * time.Second}
	c.Spec.TLS.SecretName = tlsSecret
	c.Spec.Backup = &v1alpha1.BackupSpec{
		Destination: w.place(w.minio), Schedules: []v1alpha1.BackupSchedule{{Name: "often", Cron: "*/2 * * * *"}},
		VerifyEvery: &metav1.Duration{Duration: time.Hour},
	}
	change(c)
	w.servingCertificate(90 * 24 * time.Hour)
	w.spec = c
	w.apply(c)
	w.ready(3 * time.Minute)
	w.available(time.Minute, metav1.ConditionTrue)
	for _, rules := range w.ruleObjects() {
		w.must(w.in.Hurry(w.Context(), rules.Namespace, rules.Name, patience))
	}
	w.nudge(watch.Namespace, watch.PrometheusPod.Name)
}

// ruleObjects are those of the cluster and of the operator, once there are some.
func (w *watched) ruleObjects() []client.ObjectKey {
	w.Helper()
	var all []client.ObjectKey
	for _, namespace := range []string{w.name.Namespace, live.OperatorNamespace} {
		w.must(live.Until(w.Context(), "a PrometheusRule in "+namespace, time.Second, time.Minute, func(ctx context.Context) (bool, string, error) {
			out, err := k8s.Kubectl(ctx, nil, "get", "prometheusrules."+watch.Group, "-n", namespace, "-o", `jsonpath={range .items[*]}{.metadata.name}{"\n"}{end}`)
			for _, name := range strings.Fields(out) {
				if !strings.HasSuffix(name, watch.HurriedSuffix) { // of a run that was broken off
					all = append(all, client.ObjectKey{Namespace: namespace, Name: name})
				}
			}
			return strings.TrimSpace(out) != "", out, err
		}))
	}
	return all
}

// nudge has the kubelet look at a pod now: what it mounts would be renewed within a minute or two else.
func (w *watched) nudge(namespace, pod string) {
	w.Helper()
	w.kubectl("annotate", "pod", pod, "-n", namespace, "--overwrite", fmt.Sprintf("e2e.robustmq.io/nudged=%d", time.Now().UnixNano()))
}

// targetsUp: server and agent of every pod, and every replica of the operator, each with the labels that rules and dashboards go by.
func (w *watched) targetsUp() {
	w.Helper()
	want := map[string]string{}
	for _, m := range w.cluster().Status.Members {
		role := w.getPod(client.ObjectKey{Namespace: w.name.Namespace, Name: m.Pod}).Labels[v1alpha1.LabelRole]
		for _, job := range []string{"robustmq-server", "robustmq-agent"} {
			want[job+" "+m.Pod] = fmt.Sprintf("namespace=%s cluster=%s role=%s member=%s", w.name.Namespace, w.name.Name, role, strings.TrimPrefix(m.Pod, w.name.Name+"-"))
		}
	}
	for name := range w.operators() {
		want["robustmq-operator "+name] = "namespace=" + live.OperatorNamespace + " cluster= role= member="
	}
	begin := time.Now()
	w.must(live.Until(w.Context(), "every target is up", time.Second, 3*time.Minute, func(ctx context.Context) (bool, string, error) {
		targets, err := w.prom.Targets(ctx)
		if err != nil {
			return false, err.Error(), nil
		}
		up, wrong := map[string]string{}, []string(nil)
		for _, t := range targets {
			l := t.Labels
			if l["job"] != "robustmq-operator" && (string(l["namespace"]) != w.name.Namespace || string(l["cluster"]) != w.name.Name) {
				continue // somebody else's
			}
			name := fmt.Sprintf("%s %s", l["job"], l["pod"])
			if t.Health == prometheusv1.HealthGood {
				up[name] = fmt.Sprintf("namespace=%s cluster=%s role=%s member=%s", l["namespace"], l["cluster"], l["role"], l["member"])
			} else {
				wrong = append(wrong, fmt.Sprintf("%s is %s: %s", name, t.Health, t.LastError))
			}
		}
		for name, labels := range want {
			if up[name] != labels {
				wrong = append(wrong, fmt.Sprintf("%s: %q, want %q", name, up[name], labels))
			}
		}
		return len(wrong) == 0 && len(up) == len(want), fmt.Sprintf("%d of %d; %s", len(up), len(want), strings.Join(wrong, "; ")), nil
	}))
	figures.add("targets of Prometheus up", "%d, %.1f s after the cluster was Ready", len(want), time.Since(begin).Seconds())
}

// rulesLoaded: all that the packages make, those and no others, each in good health; and the copies.
func (w *watched) rulesLoaded() {
	w.Helper()
	want := map[string]int{}
	for _, name := range w.alertNames() {
		want[name] = 2 // and its hurried copy
	}
	w.must(live.Until(w.Context(), "every rule is loaded", time.Second, 3*time.Minute, func(ctx context.Context) (bool, string, error) {
		loaded, _, err := w.prom.Alerts(ctx)
		if err != nil {
			return false, err.Error(), nil
		}
		have, wrong := map[string]int{}, []string(nil)
		for _, a := range loaded {
			if strings.Contains(a.Rule.Query, `cluster="`) && !strings.Contains(a.Rule.Query, fmt.Sprintf("cluster=%q", w.name.Name)) {
				continue // of somebody else's cluster
			}
			have[a.Name]++
			if a.Rule.Health != prometheusv1.RuleHealthGood {
				wrong = append(wrong, fmt.Sprintf("%s is %s: %s", a.Name, a.Rule.Health, a.Rule.LastError))
			}
		}
		for name, count := range want {
			if have[name] != count {
				wrong = append(wrong, fmt.Sprintf("%s is loaded %d times, not %d", name, have[name], count))
			}
		}
		slices.Sort(wrong)
		return len(wrong) == 0 && len(have) == len(want), fmt.Sprintf("%d of %d alerts; %s", len(have), len(want), strings.Join(wrong, "; ")), nil
	}))
	figures.add("alerts loaded into Prometheus, in good health", "%d", len(want))
}

// alertNames are all alerts, of clusters and of the operator.
func (w *watched) alertNames() []string {
	w.Helper()
	names, err := allAlerts(w.name.Namespace, w.name.Name)
	w.must(err)
	return names
}

func allAlerts(namespace, cluster string) ([]string, error) {
	ofCluster, err := alerts.ForCluster(namespace, cluster)
	if err != nil {
		return nil, err
	}
	ofOperator, err := alerts.ForOperator()
	if err != nil {
		return nil, err
	}
	var names []string
	for _, g := range slices.Concat(ofCluster, ofOperator) {
		for _, r := range g.Rules {
			if r.Alert != "" {
				names = append(names, r.Alert)
			}
		}
	}
	return names, nil
}

// nothingFires: an alert that cannot wait (its condition holds for a moment) would wake somebody for nothing. What is advice, and true of this cluster, may be there.
func (w *watched) nothingFires() {
	w.Helper()
	w.quietFor(30 * time.Second)
	firing, err := w.prom.Firing(w.Context(), map[string]string{watch.HurriedLabel: "true"})
	w.must(err)
	for _, f := range firing {
		if of := f.Metric["cluster"]; of != "" && string(of) != w.name.Name {
			continue
		}
		if reason, known := trueOfTheBed[string(f.Metric["alertname"])]; known {
			w.Logf("%s fires: %s", f.Metric["alertname"], reason)
			continue
		}
		w.Errorf("%s fires although nothing was done: %s", f.Metric["alertname"], f.Metric)
	}
}

var (
	variable  = regexp.MustCompile(`\$\{?__rate_interval\}?|\$\{?__range\}?|\$\{?__interval\}?`)
	chosenVar = regexp.MustCompile(`\$\{?(namespace|cluster)(:[a-z]+)?\}?`)
)

// expressions of a dashboard as Grafana would send them for this cluster, by the panels' titles.
func expressions(d dashboards.Dashboard, namespace, cluster string) (map[string]string, error) {
	var board any
	if err := json.Unmarshal(d.JSON, &board); err != nil {
		return nil, fmt.Errorf("dashboard %s: %w", d.Name, err)
	}
	out := map[string]string{}
	var walk func(any, string)
	walk = func(node any, title string) {
		switch n := node.(type) {
		case []any:
			for _, v := range n {
				walk(v, title)
			}
		case map[string]any:
			if t, ok := n["title"].(string); ok {
				title = t
			}
			if expr, ok := n["expr"].(string); ok {
				expr = variable.ReplaceAllString(expr, "2m")
				expr = chosenVar.ReplaceAllStringFunc(expr, func(v string) string {
					if strings.Contains(v, "namespace") {
						return namespace
					}
					return cluster
				})
				out[fmt.Sprintf("%s / %s / %v", d.Title, title, n["refId"])] = expr
			}
			for _, v := range n {
				walk(v, title)
			}
		}
	}
	walk(board, d.Title)
	return out, nil
}

// happens gives the dashboards something to show: clients publish and subscribe, and users are made, beside a backup, a restore and a move of the leadership.
func (w *watched) happens() {
	w.Helper()
	const topic = "e2e/watched"
	traffic := w.traffic(topic)
	writes, _ := w.writeUsers("watched")
	w.everythingHappens()
	defer w.connect(topic)()
	w.quietFor(time.Minute) // rates look back two minutes, and the operator is scraped every half
	_, _, _ = writes.Stop()
	w.Logf("MQTT meanwhile: %s", traffic.Stop(5*time.Second))
}

// connect gives two connectors the messages of a topic: one hands on what it gets, the other one's disk is full. It waits until Prometheus has seen both at it, and returns what takes them away.
func (w *watched) connect(topic string) func() {
	w.Helper()
	access, begin := w.access(), time.Now()
	targets := map[string]string{"taken": "/dev/null", "refused": "/dev/full"}
	for name, path := range targets {
		_, err := access.Admin(0).CreateFileConnector(w.Context(), name, topic, path)
		w.must(err)
	}
	of := fmt.Sprintf(`{namespace=%q,cluster=%q,connector_name=`, w.name.Namespace, w.name.Name)
	for what, metric := range map[string]string{"hands on": `mqtt_connector_messages_sent_success_total` + of + `"taken"}`, "fails": `mqtt_connector_messages_sent_failure_total` + of + `"refused"}`} {
		w.must(live.Until(w.Context(), "Prometheus sees that a connector "+what, time.Second, 2*time.Minute, func(ctx context.Context) (bool, string, error) {
			data, err := w.prom.Range(ctx, metric+" > 0", time.Minute, 5*time.Second)
			return err == nil && len(data) > 0, fmt.Sprint(metric, ": ", err), nil
		}))
	}
	figures.add("two connectors made, until Prometheus saw one hand on and the other fail", "%.1f s", time.Since(begin).Seconds())
	return func() {
		for name := range targets {
			w.must(access.Admin(0).DeleteConnector(w.Context(), name))
		}
	}
}

// dashboardsShow asks what Grafana would ask of the whole story: what there was at some time counts, since a restore is under way only for a moment, and a trouble, one hopes, too.
func (w *watched) dashboardsShow() {
	w.Helper()
	boards, err := dashboards.All()
	w.must(err)
	all := map[string]string{}
	for _, d := range boards {
		of, err := expressions(d, w.name.Namespace, w.name.Name)
		w.must(err)
		if len(of) == 0 {
			w.Errorf("dashboard %s asks for nothing", d.Name)
		}
		maps.Copy(all, of)
	}
	begin, count := time.Now(), len(all)
	err = live.Until(w.Context(), "every expression has data", 2*time.Second, 4*time.Minute, func(ctx context.Context) (bool, string, error) {
		var missing []string
		for _, panel := range slices.Sorted(maps.Keys(all)) {
			data, err := w.prom.Range(ctx, all[panel], time.Since(w.since), 15*time.Second)
			if err == nil && len(data) > 0 {
				delete(all, panel)
			} else {
				missing = append(missing, fmt.Sprintf("%s: %s (%v)", panel, all[panel], err))
			}
		}
		return len(missing) == 0, strings.Join(missing, "\n"), nil
	})
	figures.add("expressions of the dashboards with data under traffic", "%d of %d, after %.0f s", count-len(all), count, time.Since(begin).Seconds())
	for panel, expression := range all {
		w.Logf("without data: %s: %s", panel, expression)
	}
	w.must(err)
}
