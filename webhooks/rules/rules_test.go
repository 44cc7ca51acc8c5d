package rules

import (
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/robustmq/robustmq-operator/api/v1alpha1"
)

// valid is a cluster that only the advice to make backups has something against.
func valid(change ...func(*cluster)) *cluster {
	c := &cluster{}
	c.Name, c.Namespace = "my-cluster", "default"
	c.Spec.Version = "0.4.11"
	for _, f := range change {
		f(c)
	}
	c.Default()
	return c
}

func members(n int32) func(*cluster) {
	return func(c *cluster) { c.Spec.PlacementCenter.Replicas = n }
}

func version(v string) func(*cluster) { return func(c *cluster) { c.Spec.Version = v } }

func setting(section, key, value string) func(*cluster) {
	return func(c *cluster) {
		if c.Spec.Config == nil {
			c.Spec.Config = v1alpha1.Config{}
		}
		if c.Spec.Config[section] == nil {
			c.Spec.Config[section] = v1alpha1.ConfigSection{}
		}
		c.Spec.Config[section][key] = apiextensionsv1.JSON{Raw: []byte(value)}
	}
}

func quantity(s string) *resource.Quantity {
	q := resource.MustParse(s)
	return &q
}

// names are the rules that deny, "Rule@field".
func denials(old, new *cluster, op Operation) []string {
	var out []string
	for _, v := range Denied(Cluster(old, new, Context{Operation: op})) {
		out = append(out, v.Rule+"@"+v.Field.String())
	}
	return out
}

func TestAValidClusterIsOnlyAdvisedToMakeBackups(t *testing.T) {
	vs := Cluster(nil, valid(), Context{Operation: Create})
	if len(vs) != 1 || vs[0].Rule != "BackupAdvised" || vs[0].Severity != Warn {
		t.Errorf("%+v", vs)
	}
	if vs := Cluster(valid(), valid(), Context{Operation: Update}); len(Denied(vs)) != 0 {
		t.Errorf("%+v", vs)
	}
}

