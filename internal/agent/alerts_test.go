package agent

import (
	"context"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/robustmq/robustmq-operator/internal/agent/process"
	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
	"github.com/robustmq/robustmq-operator/internal/robustmq/config"
	"github.com/robustmq/robustmq-operator/test/recording"
)

// watch is a Prometheus that asks agents. Its clock is the test's: between two rounds half a minute passes for it, and no time for the agents, which say how things are now.
type watch struct {
	*recording.Recording
	began, now time.Time
	pods       []*pod
}

const scrapeInterval = 30 * time.Second

func newWatch(t *testing.T, pods ...*pod) *watch {
	begin := time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
	return &watch{recording.New(t), begin, begin, pods}
}

// lasts has the agents asked for so long.
func (w *watch) lasts(d time.Duration) {
	for end := w.now.Add(d); w.now.Before(end); w.now = w.now.Add(scrapeInterval) {
		for _, p := range w.pods {
			w.Scrape(w.now, w.Agent("placement-center", int(p.ID-1)), p.agent.PublicHandler())
		}
	}
}

// alone is the only member of a placement centre.
func alone(w *world) *pod {
	p := w.add(config.RolePlacementCenter, 0)
	w.script(p.ID).set(func(b *behaviour) { b.voters = []uint64{p.ID} })
	return p
}

// since is the time since the first scrape.
func (w *watch) since() time.Duration { return w.now.Sub(w.began) }

func TestAlertVersionsMixedFiresWhileAnUpgradeHasReachedOneOfTwo(t *testing.T) {
	w := newWorld(t)
	w.version = "0.4.10"
	first, second := w.add(config.RolePlacementCenter, 0), w.add(config.RolePlacementCenter, 1)
	for _, p := range []*pod{first, second} {
		w.script(p.ID).set(func(b *behaviour) { b.voters = []uint64{1, 2} })
		p.initialised(nil).start().eventually("it runs", runs)
		p.shows(`robustmq_server_info{reported="",version="0.4.10"} 1`)
	}
	watch := newWatch(t, first, second)
	watch.lasts(time.Hour)
	cause := watch.since()
	upgrade := func(p *pod) {
		t.Helper()
		p.kill()
		<-p.exit
		p.configure(func(c *protocol.Config) { c.Version = "0.4.11" })
		p.start().eventually("it runs", runs)
		p.shows(`robustmq_server_info{reported="",version="0.4.11"} 1`)
	}
	upgrade(second)
	watch.lasts(150 * time.Minute)
	cure := watch.since()
	upgrade(first)
	watch.lasts(10 * time.Minute)
	watch.Fires("RobustMQVersionsMixed", 0, cause, cure)
}

func TestAlertServerOutOfMemoryFiresWhenTheKernelHasKilledTheServer(t *testing.T) {
	p := alone(newWorld(t)).initialised(nil).start()
	p.eventually("it runs", runs)
	w := newWatch(t, p)
	w.lasts(2 * time.Minute)
	w.Quiet(0, "RobustMQServerOutOfMemory")
	cause := w.since()
	p.kills.Add(1) // of the container's control group
	if err := p.w.server(p.ID).Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	p.shows(`robustmq_server_exits_total{reason="OOMKilled"} 1`)
	w.lasts(40 * time.Minute)
	w.Fires("RobustMQServerOutOfMemory", 0, cause, cause+30*time.Minute)
}

func TestAlertServerOutOfMemoryDoesNotFireForAKillByHand(t *testing.T) {
	p := alone(newWorld(t)).initialised(nil).start()
	p.eventually("it runs", runs)
	w := newWatch(t, p)
	w.lasts(2 * time.Minute)
	if err := p.w.server(p.ID).Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	p.shows(`robustmq_server_exits_total{reason="Killed"} 1`)
	w.lasts(10 * time.Minute)
	w.Quiet(0, "RobustMQServerOutOfMemory")
}

func TestAlertMetadataLogLargeFiresWhileTheLogsOfTheDatabaseHaveMoreThanAGibibyte(t *testing.T) {
	p := alone(newWorld(t)).initialised(nil).start()
	p.eventually("it runs", runs)
	w := newWatch(t, p)
	w.lasts(5 * time.Minute)
	wal := filepath.Join(p.Paths.VolumeDir, "data", "_rocksdb", "000007.log")
	put(t, wal, nil)
	cause := w.since()
	if err := os.Truncate(wal, 3<<29); err != nil { // a sparse file has this size and takes no space
		t.Fatal(err)
	}
	p.shows("robustmq_metadata_wal_bytes 1.610612736e+09")
	w.lasts(20 * time.Minute)
	cure := w.since()
	if err := os.Truncate(wal, 1<<20); err != nil {
		t.Fatal(err)
	}
	p.shows("robustmq_metadata_wal_bytes 1.048576e+06")
	w.lasts(5 * time.Minute)
	w.Fires("RobustMQMetadataLogLarge", 0, cause, cure)
}

func TestAlertAgentPanicsFiresWhenTheAgentHasCaughtAPanic(t *testing.T) {
	p := alone(newWorld(t)).initialised(nil).start()
	p.eventually("it runs", runs)
	w := newWatch(t, p)
	w.lasts(2 * time.Minute)
	cause := w.since()
	// No defect of the agent is known: this launcher stands for the one that nobody knows of.
	launcher, calls := p.agent.o.Launcher, 0
	p.agent.mu.Lock()
	p.agent.o.Launcher = process.LauncherFunc(func(ctx context.Context, spec process.Spec) (process.Process, error) {
		if calls++; calls == 1 {
			panic("defect")
		}
		return launcher.Start(ctx, spec)
	})
	p.agent.mu.Unlock()
	if _, err := p.operator().Server(t.Context(), protocol.ServerOrder{Action: protocol.ServerRestart}); err != nil {
		t.Fatal(err)
	}
	p.shows("robustmq_agent_panics_total{")
	p.eventually("it runs again", runs)
	w.lasts(70 * time.Minute)
	w.Fires("RobustMQAgentPanics", 0, cause, cause+time.Hour)
}
