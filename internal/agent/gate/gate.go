package gate

import (
	"fmt"

	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
)

// Input is all that the gate depends on.
type Input struct {
	Volume protocol.VolumeState
	// What the configuration says of this pod; the zero ClusterUID means that there is no readable configuration yet.
	ClusterUID string
	NodeID     uint64
	Role       string
	Generation int64
	// ConfigProblem is a pre-check that fails, in words; empty when none does.
	ConfigProblem string
	// Held: stopped by order.
	Held bool
	// Placing: databases are being exchanged at this moment.
	Placing bool
	// Transfer is what a transfer of leadership keeps the server stopped for, in words; empty when none does.
	Transfer string
	// Unsettled is why an exchange that was interrupted could be neither finished nor undone; empty when none was.
	Unsettled string
	// Seeding says what is being received from another member to be put in place; empty when nothing is.
	Seeding string
}

// Decide returns the gate's state. The rules in the order in which they win:
//
//	unusable volume                      closed: nothing can be read or written
//	databases half exchanged             closed
//	leadership being moved               closed, for seconds
//	metadata of another member arriving  closed: what it is to replace must not start meanwhile
//	no configuration                     closed
//	data without marker, foreign marker  closed: only an explicit Adopt takes it over
//	marker that names a placement        closed until that is opened or reverted
//	older generation                     closed until restored or seeded
//	newer generation                     closed until the configuration has arrived
//	empty, no marker                     closed until ordered
//	empty, though the marker saw data    closed: the data is lost, and starting would found or join anew
//	configuration that the server dies of, held by order: closed
//	anything else                        open
func Decide(in Input) protocol.GateState {
	v, m := in.Volume, in.Volume.Marker
	switch {
	case v.Phase == protocol.VolumeUnusable:
		return closed(protocol.GateVolumeUnusable, "%s", v.Message)
	case in.Unsettled != "":
		return closed(protocol.GateUnsettled, "an image was being put in place when the pod ended, and it can be neither finished nor undone: %s", in.Unsettled)
	case in.Placing:
		return closed(protocol.GatePlacing, "an image is being put in place")
	case in.Seeding != "":
		return closed(protocol.GatePlacing, "%s", in.Seeding)
	case in.Transfer != "":
		return closed(protocol.GateTransferring, "%s", in.Transfer)
	case in.ClusterUID == "":
		return closed(protocol.GateConfigInvalid, "%s", orElse(in.ConfigProblem, "the configuration was not read yet"))
	case m == nil && v.Phase == protocol.VolumeInitialised:
		return closed(protocol.GateForeign, "the volume holds data without a marker of this operator: %s", orElse(v.Message, "it may belong to another cluster"))
	case m == nil:
		return closed(protocol.GateAwaitsOrder, "the volume is empty: it may be founded, joined, seeded or restored")
	case m.ClusterUID != in.ClusterUID:
		return closed(protocol.GateForeign, "the volume belongs to cluster %s, this is cluster %s", m.ClusterUID, in.ClusterUID)
	case m.NodeID != in.NodeID || m.Role != in.Role:
		return closed(protocol.GateForeign, "the volume belongs to %s node %d, this is %s node %d", m.Role, m.NodeID, in.Role, in.NodeID)
	case m.Placement != "":
		return closed(protocol.GatePlacing, "image %s was put in place, or was being, and is not opened yet", m.Placement)
	case m.Generation < in.Generation:
		return closed(protocol.GateOldGeneration, "the volume is of generation %d, the cluster is at generation %d", m.Generation, in.Generation)
	case m.Generation > in.Generation:
		return closed(protocol.GateNewerGeneration, "the volume is of generation %d, the configuration still at generation %d", m.Generation, in.Generation)
	case v.Phase == protocol.VolumeEmpty && m.HasData:
		return closed(protocol.GateDataLost, "the marker of node %d (%s) saw data here and there is none any more", m.NodeID, m.Origin)
	case in.ConfigProblem != "":
		return closed(protocol.GateConfigInvalid, "%s", in.ConfigProblem)
	case in.Held:
		return closed(protocol.GateHeld, "stopped by order")
	}
	return protocol.GateState{Open: true, Reason: protocol.GateOpen}
}

func closed(reason, format string, args ...any) protocol.GateState {
	return protocol.GateState{Reason: reason, Message: fmt.Sprintf(format, args...)}
}

func orElse(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

// Refusal is why an order does not fit.
type Refusal struct {
	Reason  string // protocol.ReasonBadRequest or protocol.ReasonConflict
	Message string
}

func (r *Refusal) Error() string { return r.Message }

func conflict(format string, args ...any) error {
	return &Refusal{Reason: protocol.ReasonConflict, Message: fmt.Sprintf(format, args...)}
}

// Order returns the marker to write for an order; nil when the volume already has it (orders may be repeated). The error is a *Refusal.
func Order(order protocol.GateOrder, in Input) (*protocol.Marker, error) {
	origin, ok := map[protocol.GateAction]protocol.Origin{
		protocol.GateFound: protocol.OriginFounded, protocol.GateJoin: protocol.OriginJoined, protocol.GateAdopt: protocol.OriginAdopted,
	}[order.Action]
	v, m := in.Volume, in.Volume.Marker
	switch {
	case !ok:
		return nil, &Refusal{Reason: protocol.ReasonBadRequest, Message: fmt.Sprintf("action %q is none of Found, Join, Adopt", order.Action)}
	case in.ClusterUID == "":
		return nil, conflict("there is no configuration: %s", in.ConfigProblem)
	case order.ClusterUID != in.ClusterUID || order.NodeID != in.NodeID || order.Generation != in.Generation:
		return nil, conflict("the order is for cluster %s node %d generation %d, this is cluster %s node %d generation %d",
			order.ClusterUID, order.NodeID, order.Generation, in.ClusterUID, in.NodeID, in.Generation)
	case v.Phase == protocol.VolumeUnusable:
		return nil, conflict("the volume is unusable: %s", v.Message)
	case m != nil && m.Placement != "":
		return nil, conflict("image %s is in this volume and not opened yet: open it, revert it, or wipe the volume", m.Placement)
	case in.Placing:
		return nil, conflict("an image is being put in place")
	case in.Seeding != "":
		return nil, conflict("%s", in.Seeding)
	case order.Action == protocol.GateFound && in.Role != "PlacementCenter":
		return nil, conflict("only the placement centre is founded, this is %s", in.Role)
	}
	mine := m != nil && m.ClusterUID == in.ClusterUID && m.NodeID == in.NodeID && m.Role == in.Role && m.Generation == in.Generation
	switch {
	case mine && m.Origin == origin && (v.Phase == protocol.VolumeInitialised || !m.HasData):
		return nil, nil //nolint:nilnil // nothing to write, and nothing wrong
	case order.Action == protocol.GateAdopt && v.Phase != protocol.VolumeInitialised:
		return nil, conflict("the volume is empty: there is nothing to adopt")
	case order.Action == protocol.GateAdopt:
		// The data is what it is; what the marker said of another cluster does not count here.
	case v.Phase != protocol.VolumeEmpty:
		return nil, conflict("%s needs an empty volume, this one holds data", order.Action)
	case m != nil:
		return nil, conflict("the volume has a marker already (%s, node %d, generation %d): wipe it first", m.Origin, m.NodeID, m.Generation)
	}
	return &protocol.Marker{ClusterUID: in.ClusterUID, NodeID: in.NodeID, Role: in.Role, Generation: in.Generation, Origin: origin}, nil
}
