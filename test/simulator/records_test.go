package simulator

import (
	"encoding/base64"
	"slices"
	"testing"

	"github.com/robustmq/robustmq-operator/internal/robustmq"
)

// recordedNode is a node of RobustMQ 0.4.11's NodeList, as a real server answered it.
const recordedNode = "AwAAAAAAAAAEAAAAAAAAAG1ldGEGAAAAAAAAAGJyb2tlcgYAAAAAAAAAZW5naW5lCwAAAAAAAABuMS5sYWI6MTIyOAsAAAAAAAAAbjEubGFiOjE4ODMLAAAAAAAAAG4xLmxhYjoxODg1CwAAAAAAAABuMS5sYWI6ODA4MwsAAAAAAAAAbjEubGFiOjgwODULAAAAAAAAAG4xLmxhYjo5MDgzCwAAAAAAAABuMS5sYWI6NDIyMgsAAAAAAAAAbjEubGFiOjQyMjMLAAAAAAAAAG4xLmxhYjo0MDgwCwAAAAAAAABuMS5sYWI6NDQ0MwsAAAAAAAAAbjEubGFiOjkwOTIBAAAAAAAAAAYAAAAAAAAAbjEubGFiCwAAAAAAAABuMS5sYWI6MTIyOAwAAAAAAAAAbjEubGFiOjU4MDgwCwAAAAAAAABuMS5sYWI6MTc3OExvBGsAAAAATG8EawAAAAABAAAAAAAAAA0AAAAAAAAALi9kYXRhL2VuZ2luZQ=="

func TestANodesRecordIsByteForByteThatOfARealServer(t *testing.T) {
	want, err := base64.StdEncoding.DecodeString(recordedNode)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := robustmq.ParseNodeRecord(want)
	if err != nil {
		t.Fatal(err)
	}
	n := nodeRecord{
		Roles: []string{"meta", "broker", "engine"}, NodeID: 1, NodeIP: "n1.lab", GRPCAddr: "n1.lab:1228", HTTPAddr: "n1.lab:58080", EngineAddr: "n1.lab:1778",
		StartTime: int64(parsed.Registered), RegisterTime: int64(parsed.Registered), StorageFold: []string{"./data/engine"},
		Extend: nodeExtend{
			MQTT:  mqttAddrs{"n1.lab:1228", "n1.lab:1883", "n1.lab:1885", "n1.lab:8083", "n1.lab:8085", "n1.lab:9083"},
			NATS:  &natsAddrs{"n1.lab:4222", "n1.lab:4223", "n1.lab:4080", "n1.lab:4443"},
			Kafka: &kafkaAddrs{"n1.lab:9092"},
		},
	}
	if got := n.bincode(); !slices.Equal(got, want) {
		t.Errorf("% x\ninstead of\n% x", got, want)
	}
}