func TestEveryCreationThatBreaksARuleIsDeniedByThatRuleAlone(t *testing.T) {
	for what, c := range map[string]struct {
		change func(*cluster)
		want   string
	}{
		"a name of 36 characters":         {func(c *cluster) { c.Name = strings.Repeat("a", 36) }, "NamesFit@metadata.name"},
		"a name that begins with a digit": {func(c *cluster) { c.Name = "1a" }, "NamesFit@metadata.name"},
		"a name with a dot":               {func(c *cluster) { c.Name = "a.b" }, "NamesFit@metadata.name"},
		"a negative number of members":    {members(-1), "PlacementCenterSize@spec.placementCenter.replicas"},
		"nine members":                    {members(9), "PlacementCenterSize@spec.placementCenter.replicas"},
		"two members":                     {members(2), "PlacementCenterOdd@spec.placementCenter.replicas"},
		"six members":                     {members(6), "PlacementCenterOdd@spec.placementCenter.replicas"},
		"1001 brokers":                    {func(c *cluster) { c.Spec.MQTTBroker.Replicas = 1001 }, "BrokersWithinScale@spec.mqttBroker.replicas"},
		"a negative number of brokers":    {func(c *cluster) { c.Spec.MQTTBroker.Replicas = -1 }, "BrokersWithinScale@spec.mqttBroker.replicas"},
		"1001 journal servers":            {func(c *cluster) { c.Spec.JournalServer = &v1alpha1.JournalServerSpec{Replicas: 1001} }, "BrokersWithinScale@spec.journalServer.replicas"},
		"six copies on five nodes":        {setting("runtime", "default_topic_replica_num", "6"), "BrokersWithinScale@spec.mqttBroker.replicas"},
		"both forms of resources": {func(c *cluster) {
			c.Spec.MQTTBroker.Resources = &v1alpha1.ResourcesSpec{CPU: quantity("1"), Limits: corev1.ResourceList{"cpu": resource.MustParse("1")}}
		}, "ResourcesCoherent@spec.mqttBroker.resources"},
		"memory of zero": {func(c *cluster) { c.Spec.MQTTBroker.Resources = &v1alpha1.ResourcesSpec{Memory: quantity("0")} }, "ResourcesCoherent@spec.mqttBroker.resources.memory"},
		"a request above its limit": {func(c *cluster) {
			c.Spec.PlacementCenter.Resources = &v1alpha1.ResourcesSpec{Requests: corev1.ResourceList{"memory": resource.MustParse("1025Mi")}, Limits: corev1.ResourceList{"memory": resource.MustParse("1Gi")}}
		}, "ResourcesCoherent@spec.placementCenter.resources.requests[memory]"},
		"a negative limit": {func(c *cluster) {
			c.Spec.PlacementCenter.Resources = &v1alpha1.ResourcesSpec{Limits: corev1.ResourceList{"cpu": resource.MustParse("-1")}}
		}, "ResourcesCoherent@spec.placementCenter.resources.limits[cpu]"},
		"storage of zero": {func(c *cluster) { c.Spec.MQTTBroker.Storage = quantity("0") }, "ResourcesCoherent@spec.mqttBroker.storage"},
		"a label of the operator": {func(c *cluster) {
			c.Spec.MQTTBroker.PodTemplate = &v1alpha1.PodTemplateSpec{Labels: map[string]string{"app.kubernetes.io/component": "x", "team": "y"}}
		}, "LabelsReserved@spec.mqttBroker.podTemplate.labels[app.kubernetes.io/component]"},
		"an unreadable version":      {version("v0.4.11"), "VersionKnown@spec.version"},
		"a version before 0.3.0":     {version("0.2.9"), "VersionKnown@spec.version"},
		"journal servers of islands": {func(c *cluster) { c.Spec.Version = "0.3.7"; c.Spec.JournalServer = &v1alpha1.JournalServerSpec{} }, "VersionCapabilities@spec.journalServer"},
		"MQTT on Kafka's port":       {func(c *cluster) { c.Spec.Listeners.MQTT = &v1alpha1.ListenerSpec{Port: 9092} }, "PortsDistinct@spec.listeners.kafka.port"},
		"MQTT on the agent's port":   {func(c *cluster) { c.Spec.Listeners.MQTT = &v1alpha1.ListenerSpec{Port: 7443} }, "PortsDistinct@spec.listeners.mqtt.port"},
		"QUIC on a port of its own":  {func(c *cluster) { c.Spec.Listeners.QUIC = &v1alpha1.ListenerSpec{Port: 9083} }, "PortsDistinct@spec.listeners.quic.port"},
		"backups in clear": {func(c *cluster) {
			c.Spec.Backup = &v1alpha1.BackupSpec{Destination: v1alpha1.S3Destination{Bucket: "backups", Endpoint: "http://minio:9000"}}
		}, "BackupDestination@spec.backup.destination.endpoint"},
	} {
		if got := denials(nil, valid(c.change), Create); !slices.Equal(got, []string{c.want}) {
			t.Errorf("%s: denied by %v; want %s", what, got, c.want)
		}
	}
}

func TestWhatIsJustWithinARuleIsAllowed(t *testing.T) {
	for what, change := range map[string]func(*cluster){
		"a name of 35 characters":   func(c *cluster) { c.Name = strings.Repeat("a", 35) },
		"one member":                members(1),
		"seven members":             members(7),
		"one broker":                func(c *cluster) { c.Spec.MQTTBroker.Replicas = 1 },
		"1000 brokers":              func(c *cluster) { c.Spec.MQTTBroker.Replicas = 1000 },
		"five copies on five nodes": setting("runtime", "default_topic_replica_num", "5"),
		"six copies with journal servers": func(c *cluster) {
			c.Spec.JournalServer = &v1alpha1.JournalServerSpec{Replicas: 1}
			setting("runtime", "default_topic_replica_num", "6")(c)
		},
		"a request that is its limit": func(c *cluster) {
			c.Spec.MQTTBroker.Resources = &v1alpha1.ResourcesSpec{Requests: corev1.ResourceList{"cpu": resource.MustParse("1000m")}, Limits: corev1.ResourceList{"cpu": resource.MustParse("1")}}
		},
		"a label of one's own": func(c *cluster) {
			c.Spec.MQTTBroker.PodTemplate = &v1alpha1.PodTemplateSpec{Labels: map[string]string{"app.kubernetes.io/part-of": "x"}}
		},
		"0.3.0":             version("0.3.0"),
		"a version to come": version("1.0.0"),
		"ports that swap": func(c *cluster) {
			c.Spec.Listeners.MQTT = &v1alpha1.ListenerSpec{Port: 8083}
			c.Spec.Listeners.WS = &v1alpha1.ListenerSpec{Port: 1883}
		},
		"QUIC with MQTTS' port": func(c *cluster) {
			c.Spec.Listeners.MQTTS, c.Spec.Listeners.QUIC = &v1alpha1.ListenerSpec{Port: 2885}, &v1alpha1.ListenerSpec{Port: 2885}
		},
		"backups over TLS": func(c *cluster) {
			c.Spec.Backup = &v1alpha1.BackupSpec{Destination: v1alpha1.S3Destination{Bucket: "backups", Endpoint: "https://minio:9000"}}
		},
	} {
		if got := denials(nil, valid(change), Create); len(got) != 0 {
			t.Errorf("%s: denied by %v", what, got)
		}
	}
}

