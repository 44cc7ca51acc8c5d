package rules

import (
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/robustmq/robustmq-operator/api/v1alpha1"
)

// scheduled is a valid cluster with those schedules.
func scheduled(schedules ...v1alpha1.BackupSchedule) *cluster {
	return valid(func(c *cluster) {
		c.Spec.Backup = &v1alpha1.BackupSpec{Destination: v1alpha1.S3Destination{Bucket: "backups"}, Schedules: schedules}
	})
}

func TestAScheduleThatNobodyCouldFollowIsRefusedAtItsField(t *testing.T) {
	good := v1alpha1.BackupSchedule{Name: "hourly", Cron: "0 * * * *", TimeZone: "Europe/Berlin"}
	with := func(change func(*v1alpha1.BackupSchedule)) *cluster {
		s := good
		change(&s)
		return scheduled(good, s)
	}
	second := func(cron string) *cluster {
		return with(func(s *v1alpha1.BackupSchedule) { s.Name, s.Cron = "b", cron })
	}
	for what, c := range map[string]struct {
		cluster *cluster
		want    string // "field: part of the message"
	}{
		"one name twice":         {with(func(*v1alpha1.BackupSchedule) {}), "spec.backup.schedules[1].name: another schedule"},
		"words":                  {second("every day"), "spec.backup.schedules[1].cron: 5 fields"},
		"with seconds":           {second("0 0 * * * *"), "spec.backup.schedules[1].cron: 5 fields"},
		"a minute that is none":  {second("61 * * * *"), "spec.backup.schedules[1].cron: 61"},
		"a word of other crons":  {second("@reboot"), "spec.backup.schedules[1].cron: @reboot"},
		"every ten seconds":      {second("@every 10s"), "spec.backup.schedules[1].cron: more often than every minute"},
		"a day that never comes": {second("0 0 30 2 *"), "spec.backup.schedules[1].cron: never"},
		"a zone in the line":     {second("TZ=UTC 0 * * * *"), "spec.backup.schedules[1].cron: field of its own"},
		"a zone without a space": {second("TZ=UTC"), "spec.backup.schedules[1].cron: field of its own"},
		"an unknown zone":        {with(func(s *v1alpha1.BackupSchedule) { s.Name, s.TimeZone = "b", "Europe/Berin" }), "spec.backup.schedules[1].timeZone: Europe/Berin"},
		"the machine's own zone": {with(func(s *v1alpha1.BackupSchedule) { s.Name, s.TimeZone = "b", "Local" }), "spec.backup.schedules[1].timeZone: Local"},
		"a name with a capital":  {with(func(s *v1alpha1.BackupSchedule) { s.Name = "Daily" }), "spec.backup.schedules[1].name: object names"},
		"a name of 21":           {with(func(s *v1alpha1.BackupSchedule) { s.Name = strings.Repeat("a", 21) }), "spec.backup.schedules[1].name: 21 characters"},
	} {
		vs := Denied(Cluster(nil, c.cluster, Context{Operation: Create}))
		field, part, _ := strings.Cut(c.want, ": ")
		if len(vs) != 1 || vs[0].Rule != "ScheduleValid" || vs[0].Field.String() != field || !strings.Contains(vs[0].Message, part) || vs[0].WayOut == "" {
			t.Errorf("%s: %s; want %q", what, Summary(vs), c.want)
		}
	}
	vs := Denied(Cluster(nil, with(func(s *v1alpha1.BackupSchedule) { s.Name, s.Cron, s.TimeZone = "b", "x", "y" }), Context{Operation: Create}))
	if len(vs) != 2 {
		t.Errorf("an unknown zone hides the line: %s", Summary(vs))
	}
}

func TestALineThatCanBeFollowedIsLetIn(t *testing.T) {
	for _, cron := range []string{"* * * * *", "0 * * * *", "*/15 2-4 1,15 jan-jun mon", "@hourly", "@daily", "@midnight", "@weekly", "@monthly", "@yearly", "@annually", "@every 1m", "@every 36h"} {
		for _, zone := range []string{"", "Etc/UTC", "America/New_York"} {
			if vs := Denied(Cluster(nil, scheduled(v1alpha1.BackupSchedule{Name: "a", Cron: cron, TimeZone: zone}), Context{Operation: Create})); len(vs) != 0 {
				t.Errorf("%q in %q: %s", cron, zone, Summary(vs))
			}
		}
	}
}

func TestTheNamesOfAClusterAndItsScheduleLeaveRoomForTheirBackups(t *testing.T) {
	for name, least := range map[string]int{strings.Repeat("c", 35): 12, strings.Repeat("c", 30): 17} { // the first length that is too long
		for _, length := range []int{least - 1, least} {
			c := scheduled(v1alpha1.BackupSchedule{Name: strings.Repeat("s", length), Cron: "@daily"})
			c.Name = name
			vs := Denied(Cluster(nil, c, Context{Operation: Create}))
			if refused := len(vs) == 1 && vs[0].Rule == "ScheduleValid" && strings.Contains(vs[0].WayOut, "shorten it to"); refused != (length == least) {
				t.Errorf("%d and %d characters: %s", len(name), length, Summary(vs))
			}
			child := name + "-" + c.Spec.Backup.Schedules[0].Name + "-29660520"
			if fits := len(child+"-backup") <= 63; fits != (length < least) {
				t.Errorf("%d and %d characters: the Job of %s fits: %t", len(name), length, child, fits)
			}
		}
	}
}

func TestRetentionKeepsOne(t *testing.T) {
	keep := func(n int32, age time.Duration) v1alpha1.RetentionPolicy {
		return v1alpha1.RetentionPolicy{KeepLast: &n, MaxAge: &metav1.Duration{Duration: age}}
	}
	for want, r := range map[string]v1alpha1.RetentionPolicy{
		"RetentionKeepsOne@spec.backup.schedules[0].retention.keepLast": keep(0, time.Hour),
		"RetentionKeepsOne@spec.backup.schedules[0].retention.maxAge":   keep(1, 0),
		"": keep(1, time.Minute),
	} {
		got := denials(nil, scheduled(v1alpha1.BackupSchedule{Name: "a", Cron: "@daily", Retention: r}), Create)
		if !slices.Equal(got, slices.DeleteFunc([]string{want}, func(s string) bool { return s == "" })) {
			t.Errorf("%v; want %q", got, want)
		}
	}
}
