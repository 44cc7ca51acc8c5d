package job

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/robustmq/robustmq-operator/internal/agent/client"
	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
	"github.com/robustmq/robustmq-operator/internal/pause"
)

// maxSpoiled is how often a member may say that what it received of a file is something else than was announced, or less than was sent. The first times it may be the network's fault, or a crash's.
const maxSpoiled = 3

// slowDisk in bytes per second: a member writes a file to its disk, reads it back and hashes it before it answers.
const slowDisk = 10 << 20

// target is a member that gets a backup. What it has of each file, its agent says.
type target struct {
	pod      string
	agent    client.Client
	request  protocol.PlacementRequest
	patience Patience
	// limit is how long the member may do nothing of what is asked of it.
	limit time.Duration
	log   *slog.Logger
	court *atomic.Int64 // calls that wait for their members

	mu    sync.Mutex
	files map[string]*arrived
	lost  int // how often files that were verified were not there in the end
}

// arrived is what a member has of a file.
type arrived struct {
	size, received int64
	verified       bool
	unsure         bool          // a call was not answered: the agent has to be asked
	most           int64         // bytes that it took at least once
	spoiled        int           // how often it came to nothing although it was sent whole
	failures       int           // since a byte that was new
	idle           time.Duration // of the member, since then
}

func newTarget(m RestoreMember, agent client.Client, request protocol.PlacementRequest, w *work, court *atomic.Int64) *target {
	request.NodeID = m.NodeID
	t := &target{pod: m.Pod, agent: agent, request: request, patience: w.Patience, limit: w.watch.limit, log: w.Log.With("pod", m.Pod), court: court, files: map[string]*arrived{}}
	for _, f := range request.Files {
		t.files[f.Name] = &arrived{size: f.Size}
	}
	return t
}

// begin announces the backup to the member, or finds what an earlier Job has left there.
func (t *target) begin(ctx context.Context) error {
	var p protocol.Placement
	err := t.call(ctx, "announcing the backup", func(ctx context.Context) (err error) {
		p, err = t.agent.BeginPlacement(ctx, t.request)
		return err
	})
	if err != nil {
		return err
	}
	if p.Received > 0 {
		t.log.Info("going on where an earlier Job ended", "received", p.Received, "of", p.Total)
	}
	return t.learn(p, true)
}

// refresh asks the member what it has, if that is not known.
func (t *target) refresh(ctx context.Context) error {
	t.mu.Lock()
	needed := false
	for _, a := range t.files {
		needed = needed || a.unsure
	}
	t.mu.Unlock()
	if !needed {
		return nil
	}
	_, err := t.ask(ctx, false)
	return err
}

// ask the member what it has, of every file or of those where that is not known.
func (t *target) ask(ctx context.Context, all bool) (p protocol.Placement, err error) {
	err = t.call(ctx, "asking what it has received", func(ctx context.Context) (err error) {
		p, err = t.agent.Placement(ctx, t.request.ID)
		return err
	})
	if err == nil {
		err = t.learn(p, all)
	}
	return p, err
}

