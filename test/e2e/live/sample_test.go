package live

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestAManifestWithAFieldThatDoesNotExistIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "cluster.yaml")
	for text, want := range map[string]string{
		"kind: RobustMQCluster\nspec: {version: 0.4.11, mqttBrokers: {replicas: 5}}": "mqttBrokers",
		"kind: Pod\nmetadata: {name: a}":                                             "one RobustMQCluster is wanted",
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := ReadCluster(path); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", text, err)
		}
	}
}
