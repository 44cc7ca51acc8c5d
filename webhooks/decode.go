package webhooks

import (
	"encoding/json"
	"fmt"
	"regexp"

	kjson "sigs.k8s.io/json"

	"github.com/robustmq/robustmq-operator/api/v1alpha1"
)

// decode reads an object as the API server sent it. Its schema has judged it already, so what fails here is a defect, or a caller that is no API server.
func decode(raw []byte, into any) error {
	if len(raw) == 0 {
		return fmt.Errorf("the request holds no %T", into)
	}
	if err := kjson.UnmarshalCaseSensitivePreserveInts(raw, into); err != nil {
		return fmt.Errorf("reading the %T of the request: %w", into, err)
	}
	return nil
}

// decodeCluster reads a cluster, unless one of its quantities would take too long.
func decodeCluster(raw []byte, into *v1alpha1.RobustMQCluster) error {
	if q := endless(raw); q != "" {
		return fmt.Errorf("reading the %T of the request: the quantity %.64q has an exponent beyond any use", into, q)
	}
	return decode(raw, into)
}

// decodePolicy reads a policy, unless one of its quantities would take too long.
func decodePolicy(raw []byte, into *v1alpha1.RobustMQPolicy) error {
	var p struct {
		Spec struct {
			Requirements struct {
				Maximum any `json:"maximum"`
			} `json:"requirements"`
		} `json:"spec"`
	}
	if json.Unmarshal(raw, &p) == nil {
		if q := find(p.Spec.Requirements.Maximum); q != "" {
			return fmt.Errorf("reading the %T of the request: the quantity %.64q has an exponent beyond any use", into, q)
		}
	}
	return decode(raw, into)
}

// exponent of a quantity that is beyond any use. Reading "1e99999999999" takes Kubernetes' own parser half a minute of CPU; the schema refuses any exponent,
// but anybody who reaches the webhook's port could send one.
var exponent = regexp.MustCompile(`[eE][+-]?[0-9]{3}`)

// endless returns the first such quantity.
func endless(raw []byte) string {
	var c struct {
		Spec map[string]json.RawMessage `json:"spec"`
	}
	if json.Unmarshal(raw, &c) != nil {
		return "" // then the real decoding fails as well, and as fast
	}
	for _, field := range []string{"placementCenter", "mqttBroker", "journalServer"} {
		var role struct {
			Storage   any `json:"storage"`
			Resources any `json:"resources"`
		}
		if json.Unmarshal(c.Spec[field], &role) != nil {
			continue
		}
		for _, v := range []any{role.Storage, role.Resources} {
			if q := find(v); q != "" {
				return q
			}
		}
	}
	return ""
}

// find looks for such a quantity in a value and what it holds.
func find(v any) string {
	switch v := v.(type) {
	case string:
		if exponent.MatchString(v) {
			return v
		}
	case map[string]any:
		for _, e := range v {
			if q := find(e); q != "" {
				return q
			}
		}
	}
	return ""
}
