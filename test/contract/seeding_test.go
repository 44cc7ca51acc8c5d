package contract

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/robustmq/robustmq-operator/backup/image"
	"github.com/robustmq/robustmq-operator/internal/agent/images"
	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
	"github.com/robustmq/robustmq-operator/internal/agent/seeding"
	"github.com/robustmq/robustmq-operator/internal/robustmq"
	"github.com/robustmq/robustmq-operator/test/contract/lab"
)

// donorAgent is what an agent beside a running server gives away: its image, taken of the live database.
type donorAgent struct {
	*images.Source
	id uint64
}

func (d donorAgent) Peer(context.Context) (protocol.Peer, error) {
	return protocol.Peer{NodeID: d.id, Serving: true, ClusterUID: "lab", Generation: 1}, nil
}
func (d donorAgent) BeginImage(ctx context.Context, r protocol.ImageRequest) (protocol.Image, error) {
	return d.Begin(ctx, r)
}
func (d donorAgent) Image(_ context.Context, id string) (protocol.Image, error) { return d.Get(id) }
func (d donorAgent) ReleaseImage(_ context.Context, id string) error            { return d.Release(id) }
func (d donorAgent) Close()                                                     {}
func (d donorAgent) ImageFile(_ context.Context, id, name string, offset int64) (io.ReadCloser, error) {
	s, err := d.Open(id, name)
	if err != nil {
		return nil, err
	}
	return s, s.Skip(offset)
}

// seedFrom fills the empty volume of a stopped node with the metadata of a running one, by the agents' own code. With votes it gets these instead of the donor's.
func seedFrom(l *lab.Lab, donor, target *lab.Node, least map[string]uint64, votes map[string]protocol.RaftVote) {
	l.T.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	source := images.NewSource(images.SourceOptions{
		FS: images.OS{}, Root: filepath.Join(donor.Dir, "data", ".images"), Database: donor.Database,
		Ask: func(context.Context) (images.Server, error) {
			return images.Server{Process: donor, Status: donor.Status(), Groups: robustmq.Groups}, nil
		},
	})
	var mu sync.Mutex
	var marker *protocol.Marker
	pod := func() images.Pod {
		mu.Lock()
		defer mu.Unlock()
		return images.Pod{ClusterUID: "lab", NodeID: target.ID, Role: "PlacementCenter", Generation: 1, Meta: true, Volume: protocol.VolumeState{Phase: protocol.VolumeEmpty, Marker: marker}}
	}
	place := images.NewTarget(images.TargetOptions{
		FS: images.OS{}, Dir: filepath.Join(target.Dir, "data", "placement"), Database: target.Database, Beside: func() []string { return []string{target.Snapshots()} }, Pod: pod,
		WriteMarker: func(m *protocol.Marker) error {
			mu.Lock()
			defer mu.Unlock()
			marker = m
			return nil
		},
	})
	seeder := seeding.New(seeding.Options{
		FS: images.OS{}, File: filepath.Join(target.Dir, "data", "seed.json"), Target: place, Pod: pod, Groups: func() []string { return robustmq.Groups },
		Dial: func(protocol.SeedOrder) (seeding.Donor, error) { return donorAgent{source, donor.ID}, nil }, Poll: 50 * time.Millisecond,
	})
	defer func() {
		cancel()
		seeder.Wait()
		place.Wait()
		source.Wait()
	}()
	if err := (image.OS{}).MkdirAll(filepath.Dir(target.Database())); err != nil {
		l.T.Fatal(err)
	}
	for _, start := range []func(context.Context) error{source.Start, place.Start, seeder.Start} {
		if err := start(ctx); err != nil {
			l.T.Fatal(err)
		}
	}
	order := protocol.SeedOrder{ID: "seed", ClusterUID: "lab", NodeID: target.ID, Generation: 1, Donor: donor.Name + ":7443", DonorNodeID: donor.ID, Least: least, Votes: votes}
	if _, err := seeder.Begin(order); err != nil {
		l.T.Fatal(err)
	}
	l.Eventually(time.Minute*time.Duration(l.Speed), "the image is in place", func() bool {
		s := seeder.State()
		if s.Phase == protocol.SeedFailed {
			l.T.Fatalf("%+v", s)
		}
		return s.Phase == protocol.SeedPlaced
	})
	if _, err := place.Open("seed"); err != nil {
		l.T.Fatal(err)
	}
	if err := place.Discard("seed"); err != nil {
		l.T.Fatal(err)
	}
	if g := source.State(); g.Image != nil {
		l.T.Errorf("the donor keeps its image: %+v", g.Image)
	}
}

