package admission

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured/unstructuredscheme"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	"sigs.k8s.io/yaml"

	"github.com/robustmq/robustmq-operator/test/apiserver"
)

// A Twin is a kind beside RobustMQCluster that lacks some of what an API server does for it: the difference is what that costs. No webhook is asked about it.
type Twin string

// The twins, each with what the one before lacks.
const (
	// Shapeless has no schema: what any custom resource of this size costs, whoever defined it.
	Shapeless Twin = "Shapeless"
	// Ruleless has the schema with its defaults, and no rule in CEL.
	Ruleless Twin = "Ruleless"
	// Unasked has all of the definition: what is left is asking the webhooks.
	Unasked Twin = "Unasked"
)

const twinsGroup = "bench.robustmq.io"

// NewTwin defines a twin, and makes the load about an object of it with the same content as the load's own, its defaults written out.
func (w *World) NewTwin(ctx context.Context, t Twin, of *Load) (*Load, error) {
	resource := strings.ToLower(string(t)) + "s"
	definition, err := t.definition(filepath.Join(w.root, "config", "crd", "robustmq.io_robustmqclusters.yaml"), resource)
	if err != nil {
		return nil, fmt.Errorf("the definition of %s: %w", t, err)
	}
	if _, err := envtest.InstallCRDs(w.Config, envtest.CRDInstallOptions{CRDs: []*apiextensionsv1.CustomResourceDefinition{definition}, Scheme: apiserver.Scheme()}); err != nil {
		return nil, err
	}
	sample := &unstructured.Unstructured{Object: map[string]any{"spec": of.stored.Object["spec"]}}
	sample.SetAPIVersion(twinsGroup + "/v1alpha1")
	sample.SetKind(string(t))
	l, err := w.newLoad(ctx, resource, sample)
	if err != nil {
		return nil, err
	}
	l.stored.Object["status"] = of.stored.Object["status"]
	return l, w.Client.Status().Update(ctx, l.stored)
}

func (t Twin) definition(file, resource string) (*apiextensionsv1.CustomResourceDefinition, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var crd apiextensionsv1.CustomResourceDefinition
	if err := yaml.UnmarshalStrict(text, &crd); err != nil {
		return nil, err
	}
	crd.ObjectMeta = metav1.ObjectMeta{Name: resource + "." + twinsGroup}
	crd.Spec.Group = twinsGroup
	crd.Spec.Names = apiextensionsv1.CustomResourceDefinitionNames{Plural: resource, Singular: strings.ToLower(string(t)), Kind: string(t), ListKind: string(t) + "List"}
	if len(crd.Spec.Versions) != 1 {
		return nil, fmt.Errorf("%d versions", len(crd.Spec.Versions))
	}
	schema := &crd.Spec.Versions[0].Schema.OpenAPIV3Schema
	switch t {
	case Shapeless:
		yes := true
		anything := apiextensionsv1.JSONSchemaProps{Type: "object", XPreserveUnknownFields: &yes}
		*schema = &apiextensionsv1.JSONSchemaProps{Type: "object", Properties: map[string]apiextensionsv1.JSONSchemaProps{"spec": anything, "status": anything}}
	case Ruleless:
		*schema, err = withoutRules(*schema)
	case Unasked:
	default:
		return nil, errors.New("there is no such twin")
	}
	return &crd, err
}

func withoutRules(schema *apiextensionsv1.JSONSchemaProps) (*apiextensionsv1.JSONSchemaProps, error) {
	text, err := json.Marshal(schema)
	if err != nil {
		return nil, err
	}
	var tree any
	if err := json.Unmarshal(text, &tree); err != nil {
		return nil, err
	}
	removeRules(tree)
	if text, err = json.Marshal(tree); err != nil {
		return nil, err
	}
	out := &apiextensionsv1.JSONSchemaProps{}
	return out, json.Unmarshal(text, out)
}

func removeRules(tree any) {
	switch v := tree.(type) {
	case map[string]any:
		delete(v, "x-kubernetes-validations")
		for _, inner := range v {
			removeRules(inner)
		}
	case []any:
		for _, inner := range v {
			removeRules(inner)
		}
	}
}

// ConfigMaps are dry-run creates of a ConfigMap: an object of Kubernetes' own.
type ConfigMaps struct {
	client rest.Interface
	create []byte
	load   *Load
}

// NewConfigMaps makes one as long as the load's stored object.
func (w *World) NewConfigMaps(of *Load) (*ConfigMaps, error) {
	text, err := of.stored.MarshalJSON()
	if err != nil {
		return nil, err
	}
	config := rest.CopyConfig(w.Config)
	config.QPS, config.APIPath, config.GroupVersion = -1, "/api", &corev1.SchemeGroupVersion
	config.NegotiatedSerializer = unstructuredscheme.NewUnstructuredNegotiatedSerializer()
	c := &ConfigMaps{load: of}
	if c.client, err = rest.RESTClientFor(config); err != nil {
		return nil, err
	}
	c.create, err = json.Marshal(corev1.ConfigMap{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "ConfigMap"}, ObjectMeta: metav1.ObjectMeta{Name: "new"}, Data: map[string]string{"object": string(text)},
	})
	return c, err
}

func (c *ConfigMaps) ask(ctx context.Context, _ int) error {
	return c.client.Post().Namespace(c.load.namespace).Resource("configmaps").Param("dryRun", metav1.DryRunAll).SetHeader("Content-Type", "application/json").Body(c.create).Do(ctx).Error()
}
