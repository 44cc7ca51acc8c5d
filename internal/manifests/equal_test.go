package manifests

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"
)

const testManager = "robustmq-operator"

// recording is what a real API server (Kubernetes 1.37.2) made of an object: see record_test.go.
type recording struct {
	// Equal is what the API server itself said: applying Wanted to Live again changes nothing.
	Equal  bool           `json:"equal"`
	Wanted map[string]any `json:"wanted"`
	Live   map[string]any `json:"live"`
}

func TestEqualAgreesWithTheAPIServerOnEveryRecording(t *testing.T) {
	files, err := filepath.Glob("testdata/recorded/*.yaml")
	if err != nil || len(files) < 20 {
		t.Fatalf("%d recordings, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".yaml"), func(t *testing.T) {
			r := readRecording(t, file)
			got, err := Equal(typed(t, r.Live), &unstructured.Unstructured{Object: r.Wanted}, testManager)
			if err != nil || got != r.Equal {
				t.Errorf("Equal = %v, %v; the API server says %v", got, err, r.Equal)
			}
			// The same through an unstructured client.
			got, err = Equal(&unstructured.Unstructured{Object: r.Live}, &unstructured.Unstructured{Object: r.Wanted}, testManager)
			if err != nil || got != r.Equal {
				t.Errorf("unstructured: Equal = %v, %v; the API server says %v", got, err, r.Equal)
			}
		})
	}
}

// Every value that we own is changed, one at a time, in what we want: each has to be seen.
func TestEveryChangeOfAWantedValueIsSeen(t *testing.T) {
	files, err := filepath.Glob("testdata/recorded/*-as-applied.yaml")
	if err != nil || len(files) < 10 {
		t.Fatalf("%d recordings, %v", len(files), err)
	}
	changes := 0
	for _, file := range files {
		r := readRecording(t, file)
		live := typed(t, r.Live)
		for i := 0; ; i++ {
			wanted, path := changed(r.Wanted, i)
			if wanted == nil {
				break
			}
			switch path {
			case ".apiVersion", ".kind", ".metadata.name", ".metadata.namespace":
				continue
			}
			changes++
			if same, err := Equal(live, &unstructured.Unstructured{Object: wanted}, testManager); err != nil || same {
				t.Errorf("%s: a change of %s was not seen (%v)", file, path, err)
			}
		}
	}
	if changes < 500 {
		t.Errorf("only %d changes were tried", changes)
	}
}

func TestAnObjectThatWeNeverAppliedIsNotEqual(t *testing.T) {
	r := readRecording(t, "testdata/recorded/service-client-as-applied.yaml")
	live := typed(t, r.Live)
	for _, entries := range [][]metav1.ManagedFieldsEntry{
		nil,
		{{Manager: "kubectl", Operation: metav1.ManagedFieldsOperationApply, FieldsV1: live.GetManagedFields()[0].FieldsV1}},
		{{Manager: testManager, Operation: metav1.ManagedFieldsOperationUpdate, FieldsV1: live.GetManagedFields()[0].FieldsV1}},
		{{Manager: testManager, Operation: metav1.ManagedFieldsOperationApply, Subresource: "status", FieldsV1: live.GetManagedFields()[0].FieldsV1}},
	} {
		live.SetManagedFields(entries)
		if same, err := Equal(live, &unstructured.Unstructured{Object: r.Wanted}, testManager); err != nil || same {
			t.Errorf("%v: Equal = %v, %v", entries, same, err)
		}
	}
}

func TestManagedFieldsThatCannotBeReadAreAnError(t *testing.T) {
	r := readRecording(t, "testdata/recorded/service-client-as-applied.yaml")
	live := typed(t, r.Live)
	live.SetManagedFields([]metav1.ManagedFieldsEntry{{Manager: testManager, Operation: metav1.ManagedFieldsOperationApply, FieldsV1: metav1.NewFieldsV1(`["no"]`)}})
	if same, err := Equal(live, &unstructured.Unstructured{Object: r.Wanted}, testManager); err == nil || same {
		t.Errorf("Equal = %v, %v", same, err)
	}
}

func TestAFieldThatTheAPIServerDoesNotKnowIsNotAppliedForEver(t *testing.T) {
	r := readRecording(t, "testdata/recorded/statefulset-placement-center-as-applied.yaml")
	delete(r.Live["spec"].(map[string]any), "persistentVolumeClaimRetentionPolicy") // an API server with that feature off drops it after it wrote down whose it is
	if same, err := Equal(typed(t, r.Live), &unstructured.Unstructured{Object: r.Wanted}, testManager); err != nil || !same {
		t.Errorf("Equal = %v, %v", same, err)
	}
}

