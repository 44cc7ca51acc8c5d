package gate

import (
	"errors"
	"testing"

	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
)

func marker(change func(*protocol.Marker)) *protocol.Marker {
	m := &protocol.Marker{ClusterUID: "uid", NodeID: 2, Role: "PlacementCenter", Generation: 3, Origin: protocol.OriginJoined}
	if change != nil {
		change(m)
	}
	return m
}

func pod(phase string, m *protocol.Marker) Input {
	return Input{Volume: protocol.VolumeState{Phase: phase, Marker: m, Message: "why"}, ClusterUID: "uid", NodeID: 2, Role: "PlacementCenter", Generation: 3}
}

func TestTheGateOpensForNothingButItsOwnVolume(t *testing.T) {
	with := func(in Input, change func(*Input)) Input { change(&in); return in }
	for name, c := range map[string]struct {
		in   Input
		want string
	}{
		"initialised, marker of this node":                      {pod(protocol.VolumeInitialised, marker(nil)), protocol.GateOpen},
		"initialised, no marker":                                {pod(protocol.VolumeInitialised, nil), protocol.GateForeign},
		"initialised, other cluster":                            {pod(protocol.VolumeInitialised, marker(func(m *protocol.Marker) { m.ClusterUID = "other" })), protocol.GateForeign},
		"initialised, other node":                               {pod(protocol.VolumeInitialised, marker(func(m *protocol.Marker) { m.NodeID = 1 })), protocol.GateForeign},
		"initialised, other role":                               {pod(protocol.VolumeInitialised, marker(func(m *protocol.Marker) { m.Role = "MQTTBroker" })), protocol.GateForeign},
		"initialised, older generation":                         {pod(protocol.VolumeInitialised, marker(func(m *protocol.Marker) { m.Generation = 2 })), protocol.GateOldGeneration},
		"initialised, newer generation":                         {pod(protocol.VolumeInitialised, marker(func(m *protocol.Marker) { m.Generation = 4 })), protocol.GateNewerGeneration},
		"empty, no marker":                                      {pod(protocol.VolumeEmpty, nil), protocol.GateAwaitsOrder},
		"empty, ordered and never started":                      {pod(protocol.VolumeEmpty, marker(nil)), protocol.GateOpen},
		"empty, although the marker saw data":                   {pod(protocol.VolumeEmpty, marker(func(m *protocol.Marker) { m.HasData = true })), protocol.GateDataLost},
		"empty, older generation":                               {pod(protocol.VolumeEmpty, marker(func(m *protocol.Marker) { m.Generation = 1 })), protocol.GateOldGeneration},
		"empty, other cluster":                                  {pod(protocol.VolumeEmpty, marker(func(m *protocol.Marker) { m.ClusterUID = "other" })), protocol.GateForeign},
		"unusable":                                              {pod(protocol.VolumeUnusable, marker(nil)), protocol.GateVolumeUnusable},
		"no configuration":                                      {with(pod(protocol.VolumeInitialised, marker(nil)), func(i *Input) { i.ClusterUID = "" }), protocol.GateConfigInvalid},
		"configuration that the server dies of":                 {with(pod(protocol.VolumeInitialised, marker(nil)), func(i *Input) { i.ConfigProblem = "x" }), protocol.GateConfigInvalid},
		"held":                                                  {with(pod(protocol.VolumeInitialised, marker(nil)), func(i *Input) { i.Held = true }), protocol.GateHeld},
		"foreign and held: what cannot be undone is said":       {with(pod(protocol.VolumeInitialised, nil), func(i *Input) { i.Held = true }), protocol.GateForeign},
		"empty and broken configuration: the order comes first": {with(pod(protocol.VolumeEmpty, nil), func(i *Input) { i.ConfigProblem = "x" }), protocol.GateAwaitsOrder},
	} {
		got := Decide(c.in)
		if got.Reason != c.want || got.Open != (c.want == protocol.GateOpen) || !got.Open && got.Message == "" {
			t.Errorf("%s: %+v, want %s", name, got, c.want)
		}
	}
}

func order(action protocol.GateAction) protocol.GateOrder {
	return protocol.GateOrder{Action: action, ClusterUID: "uid", NodeID: 2, Generation: 3}
}

