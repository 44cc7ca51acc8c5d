package rules

import (
	"fmt"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/robustmq/robustmq-operator/api/v1alpha1"
)

type backup = v1alpha1.RobustMQBackup

var (
	backupKinds = []string{"RobustMQBackup"}
	deletions   = []Operation{Delete}
	creations   = []Operation{Create}
)

// Backups is the table of rules for a RobustMQBackup.
var Backups = []Rule[backup]{
	{
		Name: "NamesFit", Kinds: backupKinds, Operations: creations, DefaultAction: Deny,
		Check:  func(_, new *backup, _ Context) []Violation { return nameWithin(new.Name, v1alpha1.MaxBackupNameLength) },
		Why:    "The names of the Job, its pod and their labels are made of the backup's name, and Kubernetes limits them.",
		WayOut: fmt.Sprintf("make it under a name of at most %d lower-case letters, digits and dashes that begins and ends with a letter or digit", v1alpha1.MaxBackupNameLength),
	},
	{
		Name: "BackupImmutable", Kinds: backupKinds, Operations: changes, DefaultAction: Deny, Check: backupImmutable,
		Why:    "A backup's spec says how it was made, and what was made does not change with it.",
		WayOut: "make another RobustMQBackup",
	},
	{
		Name: "BackupTargetExists", Kinds: backupKinds, Operations: creations, DefaultAction: Warn, Check: backupTargetExists,
		Why: "A backup of nothing, or to nowhere, waits until its deadline and fails.",
	},
	{
		Name: "DeletionProtected", Kinds: backupKinds, Operations: deletions, DefaultAction: Deny, Check: readBackupStays,
		Why: "A restore that loses its source half way leaves the cluster down.",
	},
}

// Backup judges a backup; old is nil when it is created.
func Backup(old, new *v1alpha1.RobustMQBackup, ctx Context) []Violation {
	return Evaluate(Backups, old, new, ctx, nothingAllowed)
}

// DeleteBackup judges the deletion of a backup.
func DeleteBackup(b *v1alpha1.RobustMQBackup, ctx Context) []Violation {
	ctx.Operation = Delete
	return Evaluate(Backups, b, nil, ctx, nothingAllowed)
}

// nothingAllowed is for kinds without escapes.
func nothingAllowed(v1alpha1.UnsafeEscape) bool { return false }

// nameWithin says what is wrong with the name of an object that a Job is named after.
func nameWithin(name string, most int) []Violation {
	at := field.NewPath("metadata", "name")
	if len(name) > most {
		return []Violation{{Field: at, Value: name, Message: fmt.Sprintf("%d characters are more than %d", len(name), most)}}
	}
	if len(validation.IsDNS1123Label(name)) > 0 {
		return []Violation{{Field: at, Value: name, Message: "a Job's label cannot hold it"}}
	}
	return nil
}

func backupImmutable(old, new *backup, _ Context) []Violation {
	if old == nil || equality.Semantic.DeepEqual(old.Spec, new.Spec) {
		return nil
	}
	return []Violation{{Field: spec, Value: new.Spec.ClusterName, Message: "the spec of a backup cannot change"}}
}

func backupTargetExists(_, new *backup, ctx Context) []Violation {
	if ctx.Around == nil {
		return nil
	}
	v := Violation{Field: spec.Child("clusterName"), Value: new.Spec.ClusterName}
	switch c := ctx.Around.cluster(new.Spec.ClusterName); {
	case c == nil:
		v.Message, v.WayOut = "there is no such RobustMQCluster in this namespace yet", "create it, or correct the name"
	case c.Spec.Backup == nil:
		v.Message, v.WayOut = "that cluster does not say where its backups go", "add spec.backup.destination to the cluster"
	default:
		return nil
	}
	return []Violation{v}
}

// readBackupStays keeps a backup while a restore reads it.
func readBackupStays(old, _ *backup, ctx Context) []Violation {
	if ctx.Around == nil {
		return nil
	}
	r := ctx.Around.underWay(func(r *v1alpha1.RobustMQRestore) bool { return r.Spec.Source.BackupName == old.Name })
	if r == nil {
		return nil
	}
	return []Violation{{
		Field: field.NewPath("metadata", "name"), Value: old.Name, Message: fmt.Sprintf("the restore %s reads it", r.Name),
		WayOut: fmt.Sprintf("wait until that has ended (kubectl get rmqr %s -n %s), or delete that first", r.Name, r.Namespace),
	}}
}
