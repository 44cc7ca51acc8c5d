package rules

import (
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/robustmq/robustmq-operator/api/v1alpha1"
)

// policy is one that requires nothing, changed.
func policy(name string, change ...func(*robustMQPolicy)) *robustMQPolicy {
	p := &robustMQPolicy{}
	p.Name = name
	for _, f := range change {
		f(p)
	}
	p.Default()
	return p
}

func requires(f func(*v1alpha1.PolicyRequirements)) func(*robustMQPolicy) {
	return func(p *robustMQPolicy) { f(&p.Spec.Requirements) }
}

func atMost(f func(*v1alpha1.MaximumRequirement)) func(*robustMQPolicy) {
	return requires(func(r *v1alpha1.PolicyRequirements) {
		if r.Maximum == nil {
			r.Maximum = &v1alpha1.MaximumRequirement{}
		}
		f(r.Maximum)
	})
}

func gives(rule string, action v1alpha1.PolicyAction) func(*robustMQPolicy) {
	return func(p *robustMQPolicy) {
		p.Spec.Rules = append(p.Spec.Rules, v1alpha1.PolicyRule{Name: rule, Action: action})
	}
}

func number(n int32) *int32 { return &n }

func leastMembers(n int32) func(*robustMQPolicy) {
	return requires(func(r *v1alpha1.PolicyRequirements) { r.MinimumPlacementCenterReplicas = &n })
}

func mostBrokers(n int32) func(*robustMQPolicy) {
	return atMost(func(m *v1alpha1.MaximumRequirement) { m.Brokers = &n })
}

func brokers(n int32) func(*cluster) { return func(c *cluster) { c.Spec.MQTTBroker.Replicas = n } }

func unsafe(e ...v1alpha1.UnsafeEscape) func(*cluster) {
	return func(c *cluster) { c.Spec.Unsafe = e }
}

// plan is a backup plan with cron lines of UTC; one that begins with a minus is suspended.
func plan(crons ...string) func(*cluster) {
	return func(c *cluster) {
		c.Spec.Backup = &v1alpha1.BackupSpec{Destination: v1alpha1.S3Destination{Bucket: "backups"}}
		for i, line := range crons {
			line, suspended := strings.CutPrefix(line, "-")
			c.Spec.Backup.Schedules = append(c.Spec.Backup.Schedules, v1alpha1.BackupSchedule{Name: string(rune('a' + i)), Cron: line, TimeZone: "Etc/UTC", Suspend: suspended})
		}
	}
}

func every(d time.Duration) func(*robustMQPolicy) {
	return requires(func(r *v1alpha1.PolicyRequirements) {
		r.Backup = &v1alpha1.BackupRequirement{MaximumInterval: &metav1.Duration{Duration: d}}
	})
}

// under is a context with policies.
func under(op Operation, policies ...*robustMQPolicy) Context {
	var list []robustMQPolicy
	for _, p := range policies {
		list = append(list, *p)
	}
	return Context{Operation: op, Policies: PoliciesFor(list, nil)}
}

// found are the violations that policies made, "action Rule@field (policies)".
func found(vs []Violation) []string {
	var out []string
	for _, v := range vs {
		if len(v.Policies) > 0 {
			out = append(out, string(v.Severity)+" "+v.Rule+"@"+strings.TrimPrefix(v.Field.String(), "spec.")+" "+strings.Join(v.Policies, ","))
		}
	}
	return out
}

