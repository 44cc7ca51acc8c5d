package rules

import (
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/robustmq/robustmq-operator/api/v1alpha1"
)

// namespace is one with a cluster that stands and a backup of it that is complete.
func namespace(change func(*Around)) *Around {
	b := backup{ObjectMeta: metav1.ObjectMeta{Name: "saved", Namespace: "default"}, Spec: v1alpha1.RobustMQBackupSpec{ClusterName: "my-cluster"}}
	b.Status = v1alpha1.RobustMQBackupStatus{
		Stage: v1alpha1.BackupComplete, Version: "0.4.11", Nodes: v1alpha1.RoleCounts{PlacementCenter: 3, MQTTBroker: 2},
		Conditions: []metav1.Condition{{Type: v1alpha1.ConditionComplete, Status: metav1.ConditionTrue}},
	}
	a := &Around{Clusters: []cluster{*stands(3)}, Backups: []backup{b}}
	if change != nil {
		change(a)
	}
	return a
}

func undo() *restore {
	r := restoring("my-cluster")
	r.Name, r.Status = "undo-2", v1alpha1.RobustMQRestoreStatus{}
	return &r
}

func TestARestoreThatCannotWorkIsRefusedBeforeAnythingStops(t *testing.T) {
	now := metav1.Now()
	cl := func(change func(*cluster)) func(*Around) { return func(a *Around) { change(&a.Clusters[0]) } }
	bk := func(change func(*backup)) func(*Around) { return func(a *Around) { change(&a.Backups[0]) } }
	for what, c := range map[string]struct {
		around func(*Around)
		change func(*restore)
		want   string // "Rule@field: part of the text"; empty: allowed
	}{
		"all is well":               {nil, nil, ""},
		"no such cluster":           {func(a *Around) { a.Clusters = nil }, nil, "RestoreTargetExists@spec.clusterName: spec.bootstrap.restoreFrom"},
		"another cluster":           {nil, func(r *restore) { r.Spec.ClusterName = "other" }, "RestoreTargetExists@spec.clusterName: no such RobustMQCluster"},
		"a cluster on its way out":  {cl(func(c *cluster) { c.DeletionTimestamp = &now }), nil, "RestoreTargetExists@spec.clusterName: being deleted"},
		"a cluster never founded":   {cl(func(c *cluster) { c.Status.Founded = false }), nil, "RestoreTargetExists@spec.clusterName: never founded"},
		"another restore under way": {func(a *Around) { a.Restores = []restore{restoring("my-cluster")} }, nil, "OneRestoreAtATime@spec.clusterName: restore undo of this cluster has not ended"},
		"another that waits":        {func(a *Around) { r := restoring("my-cluster"); r.Status.Stage = ""; a.Restores = []restore{r} }, nil, "OneRestoreAtATime@spec.clusterName: kubectl get rmqr undo -n default"},
		"another that failed": {func(a *Around) {
			r := restoring("my-cluster")
			r.Status.Stage = v1alpha1.RestoreFailed
			a.Restores = []restore{r}
		}, nil, ""},
		"another that is complete": {func(a *Around) {
			r := restoring("my-cluster")
			r.Status.Stage = v1alpha1.RestoreComplete
			a.Restores = []restore{r}
		}, nil, ""},
		"another cluster's restore":   {func(a *Around) { a.Restores = []restore{restoring("other")} }, nil, ""},
		"itself":                      {func(a *Around) { a.Restores = []restore{*undo()} }, nil, ""},
		"no such backup":              {func(a *Around) { a.Backups = nil }, nil, "RestoreSourceComplete@spec.source.backupName: no such RobustMQBackup"},
		"a backup that failed":        {bk(func(b *backup) { b.Status.Stage, b.Status.Conditions = v1alpha1.BackupFailed, nil }), nil, "RestoreSourceComplete@spec.source.backupName: has failed"},
		"a backup under way":          {bk(func(b *backup) { b.Status.Stage, b.Status.Conditions = v1alpha1.BackupUploading, nil }), nil, "RestoreSourceComplete@spec.source.backupName: not complete yet"},
		"a backup that was not read":  {bk(func(b *backup) { b.Status.Conditions[0].Status = metav1.ConditionFalse }), nil, "RestoreSourceComplete@spec.source.backupName: not complete yet"},
		"a backup on its way out":     {bk(func(b *backup) { b.DeletionTimestamp = &now }), nil, "RestoreSourceComplete@spec.source.backupName: being deleted"},
		"encrypted, and no identity":  {bk(func(b *backup) { b.Status.Encrypted = true }), nil, "RestoreSourceComplete@spec.identitySecretName: encrypted"},
		"encrypted, with an identity": {bk(func(b *backup) { b.Status.Encrypted = true }), func(r *restore) { r.Spec.IdentitySecretName = "id" }, ""},
		"encrypted, with the cluster's identity": {func(a *Around) {
			a.Backups[0].Status.Encrypted = true
			a.Clusters[0].Spec.Backup = &v1alpha1.BackupSpec{Encryption: &v1alpha1.BackupEncryption{IdentitySecretName: "id"}}
		}, nil, ""},
		"written by a newer version":   {cl(func(c *cluster) { c.Status.Version = "0.4.10" }), nil, "RestoreSameVersion@spec.source.backupName: 0.4.10"},
		"written by one that it reads": {cl(func(c *cluster) { c.Status.Version = "0.4.12" }), nil, ""},
		"written by a foreign one":     {bk(func(b *backup) { b.Status.Version = "0.4.8" }), nil, "RestoreSameVersion@spec.source.backupName: 0.4.8"},
		"the same, of limited support": {func(a *Around) { a.Backups[0].Status.Version, a.Clusters[0].Status.Version = "0.4.8", "0.4.8" }, nil, ""},
		"what runs counts":             {cl(func(c *cluster) { c.Spec.Version = "0.4.9" }), nil, ""},
		"what an upgrade has begun to start": {cl(func(c *cluster) {
			c.Status.Version, c.Status.Upgrade = "0.4.8", &v1alpha1.OfflineUpgrade{Version: "0.4.11", Opened: true}
		}), nil, ""},
		"what an upgrade was not begun to start": {cl(func(c *cluster) {
			c.Status.Version, c.Status.Upgrade = "0.4.8", &v1alpha1.OfflineUpgrade{Version: "0.4.11"}
		}), nil, "RestoreSameVersion@spec.source.backupName: 0.4.8"},
		"what shall run, if none does":  {cl(func(c *cluster) { c.Spec.Version, c.Status.Version = "0.4.9", "" }), nil, "RestoreSameVersion@spec.source.backupName: 0.4.9"},
		"fewer members than it knows":   {bk(func(b *backup) { b.Status.Nodes.PlacementCenter = 5 }), nil, "RestoreEnoughNodes@spec.source.backupName: give the cluster 5"},
		"fewer brokers than it knows":   {bk(func(b *backup) { b.Status.Nodes.MQTTBroker = 3 }), nil, "RestoreEnoughNodes@spec.source.backupName: 3 nodes of the role MQTTBroker"},
		"journal servers that it knows": {bk(func(b *backup) { b.Status.Nodes.JournalServer = 1 }), nil, "RestoreEnoughNodes@spec.source.backupName: AllowFewerNodes"},
		"fewer, and that is allowed":    {bk(func(b *backup) { b.Status.Nodes.MQTTBroker = 9 }), func(r *restore) { r.Spec.Unsafe = []v1alpha1.RestoreEscape{v1alpha1.AllowFewerNodes} }, ""},
		"from a bucket": {func(a *Around) { a.Backups = nil }, func(r *restore) {
			r.Spec.Source = v1alpha1.RestoreSource{Destination: &v1alpha1.S3Destination{Bucket: "backups"}}
		}, ""},
		"from a bucket that is none": {nil, func(r *restore) {
			r.Spec.Source = v1alpha1.RestoreSource{Destination: &v1alpha1.S3Destination{Bucket: "s3://backups"}}
		}, "BackupDestination@spec.source.destination.bucket: without s3://"},
		"from a bucket in clear": {nil, func(r *restore) {
			r.Spec.Source = v1alpha1.RestoreSource{Destination: &v1alpha1.S3Destination{Bucket: "backups", Endpoint: "http://minio:9000"}}
		}, "BackupDestination@spec.source.destination.endpoint: AllowInsecureS3"},
		"from a bucket in clear, and that is allowed": {nil, func(r *restore) {
			r.Spec.Source = v1alpha1.RestoreSource{Destination: &v1alpha1.S3Destination{Bucket: "backups", Endpoint: "http://minio:9000"}}
			r.Spec.Unsafe = []v1alpha1.RestoreEscape{v1alpha1.RestoreInsecureS3}
		}, ""},
		"for a new cluster":                    {newCluster(nil), bootstrap(nil), ""},
		"for a new cluster, without a trigger": {newCluster(nil), nil, "RestoreTargetExists@spec.clusterName: never founded"},
		"for a cluster that was founded":       {newCluster(func(c *cluster) { c.Status.Founded = true }), bootstrap(nil), "RestoreTriggerFits@spec.trigger: has metadata of its own"},
		"for a new cluster that starts empty":  {newCluster(func(c *cluster) { c.Spec.Bootstrap = nil }), bootstrap(nil), "RestoreTriggerFits@spec.trigger: spec.bootstrap.restoreFrom"},
		"for a new cluster without a source":   {newCluster(func(c *cluster) { c.Spec.Bootstrap.RestoreFrom = nil }), bootstrap(nil), "RestoreTriggerFits@spec.trigger: spec.bootstrap.restoreFrom"},
		"for a new cluster, and something else": {newCluster(nil), bootstrap(func(s *v1alpha1.RestoreSource) {
			*s = v1alpha1.RestoreSource{Destination: &v1alpha1.S3Destination{Bucket: "backups"}}
		}), "RestoreTriggerFits@spec.trigger: create a cluster with spec.bootstrap.restoreFrom"},
		"for a new cluster on its way out":                       {newCluster(func(c *cluster) { c.DeletionTimestamp = &now }), bootstrap(nil), "RestoreTargetExists@spec.clusterName: being deleted"},
		"for no cluster":                                         {func(a *Around) { a.Clusters = nil }, bootstrap(nil), "RestoreTargetExists@spec.clusterName: no such RobustMQCluster"},
		"after a total loss":                                     {saves(nil), lost(nil), ""},
		"after a loss of what was never founded":                 {saves(func(c *cluster) { c.Status.Founded = false }), lost(nil), "RestoreTargetExists@spec.clusterName: never founded"},
		"after a loss of what was never founded, from elsewhere": {saves(func(c *cluster) { c.Status.Founded = false }), lost(func(s *v1alpha1.RestoreSource) { s.ClusterUID = "" }), "RestoreTargetExists@spec.clusterName: never founded"},
		"after a loss, without backups":                          {nil, lost(nil), "RestoreTriggerFits@spec.trigger: spec.backup.destination"},
		"after a loss, from elsewhere":                           {saves(nil), lost(func(s *v1alpha1.RestoreSource) { s.Destination.Prefix = "other" }), "RestoreTriggerFits@spec.trigger: SkipSafetyBackup"},
		"after a loss, another's":                                {saves(nil), lost(func(s *v1alpha1.RestoreSource) { s.ClusterUID = "other" }), "RestoreTriggerFits@spec.trigger: status.clusterUID"},
		"after a loss, anybody's":                                {saves(nil), lost(func(s *v1alpha1.RestoreSource) { s.ClusterUID = "" }), "RestoreTriggerFits@spec.trigger: status.clusterUID"},
		"after a loss, a chosen one":                             {saves(nil), lost(func(s *v1alpha1.RestoreSource) { s.Key = "a/manifest.json" }), "RestoreTriggerFits@spec.trigger: alone"},
		"after a loss, an older one":                             {saves(nil), lost(func(s *v1alpha1.RestoreSource) { s.Before = &now }), "RestoreTriggerFits@spec.trigger: alone"},
		"after a loss, a backup of the namespace":                {saves(nil), lost(func(s *v1alpha1.RestoreSource) { *s = v1alpha1.RestoreSource{BackupName: "saved"} }), "RestoreTriggerFits@spec.trigger: alone"},
		"by a person, who may choose": {saves(nil), func(r *restore) {
			lost(nil)(r)
			r.Spec.Trigger, r.Spec.Source.Key = v1alpha1.RestoreManual, "a/manifest.json"
		}, ""},
		"by a person, where a new cluster has a source": {newCluster(func(c *cluster) { c.Status.Founded = true }), func(r *restore) { r.Spec.Trigger = v1alpha1.RestoreManual }, ""},
		"a name of 50 characters":                       {nil, func(r *restore) { r.Name = strings.Repeat("a", 50) }, "NamesFit@metadata.name: 50"},
		"a name of 49 characters":                       {nil, func(r *restore) { r.Name = strings.Repeat("a", 49) }, ""},
		"a name with a dot":                             {nil, func(r *restore) { r.Name = "a.b" }, "NamesFit@metadata.name: a Job's label"},
	} {
		r := undo()
		if c.change != nil {
			c.change(r)
		}
		around := namespace(c.around)
		vs := Denied(Restore(nil, r, Context{Operation: Create, Around: around}))
		if live := LiveRestore(r, around); Summary(live) != Summary(vs) {
			t.Errorf("%s: before it begins: %s", what, Summary(live))
		}
		if c.want == "" {
			if len(vs) != 0 {
				t.Errorf("%s: %s", what, Summary(vs))
			}
			continue
		}
		where, part, _ := strings.Cut(c.want, ": ")
		if len(vs) != 1 || vs[0].Rule+"@"+vs[0].Field.String() != where || !strings.Contains(vs[0].Text(), part) || vs[0].WayOut == "" {
			t.Errorf("%s: %s; want %q", what, Summary(vs), c.want)
		}
	}
}

