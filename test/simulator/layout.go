package simulator

import (
	"encoding/binary"
	"encoding/json"
	"strconv"
	"strings"

	"github.com/robustmq/robustmq-operator/test/simulator/store"
)

// layout is where things of a kind are in the database, and how. The simulator itself works with JSON, keyed by kind and name; the database has RobustMQ's keys and bincode.
type layout struct {
	kind   string
	family string
	prefix string // of the key, in place of the kind
	encode func(json.RawMessage, *encoder) error
	decode func(*decoder) any
}

// layouts of all kinds, seen in the recorded directories of RobustMQ 0.4.11 (backup/image/testdata); older versions are written like it. What is not in those directories is JSON, under
// keys that no RobustMQ has.
var layouts = []layout{
	{kindNode, store.FamilyMetadata, "/meta/clusters/node/", encoded[nodeRecord], decoded[nodeRecord]},
	{kindEpoch, store.FamilyMetadata, "/meta/clusters/node_epoch/", encodeNumber, decodeNumber},
	{kindTenant, store.FamilyMetadata, "/meta/tenant/", encoded[tenant], decoded[tenant]},
	{kindUser, store.FamilyMetadata, "/meta/mqtt/user/", encoded[user], decoded[user]},
	{kindTopic, store.FamilyData, "/meta/mqtt/topic/", encoded[topic], decoded[topic]},
	{kindShard, store.FamilyMetadata, "/meta/journal/shard/", encoded[shard], decoded[shard]},
	{kindSegment, store.FamilyMetadata, "/meta/journal/segment/", encoded[segment], decoded[segment]},
	{kindConfig, store.FamilyMetadata, "/meta/simulator/config/", encodeJSON, decodeJSON},
	{kindConnector, store.FamilyMetadata, "/meta/simulator/connector/", encodeJSON, decodeJSON},
	{kindACL, store.FamilyMetadata, "/meta/simulator/acl/", encodeJSON, decodeJSON},
	{kindOffset, store.FamilyData, "/meta/simulator/offset/", encodeJSON, decodeJSON},
	{kindSession, store.FamilyData, "/meta/simulator/session/", encodeJSON, decodeJSON},
	{kindKV, store.FamilyMetadata, "", encodeText, decodeText}, // RobustMQ keeps a user's keys as they are
}

// layoutOf finds the layout of a thing.
func layoutOf(key string) *layout {
	for i := range layouts {
		if strings.HasPrefix(key, layouts[i].kind) {
			return &layouts[i]
		}
	}
	return nil
}

// storedRecord is what the database has of a thing; without a value, its deletion. Every value ends with the time at which this member applied it: members differ in it (seen).
func storedRecord(key string, value json.RawMessage, now int64) (store.Record, bool) {
	l := layoutOf(key)
	if l == nil {
		return store.Record{}, false
	}
	r := store.Record{Family: l.family, Key: []byte(l.prefix + strings.TrimPrefix(key, l.kind)), Delete: value == nil}
	if value != nil {
		var e encoder
		if l.encode(value, &e) != nil {
			return store.Record{}, false
		}
		e.u64(uint64(now))
		r.Value = e.b
	}
	return r, true
}

// restored is the reverse. What RobustMQ has and the simulator has not, and what does not decode, is left where it is.
func restored(family string, key, value []byte) (name string, content json.RawMessage, ok bool) {
	const timeBytes = 8
	if len(value) < timeBytes {
		return "", nil, false
	}
	for _, l := range layouts {
		rest, fits := strings.CutPrefix(string(key), l.prefix)
		if !fits || l.family != family || l.prefix == "" && strings.HasPrefix(rest, "/meta/") {
			continue
		}
		d := decoder{rest: value[:len(value)-timeBytes]}
		v := l.decode(&d)
		if d.end() != nil {
			return "", nil, false
		}
		return l.kind + rest, mustJSON(v), true
	}
	return "", nil, false
}

type storable interface{ store(*encoder) }

func encoded[T storable](value json.RawMessage, e *encoder) error {
	var v T
	if err := json.Unmarshal(value, &v); err != nil {
		return err
	}
	v.store(e)
	return nil
}

func decoded[T any, P interface {
	*T
	load(*decoder)
}](d *decoder) any {
	var v T
	P(&v).load(d)
	return v
}

func encodeNumber(value json.RawMessage, e *encoder) error {
	var n uint64
	err := json.Unmarshal(value, &n)
	e.u64(n)
	return err
}

func decodeNumber(d *decoder) any { return d.u64() }

func encodeText(value json.RawMessage, e *encoder) error {
	var s string
	err := json.Unmarshal(value, &s)
	e.text(s)
	return err
}

func decodeText(d *decoder) any { return d.text() }

func encodeJSON(value json.RawMessage, e *encoder) error {
	e.text(string(value))
	return nil
}

func decodeJSON(d *decoder) any {
	text := json.RawMessage(d.text())
	if !json.Valid(text) {
		d.bad = true
		return nil
	}
	return text
}

func parsed(number string) uint32 {
	n, _ := strconv.ParseUint(number, 10, 32) // of the simulator's own
	return uint32(n)
}

func shown(number uint32) string { return strconv.FormatUint(uint64(number), 10) }

// Operations of log entries whose numbers were seen in recorded directories; every other one has otherOperation.
const otherOperation = 1 << 16

var operations = map[string]uint32{ // by what a command does and the kind it does it to
	"register " + kindNode: 0, "delete " + kindNode: 1, "put " + kindKV: 2, "put " + kindTenant: 4, "put " + kindShard: 28, "put " + kindSegment: 30, "isr " + kindSegment: 34,
	"put " + kindUser: 35, "delete " + kindUser: 36, "put " + kindTopic: 37,
}

// encode makes of a command what a log entry has: the number of the operation, a length, and what is to be done. That last part is the simulator's own.
func (c command) encode() []byte {
	kind, _, _ := strings.Cut(c.Key, "/")
	operation, known := operations[c.Op+" "+kind+"/"]
	if !known {
		operation = otherOperation
	}
	body := mustJSON(c)
	b := binary.LittleEndian.AppendUint32(nil, operation)
	return append(binary.LittleEndian.AppendUint64(b, uint64(len(body))), body...)
}

const commandHeader = 12

// decodeCommand reads a command. Those of a real server are not understood: what they did is in its database already.
func decodeCommand(raw []byte) (c command, ok bool) {
	if len(raw) <= commandHeader || json.Unmarshal(raw[commandHeader:], &c) != nil {
		return command{}, false
	}
	return c, c.Op != ""
}
