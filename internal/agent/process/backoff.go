package process

import "time"

// Backoff spaces the starts of a server that keeps dying: First, then doubling up to Max; a server that ran for Stable starts at First again.
// It is a value: next returns the delay and the state after it.
type Backoff struct {
	First, Max, Stable time.Duration

	failures int
}

// Next returns how long to wait after a server died that had run for ran.
func (b *Backoff) Next(ran time.Duration) time.Duration {
	if ran >= b.Stable {
		b.failures = 0
	}
	delay := b.First
	for range b.failures {
		if delay *= 2; delay >= b.Max {
			delay = b.Max
			break
		}
	}
	b.failures++
	return delay
}

// Reset forgets earlier failures: somebody ordered a start.
func (b *Backoff) Reset() { b.failures = 0 }
