package backup

import (
	"encoding/json"
	"testing"

	"k8s.io/apimachinery/pkg/api/equality"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
)

func equalStatus(a, b v1alpha1.RobustMQBackupStatus) bool { return equality.Semantic.DeepEqual(a, b) }

// stored is a status as the API server gives it back: its times are whole seconds.
func stored(t *testing.T, s v1alpha1.RobustMQBackupStatus) v1alpha1.RobustMQBackupStatus {
	t.Helper()
	text, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	var back v1alpha1.RobustMQBackupStatus
	if err := json.Unmarshal(text, &back); err != nil {
		t.Fatal(err)
	}
	return back
}
