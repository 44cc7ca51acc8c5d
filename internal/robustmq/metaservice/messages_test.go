package metaservice

import (
	"bytes"
	"reflect"
	"testing"
)

func TestEveryMessageSurvivesItsWireForm(t *testing.T) {
	for _, pair := range [][2]Message{
		{&Empty{}, &Empty{}},
		{&ClusterStatusReply{Content: `{"a":1}`}, &ClusterStatusReply{}},
		{&NodeListReply{Nodes: [][]byte{{1, 2}, {}, {3}}}, &NodeListReply{}},
		{&UnRegisterNodeRequest{NodeID: 1001}, &UnRegisterNodeRequest{}},
		{&HeartbeatRequest{NodeID: 1 << 40}, &HeartbeatRequest{}},
		{&JoinClusterRequest{NodeID: 4, RPCAddr: "n4:1228"}, &JoinClusterRequest{}},
		{&LeaveClusterRequest{NodeID: 4}, &LeaveClusterRequest{}},
		{&ResourceConfigRequest{Resources: []string{"cluster", "MqttLimit"}, Config: []byte("{}")}, &ResourceConfigRequest{}},
		{&GetResourceConfigReply{Config: []byte("{}")}, &GetResourceConfigReply{}},
		{&ListSegmentRequest{Shard: "s", Segment: 3}, &ListSegmentRequest{}},
		{&ListSegmentRequest{Segment: AllSegments}, &ListSegmentRequest{}},
		{&ListSegmentReply{Segment: []byte{1, 2}}, &ListSegmentReply{}},
	} {
		wire := pair[0].MarshalWire()
		if err := pair[1].UnmarshalWire(wire); err != nil {
			t.Errorf("%T: %v", pair[0], err)
		}
		if again := pair[1].MarshalWire(); !bytes.Equal(again, wire) {
			t.Errorf("%T: %x became %x", pair[0], wire, again)
		}
	}
}

// The bytes are what grpcurl with RobustMQ's own definitions sends: field 4, varint.
func TestTheHeartbeatUsesFieldFour(t *testing.T) {
	if got, want := (&HeartbeatRequest{NodeID: 300}).MarshalWire(), []byte{0x20, 0xac, 0x02}; !bytes.Equal(got, want) {
		t.Errorf("%x, want %x", got, want)
	}
}

// The bytes are what protobuf makes of segment: -1 in field 4, an int32: ten bytes.
func TestAllSegmentsAreAskedForByMinusOne(t *testing.T) {
	want := []byte{0x20, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01}
	if got := (&ListSegmentRequest{Segment: AllSegments}).MarshalWire(); !bytes.Equal(got, want) {
		t.Errorf("%x, want %x", got, want)
	}
	var m ListSegmentRequest
	if err := m.UnmarshalWire(want); err != nil || m.Segment != -1 {
		t.Errorf("%+v, %v", m, err)
	}
}

func TestUnknownFieldsAreSkipped(t *testing.T) {
	var m HeartbeatRequest
	if err := m.UnmarshalWire([]byte{0x08, 0x05, 0x2a, 0x01, 'x', 0x35, 1, 2, 3, 4, 0x20, 0x07}); err != nil || m.NodeID != 7 {
		t.Errorf("%+v, %v", m, err)
	}
}

func FuzzUnmarshalWireNeverPanics(f *testing.F) {
	f.Add((&NodeListReply{Nodes: [][]byte{{1}, {2}}}).MarshalWire())
	f.Add((&JoinClusterRequest{NodeID: 4, RPCAddr: "n4:1228"}).MarshalWire())
	f.Add([]byte{0xff})
	f.Fuzz(func(t *testing.T, wire []byte) {
		for _, m := range []Message{
			&Empty{}, &ClusterStatusReply{}, &NodeListReply{}, &UnRegisterNodeRequest{}, &HeartbeatRequest{}, &JoinClusterRequest{}, &LeaveClusterRequest{},
			&ResourceConfigRequest{}, &GetResourceConfigReply{}, &ListSegmentRequest{}, &ListSegmentReply{},
		} {
			if m.UnmarshalWire(wire) != nil {
				continue
			}
			again := reflect.New(reflect.TypeOf(m).Elem()).Interface().(Message)
			if err := again.UnmarshalWire(m.MarshalWire()); err != nil {
				t.Errorf("%T cannot read what it wrote: %v", m, err)
			}
		}
	})
}
