package schedule

import (
	"errors"
	"fmt"
	"strings"
	"time"
	_ "time/tzdata" // the same zones everywhere: the operator's image has none, and the machine of whoever validates may have others

	"github.com/robfig/cron/v3"
)

// MinInterval is the shortest time between two backups of one schedule: their names end with the minute.
const MinInterval = time.Minute

// Schedule is a cron line in a time zone. The zero value never comes due.
type Schedule struct {
	spec  *cron.SpecSchedule // in wall-clock time, written as if of UTC: where the wall clock and time part is Next's business
	every time.Duration      // or this, counted from the last tick
	zone  *time.Location
}

// Zone reads the name of a time zone of the IANA database; "" is UTC. "Local" is refused: it would be the zone of the machine that happens to read it.
func Zone(name string) (*time.Location, error) {
	if name == "Local" {
		return nil, errors.New("the zone Local is that of whichever machine reads it")
	}
	zone, err := time.LoadLocation(name)
	if err != nil {
		return nil, fmt.Errorf("there is no time zone %q", name)
	}
	return zone, nil
}

// Parse reads a cron line: five fields, or @hourly, @daily, @midnight, @weekly, @monthly, @yearly, @annually or @every with a duration.
// A line that never comes due, or comes due more often than every minute, is an error; so is a zone inside the line, which has a place of its own.
func Parse(line string, zone *time.Location) (Schedule, error) {
	for _, prefix := range []string{"TZ=", "CRON_TZ="} {
		if strings.HasPrefix(strings.TrimSpace(line), prefix) { // the parser would take it, and panic where no space follows (robfig/cron v3.0.1)
			return Schedule{}, fmt.Errorf("%s in the line: the time zone has a field of its own", prefix)
		}
	}
	ticks, err := cron.ParseStandard(line)
	if err != nil {
		return Schedule{}, err
	}
	s := Schedule{zone: zone}
	switch t := ticks.(type) {
	case *cron.SpecSchedule:
		t.Location = time.UTC
		s.spec = t
	case cron.ConstantDelaySchedule:
		if t.Delay < MinInterval {
			return Schedule{}, fmt.Errorf("every %s is more often than every minute", t.Delay)
		}
		s.every = t.Delay
	}
	// From the beginning of a leap year, so that a 29th of February is found: the parser looks five years ahead.
	if s.Next(time.Date(2028, 1, 1, 0, 0, 0, 0, time.UTC)).IsZero() {
		return Schedule{}, errors.New("no day is like this: it never comes due")
	}
	return s, nil
}
