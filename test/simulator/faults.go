package simulator

import (
	"sync/atomic"
	"time"
)

// SlowDisk has every write into the database of this process take so long, of the server's time; 0 is as long as it takes.
func (n *Node) SlowDisk(by time.Duration) { n.disk.Store(int64(by)) }

// SlowMessages has every message take so long to be stored, and nothing else: their disk may be another than that of the metadata (storage_runtime.data_path).
func (n *Node) SlowMessages(by time.Duration) { n.messages.Store(int64(by)) }

// waitFor waits as long as a disk takes.
func (n *Node) waitFor(disk *atomic.Int64) {
	if by := disk.Load(); by > 0 {
		n.t.sleep(n.ctx, time.Duration(by))
	}
}

// StallApplying has the state machines of this member stand still while its logs go on, as they do whose database holds its writers back; or go on.
func (n *Node) StallApplying(stalled bool) {
	for _, g := range n.rafts.groups {
		if stalled {
			g.HoldApplying()
		} else {
			g.ReleaseApplying()
		}
	}
}