// newCluster is a namespace whose cluster was never founded and begins with the backup.
func newCluster(change func(*cluster)) func(*Around) {
	return func(a *Around) {
		c := &a.Clusters[0]
		c.Status.Founded, c.Spec.Bootstrap = false, &v1alpha1.BootstrapSpec{RestoreFrom: &v1alpha1.RestoreSource{BackupName: "saved"}}
		if change != nil {
			change(c)
		}
	}
}

func bootstrap(change func(*v1alpha1.RestoreSource)) func(*restore) {
	return func(r *restore) {
		r.Spec.Trigger = v1alpha1.RestoreBootstrap
		if change != nil {
			change(&r.Spec.Source)
		}
	}
}

// saves is a namespace whose cluster has backups of its own.
func saves(change func(*cluster)) func(*Around) {
	return func(a *Around) {
		c := &a.Clusters[0]
		c.Status.ClusterUID, c.Spec.Backup = "uid", &v1alpha1.BackupSpec{Destination: v1alpha1.S3Destination{Bucket: "backups", Prefix: "eu"}}
		if change != nil {
			change(c)
		}
	}
}

func lost(change func(*v1alpha1.RestoreSource)) func(*restore) {
	return func(r *restore) {
		r.Spec.Trigger = v1alpha1.RestoreTotalLoss
		r.Spec.Source = v1alpha1.RestoreSource{Destination: &v1alpha1.S3Destination{Bucket: "backups", Prefix: "eu"}, ClusterUID: "uid"}
		if change != nil {
			change(&r.Spec.Source)
		}
	}
}

