package cluster

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-logr/logr"

	"github.com/robustmq/robustmq-operator/internal/topology"
)

// told is what the log said last of what a cluster waits for.
type told struct {
	reasons, text string
	at            time.Time
}

// toldAgain is how long the log waits before it tells of other words for the same reasons: progress moves with every pass.
const toldAgain = 30 * time.Second

// tellWaits puts a line into the log when what a cluster waits for is decided otherwise, and none while it stays as it is.
func (p *pass) tellWaits(plan topology.Plan, now time.Time) {
	var reasons []string
	for _, w := range plan.Waits {
		reasons = append(reasons, w.Reason)
	}
	slices.Sort(reasons) // how many pods wait for the same is told by the status
	next := told{reasons: strings.Join(slices.Compact(reasons), " "), at: now}
	if len(plan.Waits) > 0 {
		next.text = plan.Waits[0].Message
	}
	last := p.memory.told
	if next.reasons == last.reasons && (next.text == last.text || now.Sub(last.at) < toldAgain) {
		return
	}
	p.memory.told = next
	if len(plan.Waits) == 0 {
		p.log.Info("nothing is waited for any more", "step", "none", "reason", "")
		return
	}
	first := plan.Waits[0]
	p.log.Info("waiting", "step", "none", "reason", first.Reason, "message", first.Message, "trouble", first.Trouble, "waits", len(plan.Waits))
}

// failedStep is a step that was refused, or not answered.
type failedStep struct {
	step topology.Step
	err  error
}

func (e *failedStep) Error() string { return fmt.Sprintf("%s %s: %v", e.step.Kind, e.step.Pod, e.err) }

func (e *failedStep) Unwrap() error { return e.err }

// tellFailed puts a line into the log of what was not carried out.
func tellFailed(log logr.Logger, err error) {
	var failed *failedStep
	if errors.As(err, &failed) {
		log.Info("step failed", "step", failed.step.Kind, "pod", failed.step.Pod, "reason", failed.step.Reason, "error", failed.err.Error())
		return
	}
	log.Info("the steps of this pass were not taken", "error", err.Error())
}

// tellConverged tells how long the steps took that have brought what they were for.
func (r *Reconciler) tellConverged(p *pass) {
	for _, done := range p.memory.converging.Observe(p.seen, p.snapshot) {
		r.Metrics.Converged(string(done.Kind), done.Took)
		p.log.Info("step converged", "step", done.Kind, "pod", done.Pod, "took", done.Took.Round(100*time.Millisecond).String())
	}
}
