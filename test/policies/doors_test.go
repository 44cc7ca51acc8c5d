package policies

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	autoscalingv1 "k8s.io/api/autoscaling/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/robustmq/robustmq-operator/api/v1alpha1"
	command "github.com/robustmq/robustmq-operator/cmd/operator/validate"
	"github.com/robustmq/robustmq-operator/config/crd"
	"github.com/robustmq/robustmq-operator/internal/validate"
	"github.com/robustmq/robustmq-operator/webhooks/rules"
)

// The three doors, over the same files.

func TestEveryCaseThroughValidate(t *testing.T) {
	definitions, err := validate.Load(crd.Files)
	if err != nil {
		t.Fatal(err)
	}
	judged := 0
	for _, c := range corpus(t) {
		if c.Operation == Delete {
			continue // no file is deleted offline
		}
		judged++
		t.Run(c.Rule+"/"+c.Name, func(t *testing.T) {
			report, err := command.Judge(t.Context(), definitions, input(t, c))
			if err != nil {
				t.Fatal(err)
			}
			if len(report.Unreadable) > 0 || len(report.Objects) == 0 {
				t.Fatalf("%+v", report)
			}
			o := report.Objects[len(report.Objects)-1]
			var errs, warns []string
			for _, f := range o.Findings {
				text := f.Field + ": " + f.Message
				if f.Severity == command.SeverityError {
					errs = append(errs, text)
				} else {
					warns = append(warns, text)
				}
			}
			says := c.Says
			if len(c.OfflineSays) > 0 {
				says = c.OfflineSays
			}
			judge(t, c, c.Offline, says, errs, warns)
		})
	}
	t.Logf("%d cases", judged)
}

// input is a case for validate: what stands before the last document exists.
func input(t *testing.T, c *Case) command.Input {
	t.Helper()
	namespace := ""
	for _, d := range c.Before() {
		if d.GetKind() == "Namespace" {
			namespace = d.GetName()
		}
	}
	text := func(d *unstructured.Unstructured, as string) string {
		if namespace == "" || d.GetKind() == "Namespace" || d.GetKind() == "RobustMQPolicy" {
			return as
		}
		d = d.DeepCopy()
		d.SetNamespace(namespace)
		out, err := yaml.Marshal(d.Object)
		if err != nil {
			t.Fatal(err)
		}
		return string(out)
	}
	last := len(c.Documents) - 1
	in := command.Input{KnowsExisting: true, ServerImage: serverImage}
	read := func(into *validate.Contents, d *unstructured.Unstructured, as string) {
		if err := into.Read(c.Path, strings.NewReader(text(d, as)), func(_, kind string) bool { return kind != "Secret" }); err != nil {
			t.Fatal(err)
		}
	}
	for i, d := range c.Before() {
		read(&in.Existing, d, c.Texts[i])
	}
	judged := c.Judged()
	if c.Operation != Scale {
		read(&in.Files, judged, c.Texts[last])
		return in
	}
	read(&in.Existing, judged, c.Texts[last])
	scaled := judged.DeepCopy()
	if err := unstructured.SetNestedField(scaled.Object, int64(c.Replicas), "spec", "mqttBroker", "replicas"); err != nil {
		t.Fatal(err)
	}
	out, err := yaml.Marshal(scaled.Object)
	if err != nil {
		t.Fatal(err)
	}
	read(&in.Files, scaled, string(out))
	return in
}

