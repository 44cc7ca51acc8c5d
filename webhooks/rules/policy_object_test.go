package rules

import (
	"os"
	"strings"
	"testing"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/robustmq/robustmq-operator/api/v1alpha1"
)

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