// Without a webhook two of them can be there at once: exactly one goes on, whoever is asked.
func TestOfRestoresThatWaitForOneAnotherExactlyOneGoesFirst(t *testing.T) {
	at := func(second int64) metav1.Time { return metav1.Unix(second, 0) }
	stored := func(name string, created int64, stage v1alpha1.RestoreStage) restore {
		r := restoring("my-cluster")
		r.Name, r.ResourceVersion, r.CreationTimestamp, r.Status.Stage = name, "1", at(created), stage
		return r
	}
	for what, c := range map[string]struct {
		restores []restore
		first    string
	}{
		"the older one":              {[]restore{stored("b", 1, ""), stored("a", 2, "")}, "b"},
		"by name, of the same age":   {[]restore{stored("b", 1, v1alpha1.RestoreWaiting), stored("a", 1, "")}, "a"},
		"the one that has begun":     {[]restore{stored("b", 1, v1alpha1.RestoreWaiting), stored("a", 2, v1alpha1.RestoreValidating)}, "a"},
		"the middle one has begun":   {[]restore{stored("b", 1, ""), stored("a", 2, v1alpha1.RestoreVerifying), stored("c", 3, "")}, "a"},
		"the older one has ended":    {[]restore{stored("b", 1, v1alpha1.RestoreFailed), stored("a", 2, "")}, "a"},
		"the oldest of three waits":  {[]restore{stored("c", 3, ""), stored("b", 1, v1alpha1.RestoreWaiting), stored("a", 2, v1alpha1.RestoreWaiting)}, "b"},
		"two that have begun: a bug": {[]restore{stored("b", 1, v1alpha1.RestoreOpening), stored("a", 2, v1alpha1.RestoreValidating)}, ""},
	} {
		around := namespace(func(a *Around) { a.Restores = c.restores })
		var first []string
		for i := range c.restores {
			if r := &c.restores[i]; !r.Ended() && len(LiveRestore(r, around)) == 0 {
				first = append(first, r.Name)
			}
		}
		if got := strings.Join(first, " "); got != c.first {
			t.Errorf("%s: %q goes first, want %q", what, got, c.first)
		}
	}
	young := stored("young", 0, "")
	young.ResourceVersion = "" // it is only being made
	around := namespace(func(a *Around) { a.Restores = []restore{stored("old", 5, v1alpha1.RestoreWaiting)} })
	if vs := Denied(Restore(nil, &young, Context{Operation: Create, Around: around})); len(vs) != 1 || vs[0].Rule != "OneRestoreAtATime" {
		t.Errorf("beside one that waits: %s", Summary(vs))
	}
}

