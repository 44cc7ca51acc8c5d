package robustmq

import (
	"encoding/binary"
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"testing"
)

func recordedNodes(t testing.TB) [][]byte {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("testdata", "nodelist-0.4.11.json"))
	if err != nil {
		t.Fatal(err)
	}
	var list struct {
		Nodes [][]byte `json:"nodes"`
	}
	if err := json.Unmarshal(raw, &list); err != nil {
		t.Fatal(err)
	}
	if len(list.Nodes) == 0 {
		t.Fatal("the fixture is empty")
	}
	return list.Nodes
}

func TestARecordedNodeIsDecoded(t *testing.T) {
	got, err := ParseNodeRecord(recordedNodes(t)[0])
	want := NodeRecord{
		ID: 1, Roles: []string{"meta", "broker", "engine"}, IP: "n1.lab", GRPCAddr: "n1.lab:1228", EngineAddr: "n1.lab:1778",
		Registered: 0x6b046f4c, Folders: []string{"./data/engine"},
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v\nwant %+v", got, err, want)
	}
}

// encodeNode writes a record as RobustMQ does, with any number of protocol addresses.
func encodeNode(id uint64, host string, protocols, addresses int) []byte {
	var b []byte
	number := func(n uint64) { b = binary.LittleEndian.AppendUint64(b, n) }
	text := func(s string) { number(uint64(len(s))); b = append(b, s...) }
	number(2)
	text("meta")
	text("engine")
	for range protocols {
		text(host + ":1883")
	}
	number(id)
	text(host)
	for range addresses {
		text(host + ":1228")
	}
	number(1795453281)
	number(1795453282)
	number(1)
	text("/var/lib/robustmq/engine")
	return b
}

// A host name of 48 to 57 characters has a length whose low byte is a digit, and id 1 before it then looks like a string of one printable character.
func TestAnIDIsFoundWhateverTheLengthOfTheHostName(t *testing.T) {
	for length := 1; length < 200; length++ {
		host := string(slices.Repeat([]byte("h"), length))
		for _, id := range []uint64{1, 2, 3, 11, 48, 1001, 1005, 2001} {
			for _, protocols := range []int{0, 6, 10, 11} {
				for _, addresses := range []int{2, 3} {
					node, err := ParseNodeRecord(encodeNode(id, host, protocols, addresses))
					if err != nil || node.ID != id || node.IP != host {
						t.Fatalf("host of %d, id %d, %d protocol and %d node addresses: %+v, %v", length, id, protocols, addresses, node, err)
					}
				}
			}
		}
	}
}

func TestADamagedRecordIsAnError(t *testing.T) {
	record := recordedNodes(t)[0]
	for cut := range len(record) {
		if node, err := ParseNodeRecord(record[:cut]); err == nil {
			t.Fatalf("cut at %d: %+v", cut, node)
		}
	}
	if node, err := ParseNodeRecord(append(slices.Clone(record), 0)); err == nil {
		t.Errorf("one byte too many: %+v", node)
	}
}

func FuzzParseNodeRecordNeverPanicsAndUsesEveryByte(f *testing.F) {
	f.Add(recordedNodes(f)[0])
	f.Add(encodeNode(1001, "a.b", 6, 2))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, record []byte) {
		node, err := ParseNodeRecord(record)
		if err == nil && (node.IP == "" || len(record) < 8*8) {
			t.Errorf("accepted %x as %+v", record, node)
		}
	})
}

func TestTheLeaderIsReadOutOfARefusedWrite(t *testing.T) {
	for text, want := range map[string]*Forward{
		`has to forward request to: Some(1), Some(Node { node_id: 1, rpc_addr: "n1.lab:1228" })`:                                                             {1, "n1.lab:1228"},
		`Grpc call failed: [offset_0] add_learner failed for node 4: has to forward request to: Some(3), Some(Node { node_id: 3, rpc_addr: "n3.lab:1228" })`: {3, "n3.lab:1228"},
		`add_learner failed for node 1: has to forward request to: None, None`:                                                                               {},
		`has to forward request to: Some(99999999999999999999), None`:                                                                                        nil,
		`Node 2 does not exist`: nil,
		``:                      nil,
	} {
		got, ok := ParseForward(text)
		if ok != (want != nil) || ok && *got != *want {
			t.Errorf("%q: %+v, %v", text, got, ok)
		}
	}
}

func FuzzParseForward(f *testing.F) {
	f.Add(`has to forward request to: Some(1), Some(Node { node_id: 1, rpc_addr: "n1.lab:1228" })`)
	f.Add(`has to forward request to: None, None`)
	f.Fuzz(func(t *testing.T, text string) {
		if got, ok := ParseForward(text); ok && got == nil {
			t.Error("found nothing")
		}
	})
}
