package simulated

import (
	"encoding/json"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/robustmq/robustmq-operator/test/simulated/world"
)

func TestNoSecretIsInAnyLogEventStatusOrConfigMap(t *testing.T) {
	t.Parallel()
	w := env.New(t, world.Options{})
	c := form(t, w, manifest(newest, 3, 2, ""))
	settle(t, w)
	var secrets corev1.SecretList
	if err := w.Client.List(w.Context(), &secrets, client.InNamespace(w.Namespace)); err != nil {
		t.Fatal(err)
	}
	places := w.Logs()
	for _, e := range w.Events() {
		places["events"] += e.Message + "\n"
	}
	status, err := json.Marshal(c.Status)
	if err != nil {
		t.Fatal(err)
	}
	places["status"] = string(status)
	var maps corev1.ConfigMapList
	if err := w.Client.List(w.Context(), &maps, client.InNamespace(w.Namespace)); err != nil {
		t.Fatal(err)
	}
	for _, m := range maps.Items {
		for _, text := range m.Data {
			places["ConfigMap "+m.Name] += text
		}
	}
	looked := 0
	for _, s := range secrets.Items {
		for key, value := range s.Data {
			if key == "username" || key == "tls.crt" || key == "ca.crt" || key == "config.json" || len(value) < 12 {
				continue // public, or too short to be told from other words
			}
			looked++
			// Of a PEM block its second line is enough: no log line would hold all of it.
			needle := string(value)
			if lines := strings.Split(needle, "\n"); len(lines) > 2 {
				needle = lines[1]
			}
			for place, text := range places {
				if strings.Contains(text, needle) {
					t.Errorf("%s holds %s of Secret %s", place, key, s.Name)
				}
			}
		}
	}
	if looked < 5 {
		t.Errorf("only %d secret values were looked for: two passwords, a JWT key and three private keys exist", looked)
	}
}
