package watch

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/common/model"
	"sigs.k8s.io/yaml"
)

// HurriedLabel marks the alerts of a copy that Hurry made, and HurriedSuffix the copy's name.
const (
	HurriedLabel  = "hurried"
	HurriedSuffix = "-hurried"
)

// Hurry puts a copy of a PrometheusRule beside it whose alerts are the same but for how long their condition must hold before they fire: at most that long. Its alerts have the label
// HurriedLabel. The original stays as it is.
func (i Installation) Hurry(ctx context.Context, namespace, name string, longest time.Duration) error {
	text, err := i.Kubectl(ctx, nil, "get", "prometheusrules."+Group, name, "-n", namespace, "-o", "json")
	if err != nil {
		return fmt.Errorf("hurrying the rules of %s: %w", name, err)
	}
	copied, err := hurried([]byte(text), longest)
	if err != nil {
		return fmt.Errorf("hurrying the rules of %s: %w", name, err)
	}
	if _, err := i.Kubectl(ctx, strings.NewReader(string(copied)), "apply", "--server-side", "--force-conflicts", "-f", "-"); err != nil {
		return fmt.Errorf("hurrying the rules of %s: %w", name, err)
	}
	return nil
}

// hurried is the manifest of the copy: YAML of a rule object in, YAML out.
func hurried(object []byte, longest time.Duration) ([]byte, error) {
	var original struct {
		Metadata struct{ Name, Namespace string } `json:"metadata"`
		Spec     struct {
			Groups []struct {
				Name     string           `json:"name"`
				Interval string           `json:"interval,omitempty"`
				Rules    []map[string]any `json:"rules"`
			} `json:"groups"`
		} `json:"spec"`
	}
	if err := json.Unmarshal(object, &original); err != nil {
		return nil, err
	}
	alerts := 0
	for g := range original.Spec.Groups {
		group := &original.Spec.Groups[g]
		group.Name += HurriedSuffix
		group.Interval = "" // as often as Prometheus does by itself
		group.Rules = slices.DeleteFunc(group.Rules, func(r map[string]any) bool { return r["alert"] == nil })
		for _, r := range group.Rules {
			alerts++
			delete(r, "keep_firing_for")
			if text, there := r["for"].(string); there {
				held, err := model.ParseDuration(text)
				if err != nil {
					return nil, fmt.Errorf("alert %v: for: %w", r["alert"], err)
				}
				r["for"] = model.Duration(min(time.Duration(held), longest)).String()
			}
			labels, _ := r["labels"].(map[string]any)
			labels = maps.Clone(labels)
			if labels == nil {
				labels = map[string]any{}
			}
			labels[HurriedLabel] = "true"
			r["labels"] = labels
		}
	}
	if alerts == 0 {
		return nil, fmt.Errorf("it has no alerts")
	}
	return yaml.Marshal(map[string]any{
		"apiVersion": Group + "/v1", "kind": "PrometheusRule",
		"metadata": map[string]any{"namespace": original.Metadata.Namespace, "name": original.Metadata.Name + HurriedSuffix},
		"spec":     original.Spec,
	})
}

func sortedKeys(m map[string]string) []string { return slices.Sorted(maps.Keys(m)) }
