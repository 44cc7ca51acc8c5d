package simulator

import (
	"encoding/json"
	"sort"
	"strings"
	"sync"
	"time"

	"github.com/robustmq/robustmq-operator/test/simulator/raft"
	"github.com/robustmq/robustmq-operator/test/simulator/store"
)

// The kinds of things that the metadata holds; a key is a kind and a name.
const (
	kindNode      = "node/"
	kindKV        = "kv/"
	kindTenant    = "tenant/"
	kindUser      = "user/"
	kindTopic     = "topic/"
	kindShard     = "shard/"
	kindSegment   = "segment/"
	kindConfig    = "config/"
	kindConnector = "connector/"
	kindACL       = "acl/"
	kindSession   = "session/"
	kindEpoch     = "epoch/"
	kindOffset    = "offset/"
)

// command is what a raft entry carries.
type command struct {
	Op    string          `json:"op"` // put, delete, register, isr
	Key   string          `json:"key"`
	Value json.RawMessage `json:"value,omitempty"`
	Epoch uint64          `json:"epoch,omitempty"`
}

// state is the state machine of every group of a member: what was applied here, and nothing else. A snapshot brings none of it.
type state struct {
	storage store.Storage

	mu   sync.RWMutex
	data map[string]json.RawMessage
}

func newState(s store.Storage) (*state, error) {
	st := &state{storage: s, data: map[string]json.RawMessage{}}
	for _, family := range []string{store.FamilyData, store.FamilyMetadata} {
		err := s.Each(family, func(key, value []byte) error {
			if name, content, ok := restored(family, key, value); ok {
				st.data[name] = content
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return st, nil
}

// apply runs a command. Its result is the epoch of a registration, or whether an ISR proposal fitted.
func (s *state) apply(_ raft.LogID, raw []byte) any {
	c, ok := decodeCommand(raw)
	if !ok {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch c.Op {
	case "delete":
		delete(s.data, c.Key)
		s.write(c.Key, nil)
	case "register":
		// Each node counts its own registrations; the count outlives the record (seen: node_epoch/<id>).
		key, epoch := kindEpoch+strings.TrimPrefix(c.Key, kindNode), uint64(0)
		_ = json.Unmarshal(s.data[key], &epoch)
		epoch++
		s.put(key, mustJSON(epoch))
		s.put(c.Key, c.Value)
		return epoch
	case "isr":
		var have segment
		if json.Unmarshal(s.data[c.Key], &have) != nil || have.SegmentEpoch != c.Epoch {
			return false
		}
		s.put(c.Key, c.Value)
		return true
	default:
		s.put(c.Key, c.Value)
	}
	return nil
}

func (s *state) put(key string, value json.RawMessage) {
	s.data[key] = value
	s.write(key, value)
}

// write stores a thing, or without a value deletes it. An error of the disk shows at raft's next write.
func (s *state) write(key string, value json.RawMessage) {
	if r, ok := storedRecord(key, value, time.Now().Unix()); ok {
		_ = s.storage.Write(r)
	}
}

func (s *state) get(key string) (json.RawMessage, bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	v, ok := s.data[key]
	return v, ok
}

// each visits the keys of a kind in order. The values must not be changed.
func (s *state) each(kind string, visit func(key string, value json.RawMessage)) {
	s.mu.RLock()
	type pair struct {
		key   string
		value json.RawMessage
	}
	var found []pair
	for k, v := range s.data {
		if strings.HasPrefix(k, kind) {
			found = append(found, pair{k, v})
		}
	}
	s.mu.RUnlock()
	sort.Slice(found, func(i, j int) bool { return found[i].key < found[j].key })
	for _, p := range found {
		visit(p.key, p.value)
	}
}

func mustJSON(v any) json.RawMessage {
	raw, err := json.Marshal(v)
	if err != nil {
		panic("simulator: " + err.Error()) // only types of this package are passed
	}
	return raw
}

// decodeAll decodes every value of a kind.
func decodeAll[T any](each func(string, func(string, json.RawMessage)), kind string) []T {
	var all []T
	each(kind, func(_ string, raw json.RawMessage) {
		var v T
		if json.Unmarshal(raw, &v) == nil {
			all = append(all, v)
		}
	})
	return all
}
