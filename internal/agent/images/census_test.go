package images

import (
	"context"
	"errors"
	"maps"
	"path/filepath"
	"strings"
	"testing"

	"github.com/robustmq/robustmq-operator/backup/image"
	"github.com/robustmq/robustmq-operator/backup/image/imagetest"
	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
	"github.com/robustmq/robustmq-operator/internal/robustmq"
)

// at is a server at rest at one position of its metadata.
func at(index uint64) robustmq.ClusterStatus {
	status := calm()
	g := status[robustmq.GroupMetadata]
	g.LastApplied = &robustmq.LogID{Term: 1, NodeID: 1, Index: index}
	status[robustmq.GroupMetadata] = g
	return status
}

type censusWorld struct {
	*Censuses
	server   *server
	disk     *disk
	database string
	root     string
}

func newCensusWorld(t *testing.T, answers ...func() (Server, error)) *censusWorld {
	t.Helper()
	root, database := volumeOf(t, imagetest.Follower)
	w := &censusWorld{server: &server{answers: answers}, disk: &disk{}, database: database, root: filepath.Join(root, "staging")}
	source := NewSource(SourceOptions{FS: w.disk, Root: w.root, Database: func() string { return database }, Ask: w.server.ask, Pause: 1})
	ctx, cancel := context.WithCancel(t.Context())
	if err := source.Start(ctx); err != nil {
		t.Fatal(err)
	}
	w.Censuses = NewCensuses(source)
	w.Start(ctx)
	t.Cleanup(func() {
		cancel()
		w.Wait()
		source.Wait()
	})
	return w
}

func (w *censusWorld) done(t *testing.T, id string) protocol.Census {
	t.Helper()
	var got protocol.Census
	eventually(t, "the census "+id, func() bool {
		var err error
		got, err = w.Take(t.Context(), id)
		if err != nil && reasonOf(err) != protocol.ReasonBusy {
			t.Fatal(err)
		}
		return err == nil && got.Phase != protocol.CensusCounting
	})
	return got
}

func TestACensusNamesThePositionAndWhatTheDatabaseHolds(t *testing.T) {
	w := newCensusWorld(t, says(1, calm()))
	got := w.done(t, "one")
	want, err := image.Census(t.Context(), image.OS{}, w.database, image.CensusFamilies, 0)
	if err != nil {
		t.Fatal(err)
	}
	if got.Phase != protocol.CensusReady || len(got.Families) != 2 || len(got.Applied) != 3 || got.Applied[robustmq.GroupMetadata].Index != 7 {
		t.Fatalf("%+v", got)
	}
	for name, count := range want {
		if f := got.Families[name]; f.Keys != count.Keys || f.KeyDigest != count.KeySum.String() || f.Digest != count.Sum.String() || f.Keys == 0 {
			t.Errorf("%s: %+v, want %+v", name, f, count)
		}
	}
	for _, file := range listing(t, w.root) {
		if !strings.HasPrefix(file, "census-cache/") {
			t.Errorf("%s was left", file)
		}
	}
}

func TestACensusAtTheSamePositionIsNotMadeAgain(t *testing.T) {
	w := newCensusWorld(t, says(1, calm()))
	first := w.done(t, "one")
	asked := w.server.asked
	second, err := w.Take(t.Context(), "two")
	if err != nil || second.ID != "two" || second.Phase != protocol.CensusReady || !maps.Equal(second.Families, first.Families) {
		t.Fatalf("%+v, %v", second, err)
	}
	if w.server.asked != asked+1 {
		t.Errorf("the server was asked %d times", w.server.asked-asked)
	}
	// Another process may have another database: an image was put in place.
	w.server.mu.Lock()
	w.server.answers, w.server.asked = []func() (Server, error){says(2, calm())}, 0
	w.server.mu.Unlock()
	third, err := w.Take(t.Context(), "three")
	if err != nil || third.Phase != protocol.CensusCounting {
		t.Errorf("%+v, %v", third, err)
	}
	w.done(t, "three")
}

func TestACensusIsTakenAgainUntilThePositionStoodStill(t *testing.T) {
	w := newCensusWorld(t, says(1, at(10)), says(1, at(10)), says(1, at(11)), says(1, at(12)), says(1, at(12)))
	got := w.done(t, "one")
	if got.Phase != protocol.CensusReady || got.Applied[robustmq.GroupMetadata].Index != 12 {
		t.Errorf("%+v", got)
	}
}

func TestWhereNothingCanBeSaidTheCensusSaysWhy(t *testing.T) {
	index := uint64(0)
	moving := func() (Server, error) {
		index++
		return says(1, at(index))()
	}
	stopped := calm()
	g := stopped[robustmq.GroupData]
	g.Running = false
	stopped[robustmq.GroupData] = g
	for name, c := range map[string]struct {
		answers []func() (Server, error)
		prepare func(*censusWorld)
		reason  string
	}{
		"written to all the time":   {[]func() (Server, error){moving}, nil, protocol.CensusMoving},
		"the server ended":          {[]func() (Server, error){says(1, calm()), says(1, calm()), fails(errors.New("gone"))}, nil, protocol.ImageServerDown},
		"the server is another one": {[]func() (Server, error){says(1, calm()), says(1, calm()), says(2, calm())}, nil, protocol.ImageServerDown},
		"a raft core stands still":  {[]func() (Server, error){says(1, stopped)}, nil, protocol.ImageRaftChanged},
		"no space": {[]func() (Server, error){says(1, calm())}, func(w *censusWorld) {
			w.disk.set(func(d *disk) { d.free = 1 })
		}, protocol.ImageNoSpace},
	} {
		t.Run(name, func(t *testing.T) {
			w := newCensusWorld(t, c.answers...)
			if c.prepare != nil {
				c.prepare(w)
			}
			got := w.done(t, "one")
			if got.Phase != protocol.CensusFailed || got.Reason != c.reason || got.Families != nil {
				t.Errorf("%+v", got)
			}
		})
	}
}

func TestACensusStepsBackForAnImage(t *testing.T) {
	w := newCensusWorld(t, says(1, calm()))
	w.source.mu.Lock()
	w.source.now = &taking{image: protocol.Image{ID: "backup", Phase: protocol.ImageStaging}, cancel: func(error) {}, made: make(chan struct{})}
	w.source.mu.Unlock()
	if _, err := w.Take(t.Context(), "one"); reasonOf(err) != protocol.ReasonBusy {
		t.Errorf("%v", err)
	}
	w.source.mu.Lock()
	w.source.now = nil
	w.source.mu.Unlock()
	w.done(t, "one")
	if _, err := w.Take(t.Context(), "Not an ID"); reasonOf(err) != protocol.ReasonBadRequest {
		t.Errorf("%v", err)
	}
}