// judge compares what was said with what the case wants.
func judge(t *testing.T, c *Case, want Verdict, says, errs, warns []string) {
	t.Helper()
	is := Allowed
	where := warns
	switch {
	case len(errs) > 0:
		is, where = Refused, errs
	case want == Allowed:
		for _, w := range warns {
			if strings.Contains(w, c.Rule) {
				is = Warned
			}
		}
	case len(warns) > 0:
		is = Warned
	}
	if is != want {
		t.Fatalf("%s: %s; want %s\nrefused: %s\nwarned: %s", c.Path, is, want, strings.Join(errs, "\n  "), strings.Join(warns, "\n  "))
	}
	all := strings.Join(where, "\n")
	for _, s := range says {
		if !strings.Contains(all, s) {
			t.Errorf("%s: it does not say %q:\n%s", c.Path, s, all)
		}
	}
	for _, s := range c.SaysNot {
		if strings.Contains(strings.Join(errs, "\n")+strings.Join(warns, "\n"), s) {
			t.Errorf("%s: it says %q:\n%s", c.Path, s, strings.Join(append(errs, warns...), "\n"))
		}
	}
}

func TestEveryCaseThroughTheAPIServerWithItsWebhooks(t *testing.T) {
	s := server(t)
	s.webhooks(t, true)
	cases := corpus(t)
	t.Run("cases", func(t *testing.T) {
		for _, c := range cases {
			t.Run(c.Rule+"/"+c.Name, func(t *testing.T) {
				t.Parallel()
				n := s.stage(t, c, nil)
				before := len(n.warnings.All())
				var errs []string
				if err := n.do(t, c); err != nil {
					errs = append(errs, said(err))
				}
				judge(t, c, c.Expect, c.Says, errs, n.warnings.All()[before:])
			})
		}
	})
	t.Logf("%d cases", len(cases))
}

func TestEveryCaseThroughTheAPIServerWithTheWebhookConfigurationsDeleted(t *testing.T) {
	s := server(t)
	s.webhooks(t, false)
	held := map[Hold]int{}
	t.Run("cases", func(t *testing.T) {
		for _, c := range corpus(t) {
			held[c.WithoutWebhooks]++
			t.Run(c.Rule+"/"+c.Name, func(t *testing.T) {
				t.Parallel()
				// What exists is acted upon, so that the guard has something to compare with.
				n := s.stage(t, c, s.reconcile)
				err := n.do(t, c)
				says := c.Says
				if len(c.WithoutWebhooksSays) > 0 {
					says = c.WithoutWebhooksSays
				}
				if c.WithoutWebhooks == HeldBySchema {
					if err == nil {
						t.Fatalf("%s: the schema let it in", c.Path)
					}
					judge(t, c, Refused, says, []string{said(err)}, nil)
					return
				}
				if err != nil {
					t.Fatalf("%s: the schema refused it: %v", c.Path, err)
				}
				if c.Judged().GetKind() == "RobustMQCluster" && c.Operation != Delete {
					n.guarded(t, c, says)
				} else if c.WithoutWebhooks == HeldByGuard {
					t.Fatalf("%s: there is no reconciler of a %s that could guard it", c.Path, c.Judged().GetKind())
				}
			})
		}
	})
	t.Logf("held by: %v", held)
}

// stage makes a case's namespace and what exists in it. after is called for every cluster that exists once it is written, and before its status is.
func (s *doors) stage(t *testing.T, c *Case, after func(*testing.T, *tenant, string)) *tenant {
	t.Helper()
	var labels map[string]string
	for _, d := range c.Before() {
		if d.GetKind() == "Namespace" {
			labels = d.GetLabels()
		}
	}
	n := s.tenant(t, labels)
	exists := c.Before()
	if c.Operation != Apply {
		exists = c.Documents
	}
	for _, d := range exists {
		if d.GetKind() == "Namespace" {
			continue
		}
		by := n.Client
		if c.ExistingUnjudged {
			by = s.operator
		}
		u := n.place(t, d)
		if err := n.put(t, by, u); err != nil {
			t.Fatalf("%s: what exists is refused: %v", c.Path, err)
		}
		if after != nil && d.GetKind() == "RobustMQCluster" {
			after(t, n, d.GetName())
		}
		if status, ok := d.Object["status"]; ok {
			n.status(t, u, status)
		}
	}
	return n
}

