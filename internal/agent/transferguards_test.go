package agent

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/robustmq/robustmq-operator/backup/image"
	"github.com/robustmq/robustmq-operator/backup/image/imagetest"
	"github.com/robustmq/robustmq-operator/internal/agent/client"
	"github.com/robustmq/robustmq-operator/internal/agent/images"
	"github.com/robustmq/robustmq-operator/internal/agent/process"
	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
	"github.com/robustmq/robustmq-operator/internal/agent/transfer"
	"github.com/robustmq/robustmq-operator/internal/agent/volume"
	"github.com/robustmq/robustmq-operator/internal/robustmq"
	"github.com/robustmq/robustmq-operator/internal/robustmq/config"
)

// ordered gives one order of a transfer of any ID.
func (p *pod) ordered(id string, action protocol.TransferAction, target uint64, terms map[string]uint64) (protocol.Transfer, error) {
	p.w.t.Helper()
	return p.operator().Transfer(p.w.t.Context(), protocol.TransferOrder{ID: id, Action: action, Target: target, Terms: terms})
}

// refuses checks that the pod refuses an order of transfer a, which shall go to node 2, for a reason and in words.
func (p *pod) refuses(action protocol.TransferAction, reason, words string) {
	p.w.t.Helper()
	answer, err := p.transfer(action)
	if client.Reason(err) != reason || !strings.Contains(err.Error(), words) {
		p.w.t.Errorf("%s: %+v, %v; want %s, %q", action, answer, err, reason, words)
	}
}

// longTransfers starts members that end nothing by themselves and wait for every server.
func longTransfers(t *testing.T, run ...int) (*world, []*pod) {
	t.Helper()
	w, pods := threeMembers(t)
	w.timings.TransferCommit, w.timings.TransferLead, w.timings.TransferHold, w.timings.Stop = time.Hour, time.Hour, time.Hour, time.Hour
	for _, i := range run {
		pods[i].start()
	}
	for _, i := range run {
		pods[i].eventually("the server runs", runs)
	}
	return w, pods
}

// lockDatabase has another process in the pod's database until unlock is called.
func (p *pod) lockDatabase() (unlock func()) {
	p.w.t.Helper()
	lock, err := images.OS{}.Lock(filepath.Join(p.Paths.VolumeDir, "data", "_rocksdb"))
	if err != nil {
		p.w.t.Fatal(err)
	}
	return func() { _ = lock.Close() }
}

func TestTheIDOfATransferHasABound(t *testing.T) {
	_, pods := threeMembers(t, 1)
	for id, reason := range map[string]string{strings.Repeat("x", 100): "", strings.Repeat("x", 101): protocol.ReasonBadRequest} {
		if _, err := pods[1].ordered(id, protocol.TransferAbort, 2, nil); client.Reason(err) != reason || (err == nil) != (reason == "") {
			t.Errorf("%d characters: %v", len(id), err)
		}
	}
}

func TestTheEndOfATransferThatIsNotKnownHereDoesNotEndAnother(t *testing.T) {
	w, pods := longTransfers(t, 0, 1)
	pods[0].moved(protocol.TransferPrepare)
	pods[1].moved(protocol.TransferReserve)
	for _, c := range []struct {
		p       *pod
		action  protocol.TransferAction
		role    protocol.TransferRole
		outcome protocol.TransferOutcome
	}{
		{pods[0], protocol.TransferAbort, protocol.TransferTarget, protocol.TransferUndone}, {pods[0], protocol.TransferRelease, protocol.TransferLeader, protocol.TransferResumed},
		{pods[1], protocol.TransferSettle, protocol.TransferLeader, protocol.TransferResumed}, {pods[1], protocol.TransferAbort, protocol.TransferTarget, protocol.TransferUndone},
	} {
		answer, err := c.p.ordered("older", c.action, 2, nil)
		if err != nil || answer.ID != "older" || answer.Role != c.role || answer.Phase != protocol.TransferEnded || answer.Outcome != c.outcome {
			t.Errorf("%s of another transfer: %+v, %v", c.action, answer, err)
		}
		if r := c.p.recordOf(); r.ID != "a" || !r.Active() {
			t.Fatalf("after %s of another transfer: %+v", c.action, r)
		}
	}
	if w.server(1) != nil {
		t.Error("the former leader was started by the end of another transfer")
	}
}

