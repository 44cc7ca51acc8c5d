package rules

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/internal/robustmq/config/catalogue"
)

// What `make mutation` found nobody looking at.

func TestSevenMembersAreAllowedAndEightAreNot(t *testing.T) {
	for n, want := range map[int32]bool{6: true, 7: true, 8: false, 9: false} {
		if got := len(placementCenterSize(nil, valid(members(n)), Context{})) == 0; got != want {
			t.Errorf("%d members: allowed %v", n, got)
		}
	}
}

func TestNoMembersAreTooFewAndNotEven(t *testing.T) {
	none := valid()
	none.Spec.PlacementCenter.Replicas, none.Spec.MQTTBroker.Replicas = 0, 0
	if vs := placementCenterSize(nil, none, Context{}); len(vs) != 1 || vs[0].Severity == Warn || !strings.Contains(vs[0].Message, "0 members cannot hold") {
		t.Errorf("the size: %+v", vs)
	}
	if vs := placementCenterOdd(nil, none, Context{}); len(vs) != 0 {
		t.Errorf("even: %+v", vs)
	}
	if vs := brokersWithinScale(nil, none, Context{}); len(vs) != 1 || !strings.Contains(vs[0].Message, "0 is not from 1 to 1000") {
		t.Errorf("the brokers: %+v", vs)
	}
	for n, want := range map[int32]bool{1: true, 2: true, 1000: true, 1001: false} {
		c := valid()
		c.Spec.MQTTBroker.Replicas = n
		if got := len(brokersWithinScale(nil, c, Context{})) == 0; got != want {
			t.Errorf("%d brokers: allowed %v", n, got)
		}
	}
}

func TestTheWayOutOfAShrinkIsTheLeastOddNumberThatKeepsAQuorum(t *testing.T) {
	for was, want := range map[int32]string{7: "write 5 or more", 6: "write 5 or more", 5: "write 3 or more", 4: "write 3 or more", 3: "write 3 or more"} {
		if vs := noShrinkBelowQuorum(valid(members(was)), valid(members(1)), Context{}); len(vs) != 1 || !strings.HasPrefix(vs[0].WayOut, want) {
			t.Errorf("from %d: %+v; want %q", was, vs, want)
		}
	}
}

func TestIslandsNeedNoNodeForEachCopy(t *testing.T) {
	copies := setting("runtime", "default_topic_replica_num", "9")
	for v, want := range map[string]int{"0.3.0": 0, "0.3.7": 0, "0.3.8": 1, "0.4.11": 1, "no version": 1} {
		if vs := brokersWithinScale(nil, valid(version(v), copies), Context{}); len(vs) != want {
			t.Errorf("%s: %+v", v, vs)
		}
	}
}

func TestOnlyThePortsOfKafkaAndAMQPCouldNotBeChosenOnce(t *testing.T) {
	on := true
	for _, port := range []int32{0, 4222, 14222} {
		c := valid(version("0.3.8"), func(c *cluster) { c.Spec.Listeners.NATS = &v1alpha1.ListenerSpec{Enabled: &on, Port: port} })
		for _, v := range versionCapabilities(nil, c, Context{}) {
			if strings.HasPrefix(v.Field.String(), "spec.listeners") {
				t.Errorf("NATS on %d: %+v", port, v)
			}
		}
	}
}

func TestTheNameOfAScheduleAndTheAgeOfItsBackupsEndAtTheirLimits(t *testing.T) {
	for n, want := range map[int]bool{19: true, 20: true, 21: false} {
		if v := scheduleName("c", strings.Repeat("s", n)); (v == nil) != want || v != nil && !strings.Contains(v.Message, "more than 20") {
			t.Errorf("%d characters: %+v", n, v)
		}
	}
	for age, want := range map[time.Duration]bool{-1: false, 0: false, 1: true} {
		c := scheduled(v1alpha1.BackupSchedule{Name: "s", Cron: "@daily", Retention: v1alpha1.RetentionPolicy{MaxAge: &metav1.Duration{Duration: age}}})
		if got := len(retentionKeepsOne(nil, c, Context{})) == 0; got != want {
			t.Errorf("%s: allowed %v", age, got)
		}
	}
}

func TestPortsOfAnEndpointGoFromOneToTheLast(t *testing.T) {
	for port, want := range map[string]bool{"": true, "0": false, "1": true, "2": true, "65535": true, "65536": false, "-1": false, "x": false} {
		if got := portFits(port); got != want {
			t.Errorf("%q: %v", port, got)
		}
	}
}

