package catalogue

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/robustmq/robustmq-operator/internal/robustmq"
)

// Kind is a kind of configuration that POST /api/cluster/config/set changes on all running nodes (config_type); its config is a JSON string of the whole of it.
//
// The server stores what it is sent before it reads it: a value of a wrong type answers an error and ends every node at its next start ("Failed to load cluster config"),
// until gRPC DeleteResourceConfig takes it out again. A key that is left out is set to a default, and to the one of a section that is written (seen on 0.4.11, 10 of 10 kinds).
// So nothing is sent that ValidateUpdate has not let through, and it lets through only what has every key.
type Kind string

// The kinds.
const (
	MqttSlowSubscribeConfig Kind = "MqttSlowSubscribeConfig"
	MqttFlappingDetect      Kind = "MqttFlappingDetect"
	MqttProtocol            Kind = "MqttProtocol"
	MqttOfflineMessage      Kind = "MqttOfflineMessage"
	MqttSystemMonitor       Kind = "MqttSystemMonitor"
	MqttSchema              Kind = "MqttSchema"
	MqttLimit               Kind = "MqttLimit"
	ClusterLimit            Kind = "ClusterLimit"
	MetaRuntime             Kind = "MetaRuntime"
	KafkaDynamic            Kind = "KafkaDynamic"
)

// kinds: since which version each exists, and whether a node lays the stored value over its server.toml when it starts. For the others the file counts again after a restart,
// although the value stays stored.
var kinds = map[Kind]struct {
	since    robustmq.Version
	survives bool
}{
	MqttSlowSubscribeConfig: {v036, true}, MqttFlappingDetect: {v036, true}, MqttProtocol: {v036, true}, MqttOfflineMessage: {v036, true},
	MqttSystemMonitor: {v036, true}, MqttSchema: {v036, true}, MqttLimit: {v036, false}, ClusterLimit: {v036, false},
	MetaRuntime: {at(3, 10), false}, KafkaDynamic: {v048, true},
}

// Kinds are the kinds that a version has, sorted.
func Kinds(v robustmq.Version) []Kind {
	var all []Kind
	for k, d := range kinds {
		if !v.Less(d.since) {
			all = append(all, k)
		}
	}
	slices.Sort(all)
	return all
}

// Since is the first version that has the kind.
func (k Kind) Since() robustmq.Version { return kinds[k].since }

// Survives reports whether a value that was set lies over server.toml at every later start: the file's own then counts no more.
func (k Kind) Survives() bool { return kinds[k].survives }

// TakenLive reports whether a running server of a version takes in a change of the setting, so that nothing has to be restarted for it.
func (s Setting) TakenLive(v robustmq.Version) bool {
	_, _, has := s.In(v)
	return has && s.Live && robustmq.Lookup(v).DynamicConfig && s.Resource.exists(v) == nil
}

// Of returns the settings of a kind in a version, by their path in its JSON: "enable", "cluster.max_topics".
func (k Kind) Of(v robustmq.Version) map[string]Setting {
	of := map[string]Setting{}
	for _, s := range settings {
		if _, _, ok := s.In(v); !ok || s.Resource != k {
			continue
		}
		path := s.Key
		if k == MqttLimit {
			path = s.Section[strings.LastIndexByte(s.Section, '.')+1:] + "." + s.Key
		}
		of[path] = s
	}
	return of
}

// Update makes the whole config of a kind: every key that the version has, each with what value says or else the server's default. value is asked with a setting of the
// catalogue and answers what the cluster's server.toml has for it (false: nothing), so that a change of one key changes nothing else.
// Errors: a kind that the version does not have; a value that does not fit.
func Update(v robustmq.Version, k Kind, value func(Setting) (any, bool)) ([]byte, error) {
	if err := k.exists(v); err != nil {
		return nil, err
	}
	tree := map[string]any{}
	for path, s := range k.Of(v) {
		given, ok := value(s)
		if !ok {
			given = s.DefaultIn(v)
		}
		in := tree
		if group, key, nested := strings.Cut(path, "."); nested {
			sub, ok := tree[group].(map[string]any)
			if !ok {
				sub = map[string]any{}
				tree[group] = sub
			}
			in, path = sub, key
		}
		in[path] = given
	}
	config, err := json.Marshal(tree)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", k, err)
	}
	if err := ValidateUpdate(v, k, config); err != nil {
		return nil, err
	}
	return config, nil
}

// ValidateUpdate judges a config of a kind before it is sent to a server of a version: all keys, no others, each with a value that the server can read and live with.
// The error names every key that does not fit and repeats no value.
func ValidateUpdate(v robustmq.Version, k Kind, config []byte) error {
	if err := k.exists(v); err != nil {
		return err
	}
	given, err := flat(config)
	if err != nil {
		return fmt.Errorf("%s: %w", k, err)
	}
	var problems []error
	of := k.Of(v)
	for _, path := range slices.Sorted(maps.Keys(of)) {
		value, ok := given[path]
		if !ok {
			problems = append(problems, fmt.Errorf("%s: %s is missing: the server would set it to a default of its own", k, path))
			continue
		}
		if problem := of[path].Problem(value); problem != "" {
			problems = append(problems, fmt.Errorf("%s: %s %s", k, path, problem))
		}
	}
	for _, path := range slices.Sorted(maps.Keys(given)) {
		if _, ok := of[path]; !ok {
			problems = append(problems, fmt.Errorf("%s: RobustMQ %s has no %s in it", k, v, path))
		}
	}
	return errors.Join(problems...)
}

func (k Kind) exists(v robustmq.Version) error {
	d, ok := kinds[k]
	switch {
	case !ok:
		return fmt.Errorf("%q is no kind of configuration that can be changed while a server runs", string(k))
	case v.Less(d.since):
		return fmt.Errorf("%s can be changed while a server runs since RobustMQ %s, and this is %s", k, d.since, v)
	}
	return nil
}

var errObject = errors.New("the configuration is no JSON object of settings")

// flat reads a JSON object of scalars and lists, with objects of them at most one level below. Keys that occur twice are refused: servers differ in which one counts.
func flat(config []byte) (map[string]any, error) {
	d := json.NewDecoder(bytes.NewReader(config))
	d.UseNumber()
	all := map[string]any{}
	if err := object(d, "", all); err != nil {
		return nil, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errObject
	}
	return all, nil
}

func object(d *json.Decoder, prefix string, into map[string]any) error {
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return errObject
	}
	for d.More() {
		t, err := d.Token()
		if err != nil {
			return errObject
		}
		key, ok := t.(string)
		if !ok {
			return errObject
		}
		if strings.Contains(key, ".") {
			return errObject // would read as one level below
		}
		path := prefix + key
		if twice := func(k string) bool { return k == path || strings.HasPrefix(k, path+".") }; slices.ContainsFunc(slices.Collect(maps.Keys(into)), twice) {
			return fmt.Errorf("%s stands in it twice", path)
		}
		var raw json.RawMessage
		if err := d.Decode(&raw); err != nil {
			return errObject
		}
		if prefix == "" && len(raw) > 0 && raw[0] == '{' {
			inner := json.NewDecoder(bytes.NewReader(raw))
			inner.UseNumber()
			if err := object(inner, path+".", into); err != nil {
				return err
			}
			continue
		}
		var value any
		inner := json.NewDecoder(bytes.NewReader(raw))
		inner.UseNumber()
		if err := inner.Decode(&value); err != nil {
			return errObject
		}
		into[path] = value
	}
	if _, err := d.Token(); err != nil {
		return errObject
	}
	return nil
}