func TestEveryRequirementThatIsBrokenDeniesInTheNameOfItsPolicy(t *testing.T) {
	tls := requires(func(r *v1alpha1.PolicyRequirements) { r.TLS = &v1alpha1.TLSRequirement{} })
	images := requires(func(r *v1alpha1.PolicyRequirements) {
		r.ImageRegistries = []string{"registry.example.com/team", "docker.io/robustmq", "ghcr.io:443"}
	})
	classes := requires(func(r *v1alpha1.PolicyRequirements) { r.StorageClasses = []string{"fast", "bulk"} })
	none := requires(func(r *v1alpha1.PolicyRequirements) { r.AllowedEscapes = []v1alpha1.UnsafeEscape{} })
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
		"an escape that is allowed":                   {requires(func(r *v1alpha1.PolicyRequirements) { r.AllowedEscapes = []v1alpha1.UnsafeEscape{"AllowInsecureS3"} }), []func(*cluster){unsafe("AllowInsecureS3")}, nil},
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

func TestOfSeveralPoliciesTheStrictestWinsAndIsNamed(t *testing.T) {
	lax, strict, other := gives("BackupAdvised", "Off"), gives("BackupAdvised", "Deny"), leastMembers(3)
	for what, c := range map[string]struct {
		policies []*robustMQPolicy
		want     string // what follows from having no backup plan: "action policies"
	}{
		"none":                     {nil, "Warn "},
		"one that says nothing":    {[]*robustMQPolicy{policy("a", other)}, "Warn "},
		"one that switches it off": {[]*robustMQPolicy{policy("a", lax)}, ""},
		"one that counts":          {[]*robustMQPolicy{policy("a", gives("BackupAdvised", "Audit"))}, "Audit "},
		"off and deny":             {[]*robustMQPolicy{policy("a", lax), policy("b", strict)}, "Deny b"},
		"deny and off":             {[]*robustMQPolicy{policy("a", strict), policy("b", lax)}, "Deny a"},
		"deny and deny":            {[]*robustMQPolicy{policy("b", strict), policy("c", lax), policy("a", strict)}, "Deny a,b"},
		"off and audit":            {[]*robustMQPolicy{policy("a", lax), policy("b", gives("BackupAdvised", "Audit"))}, "Audit "},
		"audit and warn":           {[]*robustMQPolicy{policy("a", gives("BackupAdvised", "Audit")), policy("b", gives("BackupAdvised", "Warn"))}, "Warn "},
	} {
		got := ""
		for _, v := range Cluster(nil, valid(), under(Create, c.policies...)) {
			if v.Rule == "BackupAdvised" {
				got = string(v.Severity) + " " + strings.Join(v.Policies, ",")
			}
		}
		if got != c.want {
			t.Errorf("%s: %q; want %q", what, got, c.want)
		}
	}
	got := found(Cluster(nil, valid(members(1)), under(Create, policy("b", leastMembers(5)), policy("a", other, gives("PolicyMinimumMembers", "Warn")))))
	if !slices.Equal(got, []string{"Warn PolicyMinimumMembers@placementCenter.replicas a", "Deny PolicyMinimumMembers@placementCenter.replicas b"}) {
		t.Errorf("each policy's requirement has its own action: %q", got)
	}
	v := Denied(Cluster(nil, valid(), under(Create, policy("a", strict), policy("b", strict))))
	if len(v) != 1 || !strings.HasPrefix(v[0].Text(), "BackupAdvised (policies a, b): there is no backup plan") {
		t.Errorf("%+v", v)
	}
}

func TestNoPolicyLowersWhatTheOperatorItselfDenies(t *testing.T) {
	for _, action := range []v1alpha1.PolicyAction{"Off", "Audit", "Warn"} {
		p := policy("p", gives("PlacementCenterOdd", action), gives("VersionCapabilities", action))
		got := Denied(Cluster(nil, valid(members(2)), under(Create, p)))
		if len(got) != 1 || got[0].Rule != "PlacementCenterOdd" {
			t.Errorf("%s: %+v", action, got)
		}
		journal := valid(func(c *cluster) { c.Spec.Version = "0.3.7"; c.Spec.JournalServer = &v1alpha1.JournalServerSpec{} })
		if got := Denied(Cluster(nil, journal, under(Create, p))); len(got) != 1 || got[0].Rule != "VersionCapabilities" {
			t.Errorf("%s: a rule that warns, and here denies: %+v", action, got)
		}
	}
}

func TestWhatBrokeARequirementBeforeOnlyWarnsUnlessItGetsWorse(t *testing.T) {
	backup := gives("BackupAdvised", "Deny")
	tls := requires(func(r *v1alpha1.PolicyRequirements) { r.TLS = &v1alpha1.TLSRequirement{} })
	for what, c := range map[string]struct {
		policy  func(*robustMQPolicy)
		was, is []func(*cluster)
		want    []string
	}{
		"an unrelated change":               {leastMembers(3), []func(*cluster){members(1)}, []func(*cluster){members(1), brokers(7)}, []string{"Warn PolicyMinimumMembers@placementCenter.replicas p"}},
		"a step towards the least":          {leastMembers(5), []func(*cluster){members(1)}, []func(*cluster){members(3)}, []string{"Warn PolicyMinimumMembers@placementCenter.replicas p"}},
		"a step away from it":               {leastMembers(5), []func(*cluster){members(3)}, []func(*cluster){members(2), unsafe("AllowEvenPlacementCenter")}, []string{"Deny PolicyMinimumMembers@placementCenter.replicas p"}},
		"what was right becomes wrong":      {leastMembers(3), nil, []func(*cluster){members(2), unsafe("AllowEvenPlacementCenter")}, []string{"Deny PolicyMinimumMembers@placementCenter.replicas p"}},
		"fewer brokers, still too many":     {mostBrokers(5), []func(*cluster){brokers(9)}, []func(*cluster){brokers(8)}, []string{"Warn PolicyMaximumBrokers@mqttBroker.replicas p"}},
		"more brokers, and too many before": {mostBrokers(5), []func(*cluster){brokers(8)}, []func(*cluster){brokers(9)}, []string{"Deny PolicyMaximumBrokers@mqttBroker.replicas p"}},
		"a plan that was missing and is":    {backup, nil, []func(*cluster){brokers(7)}, []string{"Warn BackupAdvised@backup p"}},
		"a plan that is taken away":         {backup, []func(*cluster){plan("0 * * * *")}, nil, []string{"Deny BackupAdvised@backup p"}},
		"a plain listener more than before": {tls, nil, []func(*cluster){func(c *cluster) { on := true; c.Spec.Listeners.Kafka = &v1alpha1.ListenerSpec{Enabled: &on} }}, []string{"Warn PolicyTLSRequired@listeners.mqtt.enabled p", "Warn PolicyTLSRequired@listeners.ws.enabled p", "Deny PolicyTLSRequired@listeners.kafka.enabled p"}},
		"an escape that was there, elsewhere": {requires(func(r *v1alpha1.PolicyRequirements) {
			r.AllowedEscapes = []v1alpha1.UnsafeEscape{"AllowShrinkBelowQuorum"}
		}), []func(*cluster){unsafe("AllowInsecureS3")}, []func(*cluster){unsafe("AllowShrinkBelowQuorum", "AllowInsecureS3")}, []string{"Warn PolicyEscapes@unsafe p"}},
		"an escape in another's place":              {requires(func(r *v1alpha1.PolicyRequirements) { r.AllowedEscapes = []v1alpha1.UnsafeEscape{} }), []func(*cluster){unsafe("AllowInsecureS3")}, []func(*cluster){unsafe("AllowShrinkBelowQuorum")}, []string{"Deny PolicyEscapes@unsafe p"}},
		"another wrong version":                     {requires(func(r *v1alpha1.PolicyRequirements) { r.Versions = []string{"0.4.12"} }), []func(*cluster){version("0.4.10")}, nil, []string{"Deny PolicyVersions@version p"}},
		"the same wrong version":                    {requires(func(r *v1alpha1.PolicyRequirements) { r.Versions = []string{"0.4.12"} }), nil, []func(*cluster){brokers(7)}, []string{"Warn PolicyVersions@version p"}},
		"more seldom backups than the seldom ones":  {every(time.Hour), []func(*cluster){plan("0 3 * * *")}, []func(*cluster){plan("0 3 * * 1")}, []string{"Deny PolicyBackupInterval@backup.schedules p"}},
		"more frequent backups than the seldom are": {every(time.Hour), []func(*cluster){plan("0 3 * * 1")}, []func(*cluster){plan("0 3 * * *")}, []string{"Warn PolicyBackupInterval@backup.schedules p"}},
	} {
		vs := Cluster(valid(c.was...), valid(c.is...), under(Update, policy("p", c.policy)))
		if got := found(vs); !slices.Equal(got, c.want) {
			t.Errorf("%s: %q; want %q", what, got, c.want)
		}
		for _, v := range vs {
			if len(v.Policies) > 0 && v.Standing != (v.Severity == Warn) || v.Standing != strings.Contains(v.Warning(), "it was so before") {
				t.Errorf("%s: %+v", what, v)
			}
		}
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

func TestTheGuardAndAClusterWithoutPoliciesKnowOfNone(t *testing.T) {
	if got := GuardCluster(nil, valid(members(1))); len(got) != 0 {
		t.Errorf("%v", got)
	}
	if got := found(Cluster(nil, valid(members(1)), Context{Operation: Create})); len(got) != 0 {
		t.Errorf("%v", got)
	}
}

func TestAPolicyHoldsWhereItsSelectorChooses(t *testing.T) {
	chosen := func(s *metav1.LabelSelector) func(*robustMQPolicy) {
		return func(p *robustMQPolicy) { p.Spec.NamespaceSelector = s }
	}
	list := []robustMQPolicy{
		*policy("d-unreadable", chosen(&metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "a", Operator: "Is"}}})),
		*policy("c-not", chosen(&metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "env", Operator: "NotIn", Values: []string{"dev"}}}})),
		*policy("b-prod", chosen(&metav1.LabelSelector{MatchLabels: map[string]string{"env": "prod"}})),
		*policy("a-all", chosen(nil)), *policy("e-all", chosen(&metav1.LabelSelector{})),
	}
	for env, want := range map[string]string{"prod": "a-all b-prod c-not e-all", "dev": "a-all e-all", "": "a-all c-not e-all"} {
		var names []string
		for _, p := range PoliciesFor(list, map[string]string{"env": env}) {
			names = append(names, p.Name)
		}
		if got := strings.Join(names, " "); got != want {
			t.Errorf("%q: %q; want %q", env, got, want)
		}
	}
}

