package validate

import (
	"fmt"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/webhooks/rules"
)

// ask asks the table of rules of one kind; old is nil when the object is created.
type ask func(old, new *unstructured.Unstructured, ctx rules.Context) ([]rules.Violation, error)

// tables are the rules of each kind beyond its schema: the same functions as the webhooks ask.
var tables = map[string]ask{
	"RobustMQCluster": table((*v1alpha1.RobustMQCluster).Default, rules.Cluster),
	"RobustMQBackup":  table((*v1alpha1.RobustMQBackup).Default, rules.Backup),
	"RobustMQRestore": table((*v1alpha1.RobustMQRestore).Default, rules.Restore),
	"RobustMQPolicy":  table((*v1alpha1.RobustMQPolicy).Default, rules.RobustMQPolicy),
}

func table[T any](defaults func(*T), judge func(old, new *T, ctx rules.Context) []rules.Violation) ask {
	return func(old, new *unstructured.Unstructured, ctx rules.Context) ([]rules.Violation, error) {
		is, err := typed[T](new)
		if err != nil {
			return nil, err
		}
		var was *T
		if old != nil {
			if was, err = typed[T](old); err != nil {
				return nil, err
			}
			defaults(was)
		}
		defaults(is) // what the mutating webhook would complete
		return judge(was, is, ctx), nil
	}
}

// typed reads an object that its schema let in.
func typed[T any](u *unstructured.Unstructured) (*T, error) {
	out := new(T)
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(u.Object, out); err != nil {
		return nil, fmt.Errorf("reading the %s %s: %w", u.GetKind(), u.GetName(), err)
	}
	return out, nil
}
