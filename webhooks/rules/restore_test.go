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
		"written by a newer version":    {cl(func(c *cluster) { c.Status.Version = "0.4.10" }), nil, "RestoreSameVersion@spec.source.backupName: 0.4.10"},
		"written by one that it reads":  {cl(func(c *cluster) { c.Status.Version = "0.4.12" }), nil, ""},
		"written by a foreign one":      {bk(func(b *backup) { b.Status.Version = "0.4.8" }), nil, "RestoreSameVersion@spec.source.backupName: 0.4.8"},
		"the same, of limited support":  {func(a *Around) { a.Backups[0].Status.Version, a.Clusters[0].Status.Version = "0.4.8", "0.4.8" }, nil, ""},
		"what runs counts":              {cl(func(c *cluster) { c.Spec.Version = "0.4.9" }), nil, ""},
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
		"a name of 50 characters": {nil, func(r *restore) { r.Name = strings.Repeat("a", 50) }, "NamesFit@metadata.name: 50"},
		"a name of 49 characters": {nil, func(r *restore) { r.Name = strings.Repeat("a", 49) }, ""},
		"a name with a dot":       {nil, func(r *restore) { r.Name = "a.b" }, "NamesFit@metadata.name: a Job's label"},
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