func TestAnAuditSaysWhatThePolicySpeaksOfAndNothingElse(t *testing.T) {
	p := NewPolicy(policy("p", leastMembers(3), gives("PlacementCenterOdd", "Deny"), gives("BackupAdvised", "Audit"), gives("AccessAdvised", "Off"), gives("PolicyMinimumMembers", "Audit")))
	off := false
	c := valid(members(2), setting("", "broker_id", "1"), func(c *cluster) { c.Spec.NetworkPolicy.Enabled = &off })
	var got []string
	for _, v := range AuditCluster(c, p, "") {
		got = append(got, string(v.Severity)+" "+v.Rule)
	}
	if !slices.Equal(got, []string{"Deny PlacementCenterOdd", "Audit BackupAdvised", "Audit PolicyMinimumMembers"}) {
		t.Errorf("%q", got)
	}
	speaks := p.Speaks()
	if len(speaks) != 3 || speaks["PlacementCenterOdd"] != Deny || speaks["BackupAdvised"] != Audit || speaks["PolicyMinimumMembers"] != Audit {
		t.Errorf("%v", speaks)
	}
}

func TestTheLongestTimeBetweenBackupsIsThatOfTheWorstDayOfTheYear(t *testing.T) {
	const h, d = time.Hour, 24 * time.Hour
	for _, c := range []struct {
		lines string
		want  time.Duration
	}{
		{"* * * * *", time.Minute},
		{"0 * * * *", h},
		{"*/7 * * * *", 7 * time.Minute},
		{"0 9-17 * * *", 16 * h},
		{"0 3 * * *", d},
		{"0 3 * * 1-5", 3 * d},
		{"0 3 * * 0", 7 * d},
		{"0 3 1 * *", 31 * d},
		{"0 3 31 * *", 61 * d}, // from 31 March to 31 May, for example
		{"0 3 * * *;0 15 * * *", 12 * h},
		{"0 3 * * *;-0 15 * * *", d},
		{"0 0 * * 1;0 12 * * 4", 84 * h},
		{"@daily", d},
		{"@every 90m", 90 * time.Minute},
		{"@every 90m;0 * * * *", h},
		{"no cron;0 * * * *", h},
	} {
		p := valid(plan(strings.Split(c.lines, ";")...))
		if got, ok := longestGap(active(p.Spec.Backup)); !ok || got != c.want {
			t.Errorf("%s: %s, %t; want %s", c.lines, got, ok, c.want)
		}
	}
	for _, never := range []string{"0 3 30 2 *", "0 3 29 2 *"} {
		if got, ok := longestGap(active(valid(plan(never)).Spec.Backup)); !ok || got < 366*d {
			t.Errorf("%s: %s, %t", never, got, ok)
		}
	}
	for _, unreadable := range []string{"", "TZ=", "CRON_TZ=UTC", "TZ=UTC 0 * * * *", "0 0 0 0 0 0"} {
		if got, ok := longestGap(active(valid(plan(unreadable)).Spec.Backup)); ok {
			t.Errorf("%q: %s", unreadable, got)
		}
	}
}