func TestAPolicyForbidsTheEscapesOfRestoresToo(t *testing.T) {
	allows := func(names ...v1alpha1.AllowedEscape) Policy {
		return NewPolicy(policy("house", requires(func(r *v1alpha1.PolicyRequirements) { r.AllowedEscapes = append([]v1alpha1.AllowedEscape{}, names...) })))
	}
	for what, c := range map[string]struct {
		policy Policy
		unsafe []v1alpha1.RestoreEscape
		want   []string // what is refused
	}{
		"none is allowed, none is used": {allows(), nil, nil},
		"none is allowed":               {allows(), []v1alpha1.RestoreEscape{v1alpha1.SkipSafetyBackup}, []string{"SkipSafetyBackup"}},
		"one of two is allowed":         {allows("AllowInsecureS3"), []v1alpha1.RestoreEscape{v1alpha1.RestoreInsecureS3, v1alpha1.AllowFewerNodes}, []string{"AllowFewerNodes"}},
		"it is allowed":                 {allows("SkipSafetyBackup"), []v1alpha1.RestoreEscape{v1alpha1.SkipSafetyBackup}, nil},
		"the policy says nothing of it": {NewPolicy(policy("house")), []v1alpha1.RestoreEscape{v1alpha1.SkipSafetyBackup}, nil},
	} {
		r := undo()
		r.Spec.Unsafe = c.unsafe
		var got []string
		vs := Denied(Restore(nil, r, Context{Operation: Create, Around: namespace(nil), Policies: []Policy{c.policy}}))
		for _, v := range vs {
			if v.Rule != "PolicyEscapes" || v.Field.String() != "spec.unsafe" || !strings.Contains(v.Text(), "(policy house)") {
				t.Errorf("%s: %s", what, Summary(vs))
			}
			got = append(got, string(v.Value.(v1alpha1.RestoreEscape)))
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: refused are %v, want %v", what, got, c.want)
		}
	}
	r := undo()
	r.Spec.Unsafe = []v1alpha1.RestoreEscape{v1alpha1.SkipSafetyBackup}
	warns := NewPolicy(policy("house", gives("PolicyEscapes", "Warn"), requires(func(r *v1alpha1.PolicyRequirements) { r.AllowedEscapes = []v1alpha1.AllowedEscape{} })))
	if vs := Restore(nil, r, Context{Operation: Create, Around: namespace(nil), Policies: []Policy{warns}}); len(Denied(vs)) != 0 || len(Warned(vs)) != 1 {
		t.Errorf("a policy that warns: %s", Summary(vs))
	}
}