func TestAFormerLeadersStopThatComesAfterItsReleaseIsRefused(t *testing.T) {
	for _, action := range []protocol.TransferAction{protocol.TransferRelease, protocol.TransferSettle} {
		w, pods := longTransfers(t, 0)
		for range 2 {
			if answer := pods[0].moved(action); answer.Role != protocol.TransferLeader || answer.Outcome != protocol.TransferResumed {
				t.Errorf("%+v", answer)
			}
		}
		pods[0].refuses(protocol.TransferPrepare, protocol.ReasonConflict, "has ended here: Resumed")
		if w.startsOf(1) != 1 || w.server(1) == nil {
			t.Error("the server was stopped by an order that was held up on its way")
		}
	}
}

func TestEveryMemberTakesOnlyTheOrdersOfItsRole(t *testing.T) {
	_, pods := longTransfers(t, 0, 1)
	leader, target := pods[0], pods[1]
	target.refuses(protocol.TransferPrepare, protocol.ReasonConflict, "was not reserved") // a target has no time before it was reserved
	leader.moved(protocol.TransferPrepare)
	for _, action := range []protocol.TransferAction{protocol.TransferReserve, protocol.TransferCommit, protocol.TransferAbort} {
		leader.refuses(action, protocol.ReasonConflict, "this member is its Leader")
	}
	target.moved(protocol.TransferReserve, protocol.TransferReserve)
	for _, action := range []protocol.TransferAction{protocol.TransferRelease, protocol.TransferSettle} {
		target.refuses(action, protocol.ReasonConflict, "this member is its Target")
	}
	for _, p := range pods[:2] {
		p.refuses("Hurry", protocol.ReasonBadRequest, "is none of")
		if r := p.recordOf(); !r.Active() {
			t.Errorf("%+v", r)
		}
	}
	if target.voted().Term == 5 || leader.voted().Term == 5 {
		t.Errorf("target %+v, leader %+v", target.voted(), leader.voted())
	}
}

func TestATargetTakesOverOnlyWhenItsServerIsStoppedAndItsLogsWereRead(t *testing.T) {
	w, pods := longTransfers(t, 1)
	target := pods[1]
	target.moved(protocol.TransferReserve)
	target.refuses(protocol.TransferCommit, protocol.ReasonConflict, "is not prepared")
	// A server that does not end in time: the target is about to be prepared, and is not yet.
	w.script(2).set(func(b *behaviour) { b.deaf = true })
	target.refuses(protocol.TransferPrepare, protocol.ReasonInternal, "is not gone yet")
	target.refuses(protocol.TransferCommit, protocol.ReasonConflict, "is not prepared")
	w.server(2).finish(process.ExitStatus{Code: 137, Signal: syscall.SIGKILL})
	target.eventually("the server is gone", func(s protocol.State) bool { return s.Server.Phase == protocol.ServerStopped })
	target.refuses(protocol.TransferCommit, protocol.ReasonConflict, "is not prepared") // gone, and not read yet
	if target.voted().Term == 5 {
		t.Fatalf("%+v", target.voted())
	}
	w.script(2).set(func(b *behaviour) { b.deaf = false })
	if answer := target.moved(protocol.TransferPrepare); answer.Groups[robustmq.GroupData].Last == nil {
		t.Errorf("prepared again: %+v", answer)
	}
	target.moved(protocol.TransferCommit)
	if target.voted().Term != 5 {
		t.Errorf("%+v", target.voted())
	}
}

