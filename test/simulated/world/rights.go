package world

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
)

// operatorUser is how the API server knows the operator's pod: every operator of a world has exactly the rights that an installed one has.
const operatorUser = "system:serviceaccount:robustmq-operator-system:robustmq-operator"

// OperatorClient has the operator's rights and no others.
func (e *Environment) OperatorClient() (client.Client, error) {
	return client.New(e.operator, client.Options{Scheme: e.Scheme})
}

// grant applies the cluster roles and bindings of the manifests in dir, and makes the operator's configuration.
func (e *Environment) grant(ctx context.Context, dir string) error {
	files, err := filepath.Glob(filepath.Join(dir, "*.yaml"))
	if err != nil || len(files) == 0 {
		return fmt.Errorf("no manifests in %s: %w", dir, err)
	}
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		documents := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(text), 4096)
		for {
			o := &unstructured.Unstructured{}
			if err := documents.Decode(o); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			if kind := o.GetKind(); kind != "ClusterRole" && kind != "ClusterRoleBinding" {
				continue
			}
			if err := e.Client.Apply(ctx, client.ApplyConfigurationFromUnstructured(o), client.FieldOwner("kubectl")); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
		}
	}
	user, err := e.api.AddUser(envtest.User{Name: operatorUser, Groups: []string{"system:serviceaccounts", "system:authenticated"}}, nil)
	if err != nil {
		return fmt.Errorf("the operator's user: %w", err)
	}
	e.operator = user.Config()
	return nil
}
