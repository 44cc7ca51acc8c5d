package simulator

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"github.com/robustmq/robustmq-operator/backup/image"
	"github.com/robustmq/robustmq-operator/backup/image/rocksdb"
	"github.com/robustmq/robustmq-operator/test/simulator/raft"
	"github.com/robustmq/robustmq-operator/test/simulator/store"
)

const imageData = "../../backup/image/testdata"

func unpacked(t testing.TB, name string) io.Reader {
	t.Helper()
	f, err := os.Open(filepath.Join(imageData, name))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	z, err := zstd.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(z.Close)
	return z
}

// recordedValues passes on what RocksDB read in a recorded folder.
func recordedValues(t testing.TB, name string, visit func(family string, key, value []byte)) {
	t.Helper()
	lines := bufio.NewScanner(unpacked(t, name+".dump.zst"))
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		fields := strings.Split(lines.Text(), " ")
		key, err1 := hex.DecodeString(fields[1])
		value, err2 := hex.DecodeString(fields[2])
		if err1 != nil || err2 != nil {
			t.Fatal(err1, err2)
		}
		visit(fields[0], key, value)
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
}

func TestWhatARealServerStoredIsReadAndWrittenByteForByte(t *testing.T) {
	for name, keys := range map[string]map[string]int{
		"fresh-1node":       {kindNode: 1, kindEpoch: 1, kindTenant: 1, kindUser: 1, kindTopic: 8, kindShard: 8, kindSegment: 8, kindKV: 1},
		"follower-300users": {kindNode: 3, kindEpoch: 3, kindTenant: 14, kindUser: 317, kindTopic: 27, kindShard: 27, kindSegment: 27, kindKV: 1},
	} {
		found := map[string]int{}
		recordedValues(t, name, func(family string, key, value []byte) {
			if family != store.FamilyData && family != store.FamilyMetadata {
				return
			}
			thing, content, ok := restored(family, key, value)
			if !ok {
				t.Errorf("%s: %s %q is not read", name, family, key)
				return
			}
			found[layoutOf(thing).kind]++
			again, ok := storedRecord(thing, content, int64(binary.LittleEndian.Uint64(value[len(value)-8:])))
			if !ok || again.Family != family || !bytes.Equal(again.Key, key) || !bytes.Equal(again.Value, value) {
				t.Errorf("%s: %q becomes %q\n% x\ninstead of\n% x", name, key, again.Key, again.Value, value)
			}
		})
		for kind, n := range keys {
			if found[kind] != n {
				t.Errorf("%s: %d of %s, want %d", name, found[kind], kind, n)
			}
		}
	}
}

func TestARewrittenRegistryIsWhatTheNodesWouldStore(t *testing.T) {
	n := nodeRecord{
		Roles: []string{"meta", "broker"}, NodeID: 2, NodeIP: "b", GRPCAddr: "b:1", HTTPAddr: "b:2", EngineAddr: "b:3", StartTime: 11, RegisterTime: 12, StorageFold: []string{"./data/engine"},
		Extend: nodeExtend{mqttAddrs{"b:1", "b:4", "b:5", "b:6", "b:7", "b:8"}, &natsAddrs{"b:9", "b:10", "b:11", "b:12"}, &kafkaAddrs{"b:13"}},
	}
	edits, err := image.RewriteRegistry([]image.RegisteredNode{{
		ID: 2, Host: "b", Roles: n.Roles, Started: 11, Registered: 12, Created: 13, Folders: n.StorageFold,
		Ports: image.NodePorts{GRPC: 1, HTTP: 2, Engine: 3, MQTT: 4, MQTTS: 5, WebSocket: 6, WebSockets: 7, QUIC: 8, NATS: 9, NATSTLS: 10, NATSWS: 11, NATSWSS: 12, Kafka: 13},
	}})
	if err != nil {
		t.Fatal(err)
	}
	put := edits[len(edits)-1]
	want, ok := storedRecord(nodeKey(2), mustJSON(n), 13)
	if !ok || put.Kind != rocksdb.Put || put.Family != want.Family || !bytes.Equal(put.Key, want.Key) || !bytes.Equal(put.Value, want.Value) {
		t.Errorf("% x\ninstead of\n% x", put.Value, want.Value)
	}
	key, content, ok := restored(put.Family, put.Key, put.Value)
	if !ok || key != nodeKey(2) || string(content) != string(mustJSON(n)) {
		t.Errorf("read as %s %s", key, content)
	}
}