// place is a document as it is made in the case's namespace.
func (n *tenant) place(t *testing.T, d *unstructured.Unstructured) *unstructured.Unstructured {
	t.Helper()
	u := d.DeepCopy()
	delete(u.Object, "status")
	namespaced, err := n.IsObjectNamespaced(u)
	if err != nil {
		t.Fatal(err)
	}
	if namespaced {
		u.SetNamespace(n.namespace)
	}
	return u
}

// limit makes a policy choose the case's own namespace only.
func (n *tenant) limit(t *testing.T, u *unstructured.Unstructured) {
	t.Helper()
	if err := unstructured.SetNestedField(u.Object, n.namespace, "spec", "namespaceSelector", "matchLabels", "kubernetes.io/metadata.name"); err != nil {
		t.Fatal(err)
	}
}

// put creates an object, or replaces the spec of the one that exists. The metadata that others wrote stays.
func (n *tenant) put(t *testing.T, by client.Client, u *unstructured.Unstructured) error {
	t.Helper()
	if u.GetKind() == "RobustMQPolicy" {
		n.limit(t, u)
	}
	live := &unstructured.Unstructured{}
	live.SetGroupVersionKind(u.GroupVersionKind())
	err := n.admin.Get(t.Context(), client.ObjectKeyFromObject(u), live)
	switch {
	case apierrors.IsNotFound(err):
		err = by.Create(t.Context(), u)
	case err != nil:
		t.Fatal(err)
	default:
		err = by.Update(t.Context(), over(u, live))
	}
	if err == nil && u.GetKind() == "RobustMQPolicy" {
		t.Cleanup(func() { _ = client.IgnoreNotFound(n.admin.Delete(t.Context(), u)) })
		n.known(t, u)
	}
	return err
}

// over is what replaces an object: everything as it is wanted, with the identity of the one that lives.
func over(u, live *unstructured.Unstructured) *unstructured.Unstructured {
	out := u.DeepCopy()
	out.SetResourceVersion(live.GetResourceVersion())
	out.SetFinalizers(live.GetFinalizers())
	if s, ok := live.Object["status"]; ok {
		out.Object["status"] = runtime.DeepCopyJSONValue(s)
	}
	return out
}

// known waits until the webhooks know a policy as it was written. They are told of policies in the order in which these are written:
// when they know of a second one, which requires nothing, they know the first.
func (n *tenant) known(t *testing.T, u *unstructured.Unstructured) {
	t.Helper()
	second := &v1alpha1.RobustMQPolicy{}
	second.Name = "second-" + n.namespace
	second.Spec.NamespaceSelector = &metav1.LabelSelector{MatchLabels: map[string]string{"kubernetes.io/metadata.name": n.namespace}}
	if err := n.operator.Create(t.Context(), second); err != nil {
		t.Fatal(err)
	}
	seen := func(wanted bool) func() (bool, string) {
		return func() (bool, string) {
			is := slices.ContainsFunc(n.policies.In(t.Context(), n.namespace), func(p rules.Policy) bool { return p.Name == second.Name })
			return is == wanted, fmt.Sprint(is)
		}
	}
	await(t, "the webhooks to know the policy "+u.GetName(), seen(true))
	if err := n.operator.Delete(t.Context(), second); err != nil {
		t.Fatal(err)
	}
	await(t, "the webhooks to forget the second policy", seen(false))
}

func (n *tenant) status(t *testing.T, u *unstructured.Unstructured, status any) {
	t.Helper()
	live := &unstructured.Unstructured{}
	live.SetGroupVersionKind(u.GroupVersionKind())
	live.SetNamespace(u.GetNamespace())
	live.SetName(u.GetName())
	patch, err := (&unstructured.Unstructured{Object: map[string]any{"apiVersion": u.GetAPIVersion(), "kind": u.GetKind(), "status": status}}).MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	if err := n.admin.Status().Patch(t.Context(), live, client.RawPatch(types.MergePatchType, patch)); err != nil {
		t.Fatalf("the status of what exists: %v", err)
	}
}