func TestAnOrderIsTakenOnlyWhenTheVolumeFits(t *testing.T) {
	for name, c := range map[string]struct {
		order  protocol.GateOrder
		in     Input
		origin protocol.Origin // to be written; "" none
		reason string          // of the refusal
	}{
		"found on empty":                 {order(protocol.GateFound), pod(protocol.VolumeEmpty, nil), protocol.OriginFounded, ""},
		"join on empty":                  {order(protocol.GateJoin), pod(protocol.VolumeEmpty, nil), protocol.OriginJoined, ""},
		"join repeated before the start": {order(protocol.GateJoin), pod(protocol.VolumeEmpty, marker(nil)), "", ""},
		"join repeated after the start":  {order(protocol.GateJoin), pod(protocol.VolumeInitialised, marker(func(m *protocol.Marker) { m.HasData = true })), "", ""},
		"join after data was lost":       {order(protocol.GateJoin), pod(protocol.VolumeEmpty, marker(func(m *protocol.Marker) { m.HasData = true })), "", protocol.ReasonConflict},
		"found where join was ordered":   {order(protocol.GateFound), pod(protocol.VolumeEmpty, marker(nil)), "", protocol.ReasonConflict},
		"found on data":                  {order(protocol.GateFound), pod(protocol.VolumeInitialised, nil), "", protocol.ReasonConflict},
		"found on joined data":           {order(protocol.GateFound), pod(protocol.VolumeInitialised, marker(nil)), "", protocol.ReasonConflict},
		"join on an older marker":        {order(protocol.GateJoin), pod(protocol.VolumeEmpty, marker(func(m *protocol.Marker) { m.Generation = 1 })), "", protocol.ReasonConflict},
		"adopt foreign data":             {order(protocol.GateAdopt), pod(protocol.VolumeInitialised, nil), protocol.OriginAdopted, ""},
		"adopt another cluster's data":   {order(protocol.GateAdopt), pod(protocol.VolumeInitialised, marker(func(m *protocol.Marker) { m.ClusterUID = "o" })), protocol.OriginAdopted, ""},
		"adopt nothing":                  {order(protocol.GateAdopt), pod(protocol.VolumeEmpty, nil), "", protocol.ReasonConflict},
		"unusable":                       {order(protocol.GateAdopt), pod(protocol.VolumeUnusable, nil), "", protocol.ReasonConflict},
		"unknown action":                 {order("Open"), pod(protocol.VolumeEmpty, nil), "", protocol.ReasonBadRequest},
		"for another node":               {protocol.GateOrder{Action: protocol.GateJoin, ClusterUID: "uid", NodeID: 1, Generation: 3}, pod(protocol.VolumeEmpty, nil), "", protocol.ReasonConflict},
		"for another generation":         {protocol.GateOrder{Action: protocol.GateJoin, ClusterUID: "uid", NodeID: 2, Generation: 4}, pod(protocol.VolumeEmpty, nil), "", protocol.ReasonConflict},
		"for another cluster":            {protocol.GateOrder{Action: protocol.GateJoin, ClusterUID: "o", NodeID: 2, Generation: 3}, pod(protocol.VolumeEmpty, nil), "", protocol.ReasonConflict},
	} {
		got, err := Order(c.order, c.in)
		var refusal *Refusal
		errors.As(err, &refusal)
		switch {
		case c.reason != "":
			if refusal == nil || refusal.Reason != c.reason || refusal.Message == "" || got != nil {
				t.Errorf("%s: %+v, %v", name, got, err)
			}
		case err != nil, (got == nil) != (c.origin == ""), got != nil && (got.Origin != c.origin || got.Generation != 3 || got.NodeID != 2 || got.ClusterUID != "uid"):
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

func TestOnlyThePlacementCentreIsFounded(t *testing.T) {
	in := pod(protocol.VolumeEmpty, nil)
	in.Role = "MQTTBroker"
	if m, err := Order(order(protocol.GateFound), in); err == nil {
		t.Errorf("founded a broker: %+v", m)
	}
	if m, err := Order(order(protocol.GateJoin), in); err != nil || m == nil {
		t.Errorf("join: %+v, %v", m, err)
	}
}

func TestAnImageThatWasNotOpenedKeepsTheGateShut(t *testing.T) {
	waiting := marker(func(m *protocol.Marker) { m.Placement = "restore-1" })
	for name, c := range map[string]struct {
		in   Input
		want string
	}{
		"in place, not opened":                {pod(protocol.VolumeInitialised, waiting), protocol.GatePlacing},
		"on its way into an empty volume":     {pod(protocol.VolumeEmpty, waiting), protocol.GatePlacing},
		"of another cluster":                  {pod(protocol.VolumeInitialised, marker(func(m *protocol.Marker) { m.Placement, m.ClusterUID = "x", "other" })), protocol.GateForeign},
		"at this moment":                      {Input{Volume: protocol.VolumeState{Phase: protocol.VolumeInitialised, Marker: marker(nil)}, ClusterUID: "uid", NodeID: 2, Role: "PlacementCenter", Generation: 3, Placing: true}, protocol.GatePlacing},
		"interrupted and not to be settled":   {Input{Volume: protocol.VolumeState{Phase: protocol.VolumeInitialised, Marker: marker(nil)}, ClusterUID: "uid", NodeID: 2, Role: "PlacementCenter", Generation: 3, Unsettled: "x"}, protocol.GateUnsettled},
		"not to be settled before it is read": {Input{Volume: protocol.VolumeState{Phase: protocol.VolumeEmpty}, Unsettled: "x"}, protocol.GateUnsettled},
	} {
		if got := Decide(c.in); got.Open || got.Reason != c.want || got.Message == "" {
			t.Errorf("%s: %+v, want %s", name, got, c.want)
		}
	}
	for _, action := range []protocol.GateAction{protocol.GateFound, protocol.GateJoin, protocol.GateAdopt} {
		for _, phase := range []string{protocol.VolumeInitialised, protocol.VolumeEmpty} {
			if m, err := Order(order(action), pod(phase, waiting)); err == nil {
				t.Errorf("%s on a volume (%s) in which an image waits: %+v", action, phase, m)
			}
			in := pod(phase, nil)
			in.Placing = true
			if m, err := Order(order(action), in); err == nil {
				t.Errorf("%s while an image is put in place: %+v", action, m)
			}
		}
	}
}
