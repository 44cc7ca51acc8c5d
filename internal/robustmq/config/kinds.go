package config

import (
	"encoding/json"
	"fmt"
	"math/big"
	"slices"
	"strings"

	"github.com/robustmq/robustmq-operator/internal/robustmq/config/catalogue"
)

// kinds makes the whole config of every kind that this version takes in while it runs: what stands in the document, and the server's defaults for the rest.
// A kind that the catalogue does not let through is left out: a running server is given nothing that it could refuse, and the file is judged where servers are started.
func (r *renderer) kinds() map[catalogue.Kind][]byte {
	out := map[catalogue.Kind][]byte{}
	for _, kind := range catalogue.Kinds(r.version) {
		live := false
		for _, s := range kind.Of(r.version) {
			live = live || s.TakenLive(r.version)
		}
		if !live {
			continue
		}
		config, err := catalogue.Update(r.version, kind, func(s catalogue.Setting) (any, bool) {
			at, name, ok := s.In(r.version)
			if !ok || !r.doc.has(at, name) {
				return nil, false
			}
			return r.doc.values[at][name], true
		})
		if err == nil {
			out[kind] = config
		}
	}
	return out
}

// Differing returns the kinds of which a running server goes by something else than what was rendered, sorted. effective is its answer to GET /api/cluster/config/get: its whole
// configuration as JSON, sections within sections. Only settings count that a running server acts on; one that it does not show counts as equal.
// Errors: an answer that is no JSON object.
func (r Rendered) Differing(effective []byte) ([]catalogue.Kind, error) {
	var shown map[string]any
	d := json.NewDecoder(strings.NewReader(string(effective)))
	d.UseNumber()
	if err := d.Decode(&shown); err != nil {
		return nil, fmt.Errorf("the server's configuration: %w", err)
	}
	var out []catalogue.Kind
	for kind, config := range r.Kinds {
		var wanted map[string]any
		d := json.NewDecoder(strings.NewReader(string(config)))
		d.UseNumber()
		if err := d.Decode(&wanted); err != nil {
			return nil, fmt.Errorf("%s: %w", kind, err)
		}
		for path, s := range kind.Of(r.version) {
			if !s.TakenLive(r.version) {
				continue
			}
			at, name, _ := s.In(r.version)
			has, ok := within(shown, append(split(at), name))
			want, known := within(wanted, strings.Split(path, "."))
			if ok && known && !sameValue(has, want) {
				out = append(out, kind)
				break
			}
		}
	}
	slices.Sort(out)
	return out, nil
}

func within(tree map[string]any, path []string) (any, bool) {
	for i, name := range path {
		value, ok := tree[name]
		if i == len(path)-1 || !ok {
			return value, ok
		}
		if tree, ok = value.(map[string]any); !ok {
			return nil, false
		}
	}
	return nil, false
}

// sameValue compares JSON values; numbers by what they are, not by how they are written.
func sameValue(a, b any) bool {
	switch x := a.(type) {
	case json.Number:
		y, ok := b.(json.Number)
		if !ok {
			return false
		}
		p, okP := new(big.Rat).SetString(x.String())
		q, okQ := new(big.Rat).SetString(y.String())
		return okP && okQ && p.Cmp(q) == 0
	case []any:
		y, ok := b.([]any)
		return ok && slices.EqualFunc(x, y, sameValue)
	default:
		return a == b
	}
}
