package rules

// PolicyRules is the table of what policies can require of a RobustMQCluster: one row a requirement. Without a policy that asks for it a row says nothing.
var PolicyRules = []Rule[cluster]{
	requirement(clusterKinds, Rule[cluster]{
		Name: "PolicyMinimumMembers", Operations: always, Requirement: "spec.requirements.minimumPlacementCenterReplicas",
		Why: "A single member bears no failure, three bear the loss of one and five of two: how much a cluster has to bear is the platform team's to say.",
	}, minimumMembers),
	requirement(clusterKinds, Rule[cluster]{
		Name: "PolicyBackupRequired", Operations: always, Requirement: "spec.requirements.backup.required",
		Why:    "Metadata that is on the cluster's own volumes alone is lost with them.",
		WayOut: "add spec.backup with a destination and a schedule that is not suspended",
	}, backupRequired),
	requirement(clusterKinds, Rule[cluster]{
		Name: "PolicyBackupInterval", Operations: always, Requirement: "spec.requirements.backup.maximumInterval",
		Why: "What was changed since the last backup is lost with the volumes.",
	}, backupInterval),
	requirement(clusterKinds, Rule[cluster]{
		Name: "PolicyTLSRequired", Operations: always, Requirement: "spec.requirements.tls.required",
		Why: "Passwords and messages that cross a network in clear can be read on their way.",
	}, tlsRequired),
	requirement(clusterKinds, Rule[cluster]{
		Name: "PolicyVersions", Operations: always, Requirement: "spec.requirements.versions",
		Why: "A platform team supports the versions that it has tried.",
	}, versionsAllowed),
	requirement(clusterKinds, Rule[cluster]{
		Name: "PolicyImageRegistries", Operations: always, Requirement: "spec.requirements.imageRegistries",
		Why: "What runs in the Kubernetes cluster comes from where it is scanned and kept.",
	}, registriesAllowed),
	requirement(clusterKinds, Rule[cluster]{
		Name: "PolicyStorageClasses", Operations: always, Requirement: "spec.requirements.storageClasses",
		Why: "Not every storage class is fast and durable enough for a raft log, and a volume stays in the class in which it was made.",
	}, storageClassesAllowed),
	requirement(clusterKinds, Rule[cluster]{
		Name: "PolicyMaximumMembers", Operations: always, Requirement: "spec.requirements.maximum.placementCenterReplicas",
		Why: "Every member is one more copy of all metadata, and one more that writes wait for.",
	}, maximumMembers),
	requirement(clusterKinds, Rule[cluster]{
		Name: "PolicyMaximumBrokers", Operations: scaled, Requirement: "spec.requirements.maximum.brokers",
		Why: "What a namespace may use is the platform team's to say, and an autoscaler knows no bounds but its own.",
	}, maximumBrokers),
	requirement(clusterKinds, Rule[cluster]{
		Name: "PolicyMaximumJournalServers", Operations: always, Requirement: "spec.requirements.maximum.journalServers",
		Why: "What a namespace may use is the platform team's to say.",
	}, maximumJournalServers),
	requirement(clusterKinds, Rule[cluster]{
		Name: "PolicyMaximumStorage", Operations: always, Requirement: "spec.requirements.maximum.storage",
		Why: "Volumes grow and never shrink: what was given once is not given back.",
	}, maximumStorage),
	requirement(clusterKinds, Rule[cluster]{
		Name: "PolicyMaximumResources", Operations: always, Requirement: "spec.requirements.maximum.resources",
		Why: "A pod that asks for more than any node has is never scheduled, and one without a limit of memory can take all of its node's.",
	}, maximumResources),
	requirement(clusterKinds, Rule[cluster]{
		Name: "PolicyEscapes", Operations: always, Requirement: "spec.requirements.allowedEscapes",
		Why: "Who may take a safety rule off is the platform team's to say.",
	}, escapesAllowed),
}

// requirement completes a row: its check is asked once for every policy, and what it finds is that policy's.
func requirement[T any](kinds []string, r Rule[T], check func(object *T, p *Policy, ctx Context) []Violation) Rule[T] {
	name := r.Name
	r.Kinds, r.DefaultAction = kinds, Deny
	r.Check = func(_, new *T, ctx Context) []Violation {
		var out []Violation
		for i := range ctx.Policies {
			p := &ctx.Policies[i]
			if p.requirements == nil || p.action(name) == Off {
				continue
			}
			for _, v := range check(new, p, ctx) {
				v.Severity, v.Policies = p.action(name), []string{p.Name}
				out = append(out, v)
			}
		}
		return out
	}
	return r
}
