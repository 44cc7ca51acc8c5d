package agent

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
	"github.com/robustmq/robustmq-operator/internal/agent/solevoter"
)

// orderAlone makes this member the only voter of its placement centre.
//
// The marker of the new generation is written first: whoever dies after it leaves a volume that starts in no generation but the new one, in which the other voter's volume does not start. Whether the
// database was rewritten, too, tells its server when it runs, and then the order is given again.
func (a *Agent) orderAlone(ctx context.Context, order protocol.AloneOrder) error {
	a.orders.Lock()
	defer a.orders.Unlock()
	a.marker.Lock()
	defer a.marker.Unlock()
	a.refreshVolume()
	a.mu.Lock()
	m, vol, in, moving := a.mounted, a.vol, a.gateInput(), a.transfer.record.Active()
	a.mu.Unlock()
	switch marker := vol.Marker; {
	case !m.readable || !m.isVoterRole():
		return conflict("only a member of the placement centre has voters beside it")
	case order.ClusterUID != m.config.ClusterUID || order.NodeID != m.nodeID() || order.Without == 0 || order.Without == order.NodeID:
		return conflict("the order is for node %d of cluster %s without node %d, this is node %d of cluster %s", order.NodeID, order.ClusterUID, order.Without, m.nodeID(), m.config.ClusterUID)
	case marker == nil || marker.ClusterUID != order.ClusterUID || marker.NodeID != order.NodeID || marker.Placement != "":
		return conflict("the volume is not known to hold the data of this member")
	case marker.Generation == order.Generation && (marker.Origin == protocol.OriginAlone || marker.Origin == protocol.OriginAdopted): // marked before, and perhaps not rewritten
	case marker.Generation != order.Generation-1 || m.config.Generation != marker.Generation:
		return conflict("the order begins generation %d, the volume is of generation %d and the configuration of generation %d", order.Generation, marker.Generation, m.config.Generation)
	}
	if in.Placing || in.Seeding != "" || in.Unsettled != "" || moving {
		return conflict("metadata is being put in place here, or leadership is being moved")
	}
	status, err := a.ownStatus(ctx)
	if err != nil {
		return fmt.Errorf("who votes beside this member: %w", err)
	}
	member, err := solevoter.Check(status, order.NodeID, order.Without)
	if err != nil {
		return conflict("this member cannot go on alone: %v", err)
	}
	a.o.Log.Warn("this member becomes the only voter", "without", order.Without, "generation", order.Generation)
	return a.goAlone(ctx, member, *vol.Marker, order.Generation)
}

// goAlone stops the server and rewrites volume and database; the locks of orders and marker are held. On an error the volume has its old marker again, and the server starts.
func (a *Agent) goAlone(ctx context.Context, member solevoter.Member, before protocol.Marker, generation int64) (err error) {
	defer func() {
		if err != nil {
			a.update(a.startAgain)
		}
	}()
	if err := a.stopServer(ctx); err != nil {
		return err
	}
	marker := before
	marker.Generation, marker.Origin, marker.Member, marker.HasData = generation, protocol.OriginAlone, true, true
	marker.Written = a.o.Now().UTC().Truncate(time.Second)
	if err := a.volume.WriteMarker(marker); err != nil {
		return errors.Join(err, a.volume.WriteMarker(before))
	}
	if err := a.rewriteAlone(ctx, member); err != nil {
		err = fmt.Errorf("making this member the only voter: %w", err)
		err = errors.Join(err, a.volume.WriteMarker(before))
		a.remarked()
		return err
	}
	a.remarked()
	return nil
}

// rewriteAlone rewrites the stopped database. The raft snapshots beside it go first: they have the membership that was, and RobustMQ makes them anew.
func (a *Agent) rewriteAlone(ctx context.Context, member solevoter.Member) error {
	for _, folder := range a.besideDatabase() {
		if err := a.o.FS.RemoveAll(folder); err != nil {
			return err
		}
	}
	return member.Rewrite(ctx, a.o.FS, a.database())
}
