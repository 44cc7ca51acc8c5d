package webhooks

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	admissionv1 "k8s.io/api/admission/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"
	"sigs.k8s.io/yaml"

	"github.com/robustmq/robustmq-operator/api/v1alpha1"
)

// desert is a Kubernetes in which nothing lives.
type desert struct{ client.Reader }

func (desert) Get(_ context.Context, key client.ObjectKey, _ client.Object, _ ...client.GetOption) error {
	return apierrors.NewNotFound(schema.GroupResource{}, key.Name)
}

func (desert) List(context.Context, client.ObjectList, ...client.ListOption) error { return nil }

// FuzzEveryHandlerAnswersWhateverItIsSent: anybody who reaches the port can send a request that no schema has judged.
// No handler may panic, think long, refuse without a word, or answer what cannot be sent.
func FuzzEveryHandlerAnswersWhateverItIsSent(f *testing.F) {
	files, err := filepath.Glob("../test/policies/*/*.yaml")
	if err != nil || len(files) == 0 {
		f.Fatal(len(files), err)
	}
	for _, name := range files {
		data, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		old := []byte("null")
		for doc := range strings.SplitSeq(string(data), "\n---\n") {
			object, err := yaml.YAMLToJSON([]byte(doc))
			if err != nil {
				f.Fatal(name, err)
			}
			f.Add(object, old)
			old = object
		}
	}
	beside := newSurroundings(desert{}, desert{})
	handlers := map[string]admission.Handler{
		"default": clusterDefaulter{}, "cluster": clusterValidator{platform{beside: beside}}, "scale": scaleValidator{clusters: reader{cluster: &v1alpha1.RobustMQCluster{}}}, "policy": policyValidator{},
		"deletion": clusterDeletion{}, "backup": backupValidator{beside: beside}, "restore": restoreValidator{platform{beside: beside}},
	}
	f.Fuzz(func(t *testing.T, object, old []byte) {
		if len(object)+len(old) > 64<<10 {
			return
		}
		for _, op := range []admissionv1.Operation{admissionv1.Create, admissionv1.Update, admissionv1.Delete} {
			req := request(op, runtime.RawExtension{Raw: object}, runtime.RawExtension{Raw: old})
			for name, h := range handlers {
				began := time.Now()
				got := h.Handle(t.Context(), req)
				if took := time.Since(began); took > 4*time.Second {
					t.Errorf("%s: %s took %s", name, op, took)
				}
				if !got.Allowed && (got.Result == nil || got.Result.Message == "") {
					t.Errorf("%s: %s: a refusal without a word: %+v", name, op, got)
				}
				if _, err := json.Marshal(got); err != nil {
					t.Errorf("%s: %s: %v", name, op, err)
				}
			}
		}
	})
}