func TestATargetThatTookOverIsNotStoppedByAnOrderThatIsRepeated(t *testing.T) {
	w, pods := longTransfers(t, 1)
	target := pods[1]
	target.moved(protocol.TransferReserve, protocol.TransferPrepare, protocol.TransferCommit)
	target.eventually("the server runs", runs)
	starts := w.startsOf(2)
	target.moved(protocol.TransferReserve, protocol.TransferPrepare, protocol.TransferCommit)
	w.leads(2, 5, 2)
	target.ends(protocol.TransferLeads)
	for _, action := range []protocol.TransferAction{protocol.TransferReserve, protocol.TransferPrepare, protocol.TransferCommit} {
		if answer := target.moved(action); answer.Outcome != protocol.TransferLeads {
			t.Errorf("%s: %+v", action, answer)
		}
	}
	if w.startsOf(2) != starts || w.server(2) == nil {
		t.Errorf("%d starts, %d before", w.startsOf(2), starts)
	}
}

// The operator's word and the server's come at the same time: who leads does not give up, seen by the agent already or not.
func TestATargetThatLeadsWhenItIsAbortedSaysSo(t *testing.T) {
	w, pods := longTransfers(t)
	w.timings.TransferTick = time.Hour
	target := pods[1].start()
	target.eventually("the server runs", runs)
	target.moved(protocol.TransferReserve, protocol.TransferPrepare, protocol.TransferCommit)
	w.leads(2, 5, 2)
	target.eventually("the server runs", runs)
	if answer := target.moved(protocol.TransferAbort); answer.Outcome != protocol.TransferLeads || target.voted().Term != 5 || w.server(2) == nil {
		t.Errorf("%+v, %+v", answer, target.voted())
	}
}

// A vote for a term that the target has already given to somebody else would be taken back.
func TestATargetDoesNotTakeOverInATermThatItHasVotedIn(t *testing.T) {
	_, pods := threeMembers(t)
	target := pods[1]
	given := image.Vote{Term: 5, Node: 3}
	if err := image.Append(t.Context(), images.OS{}, filepath.Join(target.Paths.VolumeDir, "data", "_rocksdb"), []image.Edit{image.SetVote(robustmq.GroupData, given)}); err != nil {
		t.Fatal(err)
	}
	target.start()
	target.eventually("the server runs", runs)
	target.moved(protocol.TransferReserve, protocol.TransferPrepare)
	target.refuses(protocol.TransferCommit, protocol.ReasonConflict, "is not above that of the vote")
	if target.voted() != given {
		t.Errorf("%+v", target.voted())
	}
}

func TestATargetIsNotStoppedForGroupsThatCannotBeMoved(t *testing.T) {
	w, pods := longTransfers(t, 1)
	target := pods[1]
	target.moved(protocol.TransferReserve)
	for reason, terms := range map[string]map[string]uint64{protocol.ReasonBadRequest: nil, protocol.ReasonConflict: {robustmq.GroupData: 1}} {
		if _, err := target.ordered("a", protocol.TransferPrepare, 2, terms); client.Reason(err) != reason {
			t.Errorf("%v: %v, want %s", terms, err, reason)
		}
	}
	if w.server(2) == nil || w.startsOf(2) != 1 {
		t.Error("its server was stopped")
	}
}

// What cannot be put right is told, nothing is started meanwhile, and no order of the same transfer is refused because of it.
func TestATargetWhoseVotesCannotBePutRightTellsAndTriesAgain(t *testing.T) {
	w, pods := longTransfers(t, 1)
	target := pods[1]
	target.moved(protocol.TransferReserve, protocol.TransferPrepare, protocol.TransferCommit)
	target.eventually("the server runs", runs)
	unlock := target.lockDatabase()
	defer unlock()
	target.refuses(protocol.TransferAbort, protocol.ReasonInternal, "taking the new votes back")
	state := target.eventually("it tells", func(s protocol.State) bool { return s.Transfer != nil && s.Transfer.Message != "" })
	if state.Gate.Reason != protocol.GateTransferring || !strings.Contains(state.Transfer.Message, image.ErrInUse.Error()) || w.server(2) != nil {
		t.Errorf("%+v, %+v", state.Gate, state.Transfer)
	}
	if answer := target.moved(protocol.TransferCommit); answer.Phase != protocol.TransferCommitted || !strings.Contains(answer.Message, image.ErrInUse.Error()) {
		t.Errorf("%+v", answer)
	}
	unlock()
	target.ends(protocol.TransferUndone)
	if target.voted().Term != 1 {
		t.Errorf("%+v", target.voted())
	}
	target.eventually("the server runs again", runs)
}

