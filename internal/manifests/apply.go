package manifests

import (
	"fmt"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Applied is the form of an object that is sent to the API server: what we say, and nothing that a Go struct only has because it cannot leave it out.
// Quantities are in their canonical form, as the API server keeps them.
func Applied(object client.Object) (*unstructured.Unstructured, error) {
	content, err := contentOf(object)
	if err != nil {
		return nil, err
	}
	delete(content, "status")
	u := &unstructured.Unstructured{Object: content}
	if u.GetKind() == "" || u.GetAPIVersion() == "" {
		return nil, fmt.Errorf("%T %s has no kind: server-side apply needs it", object, object.GetName())
	}
	return u, nil
}

// contentOf is the object as JSON would have it. Unstructured objects are copied, because ToUnstructured shares them.
func contentOf(object client.Object) (map[string]any, error) {
	if u, ok := object.(*unstructured.Unstructured); ok {
		object = u.DeepCopy()
	}
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(object)
	if err != nil {
		return nil, fmt.Errorf("encode %T %s: %w", object, object.GetName(), err)
	}
	prune(content)
	return content, nil
}

// prune takes out nulls (creationTimestamp of older types) and the empty resources that a container without any has. Other empty objects mean something: emptyDir, podSelector.
func prune(content map[string]any) {
	for key, value := range content {
		switch v := value.(type) {
		case nil:
			delete(content, key)
		case map[string]any:
			prune(v)
			if len(v) == 0 && key == "resources" {
				delete(content, key)
			}
		case []any:
			for _, item := range v {
				m, ok := item.(map[string]any)
				if !ok {
					continue
				}
				prune(m)
				if key == "volumeClaimTemplates" { // some versions of the API server write these in, others take them out
					delete(m, "apiVersion")
					delete(m, "kind")
				}
			}
		}
	}
}
