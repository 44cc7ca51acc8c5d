package scrape

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	monitoringv1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	apilabels "k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/yaml"

	"github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
	"github.com/robustmq/robustmq-operator/internal/manifests"
)

var update = flag.Bool("update", false, "write the goldens anew")

func cluster(change func(*v1alpha1.RobustMQCluster)) *v1alpha1.RobustMQCluster {
	c := &v1alpha1.RobustMQCluster{ObjectMeta: metav1.ObjectMeta{Name: "my-cluster", Namespace: "mqtt", UID: "00000000-0000-4000-8000-000000000001"}}
	c.Spec.Version = "0.4.11"
	c.Spec.JournalServer = &v1alpha1.JournalServerSpec{}
	if change != nil {
		change(c)
	}
	c.Default()
	return c
}

func TestTheServiceMonitorIsTheGolden(t *testing.T) {
	for name, change := range map[string]func(*v1alpha1.RobustMQCluster){
		"usual": nil,
		"chosen": func(c *v1alpha1.RobustMQCluster) {
			m := &c.Spec.Monitoring
			m.Interval, m.PerTopicMetrics = &metav1.Duration{Duration: 90 * time.Second}, true
			m.Labels = map[string]string{"release": "kube-prometheus-stack", v1alpha1.LabelCluster: "another"} // the latter is ours, and stays so
		},
	} {
		t.Run(name, func(t *testing.T) {
			applied, err := manifests.Applied(ServiceMonitor(cluster(change)))
			if err != nil {
				t.Fatal(err)
			}
			got, err := yaml.Marshal(applied.Object)
			if err != nil {
				t.Fatal(err)
			}
			file := filepath.Join("testdata", name+".golden.yaml")
			if *update {
				if err := os.WriteFile(file, got, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got, want) {
				t.Errorf("go test ./monitoring/scrape -update writes %s anew; it is now\n%s", file, got)
			}
		})
	}
}

// relabelled are the labels of a target as Prometheus makes them: rules in order, an expression holds the whole value, an empty label is none.
func relabelled(t *testing.T, target map[string]string, rules []monitoringv1.RelabelConfig) map[string]string {
	t.Helper()
	for _, r := range rules {
		var values []string
		for _, l := range r.SourceLabels {
			values = append(values, target[string(l)])
		}
		expression, replacement := r.Regex, "$1"
		if expression == "" {
			expression = "(.*)"
		}
		if r.Replacement != nil {
			replacement = *r.Replacement
		}
		re, value := regexp.MustCompile("^(?s:"+expression+")$"), strings.Join(values, ";")
		match := re.FindStringSubmatchIndex(value)
		switch {
		case r.Action == "drop" && match != nil:
			return nil
		case r.Action == "replace" && match != nil:
			target[r.TargetLabel] = string(re.ExpandString(nil, replacement, value, match))
		case r.Action != "drop" && r.Action != "replace":
			t.Fatalf("action %q", r.Action)
		}
	}
	return target
}

func TestEveryTargetSaysOfWhomItIs(t *testing.T) {
	c := cluster(func(c *v1alpha1.RobustMQCluster) { c.Name = "my.cluster" }) // a dot is any character in an expression
	for _, view := range c.Spec.Roles() {
		pod := manifests.PodName(c, view.Role, 12)
		for i, job := range []string{JobAgent, JobServer} {
			got := relabelled(t, map[string]string{
				"__meta_kubernetes_namespace": "mqtt", "__meta_kubernetes_pod_name": pod, "__meta_kubernetes_pod_label_app_kubernetes_io_component": view.Role.Component(), "job": "mqtt/my.cluster",
			}, ServiceMonitor(c).Spec.Endpoints[i].RelabelConfigs)
			for label, want := range map[string]string{
				"namespace": "mqtt", "pod": pod, "cluster": "my.cluster", "role": view.Role.Component(), "member": view.Role.Component() + "-12", "job": job,
			} {
				if got[label] != want {
					t.Errorf("%s of %s is %q, want %q", label, pod, got[label], want)
				}
			}
		}
	}
}

func TestEveryRoleIsFoundByItsServiceAtThePortOfTheAgent(t *testing.T) {
	c := cluster(nil)
	m := ServiceMonitor(c)
	selector, err := metav1.LabelSelectorAsSelector(&m.Spec.Selector)
	if err != nil {
		t.Fatal(err)
	}
	objects, err := manifests.Objects(c, manifests.Inputs{ClusterDomain: "cluster.local"})
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, o := range objects {
		if o.GetObjectKind().GroupVersionKind().Kind == "Service" && selector.Matches(apilabels.Set(o.GetLabels())) {
			found++
		}
	}
	if found < len(c.Spec.Roles()) {
		t.Errorf("%d Services are found", found)
	}
	for _, e := range m.Spec.Endpoints {
		for _, view := range c.Spec.Roles() {
			number := int32(0)
			for _, p := range manifests.GoverningService(c, view.Role).Spec.Ports {
				if p.Name == e.Port {
					number = p.TargetPort.IntVal
				}
			}
			if number != protocol.MetricsPort {
				t.Errorf("%s: port %s leads to %d", view.Role, e.Port, number)
			}
		}
		if e.TLSConfig.CA.Secret.Name != manifests.AuthoritySecretName(c) || *e.TLSConfig.ServerName != protocol.ServerName(c.Namespace, c.Name) {
			t.Errorf("%+v", e.TLSConfig)
		}
	}
}

// The families are those that were recorded; which of them are many is RobustMQ's own affair.
func TestWhatIsManyIsDroppedUnlessItIsAskedFor(t *testing.T) {
	for family, many := range map[string]bool{
		"client_connections_total": true, "session_messages_in_total": true, "connection_messages_out_total": true, "subscribe_messages_sent_total": true,
		"subscribe_topic_bytes_sent_total": true, "topic_messages_written_total": true,
		"mqtt_subscribe_success_total": false, "mqtt_topics_count": false, "mqtt_connection_success_total": false, "raft_apply_lag": false, "mqtt_messages_received_total": false,
	} {
		for asked, dropped := range map[bool]bool{false: many, true: false} {
			c := cluster(func(c *v1alpha1.RobustMQCluster) { c.Spec.Monitoring.PerTopicMetrics = asked })
			server := ServiceMonitor(c).Spec.Endpoints[1]
			if got := relabelled(t, map[string]string{"__name__": family}, server.MetricRelabelConfigs) == nil; got != dropped {
				t.Errorf("%s, asked for %t: dropped %t", family, asked, got)
			}
		}
	}
	if agent := ServiceMonitor(cluster(nil)).Spec.Endpoints[0]; agent.MetricRelabelConfigs != nil {
		t.Error("the agents' own metrics are few")
	}
}
