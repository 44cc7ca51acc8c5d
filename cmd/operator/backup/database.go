package backup

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/robustmq/robustmq-operator/backup/image"
	"github.com/robustmq/robustmq-operator/internal/robustmq"
)

// Database is what can be said of a database of RobustMQ without reading its tables.
type Database struct {
	Manifest     string   `json:"manifest"`
	LastSequence uint64   `json:"lastSequence"`
	Families     []Family `json:"families"`
	Logs         []Log    `json:"logs"`
	// Groups by their names, as far as the logs tell of them: the rest stands in tables.
	Groups map[string]Group `json:"groups"`
}

// Family of columns.
type Family struct {
	Name       string `json:"name"`
	Tables     int    `json:"tables"`
	TableBytes int64  `json:"tableBytes"`
	// What the logs do to it beyond its tables.
	Puts         int `json:"puts"`
	Deletes      int `json:"deletes"`
	RangeDeletes int `json:"rangeDeletes"`
}

// Log is a write-ahead log.
type Log struct {
	Name    string `json:"name"`
	Bytes   int64  `json:"bytes"`
	Batches int    `json:"batches"`
	// Torn says how it ends, where its end was cut off.
	Torn string `json:"torn,omitempty"`
}

// Group of raft. What is left out stands in tables.
type Group struct {
	LastLog *uint64           `json:"lastLog,omitempty"`
	Applied *uint64           `json:"applied,omitempty"`
	Purged  *uint64           `json:"purged,omitempty"`
	Vote    *Vote             `json:"vote,omitempty"`
	Voters  map[uint64]string `json:"voters,omitempty"`
}

// Vote of the member.
type Vote struct {
	Term      uint64 `json:"term"`
	NodeID    uint64 `json:"nodeID"`
	Committed bool   `json:"committed"`
}

// inspect a database that is not in use.
func inspect(ctx context.Context, dir string) (Database, error) {
	i, err := image.Inspect(ctx, image.OS{}, dir)
	if err != nil {
		return Database{}, err
	}
	d := Database{Manifest: i.Manifest, LastSequence: i.MaxSequence, Families: []Family{}, Logs: []Log{}, Groups: map[string]Group{}}
	for _, f := range i.Families {
		if f.ID > 0 { // the default one is always there and always empty
			d.Families = append(d.Families, Family{Name: f.Name, Tables: len(f.Tables), TableBytes: f.TableBytes, Puts: f.Puts, Deletes: f.Deletes, RangeDeletes: f.RangeDeletes})
		}
	}
	for _, w := range i.WALs {
		d.Logs = append(d.Logs, Log{Name: fmt.Sprintf("%06d.log", w.Number), Bytes: w.Bytes, Batches: w.Batches, Torn: w.Torn})
	}
	for name, g := range i.Groups {
		group := Group{LastLog: g.LastLog, Applied: index(g.Applied), Purged: index(g.Purged)}
		if g.Vote != nil {
			group.Vote = &Vote{Term: g.Vote.Term, NodeID: g.Vote.Node, Committed: g.Vote.Committed}
		}
		if g.Members != nil {
			group.Voters = g.Members.Addresses
		}
		d.Groups[name] = group
	}
	return d, nil
}

func index(id *robustmq.LogID) *uint64 {
	if id == nil {
		return nil
	}
	return &id.Index
}

func (d Database) human(p *page) {
	rows := make([][]string, 0, len(d.Families))
	for _, f := range d.Families {
		rows = append(rows, []string{f.Name, fmt.Sprint(f.Tables), size(f.TableBytes), fmt.Sprint(f.Puts), fmt.Sprint(f.Deletes), fmt.Sprint(f.RangeDeletes)})
	}
	p.table("FAMILY|TABLES|SIZE|PUTS IN LOG|DELETES|RANGES DELETED", rows)
	p.line("")
	rows = nil
	for _, l := range d.Logs {
		rows = append(rows, []string{l.Name, size(l.Bytes), fmt.Sprint(l.Batches), orDash(l.Torn)})
	}
	p.table("LOG|SIZE|BATCHES|TORN", rows)
	p.line("")
	rows = nil
	for _, name := range robustmq.Groups {
		g := d.Groups[name]
		v := "-"
		if g.Vote != nil {
			v = vote(g.Vote.Term, g.Vote.NodeID, g.Vote.Committed)
		}
		voters := make([]string, 0, len(g.Voters))
		for _, id := range slices.Sorted(maps.Keys(g.Voters)) {
			voters = append(voters, fmt.Sprintf("%d=%s", id, g.Voters[id]))
		}
		rows = append(rows, []string{name, number(g.LastLog), number(g.Applied), number(g.Purged), v, orDash(strings.Join(voters, " "))})
	}
	p.table("RAFT GROUP|LAST LOG|APPLIED|PURGED|VOTE|VOTERS", rows)
	p.line("")
	p.line("%s, last sequence %d. A dash: it stands in tables, if anywhere, and those are not read.", d.Manifest, d.LastSequence)
}

func number(n *uint64) string {
	if n == nil {
		return "-"
	}
	return fmt.Sprint(*n)
}
