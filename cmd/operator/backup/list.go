package backup

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/robustmq/robustmq-operator/backup/archive"
)

// List is the report of list.
type List struct {
	Version int    `json:"version"`
	Place   string `json:"place"`
	Prefix  string `json:"prefix,omitempty"`
	// Cluster whose backups are listed; left out where the place has several and none was chosen.
	Cluster *Cluster `json:"cluster,omitempty"`
	// Clusters to choose from, only then.
	Clusters []ListedCluster `json:"clusters,omitempty"`
	// Backups, the oldest first.
	Backups []Listed `json:"backups"`
}

// Cluster that was saved.
type Cluster struct {
	UID       string `json:"uid"`
	Name      string `json:"name,omitempty"`
	Namespace string `json:"namespace,omitempty"`
	// Problem with the record of whose place it is.
	Problem string `json:"problem,omitempty"`
}

// ListedCluster is one of several.
type ListedCluster struct {
	Cluster `json:",inline"`
	Backups int `json:"backups"`
	Broken  int `json:"broken"`
	// Newest recovery point of a good backup.
	Newest *time.Time `json:"newest,omitempty"`
}

// Listed is a backup in a list.
type Listed struct {
	ID string `json:"id"`
	// Key of its manifest.
	Key           string            `json:"key"`
	Good          bool              `json:"good"`
	Problem       string            `json:"problem,omitempty"`
	Name          string            `json:"name,omitempty"`
	Schedule      string            `json:"schedule,omitempty"`
	RecoveryPoint *time.Time        `json:"recoveryPoint,omitempty"`
	Finished      *time.Time        `json:"finished,omitempty"`
	RobustMQ      string            `json:"robustmq,omitempty"`
	SizeBytes     int64             `json:"sizeBytes,omitempty"`
	LastApplied   map[string]uint64 `json:"lastApplied,omitempty"`
	Encrypted     bool              `json:"encrypted"`
}

func listCommand(t *tool) *cobra.Command {
	cmd := t.command("list", "List the backups of a place", `List the backups of a place, the oldest first. TIME is the recovery point: every write that was acknowledged before it is in the backup. SIZE is what a restore reads;
tables that several backups share lie in the bucket once. A backup is good when its manifest can be read and is what was written: whether its objects are still there, verify says.
Where the place has backups of several clusters, these are listed; choose one with --cluster.`, 0, func(ctx context.Context, _ []string) error {
		o, err := t.open()
		if err != nil {
			return err
		}
		defer o.close()
		return t.list(ctx, o)
	})
	t.place.bind(cmd.Flags())
	return cmd
}

func (t *tool) list(ctx context.Context, o *opened) error {
	all, err := o.clusters(ctx)
	if err != nil {
		return err
	}
	r := List{Version: FormatVersion, Place: o.store.String(), Prefix: o.prefix, Backups: []Listed{}}
	if o.cluster == "" && len(all) > 1 {
		for _, s := range all {
			c, err := s.summary(ctx)
			if err != nil {
				return err
			}
			r.Clusters = append(r.Clusters, c)
		}
		return t.print(r, r.human)
	}
	s, err := o.pick(ctx, all)
	if err != nil {
		return err
	}
	backups, err := s.archive.List(ctx)
	if err != nil {
		return err
	}
	c := s.cluster()
	r.Cluster = &c
	for _, b := range backups {
		r.Backups = append(r.Backups, s.listed(b))
	}
	return t.print(r, func(p *page) { r.human(p); p.backups(backups) })
}

func (s *saved) cluster() Cluster {
	c := Cluster{UID: s.uid, Name: s.owner.Name, Namespace: s.owner.Namespace}
	if s.problem != nil {
		c = Cluster{UID: s.uid, Problem: s.problem.Error()}
	}
	return c
}

func (s *saved) summary(ctx context.Context) (ListedCluster, error) {
	c := ListedCluster{Cluster: s.cluster()}
	backups, err := s.archive.List(ctx)
	for _, b := range backups {
		c.Backups++
		if !b.Good() {
			c.Broken++
		} else if at := b.Manifest.RecoveryPoint; c.Newest == nil || at.After(*c.Newest) {
			c.Newest = &at
		}
	}
	return c, err
}

func (s *saved) listed(b archive.Backup) Listed {
	l := Listed{ID: b.ID, Key: s.archive.ManifestKey(b.ID), Good: b.Good(), Problem: b.Broken}
	if !b.Good() {
		return l
	}
	m := b.Manifest
	l.Name, l.Schedule, l.RobustMQ, l.SizeBytes, l.Encrypted = m.Name, m.Schedule, m.RobustMQ.Version, m.Size(), m.Encryption != nil
	l.RecoveryPoint, l.Finished, l.LastApplied = &m.RecoveryPoint, &m.Finished, map[string]uint64{}
	for _, g := range m.Groups {
		l.LastApplied[g.Name] = g.LastApplied
	}
	return l
}

func (r List) human(p *page) {
	where := r.Place + below(r.Prefix)
	if r.Cluster == nil {
		p.line("%s has backups of %d clusters; choose one with --cluster:", where, len(r.Clusters))
		rows := make([][]string, 0, len(r.Clusters))
		for _, c := range r.Clusters {
			name, newest := c.Namespace+"/"+c.Name, "-"
			if c.Problem != "" {
				name = "(its record is damaged)"
			}
			if c.Newest != nil {
				newest = clock(*c.Newest)
			}
			rows = append(rows, []string{c.UID, name, fmt.Sprint(c.Backups), fmt.Sprint(c.Broken), newest})
		}
		p.table("CLUSTER|NAME|BACKUPS|BROKEN|NEWEST", rows)
		return
	}
	name := r.Cluster.Namespace + "/" + r.Cluster.Name
	if r.Cluster.Problem != "" {
		name = "(" + r.Cluster.Problem + ")"
	}
	p.line("%s of the cluster %s %s in %s", count(len(r.Backups), "backup"), r.Cluster.UID, name, where)
}

// backups are the rows of the list.
func (p *page) backups(backups []archive.Backup) {
	if len(backups) == 0 {
		return
	}
	rows := make([][]string, 0, len(backups))
	for _, b := range backups {
		if !b.Good() {
			rows = append(rows, []string{b.ID, "-", "-", "-", "-", "-", "-", "-", "broken: " + b.Broken})
			continue
		}
		m := b.Manifest
		encrypted := "no"
		if m.Encryption != nil {
			encrypted = m.Encryption.Method
		}
		rows = append(rows, []string{b.ID, m.Name, orDash(m.Schedule), clock(m.RecoveryPoint), m.RobustMQ.Version, size(m.Size()), orDash(positions(m)), encrypted, "good"})
	}
	p.table("ID|NAME|SCHEDULE|TIME|ROBUSTMQ|SIZE|POSITIONS|ENCRYPTED|STATE", rows)
}

// positions are how far each raft group is.
func positions(m archive.Manifest) string {
	list := make([]string, 0, len(m.Groups))
	for _, g := range m.Groups {
		list = append(list, fmt.Sprintf("%s=%d", g.Name, g.LastApplied))
	}
	return strings.Join(list, " ")
}
