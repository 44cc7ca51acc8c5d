package rules

import (
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/robustmq/robustmq-operator/api/v1alpha1"
)

func TestEveryRequirementThatIsBrokenDeniesInTheNameOfItsPolicy(t *testing.T) {
	tls := requires(func(r *v1alpha1.PolicyRequirements) { r.TLS = &v1alpha1.TLSRequirement{} })
	images := requires(func(r *v1alpha1.PolicyRequirements) {
		r.ImageRegistries = []string{"registry.example.com/team", "docker.io/robustmq", "ghcr.io:443"}
	})
	classes := requires(func(r *v1alpha1.PolicyRequirements) { r.StorageClasses = []string{"fast", "bulk"} })
	none := requires(func(r *v1alpha1.PolicyRequirements) { r.AllowedEscapes = []v1alpha1.AllowedEscape{} })
	versions := func(entries ...string) func(*robustMQPolicy) {
		return requires(func(r *v1alpha1.PolicyRequirements) { r.Versions = entries })
	}
	image := func(name string) func(*cluster) { return func(c *cluster) { c.Spec.Image = name } }
	inClass := func(name string) func(*cluster) {
		return func(c *cluster) {
			c.Spec.PlacementCenter.StorageClassName, c.Spec.MQTTBroker.StorageClassName = &name, &name
		}
	}
	cpu := atMost(func(m *v1alpha1.MaximumRequirement) { m.Resources = &v1alpha1.MaximumResources{CPU: quantity("1")} })
	memory := atMost(func(m *v1alpha1.MaximumRequirement) {
		m.Resources = &v1alpha1.MaximumResources{Memory: quantity("2Gi")}
	})
	storage := atMost(func(m *v1alpha1.MaximumRequirement) { m.Storage = quantity("10Gi") })
	journal := func(n int32) func(*cluster) {
		return func(c *cluster) { c.Spec.JournalServer = &v1alpha1.JournalServerSpec{Replicas: n} }
	}
	broker := func(r v1alpha1.ResourcesSpec) func(*cluster) {
		return func(c *cluster) { c.Spec.MQTTBroker.Resources = &r }
	}
	secure := func(c *cluster) {
		off := false
		c.Spec.Listeners.MQTT, c.Spec.Listeners.WS = &v1alpha1.ListenerSpec{Enabled: &off}, &v1alpha1.ListenerSpec{Enabled: &off}
	}
	for what, c := range map[string]struct {
		policy  func(*robustMQPolicy)
		cluster []func(*cluster)
		want    []string
	}{
		"one member where three are the least":       {leastMembers(3), []func(*cluster){members(1)}, []string{"PolicyMinimumMembers@placementCenter.replicas"}},
		"three members where three are the least":    {leastMembers(3), nil, nil},
		"seven members where five are the most":      {atMost(func(m *v1alpha1.MaximumRequirement) { m.PlacementCenterReplicas = number(5) }), []func(*cluster){members(7)}, []string{"PolicyMaximumMembers@placementCenter.replicas"}},
		"five members where five are the most":       {atMost(func(m *v1alpha1.MaximumRequirement) { m.PlacementCenterReplicas = number(5) }), []func(*cluster){members(5)}, nil},
		"six brokers where five are the most":        {mostBrokers(5), []func(*cluster){brokers(6)}, []string{"PolicyMaximumBrokers@mqttBroker.replicas"}},
		"five brokers where five are the most":       {mostBrokers(5), []func(*cluster){brokers(5)}, nil},
		"four journal servers where three are":       {atMost(func(m *v1alpha1.MaximumRequirement) { m.JournalServers = number(3) }), []func(*cluster){journal(4)}, []string{"PolicyMaximumJournalServers@journalServer.replicas"}},
		"three journal servers where three are":      {atMost(func(m *v1alpha1.MaximumRequirement) { m.JournalServers = number(3) }), []func(*cluster){journal(3)}, nil},
		"journal servers where none are":             {atMost(func(m *v1alpha1.MaximumRequirement) { m.JournalServers = number(0) }), []func(*cluster){journal(1)}, []string{"PolicyMaximumJournalServers@journalServer"}},
		"no journal servers where none are":          {atMost(func(m *v1alpha1.MaximumRequirement) { m.JournalServers = number(0) }), nil, nil},
		"a volume of a byte too much":                {storage, []func(*cluster){func(c *cluster) { c.Spec.MQTTBroker.Storage = quantity("10737418241") }}, []string{"PolicyMaximumStorage@mqttBroker.storage"}},
		"volumes of just as much":                    {storage, nil, nil},
		"a request of CPU too much":                  {cpu, []func(*cluster){broker(v1alpha1.ResourcesSpec{Requests: corev1.ResourceList{"cpu": resource.MustParse("1001m")}})}, []string{"PolicyMaximumResources@mqttBroker.resources.requests[cpu]"}},
		"a limit of CPU too much":                    {cpu, []func(*cluster){broker(v1alpha1.ResourcesSpec{Limits: corev1.ResourceList{"cpu": resource.MustParse("2")}})}, []string{"PolicyMaximumResources@mqttBroker.resources.limits[cpu]"}},
		"CPU too much in the flat form, said once":   {cpu, []func(*cluster){broker(v1alpha1.ResourcesSpec{CPU: quantity("2")})}, []string{"PolicyMaximumResources@mqttBroker.resources.cpu"}},
		"CPU without a limit, as is usual":           {cpu, nil, nil},
		"memory just within":                         {memory, nil, nil},
		"memory too much":                            {memory, []func(*cluster){broker(v1alpha1.ResourcesSpec{Memory: quantity("3Gi")})}, []string{"PolicyMaximumResources@mqttBroker.resources.memory"}},
		"memory without a limit":                     {memory, []func(*cluster){broker(v1alpha1.ResourcesSpec{Requests: corev1.ResourceList{"memory": resource.MustParse("1Gi")}})}, []string{"PolicyMaximumResources@mqttBroker.resources.limits[memory]"}},
		"no backup plan":                             {every(24 * time.Hour), nil, []string{"PolicyBackupRequired@backup"}},
		"a plan without schedules":                   {every(24 * time.Hour), []func(*cluster){plan()}, []string{"PolicyBackupRequired@backup.schedules"}},
		"a plan whose only schedule is suspended":    {every(24 * time.Hour), []func(*cluster){plan("-0 * * * *")}, []string{"PolicyBackupRequired@backup.schedules"}},
		"backups every day where that is enough":     {every(24 * time.Hour), []func(*cluster){plan("0 3 * * *")}, nil},
		"backups every day where that is too seldom": {every(24*time.Hour - time.Minute), []func(*cluster){plan("0 3 * * *")}, []string{"PolicyBackupInterval@backup.schedules"}},
		"no plan where only plans are looked at": {requires(func(r *v1alpha1.PolicyRequirements) {
			off := false
			r.Backup = &v1alpha1.BackupRequirement{Required: &off, MaximumInterval: &metav1.Duration{Duration: time.Hour}}
		}), nil, nil},
		"plain listeners where TLS is needed":        {tls, nil, []string{"PolicyTLSRequired@listeners.mqtt.enabled", "PolicyTLSRequired@listeners.ws.enabled"}},
		"encrypted listeners alone":                  {tls, []func(*cluster){secure, func(c *cluster) { on := true; c.Spec.Listeners.QUIC = &v1alpha1.ListenerSpec{Enabled: &on} }}, nil},
		"an Ingress without a certificate":           {tls, []func(*cluster){secure, func(c *cluster) { c.Spec.Ingress = &v1alpha1.IngressSpec{Host: "a.b"} }}, []string{"PolicyTLSRequired@ingress.tlsSecretName"}},
		"TLS that is not required":                   {requires(func(r *v1alpha1.PolicyRequirements) { off := false; r.TLS = &v1alpha1.TLSRequirement{Required: &off} }), nil, nil},
		"another version":                            {versions("0.4.10"), nil, []string{"PolicyVersions@version"}},
		"the version itself":                         {versions("0.4.9", "0.4.11"), nil, nil},
		"a line of versions":                         {versions("0.4.x"), nil, nil},
		"another line":                               {versions("0.5.x"), nil, []string{"PolicyVersions@version"}},
		"a range":                                    {versions(">=0.4.9 <0.5.0"), nil, nil},
		"just outside of a range":                    {versions(">=0.4.9 <0.4.11"), nil, []string{"PolicyVersions@version"}},
		"one of two ranges":                          {versions("<0.3.5 || >0.4.10"), nil, nil},
		"a range with a hole":                        {versions(">=0.4.9 !=0.4.11"), nil, []string{"PolicyVersions@version"}},
		"a pre-release in a range":                   {versions("0.4.x"), []func(*cluster){version("0.4.12-rc.1")}, []string{"PolicyVersions@version"}},
		"a pre-release that is written out":          {versions("0.4.x", "0.4.12-rc.1"), []func(*cluster){version("0.4.12-rc.1")}, nil},
		"versions that cannot be read":               {versions("0.4.10", "newest"), nil, nil},
		"the operator's own image":                   {images, nil, []string{"PolicyImageRegistries@image"}},
		"an image of another registry":               {images, []func(*cluster){image("quay.io/registry.example.com/team/x:1")}, []string{"PolicyImageRegistries@image"}},
		"an image of a name that begins the same":    {images, []func(*cluster){image("registry.example.com/teammates/x:1")}, []string{"PolicyImageRegistries@image"}},
		"an image of the registry's path":            {images, []func(*cluster){image("registry.example.com/team/sub/x:1")}, nil},
		"an image whose name is the path":            {images, []func(*cluster){image("registry.example.com/team@sha256:" + strings.Repeat("a", 64))}, nil},
		"an image of another port":                   {images, []func(*cluster){image("ghcr.io/robustmq/robustmq:1")}, []string{"PolicyImageRegistries@image"}},
		"an image of the port":                       {images, []func(*cluster){image("ghcr.io:443/robustmq/robustmq:1")}, nil},
		"an image of Docker Hub by its short name":   {images, []func(*cluster){image("robustmq/robustmq:1")}, nil},
		"another of Docker Hub by its short name":    {images, []func(*cluster){image("robustmq:1")}, []string{"PolicyImageRegistries@image"}},
		"what is no image":                           {images, []func(*cluster){image("registry.example.com/team/X Y")}, []string{"PolicyImageRegistries@image"}},
		"the default class where classes are listed": {classes, nil, []string{"PolicyStorageClasses@placementCenter.storageClassName", "PolicyStorageClasses@mqttBroker.storageClassName"}},
		"a class that is not listed":                 {classes, []func(*cluster){inClass("slow")}, []string{"PolicyStorageClasses@placementCenter.storageClassName", "PolicyStorageClasses@mqttBroker.storageClassName"}},
		"no class at all":                            {classes, []func(*cluster){inClass("")}, []string{"PolicyStorageClasses@placementCenter.storageClassName", "PolicyStorageClasses@mqttBroker.storageClassName"}},
		"a class that is listed":                     {classes, []func(*cluster){inClass("bulk")}, nil},
		"the default class where it is allowed too": {requires(func(r *v1alpha1.PolicyRequirements) {
			r.StorageClasses, r.AllowDefaultStorageClass = []string{"fast"}, true
		}), nil, nil},
		"an escape where none is allowed":             {none, []func(*cluster){members(2), unsafe("AllowEvenPlacementCenter")}, []string{"PolicyEscapes@unsafe"}},
		"no escape where none is allowed":             {none, nil, nil},
		"an escape that is allowed":                   {requires(func(r *v1alpha1.PolicyRequirements) { r.AllowedEscapes = []v1alpha1.AllowedEscape{"AllowInsecureS3"} }), []func(*cluster){unsafe("AllowInsecureS3")}, nil},
		"a rule that only warns, made to deny":        {gives("BackupAdvised", "Deny"), nil, []string{"BackupAdvised@backup"}},
		"few members where the warning denies":        {gives("PlacementCenterSize", "Deny"), []func(*cluster){members(1)}, []string{"PlacementCenterSize@placementCenter.replicas"}},
		"a policy that requires nothing":              {func(*robustMQPolicy) {}, []func(*cluster){members(1), unsafe("AllowInsecureS3")}, nil},
		"a requirement of which nothing shall follow": {func(p *robustMQPolicy) { leastMembers(3)(p); gives("PolicyMinimumMembers", "Off")(p) }, []func(*cluster){members(1)}, nil},
	} {
		for i, w := range c.want {
			c.want[i] = "Deny " + w + " p"
		}
		vs := Cluster(nil, valid(c.cluster...), under(Create, policy("p", c.policy)))
		if got := found(vs); !slices.Equal(got, c.want) {
			t.Errorf("%s: %q; want %q", what, got, c.want)
		}
		for _, v := range vs {
			if len(v.Policies) > 0 && (!strings.Contains(v.Text(), "(policy p): ") || v.WayOut == "" || v.Message == "") {
				t.Errorf("%s: a denial that names no policy or no way out: %q", what, v.Text())
			}
		}
	}
}

