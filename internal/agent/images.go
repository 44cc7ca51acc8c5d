package agent

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/robustmq/robustmq-operator/internal/agent/gate"
	"github.com/robustmq/robustmq-operator/internal/agent/images"
	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
	"github.com/robustmq/robustmq-operator/internal/agent/volume"
	"github.com/robustmq/robustmq-operator/internal/pause"
	"github.com/robustmq/robustmq-operator/internal/robustmq/metaclient"
)

// newSource returns what takes images of this pod's server.
func newSource(a *Agent) *images.Source {
	return images.NewSource(images.SourceOptions{
		FS: a.o.FS, Root: a.volume.Path(volume.StagingDir), Database: a.database, Ask: a.askForImage,
		Limit: a.o.StagingLimit, Reserve: a.o.Reserve, Lease: a.o.Timings.ImageLease, Pause: a.o.Timings.ImagePause,
		Now: a.o.Now, Log: a.o.Log, Guard: a.guarded, Ended: a.metrics.imageEnded,
	})
}

// newTarget returns what puts images into this pod's volume.
func newTarget(a *Agent) *images.Target {
	return images.NewTarget(images.TargetOptions{
		FS: a.o.FS, Dir: a.volume.Path(volume.PlacementDir), Database: a.database, Beside: a.besideDatabase, Pod: a.podForImage, WriteMarker: a.markForImage,
		Reserve: a.o.Reserve, Now: a.o.Now, Log: a.o.Log, Guard: a.guarded,
	})
}

// databases are the names that RocksDB's folder has or had.
var databases = []string{"_rocksdb", "_data"}

// snapshots are raft snapshots beside the database, which RobustMQ makes anew.
const snapshots = "_snapshot"

// database is RocksDB's folder: as the version names it, and before the version is known as it is found.
func (a *Agent) database() string {
	a.mu.Lock()
	name := a.mounted.traits.RocksDBDir
	a.mu.Unlock()
	if name != "" {
		return a.volume.Path(filepath.Join(dataDir, name))
	}
	for _, name := range databases {
		path := a.volume.Path(filepath.Join(dataDir, name))
		if _, err := os.Stat(path); err == nil {
			return path
		}
	}
	return a.volume.Path(filepath.Join(dataDir, databases[0]))
}

func (a *Agent) besideDatabase() []string {
	return []string{a.volume.Path(filepath.Join(dataDir, snapshots))}
}

// askForImage asks this pod's own server for its raft state, now.
func (a *Agent) askForImage(ctx context.Context) (images.Server, error) {
	a.mu.Lock()
	c, m, live := a.child, a.mounted, a.live()
	a.mu.Unlock()
	switch {
	case m.readable && !m.isMeta():
		return images.Server{}, &images.Refusal{Reason: protocol.ReasonConflict, Message: fmt.Sprintf("this is %s: only members of the placement centre have metadata", m.config.Role)}
	case !live:
		return images.Server{}, &images.Refusal{Reason: protocol.ReasonServerDown, Message: "the server does not run or does not answer: take the image of another member"}
	}
	meta, err := metaclient.New(hostPort(a.o.Loopback, m.config.Ports.GRPC), a.o.Dial)
	if err != nil {
		return images.Server{}, err
	}
	defer meta.Close() //nolint:errcheck // nothing to lose
	ctx, cancel := context.WithTimeout(ctx, a.o.Timings.PulseTimeout)
	defer cancel()
	status, err := meta.Status(ctx)
	if err != nil {
		return images.Server{}, err
	}
	return images.Server{Process: c, Status: status, Groups: m.traits.StatusGroups}, nil
}

// podForImage looks at the volume and at everything else that decides whether an image may be put into it.
func (a *Agent) podForImage() images.Pod {
	a.marker.Lock()
	a.refreshVolume()
	a.marker.Unlock()
	a.mu.Lock()
	defer a.mu.Unlock()
	in := a.gateInput()
	in.Placing, in.Seeding = false, "" // that is its own doing
	return images.Pod{
		ClusterUID: in.ClusterUID, NodeID: in.NodeID, Role: in.Role, Generation: in.Generation, Meta: a.mounted.readable && a.mounted.isMeta(),
		Volume: a.vol, Running: a.child != nil || a.attempt != nil, Gate: gate.Decide(in),
	}
}

// markForImage writes the marker of a volume whose data was exchanged: nothing that was known of the server holds any more.
func (a *Agent) markForImage(m *protocol.Marker) error {
	a.marker.Lock()
	defer a.marker.Unlock()
	write := a.volume.RemoveMarker
	if m != nil {
		write = func() error { return a.volume.WriteMarker(*m) }
	}
	if err := write(); err != nil {
		return err
	}
	a.remarked()
	return nil
}

// tickImages ends leases and watches the space.
func (a *Agent) tickImages(ctx context.Context) {
	for pause.For(ctx, a.o.Timings.ImageTick) == nil {
		a.source.Tick()
	}
}

// imagesState is the part of the state about images.
func (a *Agent) imagesState() protocol.ImagesState {
	state := a.source.State()
	state.Placement, state.Seed = a.target.State(), a.seeds.State()
	return state
}

// settling is what must be done before anything is concluded from the volume, and again until it is done.
type settling struct {
	source, target, seeds bool
	last                  time.Time
}

// settleAll does what is still to be done.
func (a *Agent) settleAll(ctx context.Context, s *settling) {
	a.mu.Lock()
	unsettled := a.unsettled != ""
	a.mu.Unlock()
	now := a.o.Now()
	if s.source && s.target && s.seeds && !unsettled || !s.last.IsZero() && now.Sub(s.last) < writePoll*a.o.Timings.VolumePoll {
		return
	}
	if s.last.IsZero() || unsettled {
		if err := a.settle(); err != nil {
			a.o.Log.Error("the database", "error", err)
		}
	}
	s.last = now
	start := func(done *bool, name string, work func(context.Context) error) {
		if *done {
			return
		}
		if err := work(ctx); err != nil {
			a.o.Log.Warn(name, "error", err)
			return
		}
		*done = true
	}
	start(&s.source, "images", func(ctx context.Context) error {
		if err := a.source.Start(ctx); err != nil {
			return err
		}
		a.census.Start(ctx)
		return nil
	})
	start(&s.target, "images", a.target.Start)
	if s.target { // what is received is put into it
		start(&s.seeds, "seed", a.seeds.Start)
	}
}

// settle finishes or undoes an exchange of databases that was interrupted. When that fails the gate stays shut. It may be called whenever no server runs.
func (a *Agent) settle() error {
	err := func() error {
		if info, err := os.Stat(a.volume.Path(dataDir)); errors.Is(err, fs.ErrNotExist) || err == nil && !info.IsDir() {
			return nil // nothing was ever put in place here
		} else if err != nil {
			return err
		}
		for _, name := range databases {
			if err := images.Settle(a.o.FS, a.volume.Path(filepath.Join(dataDir, name))); err != nil {
				return err
			}
		}
		return nil
	}()
	a.update(func() {
		a.unsettled = ""
		if err != nil {
			a.unsettled = err.Error()
		}
		a.decide()
	})
	return err
}
