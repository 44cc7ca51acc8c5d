package schedule

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

func input(t testing.TB, line, now string) Input {
	return Input{Cluster: "my-cluster", Schedule: "hourly", Ticks: parse(t, line, ""), Now: moment(t, now), Created: moment(t, "2026-11-25T00:30:00Z")}
}

func TestWhatIsDueWhen(t *testing.T) {
	for _, c := range []struct {
		what    string
		change  func(*Input)
		due     string
		missed  int
		record  string
		next    string
		waiting string
	}{
		{"nothing before the first tick", func(in *Input) { in.Now = moment(t, "2026-11-25T00:59:59Z") }, "", 0, "", "2026-11-25T01:00:00Z", ""},
		{"the first tick", func(*Input) {}, "2026-11-25T01:00:00Z", 0, "2026-11-25T01:00:00Z", "2026-11-25T02:00:00Z", ""},
		{"not twice", func(in *Input) { in.Last = moment(t, "2026-11-25T01:00:00Z") }, "", 0, "", "2026-11-25T02:00:00Z", ""},
		{"three were missed: one backup", func(in *Input) { in.Now = moment(t, "2026-11-25T04:20:00Z") }, "2026-11-25T04:00:00Z", 3, "2026-11-25T04:00:00Z", "2026-11-25T05:00:00Z", ""},
		{"suspended ticks pass", func(in *Input) { in.Suspend = true; in.Now = moment(t, "2026-11-25T04:20:00Z") }, "", 4, "2026-11-25T04:00:00Z", "2026-11-25T05:00:00Z", ""},
		{"one at a time", func(in *Input) { in.Running = "the backup by-hand"; in.Now = moment(t, "2026-11-25T02:20:00Z") }, "", 1, "", "", "the backup of 2026-11-25T02:00:00Z waits for the backup by-hand to end"},
		{"nothing due while something runs", func(in *Input) { in.Running = "x"; in.Last = moment(t, "2026-11-25T01:00:00Z") }, "", 0, "", "2026-11-25T02:00:00Z", ""},
		{"a clock that was a year ahead is forgotten", func(in *Input) { in.Last = moment(t, "2027-11-25T01:00:00Z") }, "", 0, "2026-11-25T01:00:30Z", "2026-11-25T02:00:00Z", ""},
		{"a clock that was a minute ahead is not", func(in *Input) {
			in.Last, in.Now = moment(t, "2026-11-25T02:00:00Z"), moment(t, "2026-11-25T01:59:00Z")
		}, "", 0, "", "2026-11-25T03:00:00Z", ""},
	} {
		in := input(t, "0 * * * *", "2026-11-25T01:00:30Z")
		c.change(&in)
		d, err := Decide(in)
		if err != nil {
			t.Errorf("%s: %v", c.what, err)
			continue
		}
		due := ""
		if d.Due != nil {
			due = show(d.Due.At)
		}
		if due != c.due || d.Missed != c.missed || show(d.Record) != c.record || show(d.Next) != c.next || d.Waiting != c.waiting {
			t.Errorf("%s: due %q missed %d record %q next %q waiting %q", c.what, due, d.Missed, show(d.Record), show(d.Next), d.Waiting)
		}
	}
}

