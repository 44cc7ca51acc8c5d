package schedule

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

func parse(t testing.TB, line, name string) Schedule {
	t.Helper()
	zone, err := Zone(name)
	if err != nil {
		t.Fatal(err)
	}
	s, err := Parse(line, zone)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func moment(t testing.TB, text string) time.Time {
	t.Helper()
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

func TestNoNightIsWithoutItsBackupAndNoneHasTwo(t *testing.T) {
	for _, c := range []struct {
		what, line, zone, from string
		want                   []string
	}{
		{"put forward: the hour that is left out comes at the change", "30 2 * * *", "Europe/Berlin", "2026-03-28T12:00:00+01:00",
			[]string{"2026-03-29T03:00:00+02:00", "2026-03-30T02:30:00+02:00"}},
		{"put forward: several ticks of that hour come once", "*/10 2 * * *", "Europe/Berlin", "2026-03-29T01:00:00+01:00",
			[]string{"2026-03-29T03:00:00+02:00", "2026-03-30T02:00:00+02:00"}},
		{"put forward: what falls on the change comes once", "0 2,3 * * *", "Europe/Berlin", "2026-03-29T01:00:00+01:00",
			[]string{"2026-03-29T03:00:00+02:00", "2026-03-30T02:00:00+02:00"}},
		{"put forward: every hour", "0 * * * *", "Europe/Berlin", "2026-03-29T00:30:00+01:00",
			[]string{"2026-03-29T01:00:00+01:00", "2026-03-29T03:00:00+02:00", "2026-03-29T04:00:00+02:00"}},
		{"put back: once, in the first of the two hours", "30 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00+02:00",
			[]string{"2026-10-25T02:30:00+02:00", "2026-10-26T02:30:00+01:00"}},
		{"put back: the end of the two hours is no part of them", "0 3 * * *", "Europe/Berlin", "2026-10-24T12:00:00+02:00",
			[]string{"2026-10-25T03:00:00+01:00", "2026-10-26T03:00:00+01:00"}},
		{"put back: every hour has both", "0 * * * *", "Europe/Berlin", "2026-10-25T01:30:00+02:00",
			[]string{"2026-10-25T02:00:00+02:00", "2026-10-25T02:00:00+01:00", "2026-10-25T03:00:00+01:00"}},
		{"put back, asked in the second hour", "30 2 * * *", "Europe/Berlin", "2026-10-25T02:10:00+01:00", []string{"2026-10-26T02:30:00+01:00"}},
		{"midnight does not exist", "@daily", "America/Asuncion", "2023-09-30T12:00:00-04:00", []string{"2023-10-01T01:00:00-03:00", "2023-10-02T00:00:00-03:00"}},
		{"half an hour put forward", "15 2 * * *", "Australia/Lord_Howe", "2026-10-03T12:00:00+10:30", []string{"2026-10-04T02:30:00+11:00", "2026-10-05T02:15:00+11:00"}},
		{"a day that was skipped", "0 12 30 12 *", "Pacific/Apia", "2011-12-29T00:00:00-10:00", []string{"2011-12-31T00:00:00+14:00", "2012-12-30T12:00:00+14:00"}},
		{"a leap day", "0 0 29 2 *", "Europe/Berlin", "2026-01-01T00:00:00+01:00", []string{"2028-02-29T00:00:00+01:00", "2032-02-29T00:00:00+01:00"}},
	} {
		s, at := parse(t, c.line, c.zone), moment(t, c.from)
		for i, want := range c.want {
			if at = s.Next(at); !at.Equal(moment(t, want)) {
				t.Errorf("%s: tick %d is %s, want %s", c.what, i, at.Format(time.RFC3339), want)
			}
		}
	}
}

// The oracle goes through every minute, and knows nothing of offsets but what the wall clock shows.
func TestTicksAreThoseThatTheWallClockShows(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	zones := []string{"Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "America/Asuncion", "Asia/Kathmandu", "Etc/UTC"}
	for range 25 {
		minute, step := random.IntN(60), random.IntN(20)+5
		hour := random.IntN(24)
		line := []string{fmt.Sprintf("%d * * * *", minute), fmt.Sprintf("*/%d * * * *", step), fmt.Sprintf("%d %d * * *", minute, hour), fmt.Sprintf("%d */3 * * *", minute)}[random.IntN(4)]
		name := zones[random.IntN(len(zones))]
		s := parse(t, line, name)
		plain := parse(t, line, "")
		month := []time.Month{time.March, time.April, time.September, time.October, time.November}[random.IntN(5)]
		from := time.Date(2022+random.IntN(3), month, 1, 0, 0, 0, 0, time.UTC)
		every := s.spec.Hour&always == always
		seen := map[string]bool{}
		at := s.Next(from)
		for now := from.Add(time.Minute); now.Before(from.AddDate(0, 0, 33)); now = now.Add(time.Minute) {
			_, offset := now.In(s.zone).Zone()
			wall := wallOf(now, offset)
			shown := plain.Next(wall.Add(-time.Second)).Equal(wall)
			_, before := now.Add(-time.Minute).In(s.zone).Zone()
			if offset > before && !every { // left out: any tick from the minute before the change to here
				tick := plain.Next(wallOf(now.Add(-time.Minute), before))
				shown = shown || tick.Before(wall)
			}
			key := wall.Format(time.DateTime)
			due := shown && (every || !seen[key])
			seen[key] = true
			if due != at.Equal(now) {
				t.Fatalf("%q in %s at %s: due %v, next is %s", line, name, now.In(s.zone), due, at)
			}
			if due {
				at = s.Next(now)
			}
		}
	}
}