func TestSchedulesOfSeveralTimeZonesAreNotAddedUp(t *testing.T) {
	c := valid(plan("0 3 * * *", "0 15 * * *"))
	c.Spec.Backup.Schedules[1].TimeZone = "Europe/Berlin"
	if got, ok := longestGap(active(c.Spec.Backup)); !ok || got != 24*time.Hour {
		t.Errorf("%s, %t", got, ok)
	}
	c.Spec.Backup.Schedules[0].TimeZone = "Europe/Berlin" // where one day in autumn has 25 hours
	if got, ok := longestGap(active(c.Spec.Backup)); !ok || got != 12*time.Hour {
		t.Errorf("%s, %t", got, ok)
	}
}

func TestAPolicyThatWouldNotDoWhatItSaysIsRefused(t *testing.T) {
	for what, c := range map[string]struct {
		change func(*robustMQPolicy)
		want   string
	}{
		"a rule that does not exist":         {gives("BackupAdvise", "Deny"), "RulesKnown@spec.rules[0].name: BackupAdvised"},
		"one that is like no other":          {gives("Xyzzy", "Deny"), "RulesKnown@spec.rules[0].name: docs/policies.md"},
		"a denial lowered":                   {gives("StorageOnlyGrows", "Warn"), "RulesOnlyStricter@spec.rules[0].action: no policy can lower it to Warn"},
		"a denial switched off":              {gives("PlacementCenterOdd", "Off"), "RulesOnlyStricter@spec.rules[0].action: spec.unsafe"},
		"an action for what is not required": {gives("PolicyVersions", "Warn"), "RulesHaveRequirements@spec.rules[0].name: set spec.requirements.versions"},
		"a selector that cannot be read": {func(p *robustMQPolicy) {
			p.Spec.NamespaceSelector = &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "a", Operator: "In"}}}
		}, "SelectorReadable@spec.namespaceSelector: In and NotIn need values"},
		"a version that cannot be read":       {requires(func(r *v1alpha1.PolicyRequirements) { r.Versions = []string{"0.4.x", ">=0.4"} }), `RequirementsReadable@spec.requirements.versions: ">=0.4"`},
		"a registry that cannot be read":      {requires(func(r *v1alpha1.PolicyRequirements) { r.ImageRegistries = []string{"https://ghcr.io"} }), `RequirementsReadable@spec.requirements.imageRegistries: "https://ghcr.io"`},
		"a registry that would be Docker Hub": {requires(func(r *v1alpha1.PolicyRequirements) { r.ImageRegistries = []string{"team"} }), `RequirementsReadable@spec.requirements.imageRegistries: docker.io/team`},
	} {
		vs := Denied(RobustMQPolicy(nil, policy("p", c.change), Context{Operation: Create}))
		rule, says, _ := strings.Cut(c.want, ": ")
		if len(vs) != 1 || vs[0].Rule+"@"+vs[0].Field.String() != rule || !strings.Contains(vs[0].Text(), says) {
			t.Errorf("%s: %s; want %s", what, Summary(vs), c.want)
		}
	}
	for what, change := range map[string]func(*robustMQPolicy){
		"a denial for what denies": gives("StorageOnlyGrows", "Deny"),
		"a warning switched off":   gives("AccessAdvised", "Off"),
		"Docker Hub by another name": requires(func(r *v1alpha1.PolicyRequirements) {
			r.ImageRegistries = []string{"index.docker.io/robustmq", "localhost:5000"}
		}),
	} {
		if vs := RobustMQPolicy(nil, policy("p", change), Context{Operation: Create}); len(vs) != 0 {
			t.Errorf("%s: %s", what, Summary(vs))
		}
	}
	if vs := Warned(RobustMQPolicy(nil, policy("p"), Context{Operation: Create})); len(vs) != 1 || !strings.Contains(vs[0].Text(), "does nothing") {
		t.Errorf("%s", Summary(vs))
	}
	if vs := Warned(RobustMQPolicy(nil, policy("p", gives("PlacementCenterOdd", "Deny")), Context{Operation: Create})); len(vs) != 1 || !strings.Contains(vs[0].Text(), "allowedEscapes") {
		t.Errorf("%s", Summary(vs))
	}
}

