// Package config_test holds the installation's manifests to what the operator does and to what nobody should be able to do with it.
package config_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/internal/manifests"
)

const operatorNamespace = "robustmq-operator-system"

// objects reads every manifest of some folders.
func objects(t *testing.T, folders ...string) []*unstructured.Unstructured {
	t.Helper()
	var all []*unstructured.Unstructured
	for _, folder := range folders {
		files, err := filepath.Glob(filepath.Join(folder, "*.yaml"))
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: %d files, %v", folder, len(files), err)
		}
		for _, file := range files {
			if filepath.Base(file) == "kustomization.yaml" {
				continue
			}
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			decoder := utilyaml.NewYAMLOrJSONDecoder(bytes.NewReader(text), 4096)
			for {
				u := &unstructured.Unstructured{}
				if err := decoder.Decode(u); errors.Is(err, io.EOF) {
					break
				} else if err != nil {
					t.Fatalf("%s: %v", file, err)
				}
				if u.Object != nil {
					all = append(all, u)
				}
			}
		}
	}
	return all
}

func find[T any](t *testing.T, all []*unstructured.Unstructured, kind, name string) *T {
	t.Helper()
	for _, u := range all {
		if u.GetKind() == kind && u.GetName() == name {
			into := new(T)
			if err := runtime.DefaultUnstructuredConverter.FromUnstructuredWithValidation(u.Object, into, true); err != nil {
				t.Fatal(err)
			}
			return into
		}
	}
	t.Fatalf("no %s %s", kind, name)
	return nil
}

func roles(t *testing.T) map[string][]rbacv1.PolicyRule {
	t.Helper()
	rules := map[string][]rbacv1.PolicyRule{}
	all := objects(t, "rbac", "webhook")
	for _, u := range all {
		switch u.GetKind() {
		case "ClusterRole":
			rules[u.GetName()] = find[rbacv1.ClusterRole](t, all, u.GetKind(), u.GetName()).Rules
		case "Role":
			rules["role "+u.GetName()] = find[rbacv1.Role](t, all, u.GetKind(), u.GetName()).Rules
		}
	}
	if len(rules) < 8 {
		t.Fatalf("only %d roles", len(rules))
	}
	return rules
}

func allows(rules []rbacv1.PolicyRule, group, resource, verb string) bool {
	return slices.ContainsFunc(rules, func(r rbacv1.PolicyRule) bool {
		return slices.Contains(r.APIGroups, group) && slices.Contains(r.Resources, resource) && slices.Contains(r.Verbs, verb) && len(r.ResourceNames) == 0
	})
}

func TestNoRoleHasAWildcardOrAWayToMoreRights(t *testing.T) {
	for name, rules := range roles(t) {
		for _, r := range rules {
			for _, word := range slices.Concat(r.APIGroups, r.Resources, r.Verbs, r.NonResourceURLs) {
				if strings.Contains(word, "*") || slices.Contains([]string{"escalate", "bind", "impersonate"}, word) {
					t.Errorf("%s: %q", name, word)
				}
			}
			for _, resource := range r.Resources {
				if slices.Contains([]string{"pods/exec", "pods/attach", "pods/portforward", "pods/ephemeralcontainers", "serviceaccounts/token", "nodes/proxy"}, resource) {
					t.Errorf("%s: %q", name, resource)
				}
			}
		}
	}
}

func TestSecretsAreInRolesOfTheirOwn(t *testing.T) {
	for name, rules := range roles(t) {
		for _, r := range rules {
			if slices.Contains(r.Resources, "secrets") && name != "robustmq-operator-secrets" && name != "role robustmq-operator-webhook" { // the latter in the operator's own namespace
				t.Errorf("%s reads Secrets", name)
			}
			if name == "robustmq-operator-secrets" && !slices.Equal(r.Resources, []string{"secrets"}) {
				t.Errorf("%s: %v", name, r.Resources)
			}
			if strings.HasPrefix(name, "robustmq-operator") && slices.Contains(r.Resources, "secrets") && slices.Contains(r.Verbs, "delete") {
				t.Errorf("%s may delete Secrets: retained volumes need theirs", name)
			}
		}
	}
}

