// Package pause waits until a time has passed or nobody waits any more.
package pause