// learn takes the agent's word for what it has, as far as that can be true. Of files whose calls were answered it is not news, and may be older than the answer.
func (t *target) learn(p protocol.Placement, all bool) error {
	whole := false
	switch p.Phase {
	case protocol.PlacementReceiving:
	case protocol.PlacementReceived, protocol.PlacementPlacing, protocol.PlacementPlaced, protocol.PlacementOpen, protocol.PlacementFailed:
		whole = true
	default:
		return t.refused(fmt.Errorf("its placement %s is %s", t.request.ID, p.Phase), "the restore was taken back: make another one")
	}
	if p.ID != t.request.ID || len(p.Files) != len(t.request.Files) {
		return t.refused(fmt.Errorf("its agent speaks of the placement %.80q with %d files, and was asked for %s with %d", p.ID, len(p.Files), t.request.ID, len(t.request.Files)), adviceVersions)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for i, f := range p.Files {
		want := t.request.Files[i]
		if f.Name != want.Name || !possible(f, want.Size) || whole && !f.Verified && p.Phase == protocol.PlacementReceived {
			return t.refused(fmt.Errorf("its agent says %+v of the file %s of %d bytes, and that the placement is %s, which cannot be", f, want.Name, want.Size, p.Phase), adviceVersions)
		}
		a := t.files[f.Name]
		if !all && !a.unsure {
			continue
		}
		a.received, a.verified, a.unsure = f.Received, f.Verified || whole, false
	}
	return nil
}

func possible(f protocol.PlacedFile, size int64) bool {
	return f.Size == size && f.Received >= 0 && f.Received <= size && (!f.Verified || f.Received == size)
}

const adviceVersions = "operator and agents may be of different versions: a pod takes a new agent when it is restarted"

// lacks says from which offset on the member needs a file, if it does.
func (t *target) lacks(name string) (offset int64, lacks bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	a := t.files[name]
	return a.received, !a.verified
}

// doubts reports whether what the member received of a file came to nothing although it was sent whole.
func (t *target) doubts(name string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.files[name].spoiled > 0
}

// watched makes a leg for a file from an offset on, and the context of the call that sends it.
func (t *target) watched(ctx context.Context, name string, offset int64) (context.Context, *leg) {
	size := t.files[name].size
	ctx, watch := watchCall(ctx, t.patience.Lost, t.toAnswer(size), t.court)
	return ctx, newLeg(offset, size, watch)
}

// toAnswer is how long the member may take for a file of which it has everything.
func (t *target) toAnswer(size int64) time.Duration {
	return t.limit + time.Duration(size/slowDisk)*time.Second
}

// send a leg to the member. Only what no repetition mends is an error; anything else is seen at the next round.
func (t *target) send(ctx context.Context, name string, offset int64, l *leg, failed func() bool) error {
	answer, err := t.agent.PutFile(ctx, t.request.ID, name, offset, l)
	l.end()
	idle := l.watch.end()
	if failed() { // the source did: what came of the call is the consequence
		t.unsure(name)
		return nil
	}
	if err == nil {
		return t.answered(name, answer)
	}
	return t.failed(name, offset+l.bytes(), idle, err)
}

func (t *target) unsure(name string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.files[name].unsure = true
}

// answered is what the member says of a file of which it got everything.
func (t *target) answered(name string, f protocol.PlacedFile) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	a := t.files[name]
	if f.Name != name || !possible(f, a.size) {
		return t.refused(fmt.Errorf("its agent says %+v of the file %s of %d bytes, which cannot be", f, name, a.size), adviceVersions)
	}
	a.received, a.verified, a.unsure, a.idle = f.Received, f.Verified, false, 0
	if f.Verified {
		return nil
	}
	return t.spoiled(a, fmt.Errorf("it got all %d bytes of %s, and its agent says that it has %d, and not that they are verified", a.size, name, f.Received))
}

// spoiled counts a file that came to nothing although it was sent whole. The lock is held.
func (t *target) spoiled(a *arrived, err error) error {
	a.spoiled++
	if a.spoiled < maxSpoiled {
		t.log.Warn("a file has to be sent again", "time", a.spoiled, "error", err)
		return nil
	}
	return t.refused(fmt.Errorf("%d times: %w", a.spoiled, err), "the backup is as it was saved, so look at the pod's disk and memory, and at the network before it")
}

// failed is a call that came to nothing, after so many bytes of the file were taken, and so long after the last of them.
func (t *target) failed(name string, reached int64, idle time.Duration, err error) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	a := t.files[name]
	a.unsure = true
	if reached > a.most { // nobody has been there: that is a step forward
		a.most, a.idle, a.failures = reached, 0, 0
	}
	switch client.Reason(err) {
	case protocol.ReasonBadData, protocol.ReasonBadRequest:
		return t.spoiled(a, err)
	case protocol.ReasonConflict: // the bytes that the call before has sent arrived later than its end
	default:
		if v := t.judge("receiving "+name, err); v.patience == 0 {
			return v.failure
		}
	}
	a.failures++
	a.idle += idle + t.backoff(a.failures)
	t.log.Info("trying again", "file", name, "at", reached, "error", err)
	if a.idle > t.limit {
		return t.silent(fmt.Sprintf("receiving %s at %d of %d bytes", name, reached, a.size), err)
	}
	return nil
}