func TestARecordOfATransferThatCannotBeReadKeepsTheServerStoppedAndRefusesEveryOrder(t *testing.T) {
	w, pods := longTransfers(t)
	p := pods[1]
	put(t, volume.At(p.Paths.VolumeDir).Path(protocol.TransferFile), []byte(`{"id":"a","role":"Witness"}`))
	p.start()
	// Who may call is in its configuration, which it may read after that.
	state := p.eventually("its gate is shut", func(s protocol.State) bool {
		return s.Gate.Reason == protocol.GateTransferring && s.Config.Mounted != ""
	})
	if state.Transfer == nil || state.Transfer.Phase != protocol.TransferPrepared || !strings.Contains(state.Transfer.Message, "not known") {
		t.Errorf("%+v", state.Transfer)
	}
	for _, action := range []protocol.TransferAction{protocol.TransferReserve, protocol.TransferPrepare, protocol.TransferCommit, protocol.TransferAbort, protocol.TransferRelease, protocol.TransferSettle} {
		p.refuses(action, protocol.ReasonConflict, "cannot be read")
	}
	if content, err := os.ReadFile(volume.At(p.Paths.VolumeDir).Path(protocol.TransferFile)); err != nil || !strings.Contains(string(content), "Witness") || w.startsOf(2) != 0 {
		t.Errorf("%s, %v, %d starts", content, err, w.startsOf(2))
	}
}

// An image that was put back keeps its place until the operator has removed it: what is in the database then may yet be exchanged.
func TestAMemberThatStillHasAnImageBesideItsDataTakesPartInNoTransfer(t *testing.T) {
	w, donor, faulty := twoMembers(t)
	faulty.recorded(imagetest.Fresh)
	operator := faulty.operator()
	faulty.eventually("its data is found", func(s protocol.State) bool { return s.Server.Phase == protocol.ServerRunning })
	marker := faulty.agent.State(t.Context()).Volume.Marker
	if _, err := operator.Server(t.Context(), protocol.ServerOrder{Action: protocol.ServerStop}); err != nil {
		t.Fatal(err)
	}
	order := seedOrder(donor, faulty, "over")
	order.Marker = marker
	if _, err := operator.Seed(t.Context(), order); err != nil {
		t.Fatal(err)
	}
	faulty.eventually("it is in place", seedIs(protocol.SeedPlaced))
	reserve := func(id string) error {
		_, err := operator.Transfer(t.Context(), protocol.TransferOrder{ID: id, Action: protocol.TransferReserve, Target: 2})
		return err
	}
	start := func() {
		t.Helper()
		if _, err := operator.Server(t.Context(), protocol.ServerOrder{Action: protocol.ServerStart}); err != nil {
			t.Fatal(err)
		}
		faulty.eventually("the server runs", runs)
	}
	if _, err := operator.RevertPlacement(t.Context(), "over"); err != nil {
		t.Fatal(err)
	}
	faulty.eventually("it is put back", func(s protocol.State) bool {
		return s.Images.Placement != nil && s.Images.Placement.Phase == protocol.PlacementReverted
	})
	start()
	if err := reserve("reverted"); client.Reason(err) != protocol.ReasonConflict || !strings.Contains(err.Error(), "an image is being put in place") {
		t.Errorf("%v", err)
	}
	if err := operator.AbandonPlacement(t.Context(), "over"); err != nil {
		t.Fatal(err)
	}
	if err := reserve("removed"); err != nil {
		t.Errorf("%v", err)
	}
	if w.startsOf(2) != 2 {
		t.Errorf("%d starts", w.startsOf(2))
	}
}

