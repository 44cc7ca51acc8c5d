package raft

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Snapshots is the folder _snapshot beside the database; empty: snapshots are not kept. Its files are named as RobustMQ's: <machine>-<number>.meta with position, membership and
// id in bincode, the same .bin with the data, and <machine>.last_snapshot_id with the id that counts. The data are empty: whoever receives a snapshot imports nothing of it.
type Snapshots string

// kept are so many snapshots of a machine.
const kept = 5

func (s Snapshots) path(name string) string { return filepath.Join(string(s), name) }

// load returns the snapshot of a group, nil when there is none.
func (s Snapshots) load(group string) (*LogID, StoredMembership, error) {
	var m StoredMembership
	if s == "" {
		return nil, m, nil
	}
	id, err := os.ReadFile(s.path(machine(group) + ".last_snapshot_id"))
	if errors.Is(err, os.ErrNotExist) {
		return nil, m, nil
	}
	if err != nil {
		return nil, m, fmt.Errorf("snapshot of %s: %w", group, err)
	}
	content, err := os.ReadFile(s.path(string(id) + ".meta"))
	if err != nil {
		return nil, m, fmt.Errorf("snapshot of %s: %w", group, err)
	}
	c := cursor{rest: content}
	var last *LogID
	if c.flag() {
		at := c.logID()
		last = &at
	}
	if c.flag() {
		at := c.logID()
		m.LogID = &at
	}
	m.Membership = c.membership()
	c.bytes(c.number())
	return last, m, c.end("snapshot of " + group)
}

// save keeps a snapshot and removes the oldest.
func (s Snapshots) save(group string, last LogID, m StoredMembership) error {
	if s == "" {
		return nil
	}
	if err := os.MkdirAll(string(s), 0o755); err != nil {
		return fmt.Errorf("snapshot of %s: %w", group, err)
	}
	name := machine(group)
	numbers, err := s.numbers(name)
	if err != nil {
		return fmt.Errorf("snapshot of %s: %w", group, err)
	}
	// The time in the name is the position, so that names rise and a test finds the same ones again.
	id := fmt.Sprintf("%s-%d", name, last.Index)
	b := appendStoredMembership(appendLogID([]byte{1}, last), m)
	b = append(appendNumber(b, uint64(len(id))), id...)
	pointer := s.path(name + ".last_snapshot_id")
	for _, f := range []struct {
		path    string
		content []byte
	}{{s.path(id + ".bin"), nil}, {s.path(id + ".meta"), b}, {pointer + ".new", []byte(id)}} {
		if err := os.WriteFile(f.path, f.content, 0o644); err != nil {
			return fmt.Errorf("snapshot of %s: %w", group, err)
		}
	}
	if err := os.Rename(pointer+".new", pointer); err != nil {
		return fmt.Errorf("snapshot of %s: %w", group, err)
	}
	for len(numbers) >= kept {
		old := s.path(fmt.Sprintf("%s-%d", name, numbers[0]))
		if numbers[0] != last.Index {
			if err := errors.Join(os.Remove(old+".meta"), os.Remove(old+".bin")); err != nil && !errors.Is(err, os.ErrNotExist) {
				return fmt.Errorf("snapshot of %s: %w", group, err)
			}
		}
		numbers = numbers[1:]
	}
	return nil
}

// numbers of a machine's snapshots, ascending.
func (s Snapshots) numbers(machine string) ([]uint64, error) {
	entries, err := os.ReadDir(string(s))
	var all []uint64
	for _, e := range entries {
		name, isMeta := strings.CutSuffix(e.Name(), ".meta")
		digits, own := strings.CutPrefix(name, machine+"-")
		if n, err := strconv.ParseUint(digits, 10, 64); isMeta && own && err == nil {
			all = append(all, n)
		}
	}
	slices.Sort(all)
	return all, err
}
