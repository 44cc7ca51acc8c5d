package backup

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/robustmq/robustmq-operator/backup/archive"
)

// Shown is the report of show.
type Shown struct {
	Version int    `json:"version"`
	Place   string `json:"place"`
	ID      string `json:"id"`
	Key     string `json:"key"`
	// SizeBytes is what a restore reads.
	SizeBytes int64            `json:"sizeBytes"`
	Manifest  archive.Manifest `json:"manifest"`
}

func showCommand(t *tool) *cobra.Command {
	cmd := t.command("show ID", "Show everything that is known of a backup", `Show everything that the manifest of a backup says. -o json and -o yaml have the manifest as it lies in the bucket.`, 1,
		func(ctx context.Context, args []string) error {
			if len(args) == 0 {
				return usage("name the backup: an ID of robustmq-operator backup list, or %s", latest)
			}
			o, err := t.open()
			if err != nil {
				return err
			}
			defer o.close()
			s, err := o.only(ctx)
			if err != nil {
				return err
			}
			b, err := s.good(ctx, args[0])
			if err != nil {
				return err
			}
			r := Shown{Version: FormatVersion, Place: o.store.String(), ID: b.ID, Key: s.archive.ManifestKey(b.ID), SizeBytes: b.Manifest.Size(), Manifest: b.Manifest}
			return t.print(r, r.human)
		})
	t.place.bind(cmd.Flags())
	return cmd
}

func (r Shown) human(p *page) {
	m := r.Manifest
	role := "follower"
	if m.Member.Leader {
		role = "leader"
	}
	encryption := "none"
	if e := m.Encryption; e != nil {
		encryption = e.Method + " for " + strings.Join(e.Recipients, ", ")
	}
	p.fields(
		"ID", r.ID, "Name", m.Name, "Schedule", orDash(m.Schedule), "Manifest", r.Key+" in "+r.Place, "Format", m.Format, "Written by", m.Tool,
		"Cluster", fmt.Sprintf("%s/%s, %s", m.Cluster.Namespace, m.Cluster.Name, m.Cluster.UID),
		"RobustMQ", m.RobustMQ.Version, "Server image", m.RobustMQ.ImageDigest,
		"Taken from", fmt.Sprintf("%s, node %d, %s", m.Member.Pod, m.Member.NodeID, role),
		"Recovery point", clock(m.RecoveryPoint), "Started", clock(m.Started), "Finished", clock(m.Finished),
		"Nodes", fmt.Sprintf("%d placement centre, %d MQTT brokers, %d journal servers", m.Nodes.PlacementCenter, m.Nodes.MQTTBroker, m.Nodes.JournalServer),
		"Counts", counts(m.Counts), "Encryption", encryption, "Size", size(r.SizeBytes)+" in "+count(len(m.Objects()), "object"))
	rows := make([][]string, 0, len(m.Groups))
	for _, g := range m.Groups {
		voters := make([]string, 0, len(g.Membership.Voters))
		for _, v := range g.Membership.Voters {
			voters = append(voters, fmt.Sprint(v))
		}
		rows = append(rows, []string{g.Name, fmt.Sprint(g.Term), fmt.Sprint(g.LastApplied), vote(g.Vote.Term, g.Vote.NodeID, g.Vote.Committed), orDash(strings.Join(voters, ",")),
			fmt.Sprintf("%d-%d-%d", g.Membership.Term, g.Membership.NodeID, g.Membership.Index)})
	}
	p.line("")
	p.table("GROUP|TERM|LAST APPLIED|VOTE|VOTERS|MADE BY LOG ENTRY", rows)
	p.line("")
	p.table("FILE|SIZE|SHA-256", entries(m.Files.Entries))
	p.line("in %s, %s, SHA-256 %s", m.Files.Object.Key, size(m.Files.Object.Size), m.Files.Object.SHA256)
	if len(m.Tables) == 0 {
		return
	}
	rows = make([][]string, 0, len(m.Tables))
	for _, t := range m.Tables {
		rows = append(rows, []string{t.Name, size(t.Size), t.SHA256, t.Object.Key})
	}
	p.line("")
	p.table("TABLE|SIZE|SHA-256|OBJECT", rows)
}

func entries(list []archive.Entry) [][]string {
	rows := make([][]string, 0, len(list))
	for _, e := range list {
		rows = append(rows, []string{e.Name, size(e.Size), e.SHA256})
	}
	return rows
}

// vote for people: who, in which term, and whether a quorum did too.
func vote(term, node uint64, committed bool) string {
	if committed {
		return fmt.Sprintf("node %d in term %d, committed", node, term)
	}
	return fmt.Sprintf("node %d in term %d", node, term)
}

func counts(c map[string]int64) string {
	list := make([]string, 0, len(c))
	for _, what := range slices.Sorted(maps.Keys(c)) {
		list = append(list, fmt.Sprintf("%d %s", c[what], what))
	}
	return strings.Join(list, ", ")
}
