package webhooks_test

import (
	"encoding/json"
	"fmt"
	"testing"

	"gomodules.xyz/jsonpatch/v2"
)

// jsonDiff is empty when two values are the same as JSON.
func jsonDiff(t *testing.T, want, got any) string {
	t.Helper()
	a, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(got)
	if err != nil {
		t.Fatal(err)
	}
	patch, err := jsonpatch.CreatePatch(a, b)
	if err != nil {
		t.Fatal(err)
	}
	if len(patch) == 0 {
		return ""
	}
	return fmt.Sprint(patch)
}
