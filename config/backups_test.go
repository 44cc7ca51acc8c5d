package config_test

import (
	"slices"
	"strings"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
)

// grantsOnly holds one role to what is wanted ("group resource verb") and to reading what it is about, its Jobs and their pods; no other of the operator's roles has to do with the resource.
func grantsOnly(t *testing.T, role, resource string, wanted map[string]bool) {
	t.Helper()
	for _, verb := range []string{"get", "list", "watch"} {
		wanted["robustmq.io "+resource+" "+verb], wanted["batch jobs "+verb], wanted[" pods "+verb] = true, true, true
	}
	for name, rules := range roles(t) {
		for _, r := range rules {
			for _, of := range r.Resources {
				for _, verb := range r.Verbs {
					key := r.APIGroups[0] + " " + of + " " + verb
					switch {
					case name == role && !wanted[key]:
						t.Errorf("%s: %q", name, key)
					case name == role:
						delete(wanted, key)
					case strings.HasPrefix(name, "robustmq-operator") && strings.HasPrefix(of, resource):
						t.Errorf("%s: %q belongs into the role %s", name, key, role)
					}
				}
			}
		}
	}
	for key := range wanted {
		t.Errorf("the operator may not %q", key)
	}
}

// What the controller of backups and their plan do, and nothing else: test/simulated runs them with these rights.
func TestBackupsAreMadeByJobsAndTheOperatorMayDoNoMoreForThem(t *testing.T) {
	wanted := map[string]bool{
		"robustmq.io robustmqbackups create": true, "robustmq.io robustmqbackups patch": true, "robustmq.io robustmqbackups delete": true,
		"robustmq.io robustmqbackups/status update": true, "robustmq.io robustmqbackups/finalizers update": true,
		"batch jobs create": true, "batch jobs delete": true, " events list": true, // why a Job has no pod
	}
	grantsOnly(t, "robustmq-operator-backups", "robustmqbackups", wanted)
	all := objects(t, "rbac")
	if installation := find[rbacv1.ClusterRole](t, all, "ClusterRole", "robustmq-operator-installation"); len(installation.Rules) != 1 || !slices.Equal(installation.Rules[0].ResourceNames, []string{"kube-system"}) || !slices.Equal(installation.Rules[0].Verbs, []string{"get"}) {
		t.Errorf("more than the name of one namespace: %v", installation.Rules)
	}
	for verb, want := range map[string]bool{"watch": true, "create": false} {
		if allows(find[rbacv1.ClusterRole](t, all, "ClusterRole", "robustmq-view").Rules, "robustmq.io", "robustmqbackups", verb) != want {
			t.Errorf("whoever may view may %s backups: want %t", verb, want)
		}
	}
	if !allows(find[rbacv1.ClusterRole](t, all, "ClusterRole", "robustmq-edit").Rules, "robustmq.io", "robustmqbackups", "create") {
		t.Error("whoever may edit cannot make a backup")
	}
	if edit := find[rbacv1.ClusterRole](t, all, "ClusterRole", "robustmq-edit").Rules; allows(edit, "robustmq.io", "robustmqbackups/status", "update") {
		t.Error("people may write what the operator saw")
	}
}

// What the controller of restores does, and the cluster's that makes one after a total loss or for a new cluster, and nothing else.
func TestRestoresAreMadeAndFollowedAndNeverDeletedByTheOperator(t *testing.T) {
	wanted := map[string]bool{
		"robustmq.io robustmqrestores create": true, "robustmq.io robustmqrestores patch": true,
		"robustmq.io robustmqrestores/status update": true, "robustmq.io robustmqrestores/finalizers update": true,
		"batch jobs create": true, "batch jobs delete": true, " events list": true, // why a Job has no pod
	}
	grantsOnly(t, "robustmq-operator-restores", "robustmqrestores", wanted)
	all := objects(t, "rbac")
	view, edit := find[rbacv1.ClusterRole](t, all, "ClusterRole", "robustmq-view").Rules, find[rbacv1.ClusterRole](t, all, "ClusterRole", "robustmq-edit").Rules
	for verb, want := range map[string]bool{"watch": true, "create": false, "patch": false} {
		if allows(view, "robustmq.io", "robustmqrestores", verb) != want {
			t.Errorf("whoever may view may %s restores: want %t", verb, want)
		}
	}
	for _, verb := range []string{"create", "patch", "delete"} { // patch: the annotation that takes one back
		if !allows(edit, "robustmq.io", "robustmqrestores", verb) {
			t.Errorf("whoever may edit may not %s restores", verb)
		}
	}
	if allows(edit, "robustmq.io", "robustmqrestores/status", "update") || allows(edit, "robustmq.io", "robustmqrestores/status", "patch") {
		t.Error("people may write what the operator saw")
	}
}
