package simulator

import (
	"context"
	"encoding/json"
	"net"
	"sync/atomic"
	"testing"
)

// echoing answers every frame with its Next, on as many connections as there are; it returns a dial to it, and how many were made.
func echoing(t *testing.T) (DialFunc, *atomic.Int64, chan net.Conn) {
	t.Helper()
	var dialled atomic.Int64
	served := make(chan net.Conn, 100)
	return func(context.Context, string, string) (net.Conn, error) {
		dialled.Add(1)
		here, there := net.Pipe()
		served <- there
		go func() {
			decoder, encoder := json.NewDecoder(there), json.NewEncoder(there)
			for {
				var f frame
				if decoder.Decode(&f) != nil || encoder.Encode(frameReply{Next: f.Next}) != nil {
					return
				}
			}
		}()
		return here, nil
	}, &dialled, served
}

func TestAConnectionBetweenEnginesServesOneRequestAfterAnotherUntilItBreaks(t *testing.T) {
	dial, dialled, served := echoing(t)
	ctx, cancel := context.WithCancel(t.Context())
	e := &engine{lines: newLines(ctx, dial)}
	ask := func(next uint64) error {
		reply, err := e.roundTrip(t.Context(), "a:1", frame{Next: next})
		if err == nil && reply.Next != next {
			t.Errorf("answered %d to %d", reply.Next, next)
		}
		return err
	}
	for i := range uint64(3) {
		if err := ask(i); err != nil {
			t.Fatal(err)
		}
	}
	if dialled.Load() != 1 {
		t.Errorf("%d connections for requests that followed each other", dialled.Load())
	}
	if err := (<-served).Close(); err != nil {
		t.Fatal(err)
	}
	if err := ask(4); err == nil {
		t.Error("answered on a connection that is broken")
	}
	if err := ask(5); err != nil || dialled.Load() != 2 {
		t.Errorf("%v, %d connections: a broken one is made anew with the next try", err, dialled.Load())
	}
	second := <-served
	cancel() // the process ends
	if _, err := second.Read(make([]byte, 1)); err == nil {
		t.Error("a connection outlived its process")
	}
	if err := ask(6); err != nil {
		t.Fatal(err)
	}
	if len(e.lines.idle["a:1"]) != 0 {
		t.Error("a connection was kept for nobody")
	}
}

func TestOnlySoManyConnectionsAreKept(t *testing.T) {
	dial, dialled, _ := echoing(t)
	l := newLines(t.Context(), dial)
	var taken []*line
	for range 2 * keptLines {
		one, err := l.take(t.Context(), "a:1")
		if err != nil {
			t.Fatal(err)
		}
		taken = append(taken, one)
	}
	for _, one := range taken {
		l.give("a:1", one)
	}
	if len(l.idle["a:1"]) != keptLines || dialled.Load() != 2*keptLines {
		t.Errorf("%d are kept of %d", len(l.idle["a:1"]), dialled.Load())
	}
	if _, err := l.take(t.Context(), "b:1"); err != nil || dialled.Load() != 2*keptLines+1 {
		t.Errorf("another node was given this one's: %v", err)
	}
}
