package alerts

import (
	"embed"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"strings"
	"sync"

	monitoringv1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/yaml"
)

// Names of the groups.
const (
	GroupCluster  = "robustmq-cluster"
	GroupOperator = "robustmq-operator"
)

// runbooks is where the pages are; each rule gets the address of its own.
const runbooks = "https://github.com/robustmq/robustmq-operator/blob/main/docs/runbooks/alerts/"

//go:embed cluster/*.yaml operator/*.yaml
var files embed.FS

// The files are read once: they are parts of the program, and there may be a thousand clusters.
var (
	ofClusters = sync.OnceValues(func() ([]monitoringv1.Rule, error) { return load("cluster") })
	ofOperator = sync.OnceValues(func() ([]monitoringv1.Rule, error) { return load("operator") })
)

// ForCluster are the rules of one cluster; they look at nothing else. The names are those of the RobustMQCluster. What is returned belongs to the caller.
func ForCluster(namespace, cluster string) ([]monitoringv1.RuleGroup, error) {
	rules, err := ofClusters()
	if err != nil {
		return nil, err
	}
	return []monitoringv1.RuleGroup{group(GroupCluster, rules, strings.NewReplacer(`"NAMESPACE"`, `"`+namespace+`"`, `"CLUSTER"`, `"`+cluster+`"`))}, nil
}

// ForOperator are the rules about the operator itself. What is returned belongs to the caller.
func ForOperator() ([]monitoringv1.RuleGroup, error) {
	rules, err := ofOperator()
	if err != nil {
		return nil, err
	}
	return []monitoringv1.RuleGroup{group(GroupOperator, rules, strings.NewReplacer())}, nil
}

func group(name string, rules []monitoringv1.Rule, names *strings.Replacer) monitoringv1.RuleGroup {
	g := monitoringv1.RuleGroup{Name: name, Rules: make([]monitoringv1.Rule, len(rules))}
	for i, r := range rules {
		r.Expr = intstr.FromString(names.Replace(r.Expr.StrVal))
		r.Labels, r.Annotations = maps.Clone(r.Labels), maps.Clone(r.Annotations)
		if r.For != nil {
			r.For = new(*r.For)
		}
		g.Rules[i] = r
	}
	return g
}

// load reads the rules of a folder, by name.
func load(folder string) ([]monitoringv1.Rule, error) {
	entries, err := fs.ReadDir(files, folder)
	if err != nil {
		return nil, fmt.Errorf("read the alerts: %w", err)
	}
	rules := make([]monitoringv1.Rule, len(entries))
	for i, e := range entries {
		text, err := fs.ReadFile(files, path.Join(folder, e.Name()))
		if err != nil {
			return nil, fmt.Errorf("read the alerts: %w", err)
		}
		if rules[i], err = parse(text); err != nil {
			return nil, fmt.Errorf("read the alert %s: %w", e.Name(), err)
		}
		if name := strings.TrimSuffix(e.Name(), ".yaml"); rules[i].Alert != name {
			return nil, fmt.Errorf("read the alert %s: it is called %q", e.Name(), rules[i].Alert)
		}
	}
	return rules, nil
}

func parse(text []byte) (monitoringv1.Rule, error) {
	var r monitoringv1.Rule
	if err := yaml.UnmarshalStrict(text, &r); err != nil {
		return r, err
	}
	if r.Annotations == nil {
		r.Annotations = map[string]string{}
	}
	r.Expr.StrVal = strings.TrimSpace(r.Expr.StrVal)
	r.Annotations["runbook_url"] = runbooks + r.Alert + ".md"
	return r, nil
}
