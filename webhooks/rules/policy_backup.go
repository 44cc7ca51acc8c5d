package rules

import (
	"fmt"
	"math/bits"
	"strings"
	"time"

	"github.com/robfig/cron/v3"

	"github.com/robustmq/robustmq-operator/api/v1alpha1"
)

func backupRequired(c *cluster, p *Policy, _ Context) []Violation {
	if r := p.requirements.Backup; r == nil || r.Required != nil && !*r.Required {
		return nil
	}
	at := spec.Child("backup")
	switch b := c.Spec.Backup; {
	case b == nil:
		return []Violation{{Field: at, Message: "there is no backup plan, which is required here"}}
	case len(active(b)) == 0:
		return []Violation{{Field: at.Child("schedules"), Message: "no schedule makes backups, which is required here"}}
	}
	return nil
}

func backupInterval(c *cluster, p *Policy, _ Context) []Violation {
	r, b := p.requirements.Backup, c.Spec.Backup
	if r == nil || r.MaximumInterval == nil || b == nil {
		return nil
	}
	gap, ok := longestGap(active(b))
	if !ok || gap <= r.MaximumInterval.Duration {
		return nil
	}
	return []Violation{{
		Field: spec.Child("backup", "schedules"), Value: hours(gap),
		Message: fmt.Sprintf("the schedules leave up to %s between two backups, and %s is the most that is allowed here", hours(gap), hours(r.MaximumInterval.Duration)),
		WayOut:  "add a schedule, or let one come round more often", beyond: int64((gap - r.MaximumInterval.Duration) / time.Minute),
	}}
}

// active are the schedules that are not suspended.
func active(b *v1alpha1.BackupSpec) []v1alpha1.BackupSchedule {
	var out []v1alpha1.BackupSchedule
	for _, s := range b.Schedules {
		if !s.Suspend {
			out = append(out, s)
		}
	}
	return out
}

// hours writes a duration of minutes: 24h, 90m, 1h30m.
func hours(d time.Duration) string {
	s := strings.TrimSuffix(d.String(), "0s")
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// The days over which schedules are followed: two years, one of them a leap year, and enough to see the same day of the year twice.
var firstDay = time.Date(2027, time.January, 1, 0, 0, 0, 0, time.UTC)

const days = 800

// longestGap is the longest time between two runs of the schedules, by the clock on the wall: the hour that summer time takes or gives does not count.
// Schedules of one time zone are looked at together, and of several zones the best counts. False: there is no schedule that can be read.
func longestGap(schedules []v1alpha1.BackupSchedule) (time.Duration, bool) {
	zones := map[string][]*cron.SpecSchedule{}
	best, ok := time.Duration(0), false
	better := func(d time.Duration) {
		if !ok || d < best {
			best, ok = d, true
		}
	}
	for _, s := range schedules {
		switch parsed := parseCron(s.Cron).(type) {
		case *cron.SpecSchedule:
			parsed.Location = time.UTC
			zones[s.TimeZone] = append(zones[s.TimeZone], parsed)
		case cron.ConstantDelaySchedule:
			better(parsed.Delay)
		}
	}
	for _, zone := range zones {
		better(gap(zone))
	}
	return best, ok
}

// parseCron reads a cron line, or returns nil, and ScheduleValid says so. A zone within the line is refused: the parser panics at some that have one, and spec has a field for it.
func parseCron(line string) cron.Schedule {
	if strings.Contains(line, "=") {
		return nil
	}
	s, err := cron.ParseStandard(line)
	if err != nil {
		return nil
	}
	return s
}

// day is what runs on one day: the minutes of the first and the last run, and the longest time between two.
type day struct{ first, last, longest int }

// gap follows schedules over the days. The time from the first day to the first run, and from the last run to the last day, count as well.
func gap(schedules []*cron.SpecSchedule) time.Duration {
	schedules = schedules[:min(len(schedules), 64)] // the schema allows 16
	runs := make([]uint64, days)                    // which schedules run on each day
	for i, s := range schedules {
		for d := 0; ; d++ {
			next := s.Next(firstDay.AddDate(0, 0, d).Add(-time.Second))
			if next.IsZero() {
				break
			}
			if d = int(next.Sub(firstDay) / (24 * time.Hour)); d >= days {
				break
			}
			runs[d] |= 1 << i
		}
	}
	const minutes = 24 * 60
	seen := map[uint64]day{}
	longest, last := 0, 0
	for d, which := range runs {
		if which == 0 {
			continue
		}
		today, ok := seen[which]
		if !ok {
			today = dayOf(schedules, which)
			seen[which] = today
		}
		longest = max(longest, today.longest, d*minutes+today.first-last)
		last = d*minutes + today.last
	}
	return time.Duration(max(longest, days*minutes-last)) * time.Minute
}

// dayOf is a day on which the given schedules run.
func dayOf(schedules []*cron.SpecSchedule, which uint64) day {
	var clock [24]uint64 // the minutes of each hour
	for ; which != 0; which &= which - 1 {
		s := schedules[bits.TrailingZeros64(which)]
		for h := range clock {
			if s.Hour>>h&1 == 1 {
				clock[h] |= s.Minute & (1<<60 - 1)
			}
		}
	}
	out := day{first: -1}
	for h, minutes := range clock {
		for ; minutes != 0; minutes &= minutes - 1 {
			at := h*60 + bits.TrailingZeros64(minutes)
			if out.first < 0 {
				out.first = at
			} else {
				out.longest = max(out.longest, at-out.last)
			}
			out.last = at
		}
	}
	return out
}
