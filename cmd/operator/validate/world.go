package validate

import (
	"context"
	"fmt"
	"maps"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/internal/validate"
	"github.com/robustmq/robustmq-operator/webhooks/rules"
)

// world is what is known beside the object that is judged.
type world struct {
	definitions *validate.Definitions
	exists      map[string]*unstructured.Unstructured
	namespaces  map[string]labels.Set
	policies    []v1alpha1.RobustMQPolicy
	serverImage string
	around      map[string]*rules.Around // by namespace; nil: not known
}

func newWorld(ctx context.Context, defs *validate.Definitions, in Input) (*world, error) {
	w := &world{definitions: defs, exists: map[string]*unstructured.Unstructured{}, namespaces: map[string]labels.Set{}, serverImage: in.ServerImage}
	if in.KnowsExisting {
		w.around = map[string]*rules.Around{}
	}
	for _, d := range in.Existing.Documents {
		switch old := w.existing(d.Object); {
		case old == nil:
		case d.Object.Object["status"] == nil && old.Object["status"] != nil:
			d.Object.Object["status"] = old.Object["status"] // a status outlives a change of the spec
		}
		w.exists[w.key(d.Object)] = d.Object
	}
	policies := map[string]v1alpha1.RobustMQPolicy{}
	for _, c := range []validate.Contents{in.Existing, in.Policies, in.Files} { // the last one counts, as when it is applied
		for _, d := range c.Documents {
			if err := w.learn(ctx, d, policies); err != nil {
				return nil, fmt.Errorf("%s, document %d: %w", d.File, d.Number, err)
			}
		}
	}
	w.policies = slices.Collect(maps.Values(policies))
	return w, nil
}

// learn takes what a document says about the world. One that its own schema refuses says nothing: it is reported where it is judged.
func (w *world) learn(ctx context.Context, d *validate.Document, policies map[string]v1alpha1.RobustMQPolicy) error {
	u := d.Object
	if isNamespace(u) {
		w.namespaces[u.GetName()] = u.GetLabels()
		return nil
	}
	if !w.definitions.Knows(u.GroupVersionKind()) {
		return nil
	}
	switch u.GetKind() {
	case "RobustMQPolicy":
		is, errs, err := w.definitions.Admit(ctx, u, nil)
		if err != nil || len(errs) > 0 {
			return err
		}
		p, err := typed[v1alpha1.RobustMQPolicy](is)
		if err != nil {
			return err
		}
		p.Default()
		policies[p.Name] = *p
	default:
		if w.around == nil {
			return nil
		}
		is, errs, err := w.definitions.Admit(ctx, u, nil)
		if err != nil || len(errs) > 0 {
			return err
		}
		if s, ok := u.Object["status"]; ok {
			is.Object["status"] = s
		}
		return w.settle(is)
	}
	return nil
}

// settle puts an object into its namespace, in place of an older one of its name.
func (w *world) settle(u *unstructured.Unstructured) error {
	a := w.around[u.GetNamespace()]
	if a == nil {
		a = &rules.Around{}
		w.around[u.GetNamespace()] = a
	}
	switch u.GetKind() {
	case "RobustMQCluster":
		return put(&a.Clusters, u, func(c v1alpha1.RobustMQCluster) string { return c.Name })
	case "RobustMQBackup":
		return put(&a.Backups, u, func(b v1alpha1.RobustMQBackup) string { return b.Name })
	case "RobustMQRestore":
		return put(&a.Restores, u, func(r v1alpha1.RobustMQRestore) string { return r.Name })
	}
	return nil
}

func put[T any](list *[]T, u *unstructured.Unstructured, name func(T) string) error {
	o, err := typed[T](u)
	if err != nil {
		return err
	}
	*list = slices.DeleteFunc(*list, func(e T) bool { return name(e) == u.GetName() })
	*list = append(*list, *o)
	return nil
}

// namespace is where an object goes.
func (w *world) namespace(u *unstructured.Unstructured) string {
	if !w.definitions.Namespaced(u.GroupVersionKind()) {
		return ""
	}
	if ns := u.GetNamespace(); ns != "" {
		return ns
	}
	return metav1.NamespaceDefault
}

func (w *world) key(u *unstructured.Unstructured) string {
	return u.GroupVersionKind().GroupKind().String() + " " + w.namespace(u) + "/" + u.GetName()
}

func (w *world) existing(u *unstructured.Unstructured) *unstructured.Unstructured {
	if u.GetName() == "" {
		return nil
	}
	return w.exists[w.key(u)]
}

// context is what the rules may know.
func (w *world) context(is, old *unstructured.Unstructured) rules.Context {
	c := rules.Context{Operation: rules.Create, ServerImage: w.serverImage}
	if old != nil {
		c.Operation = rules.Update
	}
	ns := is.GetNamespace()
	if w.around != nil {
		if c.Around = w.around[ns]; c.Around == nil {
			c.Around = &rules.Around{}
		}
	}
	if ns != "" {
		c.Policies = w.policiesOf(ns)
	}
	return c
}

// policiesOf are the policies that choose a namespace. One of which no document tells has the label that every namespace has, and no other.
func (w *world) policiesOf(namespace string) []rules.Policy {
	return rules.PoliciesFor(w.policies, labels.Merge(w.namespaces[namespace], labels.Set{"kubernetes.io/metadata.name": namespace}))
}
