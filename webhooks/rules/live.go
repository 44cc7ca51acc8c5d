package rules

import (
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/robustmq/robustmq-operator/api/v1alpha1"
)

// live are the rules that are asked again right before the operator acts, of the cluster as it is then: what was admitted with a healthy cluster, or with a status
// that somebody wrote, may be wrong now.
var live = []string{"NoShrinkBelowQuorum", "NoShrinkWhileDegraded", "BrokersWithinScale", "VersionKnown", "VersionForward", "VersionHop", "NoChangeDuringRestore"}

// onlyLive are those of them that are no reason to leave a cluster alone: a degraded one has to be mended, whatever its spec asks for meanwhile.
var onlyLive = []string{"NoShrinkWhileDegraded", "NoChangeDuringRestore"}

// ofSettings are the rules about the keys of spec.config.
var ofSettings = []string{"ConfigTypes", "ConfigReserved", "ConfigKnownKeys"}

// OnlySettings reports whether there are violations, and all of them are about keys of spec.config: what one release of the operator takes for wrong, another may have let in.
func OnlySettings(vs []Violation) bool {
	return len(vs) > 0 && !slices.ContainsFunc(vs, func(v Violation) bool { return !slices.Contains(ofSettings, v.Rule) })
}

// LiveCluster returns what forbids to act upon a cluster's spec now. old is the cluster as its objects and its members' own answers have it, spec and status; nil when nothing exists yet.
// What it returns holds back the change that it names, and nothing else: repairs go on.
func LiveCluster(old, new *v1alpha1.RobustMQCluster, around *Around) []Violation {
	if old == nil {
		return nil
	}
	return slices.DeleteFunc(Denied(Cluster(old, new, Context{Operation: Update, Around: around})), func(v Violation) bool { return !slices.Contains(live, v.Rule) })
}

// noChangeDuringRestore keeps what a restore counts on: who is there, what they run and where their data is.
func noChangeDuringRestore(old, new *cluster, ctx Context) []Violation {
	if old == nil || ctx.Around == nil {
		return nil
	}
	changed := restoredFields(old, new)
	if len(changed) == 0 {
		return nil
	}
	r := ctx.Around.underWay(func(r *v1alpha1.RobustMQRestore) bool { return r.Spec.ClusterName == new.Name })
	if r == nil {
		return nil
	}
	for i := range changed {
		changed[i].Message = fmt.Sprintf("the restore %s of this cluster is under way, and counts on what is there", r.Name)
		changed[i].WayOut = fmt.Sprintf("make the change when it has ended (kubectl get rmqr %s -n %s)", r.Name, r.Namespace)
	}
	return changed
}

// ChangesWhatARestoreCountsOn reports whether two specs differ in topology, version or storage, so that restores have to be looked at.
func ChangesWhatARestoreCountsOn(old, new *v1alpha1.RobustMQCluster) bool {
	return old != nil && len(restoredFields(old, new)) > 0
}

// restoredFields are the fields that differ, with their new values.
func restoredFields(old, new *cluster) []Violation {
	var out []Violation
	differ := func(same bool, at *field.Path, value any) {
		if !same {
			out = append(out, Violation{Field: at, Value: value})
		}
	}
	differ(old.Spec.Version == new.Spec.Version, versionField, new.Spec.Version)
	differ((old.Spec.JournalServer == nil) == (new.Spec.JournalServer == nil), spec.Child("journalServer"), nil)
	eachRole(old, new, func(was, is v1alpha1.RoleView, at *field.Path) {
		differ(was.Replicas == is.Replicas, at.Child("replicas"), is.Replicas)
		before, after := storageOf(was.RoleSpec), storageOf(is.RoleSpec)
		differ(before.Cmp(after) == 0, at.Child("storage"), after.String())
		differ(class(was.StorageClassName) == class(is.StorageClassName), at.Child("storageClassName"), is.StorageClassName)
	})
	return out
}
