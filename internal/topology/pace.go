package topology

import (
	"fmt"
	"time"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
)

// logKept is how many entries of a raft group's log RobustMQ keeps behind its snapshots. A member that was away for longer is sent a snapshot when it comes back, in a planned restart as well,
// takes nothing of it (seen at 500 writes/s after 2 s), and has to be filled from another member.
const logKept = 1000

// Pace measures how fast the leaders' logs grow. The zero value is ready for use; it lives in memory only.
type Pace struct {
	at    time.Time
	last  map[string]uint64
	rates map[string]float64
}

// Observe takes what the leaders have now, and returns the entries per second of each raft group over the last Limits.Pace or more; nil until that has passed once. A group that somebody
// else has come to lead may have a shorter log: then it has not grown.
func (t *Pace) Observe(now time.Time, s Snapshot) map[string]float64 {
	elapsed := now.Sub(t.at)
	if t.last != nil && elapsed < s.Limits.Pace {
		return t.rates
	}
	h := assess(s)
	last, rates := map[string]uint64{}, map[string]float64{}
	for _, group := range s.Wanted.Groups {
		l, ok := h.Leader(group)
		if !ok {
			continue
		}
		last[group] = l.Agent.Groups[group].LastLog
		if before, known := t.last[group]; known && last[group] > before {
			rates[group] = float64(last[group]-before) / elapsed.Seconds()
		}
	}
	if t.last != nil {
		t.rates = rates
	}
	t.at, t.last = now, last
	return t.rates
}

// outrun says how fast the log of a raft group grows that would leave a member behind while it is restarted or made anew; 0: none does. Lag is what it may lack already.
// The group that it leads itself does not grow meanwhile.
func outrun(s Snapshot, h Health, m Member) float64 {
	if m.Role != v1alpha1PlacementCenter {
		return 0
	}
	away := s.Limits.RestartAway
	if m.TemplateStale {
		away = s.Limits.ReplaceAway
	}
	fastest := 0.0
	for group, rate := range s.Pace {
		if l, ok := h.Leader(group); ok && l.NodeID != m.NodeID && rate*away.Seconds() > float64(logKept-s.Limits.Lag) {
			fastest = max(fastest, rate)
		}
	}
	return fastest
}

// writesCalm holds a follower of the placement centre back while metadata is written so fast that it would come back behind the log, for Limits.Calm at most: then it goes all the same, and is
// filled from another member if it has to be.
func writesCalm(s Snapshot, h Health, m Member) *Wait {
	if m.Role != v1alpha1PlacementCenter {
		return nil
	}
	wait := Wait{Reason: v1alpha1.ReasonRestarting, Background: true}
	if m.TemplateStale {
		wait.Reason = v1alpha1.ReasonReplacing
	}
	rate := outrun(s, h, m)
	switch {
	case s.PaceUnknown && len(h.LeaderOf(m.NodeID)) < len(s.Wanted.Groups):
		wait.Message = "how fast metadata is written is being measured"
	case rate != 0 && s.Seen[Symptom{Kind: SymptomWritesFast}] <= s.Limits.Calm:
		wait.Message = fmt.Sprintf("metadata is written at %.0f entries/s, of which RobustMQ keeps %d for who is away; a calmer moment is waited for, for %s at most", rate, logKept, s.Limits.Calm)
	default:
		return nil
	}
	return &wait
}

// writesFast reports whether a change waits for a member that the log would leave behind.
func writesFast(s Snapshot, h Health) bool {
	for _, m := range s.Members {
		if s.wantedOf(m) && changes(m) && outrun(s, h, m) != 0 {
			return true
		}
	}
	return false
}

// behindAfter is said of a step that is taken although the log will leave the member behind.
func behindAfter(s Snapshot, h Health, m Member) string {
	if outrun(s, h, m) == 0 {
		return ""
	}
	return fmt.Sprintf("; metadata is written at %.0f entries/s: it may come back behind the log, and is filled from another member then", outrun(s, h, m))
}
