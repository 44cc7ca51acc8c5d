package monitoring

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
)

func TestMonitoringComesAndGoesWithItsKinds(t *testing.T) {
	w := newWorld(t)
	w.grant()
	c := w.cluster("c", nil)
	o := w.operateAt(Timings{LookAgain: time.Hour, Refused: 300 * time.Millisecond}) // what comes and goes is told by the definitions alone

	// Nothing of it is there: clusters are told, dashboards are made all the same.
	if m := w.says(o, c, v1alpha1.ReasonKindsMissing); !strings.Contains(m, "no ServiceMonitor and no PrometheusRule") || !strings.Contains(m, "the Prometheus operator,") {
		t.Error(m)
	}
	for _, name := range []string{"robustmq-dashboard-cluster", "robustmq-dashboard-mqtt"} {
		w.object(configMaps, operatorNamespace, name, func(u *unstructured.Unstructured) error {
			if u.GetLabels()["grafana_dashboard"] != "1" || len(u.GetOwnerReferences()) != 0 {
				return fmt.Errorf("%v", u.Object)
			}
			return nil
		})
	}

	// They come one after another.
	w.install(serviceMonitors)
	owned := func(u *unstructured.Unstructured) error {
		if !metav1.IsControlledBy(u, c) {
			return errors.New("it would stay when the cluster goes")
		}
		return nil
	}
	w.object(serviceMonitors, "mqtt", "c", owned)
	w.says(o, c, v1alpha1.ReasonKindsMissing, func(message string) bool { return !strings.Contains(message, "ServiceMonitor") })
	w.install(prometheusRules, grafanaDashboards)
	w.object(prometheusRules, "mqtt", "c", owned)
	w.says(o, c, v1alpha1.ReasonMonitored)
	w.object(grafanaDashboards, operatorNamespace, "robustmq-dashboard-mqtt", nil)

	// One goes while another stays, and comes back.
	w.uninstall(serviceMonitors)
	if m := w.says(o, c, v1alpha1.ReasonKindsMissing); !strings.Contains(m, "ServiceMonitor") || strings.Contains(m, "PrometheusRule") {
		t.Error(m)
	}
	later := w.cluster("later", nil) // one that never had a ServiceMonitor
	w.object(prometheusRules, "mqtt", "later", nil)
	w.says(o, later, v1alpha1.ReasonKindsMissing)
	w.install(serviceMonitors)
	for _, each := range []*v1alpha1.RobustMQCluster{c, later} {
		w.object(serviceMonitors, "mqtt", each.Name, nil)
		w.says(o, each, v1alpha1.ReasonMonitored)
	}

	// All go, in the opposite order and at once; and come back.
	w.uninstall(grafanaDashboards, prometheusRules, serviceMonitors)
	w.says(o, c, v1alpha1.ReasonKindsMissing)
	w.install(serviceMonitors, prometheusRules, grafanaDashboards)
	w.object(serviceMonitors, "mqtt", "c", nil)
	w.object(prometheusRules, "mqtt", "c", nil)
	w.object(grafanaDashboards, operatorNamespace, "robustmq-dashboard-cluster", nil)
	w.says(o, c, v1alpha1.ReasonMonitored)
}

