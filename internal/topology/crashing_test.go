package topology

import (
	"slices"
	"strings"
	"testing"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
)

func TestAServerThatEndsAgainAndAgainIsNamedAndItsVolumeSuspectedOnlyByItsOwnWords(t *testing.T) {
	for _, c := range []struct {
		starts          int
		exit            string
		again, suspects bool
	}{
		{1, "Exited, exit code 1: Corruption: block checksum mismatch", false, false},
		{4, "Exited, exit code 1: Timeout waiting for topic", false, false},
		{5, "Exited, exit code 1: Timeout waiting for topic '$retain-message'", true, false},
		{9, "Exited, exit code 1: Corruption: block checksum mismatch in 000012.sst", true, true},
		{9, "Exited, exit code 101: IO error: No space left on device", true, true},
	} {
		w := living(3)
		a := w.member(3).Agent
		a.Server, a.Groups, a.Starts, a.ServerExit = ServerExited, nil, c.starts, c.exit
		p := Decide(w.s)
		i := slices.IndexFunc(p.Waits, func(w Wait) bool { return w.Reason == v1alpha1.ReasonServerCrashing })
		if i < 0 || !p.Waits[i].Trouble {
			t.Fatalf("%+v", p.Waits)
		}
		text := p.Waits[i].Message
		if strings.Contains(text, "again and again") != c.again || strings.Contains(text, "suspected") != c.suspects || !strings.Contains(text, c.exit) {
			t.Errorf("%d starts: %s", c.starts, text)
		}
		if slices.ContainsFunc(p.Steps, func(s Step) bool { return s.Kind == StepWipe || s.Pod == pc2 }) {
			t.Errorf("%+v", p.Steps)
		}
	}
}