func show(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

func TestALongAbsenceFindsTheNewestTickWithoutCountingAll(t *testing.T) {
	for line, want := range map[string]string{"* * * * *": "2036-11-25T00:30:00Z", "0 3 * * *": "2036-11-24T03:00:00Z", "@every 7m": "2036-11-25T00:28:00Z", "0 0 29 2 *": "2036-02-29T00:00:00Z"} {
		in := input(t, line, "2036-11-25T00:30:20Z")
		d, err := Decide(in)
		if err != nil || d.Due == nil || show(d.Due.At) != want {
			t.Errorf("%s: %+v, %v; want %s", line, d.Due, err, want)
		}
	}
}

func TestNamesAreTheSameWhoeverComputesThemAndFit(t *testing.T) {
	at := moment(t, "2026-11-25T02:00:30+01:00")
	for range 2 {
		if got, err := Name("my-cluster", "hourly", at); got != "my-cluster-hourly-29926140" || err != nil {
			t.Errorf("%q, %v", got, err)
		}
	}
	if got, err := Name(strings.Repeat("c", 35), strings.Repeat("s", 11), at); len(got) != MaxNameLength || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	for _, c := range [][2]string{{strings.Repeat("c", 35), strings.Repeat("s", 12)}, {"C", "s"}, {"-c", "s"}, {"a.b", "s"}, {"c", "s/t"}} {
		if got, err := Name(c[0], c[1], at); err == nil {
			t.Errorf("%q is a name", got)
		}
	}
	if got, err := Name("c", "s", time.Time{}); err == nil {
		t.Errorf("%q is a name", got)
	}
}

// A world of one schedule: an operator that comes and goes, a clock that jumps, statuses that are lost after the backup was made.
func TestNoTickIsLostAndNoneDoubledOverRestartsAndJumpsOfTheClock(t *testing.T) {
	seed := uint64(20261125)
	random := rand.New(rand.NewPCG(seed, seed))
	lines := []string{"0 * * * *", "30 2 * * *", "*/7 * * * *", "@every 90m", "15 */6 * * 1-5", "0 0 1 * *"}
	zones := []string{"Etc/UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe"}
	for world := range 200 {
		s := parse(t, lines[random.IntN(len(lines))], zones[random.IntN(len(zones))])
		now := time.Date(2026, time.Month(1+random.IntN(12)), 1+random.IntN(28), 0, random.IntN(60), 0, 0, time.UTC)
		created, last := now, time.Time{}
		made := map[string]time.Time{}
		for step := range 200 {
			switch random.IntN(20) {
			case 0: // away for up to ten days
				now = now.Add(rand2(random, 10*24*time.Hour))
			case 1: // the clock is put back a little
				now = now.Add(-rand2(random, ClockTolerance-time.Second))
			default:
				now = now.Add(rand2(random, 2*time.Hour))
			}
			in := Input{Cluster: "c", Schedule: "s", Ticks: s, Now: now, Created: created, Last: last}
			d, err := Decide(in)
			if err != nil {
				t.Fatal(err)
			}
			where := fmt.Sprintf("world %d step %d (seed %d)", world, step, seed)
			anchor := last
			if anchor.IsZero() {
				anchor = created
			}
			var passed []time.Time
			for tick := s.Next(anchor); !tick.After(now); tick = s.Next(tick) {
				passed = append(passed, tick)
			}
			if (d.Due != nil) != (len(passed) > 0) {
				t.Fatalf("%s: %d ticks have passed, due is %v", where, len(passed), d.Due)
			}
			if d.Due == nil {
				if !d.Next.After(now) {
					t.Fatalf("%s: asks again at %s, before %s", where, d.Next, now)
				}
				continue
			}
			if !d.Due.At.Equal(passed[len(passed)-1]) || d.Missed != min(len(passed)-1, maxMissed) && d.Missed != maxMissed-1 {
				t.Fatalf("%s: due %s missed %d of %d", where, d.Due.At, d.Missed, len(passed))
			}
			if at, twice := made[d.Due.Name]; twice && !at.Equal(d.Due.At) {
				t.Fatalf("%s: one name for two ticks: %s", where, d.Due.Name)
			} else if !twice {
				made[d.Due.Name] = d.Due.At
			}
			if random.IntN(10) > 0 { // else the status was lost: the same tick comes again, under the same name, and is found made
				last = d.Record
			}
		}
		ats := make([]time.Time, 0, len(made))
		for _, at := range made {
			ats = append(ats, at)
		}
		slices.SortFunc(ats, time.Time.Compare)
		for i := 1; i < len(ats); i++ {
			if ats[i].Sub(ats[i-1]) < time.Minute {
				t.Fatalf("world %d: backups of %s and %s", world, ats[i-1], ats[i])
			}
		}
	}
}

func TestATimeAheadOfTheClockIsForgottenAndTheNextTickIsMade(t *testing.T) {
	in := input(t, "0 * * * *", "2026-11-25T01:00:30Z")
	in.Last = moment(t, "2027-11-25T01:00:00Z")
	for range 3 {
		d, err := Decide(in)
		if err != nil {
			t.Fatal(err)
		}
		if d.Due != nil {
			if show(d.Due.At) != "2026-11-25T02:00:00Z" {
				t.Errorf("the tick of %s is made", show(d.Due.At))
			}
			return
		}
		if !d.Record.IsZero() {
			in.Last = d.Record
		}
		in.Now = d.Next
	}
	t.Error("no tick is ever made")
}

func rand2(r *rand.Rand, most time.Duration) time.Duration {
	return time.Duration(r.Int64N(int64(most)))
}

func TestATickIsReadBackFromTheNameOfItsBackup(t *testing.T) {
	at := moment(t, "2026-11-25T01:00:00Z")
	name, err := Name("my-cluster", "every-15", at)
	if err != nil {
		t.Fatal(err)
	}
	if got := TickOf(name); !got.Equal(at) {
		t.Errorf("%s is of %s", name, show(got))
	}
	for _, other := range []string{"", "by-hand", "by-hand-", "by-hand-99999999999999999999", "a-9223372036854775807"} {
		if got := TickOf(other); !got.IsZero() {
			t.Errorf("%q is of %s", other, show(got))
		}
	}
}