func FuzzEqualNeverPanicsOnManagedFields(f *testing.F) {
	r := readRecording(f, "testdata/recorded/statefulset-placement-center-as-applied.yaml")
	live := typed(f, r.Live)
	f.Add(live.GetManagedFields()[0].FieldsV1.GetRawBytes())
	f.Add([]byte(`{"f:spec":{"k:{\"name\":1}":{},"i:0":{},"v:x":{}}}`))
	f.Add([]byte(`{"f:spec":{"f:template":{"f:spec":{"f:containers":{"k:[]":{"f:x":{}},"v:{":{}}}}}}`))
	f.Fuzz(func(t *testing.T, fields []byte) {
		object := live.DeepCopyObject().(client.Object)
		object.SetManagedFields([]metav1.ManagedFieldsEntry{{Manager: testManager, Operation: metav1.ManagedFieldsOperationApply, FieldsV1: metav1.NewFieldsV1(string(fields))}})
		_, _ = Equal(object, &unstructured.Unstructured{Object: r.Wanted}, testManager)
	})
}

func BenchmarkEqualOfAStatefulSet(b *testing.B) {
	r := readRecording(b, "testdata/recorded/statefulset-placement-center-as-applied.yaml")
	live, wanted := typed(b, r.Live), &unstructured.Unstructured{Object: r.Wanted}
	b.ReportAllocs()
	for b.Loop() {
		if same, err := Equal(live, wanted, testManager); !same || err != nil {
			b.Fatal(same, err)
		}
	}
}

func readRecording(t testing.TB, file string) recording {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var r recording
	if err := yaml.Unmarshal(text, &r); err != nil {
		t.Fatal(err)
	}
	return r
}

// typed is the object as a typed client would have it, unstructured where client-go has no type.
func typed(t testing.TB, content map[string]any) client.Object {
	t.Helper()
	u := &unstructured.Unstructured{Object: content}
	object, err := clientgoscheme.Scheme.New(u.GroupVersionKind())
	if runtime.IsNotRegisteredError(err) {
		return u
	}
	if err == nil {
		err = runtime.DefaultUnstructuredConverter.FromUnstructured(content, object)
	}
	if err != nil {
		t.Fatal(err)
	}
	return object.(client.Object)
}

// changed returns a copy in which the n-th scalar is another one, and its path; nil when there are not so many.
func changed(content map[string]any, n int) (map[string]any, string) {
	u := (&unstructured.Unstructured{Object: content}).DeepCopy()
	path := ""
	var walk func(at string, v any) any
	walk = func(at string, v any) any {
		switch v := v.(type) {
		case map[string]any:
			for _, key := range sortedKeys(v) {
				v[key] = walk(at+"."+key, v[key])
			}
			return v
		case []any:
			for i := range v {
				v[i] = walk(at+"[]", v[i])
			}
			return v
		}
		n--
		if n != -1 {
			return v
		}
		path = at
		switch v := v.(type) {
		case string:
			return v + "x"
		case bool:
			return !v
		case float64:
			return v + 1
		case int64:
			return v + 1
		}
		t := "unexpected"
		return t
	}
	walk("", u.Object)
	if path == "" {
		return nil, ""
	}
	return u.Object, path
}

func sortedKeys(m map[string]any) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	return sortedSet(keys)
}

func TestWhatWeWantMoreIsSeen(t *testing.T) {
	for name, more := range map[string]func(spec map[string]any){
		"a field": func(spec map[string]any) { spec["minReadySeconds"] = int64(5) },
		"an item": func(spec map[string]any) {
			at(spec, "template", "spec")["containers"] = append(at(spec, "template", "spec")["containers"].([]any), map[string]any{"name": "more"})
		},
		"a map's entry":   func(spec map[string]any) { at(spec, "template", "metadata", "labels")["more"] = "yes" },
		"an emptier list": func(spec map[string]any) { at(spec, "template", "spec")["tolerations"] = []any{} },
	} {
		r := readRecording(t, "testdata/recorded/statefulset-placement-center-as-applied.yaml")
		more(r.Wanted["spec"].(map[string]any))
		if same, err := Equal(typed(t, r.Live), &unstructured.Unstructured{Object: r.Wanted}, testManager); err != nil || same {
			t.Errorf("%s: Equal = %v, %v", name, same, err)
		}
	}
}

func at(m map[string]any, path ...string) map[string]any {
	for _, p := range path {
		m = m[p].(map[string]any)
	}
	return m
}
