package rules

import (
	"strings"
	"testing"
	"time"
)

func TestTheLongestTimeBetweenBackupsIsThatOfTheWorstDayOfTheYear(t *testing.T) {
	const h, d = time.Hour, 24 * time.Hour
	for _, c := range []struct {
		lines string
		want  time.Duration
	}{
		{"* * * * *", time.Minute},
		{"0 * * * *", h},
		{"*/7 * * * *", 7 * time.Minute},
		{"0 9-17 * * *", 16 * h},
		{"0 3 * * *", d},
		{"0 3 * * 1-5", 3 * d},
		{"0 3 * * 0", 7 * d},
		{"0 3 1 * *", 31 * d},
		{"0 3 31 * *", 61 * d}, // from 31 March to 31 May, for example
		{"0 3 * * *;0 15 * * *", 12 * h},
		{"0 3 * * *;-0 15 * * *", d},
		{"0 0 * * 1;0 12 * * 4", 84 * h},
		{"@daily", d},
		{"@every 90m", 90 * time.Minute},
		{"@every 90m;0 * * * *", h},
		{"no cron;0 * * * *", h},
	} {
		p := valid(plan(strings.Split(c.lines, ";")...))
		if got, ok := longestGap(active(p.Spec.Backup)); !ok || got != c.want {
			t.Errorf("%s: %s, %t; want %s", c.lines, got, ok, c.want)
		}
	}
	for _, never := range []string{"0 3 30 2 *", "0 3 29 2 *"} {
		if got, ok := longestGap(active(valid(plan(never)).Spec.Backup)); !ok || got < 366*d {
			t.Errorf("%s: %s, %t", never, got, ok)
		}
	}
	for _, unreadable := range []string{"", "TZ=", "CRON_TZ=UTC", "TZ=UTC 0 * * * *", "0 0 0 0 0 0"} {
		if got, ok := longestGap(active(valid(plan(unreadable)).Spec.Backup)); ok {
			t.Errorf("%q: %s", unreadable, got)
		}
	}
}

func TestSchedulesOfSeveralTimeZonesAreNotAddedUp(t *testing.T) {
	c := valid(plan("0 3 * * *", "0 15 * * *"))
	c.Spec.Backup.Schedules[1].TimeZone = "Europe/Berlin"
	if got, ok := longestGap(active(c.Spec.Backup)); !ok || got != 24*time.Hour {
		t.Errorf("%s, %t", got, ok)
	}
	c.Spec.Backup.Schedules[0].TimeZone = "Europe/Berlin" // where one day in autumn has 25 hours
	if got, ok := longestGap(active(c.Spec.Backup)); !ok || got != 12*time.Hour {
		t.Errorf("%s, %t", got, ok)
	}
}
