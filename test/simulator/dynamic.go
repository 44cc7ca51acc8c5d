package simulator

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
)

// dynamicTypes are the ten types of config/set: where each lies in the configuration, and whether a stored value is laid over the file at a start.
// For three it is not, although it stays stored (seen-api.md 2).
var dynamicTypes = map[string]struct {
	path    string
	atStart bool
}{
	"MqttSlowSubscribeConfig": {"mqtt_runtime.slow_subscribe", true}, "MqttFlappingDetect": {"mqtt_runtime.flapping_detect", true}, "MqttProtocol": {"mqtt_runtime.protocol", true},
	"MqttOfflineMessage": {"mqtt_runtime.offline_message", true}, "MqttSystemMonitor": {"mqtt_runtime.system_monitor", true}, "MqttSchema": {"mqtt_runtime.schema", true},
	"KafkaDynamic": {"kafka_runtime", true}, "MqttLimit": {"mqtt_runtime.limit", false}, "ClusterLimit": {"cluster_limit", false}, "MetaRuntime": {"meta_runtime", false},
}

// dynamicConfig is the configuration in memory: the file's, with what config/set changed.
type dynamicConfig struct {
	mu      sync.RWMutex
	now     *settings
	refuses func(kind string) bool // Options.Refuses
}

func newDynamicConfig(file *settings) *dynamicConfig { return &dynamicConfig{now: file.clone()} }

// overlay replaces a section. Keys that are missing get the defaults of a section that is present. An error has the words of serde.
func (d *dynamicConfig) overlay(kind, text string, starting bool) error {
	t, known := dynamicTypes[kind]
	if !known {
		return nil
	}
	if d.refuses != nil && d.refuses(kind) {
		return errors.New("invalid value at line 1 column 1")
	}
	var given map[string]any
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.UseNumber()
	if err := decoder.Decode(&given); err != nil {
		return fmt.Errorf("expected ident at line 1 column 2")
	}
	given = numbers(given).(map[string]any)
	var defaults map[string]any
	_ = json.Unmarshal(defaultsJSON, &defaults)
	fresh := &settings{}
	raw := json.NewDecoder(strings.NewReader(string(defaultsJSON)))
	raw.UseNumber()
	_ = raw.Decode(&fresh.tree)
	fresh.tree = numbers(fresh.tree).(map[string]any)
	section, _ := fresh.at(t.path).(map[string]any)
	if kind == "KafkaDynamic" {
		if v, ok := given["auto_create_topics_enable"]; ok {
			if _, isBool := v.(bool); !isBool {
				return jsonTypeError(text, v, "a boolean")
			}
		}
		given = map[string]any{"auto_create_topics_enable": given["auto_create_topics_enable"]}
	}
	for k, v := range partial[t.path] {
		section[k] = v
	}
	if err := overlayJSON(text, t.path, section, given); err != nil {
		return err
	}
	if starting && !t.atStart {
		return nil
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	parent, key := d.now.tree, t.path
	if before, after, nested := strings.Cut(t.path, "."); nested {
		parent, _ = d.now.tree[before].(map[string]any)
		key = after
	}
	if kind == "KafkaDynamic" {
		kafka, _ := d.now.tree["kafka_runtime"].(map[string]any)
		kafka["auto_create_topics_enable"] = given["auto_create_topics_enable"]
		return nil
	}
	parent[key] = section
	return nil
}

func overlayJSON(text, path string, into, from map[string]any) error {
	for _, key := range sortedKeys(from) {
		have, known := into[key]
		if !known {
			continue
		}
		if sub, ok := have.(map[string]any); ok {
			given, ok := from[key].(map[string]any)
			if !ok {
				return jsonTypeError(text, from[key], "struct")
			}
			if err := overlayJSON(text, join(path, key), sub, given); err != nil {
				return err
			}
			continue
		}
		v, problem := convert(join(path, key), have, from[key])
		if problem != "" {
			return jsonError(text, from[key], problem)
		}
		into[key] = v
	}
	return nil
}

// jsonTypeError is serde_json's message.
func jsonTypeError(text string, value any, want string) error {
	return jsonError(text, value, wrongType(value, want))
}

// jsonError says where the value ends.
func jsonError(text string, value any, problem string) error {
	shown := fmt.Sprint(value)
	switch v := value.(type) {
	case string:
		shown = fmt.Sprintf("%q", v)
	case nil:
		shown = "null"
	case []any, map[string]any:
		shown = "["
	}
	return fmt.Errorf("%s at line 1 column %d", problem, strings.Index(text, shown)+len(shown))
}

func (d *dynamicConfig) number(path string) int64 {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.now.number(path)
}

// shown is config/get: everything, secrets included.
func (d *dynamicConfig) shown() any {
	d.mu.RLock()
	defer d.mu.RUnlock()
	tree := deepCopy(d.now.tree).(map[string]any)
	hide(tree)
	return tree
}

// hide takes out what RobustMQ's answer does not have.
func hide(tree map[string]any) {
	delete(tree, "prometheus")
	if llm, ok := tree["llm_client"].(map[string]any); ok {
		for _, key := range []string{"token", "base_url"} { // the others are shown as null
			if llm[key] == nil {
				delete(llm, key)
			}
		}
	}
}

// shownConfig is the configuration as the log has it at the start, secrets included: who wants them out silences the target broker_server::common.
func (n *Node) shownConfig() string {
	tree := deepCopy(n.file.tree).(map[string]any)
	hide(tree)
	raw, _ := json.MarshalIndent(tree, "", "  ")
	return string(raw)
}