func TestThingsSurviveTheDatabase(t *testing.T) {
	limit := int64(5)
	things := map[string]any{
		nodeKey(3):                 nodeRecord{Roles: []string{"meta"}, NodeID: 3, NodeIP: "a", GRPCAddr: "a:1", EngineAddr: "a:2", StorageFold: []string{}},
		kindEpoch + "3":            7,
		kindTenant + "t":           tenant{"t", "d", tenantLimits{1, 2, 3, 4, 5}, 6},
		userKey("t", "u"):          user{"t", "u", "p", true, 9},
		topicKey("t", "a/b"):       topic{TopicID: "i", Tenant: "t", TopicName: "a/b", StorageType: "EngineSegment", Source: "Kafka", Partition: 2, Replication: 3, StorageNameList: map[string]string{"0": "i-0", "1": "i-1"}, Config: topicConfig{nil, &limit, 4}, MarkDelete: true, CreateTime: 1},
		kindShard + "i-0":          shard{"u", "i-0", "a/b", 1, 2, 3, "Run", shardConfig{3, "EngineMemory", &limit, nil, 4, 2, true}, "d", 8},
		kindSegment + "i-0/0":      segment{"i-0", 0, []replica{{0, 2, "./f"}}, []uint64{2}, []uint64{}, 1, 2, 3, 4, "Unavailable"},
		kindConfig + "MqttLimit":   `{"cluster":{}}`,
		kindACL + "t/acl":          map[string]any{"tenant": "t"},
		kindConnector + "t/c":      map[string]any{"x": 1.5},
		kindSession + "client":     map[string]any{"client_id": "client"},
		kindKV + "any/key":         "value",
		kindKV + "__robustmq_ping": "1",
	}
	s, err := store.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	st, err := newState(s)
	if err != nil {
		t.Fatal(err)
	}
	for key, v := range things {
		st.put(key, mustJSON(v))
	}
	st.put(kindUser+"t/gone", mustJSON(user{Tenant: "t", Username: "gone"}))
	st.apply(raft.LogID{}, command{Op: "delete", Key: kindUser + "t/gone"}.encode())
	again, err := newState(s)
	if err != nil {
		t.Fatal(err)
	}
	if len(again.data) != len(things) {
		t.Errorf("%d things, want %d", len(again.data), len(things))
	}
	for key, v := range things {
		got, want := again.data[key], mustJSON(v)
		var a, b any
		if json.Unmarshal(got, &a) != nil || json.Unmarshal(want, &b) != nil || fmt.Sprint(a) != fmt.Sprint(b) {
			t.Errorf("%s: %s\ninstead of %s", key, got, want)
		}
	}
}

func FuzzAStoredValueOfAnyBytesNeverPanics(f *testing.F) {
	seen := map[string]bool{}
	recordedValues(f, "fresh-1node", func(family string, key, value []byte) {
		if kind, _, ok := restored(family, key, value); ok && !seen[layoutOf(kind).kind] {
			seen[layoutOf(kind).kind] = true
			f.Add(family == store.FamilyData, string(key), value)
		}
	})
	f.Fuzz(func(t *testing.T, data bool, key string, value []byte) {
		family := store.FamilyMetadata
		if data {
			family = store.FamilyData
		}
		thing, content, ok := restored(family, []byte(key), value)
		if !ok {
			return
		}
		r, ok := storedRecord(thing, content, 0)
		if !ok {
			t.Fatalf("%s %s cannot be stored again", thing, content)
		}
		if second, again, ok := restored(r.Family, r.Key, r.Value); !ok || second != thing || string(again) != string(content) {
			t.Errorf("%s: %s, then %s: %s", thing, content, second, again)
		}
		decodeCommand(value)
		storedMessage([]byte(key), value)
	})
}
