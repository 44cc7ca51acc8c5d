package contract

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"
)

// recorded is one admin call of a real server, as the fixtures keep it.
type recorded struct {
	Request struct {
		Method string          `json:"method"`
		Path   string          `json:"path"`
		Body   json.RawMessage `json:"body"`
		Auth   *string         `json:"auth"`
	} `json:"request"`
	Response struct {
		Status      int             `json:"status"`
		ContentType *string         `json:"content_type"`
		Body        json.RawMessage `json:"body"`
	} `json:"response"`
}

func readRecorded(name string) (recorded, error) {
	var r recorded
	raw, err := os.ReadFile(filepath.Join("testdata", "v0.4.11", "api", name+".json"))
	if err != nil {
		return r, err
	}
	return r, json.Unmarshal(raw, &r)
}

// sameShape compares two JSON values: the same keys, the same types all the way down; constants are equal where the key is one whose values are a closed set.
// Lists are compared by their first elements; an empty one fits any. It returns what differs.
func sameShape(want, got any, path string) []string {
	switch w := want.(type) {
	case map[string]any:
		g, ok := got.(map[string]any)
		if !ok {
			return []string{fmt.Sprintf("%s: %s instead of an object", path, kindOf(got))}
		}
		var diff []string
		if byID(w) || byID(g) { // maps by id: the ids differ, the values have one shape
			return sameShape(firstValue(w), firstValue(g), path+".*")
		}
		for _, key := range keysOf(w, g) {
			wv, inWant := w[key]
			gv, inGot := g[key]
			switch {
			case !inGot:
				diff = append(diff, path+"."+key+" is missing")
			case !inWant:
				diff = append(diff, path+"."+key+" is too much")
			case constants[key] && !strings.Contains(path, "[]") && wv != gv && kindOf(wv) == kindOf(gv): // rows come in any order
				diff = append(diff, fmt.Sprintf("%s.%s: %v instead of %v", path, key, gv, wv))
			default:
				diff = append(diff, sameShape(wv, gv, path+"."+key)...)
			}
		}
		return diff
	case []any:
		g, ok := got.([]any)
		if !ok {
			return []string{fmt.Sprintf("%s: %s instead of a list", path, kindOf(got))}
		}
		if len(w) > 0 && len(g) > 0 {
			return sameShape(w[0], g[0], path+"[]")
		}
		return nil
	}
	if want == nil || got == nil {
		if nullable[path[strings.LastIndex(path, ".")+1:]] || want == got {
			return nil
		}
	}
	if kindOf(want) != kindOf(got) {
		return []string{fmt.Sprintf("%s: %s instead of %s", path, kindOf(got), kindOf(want))}
	}
	return nil
}

// constants are keys whose recorded value must come back.
var constants = map[string]bool{"code": true, "error": true, "status": true, "storage_type": true, "source": true, "message": true, "expires_in": true, "retention_sec": true, "last_quorum_acked": true}

// nullable are keys that are null at times.
var nullable = map[string]bool{
	"snapshot": true, "purged": true, "last_applied": true, "current_leader": true, "millis_since_quorum_ack": true, "replication": true, "log_id": true, "last_log_index": true,
	"max_segment_size": true, "max_record_num": true, "fetch": true,
}

func byID(m map[string]any) bool {
	for k := range m {
		return strings.Trim(k, "0123456789") == ""
	}
	return false
}

func firstValue(m map[string]any) any {
	for _, k := range keysOf(m, nil) {
		return m[k]
	}
	return nil
}

func keysOf(a, b map[string]any) []string {
	all := map[string]bool{}
	for k := range a {
		all[k] = true
	}
	for k := range b {
		all[k] = true
	}
	keys := make([]string, 0, len(all))
	for k := range all {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	return keys
}

func kindOf(v any) string {
	switch v.(type) {
	case nil:
		return "null"
	case bool:
		return "a boolean"
	case float64:
		return "a number"
	case string:
		return "a text"
	case []any:
		return "a list"
	}
	return "an object"
}