// The rights follow from the builders: whatever they build is read and applied, whatever they may no longer want is deleted, and nothing else is.
func TestTheOperatorMayDoWhatItsBuildersAskForAndNotMore(t *testing.T) {
	all := roles(t)
	rules := slices.Concat(all["robustmq-operator"], all["robustmq-operator-secrets"])
	everything, nothing := &v1alpha1.RobustMQCluster{}, &v1alpha1.RobustMQCluster{}
	for _, c := range []*v1alpha1.RobustMQCluster{everything, nothing} {
		c.Name, c.Namespace, c.Spec.Version = "c", "ns", "0.4.11"
		c.Default()
	}
	everything.Spec.Ingress = &v1alpha1.IngressSpec{Host: "example.com"}
	everything.Spec.TLS.IssuerRef = &v1alpha1.IssuerReference{Name: "i", Kind: "Issuer"}
	off := false
	nothing.Spec.PlacementCenter.Replicas, nothing.Spec.MQTTBroker.Replicas, nothing.Spec.NetworkPolicy.Enabled = 1, 1, &off

	made, err := manifests.Objects(everything, manifests.Inputs{ClusterDomain: "cluster.local"})
	if err != nil {
		t.Fatal(err)
	}
	wanted := map[string]bool{
		"robustmq.io robustmqclusters get": true, "robustmq.io robustmqclusters list": true, "robustmq.io robustmqclusters watch": true,
		"robustmq.io robustmqclusters/status get": true, "robustmq.io robustmqclusters/status patch": true, "robustmq.io robustmqclusters/status update": true,
		"robustmq.io robustmqclusters/finalizers update": true,
		" pods get":                     true,
		" pods list":                    true,
		" pods watch":                   true,
		" pods delete":                  true,
		" pods patch":                   true, // a pod is given another image; and a restore waits for the configuration with its generation: an annotation makes the kubelet bring it at once
		" persistentvolumeclaims get":   true,
		" persistentvolumeclaims list":  true,
		" persistentvolumeclaims watch": true,
		" persistentvolumeclaims patch": true,
		// The volume of a node that was taken away goes where volumeRetention says so; a StatefulSet is made anew for larger volumes; Jobs pull the images of a changed template.
		" persistentvolumeclaims delete": true,
		"apps statefulsets delete":       true,
		"batch jobs get":                 true,
		"batch jobs list":                true,
		"batch jobs watch":               true,
		"batch jobs create":              true,
		"batch jobs delete":              true,
		"events.k8s.io events create":    true,
		"events.k8s.io events patch":     true,
	}
	for _, o := range made {
		for _, verb := range []string{"get", "create", "patch", "list", "watch"} {
			if o.GetObjectKind().GroupVersionKind() == manifests.CertificateKind && (verb == "list" || verb == "watch") {
				continue // read past the cache: the kind may not exist
			}
			wanted[right(o, verb)] = true
		}
	}
	for _, o := range manifests.Absent(nothing, manifests.Inputs{ClusterDomain: "cluster.local"}) {
		wanted[right(o, "delete")] = true
	}
	for key := range wanted {
		part := strings.Split(key, " ")
		if !allows(rules, part[0], part[1], part[2]) {
			t.Errorf("the operator needs %q and may not", key)
		}
	}
	for _, r := range rules {
		for _, group := range r.APIGroups {
			for _, resource := range r.Resources {
				for _, verb := range r.Verbs {
					if key := group + " " + resource + " " + verb; !wanted[key] {
						t.Errorf("the operator may %q and has no need to", key)
					}
				}
			}
		}
	}
}

func right(o client.Object, verb string) string {
	gvk := o.GetObjectKind().GroupVersionKind()
	plural := strings.ToLower(gvk.Kind) + "s"
	switch {
	case strings.HasSuffix(gvk.Kind, "y"):
		plural = strings.ToLower(strings.TrimSuffix(gvk.Kind, "y")) + "ies"
	case strings.HasSuffix(gvk.Kind, "s"):
		plural = strings.ToLower(gvk.Kind) + "es"
	}
	return gvk.Group + " " + plural + " " + verb
}

