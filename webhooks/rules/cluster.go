package rules

import (
	"slices"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/robustmq/robustmq-operator/api/v1alpha1"
)

type cluster = v1alpha1.RobustMQCluster

var (
	spec         = field.NewPath("spec")
	clusterKinds = []string{"RobustMQCluster"}
	always       = []Operation{Create, Update}
	scaled       = []Operation{Create, Update, Scale}
	changes      = []Operation{Update}
)

// Clusters is the table of rules for a RobustMQCluster.
var Clusters = []Rule[cluster]{
	{
		Name: "NamesFit", Kinds: clusterKinds, Operations: []Operation{Create}, DefaultAction: Deny, Check: namesFit,
		Why:    "The names of Services, pods and labels are made of the cluster's name, and Kubernetes limits them.",
		WayOut: "create the cluster under a name of at most 35 lower-case letters, digits and dashes that begins with a letter and ends with a letter or digit",
	},
	{
		Name: "PlacementCenterSize", Kinds: clusterKinds, Operations: always, DefaultAction: Deny, Check: placementCenterSize,
		Why:    "Every metadata write waits for a majority of the members: more than seven are slow, and fewer than three bear no failure.",
		WayOut: "write 3, or 5 where two members may fail at once",
	},
	{
		Name: "PlacementCenterOdd", Kinds: clusterKinds, Operations: always, DefaultAction: Deny, Escape: v1alpha1.AllowEvenPlacementCenter, Check: placementCenterOdd,
		Why: "An even number of members bears no more failures than one member less, and one more of them can fail.",
	},
	{
		Name: "NoShrinkBelowQuorum", Kinds: clusterKinds, Operations: changes, DefaultAction: Deny, Escape: v1alpha1.AllowShrinkBelowQuorum, Check: noShrinkBelowQuorum,
		Why: "A placement centre that loses more members at once than its quorum can spare cannot agree on anything any more, not even on its new size.",
	},
	{
		Name: "NoShrinkWhileDegraded", Kinds: clusterKinds, Operations: changes, DefaultAction: Deny, Check: noShrinkWhileDegraded,
		Why:    "A voter that is down already counts against the quorum: taking a healthy one away as well may end it.",
		WayOut: "wait until the condition QuorumHealthy is True (kubectl describe rmqc says what is missing), then shrink",
	},
	{
		Name: "BrokersWithinScale", Kinds: clusterKinds, Operations: scaled, DefaultAction: Deny, Check: brokersWithinScale,
		Why:    "Clients need a broker, node ids of brokers go from 1001 to 2000, and every copy of a message needs a node of its own.",
		WayOut: "write a number from 1 to 1000",
	},
	{
		Name: "RoleLayoutFixed", Kinds: clusterKinds, Operations: changes, DefaultAction: Deny, Check: roleLayoutFixed,
		Why: "Messages are stored where the first layout put them, and nothing moves them to another one.",
	},
	{
		Name: "StorageOnlyGrows", Kinds: clusterKinds, Operations: changes, DefaultAction: Deny, Check: storageOnlyGrows,
		Why: "Kubernetes can enlarge a volume and never make it smaller.",
	},
	{
		Name: "StorageClassFixed", Kinds: clusterKinds, Operations: changes, DefaultAction: Deny, Check: storageClassFixed,
		Why:    "A volume stays in the storage class in which it was made.",
		WayOut: "put the old value back, or move to a new cluster",
	},
	{
		Name: "ResourcesCoherent", Kinds: clusterKinds, Operations: always, DefaultAction: Deny, Check: resourcesCoherent,
		Why: "Kubernetes refuses pods whose requests are above their limits, and two forms that contradict one another have no meaning.",
	},
	{
		Name: "LabelsReserved", Kinds: clusterKinds, Operations: always, DefaultAction: Deny, Check: labelsReserved,
		Why:    "Services and StatefulSets find the pods by the operator's labels.",
		WayOut: "choose another key",
	},
	{
		Name: "VersionKnown", Kinds: clusterKinds, Operations: always, DefaultAction: Deny, Check: versionKnown,
		Why: "Configuration, formation and upgrades follow the version: one that cannot be read cannot be run.",
	},
	{
		Name: "VersionForward", Kinds: clusterKinds, Operations: changes, DefaultAction: Deny, Check: versionForward,
		Why:    "An older server does not read what a newer one wrote.",
		WayOut: "keep the version, or make a new cluster of the older version from a backup",
	},
	{
		Name: "VersionHop", Kinds: clusterKinds, Operations: changes, DefaultAction: Deny, Escape: v1alpha1.AllowIncompatibleUpgrade, Check: versionHop,
		Why: "Servers whose raft log and calls are numbered differently read one another's data as something else.",
	},
	{
		Name: "VersionCapabilities", Kinds: clusterKinds, Operations: always, DefaultAction: Warn, Check: versionCapabilities,
		Why: "Older versions lack what newer ones have, and some cannot cluster at all.",
	},
	{
		Name: "ConfigTypes", Kinds: clusterKinds, Operations: always, DefaultAction: Deny, Check: configTypes,
		Why:    "A value that RobustMQ cannot read ends every server at its start, and some that it can read end it later.",
		WayOut: "write what docs/config.md says that the key takes",
	},
	{
		Name: "ConfigReserved", Kinds: clusterKinds, Operations: always, DefaultAction: Deny, Check: configReserved,
		Why: "Identity, addresses, files, ports and credentials must agree with the objects that the operator makes.",
	},
	{
		Name: "ConfigKnownKeys", Kinds: clusterKinds, Operations: always, DefaultAction: Deny, Check: configKnownKeys,
		Why:    "RobustMQ silently ignores a key that it does not know.",
		WayOut: "check its spelling and its section",
	},
	{
		Name: "PortsDistinct", Kinds: clusterKinds, Operations: always, DefaultAction: Deny, Check: portsDistinct,
		Why:    "Every listener opens its port, enabled or not, and a port that is taken ends the server.",
		WayOut: "choose a port that no other listener has",
	},
	{
		Name: "BackupDestination", Kinds: clusterKinds, Operations: always, DefaultAction: Deny, Escape: v1alpha1.AllowInsecureS3, Partly: true, Check: backupDestination,
		Why: "A bucket or an endpoint that cannot be shows when a backup is due, and backups hold passwords, which must not cross the network in clear.",
	},
	{
		Name: "ScheduleValid", Kinds: clusterKinds, Operations: always, DefaultAction: Deny, Check: scheduleValid,
		Why: "A line that nobody can follow makes no backup, and is missed on the day when one is needed.",
	},
	{
		Name: "RetentionKeepsOne", Kinds: clusterKinds, Operations: always, DefaultAction: Deny, Check: retentionKeepsOne,
		Why: "A retention that keeps nothing deletes the last good backup.",
	},
	{
		Name: "NoChangeDuringRestore", Kinds: clusterKinds, Operations: []Operation{Update, Scale}, DefaultAction: Deny, Check: noChangeDuringRestore,
		Why: "A restore gives every member the same data and waits for each of them.",
	},
	{
		Name: "DeletionProtected", Kinds: clusterKinds, Operations: deletions, DefaultAction: Deny, Check: deletionProtected,
		Why: "A cluster that others live on should not go by a slip. Of a namespace that is deleted nothing but this object is kept: Kubernetes asks nobody about its pods, Secrets and volume claims.",
	},
	{
		Name: "BackupAdvised", Kinds: clusterKinds, Operations: always, DefaultAction: Warn, Check: backupAdvised,
		Why:    "Metadata that is on the cluster's own volumes alone is lost with them.",
		WayOut: "add spec.backup with a destination and a schedule",
	},
	{
		Name: "AccessAdvised", Kinds: clusterKinds, Operations: always, DefaultAction: Warn, Check: accessAdvised,
		Why: "RobustMQ's calls between nodes have no authentication, and passwords in clear can be read on their way.",
	},
	{
		Name: "EscapesNamed", Kinds: clusterKinds, Operations: always, DefaultAction: Warn, Check: escapesNamed,
		Why:    "A rule that was taken off for a moment is easily forgotten.",
		WayOut: "take it out of spec.unsafe when it is not needed any more",
	},
}

// Cluster judges a cluster; old is nil when it is created.
func Cluster(old, new *v1alpha1.RobustMQCluster, ctx Context) []Violation {
	out := Evaluate(Clusters, old, new, ctx, new.Spec.Allows)
	if len(ctx.Policies) == 0 {
		return out
	}
	return append(out, Evaluate(PolicyRules, old, new, ctx, new.Spec.Allows)...)
}

// GuardCluster returns what denies a cluster when it is reconciled, for the case that no webhook did. old is the cluster as it was last acted upon:
// its spec as the objects that exist have it, and its status; nil when nothing exists yet.
// While it returns anything the data plane must not be changed.
func GuardCluster(old, new *v1alpha1.RobustMQCluster) []Violation {
	op := Update
	if old == nil {
		op = Create
	}
	return slices.DeleteFunc(Denied(Cluster(old, new, Context{Operation: op})), func(v Violation) bool { return slices.Contains(onlyLive, v.Rule) })
}

// WarnCluster returns what is worth knowing about a cluster that may run as it is.
func WarnCluster(c *v1alpha1.RobustMQCluster) []Violation {
	return Warned(Cluster(nil, c, Context{Operation: Create}))
}