func TestWhatSomebodyChangesIsPutRightAndNothingElseIsWritten(t *testing.T) {
	w := newWorld(t)
	w.grant()
	w.install(serviceMonitors, prometheusRules)
	c := w.cluster("c", nil)
	o := w.operate()
	w.says(o, c, v1alpha1.ReasonMonitored)
	monitor := w.object(serviceMonitors, "mqtt", "c", nil)
	rule := w.object(prometheusRules, "mqtt", "c", nil)
	dashboard := w.object(configMaps, operatorNamespace, "robustmq-dashboard-mqtt", nil)
	w.object(configMaps, operatorNamespace, "robustmq-dashboard-cluster", nil)
	interval := func(want string) func(*unstructured.Unstructured) error {
		return func(u *unstructured.Unstructured) error {
			endpoints, _, err := unstructured.NestedSlice(u.Object, "spec", "endpoints")
			if err != nil {
				return err
			}
			if len(endpoints) != 2 || endpoints[0].(map[string]any)["interval"] != want {
				return fmt.Errorf("%v", endpoints)
			}
			return nil
		}
	}
	w.object(serviceMonitors, "mqtt", "c", interval("30s"))

	// Looking again costs neither a write nor a read.
	w.settles(o)
	writes, reads := o.writes.Load(), o.reads.Load()
	for range 3 {
		if _, err := o.reconciler.Reconcile(t.Context(), ctrl.Request{NamespacedName: client.ObjectKeyFromObject(c)}); err != nil {
			t.Fatal(err)
		}
	}
	if o.writes.Load() != writes || o.reads.Load() != reads {
		t.Errorf("%d writes and %d reads of a cluster at rest", o.writes.Load()-writes, o.reads.Load()-reads)
	}

	// By hand: what it says, whose it is, that it is.
	w.edit(monitor, `{"spec":{"endpoints":[]}}`)
	w.object(serviceMonitors, "mqtt", "c", interval("30s"))
	w.edit(rule, `{"metadata":{"labels":{"robustmq.io/cluster":"other"}}}`)
	w.object(prometheusRules, "mqtt", "c", func(u *unstructured.Unstructured) error {
		if got := u.GetLabels()[v1alpha1.LabelCluster]; got != "c" {
			return errors.New(got)
		}
		return nil
	})
	w.edit(rule, `{"metadata":{"labels":{"app.kubernetes.io/managed-by":null}}}`)
	w.object(prometheusRules, "mqtt", "c", func(u *unstructured.Unstructured) error {
		if got := u.GetLabels()[v1alpha1.LabelManaged]; got != v1alpha1.ManagedBy {
			return errors.New(got)
		}
		return nil
	})
	if err := w.Delete(t.Context(), monitor.DeepCopy()); err != nil {
		t.Fatal(err)
	}
	monitor = w.object(serviceMonitors, "mqtt", "c", interval("30s"))
	w.edit(dashboard, `{"data":{"robustmq-mqtt.json":"{}"}}`)
	w.object(configMaps, operatorNamespace, "robustmq-dashboard-mqtt", func(u *unstructured.Unstructured) error {
		if got, _, _ := unstructured.NestedString(u.Object, "data", "robustmq-mqtt.json"); got != `{"uid":"two"}` {
			return errors.New(got)
		}
		return nil
	})

	// What others say of it for themselves is theirs: no write.
	w.settles(o)
	writes = o.writes.Load()
	w.edit(monitor, `{"metadata":{"annotations":{"example.org/note":"mine"},"labels":{"example.org/team":"a"}}}`)
	w.edit(monitor, `{"status":{"bindings":[]}}`, &client.SubResourcePatchOptions{})
	w.settles(o)
	if o.writes.Load() != writes {
		t.Errorf("%d writes for what others noted on it", o.writes.Load()-writes)
	}

	// An operator that comes back writes nothing but what was changed while it was away.
	o.stop()
	w.edit(rule, `{"spec":{"groups":[]}}`)
	o = w.operate()
	w.says(o, c, v1alpha1.ReasonMonitored)
	w.object(prometheusRules, "mqtt", "c", func(u *unstructured.Unstructured) error {
		if groups, _, _ := unstructured.NestedSlice(u.Object, "spec", "groups"); len(groups) != 1 {
			return fmt.Errorf("%d groups", len(groups))
		}
		return nil
	})
	w.settles(o)
	if got := o.writes.Load(); got != 1 {
		t.Errorf("%d writes for one object that was changed", got)
	}

	// A spec that changes.
	w.change(c, func(c *v1alpha1.RobustMQCluster) {
		c.Spec.Monitoring.Interval = &metav1.Duration{Duration: 15 * time.Second}
		c.Spec.Monitoring.Labels = map[string]string{"release": "stack"}
	})
	w.object(serviceMonitors, "mqtt", "c", interval("15s"))
	for _, k := range []kind{serviceMonitors, prometheusRules} {
		w.object(k, "mqtt", "c", func(u *unstructured.Unstructured) error {
			if u.GetLabels()["release"] != "stack" {
				return fmt.Errorf("%v", u.GetLabels())
			}
			return nil
		})
	}
	off := false
	w.change(c, func(c *v1alpha1.RobustMQCluster) { c.Spec.Monitoring.Rules = &off })
	w.none(prometheusRules, "mqtt")
	w.object(serviceMonitors, "mqtt", "c", nil)
	w.object(configMaps, operatorNamespace, "robustmq-dashboard-mqtt", nil)
	w.change(c, func(c *v1alpha1.RobustMQCluster) { c.Spec.Monitoring.Enabled = &off })
	w.none(serviceMonitors, "mqtt")
	w.none(configMaps, operatorNamespace)
}