func TestARestoreIsLetInWhereNothingIsKnownAroundIt(t *testing.T) {
	if vs := Restore(nil, undo(), Context{Operation: Create}); len(vs) != 0 {
		t.Error(Summary(vs))
	}
}

func TestTheSpecsOfBackupsAndRestoresDoNotChange(t *testing.T) {
	r := undo()
	changed := r.DeepCopy()
	changed.Spec.Source.BackupName = "another"
	if vs := Denied(Restore(r, changed, Context{Operation: Update, Around: namespace(nil)})); len(vs) != 1 || vs[0].Rule != "RestoreImmutable" {
		t.Error(Summary(vs))
	}
	if vs := Restore(r, r.DeepCopy(), Context{Operation: Update, Around: &Around{}}); len(vs) != 0 {
		t.Errorf("a restore that stays is judged again: %s", Summary(vs))
	}
	b := namespace(nil).Backups[0]
	other := b.DeepCopy()
	other.Spec.DeletionPolicy = v1alpha1.BackupDeleted
	if vs := Denied(Backup(&b, other, Context{Operation: Update})); len(vs) != 1 || vs[0].Rule != "BackupImmutable" {
		t.Error(Summary(vs))
	}
	if vs := Backup(&b, b.DeepCopy(), Context{Operation: Update, Around: &Around{}}); len(vs) != 0 {
		t.Error(Summary(vs))
	}
}