// TestNoShrinkBelowQuorumOfEverySize is every pair of sizes: the new one must be a majority of the old one, or no less.
func TestNoShrinkBelowQuorumOfEverySize(t *testing.T) {
	smallest := map[int32]int32{1: 1, 2: 2, 3: 2, 4: 3, 5: 3, 6: 4, 7: 4, 8: 5, 9: 5}
	for was, least := range smallest {
		for is := int32(1); is <= 9; is++ {
			got := slices.Contains(denials(valid(members(was)), valid(members(is)), Update), "NoShrinkBelowQuorum@spec.placementCenter.replicas")
			if want := is < least; got != want {
				t.Errorf("%d to %d: refused %t, want %t", was, is, got, want)
			}
		}
	}
}

func TestTwoSmallShrinksInARowAreOneBigOne(t *testing.T) {
	was := valid(members(5))
	was.Status.PlacementCenter.Replicas = 7 // the step from 7 to 5 is under way
	for is, want := range map[int32]bool{3: true, 5: false} {
		if got := len(denials(was, valid(members(is)), Update)) > 0; got != want {
			t.Errorf("to %d: refused %t", is, got)
		}
	}
	was = valid(members(3)) // with its escape, 7 to 3 got in; every other change must not be held up by it
	was.Status.PlacementCenter.Replicas = 7
	if got := denials(was, valid(members(3)), Update); len(got) != 0 {
		t.Errorf("3 as before: %v", got)
	}
	was = valid(members(5))
	was.Status.PlacementCenter.Replicas = 5
	if got := denials(was, valid(members(3)), Update); len(got) != 0 {
		t.Errorf("5 to 3: %v", got)
	}
}