// definition is the schema of a generated file.
func definition(t *testing.T, file string) *apiextensionsv1.JSONSchemaProps {
	t.Helper()
	data, err := os.ReadFile("../../config/crd/" + file)
	if err != nil {
		t.Fatal(err)
	}
	var crd apiextensionsv1.CustomResourceDefinition
	if err := yaml.UnmarshalStrict(data, &crd); err != nil {
		t.Fatal(err)
	}
	return crd.Spec.Versions[0].Schema.OpenAPIV3Schema
}

func TestTheSchemaOfPoliciesKnowsWhichRulesCanBeLowered(t *testing.T) {
	rules := definition(t, "robustmq.io_robustmqpolicies.yaml").Properties["spec"].Properties["rules"].Items.Schema.XValidations
	if len(rules) != 1 {
		t.Fatalf("%d rules", len(rules))
	}
	for _, r := range Clusters {
		listed := strings.Contains(rules[0].Rule, "'"+r.Name+"'")
		if lowerable := r.DefaultAction != Deny; listed != lowerable {
			t.Errorf("%s can be lowered: %t; the schema (marker of PolicyRule in api/v1alpha1) says %t", r.Name, lowerable, listed)
		}
		if listed != strings.Contains(rules[0].MessageExpression, " "+r.Name) {
			t.Errorf("the message of the schema is wrong about %s", r.Name)
		}
	}
}

