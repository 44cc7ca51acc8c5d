package schedule

import (
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// MaxNameLength of a backup's name: those of its Job and labels are made of it.
const MaxNameLength = 56

// ClockTolerance is how far ahead of the clock a remembered time may lie before it is taken for that of a clock that was wrong.
const ClockTolerance = 5 * time.Minute

// maxMissed bounds the counting of missed ticks: what is said is "at least".
const maxMissed = 1000

// Input is everything that a decision depends on.
type Input struct {
	Cluster  string
	Schedule string
	Ticks    Schedule
	Suspend  bool
	// Now is the clock.
	Now time.Time
	// Created is when the schedule came to be (its cluster's creation serves): nothing is due before.
	Created time.Time
	// Last is status' lastScheduleTime; zero before the first.
	Last time.Time
	// Running names a backup or restore of the cluster that has not ended, or is empty: one at a time.
	Running string
}

// Decision is what follows.
type Decision struct {
	// Due is the tick whose backup is to be made now, or nil.
	Due *Tick
	// Record is the time that status' lastScheduleTime becomes: after the backup is there, or, without one, at once. Zero: it stays. It is a tick, or now where the remembered time lay ahead of the clock.
	Record time.Time
	// Missed ticks are not made up for one by one: the newest stands for them.
	Missed int
	// Next is when to ask again. Zero: when the spec changes, or when what runs has ended.
	Next time.Time
	// Waiting says in words why a tick that is due has to wait. Empty if none has to.
	Waiting string
}

// Tick is one time of a schedule.
type Tick struct {
	At time.Time
	// Name of its backup: the same tick has the same name whoever computes it, so that it is made once even if the status was lost.
	Name string
}

// Decide says what is due. Ticks that passed while nobody looked are made up for once, by the newest; those that pass while the schedule is suspended are not.
// A tick that finds something running waits and is made, once, when that has ended.
func Decide(in Input) (Decision, error) {
	last := in.Last
	ahead := last.After(in.Now.Add(ClockTolerance)) // of a clock that ran ahead: believed, there would be no backup until then. The name keeps a tick from being made twice.
	if ahead {
		last = in.Now
	}
	if last.IsZero() {
		last = in.Created
	}
	newest, passed := latest(in.Ticks, last, in.Now)
	from := last
	if passed > 0 {
		from = newest
	}
	d := Decision{Next: in.Ticks.Next(from)}
	if ahead { // written down, or every later look would begin at its own present, and no tick would ever have passed
		d.Record = in.Now
		return d, nil
	}
	switch {
	case passed == 0:
		return d, nil
	case in.Suspend:
		d.Record, d.Missed = newest, passed
		return d, nil
	case in.Running != "":
		d.Missed = passed - 1
		d.Waiting = fmt.Sprintf("the backup of %s waits for %s to end", newest.UTC().Format(time.RFC3339), in.Running)
		d.Next = time.Time{}
		return d, nil
	}
	name, err := Name(in.Cluster, in.Schedule, newest)
	if err != nil {
		return Decision{}, err
	}
	d.Due = &Tick{At: newest, Name: name}
	d.Record, d.Missed = newest, passed-1
	return d, nil
}

// latest is the newest tick after a time and not after now, and how many there are, counted to maxMissed.
func latest(s Schedule, after, now time.Time) (newest time.Time, passed int) {
	for tick := s.Next(after); !tick.IsZero() && !tick.After(now); tick = s.Next(tick) {
		newest = tick
		if passed++; passed == maxMissed {
			return skipAhead(s, newest, now), passed
		}
	}
	return newest, passed
}

// skipAhead finds the newest tick of a long absence without going through all: it looks back from now over doubling spans.
func skipAhead(s Schedule, from, now time.Time) time.Time {
	if s.every > 0 {
		return from.Add(now.Sub(from).Truncate(s.every))
	}
	for span := time.Hour; now.Add(-span).After(from); span *= 2 {
		newest := time.Time{}
		for tick := s.Next(now.Add(-span)); !tick.IsZero() && !tick.After(now); tick = s.Next(tick) {
			newest = tick
		}
		if !newest.IsZero() {
			return newest
		}
	}
	newest := from
	for tick := s.Next(from); !tick.IsZero() && !tick.After(now); tick = s.Next(tick) {
		newest = tick
	}
	return newest
}

var label = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`)

// Name of the backup of a tick: <cluster>-<schedule>-<minute>, the minute counted from 1970, as Kubernetes' own CronJobs do. It is a DNS label of at most MaxNameLength characters.
func Name(cluster, schedule string, at time.Time) (string, error) {
	if at.Unix() < 0 {
		return "", fmt.Errorf("naming a backup of %s: that is before 1970", at.UTC().Format(time.RFC3339))
	}
	name := cluster + "-" + schedule + "-" + strconv.FormatInt(at.Unix()/60, 10)
	if len(name) > MaxNameLength || !label.MatchString(name) {
		return "", fmt.Errorf("naming a backup: %q is not a name of at most %d lower-case letters, digits and dashes: shorten the schedule's name", name, MaxNameLength)
	}
	return name, nil
}

// TickOf is the tick whose backup has a name, to the minute; zero for one that no schedule gave.
func TickOf(name string) time.Time {
	minute, err := strconv.ParseInt(name[strings.LastIndexByte(name, '-')+1:], 10, 64)
	if err != nil || minute < 0 || minute > math.MaxInt64/60 {
		return time.Time{}
	}
	return time.Unix(minute*60, 0)
}