func TestADestinationIsLookedAtWhenItIsSaidForTheFirstTimeOrAnew(t *testing.T) {
	to := func(bucket string) *cluster {
		return valid(func(c *cluster) {
			c.Spec.Backup = &v1alpha1.BackupSpec{Destination: v1alpha1.S3Destination{Endpoint: "https://s3.example.com", Bucket: bucket}}
		})
	}
	for name, c := range map[string]struct {
		old, new *cluster
		want     bool
	}{
		"made without a plan":  {nil, valid(), false},
		"made with one":        {nil, to("a"), true},
		"a plan is taken away": {to("a"), valid(), false},
		"a plan is added":      {valid(), to("a"), true},
		"the same place":       {to("a"), to("a"), false},
		"another place":        {to("a"), to("b"), true},
	} {
		if got := ChangesDestination(c.old, c.new); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestOnlyTheEscapeFromHTTPSTakesAPartOfItsRuleOff(t *testing.T) {
	c := valid(func(c *cluster) {
		c.Spec.Unsafe = []v1alpha1.UnsafeEscape{v1alpha1.AllowInsecureS3, v1alpha1.AllowEvenPlacementCenter}
	})
	got := escapesNamed(nil, c, Context{})
	if len(got) != 2 || !strings.Contains(got[0].Message, "BackupDestination's demand for https") || !strings.Contains(got[1].Message, "the rule PlacementCenterOdd") {
		t.Errorf("%+v", got)
	}
}

func TestANumberThatNoSettingCanHoldIsRefused(t *testing.T) {
	for text, fits := range map[string]bool{
		"9223372036854775807": true, "9223372036854775808": false, "-9223372036854775809": false, "1.5": true, "1e3": true, "1E3": true, "1e999": false,
	} {
		if got := scalar(json.Number(text)) == ""; got != fits {
			t.Errorf("%s: allowed %v", text, got)
		}
	}
}

func TestAValueIsRepeatedOnlyWhenItCannotBeASecret(t *testing.T) {
	long := `"` + strings.Repeat("x", 62) + `"` // 64 bytes
	for name, c := range map[string]struct {
		entry entry
		want  any
	}{
		"unknown":             {entry{key: "k", raw: []byte(`1`)}, "(not shown)"},
		"a secret":            {entry{key: "k", known: true, setting: catalogue.Setting{Secret: true}, raw: []byte(`1`)}, "(not shown)"},
		"admin":               {entry{section: "admin", key: "k", known: true, raw: []byte(`1`)}, "(not shown)"},
		"llm_client":          {entry{section: "llm_client", key: "k", known: true, raw: []byte(`1`)}, "(not shown)"},
		"a password":          {entry{key: "my_password", known: true, raw: []byte(`1`)}, "(not shown)"},
		"something secret":    {entry{key: "my_secret", known: true, raw: []byte(`1`)}, "(not shown)"},
		"a token":             {entry{key: "my_token", known: true, raw: []byte(`1`)}, "(not shown)"},
		"a whole number":      {entry{key: "k", known: true, raw: []byte(`7`)}, int64(7)},
		"a fraction":          {entry{key: "k", known: true, raw: []byte(`0.5`)}, 0.5},
		"beyond whole":        {entry{key: "k", known: true, raw: []byte(`9223372036854775808`)}, "9223372036854775808"},
		"beyond any":          {entry{key: "k", known: true, raw: []byte(`1e999`)}, "1e999"},
		"a text":              {entry{key: "k", known: true, raw: []byte(`"x"`)}, "x"},
		"a text of 64 bytes":  {entry{key: "k", known: true, raw: []byte(long)}, long[1 : len(long)-1]},
		"one of 65":           {entry{key: "k", known: true, raw: []byte(`"x` + long[1:])}, `"x` + long[1:63] + "…"},
		"a list":              {entry{key: "k", known: true, raw: []byte(`[1]`)}, "[1]"},
		"a list of 64 bytes":  {entry{key: "k", known: true, raw: []byte("[" + long[:61] + `"]`)}, "[" + long[:61] + `"]`},
		"what cannot be read": {entry{key: "k", known: true, raw: []byte(`{`)}, "{"},
	} {
		if got := c.entry.shown(); got != c.want {
			t.Errorf("%s: %#v, want %#v", name, got, c.want)
		}
	}
}

func TestNamesOfSettingsEndAtTheirLimit(t *testing.T) {
	at, over := strings.Repeat("a", 128), strings.Repeat("a", 129)
	for name, c := range map[string]struct {
		entry entry
		want  bool
	}{
		"both at it":   {entry{section: at, key: at}, true},
		"section over": {entry{section: over, key: at}, false},
		"key over":     {entry{section: at, key: over}, false},
	} {
		if got := c.entry.named(); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestAValueMayHaveAsManyBytesAsTheLimitAndNotOneMore(t *testing.T) {
	for n, want := range map[int]bool{maxValue - 1: true, maxValue: true, maxValue + 1: false} {
		vs := configTypes(nil, valid(setting("mqtt_runtime.schema", "log_level", `"`+strings.Repeat("x", n-2)+`"`)), Context{})
		if got := len(vs) == 0; got != want || !want && !strings.Contains(vs[0].Message, "more than 8192 bytes") {
			t.Errorf("%d bytes: %+v", n, vs)
		}
	}
}

// Of a key that is not known, ConfigKnownKeys speaks; its shape matters only where it is passed on.
func TestTheShapeOfAValueIsLookedAtOnlyWhereAKeyIsPassedOnUnknown(t *testing.T) {
	for name, c := range map[string]struct {
		version, section, key string
		want                  int
	}{
		"not known, of a version that is":         {"0.4.11", "runtime", "no_such_key", 0},
		"not known, of a version that is neither": {"9.0.0", "runtime", "no_such_key", 1},
		"the operator's own, of a known version":  {"0.4.11", "", "broker_id", 0},
		"the operator's own, of a newer version":  {"9.0.0", "", "broker_id", 0},
	} {
		if vs := configTypes(nil, valid(version(c.version), setting(c.section, c.key, `{}`)), Context{}); len(vs) != c.want {
			t.Errorf("%s: %+v", name, vs)
		}
	}
}

func TestANumberOutOfRangeIsToldWhyTheRangeIsWhatItIsWhereSomethingIsKnown(t *testing.T) {
	numbers := map[bool]int{} // with a reason, and without
	for _, s := range catalogue.All() {
		if s.Owned {
			continue
		}
		raw := `1e999` // beyond every number
		if !s.Number() {
			raw = `1`
		}
		v, bad := entry{section: s.Section, key: s.Key, raw: []byte(raw), known: true, setting: s}.judge()
		want := "the setting " + s.Problem(json.Number(raw))
		if s.Number() {
			numbers[s.Why != ""]++
			if s.Why != "" {
				want += ". " + strings.TrimSuffix(s.Why, ".")
			}
		}
		if !bad || v.Message != want {
			t.Errorf("%s: %q, want %q", s.Name(), v.Message, want)
		}
		text, _ := entry{section: s.Section, key: s.Key, raw: []byte(`{}`), known: true, setting: s}.judge()
		if want := "the setting " + s.Problem(map[string]any{}); text.Message != want {
			t.Errorf("%s: an object: %q, want %q", s.Name(), text.Message, want)
		}
	}
	if numbers[true] < 10 || numbers[false] < 10 {
		t.Errorf("%v numbers with a reason and without", numbers)
	}
}

func TestWhatWasSoBeforeIsTheSameOfTheSamePoliciesAndNoWorse(t *testing.T) {
	is := Violation{Field: spec.Child("a"), Policies: []string{"p"}, Severity: Deny, Value: 1, Message: "m"}
	for what, c := range map[string]struct {
		now, before func(*Violation)
		want        bool
	}{
		"the same":                                 {want: true},
		"another field":                            {before: func(v *Violation) { v.Field = spec.Child("b") }},
		"another policy":                           {before: func(v *Violation) { v.Policies = []string{"q"} }},
		"one policy more":                          {before: func(v *Violation) { v.Policies = []string{"p", "q"} }},
		"another action":                           {before: func(v *Violation) { v.Severity = Warn }},
		"another value":                            {before: func(v *Violation) { v.Value = 2 }},
		"another message":                          {before: func(v *Violation) { v.Message = "n" }},
		"another value as far past the limit":      {now: func(v *Violation) { v.beyond = 5 }, before: func(v *Violation) { v.Value, v.beyond = 2, 5 }, want: true},
		"another value, further past it before":    {now: func(v *Violation) { v.beyond = 5 }, before: func(v *Violation) { v.Value, v.beyond = 2, 6 }, want: true},
		"another value, not as far past it before": {now: func(v *Violation) { v.beyond = 5 }, before: func(v *Violation) { v.Value, v.beyond = 2, 4 }},
	} {
		now, before := is, is
		for f, v := range map[*Violation]func(*Violation){&now: c.now, &before: c.before} {
			if v != nil {
				v(f)
			}
		}
		if got := now.noWorseThan(before); got != c.want {
			t.Errorf("%s: %v", what, got)
		}
	}
}

// What cannot be read is no version, not even the one that its zero value looks like.
func TestABackupOrAClusterWhoseVersionCannotBeReadFitsNothing(t *testing.T) {
	for _, c := range [][2]string{{"0.0.0", "x"}, {"x", "0.0.0"}, {"x", "x"}, {"x", "0.4.11"}, {"0.4.11", "x"}} {
		b, target := backup{}, valid()
		b.Name, b.Status.Version, target.Status.Version = "saved", c[0], c[1]
		is := restoring("my-cluster")
		if vs := restoreSameVersion(nil, &is, Context{Around: &Around{Clusters: []cluster{*target}, Backups: []backup{b}}}); len(vs) != 1 {
			t.Errorf("written by %s, read by %s: %+v", c[0], c[1], vs)
		}
	}
}

func TestNamesAreJoinedAsAChoiceAndEscapesAsAList(t *testing.T) {
	for want, names := range map[string][]string{`"a"`: {"a"}, `"a" or "b"`: {"a", "b"}, `"a", "b" or "c"`: {"a", "b", "c"}, `"a", "b", "c" or "d"`: {"a", "b", "c", "d"}, "": nil} {
		if got := quoted(names); got != want {
			t.Errorf("%q: %s", names, got)
		}
	}
	for want, list := range map[string][]v1alpha1.AllowedEscape{"none is": {}, "A": {"A"}, "A, B": {"A", "B"}} {
		if got := escapes(list); got != want {
			t.Errorf("%q: %s", list, got)
		}
	}
}

func TestARunRightAfterTheDaysThatAreFollowedIsNotOneOfThem(t *testing.T) {
	after := firstDay.AddDate(0, 0, days)
	yearly := fmt.Sprintf("0 3 %d %d *", after.Day(), after.Month())
	if got, ok := longestGap(active(valid(plan(yearly)).Spec.Backup)); !ok || got != 366*24*time.Hour {
		t.Errorf("%s: %s, %t", yearly, got, ok)
	}
}

func TestOneThirdOfTheLettersMayBeWrongAndNotMore(t *testing.T) {
	for name, want := range map[string]string{"abcdef": "abcdef", "abcdxy": "abcdxy", "abcxyz": ""} {
		if got := nearest("abcdef", []string{name}); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}

func TestAnImageThatIsNotAllowedIsToldWhoseChoiceItIs(t *testing.T) {
	p := NewPolicy(policy("p", requires(func(r *v1alpha1.PolicyRequirements) { r.ImageRegistries = []string{"registry.example.com"} })))
	for image, want := range map[string]string{"": "the operator's own choice comes from ghcr.io", "quay.io/team/image:1": "the image comes from quay.io/team/image"} {
		c := valid(func(c *cluster) { c.Spec.Image = image })
		if vs := registriesAllowed(c, &p, Context{}); len(vs) != 1 || !strings.HasPrefix(vs[0].Message, want) {
			t.Errorf("%q: %+v; want %q", image, vs, want)
		}
	}
}

func TestARequirementIsAskedForWhereItsFieldSaysSoAndNowhereElse(t *testing.T) {
	yes, no, n := true, false, int32(3)
	for rule, fields := range map[string]map[bool][]func(*v1alpha1.PolicyRequirements){
		"PolicyMinimumMembers": {true: {func(r *v1alpha1.PolicyRequirements) { r.MinimumPlacementCenterReplicas = &n }}},
		"PolicyBackupRequired": {
			true: {
				func(r *v1alpha1.PolicyRequirements) { r.Backup = &v1alpha1.BackupRequirement{} },
				func(r *v1alpha1.PolicyRequirements) { r.Backup = &v1alpha1.BackupRequirement{Required: &yes} },
			},
			false: {func(r *v1alpha1.PolicyRequirements) { r.Backup = &v1alpha1.BackupRequirement{Required: &no} }},
		},
		"PolicyBackupInterval": {
			true: {func(r *v1alpha1.PolicyRequirements) {
				r.Backup = &v1alpha1.BackupRequirement{MaximumInterval: &metav1.Duration{}}
			}},
			false: {func(r *v1alpha1.PolicyRequirements) { r.Backup = &v1alpha1.BackupRequirement{} }},
		},
		"PolicyTLSRequired": {
			true: {
				func(r *v1alpha1.PolicyRequirements) { r.TLS = &v1alpha1.TLSRequirement{} },
				func(r *v1alpha1.PolicyRequirements) { r.TLS = &v1alpha1.TLSRequirement{Required: &yes} },
			},
			false: {func(r *v1alpha1.PolicyRequirements) { r.TLS = &v1alpha1.TLSRequirement{Required: &no} }},
		},
		"PolicyVersions":        {true: {func(r *v1alpha1.PolicyRequirements) { r.Versions = []string{"0.4.x"} }}},
		"PolicyImageRegistries": {true: {func(r *v1alpha1.PolicyRequirements) { r.ImageRegistries = []string{"ghcr.io"} }}},
		"PolicyStorageClasses":  {true: {func(r *v1alpha1.PolicyRequirements) { r.StorageClasses = []string{"fast"} }}},
		"PolicyEscapes":         {true: {func(r *v1alpha1.PolicyRequirements) { r.AllowedEscapes = []v1alpha1.AllowedEscape{} }}},
	} {
		fields[false] = append(fields[false], func(*v1alpha1.PolicyRequirements) {}, func(r *v1alpha1.PolicyRequirements) { r.Maximum = &v1alpha1.MaximumRequirement{} })
		for want, some := range fields {
			for i, set := range some {
				var r v1alpha1.PolicyRequirements
				set(&r)
				if got := requirementsOf(&r)[rule]; got != want {
					t.Errorf("%s, %d: %v, want %v", rule, i, got, want)
				}
			}
		}
	}
	for rule, set := range map[string]func(*v1alpha1.MaximumRequirement){
		"PolicyMaximumMembers":        func(m *v1alpha1.MaximumRequirement) { m.PlacementCenterReplicas = &n },
		"PolicyMaximumBrokers":        func(m *v1alpha1.MaximumRequirement) { m.Brokers = &n },
		"PolicyMaximumJournalServers": func(m *v1alpha1.MaximumRequirement) { m.JournalServers = &n },
		"PolicyMaximumStorage":        func(m *v1alpha1.MaximumRequirement) { m.Storage = quantity("1Gi") },
		"PolicyMaximumResources":      func(m *v1alpha1.MaximumRequirement) { m.Resources = &v1alpha1.MaximumResources{} },
	} {
		r := v1alpha1.PolicyRequirements{Maximum: &v1alpha1.MaximumRequirement{}}
		set(r.Maximum)
		for name, asked := range requirementsOf(&r) {
			if asked != (name == rule) {
				t.Errorf("%s alone: %s is asked for: %v", rule, name, asked)
			}
		}
	}
}

func TestTheWayOutOfTooFewMembersIsAnOddNumber(t *testing.T) {
	for least, want := range map[int32]string{3: "write 3 or more", 4: "write 5 or more", 5: "write 5 or more"} {
		p := NewPolicy(policy("p", leastMembers(least)))
		if vs := minimumMembers(valid(members(1)), &p, Context{}); len(vs) != 1 || vs[0].WayOut != want {
			t.Errorf("%d: %+v; want %q", least, vs, want)
		}
	}
}

func TestTheFirstRowsOfTheTablesAreFoundToo(t *testing.T) {
	if first := builtIn(Clusters[0].Name); first == nil || first.Name != Clusters[0].Name {
		t.Errorf("%+v", first)
	}
	name := PolicyRules[0].Name
	if vs := rulesHaveRequirements(nil, policy("p", gives(name, "Warn")), Context{}); len(vs) != 1 {
		t.Errorf("%s without its requirement: %+v", name, vs)
	}
}

func TestASummarySaysADenialAsTheWebhookDoesAndAWarningAsAWarning(t *testing.T) {
	denial := Violation{Rule: "R", Field: spec.Child("a"), Value: 1, Message: "is wrong", Severity: Deny}
	warning := Violation{Rule: "S", Field: spec.Child("b"), Value: 2, Message: "is odd", Severity: Warn}
	if got, want := Summary([]Violation{denial, warning}), "spec.a: Invalid value: 1: R: is wrong\nspec.b: S: is odd"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