func TestChangesThatCannotBeMadeAreDenied(t *testing.T) {
	class := func(name string) func(*cluster) {
		return func(c *cluster) { c.Spec.MQTTBroker.StorageClassName = &name }
	}
	storage := func(s string) func(*cluster) {
		return func(c *cluster) { c.Spec.PlacementCenter.Storage = quantity(s) }
	}
	journal := func(c *cluster) { c.Spec.JournalServer = &v1alpha1.JournalServerSpec{} }
	ran := func(v string) func(*cluster) { return func(c *cluster) { c.Status.Version = v } }
	hopped := func(opened bool) func(*cluster) {
		return func(c *cluster) {
			c.Status.Version, c.Status.Upgrade = "0.4.8", &v1alpha1.OfflineUpgrade{Version: "0.4.11", BackupName: "b", Opened: opened}
		}
	}
	founded := func(c *cluster) { c.Status.Founded = true }
	same := func(*cluster) {}
	for _, c := range []struct {
		what    string
		was, is func(*cluster)
		seen    func(*cluster) // in the status of the old one
		want    string
	}{
		{"less storage", storage("10Gi"), storage("9Gi"), same, "StorageOnlyGrows@spec.placementCenter.storage"},
		{"less than the default", same, storage("10239Mi"), same, "StorageOnlyGrows@spec.placementCenter.storage"},
		{"the same storage in another unit", storage("10Gi"), storage("10240Mi"), same, ""},
		{"more storage", storage("10Gi"), storage("11Gi"), same, ""},
		{"another class", class("a"), class("b"), same, "StorageClassFixed@spec.mqttBroker.storageClassName"},
		{"a class where there was none", same, class("a"), same, "StorageClassFixed@spec.mqttBroker.storageClassName"},
		{"no class instead of the default one", same, class(""), same, "StorageClassFixed@spec.mqttBroker.storageClassName"},
		{"the same class", class("a"), class("a"), same, ""},
		{"journal servers later", same, journal, same, "RoleLayoutFixed@spec.journalServer"},
		{"no journal servers any more", journal, same, same, "RoleLayoutFixed@spec.journalServer"},
		{"journal servers as before", journal, journal, same, ""},
		{"an older version", version("0.4.11"), version("0.4.10"), same, "VersionForward@spec.version"},
		{"the pre-release of what runs", version("0.4.11"), version("0.4.11-rc.1"), same, "VersionForward@spec.version"},
		{"a newer version", version("0.4.9"), version("0.4.11"), same, ""},
		{"back to what still runs", version("0.4.21"), version("0.4.11"), ran("0.4.11"), ""},
		{"back below what runs", version("0.4.21"), version("0.4.10"), ran("0.4.11"), "VersionForward@spec.version"},
		{"an older version of another range", version("0.4.11"), version("0.4.8"), same, "VersionForward@spec.version"},
		{"a version that cannot be read", version("0.4.11"), version("next"), same, "VersionKnown@spec.version"},
		{"another change while less is wanted than runs", version("0.4.10"), func(c *cluster) { version("0.4.10")(c); members(5)(c) }, ran("0.4.11"), ""},
		{"a hop", version("0.4.8"), version("0.4.9"), same, "VersionHop@spec.version"},
		{"back from a hop whose new version was not started", version("0.4.11"), version("0.4.8"), hopped(false), ""},
		{"back from a hop whose new version may have been", version("0.4.11"), version("0.4.8"), hopped(true), "VersionForward@spec.version"},
		{"on from a hop whose new version may have been", version("0.4.10"), version("0.4.11"), func(c *cluster) { hopped(true)(c); c.Status.Upgrade.Version = "0.4.10" }, ""},
		{"a hop from islands", version("0.3.0"), version("0.4.11"), same, "VersionHop@spec.version"},
		{"members of a limited version that stands", version("0.4.8"), func(c *cluster) { version("0.4.8")(c); members(5)(c) }, founded, "VersionCapabilities@spec.placementCenter.replicas"},
		{"members of a limited version that is not founded", version("0.4.8"), func(c *cluster) { version("0.4.8")(c); members(5)(c) }, same, ""},
		{"members of a full version that stands", version("0.4.9"), func(c *cluster) { version("0.4.9")(c); members(5)(c) }, founded, ""},
		{"another name", same, func(c *cluster) { c.Name = strings.Repeat("a", 40) }, same, ""}, // nobody can do that, and nobody could undo it
	} {
		was := valid(c.was)
		c.seen(was)
		is := valid(c.is)
		is.Status = *was.Status.DeepCopy()
		got := strings.Join(denials(was, is, Update), " ")
		if got != c.want {
			t.Errorf("%s: denied by %q; want %q", c.what, got, c.want)
		}
		if c.want != "" {
			if guard := GuardCluster(was, is); len(guard) != 1 || guard[0].Severity != Deny {
				t.Errorf("%s: the guard says %v", c.what, guard)
			}
		}
	}
}

func TestEveryEscapeTakesOffItsRuleAndNoOther(t *testing.T) {
	for escape, rule := range guarded {
		var found bool
		for _, r := range Clusters {
			if (r.Escape == escape) != (r.Name == rule) {
				t.Errorf("%s and %s", escape, r.Name)
			}
			found = found || r.Name == rule
		}
		if !found {
			t.Errorf("no rule %s", rule)
		}
	}
	for _, c := range []struct {
		escape  v1alpha1.UnsafeEscape
		was, is func(*cluster)
	}{
		{v1alpha1.AllowEvenPlacementCenter, members(3), members(4)},
		{v1alpha1.AllowShrinkBelowQuorum, members(7), members(3)},
		{v1alpha1.AllowIncompatibleUpgrade, version("0.4.8"), version("0.4.11")},
		{v1alpha1.AllowInsecureS3, func(*cluster) {}, func(c *cluster) {
			c.Spec.Backup = &v1alpha1.BackupSpec{Destination: v1alpha1.S3Destination{Bucket: "backups", Endpoint: "http://a"}}
		}},
	} {
		is := valid(c.is)
		if got := denials(valid(c.was), is, Update); len(got) != 1 || !strings.HasPrefix(got[0], guarded[c.escape]) {
			t.Errorf("without %s: %v", c.escape, got)
		}
		is.Spec.Unsafe = []v1alpha1.UnsafeEscape{c.escape}
		vs := Cluster(valid(c.was), is, Context{Operation: Update})
		if len(Denied(vs)) != 0 {
			t.Errorf("with %s: %s", c.escape, Summary(Denied(vs)))
		}
		if !strings.Contains(Summary(Warned(vs)), guarded[c.escape]) {
			t.Errorf("%s is not warned of", c.escape)
		}
	}
}

