package world

import (
	"os"
	"path/filepath"
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"
)

type brief struct{ kind, name, version string }

// listOf reads the names and versions of all objects of a kind.
func listOf(w *World, kind client.Object) []brief {
	w.T.Helper()
	gvk, err := apiutil.GVKForObject(kind, w.Env.Scheme)
	if err != nil {
		w.T.Fatal(err)
	}
	list := &metav1.PartialObjectMetadataList{}
	list.SetGroupVersionKind(gvk.GroupVersion().WithKind(gvk.Kind + "List"))
	if err := w.Client.List(w.ctx, list, client.InNamespace(w.Namespace)); err != nil {
		if meta.IsNoMatchError(err) {
			return nil
		}
		w.T.Fatalf("list %s: %v", gvk.Kind, err)
	}
	var all []brief
	for i := range list.Items {
		all = append(all, brief{gvk.Kind, list.Items[i].Name, list.Items[i].ResourceVersion})
	}
	return all
}

func unstructuredOf(content map[string]any) *unstructured.Unstructured {
	return &unstructured.Unstructured{Object: content}
}

// Logs is everything that containers, agents and operators wrote, by file.
func (w *World) Logs() map[string]string {
	w.T.Helper()
	entries, err := os.ReadDir(w.dir)
	if err != nil {
		w.T.Fatal(err)
	}
	all := map[string]string{}
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), ".log") {
			continue
		}
		text, err := os.ReadFile(filepath.Join(w.dir, e.Name()))
		if err != nil {
			w.T.Fatal(err)
		}
		all[e.Name()] = string(text)
	}
	return all
}