// createManyUsers makes users from several connections at once.
func createManyUsers(l *lab.Lab, n *lab.Node, prefix string, count int) {
	l.T.Helper()
	var all sync.WaitGroup
	for part := range 8 {
		all.Go(func() {
			for i := part; i < count; i += 8 {
				name := fmt.Sprintf("%s%05d", prefix, i)
				for try := 0; !createUser(n, name) && try < 20; try++ {
				}
			}
		})
	}
	all.Wait()
}

func TestAWipedMemberThatIsSeededByTheAgentsCodeIsAFollowerWithEveryKey(t *testing.T) {
	l := lab.New(t, lab.Options{})
	nodes := form(l, 1, 2, 3)
	leader := led(l, nodes, robustmq.GroupMetadata)
	others := without(nodes, leader.ID)
	donor, wiped := others[0], others[1]
	for made := 0; ; made += 300 {
		if g := leader.Status()[robustmq.GroupMetadata]; g.Purged != nil && g.Purged.Index > 0 {
			t.Logf("purged to entry %d of %d", g.Purged.Index, g.LastLogIndex)
			break
		}
		createManyUsers(l, leader, fmt.Sprintf("m%d-", made), 300)
	}
	wiped.Kill()
	wiped.Wipe()
	createManyUsers(l, leader, "down-", 50)
	least := map[string]uint64{}
	for name, g := range leader.Status() {
		least[name] = g.LastLogIndex
	}
	// Applied, and not only at the end of its log: what a server says of its log counts entries that it is still writing.
	l.Eventually(20*time.Second, "the donor has what the leader had", func() bool {
		for name, g := range donor.Status() {
			if g.LastApplied == nil || g.LastApplied.Index < least[name] {
				return false
			}
		}
		return true
	})
	seedFrom(l, donor, wiped, least, nil)
	createManyUsers(l, leader, "later-", 50) // what it has to catch up with
	before := len(wiped.Output.String())
	wiped.Start()
	started(wiped)
	agree(l, nodes, 1, 2, 3)
	settled(l, nodes)
	for name, g := range wiped.Status() {
		if g.State != "Follower" || g.CurrentLeader != leader.ID && name == robustmq.GroupMetadata || g.Snapshot != nil && g.Purged != nil && *g.Snapshot == *g.Purged {
			t.Errorf("%s: %+v", name, g)
		}
	}
	if said := wiped.Output.String()[before:]; len(said) == 0 || wiped.Output.Has("Starting to recover snapshot") {
		t.Errorf("it took a snapshot, which loses data, or says nothing:\n%s", said)
	}
	families := []string{image.FamilyData, image.FamilyMetadata}
	counts := map[uint64]map[string]image.Count{}
	for _, n := range nodes {
		n.Pause(true)
	}
	for _, n := range nodes {
		n.Kill()
		c, err := image.Census(t.Context(), image.OS{}, n.Database(), families, 0)
		if err != nil {
			t.Fatal(err)
		}
		counts[n.ID] = c
	}
	for _, family := range families {
		a, b := counts[leader.ID][family], counts[wiped.ID][family]
		if a.Keys == 0 || a.Keys != b.Keys || a.KeySum != b.KeySum {
			t.Errorf("%s: the leader has %d keys, the seeded member %d, or others", family, a.Keys, b.Keys)
		}
		t.Logf("%s: %d keys", family, b.Keys)
	}
}
