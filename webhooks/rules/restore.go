package rules

import (
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/api/equality"

	"github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/internal/robustmq"
)

type restore = v1alpha1.RobustMQRestore

var restoreKinds = []string{"RobustMQRestore"}

// Restores is the table of rules for a RobustMQRestore.
var Restores = []Rule[restore]{
	{
		Name: "NamesFit", Kinds: restoreKinds, Operations: creations, DefaultAction: Deny,
		Check: func(_, new *restore, _ Context) []Violation {
			return nameWithin(new.Name, v1alpha1.MaxRestoreNameLength)
		},
		Why:    "The names of the Job, its labels and the safety backup are made of the restore's name, and Kubernetes limits them.",
		WayOut: fmt.Sprintf("make it under a name of at most %d lower-case letters, digits and dashes that begins and ends with a letter or digit", v1alpha1.MaxRestoreNameLength),
	},
	{
		Name: "RestoreImmutable", Kinds: restoreKinds, Operations: changes, DefaultAction: Deny, Check: restoreImmutable,
		Why:    "A restore that becomes another one half way is neither.",
		WayOut: "make another RobustMQRestore when this one has ended",
	},
	{
		Name: "BackupDestination", Kinds: restoreKinds, Operations: creations, DefaultAction: Deny, Escape: v1alpha1.AllowInsecureS3, Partly: true, Check: restoreDestination,
		Why: "What S3 cannot find is found out before the cluster is stopped, and backups hold passwords.",
	},
	{
		Name: "RestoreTargetExists", Kinds: restoreKinds, Operations: creations, DefaultAction: Deny, Check: restoreTargetExists,
		Why: "A restore goes into a cluster that was founded; a new one takes its metadata in when it is founded.",
	},
	{
		Name: "RestoreTriggerFits", Kinds: restoreKinds, Operations: creations, DefaultAction: Deny, Check: restoreTriggerFits,
		Why:    "What the operator restores by itself asks nobody and saves nothing before, so it goes where nothing can be overwritten, and brings back what the cluster's own spec names.",
		WayOut: "leave spec.trigger out: a restore that a person makes is Manual, and saves the cluster before it overwrites it",
	},
	{
		Name: "OneRestoreAtATime", Kinds: restoreKinds, Operations: creations, DefaultAction: Deny, Check: oneRestoreAtATime,
		Why: "Two restores of one cluster would overwrite one another's volumes.",
	},
	{
		Name: "RestoreSourceComplete", Kinds: restoreKinds, Operations: creations, DefaultAction: Deny, Check: restoreSourceComplete,
		Why: "A backup that was not read back whole may not be one.",
	},
	{
		Name: "RestoreSameVersion", Kinds: restoreKinds, Operations: creations, DefaultAction: Deny, Check: restoreSameVersion,
		Why: "A server reads what its own version wrote, and what those before it wrote that can run beside it.",
	},
	{
		Name: "RestoreEnoughNodes", Kinds: restoreKinds, Operations: creations, DefaultAction: Deny, Escape: v1alpha1.UnsafeEscape(v1alpha1.AllowFewerNodes), Check: restoreEnoughNodes,
		Why: "Topics name the nodes that hold them, and nothing moves them to others.",
	},
	requirement(restoreKinds, Rule[restore]{
		Name: "PolicyEscapes", Operations: creations, Requirement: "spec.requirements.allowedEscapes",
		Why: "Who may take a safety rule off is the platform team's to say.",
	}, restoreEscapesAllowed),
}

// Restore judges a restore; old is nil when it is created.
func Restore(old, new *v1alpha1.RobustMQRestore, ctx Context) []Violation {
	return Evaluate(Restores, old, new, ctx, func(e v1alpha1.UnsafeEscape) bool {
		return slices.Contains(new.Spec.Unsafe, v1alpha1.RestoreEscape(e))
	})
}

// LiveRestore is what forbids a restore right before it begins, with what lives in its namespace then: the same functions as at admission.
func LiveRestore(r *v1alpha1.RobustMQRestore, around *Around) []Violation {
	return Denied(Restore(nil, r, Context{Operation: Create, Around: around}))
}

func restoreImmutable(old, new *restore, _ Context) []Violation {
	if old == nil || equality.Semantic.DeepEqual(old.Spec, new.Spec) {
		return nil
	}
	return []Violation{{Field: spec, Value: new.Spec.ClusterName, Message: "the spec of a restore cannot change, it may be under way"}}
}

func restoreDestination(_, new *restore, _ Context) []Violation {
	if new.Spec.Source.Destination == nil {
		return nil
	}
	return destination(new.Spec.Source.Destination, spec.Child("source", "destination"))
}

