package images

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"sync"
	"time"

	"github.com/robustmq/robustmq-operator/backup/image"
	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
	"github.com/robustmq/robustmq-operator/internal/pause"
	"github.com/robustmq/robustmq-operator/internal/robustmq"
)

// censusAttempts is how often links are made until the applied positions are the same before and after; censusPause is waited between two. Links take some milliseconds (S: 8 at the median),
// so that only a cluster with a write every few of them is never at rest.
const (
	censusAttempts = 20
	censusPause    = 150 * time.Millisecond
)

// Censuses counts what this pod's server holds, one count at a time and never while an image is being made: a backup, or a member that is being seeded, goes first.
type Censuses struct {
	o      SourceOptions
	source *Source
	ledger *ledger
	work   sync.WaitGroup

	mu       sync.Mutex
	lifetime context.Context // set by Start
	running  bool
	last     protocol.Census
	process  any // whose server's last is
	count    int
}

// NewCensuses returns censuses that are refused until Start. They use the source's folder, whose Start removes what a crash left.
func NewCensuses(source *Source) *Censuses {
	return &Censuses{o: source.o, source: source, ledger: newLedger(source.o.FS, source.o.Limit)}
}

// Start lets censuses begin. They end with ctx.
func (c *Censuses) Start(ctx context.Context) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lifetime = ctx
}

// Wait returns when everything has ended, after the context of Start.
func (c *Censuses) Wait() { c.work.Wait() }

// Last is the census that was made or is being made last; nil when there was none.
func (c *Censuses) Last() *protocol.Census {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.last.ID == "" {
		return nil
	}
	last := c.last
	return &last
}

// Take begins a census, or tells how far the one with this ID is.
func (c *Censuses) Take(ctx context.Context, id string) (protocol.Census, error) {
	if err := CheckID(id); err != nil {
		return protocol.Census{}, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.last.ID == id:
		return c.last, nil
	case c.lifetime == nil || c.lifetime.Err() != nil:
		return protocol.Census{}, refuse(protocol.ReasonBusy, "the agent is being started or ended")
	case c.running:
		return protocol.Census{}, refuse(protocol.ReasonBusy, "census %s is being made: one at a time", c.last.ID)
	case c.source.making():
		return protocol.Census{}, refuse(protocol.ReasonBusy, "an image is being made, which goes first")
	}
	c.mu.Unlock() // the server may take its time
	now, err := c.o.Ask(ctx)
	c.mu.Lock()
	switch {
	case err != nil:
		return protocol.Census{}, asRefusal(err)
	case c.running: // another caller was faster
		return protocol.Census{}, refuse(protocol.ReasonBusy, "census %s is being made: one at a time", c.last.ID)
	}
	if c.last.Phase == protocol.CensusReady && c.process == now.Process && maps.Equal(c.last.Applied, positions(now)) {
		c.last.ID, c.last.Asked, c.last.TookMillis = id, c.o.Now().UTC(), 0
		return c.last, nil
	}
	c.count++
	c.running, c.process = true, now.Process
	c.last = protocol.Census{ID: id, Phase: protocol.CensusCounting, Asked: c.o.Now().UTC()}
	folder := filepath.Join(c.o.Root, fmt.Sprintf("census-%d", c.count))
	c.work.Go(func() { c.make(folder) }) //nolint:contextcheck // it outlives the call: bound to the agent
	return c.last, nil
}

// positions are the applied positions of the groups that the version names; the zero position where nothing was applied yet.
func positions(s Server) map[string]robustmq.LogID {
	applied := map[string]robustmq.LogID{}
	for _, name := range s.Groups {
		applied[name] = robustmq.LogID{}
		if at := s.Status[name].LastApplied; at != nil {
			applied[name] = *at
		}
	}
	return applied
}

