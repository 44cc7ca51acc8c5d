package pause

import (
	"context"
	"time"
)

// For waits for d, which may be zero or less: then it does not wait. It returns the error of ctx when that ends first.
func For(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
