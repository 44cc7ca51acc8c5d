package images

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"testing"

	"github.com/robustmq/robustmq-operator/backup/image"
	"github.com/robustmq/robustmq-operator/backup/image/imagetest"
	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
)

// TestAnAgentKilledAtAnyMomentLeavesAVolumeThatIsOldOrNew kills the agent at every change to the disk, between the first file and the end, and lets another one go on as the operator would.
func TestAnAgentKilledAtAnyMomentLeavesAVolumeThatIsOldOrNew(t *testing.T) {
	a := backup(t, imagetest.Fresh)
	r := a.request("a")
	for _, recorded := range []string{"", imagetest.Follower} {
		for _, way := range []string{"forward", "back"} {
			t.Run(fmt.Sprintf("on %q, %s", recorded, way), func(t *testing.T) {
				var before map[string][]string
				killed := 0
				for at := 1; ; at++ {
					m := newMember(t, recorded)
					if recorded != "" {
						before = contents(t, m.database)
					}
					marker := m.volume.Inspect().Marker
					m.disk.set(func(d *disk) { d.dieAt = d.steps + at })
					err := walk(m, a, r, way)
					survived := err == nil
					m.cancel()
					m.target.Wait()
					m.disk.set(func(d *disk) { d.dieAt = 0 })
					m.restart()
					// Whatever happened, what is there is one of the two, and the gate is open only on the whole.
					now := "old"
					if m.volume.Inspect().Phase == protocol.VolumeInitialised {
						if got := contents(t, m.database); !reflect.DeepEqual(onlyOf(got, image.MetadataFamilies), onlyOf(before, image.MetadataFamilies)) {
							now = "new"
							sameFamilies(t, got, edited(t, a, r), image.MetadataFamilies...)
						}
					}
					if open := m.gate() == protocol.GateOpen; open && now == "old" || open && way == "back" && survived {
						t.Fatalf("killed at %d: the gate is open on the %s data", at, now)
					}
					// The operator goes on.
					if err := walk(m, a, r, way); err != nil {
						t.Fatalf("killed at %d (%s data): not finished: %v", at, now, err)
					}
					switch way {
					case "forward":
						sameFamilies(t, contents(t, m.database), edited(t, a, r), image.MetadataFamilies...)
						if m.gate() != protocol.GateOpen {
							t.Fatalf("killed at %d: gate %s", at, m.gate())
						}
					default:
						if state := m.volume.Inspect(); !reflect.DeepEqual(state.Marker, marker) || recorded == "" && state.Phase != protocol.VolumeEmpty {
							t.Fatalf("killed at %d: %+v with %+v, files %v", at, state, state.Marker, listing(t, m.volume.Dir))
						}
						if recorded != "" {
							sameFamilies(t, contents(t, m.database), before, image.Families...)
						}
					}
					if t.Failed() {
						t.Fatalf("killed at step %d", at)
					}
					if survived {
						break
					}
					killed++
				}
				if killed < 30 {
					t.Errorf("killed at %d steps only", killed)
				}
				t.Logf("killed at each of %d steps", killed)
			})
		}
	}
}

func onlyOf(contents map[string][]string, families []string) map[string][]string {
	c := maps.Clone(contents)
	maps.DeleteFunc(c, func(name string, _ []string) bool { return !slices.Contains(families, name) })
	return c
}

// walk does what a caller does, from wherever it finds the placement.
func walk(m *member, a archive, r protocol.PlacementRequest, way string) error {
	p, err := m.target.Get(r.ID)
	if reasonOf(err) == protocol.ReasonNotFound {
		if m.volume.Inspect().Marker != nil && m.volume.Inspect().Marker.Origin == r.Origin {
			return nil // it was discarded already
		}
		p, err = m.target.Begin(r)
	}
	for err == nil {
		switch p.Phase {
		case protocol.PlacementReceiving:
			for _, f := range p.Files {
				if _, err := m.target.Put(context.Background(), r.ID, f.Name, f.Received, bytes.NewReader(a.read(m.t, f.Name)[f.Received:])); err != nil {
					return err
				}
			}
			p, err = m.target.Get(r.ID)
		case protocol.PlacementReceived, protocol.PlacementFailed:
			failed := p.Changed
			if _, err := m.target.Place(r.ID); err != nil {
				return err
			}
			p = m.await(r.ID, protocol.PlacementPlaced, protocol.PlacementFailed)
			if p.Phase == protocol.PlacementFailed && p.Changed.After(failed) {
				return errors.New(p.Message)
			}
		case protocol.PlacementPlaced:
			if way == "forward" {
				p, err = m.target.Open(r.ID)
			} else {
				p, err = m.target.Revert(r.ID)
			}
		case protocol.PlacementReverting:
			p, err = m.target.Revert(r.ID)
		case protocol.PlacementOpen:
			return m.target.Discard(r.ID)
		case protocol.PlacementReverted:
			return nil
		default:
			return fmt.Errorf("phase %s", p.Phase)
		}
	}
	return err
}
