package rules

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/robustmq/robustmq-operator/internal/robustmq/config"
)

var configField = spec.Child("config")

// sectionName and keyName are how RobustMQ writes its names; anything else could not be one.
var (
	sectionName = regexp.MustCompile(`^([a-z0-9_]+(\.[a-z0-9_]+)*)?$`)
	keyName     = regexp.MustCompile(`^[a-z0-9_]+$`)
)

// maxName of a section or key, and maxValue of a value in bytes of JSON.
const (
	maxName  = 128
	maxValue = 8 << 10
)

// eachKey visits the keys in order.
func eachKey(c *cluster, visit func(section, key string, raw []byte, at *field.Path)) {
	for _, section := range sortedKeys(c.Spec.Config) {
		keys := c.Spec.Config[section]
		for _, key := range sortedKeys(keys) {
			visit(section, key, keys[key].Raw, configField.Key(section).Key(key))
		}
	}
}

func configTypes(_, new *cluster, _ Context) []Violation {
	var out []Violation
	eachKey(new, func(section, key string, raw []byte, at *field.Path) {
		switch {
		case !sectionName.MatchString(section) || len(section) > maxName || !keyName.MatchString(key) || len(key) > maxName:
			out = append(out, Violation{
				Field: at, Value: shown(section, key, raw), Message: "sections and keys are lower-case letters, digits and underscores, sections with dots between them",
				WayOut: "write the names as RobustMQ's server.toml has them",
			})
		case len(raw) > maxValue:
			out = append(out, Violation{Field: at, Value: shown(section, key, raw), Message: fmt.Sprintf("the value has more than %d bytes", maxValue), WayOut: "shorten it"})
		default:
			if problem := shape(raw); problem != "" {
				out = append(out, Violation{Field: at, Value: shown(section, key, raw), Message: problem})
			}
		}
	})
	return out
}

// shape says what is wrong with a value, or nothing.
func shape(raw []byte) string {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return "the value cannot be read"
	}
	if list, ok := v.([]any); ok {
		for i, e := range list {
			if problem := scalar(e); problem != "" {
				return fmt.Sprintf("element %d of the list %s", i, problem)
			}
		}
		return ""
	}
	if problem := scalar(v); problem != "" {
		return "the value " + problem
	}
	return ""
}

func scalar(v any) string {
	switch v := v.(type) {
	case bool, string:
		return ""
	case json.Number:
		if _, err := v.Int64(); err == nil {
			return ""
		}
		if _, err := strconv.ParseFloat(string(v), 64); err != nil || !strings.ContainsAny(string(v), ".eE") {
			return "is a number that no setting can hold" // whole numbers of TOML have 64 bits
		}
		return ""
	case nil:
		return "is null"
	case []any:
		return "is a list"
	}
	return "is an object"
}

// owner says what sets a key that the operator owns; everything else that is owned is the operator's alone.
var owner = map[string]string{
	"http_port":                           "spec.listeners.admin.port",
	"mqtt_runtime.server.tcp_port":        "spec.listeners.mqtt.port",
	"mqtt_runtime.server.tls_port":        "spec.listeners.mqtts.port",
	"mqtt_runtime.server.websocket_port":  "spec.listeners.ws.port",
	"mqtt_runtime.server.websockets_port": "spec.listeners.wss.port",
	"mqtt_runtime.server.quic_port":       "spec.listeners.mqtts.port",
	"kafka_runtime.tcp_port":              "spec.listeners.kafka.port",
	"amqp_runtime.tcp_port":               "spec.listeners.amqp.port",
	"nats_runtime.tcp_port":               "spec.listeners.nats.port",
	"mqtt_runtime.auth.default_user":      "spec.auth.mqttSecretName",
	"mqtt_runtime.auth.default_password":  "spec.auth.mqttSecretName",
	"admin.username":                      "spec.auth.adminSecretName",
	"admin.password":                      "spec.auth.adminSecretName",
	"broker_network.tls_cert":             "spec.tls",
	"broker_network.tls_key":              "spec.tls",
	"roles":                               "spec.placementCenter, spec.mqttBroker and spec.journalServer",
	"cluster_name":                        "metadata.name",
}

func configReserved(_, new *cluster, _ Context) []Violation {
	var out []Violation
	eachKey(new, func(section, key string, raw []byte, at *field.Path) {
		if !config.Reserved(section, key) {
			return
		}
		v := Violation{Field: at, Message: "the operator sets this key itself", WayOut: "leave it out: it follows from the cluster and cannot be chosen"}
		if by := owner[dotted(section, key)]; by != "" {
			v.WayOut = "leave it out and use " + by
		}
		v.Value = shown(section, key, raw)
		out = append(out, v)
	})
	return out
}

// shown is a value as a denial may repeat it: denials end in logs, so nothing that could be a credential does.
func shown(section, key string, raw []byte) string {
	if section == "admin" || section == "llm_client" || strings.Contains(key, "password") || strings.Contains(key, "secret") || strings.Contains(key, "token") {
		return "(not shown)"
	}
	const limit = 64
	if len(raw) <= limit {
		return strings.ToValidUTF8(string(raw), "?")
	}
	return strings.ToValidUTF8(string(raw[:limit]), "?") + "…"
}

func configKnownKeys(_, new *cluster, _ Context) []Violation {
	var out []Violation
	eachKey(new, func(section, key string, _ []byte, at *field.Path) {
		if !config.Known(section, key) && !config.Reserved(section, key) && sectionName.MatchString(section) && keyName.MatchString(key) {
			out = append(out, Violation{Field: at, Message: "no RobustMQ that this operator knows has the key, and an unknown one is silently ignored"})
		}
	})
	return out
}

// configInt reads a whole number out of the configuration.
func configInt(c *cluster, section, key string) (int64, bool) {
	raw, ok := c.Spec.Config[section][key]
	if !ok {
		return 0, false
	}
	n, err := strconv.ParseInt(string(bytes.TrimSpace(raw.Raw)), 10, 64)
	return n, err == nil
}

func dotted(section, key string) string {
	if section == "" {
		return key
	}
	return section + "." + key
}