func TestABackupOfNothingOrToNowhereIsWarnedOf(t *testing.T) {
	b := namespace(nil).Backups[0]
	for want, around := range map[string]*Around{
		"no such RobustMQCluster":    {},
		"where its backups go":       namespace(nil),
		"":                           namespace(func(a *Around) { a.Clusters[0].Spec.Backup = &v1alpha1.BackupSpec{} }),
		"no such RobustMQCluster in": {Clusters: []cluster{*valid(func(c *cluster) { c.Name = "other" })}},
	} {
		vs := Backup(nil, &b, Context{Operation: Create, Around: around})
		if len(Denied(vs)) != 0 || (want == "") != (len(vs) == 0) || !strings.Contains(Summary(vs), want) {
			t.Errorf("%s; want %q", Summary(vs), want)
		}
	}
	for name, want := range map[string]int{strings.Repeat("a", 56): 0, strings.Repeat("a", 57): 1, "A": 1, "a.b": 1, "-a": 1, "1": 0} {
		b.Name = name
		if vs := Denied(Backup(nil, &b, Context{Operation: Create})); len(vs) != want || want == 1 && vs[0].Rule != "NamesFit" {
			t.Errorf("%s: %s", name, Summary(vs))
		}
	}
}

func TestADeletionIsRefusedOfWhatIsProtectedAndOfNothingElse(t *testing.T) {
	c := valid()
	for value, refused := range map[string]bool{"true": true, "false": false, "": false, "True": false} {
		c.Annotations = map[string]string{v1alpha1.AnnotationDeletionProtection: value}
		vs := DeleteCluster(c, Context{})
		if (len(vs) == 1) != refused {
			t.Errorf("%q: %s", value, Summary(vs))
		}
		for _, want := range []string{"DeletionProtected", "namespace", "kubectl annotate robustmqcluster my-cluster -n default robustmq.io/deletion-protection-"} {
			if refused && !strings.Contains(Summary(vs), want) {
				t.Errorf("the refusal lacks %q: %s", want, Summary(vs))
			}
		}
	}
	c.Annotations = nil
	if vs := DeleteCluster(c, Context{}); len(vs) != 0 {
		t.Errorf("without annotations: %s", Summary(vs))
	}
	a := namespace(func(a *Around) { a.Restores = []restore{restoring("my-cluster")} })
	if vs := DeleteBackup(&a.Backups[0], Context{Around: a}); len(vs) != 1 || vs[0].Rule != "DeletionProtected" || !strings.Contains(vs[0].Text(), "restore undo reads it") {
		t.Errorf("a backup that is read: %s", Summary(vs))
	}
	a.Restores[0].Status.Stage = v1alpha1.RestoreComplete
	if vs := DeleteBackup(&a.Backups[0], Context{Around: a}); len(vs) != 0 {
		t.Errorf("a backup that was read: %s", Summary(vs))
	}
	a.Restores = []restore{restoring("my-cluster")}
	a.Restores[0].Spec.Source.BackupName = "another"
	if vs := DeleteBackup(&a.Backups[0], Context{Around: a}); len(vs) != 0 {
		t.Errorf("a backup that nobody reads: %s", Summary(vs))
	}
	if vs := DeleteBackup(&a.Backups[0], Context{}); len(vs) != 0 {
		t.Errorf("where nothing is known: %s", Summary(vs))
	}
}

func TestEveryRowOfBackupsAndRestoresIsComplete(t *testing.T) {
	for _, r := range Backups {
		if r.Name == "" || r.Why == "" || r.Check == nil || len(r.Operations) == 0 || !slices.Equal(r.Kinds, []string{"RobustMQBackup"}) || r.DefaultAction == "" {
			t.Errorf("%s", r.Name)
		}
	}
	for _, r := range Restores {
		if r.Name == "" || r.Why == "" || r.Check == nil || len(r.Operations) == 0 || !slices.Equal(r.Kinds, []string{"RobustMQRestore"}) || r.DefaultAction == "" {
			t.Errorf("%s", r.Name)
		}
	}
}