func restoreTargetExists(_, new *restore, ctx Context) []Violation {
	if ctx.Around == nil {
		return nil
	}
	v := Violation{Field: spec.Child("clusterName"), Value: new.Spec.ClusterName}
	switch c := ctx.Around.cluster(new.Spec.ClusterName); {
	case c == nil:
		v.Message, v.WayOut = "there is no such RobustMQCluster in this namespace", "correct the name, or create the cluster with spec.bootstrap.restoreFrom, which restores as it is founded"
	case !c.DeletionTimestamp.IsZero():
		v.Message, v.WayOut = "that cluster is being deleted", "create another with spec.bootstrap.restoreFrom"
	case new.Spec.Trigger == v1alpha1.RestoreBootstrap: // RestoreTriggerFits looks at it
		return nil
	case !c.Status.Founded:
		v.Message, v.WayOut = "that cluster was never founded, so there is nothing to put in its place", "give a new cluster spec.bootstrap.restoreFrom, which restores as it is founded"
	default:
		return nil
	}
	return []Violation{v}
}

// restoreTriggerFits holds what the operator makes by itself to the cluster that it is made for. A cluster that is not there is RestoreTargetExists's.
func restoreTriggerFits(_, new *restore, ctx Context) []Violation {
	if ctx.Around == nil {
		return nil
	}
	c := ctx.Around.cluster(new.Spec.ClusterName)
	if c == nil || !c.DeletionTimestamp.IsZero() {
		return nil
	}
	v := Violation{Field: spec.Child("trigger"), Value: string(new.Spec.Trigger)}
	switch {
	case new.Spec.Trigger == v1alpha1.RestoreBootstrap && c.Status.Founded:
		v.Message = "that cluster was founded and has metadata of its own, which Bootstrap never overwrites"
	case new.Spec.Trigger == v1alpha1.RestoreBootstrap && !bootstrapsFrom(c, &new.Spec.Source):
		v.Message, v.WayOut = "spec.source is not what spec.bootstrap.restoreFrom of that cluster names", "create a cluster with spec.bootstrap.restoreFrom, and the operator makes its restore"
	case new.Spec.Trigger == v1alpha1.RestoreTotalLoss && c.Status.Founded && !itsOwnBackups(c, &new.Spec.Source):
		v.Message = "spec.source is not destination and clusterUID alone, as spec.backup.destination and status.clusterUID of that cluster have them"
		v.WayOut = "write those, or leave spec.trigger out and list SkipSafetyBackup in spec.unsafe, since what is lost cannot be saved"
	default:
		return nil
	}
	return []Violation{v}
}

func bootstrapsFrom(c *cluster, source *v1alpha1.RestoreSource) bool {
	return c.Spec.Bootstrap != nil && c.Spec.Bootstrap.RestoreFrom != nil && equality.Semantic.DeepEqual(c.Spec.Bootstrap.RestoreFrom, source)
}

// itsOwnBackups: the newest good one of the cluster's own backups, where it writes them now.
func itsOwnBackups(c *cluster, source *v1alpha1.RestoreSource) bool {
	return c.Spec.Backup != nil && equality.Semantic.DeepEqual(source, &v1alpha1.RestoreSource{Destination: &c.Spec.Backup.Destination, ClusterUID: c.Status.ClusterUID})
}

// oneRestoreAtATime lets nobody in beside a restore that has not ended. Of several that are there all the same (no webhook was), the oldest that none has overtaken goes first.
func oneRestoreAtATime(_, new *restore, ctx Context) []Violation {
	if ctx.Around == nil {
		return nil
	}
	other := ctx.Around.underWay(func(r *restore) bool {
		return r.Spec.ClusterName == new.Spec.ClusterName && r.Name != new.Name && !goesFirst(new, r)
	})
	if other == nil {
		return nil
	}
	return []Violation{{
		Field: spec.Child("clusterName"), Value: new.Spec.ClusterName, Message: fmt.Sprintf("the restore %s of this cluster has not ended", other.Name),
		WayOut: fmt.Sprintf("wait until it has (kubectl get rmqr %s -n %s)", other.Name, other.Namespace),
	}}
}

// goesFirst reports whether a restore is before another one that waits as well. One that is only being made is before nobody.
func goesFirst(r, other *restore) bool {
	if r.ResourceVersion == "" || other.Status.Stage != "" && other.Status.Stage != v1alpha1.RestoreWaiting {
		return false
	}
	if r.Status.Stage != "" && r.Status.Stage != v1alpha1.RestoreWaiting || r.CreationTimestamp.Before(&other.CreationTimestamp) {
		return true
	}
	return r.CreationTimestamp.Equal(&other.CreationTimestamp) && r.Name < other.Name
}

