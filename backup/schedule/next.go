package schedule

import "time"

// always is the hour field of a line that does not choose among hours.
const always = 1<<24 - 1

// Next is the first tick after a time, or the zero time if there is none within about five years. The tick of an @every is counted from that time.
//
// When a clock is put forward, ticks of the hour that is left out come once, at the moment of the change. When it is put back, a line that names hours has its ticks
// once, in the first of the two hours; one for every hour has them in both, so that its backups keep their distance. So no night is without its backup and none has two.
func (s Schedule) Next(after time.Time) time.Time {
	if s.every > 0 {
		return after.Add(s.every).Truncate(time.Second)
	}
	if s.spec == nil {
		return time.Time{}
	}
	fixed := s.spec.Hour&always != always
	at := after.In(s.zone)
	start, end := at.ZoneBounds()
	_, offset := at.Zone()
	wall := wallOf(after, offset)
	for {
		tick := s.spec.Next(wall)
		if tick.IsZero() {
			return time.Time{}
		}
		instant := tick.Add(-seconds(offset))
		if end.IsZero() || instant.Before(end) {
			if fixed && repeated(instant, start, offset, s.zone) {
				wall = tick
				continue
			}
			return instant.In(s.zone)
		}
		// The clock changes before that tick.
		_, changed := end.In(s.zone).Zone()
		if resumes := wallOf(end, changed); fixed && changed > offset && tick.Before(resumes) {
			return end.In(s.zone) // the wall clock never shows it
		}
		offset = changed
		wall = wallOf(end, offset).Add(-time.Second) // a tick at the very moment counts
		start = end
		_, end = end.In(s.zone).ZoneBounds()
	}
}

func seconds(n int) time.Duration { return time.Duration(n) * time.Second }

// wallOf is what the clock on the wall shows, written as a time of UTC.
func wallOf(t time.Time, offset int) time.Time { return t.UTC().Add(seconds(offset)) }

// repeated reports whether the wall clock showed this before the change at start.
func repeated(instant, start time.Time, offset int, zone *time.Location) bool {
	if start.IsZero() {
		return false
	}
	_, before := start.Add(-time.Second).In(zone).Zone()
	return instant.Before(start.Add(seconds(before - offset)))
}
