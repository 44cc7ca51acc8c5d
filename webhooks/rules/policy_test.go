package rules

import (
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/robustmq/robustmq-operator/api/v1alpha1"
)

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
			r.AllowedEscapes = []v1alpha1.AllowedEscape{"AllowShrinkBelowQuorum"}
		}), []func(*cluster){unsafe("AllowInsecureS3")}, []func(*cluster){unsafe("AllowShrinkBelowQuorum", "AllowInsecureS3")}, []string{"Warn PolicyEscapes@unsafe p"}},
		"an escape in another's place":              {requires(func(r *v1alpha1.PolicyRequirements) { r.AllowedEscapes = []v1alpha1.AllowedEscape{} }), []func(*cluster){unsafe("AllowInsecureS3")}, []func(*cluster){unsafe("AllowShrinkBelowQuorum")}, []string{"Deny PolicyEscapes@unsafe p"}},
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