// stillMember makes agents of node 2 of which nothing runs: what they know is what change says, and that their server serves.
func stillMember(t *testing.T) func(change func(*Agent)) *Agent {
	t.Helper()
	w := newWorld(t)
	p := w.add(config.RolePlacementCenter, 1).recorded(imagetest.Follower)
	p.configure(nil)
	return func(change func(*Agent)) *Agent {
		t.Helper()
		a, err := New(Options{PodName: p.Name, PodIP: p.IP, Paths: p.Paths, Launcher: w.launcherAt(p.IP), CPUs: 2})
		if err != nil {
			t.Fatal(err)
		}
		a.mounted = a.o.read(readFiles(p.Paths))
		a.gate = protocol.GateState{Open: true, Reason: protocol.GateOpen}
		a.child = &child{answered: true, lastAnswer: time.Now()}
		change(a)
		return a
	}
}

// The gate is shut by then; should a server run all the same, or be about to, its database is not written to.
func TestATargetWhoseServerRunsIsGivenNoVotes(t *testing.T) {
	member := stillMember(t)
	for what, change := range map[string]func(*Agent){
		"it runs":         func(*Agent) {},
		"it is beginning": func(a *Agent) { a.child, a.attempt = nil, &attempt{} },
	} {
		a := member(change)
		record := transfer.Record{ID: "a", Role: protocol.TransferTarget, Self: 2, Target: 2, Phase: protocol.TransferPrepared}
		a.transfer = transferring{record: &record, shut: true, read: true, commitBy: time.Now().Add(time.Hour)}
		if err := a.commitTransfer(t.Context(), record); err == nil || !strings.Contains(err.Error(), "is not prepared") {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// Whatever keeps a member from coming back by itself keeps it out of a transfer: it would be away for longer than the seconds that a transfer takes.
func TestAMemberThatMightNotComeBackTakesPartInNoTransfer(t *testing.T) {
	member := stillMember(t)
	if err := member(func(*Agent) {}).mayTransfer(); err != nil {
		t.Fatalf("a member that serves: %v", err)
	}
	for words, c := range map[string]struct {
		reason string
		change func(*Agent)
	}{
		"configuration not read: only members of a placement centre":  {protocol.ReasonConflict, func(a *Agent) { a.mounted.readable = false }},
		"broker: only members of a placement centre":                  {protocol.ReasonConflict, func(a *Agent) { a.mounted.config.Role = config.RoleMQTTBroker }},
		"island: only members of a placement centre":                  {protocol.ReasonConflict, func(a *Agent) { a.mounted.config.Islands = true }},
		"bad settings: would not start again":                         {protocol.ReasonConflict, func(a *Agent) { a.mounted.problem = "no such key" }},
		"the pod ends: is being ended":                                {protocol.ReasonConflict, func(a *Agent) { a.terminating = true }},
		"held: is stopped, or is to be":                               {protocol.ReasonConflict, func(a *Agent) { a.held = true }},
		"cut off: is stopped, or is to be":                            {protocol.ReasonConflict, func(a *Agent) { a.fenced = true }},
		"about to restart: is stopped, or is to be":                   {protocol.ReasonConflict, func(a *Agent) { a.restart = "by order" }},
		"gate shut: is stopped, or is to be":                          {protocol.ReasonConflict, func(a *Agent) { a.gate = protocol.GateState{Reason: protocol.GateForeign} }},
		"no server: does not run":                                     {protocol.ReasonServerDown, func(a *Agent) { a.child = nil }},
		"server that starts: does not run":                            {protocol.ReasonServerDown, func(a *Agent) { a.child.answered = false }},
		"server that is being stopped by somebody else: does not run": {protocol.ReasonServerDown, func(a *Agent) { a.child.stopping = protocol.ExitOrdered }},
	} {
		err := member(c.change).mayTransfer()
		what, said, _ := strings.Cut(words, ": ")
		if _, answer := explain(orNothing(err)); err == nil || answer.Reason != c.reason || !strings.Contains(err.Error(), said) {
			t.Errorf("%s: %v, want %s, %q", what, err, c.reason, said)
		}
	}
}

// orNothing is an error for whoever needs one.
func orNothing(err error) error {
	if err == nil {
		return errors.New("no error")
	}
	return err
}
