package image

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
)

const (
	target   = "/data/_rocksdb"
	imageDir = "/incoming/image"
	snapshot = "/data/_snapshot"
)

// volume is a node with engine data of its own and a snapshot, and an image of another cluster's metadata that has arrived.
type volume struct {
	template     *crashFS
	old, revised contents
}

func newVolume(t *testing.T, empty bool) *volume {
	t.Helper()
	v := &volume{template: newCrashFS()}
	v.template.load(t, unpack(t, "follower-300users-metaonly"), imageDir)
	imageContents := mustContents(t, v.template, imageDir)
	edit := SetVote("metadata_0", Vote{Term: 2, Node: 1, Committed: true})
	if empty {
		v.template.load(t, t.TempDir(), "/data")
		v.revised = imageContents
	} else {
		v.template.load(t, unpack(t, "fresh-1node"), target)
		v.template.load(t, t.TempDir(), snapshot)
		v.template.files[snapshot+"/metadata_0-1.bin"] = &inode{data: []byte("x"), synced: []byte("x")}
		v.template.stable[snapshot+"/metadata_0-1.bin"] = v.template.files[snapshot+"/metadata_0-1.bin"]
		v.old = mustContents(t, v.template, target)
		v.revised = imageContents.with(v.old, EngineFamilies...)
	}
	raft := v.revised[FamilyRaft]
	raft.Operations = append(raft.Operations[:len(raft.Operations):len(raft.Operations)], "5 "+hexOf(edit.Key)+" "+hexOf(edit.Value))
	v.revised[FamilyRaft] = raft
	return v
}

func (v *volume) placement(fsys FS) Placement {
	return Placement{FS: fsys, Image: imageDir, Target: target, Keep: EngineFamilies, Edits: []Edit{SetVote("metadata_0", Vote{Term: 2, Node: 1, Committed: true})}, Beside: []string{snapshot}}
}

// state says which of the two databases is in force, and fails the test for anything else. Nil old contents: no database.
func (v *volume) state(t *testing.T, fsys *crashFS, when string) string {
	t.Helper()
	if fsys.files[target] == nil {
		if v.old == nil {
			return "old"
		}
		return "none"
	}
	c, err := contentsOf(fsys, target)
	switch {
	case err != nil:
		t.Fatalf("%s: %v", when, err)
	case reflect.DeepEqual(c, v.revised):
		return "new"
	case reflect.DeepEqual(c, v.old):
		return "old"
	}
	t.Fatalf("%s: a mix of old and new", when)
	return ""
}

// everyCrash runs act and cuts the power behind each of its operations, with each kind of survival of what was not synced. check sees the file system after each reboot.
func everyCrash(t *testing.T, start *crashFS, act func(*crashFS) error, check func(fsys *crashFS, when string)) {
	t.Helper()
	whole := start.crash(strict)
	if err := act(whole); err != nil {
		t.Fatal(err)
	}
	if whole.operations == 0 {
		t.Fatal("nothing was done")
	}
	for at := 1; at <= whole.operations; at++ {
		for s := range survivals {
			fsys := start.crash(strict)
			fsys.crashAt = at
			if err := act(fsys); !errors.Is(err, errPower) {
				t.Fatalf("cut at %d, %s: %v", at, fsys.log[len(fsys.log)-1], err)
			}
			check(fsys.crash(s), fmt.Sprintf("power cut at %s, %s", fsys.log[at-1], [...]string{"nothing more written", "everything written", "folders written"}[s]))
		}
	}
}

func TestAPowerCutWhilePlacingLeavesTheOldOrTheNewDatabase(t *testing.T) {
	for name, c := range map[string]struct{ empty, noExchange, noLinks bool }{
		"over a database": {}, "on an empty volume": {empty: true}, "without exchange": {noExchange: true}, "without links": {noLinks: true},
	} {
		t.Run(name, func(t *testing.T) {
			v := newVolume(t, c.empty)
			v.template.noExchange, v.template.noLinks = c.noExchange, c.noLinks
			seen := map[string]int{}
			place := func(fsys *crashFS) error {
				_, err := v.placement(fsys).Place(context0)
				return err
			}
			everyCrash(t, v.template, place, func(fsys *crashFS, when string) {
				if s := v.state(t, fsys, when); s == "none" && !c.noExchange {
					t.Fatalf("%s: no database", when)
				}
				// Settle may be interrupted as well.
				for at := 1; ; at++ {
					again := fsys.crash(eager)
					again.crashAt = at
					if err := Settle(again, target); err == nil {
						break
					}
					again = again.crash(strict)
					if err := Settle(again, target); err != nil {
						t.Fatalf("%s, settling again: %v", when, err)
					}
					v.settled(t, again, when)
				}
				if err := Settle(fsys, target); err != nil {
					t.Fatalf("%s: %v", when, err)
				}
				first := v.settled(t, fsys, when)
				seen[first]++
				// Whatever the power cut left, the next attempt works.
				if err := place(fsys); err != nil {
					t.Fatalf("%s, once more: %v", when, err)
				}
				if s := v.state(t, fsys, when); s != "new" {
					t.Fatalf("%s, once more: %s", when, s)
				}
				if first == "old" { // else the old one is the new one by now
					v.settled(t, fsys, when)
				}
			})
			if seen["old"] == 0 || seen["new"] == 0 {
				t.Errorf("seen %v: the test does not test", seen)
			}
		})
	}
}

