package cluster

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/go-logr/logr/funcr"

	"github.com/robustmq/robustmq-operator/internal/topology"
)

// said are the lines of a log.
type said []string

func (s *said) logger() logr.Logger {
	return funcr.New(func(_, args string) { *s = append(*s, args) }, funcr.Options{})
}

func TestTheLogTellsOfAWaitWhenItIsDecidedOtherwiseAndNotAtEveryPass(t *testing.T) {
	var lines said
	p := &pass{log: lines.logger(), memory: &memory{}}
	now := time.Unix(0, 0)
	waits := func(ws ...topology.Wait) int {
		now = now.Add(2 * time.Second)
		before := len(lines)
		p.tellWaits(topology.Plan{Waits: ws}, now)
		return len(lines) - before
	}
	for i, c := range []struct {
		waits []topology.Wait
		want  int
	}{
		{nil, 0}, // nothing was told before
		{[]topology.Wait{{Reason: "Seeding", Message: "1 of 9 MB"}}, 1},
		{[]topology.Wait{{Reason: "Seeding", Message: "1 of 9 MB"}}, 0},
		{[]topology.Wait{{Reason: "Seeding", Message: "2 of 9 MB"}}, 0}, // progress
		{[]topology.Wait{{Reason: "Seeding", Message: "3 of 9 MB"}, {Reason: "Seeding", Message: "of another pod"}}, 0},
		{[]topology.Wait{{Reason: "Fenced", Message: "x"}, {Reason: "Seeding", Message: "3 of 9 MB"}}, 1},
		{nil, 1},
		{nil, 0},
	} {
		if got := waits(c.waits...); got != c.want {
			t.Errorf("pass %d: %d lines, want %d: %v", i, got, c.want, lines)
		}
	}
	waits(topology.Wait{Reason: "Seeding", Message: "4 of 9 MB"})
	now = now.Add(toldAgain)
	if waits(topology.Wait{Reason: "Seeding", Message: "5 of 9 MB"}) != 1 {
		t.Errorf("after a while progress is told: %v", lines)
	}
}

func TestAStepThatFailedIsToldWithWhatItWasFor(t *testing.T) {
	var lines said
	cause := errors.New("no answer")
	err := fmt.Errorf("pass: %w", &failedStep{topology.Step{Kind: topology.StepRestart, Pod: "c-0", Reason: "it hung"}, cause})
	tellFailed(lines.logger(), err)
	tellFailed(lines.logger(), cause)
	want := said{`"level"=0 "msg"="step failed" "step"="Restart" "pod"="c-0" "reason"="it hung" "error"="no answer"`, `"level"=0 "msg"="the steps of this pass were not taken" "error"="no answer"`}
	if !slices.Equal(lines, want) || !errors.Is(err, cause) {
		t.Errorf("%q", []string(lines))
	}
}
