package simulator

import (
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"sort"
	"strings"

	"github.com/pelletier/go-toml/v2"

	"github.com/robustmq/robustmq-operator/internal/robustmq"
)

// defaultsJSON is the configuration of 0.4.11 as config/get answers it, with the defaults of absent sections (robustmq-server.md 2.3).
//
//go:embed defaults.json
var defaultsJSON []byte

// partial are the defaults that differ once their section is present (robustmq-server.md 2.3: "absent / partial").
var partial = map[string]map[string]any{
	"runtime":                      {"default_topic_partition_num": int64(1), "default_topic_replica_num": int64(1)},
	"broker_network":               {"queue_size": int64(2000)},
	"storage_runtime":              {"tcp_port": int64(1779)},
	"mqtt_runtime.offline_message": {"expire_ms": int64(3600000), "max_messages_num": int64(100000)},
	"mqtt_runtime.limit.cluster": {
		"max_connections_per_node": int64(1000000), "max_connection_rate": int64(10000), "max_topics": int64(500000), "max_sessions": int64(5000000), "max_publish_rate": int64(10000),
	},
}

// configError is why the configuration cannot be used: the server panics with it, exit code 101.
type configError struct{ text string }

func (e *configError) Error() string { return e.text }

// settings is the effective configuration, a tree in the names of 0.4.11 whatever the dialect of the file was.
type settings struct{ tree map[string]any }

// parseConfig reads server.toml as the generation does. environ is the process's environment, for the overrides.
func parseConfig(content string, g generation, environ []string) (*settings, error) {
	content = override(content, environ)
	var file map[string]any
	if err := toml.Unmarshal([]byte(content), &file); err != nil {
		var decode *toml.DecodeError
		if errors.As(err, &decode) {
			row, column := decode.Position()
			return nil, tomlError(content, row, column, strings.TrimPrefix(decode.Error(), "toml: "))
		}
		return nil, &configError{"TOML parse error: " + err.Error()}
	}
	s := &settings{}
	decoder := json.NewDecoder(strings.NewReader(string(defaultsJSON)))
	decoder.UseNumber()
	if err := decoder.Decode(&s.tree); err != nil {
		return nil, fmt.Errorf("defaults: %w", err)
	}
	s.tree = numbers(s.tree).(map[string]any)
	if g.version.Less(robustmq.Version{Major: 0, Minor: 4, Patch: 3}) {
		s.tree["http_port"] = int64(8080)
	}
	if g.dialect != robustmq.DialectC {
		if g.dialect == robustmq.DialectA {
			if err := requireAll(content, file); err != nil {
				return nil, err
			}
		}
		file = translate(file, g)
	}
	if err := s.merge(content, "", s.tree, file); err != nil {
		return nil, err
	}
	return s, nil
}

// numbers turns json.Number into the types that TOML has.
func numbers(v any) any {
	switch x := v.(type) {
	case json.Number:
		if strings.ContainsAny(x.String(), ".eE") {
			f, _ := x.Float64()
			return f
		}
		i, _ := x.Int64()
		return i
	case map[string]any:
		for k, e := range x {
			x[k] = numbers(e)
		}
	case []any:
		for i, e := range x {
			x[i] = numbers(e)
		}
	}
	return v
}

// merge lays the file over the defaults: unknown keys are ignored, as every RobustMQ ignores them, wrong types are errors.
func (s *settings) merge(content, section string, into, from map[string]any) error {
	for _, key := range slices.Sorted(maps.Keys(from)) {
		value, path := from[key], join(section, key)
		have, known := into[key]
		if !known {
			continue
		}
		if path == "meta_addrs" {
			addrs, ok := value.(map[string]any)
			if !ok {
				return typeError(content, section, key, value, "a map")
			}
			for id, a := range addrs {
				if _, ok := a.(string); !ok {
					return typeError(content, path, id, a, "a string")
				}
			}
			into[key] = addrs
			continue
		}
		if sub, ok := have.(map[string]any); ok {
			given, ok := value.(map[string]any)
			if !ok {
				return typeError(content, section, key, value, "struct")
			}
			maps.Copy(sub, partial[path])
			if err := s.merge(content, path, sub, given); err != nil {
				return err
			}
			continue
		}
		converted, problem := convert(path, have, value)
		if problem != "" {
			return valueError(content, section, key, problem)
		}
		into[key] = converted
	}
	return nil
}

func join(section, key string) string {
	if section == "" {
		return key
	}
	return section + "." + key
}

func (s *settings) at(path string) any {
	var v any = s.tree
	for part := range strings.SplitSeq(path, ".") {
		m, ok := v.(map[string]any)
		if !ok {
			return nil
		}
		v = m[part]
	}
	return v
}

func (s *settings) text(path string) string { t, _ := s.at(path).(string); return t }

func (s *settings) number(path string) int64 { n, _ := s.at(path).(int64); return n }

func (s *settings) flag(path string) bool { b, _ := s.at(path).(bool); return b }

func (s *settings) list(path string) []string {
	var all []string
	values, _ := s.at(path).([]any)
	for _, v := range values {
		if t, ok := v.(string); ok {
			all = append(all, t)
		}
	}
	return all
}

func (s *settings) role(name string) bool { return slices.Contains(s.list("roles"), name) }

// metaAddr is one entry of meta_addrs.
type metaAddr struct {
	id   string
	addr string
}

// metaAddrs lists meta_addrs in the string order of their ids, which is the order of every call.
func (s *settings) metaAddrs() []metaAddr {
	addrs, _ := s.at("meta_addrs").(map[string]any)
	all := make([]metaAddr, 0, len(addrs))
	for id, a := range addrs {
		text, _ := a.(string)
		all = append(all, metaAddr{id, text})
	}
	sort.Slice(all, func(i, j int) bool { return all[i].id < all[j].id })
	return all
}

// clone is a deep copy, for the configuration that config/set changes while the file's stays.
func (s *settings) clone() *settings { return &settings{deepCopy(s.tree).(map[string]any)} }

func deepCopy(v any) any {
	switch x := v.(type) {
	case map[string]any:
		m := make(map[string]any, len(x))
		for k, e := range x {
			m[k] = deepCopy(e)
		}
		return m
	case []any:
		l := make([]any, len(x))
		for i, e := range x {
			l[i] = deepCopy(e)
		}
		return l
	}
	return v
}

func readConfigFile(path string) (string, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		var missing *os.PathError
		if errors.As(err, &missing) && errors.Is(err, os.ErrNotExist) {
			return "", &configError{"No such file or directory (os error 2)"}
		}
		return "", &configError{err.Error()}
	}
	return string(content), nil
}