func TestWarningsSayWhatWorksButShouldBeKnown(t *testing.T) {
	for what, c := range map[string]struct {
		change func(*cluster)
		want   string
	}{
		"one member":         {members(1), "bears no failure"},
		"islands":            {version("0.3.0"), `cannot cluster its brokers`},
		"a limited version":  {version("0.4.5"), "limited support"},
		"an unknown version": {version("0.9.0"), "newer than 0.4.11"},
		"no backup plan":     {func(*cluster) {}, "no backup plan"},
		"no schedule": {func(c *cluster) {
			c.Spec.Backup = &v1alpha1.BackupSpec{Destination: v1alpha1.S3Destination{Bucket: "backups"}}
		}, "made by hand only"},
		"no policy":              {func(c *cluster) { off := false; c.Spec.NetworkPolicy.Enabled = &off }, "no authentication"},
		"MQTT outside":           {func(c *cluster) { c.Spec.Listeners.Service.Type = corev1.ServiceTypeLoadBalancer }, "offers mqtt outside"},
		"an Ingress without TLS": {func(c *cluster) { c.Spec.Ingress = &v1alpha1.IngressSpec{Host: "a"} }, "served without TLS"},
		"NATS where there is none": {func(c *cluster) {
			c.Spec.Version = "0.3.7"
			on := true
			c.Spec.Listeners.NATS = &v1alpha1.ListenerSpec{Enabled: &on}
		}, "has no NATS listener"},
		"Kafka where its port is fixed": {func(c *cluster) {
			c.Spec.Version = "0.4.0"
			on := true
			c.Spec.Listeners.Kafka = &v1alpha1.ListenerSpec{Enabled: &on, Port: 19092}
		}, "always listens on 9092"},
	} {
		vs := Cluster(nil, valid(c.change), Context{Operation: Create})
		if got := Summary(Warned(vs)); !strings.Contains(got, c.want) || len(Denied(vs)) != 0 {
			t.Errorf("%s: warned of %q, denied %q", what, got, Summary(Denied(vs)))
		}
		if got := Summary(WarnCluster(valid(c.change))); !strings.Contains(got, c.want) {
			t.Errorf("%s: WarnCluster: %q", what, got)
		}
	}
}

func TestNoWarningOfWhatIsWell(t *testing.T) {
	for what, c := range map[string]struct {
		change func(*cluster)
		not    string
	}{
		"a version that is refused": {version("0.2.9"), "cannot cluster"},
		"two brokers inside":        {func(*cluster) {}, "outside"},
		"three members":             {members(3), "bear"},
		"TLS alone outside": {func(c *cluster) {
			off := false
			c.Spec.Listeners.Service.Type = corev1.ServiceTypeLoadBalancer
			c.Spec.Listeners.MQTT, c.Spec.Listeners.WS = &v1alpha1.ListenerSpec{Enabled: &off}, &v1alpha1.ListenerSpec{Enabled: &off}
		}, "outside"},
		"Kafka's port since 0.4.1": {func(c *cluster) {
			c.Spec.Version = "0.4.1"
			on := true
			c.Spec.Listeners.Kafka = &v1alpha1.ListenerSpec{Enabled: &on, Port: 19092}
		}, "always listens"},
	} {
		if got := Summary(Cluster(nil, valid(c.change), Context{Operation: Create})); strings.Contains(got, c.not) {
			t.Errorf("%s: %q", what, got)
		}
	}
}

func TestScalingAsksOnlyTheRulesThatAreForIt(t *testing.T) {
	was := valid(func(c *cluster) {
		setting("", "broker_id", "1")(c)
		setting("runtime", "default_topic_replica_num", "4")(c)
	})
	is := was.DeepCopy()
	is.Spec.MQTTBroker.Replicas = 1
	if got := denials(was, is, Scale); len(got) != 0 {
		t.Errorf("to 1: %v", got)
	}
	is.Spec.MQTTBroker.Replicas = 0
	if got := denials(was, is, Scale); !slices.Equal(got, []string{"BrokersWithinScale@spec.mqttBroker.replicas"}) {
		t.Errorf("to 0: %v", got)
	}
}