func TestTheOperatorsPodPassesThePodSecurityProfileRestricted(t *testing.T) {
	pod := find[appsv1.Deployment](t, objects(t, "manager"), "Deployment", "robustmq-operator").Spec.Template
	evaluator, err := policy.NewEvaluator(policy.DefaultChecks(), nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, result := range evaluator.EvaluatePod(api.LevelVersion{Level: api.LevelRestricted, Version: api.LatestVersion()}, &pod.ObjectMeta, &pod.Spec) {
		if !result.Allowed {
			t.Errorf("%s: %s", result.ForbiddenReason, result.ForbiddenDetail)
		}
	}
	if c := pod.Spec.Containers[0].SecurityContext; c.ReadOnlyRootFilesystem == nil || !*c.ReadOnlyRootFilesystem {
		t.Error("the root file system can be written")
	}
}

func TestServicesAndClustersFindTheOperatorsPod(t *testing.T) {
	all := objects(t, "manager", "webhook")
	pod := find[appsv1.Deployment](t, all, "Deployment", "robustmq-operator").Spec.Template
	if !labels.SelectorFromSet(manifests.OperatorPodLabels).Matches(labels.Set(pod.Labels)) {
		t.Errorf("the clusters' NetworkPolicies let %v in, the operator's pods are %v", manifests.OperatorPodLabels, pod.Labels)
	}
	ports := map[string]bool{}
	for _, p := range pod.Spec.Containers[0].Ports {
		ports[p.Name] = true
		ports[strconv.Itoa(int(p.ContainerPort))] = true
	}
	for _, name := range []string{"robustmq-operator-metrics", "robustmq-operator-webhook"} {
		s := find[corev1.Service](t, all, "Service", name)
		if !labels.SelectorFromSet(s.Spec.Selector).Matches(labels.Set(pod.Labels)) {
			t.Errorf("%s selects %v", name, s.Spec.Selector)
		}
		for _, p := range s.Spec.Ports {
			if !ports[p.TargetPort.String()] {
				t.Errorf("%s: no port %s in the pod", name, p.TargetPort.String())
			}
		}
	}
}

func TestEverythingIsInTheOperatorsNamespaceAndBoundToItsAccount(t *testing.T) {
	for _, u := range objects(t, "manager", "rbac", "webhook", "network-policy") {
		switch u.GetKind() {
		case "Namespace", "ClusterRole", "ClusterRoleBinding", "MutatingWebhookConfiguration", "ValidatingWebhookConfiguration":
			if u.GetNamespace() != "" {
				t.Errorf("%s %s has a namespace", u.GetKind(), u.GetName())
			}
		default:
			if u.GetNamespace() != operatorNamespace {
				t.Errorf("%s %s is in %q", u.GetKind(), u.GetName(), u.GetNamespace())
			}
		}
		subjects, _, err := unstructured.NestedSlice(u.Object, "subjects")
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range subjects {
			if m := s.(map[string]any); m["kind"] != "ServiceAccount" || m["name"] != "robustmq-operator" || m["namespace"] != operatorNamespace {
				t.Errorf("%s %s is bound to %v", u.GetKind(), u.GetName(), m)
			}
		}
	}
}

func TestPeopleGetTheClustersRightsWithTheirOwn(t *testing.T) {
	all := objects(t, "rbac")
	for name, want := range map[string]string{"robustmq-view": "view", "robustmq-edit": "edit"} {
		role := find[rbacv1.ClusterRole](t, all, "ClusterRole", name)
		if role.Labels["rbac.authorization.k8s.io/aggregate-to-"+want] != "true" {
			t.Errorf("%s is not part of %s", name, want)
		}
		if name == "robustmq-view" && (allows(role.Rules, "robustmq.io", "robustmqclusters", "update") || !allows(role.Rules, "robustmq.io", "robustmqclusters", "watch")) {
			t.Error("whoever may view may change, or not even watch")
		}
	}
}

// With failurePolicy Fail the operator would lock itself out while its own webhooks are not served yet.
func TestTheWebhooksLetTheOperatorsOwnWritesThrough(t *testing.T) {
	all := objects(t, "rbac", "manager", "webhook")
	account := find[corev1.ServiceAccount](t, all, "ServiceAccount", "robustmq-operator")
	if got := find[appsv1.Deployment](t, all, "Deployment", "robustmq-operator").Spec.Template.Spec.ServiceAccountName; got != account.Name {
		t.Errorf("the operator runs as %q", got)
	}
	user := "'system:serviceaccount:" + account.Namespace + ":" + account.Name + "'"
	webhooks := 0
	for _, u := range all {
		if !strings.HasSuffix(u.GetKind(), "WebhookConfiguration") {
			continue
		}
		list, _, err := unstructured.NestedSlice(u.Object, "webhooks")
		if err != nil {
			t.Fatal(err)
		}
		for _, w := range list {
			webhooks++
			conditions, _, err := unstructured.NestedSlice(w.(map[string]any), "matchConditions")
			if err != nil {
				t.Fatal(err)
			}
			if !slices.ContainsFunc(conditions, func(c any) bool { return c.(map[string]any)["expression"] == "request.userInfo.username != "+user }) {
				t.Errorf("%s of %s asks the operator about itself", w.(map[string]any)["name"], u.GetName())
			}
		}
	}
	if webhooks < 3 {
		t.Errorf("%d webhooks", webhooks)
	}
}

// Policies are the platform team's: the operator reads them, and a namespaced installation reads nothing outside of its namespaces.
func TestPoliciesAreReadAndOnlyTheirStatusIsWritten(t *testing.T) {
	wanted := map[string]bool{"robustmq.io robustmqpolicies/status patch": true}
	for _, verb := range []string{"get", "list", "watch"} {
		wanted["robustmq.io robustmqpolicies "+verb], wanted[" namespaces "+verb] = true, true
	}
	for name, rules := range roles(t) {
		if !strings.HasPrefix(name, "robustmq-operator") && !strings.HasPrefix(name, "role robustmq-operator") {
			continue
		}
		for _, r := range rules {
			for _, resource := range r.Resources {
				for _, verb := range r.Verbs {
					key := r.APIGroups[0] + " " + resource + " " + verb
					if slices.Equal(r.ResourceNames, []string{"kube-system"}) && key == " namespaces get" {
						continue // not the namespaces that policies select, but which Kubernetes this is
					}
					if name == "robustmq-operator-policies" && !wanted[key] || name != "robustmq-operator-policies" && wanted[key] {
						t.Errorf("%s: %q", name, key)
					}
					if name == "robustmq-operator-policies" {
						delete(wanted, key)
					}
				}
			}
		}
	}
	for key := range wanted {
		t.Errorf("the operator may not %q", key)
	}
	for name, rules := range roles(t) {
		if name == "robustmq-edit" && allows(rules, "robustmq.io", "robustmqpolicies", "create") {
			t.Error("whoever may edit a namespace may lift what holds for it")
		}
	}
	text, err := os.ReadFile("namespaced/kustomization.yaml")
	if err != nil || !strings.Contains(string(text), "kind: ClusterRoleBinding\n    metadata:\n      name: robustmq-operator-policies\n") {
		t.Errorf("a namespaced installation reads every namespace's labels: %v", err)
	}
}

// Nodes and volumes are in no namespace: they may be read, and nothing else, in every installation.
func TestNodesAndVolumesAreReadAndNeverWritten(t *testing.T) {
	wanted := map[string]bool{" nodes get": true, " nodes list": true, " nodes watch": true, " persistentvolumes get": true}
	for name, rules := range roles(t) {
		for _, r := range rules {
			for _, resource := range r.Resources {
				for _, verb := range r.Verbs {
					key := r.APIGroups[0] + " " + resource + " " + verb
					of := resource == "nodes" || resource == "persistentvolumes"
					switch {
					case name == "robustmq-operator-nodes" && !wanted[key], name != "robustmq-operator-nodes" && of:
						t.Errorf("%s: %q", name, key)
					case name == "robustmq-operator-nodes":
						delete(wanted, key)
					}
				}
			}
		}
	}
	for key := range wanted {
		t.Errorf("the operator may not %q", key)
	}
	text, err := os.ReadFile("namespaced/kustomization.yaml")
	if err != nil || strings.Contains(string(text), "robustmq-operator-nodes\n") {
		t.Errorf("a namespaced installation does not see the nodes that carry its pods: %v", err)
	}
}

// A namespaced installation has every role of everywhere.yaml bound in its namespaces, and nowhere else.
func TestTheNamespacedInstallationBindsEveryRoleWhereItIsWanted(t *testing.T) {
	text, err := os.ReadFile("namespaced/kustomization.yaml")
	if err != nil {
		t.Fatal(err)
	}
	bound := objects(t, "namespaced")
	seen := 0
	for _, u := range objects(t, "rbac") {
		data, err := os.ReadFile("rbac/everywhere.yaml")
		if err != nil {
			t.Fatal(err)
		}
		if u.GetKind() != "ClusterRoleBinding" || !strings.Contains(string(data), "kind: ClusterRoleBinding\nmetadata:\n  name: "+u.GetName()+"\n") {
			continue
		}
		seen++
		if !strings.Contains(string(text), "kind: ClusterRoleBinding\n    metadata:\n      name: "+u.GetName()+"\n") {
			t.Errorf("%s is still bound everywhere", u.GetName())
		}
		here := find[rbacv1.RoleBinding](t, bound, "RoleBinding", u.GetName())
		if everywhere := find[rbacv1.ClusterRoleBinding](t, objects(t, "rbac"), "ClusterRoleBinding", u.GetName()); here.RoleRef != everywhere.RoleRef || !slices.Equal(here.Subjects, everywhere.Subjects) {
			t.Errorf("%s binds %v to %v in a namespace, %v to %v everywhere", u.GetName(), here.RoleRef, here.Subjects, everywhere.RoleRef, everywhere.Subjects)
		}
	}
	if seen != 5 {
		t.Errorf("%d bindings", seen)
	}
}
