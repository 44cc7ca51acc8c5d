package plan

import (
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
)

func moment0(t testing.TB, text string) time.Time {
	t.Helper()
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

func at(t testing.TB, text string) metav1.Time {
	if text == "" {
		return metav1.Time{}
	}
	return metav1.NewTime(moment0(t, text))
}

func show(at metav1.Time) string {
	if at.IsZero() {
		return ""
	}
	return at.UTC().Format(time.RFC3339)
}

func TestWhatFollowsForASchedule(t *testing.T) {
	hourly := v1alpha1.BackupSchedule{Name: "hourly", Cron: "0 * * * *"}
	known := v1alpha1.ScheduleStatus{
		Name: "hourly", Line: "0 * * * * Etc/UTC", Since: at(t, "2026-11-25T00:30:00Z"), LastScheduleTime: at(t, "2026-11-25T01:00:00Z"), LastBackup: "c-hourly-29926140",
	}
	for _, c := range []struct {
		what                         string
		now                          string
		change                       func(*v1alpha1.BackupSchedule, *v1alpha1.ScheduleStatus, *moment)
		due, last, next, since, note string
	}{
		{"between two ticks nothing", "2026-11-25T01:30:00Z", nil, "", "2026-11-25T01:00:00Z", "2026-11-25T02:00:00Z", "2026-11-25T00:30:00Z", ""},
		{"at a tick its backup", "2026-11-25T02:00:00Z", nil, "c-hourly-29926200", "2026-11-25T02:00:00Z", "2026-11-25T03:00:00Z", "2026-11-25T00:30:00Z", ""},
		{"three ticks are one backup", "2026-11-25T04:10:00Z", nil, "c-hourly-29926320", "2026-11-25T04:00:00Z", "2026-11-25T05:00:00Z", "2026-11-25T00:30:00Z", "2 ticks had passed"},
		{"suspended ticks pass", "2026-11-25T04:10:00Z", func(s *v1alpha1.BackupSchedule, _ *v1alpha1.ScheduleStatus, _ *moment) { s.Suspend = true },
			"", "2026-11-25T04:00:00Z", "", "2026-11-25T00:30:00Z", "suspended"},
		{"paused clusters remember theirs", "2026-11-25T04:10:00Z", func(_ *v1alpha1.BackupSchedule, _ *v1alpha1.ScheduleStatus, m *moment) { m.paused = true },
			"", "2026-11-25T01:00:00Z", "", "2026-11-25T00:30:00Z", ""},
		{"one at a time", "2026-11-25T02:10:00Z", func(_ *v1alpha1.BackupSchedule, _ *v1alpha1.ScheduleStatus, m *moment) { m.running = "the backup x" },
			"", "2026-11-25T01:00:00Z", "", "2026-11-25T00:30:00Z", "waits for the backup x"},
		{"a new schedule owes nothing", "2026-11-25T04:10:00Z", func(_ *v1alpha1.BackupSchedule, row *v1alpha1.ScheduleStatus, _ *moment) {
			*row = v1alpha1.ScheduleStatus{}
		},
			"", "", "2026-11-25T05:00:00Z", "2026-11-25T04:10:00Z", ""},
		{"nor does a line that changed", "2026-11-25T04:10:00Z", func(s *v1alpha1.BackupSchedule, _ *v1alpha1.ScheduleStatus, _ *moment) { s.Cron = "5 * * * *" },
			"", "2026-11-25T01:00:00Z", "2026-11-25T05:05:00Z", "2026-11-25T04:10:00Z", ""},
		{"nor one that moved to another zone", "2026-11-25T04:10:00Z", func(s *v1alpha1.BackupSchedule, _ *v1alpha1.ScheduleStatus, _ *moment) { s.TimeZone = "Asia/Kolkata" },
			"", "2026-11-25T01:00:00Z", "2026-11-25T04:30:00Z", "2026-11-25T04:10:00Z", ""},
		{"a line that nobody can follow says so", "2026-11-25T04:10:00Z", func(s *v1alpha1.BackupSchedule, _ *v1alpha1.ScheduleStatus, _ *moment) { s.Cron = "0 0 30 2 *" },
			"", "2026-11-25T01:00:00Z", "", "2026-11-25T04:10:00Z", "no backup is made: "},
		{"so does a zone", "2026-11-25T04:10:00Z", func(s *v1alpha1.BackupSchedule, _ *v1alpha1.ScheduleStatus, _ *moment) { s.TimeZone = "Local" },
			"", "2026-11-25T01:00:00Z", "", "2026-11-25T04:10:00Z", "no backup is made: "},
		{"a clock that ran ahead is forgotten", "2026-11-24T12:10:00Z", nil, "", "2026-11-24T12:10:00Z", "2026-11-24T13:00:00Z", "2026-11-24T12:10:00Z", ""},
	} {
		s, row, m := hourly, known, moment{cluster: "c", now: moment0(t, c.now)}
		if c.change != nil {
			c.change(&s, &row, &m)
		}
		v := consider(s, row, m)
		due := ""
		if v.due != nil {
			due = v.due.Name
		}
		if due != c.due || show(v.row.LastScheduleTime) != c.last || show(v.row.NextScheduleTime) != c.next || show(v.row.Since) != c.since ||
			!strings.Contains(v.row.Note, c.note) || (c.note == "" && v.row.Note != "") || v.row.Name != "hourly" {
			t.Errorf("%s: due %q last %q next %q since %q note %q", c.what, due, show(v.row.LastScheduleTime), show(v.row.NextScheduleTime), show(v.row.Since), v.row.Note)
		}
		if due != "" && v.row.LastBackup != due {
			t.Errorf("%s: the row names %s", c.what, v.row.LastBackup)
		}
	}
}

// What was decided once stays so while nothing changes: otherwise a quiet cluster would be written to.
func TestASecondLookChangesNothing(t *testing.T) {
	for _, s := range []v1alpha1.BackupSchedule{{Name: "a", Cron: "0 * * * *"}, {Name: "a", Cron: "@every 90m", TimeZone: "Europe/Berlin"}, {Name: "a", Cron: "0 * * * *", Suspend: true}, {Name: "a", Cron: "nonsense"}} {
		for _, m := range []moment{{}, {paused: true}, {running: "the backup x"}} {
			m.cluster, m.now = "c", moment0(t, "2026-11-25T04:10:00.7Z")
			first := consider(s, v1alpha1.ScheduleStatus{}, m)
			m.now = m.now.Add(3 * time.Hour)
			second := consider(s, first.row, m)
			m.now = m.now.Add(5 * time.Second)
			if third := consider(s, second.row, m); third.row != second.row || third.due != nil && second.due == nil {
				t.Errorf("%+v %+v: %+v, then %+v", s, m, second.row, third.row)
			}
		}
	}
}
