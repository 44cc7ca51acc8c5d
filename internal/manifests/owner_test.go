package manifests

import (
	"path/filepath"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
)

func TestWithoutItsOwnersUIDWhatIsOwnedSaysTheSameToEqualAndNothingOfTheCluster(t *testing.T) {
	files, err := filepath.Glob("testdata/recorded/*.yaml")
	if err != nil || len(files) < 20 {
		t.Fatalf("%d recordings, %v", len(files), err)
	}
	owned := 0
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".yaml"), func(t *testing.T) {
			r := readRecording(t, file)
			live := typed(t, r.Live)
			ForgetOwner(live)
			ForgetOwner(live)
			got, err := Equal(live, &unstructured.Unstructured{Object: r.Wanted}, testManager)
			if err != nil || got != r.Equal {
				t.Errorf("Equal = %v, %v; the API server says %v", got, err, r.Equal)
			}
			owner := metav1.GetControllerOf(live)
			if owner == nil {
				return
			}
			for _, e := range live.GetManagedFields() {
				if e.FieldsV1 == nil {
					continue
				}
				fields := e.FieldsV1.GetRawString()
				if strings.Contains(fields, string(owner.UID)) {
					t.Errorf("the fields of %s name the owner: %s", e.Manager, fields)
				}
				if strings.Contains(fields, anyOwner) {
					owned++
				}
			}
			// Another's object of that name is not ours because its uid was left out.
			references := live.GetOwnerReferences()
			for i := range references {
				references[i].UID = types.UID("another")
			}
			live.SetOwnerReferences(references)
			if got, err := Equal(live, &unstructured.Unstructured{Object: r.Wanted}, testManager); err != nil || got {
				t.Errorf("with another owner Equal = %v, %v", got, err)
			}
		})
	}
	if owned == 0 {
		t.Error("no recording has an owner: nothing was tried")
	}
}