// make is the maker of one census.
func (c *Censuses) make(folder string) {
	c.mu.Lock()
	ctx := c.lifetime
	c.mu.Unlock()
	err := errors.New("the agent failed at it; its server was not touched")
	var families map[string]image.Count
	var applied map[string]robustmq.LogID
	c.o.Guard("census", func() { families, applied, err = c.take(ctx, folder) })
	err = errors.Join(err, c.ledger.RemoveAll(folder))
	c.mu.Lock()
	defer c.mu.Unlock()
	c.running = false
	c.last.TookMillis = c.o.Now().Sub(c.last.Asked).Milliseconds()
	if err != nil {
		var moving *movingError
		c.last.Phase = protocol.CensusFailed
		if c.last.Reason, c.last.Message = failure(err); errors.As(err, &moving) {
			c.last.Reason = protocol.CensusMoving
		}
		c.o.Log.Info("census: nothing can be said", "id", c.last.ID, "reason", c.last.Reason, "message", c.last.Message)
		return
	}
	c.last.Phase, c.last.Applied, c.last.Families = protocol.CensusReady, applied, map[string]protocol.FamilyCensus{}
	for name, count := range families {
		c.last.Families[name] = protocol.FamilyCensus{Keys: count.Keys, KeyDigest: count.KeySum.String(), Digest: count.Sum.String()}
	}
	c.o.Log.Info("census", "id", c.last.ID, "millis", c.last.TookMillis, "families", c.last.Families)
}

// movingError says that the positions changed at every attempt.
type movingError struct{ what string }

func (e *movingError) Error() string { return e.what }

func (c *Censuses) take(ctx context.Context, folder string) (map[string]image.Count, map[string]robustmq.LogID, error) {
	if err := c.ledger.MkdirAll(folder); err != nil {
		return nil, nil, err
	}
	taker := image.Taker{FS: c.ledger, Reserve: c.o.Reserve, Now: c.o.Now}
	staged, applied, err := c.link(ctx, taker, filepath.Join(folder, "links"))
	if err != nil {
		return nil, nil, err
	}
	database := filepath.Join(folder, "database")
	// A cache of its own: an image that is made meanwhile removes from its cache what it does not know.
	_, err = staged.Extract(ctx, database, image.Cache{Dir: filepath.Join(c.o.Root, "census-cache")})
	if err = errors.Join(err, staged.Release()); err != nil {
		return nil, nil, err
	}
	counts, err := image.Census(ctx, c.ledger, database, image.CensusFamilies, 0)
	return counts, applied, err
}

// link makes links between two answers of one server that name the same positions: what was applied in between is nothing, so that the links hold exactly that.
func (c *Censuses) link(ctx context.Context, taker image.Taker, links string) (*image.Staged, map[string]robustmq.LogID, error) {
	for attempt := 1; ; attempt++ {
		before, err := c.o.Ask(ctx)
		if err != nil {
			return nil, nil, &serverError{fmt.Errorf("before the census: %w", err)}
		}
		for _, name := range before.Groups {
			if g, there := before.Status[name]; !there || !g.Running {
				return nil, nil, &raftError{fmt.Sprintf("raft group %s does not run: %s", name, g.RunningError)}
			}
		}
		staged, err := taker.Take(ctx, c.o.Database(), links, image.CensusFamilies)
		if err != nil {
			return nil, nil, err
		}
		after, err := c.o.Ask(ctx)
		if err == nil && after.Process != before.Process {
			err = errors.New("the server was started again meanwhile")
		}
		if err != nil {
			return nil, nil, errors.Join(&serverError{fmt.Errorf("behind the census: %w", err)}, staged.Release())
		}
		applied := positions(before)
		if maps.Equal(applied, positions(after)) {
			return staged, applied, nil
		}
		if err := staged.Release(); err != nil {
			return nil, nil, err
		}
		if attempt == censusAttempts {
			return nil, nil, &movingError{fmt.Sprintf("the cluster was written to at each of %d attempts", attempt)}
		}
		if pause.For(ctx, jittered(min(c.o.Pause, censusPause))) != nil {
			return nil, nil, ctx.Err()
		}
	}
}

// making reports whether an image is being made.
func (s *Source) making() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.now != nil && s.now.image.Phase == protocol.ImageStaging
}

func asRefusal(err error) error {
	var refusal *Refusal
	if errors.As(err, &refusal) {
		return err
	}
	return refuse(protocol.ReasonServerDown, "the server does not tell its raft state: %v", err)
}