// finish makes sure that the member has everything, and says so.
func (t *target) finish(ctx context.Context) (done bool, err error) {
	for attempt := 1; ; attempt++ {
		p, err := t.ask(ctx, true)
		switch {
		case err != nil:
			return false, err
		case p.Phase != protocol.PlacementReceiving:
			return true, nil
		case !t.complete():
			t.lost++
			if t.lost == maxSpoiled {
				return false, t.refused(fmt.Errorf("it has verified every file, and %d times its agent did not have all of them afterwards", t.lost), "look at the pod's disk, and whether something else writes to it")
			}
			return false, nil
		case attempt > 5:
			return false, t.refused(fmt.Errorf("every file is verified, and the placement %s is %s", t.request.ID, p.Phase), adviceVersions)
		}
		// The last file was verified while something kept the agent from noting that it was the last.
		last := t.request.Files[len(t.request.Files)-1]
		err = t.call(ctx, "noting that everything is there", func(ctx context.Context) error {
			ctx, cancel := context.WithTimeout(ctx, t.toAnswer(last.Size))
			defer cancel()
			_, err := t.agent.PutFile(ctx, t.request.ID, last.Name, last.Size, bytes.NewReader(nil))
			return err
		})
		if err != nil {
			return false, err
		}
	}
}

func (t *target) complete() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, a := range t.files {
		if !a.verified {
			return false
		}
	}
	return true
}

// call repeats a call until it is answered, within the member's patience.
func (t *target) call(ctx context.Context, doing string, call func(context.Context) error) error {
	t.court.Add(1)
	defer t.court.Add(-1)
	began := time.Now()
	for attempt := 1; ; attempt++ {
		err := call(ctx)
		if err == nil || ctx.Err() != nil {
			return err
		}
		if v := t.judge(doing, err); time.Since(began) >= v.patience {
			return v.failure
		}
		t.log.Info("trying again", "doing", doing, "error", err)
		if err := pause.For(ctx, t.backoff(attempt)); err != nil {
			return err
		}
	}
}

// backoff after a number of failures.
func (t *target) backoff(failures int) time.Duration { return t.patience.backoff(failures) }

// verdict on an error: what it means when it stays, and for how long it may: 0 where no repetition mends it.
type verdict struct {
	failure  error
	patience time.Duration
}

func (t *target) judge(doing string, err error) verdict {
	var (
		verification *tls.CertificateVerificationError
		unknown      x509.UnknownAuthorityError
		remote       *net.OpError
	)
	switch {
	case client.Reason(err) != "":
	case errors.As(err, &verification), errors.As(err, &unknown), errors.As(err, &remote) && remote.Op == "remote error": // an alert of TLS
		return verdict{fail(AgentRefused, fmt.Errorf("%s: its agent and the Job do not trust one another: %w", t.pod, err), "certificates are made by the operator and reach the pods within two minutes: run it again"), t.patience.Lost}
	default:
		return verdict{t.silent(doing, err), t.limit}
	}
	switch client.Reason(err) {
	case protocol.ReasonNotFound:
		return verdict{t.refused(fmt.Errorf("%s: %w", doing, err), "the restore was taken back, or the volume was emptied meanwhile: look at the restore, and make another one"), 0}
	case protocol.ReasonForbidden, protocol.ReasonBadRequest:
		return verdict{fail(AgentRefused, fmt.Errorf("%s: %s: %w", t.pod, doing, err), adviceVersions), 0}
	case protocol.ReasonNoSpace:
		return verdict{fail(NoSpace, fmt.Errorf("%s: %s: %w", t.pod, doing, err), "grow the volume of the member, or free space on it: it has to hold the backup beside what it has"), 0}
	case protocol.ReasonBusy:
		return verdict{fail(Busy, fmt.Errorf("%s: %s: its agent is busy with something else: %w", t.pod, doing, err), "one placement at a time: revert or discard the other one, or wait until it is gone"), t.limit}
	case protocol.ReasonConflict: // a server that is being stopped, a transfer that ends
		return verdict{t.refused(fmt.Errorf("%s: %w", doing, err), ""), t.patience.Lost}
	}
	return verdict{t.refused(fmt.Errorf("%s: its agent fails at it for %s: %w", doing, t.limit, err), "look at the pod's log and at its volume"), t.limit}
}

func (t *target) refused(err error, advice string) error {
	return fail(PlacementRefused, fmt.Errorf("%s: %w", t.pod, err), advice)
}

func (t *target) silent(doing string, err error) error {
	return fail(AgentLost, fmt.Errorf("%s: %s: its agent does not answer, or takes nothing, for %s: %w", t.pod, doing, t.limit, err),
		"its pod was stopped, replaced or cut off, or its disk hangs: when it is back, the restore goes on where it stopped")
}