func TestNoPolicyChangesACluster(t *testing.T) {
	c := valid(members(1))
	before := c.DeepCopy()
	p := policy("p", leastMembers(3), mostBrokers(1), every(time.Hour))
	given := p.DeepCopy()
	AuditCluster(c, NewPolicy(p), "")
	Cluster(before, c, under(Update, p))
	if !equal(before, c) || !equal(given, p) {
		t.Error("an object was changed")
	}
}

func equal(a, b any) bool {
	x, _ := yaml.Marshal(a)
	y, _ := yaml.Marshal(b)
	return string(x) == string(y)
}

func FuzzNoPolicyMakesARulePanic(f *testing.F) {
	for _, s := range []string{"0.4.x", ">=0.4.9 <0.5.0", "!=0.4.x || <1", "=x.x", "TZ=", "@every 0s", "*/0 * * * *", "0 0 29 2 *", "ghcr.io/a", "a@sha256:b", "[::1]:80/a"} {
		f.Add(s, s, s, s)
	}
	f.Fuzz(func(t *testing.T, ver, cronLine, registry, image string) {
		p := policy("p", every(time.Hour), requires(func(r *v1alpha1.PolicyRequirements) {
			r.Versions, r.ImageRegistries = []string{ver}, []string{registry}
		}))
		c := valid(plan(cronLine), func(c *cluster) { c.Spec.Image = image })
		for _, v := range slices.Concat(Cluster(nil, c, under(Create, p)), RobustMQPolicy(nil, p, Context{Operation: Create})) {
			if v.Message == "" || v.Field == nil {
				t.Errorf("%+v", v)
			}
		}
	})
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
