package agent

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/robustmq/robustmq-operator/internal/agent/client"
	"github.com/robustmq/robustmq-operator/internal/agent/process"
	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
	"github.com/robustmq/robustmq-operator/internal/robustmq/config"
)

// told is what a call of protocol.PathEnd was answered.
type told struct {
	end protocol.End
	err error
}

// askEnd asks for the pod's end, and returns when the agent has heard it.
func (p *pod) askEnd() <-chan told {
	p.w.t.Helper()
	answer := make(chan told, 1)
	operator := p.operator()
	go func() {
		end, err := operator.End(p.w.t.Context())
		answer <- told{end, err}
	}()
	eventually(p.w.t, "the agent has heard the question", func() bool {
		p.agent.last.mu.Lock()
		defer p.agent.last.mu.Unlock()
		return p.agent.last.waiting > 0
	}, func() any { return "" })
	return answer
}

func TestThePodsEndIsToldWhenItsServerHasEndedAndIsKept(t *testing.T) {
	w := newWorld(t)
	p := w.add(config.RolePlacementCenter, 0).initialised(nil).start()
	p.eventually("the server runs", runs)
	w.script(1).set(func(b *behaviour) { b.deaf = true })
	answer := p.askEnd()
	p.agent.Terminate()
	never(t, "an answer while the server runs", 300*time.Millisecond, func() bool { return len(answer) > 0 })
	w.server(1).finish(process.ExitStatus{})
	if a := <-answer; a.err != nil || a.end != (protocol.End{Pod: p.Name, BootID: "boot"}) || w.server(1) != nil {
		t.Errorf("%+v", a)
	}
	<-p.exit
	// A container of the same pod that is started again starts nothing: the pod's successor may have the volume.
	p.start()
	select {
	case code := <-p.exit:
		if code != 0 || w.startsOf(1) != 1 {
			t.Errorf("code %d, %d starts", code, w.startsOf(1))
		}
	case <-time.After(patience):
		t.Fatalf("it goes on, with %d starts", w.startsOf(1))
	}
	// The next pod has a run directory of its own.
	if err := os.Remove(filepath.Join(p.Paths.RunDir, endedFile)); err != nil {
		t.Fatal(err)
	}
	p.start().eventually("the server runs", runs)
}

func TestAPodWhoseEndNobodyAskedForStartsAgain(t *testing.T) {
	w := newWorld(t)
	p := w.add(config.RolePlacementCenter, 0).initialised(nil).start()
	p.eventually("the server runs", runs)
	p.agent.Terminate() // for a probe that failed, or another image
	<-p.exit
	p.start().eventually("the server runs", runs)
}

func TestAnEndThatIsNotCertainIsNotTold(t *testing.T) {
	for name, end := range map[string]func(*pod){
		"the agent is killed":            func(p *pod) { p.kill() },
		"an order is being carried out":  func(p *pod) { p.agent.orders.Lock(); p.agent.Terminate() },
		"the promise cannot be written":  func(p *pod) { p.agent.o.Paths.RunDir = filepath.Join(p.Root, "none"); p.agent.Terminate() },
		"the agent had been ended first": nil,
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			p := w.add(config.RolePlacementCenter, 0).initialised(nil).start()
			p.eventually("the server runs", runs)
			var a told
			if end == nil {
				p.agent.last.mu.Lock()
				p.agent.last.closed = true
				p.agent.last.mu.Unlock()
				_, a.err = p.operator().End(t.Context())
			} else {
				answer := p.askEnd()
				end(p)
				a = <-answer
				<-p.exit
			}
			if client.Reason(a.err) != protocol.ReasonConflict {
				t.Errorf("%+v", a)
			}
			if p.agent.endedForGood() {
				t.Error("a container that is started again would start nothing")
			}
		})
	}
}

func TestWhoHangsUpIsNotWaitedFor(t *testing.T) {
	w := newWorld(t)
	p := w.add(config.RolePlacementCenter, 0).initialised(nil).start()
	p.eventually("the server runs", runs)
	ctx, cancel := context.WithCancel(t.Context())
	go func() { _, _ = p.operator().End(ctx) }()
	waiting := func() int {
		p.agent.last.mu.Lock()
		defer p.agent.last.mu.Unlock()
		return p.agent.last.waiting
	}
	eventually(t, "the question is heard", func() bool { return waiting() == 1 }, func() any { return waiting() })
	cancel()
	eventually(t, "it is forgotten", func() bool { return waiting() == 0 }, func() any { return waiting() })
	p.agent.Terminate()
	<-p.exit
	p.start().eventually("the server runs", runs)
}
