package archive

import "time"

// Backdate makes a lock as old as if its holder had slept.
func Backdate(l *Lock, by time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.modified = l.modified.Add(-by)
}
