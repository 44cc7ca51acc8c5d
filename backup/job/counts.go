package job

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"slices"

	"github.com/robustmq/robustmq-operator/internal/agent/client"
	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
)

// Countable are the names of what can be counted, in order.
func Countable() []string { return slices.Sorted(maps.Keys(protocol.CountPaths)) }

// counter is the agent that is asked for numbers: the one that the request names, or the source's.
func (w *work) counter(s *source) (client.Client, error) {
	if w.request.Take.Counter == "" {
		return s.agent, nil
	}
	return w.agent(w.request.Take.ServerName, w.request.Take.Counter)
}

// count asks for numbers. One that it does not say is left out, with a warning: a backup is worth more than a number in it.
func (w *work) count(ctx context.Context, agent client.Client) map[string]int64 {
	counts := map[string]int64{}
	for _, name := range w.request.Take.Counts {
		data, err := agent.Admin(ctx, http.MethodGet, protocol.CountPaths[name]+"?limit=1&page=1", nil)
		var n int64
		if err == nil {
			n, err = total(data)
		}
		if err != nil {
			w.Log.Info("not counted", "what", name, "error", err)
			continue
		}
		counts[name] = n
	}
	return counts
}

// total of a list, of which the server sends a page and says how long it is (seen on 0.4.11).
func total(data json.RawMessage) (int64, error) {
	var list struct {
		Total *int64 `json:"total_count"`
	}
	if err := json.Unmarshal(data, &list); err != nil || list.Total == nil || *list.Total < 0 {
		return 0, errNoTotal
	}
	return *list.Total, nil
}

var errNoTotal = errors.New("the list does not say how long it is")

// steady keeps the numbers that were the same before and after the image: they are those in it. A restore is compared with them, so one that moved is left out.
func (w *work) steady(before, after map[string]int64) map[string]int64 {
	counts := map[string]int64{}
	for _, name := range w.request.Take.Counts {
		was, known := before[name]
		is, still := after[name]
		switch {
		case !known || !still:
			w.warn("%s could not be counted: a restore will not be compared in this", name)
		case was != is:
			w.warn("%s went from %d to %d while the image was taken: a restore will not be compared in this", name, was, is)
		default:
			counts[name] = is
		}
	}
	return counts
}
