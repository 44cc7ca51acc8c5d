package plan

import (
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/backup/schedule"
)

// moment is what the decision about one schedule depends on beside itself.
type moment struct {
	cluster string
	now     time.Time
	// paused clusters make no backups. Their ticks are not forgotten: when the pause ends, the newest stands for all, as after an absence of the operator.
	paused bool
	// running names what has to end first, or is empty.
	running string
}

// verdict is what follows for one schedule.
type verdict struct {
	// row is what status.backup.schedules says once due, if there is one, is there.
	row v1alpha1.ScheduleStatus
	due *schedule.Tick
	// missed ticks that due stands for.
	missed int
	// waits: a tick has come, and something has to end first.
	waits bool
	// wake is when to look again; zero: nothing comes by itself.
	wake time.Time
}

// consider decides about one schedule. row is what the status remembers of it, the zero value if nothing.
func consider(s v1alpha1.BackupSchedule, row v1alpha1.ScheduleStatus, m moment) verdict {
	row.Name = s.Name
	line := s.Cron + " " + timeZone(s)
	if row.Line != line || row.Since.IsZero() { // ticks of another line, or from before anyone knew of the schedule, were never promised
		row.Line, row.Since, row.Note = line, seconds(m.now), ""
	}
	row.NextScheduleTime = metav1.Time{}
	if m.paused {
		return verdict{row: row}
	}
	in := schedule.Input{Cluster: m.cluster, Schedule: s.Name, Suspend: s.Suspend, Now: m.now, Created: row.Since.Time, Last: row.LastScheduleTime.Time, Running: m.running}
	if in.Last.Before(row.Since.Time) {
		in.Last = row.Since.Time
	}
	zone, err := schedule.Zone(timeZone(s))
	if err == nil {
		in.Ticks, err = schedule.Parse(s.Cron, zone)
	}
	var d schedule.Decision
	if err == nil {
		d, err = schedule.Decide(in)
	}
	if err != nil { // the webhook refuses such a line; without it, this is where it is said
		row.Note = bounded("no backup is made: "+err.Error(), 512)
		return verdict{row: row}
	}
	v := verdict{row: row, due: d.Due, missed: d.Missed, waits: d.Waiting != "", wake: d.Next}
	switch {
	case d.Due != nil:
		v.row.LastBackup, v.row.Note = d.Due.Name, missedNote(d.Missed)
	case d.Waiting != "":
		v.row.Note = bounded(d.Waiting, 512)
	case s.Suspend:
		v.row.Note = "suspended"
	case row.Note == "suspended":
		v.row.Note = ""
	}
	if !d.Record.IsZero() {
		v.row.LastScheduleTime = seconds(d.Record)
		if in.Now.Before(row.Since.Time) { // the clock ran ahead when the line was seen first
			v.row.Since = seconds(in.Now)
		}
	}
	if !s.Suspend && !d.Next.IsZero() {
		v.row.NextScheduleTime = seconds(d.Next)
	}
	return v
}

func timeZone(s v1alpha1.BackupSchedule) string {
	if s.TimeZone == "" {
		return "Etc/UTC"
	}
	return s.TimeZone
}

func missedNote(missed int) string {
	switch missed {
	case 0:
		return ""
	case 1:
		return "one tick had passed before this backup could be made, which stands for it too"
	}
	return fmt.Sprintf("%d ticks had passed before this backup could be made, which stands for them too", missed)
}

// seconds is a time as the API server keeps it.
func seconds(t time.Time) metav1.Time { return metav1.NewTime(t.UTC().Truncate(time.Second)) }

// bounded keeps a text within a limit of the schema, which counts characters.
func bounded(s string, limit int) string {
	r := []rune(s)
	if len(r) <= limit {
		return s
	}
	return string(r[:limit-1]) + "…"
}

// rowOf finds what is remembered of a schedule.
func rowOf(st *v1alpha1.BackupPlanStatus, name string) v1alpha1.ScheduleStatus {
	for _, row := range st.Schedules {
		if row.Name == name {
			return row
		}
	}
	return v1alpha1.ScheduleStatus{}
}