// do is what the case is about.
func (n *tenant) do(t *testing.T, c *Case) error {
	t.Helper()
	u := n.place(t, c.Judged())
	switch c.Operation {
	case Scale:
		return n.SubResource("scale").Update(t.Context(), u, client.WithSubResourceBody(&autoscalingv1.Scale{Spec: autoscalingv1.ScaleSpec{Replicas: c.Replicas}}))
	case Delete:
		return n.Delete(t.Context(), u)
	}
	if u.GetKind() == "RobustMQPolicy" {
		return n.tryPolicy(t, u)
	}
	return n.put(t, n.Client, u)
}

// tryPolicy judges a policy without storing it: it would hold for the other cases.
func (n *tenant) tryPolicy(t *testing.T, u *unstructured.Unstructured) error {
	t.Helper()
	live := &unstructured.Unstructured{}
	live.SetGroupVersionKind(u.GroupVersionKind())
	if err := n.admin.Get(t.Context(), client.ObjectKeyFromObject(u), live); err == nil {
		return n.Update(t.Context(), over(u, live), client.DryRunAll)
	}
	return n.Create(t.Context(), u, client.DryRunAll)
}

// reconcile is one pass of the operator's own reconciler.
func (s *doors) reconcile(t *testing.T, n *tenant, name string) {
	t.Helper()
	if _, err := s.reconciler.Reconcile(t.Context(), ctrl.Request{NamespacedName: types.NamespacedName{Namespace: n.namespace, Name: name}}); err != nil {
		t.Fatalf("reconciling %s: %v", name, err)
	}
}

// guarded reconciles what was stored: the guard refuses it and nothing is written, or has nothing against it.
func (n *tenant) guarded(t *testing.T, c *Case, says []string) {
	t.Helper()
	before := n.written(t)
	n.reconcile(t, n, c.Judged().GetName())
	var is v1alpha1.RobustMQCluster
	if err := n.admin.Get(t.Context(), client.ObjectKey{Namespace: n.namespace, Name: c.Judged().GetName()}, &is); err != nil {
		t.Fatal(err)
	}
	message := ""
	for _, condition := range is.Status.Conditions {
		if condition.Type == v1alpha1.ConditionReady && condition.Reason == v1alpha1.ReasonSpecInvalid {
			message = condition.Message
		}
	}
	if c.WithoutWebhooks != HeldByGuard {
		if message != "" {
			t.Errorf("%s: the guard refuses it: %s", c.Path, message)
		}
		return
	}
	if message == "" {
		t.Fatalf("%s: the guard let it through: %+v", c.Path, is.Status.Conditions)
	}
	judge(t, c, Refused, says, []string{message}, nil)
	if after := n.written(t); after != before {
		t.Errorf("%s: the data plane was written although the guard refused:\n%s\nbefore:\n%s", c.Path, after, before)
	}
}

// dataPlane are the kinds that a cluster is made of.
var dataPlane = []string{
	"apps/v1 StatefulSet", "v1 Service", "v1 Secret", "v1 ConfigMap", "v1 Pod", "v1 PersistentVolumeClaim", "policy/v1 PodDisruptionBudget",
	"networking.k8s.io/v1 NetworkPolicy", "networking.k8s.io/v1 Ingress",
}

// written is every object of the data plane with its resource version, one a line.
func (n *tenant) written(t *testing.T) string {
	t.Helper()
	var out strings.Builder
	for _, kind := range dataPlane {
		list := &unstructured.UnstructuredList{}
		version, name, _ := strings.Cut(kind, " ")
		list.SetAPIVersion(version)
		list.SetKind(name + "List")
		if err := n.admin.List(t.Context(), list, client.InNamespace(n.namespace)); err != nil {
			t.Fatal(err)
		}
		for _, o := range list.Items {
			fmt.Fprintf(&out, "%s %s %s\n", name, o.GetName(), o.GetResourceVersion())
		}
	}
	return out.String()
}