// settles waits until the operator has sent nothing that changes something for a while.
func (w *world) settles(o *operator) {
	w.t.Helper()
	last, since := o.writes.Load()+o.reads.Load(), time.Now()
	w.eventually("quiet", func() error {
		if now := o.writes.Load() + o.reads.Load(); now != last {
			last, since = now, time.Now()
		}
		if time.Since(since) < 700*time.Millisecond {
			return errors.New("requests go on")
		}
		return nil
	})
}

func TestNothingIsWrittenForAClusterThatIsPaused(t *testing.T) {
	w := newWorld(t)
	w.grant()
	w.install(serviceMonitors, prometheusRules)
	c := w.cluster("c", func(c *v1alpha1.RobustMQCluster) { c.Spec.Paused = true })
	w.cluster("other", nil)
	o := w.operate()
	w.object(serviceMonitors, "mqtt", "other", nil)
	w.object(prometheusRules, "mqtt", "other", nil)
	w.settles(o)
	list := &unstructured.UnstructuredList{}
	list.SetGroupVersionKind(serviceMonitors.GroupVersionKind)
	if err := w.List(t.Context(), list); err != nil || len(list.Items) != 1 {
		t.Errorf("%d, %v", len(list.Items), err)
	}
	w.change(c, func(c *v1alpha1.RobustMQCluster) { c.Spec.Paused = false })
	w.object(serviceMonitors, "mqtt", "c", nil)
	w.says(o, c, v1alpha1.ReasonMonitored)
}

func TestAServiceMonitorThatSomebodyElseMadeIsLeftAlone(t *testing.T) {
	w := newWorld(t)
	w.grant()
	w.install(serviceMonitors, prometheusRules)
	theirs := &unstructured.Unstructured{Object: map[string]any{"spec": map[string]any{"endpoints": []any{}, "selector": map[string]any{}}}}
	theirs.SetGroupVersionKind(serviceMonitors.GroupVersionKind)
	theirs.SetNamespace("mqtt")
	theirs.SetName("c")
	w.eventually("their ServiceMonitor is taken", func() error { return w.Create(t.Context(), theirs) })
	c := w.cluster("c", nil)
	o := w.operate()
	if m := w.says(o, c, v1alpha1.ReasonNameTaken); !strings.Contains(m, `ServiceMonitor "c"`) {
		t.Error(m)
	}
	w.object(prometheusRules, "mqtt", "c", nil) // the other is made all the same
	is := w.object(serviceMonitors, "mqtt", "c", nil)
	if is.GetResourceVersion() != theirs.GetResourceVersion() {
		t.Error("it was written")
	}
	if err := w.Delete(t.Context(), is); err != nil {
		t.Fatal(err)
	}
	w.says(o, c, v1alpha1.ReasonMonitored)
}

func TestWithoutRightsClustersAreToldAndWithThemAllIsMade(t *testing.T) {
	w := newWorld(t)
	w.grant("robustmq-operator-monitoring", "robustmq-operator-definitions", "robustmq-operator-dashboards")
	w.install(serviceMonitors, prometheusRules)
	c := w.cluster("c", nil)
	o := w.operate()
	if m := w.says(o, c, v1alpha1.ReasonMonitoringForbidden); !strings.Contains(m, "ServiceMonitors and PrometheusRules") || !strings.Contains(m, "config/rbac/monitoring.yaml") {
		t.Error(m)
	}
	w.grant("robustmq-operator-definitions", "robustmq-operator-dashboards")
	w.object(serviceMonitors, "mqtt", "c", nil)
	// The dashboards that this cluster wants cannot be made yet.
	w.eventually("the cluster is told of its dashboards alone", func() error {
		if f, ok := o.record.Of(c); !ok || f.Reason != v1alpha1.ReasonMonitoringForbidden || !strings.HasPrefix(f.Message, "dashboards: ") || !strings.Contains(f.Message, "ConfigMaps") {
			return fmt.Errorf("%t %+v", ok, f)
		}
		return nil
	})
	w.grant("robustmq-operator-definitions")
	w.says(o, c, v1alpha1.ReasonMonitored)

	// Definitions cannot be watched: what goes and comes is noticed all the same.
	w.uninstall(serviceMonitors)
	w.says(o, c, v1alpha1.ReasonKindsMissing)
	w.install(serviceMonitors)
	w.object(serviceMonitors, "mqtt", "c", nil)
	w.says(o, c, v1alpha1.ReasonMonitored)
}