func restoreSourceComplete(_, new *restore, ctx Context) []Violation {
	name := new.Spec.Source.BackupName
	if ctx.Around == nil || name == "" {
		return nil // a place in a bucket is looked at before anything is stopped
	}
	v := Violation{Field: spec.Child("source", "backupName"), Value: name}
	switch b := ctx.Around.backup(name); {
	case b == nil:
		v.Message, v.WayOut = "there is no such RobustMQBackup in this namespace", "correct the name (kubectl get rmqb), or name its place in the bucket with source.destination and source.key"
	case !b.DeletionTimestamp.IsZero():
		v.Message, v.WayOut = "that backup is being deleted", "choose another"
	case b.Status.Stage == v1alpha1.BackupFailed:
		v.Message, v.WayOut = "that backup has failed", "choose one that is Complete (kubectl get rmqb)"
	case !b.Restorable():
		v.Message, v.WayOut = "that backup is not complete yet", "wait until it is Complete, or choose another (kubectl get rmqb)"
	case b.Status.Encrypted && identity(new, ctx.Around) == "":
		v.Field, v.Value = spec.Child("identitySecretName"), nil
		v.Message, v.WayOut = fmt.Sprintf("the backup %s is encrypted", name), "name a Secret of this namespace whose key identity can read it, here or as spec.backup.encryption.identitySecretName of the cluster"
	default:
		return nil
	}
	return []Violation{v}
}

// identity is the Secret that a restore reads encrypted backups with; "" when none is named.
func identity(r *restore, a *Around) string {
	if r.Spec.IdentitySecretName != "" {
		return r.Spec.IdentitySecretName
	}
	if c := a.cluster(r.Spec.ClusterName); c != nil && c.Spec.Backup != nil && c.Spec.Backup.Encryption != nil {
		return c.Spec.Backup.Encryption.IdentitySecretName
	}
	return ""
}

// sourceAndTarget are the backup and the cluster of a restore, where both are known.
func sourceAndTarget(r *restore, a *Around) (b *backup, c *cluster, ok bool) {
	if a == nil || r.Spec.Source.BackupName == "" {
		return nil, nil, false
	}
	b, c = a.backup(r.Spec.Source.BackupName), a.cluster(r.Spec.ClusterName)
	return b, c, b != nil && c != nil
}

func restoreSameVersion(_, new *restore, ctx Context) []Violation {
	b, c, ok := sourceAndTarget(new, ctx.Around)
	if !ok || b.Status.Version == "" {
		return nil
	}
	runs := c.RunningVersion()
	wrote, err := robustmq.ParseVersion(b.Status.Version)
	reads, err2 := robustmq.ParseVersion(runs)
	if err == nil && err2 == nil && (wrote == reads || wrote.Less(reads) && robustmq.CanRoll(wrote, reads)) {
		return nil
	}
	return []Violation{{
		Field: spec.Child("source", "backupName"), Value: b.Name, Message: fmt.Sprintf("it was written by RobustMQ %s, which the cluster's %s does not read", b.Status.Version, runs),
		WayOut: fmt.Sprintf("choose a backup of %s, or create a new cluster of version %q with spec.bootstrap.restoreFrom", runs, b.Status.Version),
	}}
}

func restoreEnoughNodes(_, new *restore, ctx Context) []Violation {
	b, c, ok := sourceAndTarget(new, ctx.Around)
	if !ok {
		return nil
	}
	saved := map[v1alpha1.Role]int32{
		v1alpha1.RolePlacementCenter: b.Status.Nodes.PlacementCenter, v1alpha1.RoleMQTTBroker: b.Status.Nodes.MQTTBroker, v1alpha1.RoleJournalServer: b.Status.Nodes.JournalServer,
	}
	present := map[v1alpha1.Role]int32{}
	for _, view := range c.Spec.Roles() {
		present[view.Role] = view.Replicas
	}
	var out []Violation
	for _, role := range []v1alpha1.Role{v1alpha1.RolePlacementCenter, v1alpha1.RoleMQTTBroker, v1alpha1.RoleJournalServer} {
		if present[role] < saved[role] {
			out = append(out, Violation{
				Field: spec.Child("source", "backupName"), Value: b.Name, Message: fmt.Sprintf("it knows %d nodes of the role %s and the cluster has %d: topics on the others would stay unusable", saved[role], role, present[role]),
				WayOut: fmt.Sprintf("give the cluster %d of them first, and take them away again afterwards, or list AllowFewerNodes in spec.unsafe", saved[role]),
			})
		}
	}
	return out
}