// settled checks what must hold after Settle: nothing half done, and the snapshot there exactly with the database that made it.
func (v *volume) settled(t *testing.T, fsys *crashFS, when string) string {
	t.Helper()
	s := v.state(t, fsys, when)
	if s == "none" {
		t.Fatalf("%s: no database after settling", when)
	}
	names := strings.Fields(fsys.list("/data"))
	for _, name := range names {
		if strings.HasSuffix(name, newSuffix) || strings.HasSuffix(name, intentSuffix) || strings.HasSuffix(name, goneSuffix) {
			t.Fatalf("%s: %s is left (%s)", when, name, s)
		}
	}
	if v.old == nil {
		return s
	}
	if there := fsys.files[snapshot+"/metadata_0-1.bin"] != nil; there != (s == "old") {
		t.Fatalf("%s: %s database, snapshot there: %v (%v)", when, s, there, names)
	}
	if s == "new" {
		old, err := contentsOf(fsys, target+OldSuffix)
		if err != nil || !reflect.DeepEqual(old, v.old) {
			t.Fatalf("%s: the old database is not kept: %v", when, err)
		}
	}
	return s
}

func TestAPowerCutWhileGoingBackLeavesOneOfTheTwo(t *testing.T) {
	for _, noExchange := range []bool{false, true} {
		v := newVolume(t, false)
		v.template.noExchange = noExchange
		placed := v.template.crash(strict)
		if _, err := v.placement(placed).Place(context0); err != nil {
			t.Fatal(err)
		}
		everyCrash(t, placed, func(fsys *crashFS) error { return Revert(fsys, target, []string{snapshot}) }, func(fsys *crashFS, when string) {
			if s := v.state(t, fsys, when); s == "none" && !noExchange {
				t.Fatalf("%s: no database", when)
			}
			if err := Settle(fsys, target); err != nil {
				t.Fatalf("%s: %v", when, err)
			}
			if s := v.state(t, fsys, when); s == "none" {
				t.Fatalf("%s: no database after settling", when)
			} else if s == "new" {
				if err := Revert(fsys, target, []string{snapshot}); err != nil {
					t.Fatalf("%s, once more: %v", when, err)
				}
			}
			if s := v.state(t, fsys, when); s != "old" {
				t.Fatalf("%s, once more: %s", when, s)
			}
			if left := fsys.list("/data"); left != "_rocksdb" {
				t.Errorf("%s: left %s", when, left)
			}
			if err := Revert(fsys, target, nil); !errors.Is(err, ErrNothingToRevert) {
				t.Errorf("%s: back again: %v", when, err)
			}
		})
	}
}

func TestAPowerCutWhileDiscardingNeverLeavesHalfADatabaseToGoBackTo(t *testing.T) {
	v := newVolume(t, false)
	placed := v.template.crash(strict)
	if _, err := v.placement(placed).Place(context0); err != nil {
		t.Fatal(err)
	}
	everyCrash(t, placed, func(fsys *crashFS) error { return Discard(fsys, target, []string{snapshot}) }, func(fsys *crashFS, when string) {
		if err := Revert(fsys, target, nil); err == nil {
			if s := v.state(t, fsys, when); s != "old" {
				t.Fatalf("%s: %s", when, s)
			}
		} else if !errors.Is(err, ErrNothingToRevert) {
			t.Fatalf("%s: %v", when, err)
		}
	})
}

func TestAPowerCutWhileAppendingLeavesAllEditsOrNone(t *testing.T) {
	v := newVolume(t, false)
	edits := []Edit{SetVote("metadata_0", Vote{Term: 9, Node: 1, Committed: true}), SetVote("data_0", Vote{Term: 9, Node: 1, Committed: true})}
	after := v.template.crash(strict)
	if err := Append(context0, after, target, edits); err != nil {
		t.Fatal(err)
	}
	edited := mustContents(t, after, target)
	if reflect.DeepEqual(edited, v.old) {
		t.Fatal("the edits are not there")
	}
	everyCrash(t, v.template, func(fsys *crashFS) error { return Append(context0, fsys, target, edits) }, func(fsys *crashFS, when string) {
		if c := mustContents(t, fsys, target); !reflect.DeepEqual(c, edited) && !reflect.DeepEqual(c, v.old) {
			t.Fatalf("%s: some of the edits", when)
		}
		settled := fsys.crash(eager)
		if err := Settle(settled, target); err != nil || settled.list("/data") != "_rocksdb _snapshot" {
			t.Fatalf("%s, settled: %v, left %s", when, err, settled.list("/data"))
		}
		if err := Append(context0, fsys, target, edits); err != nil {
			t.Fatalf("%s, once more: %v", when, err)
		}
	})
}