func TestEveryDenialNamesRuleFieldValueAndWayOut(t *testing.T) {
	seen := map[string]bool{}
	check := func(vs []Violation) {
		for _, v := range vs {
			seen[v.Rule] = true
			if v.Field == nil || v.Message == "" || v.Rule == "" || v.Severity == "" {
				t.Errorf("incomplete: %+v", v)
			}
			if v.WayOut == "" && v.Rule != "VersionKnown" && v.Rule != "VersionCapabilities" && v.Rule != "PlacementCenterSize" {
				t.Errorf("no way out: %s", v.Text())
			}
		}
	}
	old := valid(func(c *cluster) {
		members(7)(c)
		c.Spec.PlacementCenter.Storage = quantity("20Gi")
		version("0.4.8")(c)
	})
	name := "b"
	broken := valid(members(2), version("0.3.7"), func(c *cluster) {
		c.Name = "1"
		c.Spec.MQTTBroker.Replicas = 1001
		c.Spec.JournalServer = &v1alpha1.JournalServerSpec{}
		c.Spec.PlacementCenter.StorageClassName = &name
		c.Spec.MQTTBroker.Resources = &v1alpha1.ResourcesSpec{CPU: quantity("0")}
		c.Spec.MQTTBroker.PodTemplate = &v1alpha1.PodTemplateSpec{Labels: map[string]string{"robustmq.io/x": "y"}}
		c.Spec.Listeners.MQTT = &v1alpha1.ListenerSpec{Port: 1228}
		c.Spec.Backup = &v1alpha1.BackupSpec{Destination: v1alpha1.S3Destination{Bucket: "backups", Endpoint: "http://a"}}
	}, setting("", "broker_id", "1"), setting("runtime", "x", "1"), setting("runtime", "pprof_enable", "null"))
	check(Cluster(nil, broken, Context{Operation: Create}))
	check(Cluster(nil, scheduled(v1alpha1.BackupSchedule{Name: "a", Cron: "x", Retention: v1alpha1.RetentionPolicy{KeepLast: new(int32)}}), Context{Operation: Create}))
	check(Cluster(degraded(5), valid(members(3)), Context{Operation: Update, Around: &Around{Restores: []restore{restoring("my-cluster")}}}))
	check(DeleteCluster(valid(func(c *cluster) { c.Annotations = map[string]string{v1alpha1.AnnotationDeletionProtection: "true"} }), Context{}))
	check(Cluster(old, broken, Context{Operation: Update}))
	check(Cluster(old, valid(version("0.4.11"), members(7), func(c *cluster) { c.Spec.Unsafe = []v1alpha1.UnsafeEscape{"AllowInsecureS3"} }), Context{Operation: Update}))
	check(Cluster(nil, valid(version("x"), func(c *cluster) { off := false; c.Spec.NetworkPolicy.Enabled = &off }), Context{Operation: Create}))
	for _, r := range Clusters {
		if !seen[r.Name] {
			t.Errorf("no violation of %s was made", r.Name)
		}
		if r.Why == "" || r.Check == nil || len(r.Operations) == 0 || len(r.Kinds) == 0 || r.DefaultAction == "" {
			t.Errorf("the row of %s is incomplete", r.Name)
		}
	}
}

func TestOnlyWhatDeniesIsAnErrorAndItSaysEverything(t *testing.T) {
	kind := v1alpha1.GroupVersion.WithKind("RobustMQCluster").GroupKind()
	if err := Error(kind, "c", Cluster(nil, valid(members(1)), Context{Operation: Create})); err != nil {
		t.Errorf("warnings alone are %v", err)
	}
	err := Error(kind, "c", Cluster(nil, valid(members(2)), Context{Operation: Create}))
	const want = `RobustMQCluster.robustmq.io "c" is invalid: spec.placementCenter.replicas: Invalid value: 2: PlacementCenterOdd: 2 members bear no more failures than 1; write 1 or 3, or list AllowEvenPlacementCenter in spec.unsafe`
	if err == nil || err.Error() != want {
		t.Errorf("%v", err)
	}
}

func TestARuleChangesNothing(t *testing.T) {
	was, is := valid(members(7)), valid(members(2), setting("runtime", "a", "null"))
	w, i := was.DeepCopy(), is.DeepCopy()
	Cluster(was, is, Context{Operation: Update})
	if !equality.Semantic.DeepEqual(was, w) || !equality.Semantic.DeepEqual(is, i) {
		t.Error("a rule changed an object")
	}
}

func TestWithoutWebhooksTheGuardDeniesTheSameAndNeverWarns(t *testing.T) {
	if got := GuardCluster(nil, valid()); len(got) != 0 {
		t.Errorf("%v", got)
	}
	if got := GuardCluster(nil, valid(setting("", "broker_id", "1"), members(1))); len(got) != 1 || got[0].Rule != "ConfigReserved" {
		t.Errorf("%v", got)
	}
}