func TestEveryRequirementHasARowWithItsFieldAndWhyAndCanBeSwitchedOn(t *testing.T) {
	names := map[string]bool{}
	for _, r := range slices.Concat(Clusters, PolicyRules) {
		if names[r.Name] {
			t.Errorf("two rules are called %s", r.Name)
		}
		names[r.Name] = true
	}
	on := requirementsOf(&v1alpha1.PolicyRequirements{Maximum: &v1alpha1.MaximumRequirement{}})
	for _, r := range PolicyRules {
		if _, known := on[r.Name]; !known {
			t.Errorf("no requirement switches %s on", r.Name)
		}
		delete(on, r.Name)
		if !strings.HasPrefix(r.Name, "Policy") || !strings.HasPrefix(r.Requirement, "spec.requirements.") || r.Why == "" || r.DefaultAction != Deny || r.Check == nil || r.Escape != "" {
			t.Errorf("the row of %s is incomplete", r.Name)
		}
	}
	for name := range on {
		t.Errorf("%s has no row", name)
	}
}

func TestScalingIsHeldToTheMostBrokersAndToNoOtherRequirement(t *testing.T) {
	p := policy("p", mostBrokers(5), leastMembers(7), every(time.Hour))
	if got := found(Cluster(valid(), valid(brokers(6)), under(Scale, p))); !slices.Equal(got, []string{"Deny PolicyMaximumBrokers@mqttBroker.replicas p"}) {
		t.Errorf("%q", got)
	}
	if got := found(Cluster(valid(brokers(9)), valid(brokers(6)), under(Scale, p))); !slices.Equal(got, []string{"Warn PolicyMaximumBrokers@mqttBroker.replicas p"}) {
		t.Errorf("down, and still too many: %q", got)
	}
}

func TestTheSampleOfAClusterInProductionKeepsTheSampleOfAPolicyForIt(t *testing.T) {
	read := func(file string, into any) {
		t.Helper()
		data, err := os.ReadFile("../../config/samples/" + file)
		if err == nil {
			err = yaml.UnmarshalStrict(data, into)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	var p robustMQPolicy
	var good, small cluster
	read("policy.yaml", &p)
	read("production.yaml", &good)
	read("development.yaml", &small)
	p.Default()
	good.Default()
	small.Default()
	if vs := RobustMQPolicy(nil, &p, Context{Operation: Create}); len(vs) != 0 {
		t.Errorf("the policy itself: %s", Summary(vs))
	}
	if vs := AuditCluster(&good, NewPolicy(&p), ""); len(vs) != 0 {
		t.Errorf("the cluster of production: %s", Summary(vs))
	}
	if vs := AuditCluster(&small, NewPolicy(&p), ""); len(vs) < 3 {
		t.Errorf("the cluster of development: %s", Summary(vs))
	}
}
