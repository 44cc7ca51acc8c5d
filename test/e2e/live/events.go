package live

import (
	"context"
	"fmt"
	"slices"
	"time"

	eventsv1 "k8s.io/api/events/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Event is one thing that the operator told.
type Event struct {
	At                    time.Time // first time
	Type, Reason, Message string
	Count                 int32
}

// Events returns what was told of an object with this UID (any UID when it is empty), in order.
func (k *Kubernetes) Events(ctx context.Context, kind string, key client.ObjectKey, uid string) ([]Event, error) {
	var list eventsv1.EventList
	if err := k.List(ctx, &list, client.InNamespace(key.Namespace)); err != nil {
		return nil, fmt.Errorf("listing events in %s: %w", key.Namespace, err)
	}
	var out []Event
	for _, e := range list.Items {
		if e.Regarding.Kind != kind || e.Regarding.Name != key.Name || uid != "" && string(e.Regarding.UID) != uid {
			continue
		}
		out = append(out, Event{At: firstSeen(e), Type: e.Type, Reason: e.Reason, Message: e.Note, Count: count(e)})
	}
	// Events of one burst have microseconds between them; the sort is stable, so equal ones stay as the API server has them.
	slices.SortStableFunc(out, func(a, b Event) int { return a.At.Compare(b.At) })
	return out, nil
}

func firstSeen(e eventsv1.Event) time.Time {
	if !e.EventTime.IsZero() {
		return e.EventTime.Time
	}
	if !e.DeprecatedFirstTimestamp.IsZero() {
		return e.DeprecatedFirstTimestamp.Time
	}
	return e.CreationTimestamp.Time
}

func count(e eventsv1.Event) int32 {
	if e.Series != nil {
		return e.Series.Count
	}
	return max(e.DeprecatedCount, 1)
}
