package agent

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/robustmq/robustmq-operator/backup/image"
	"github.com/robustmq/robustmq-operator/backup/image/imagetest"
	"github.com/robustmq/robustmq-operator/internal/agent/client"
	"github.com/robustmq/robustmq-operator/internal/agent/images"
	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
	"github.com/robustmq/robustmq-operator/internal/agent/transfer"
	"github.com/robustmq/robustmq-operator/internal/agent/volume"
	"github.com/robustmq/robustmq-operator/internal/robustmq"
	"github.com/robustmq/robustmq-operator/internal/robustmq/config"
)

// threeMembers are the members of a placement centre with recorded databases. Node 1 leads in term 1; only those that are named run.
func threeMembers(t *testing.T, run ...int) (*world, []*pod) {
	t.Helper()
	w := newWorld(t)
	w.timings.FenceAfter = time.Hour // whoever does not run is not there either
	w.timings.TransferCommit, w.timings.TransferLead, w.timings.TransferHold = 5*time.Second, 6*time.Second, 3*time.Second
	var pods []*pod
	for i := range 3 {
		p := w.add(config.RolePlacementCenter, i).recorded(imagetest.Follower)
		w.script(p.ID).set(func(b *behaviour) { b.voters = []uint64{1, 2, 3} })
		pods = append(pods, p)
	}
	for _, i := range run {
		pods[i].start()
	}
	for _, i := range run {
		pods[i].eventually("the server runs", runs)
	}
	return w, pods
}

// leads makes fake servers say that a node leads every group in a term.
func (w *world) leads(id, term uint64, among ...uint64) {
	for _, node := range among {
		w.script(node).set(func(b *behaviour) { b.leader, b.term = id, term })
	}
}

var nextTerms = map[string]uint64{robustmq.GroupMetadata: 5, robustmq.GroupOffset: 5, robustmq.GroupData: 5}

func (p *pod) transfer(action protocol.TransferAction) (protocol.Transfer, error) {
	p.w.t.Helper()
	return p.operator().Transfer(p.w.t.Context(), protocol.TransferOrder{ID: "a", Action: action, Target: 2, Terms: nextTerms})
}

func (p *pod) moved(actions ...protocol.TransferAction) protocol.Transfer {
	p.w.t.Helper()
	var answer protocol.Transfer
	for _, action := range actions {
		var err error
		if answer, err = p.transfer(action); err != nil {
			p.w.t.Fatalf("%s: %v", action, err)
		}
	}
	return answer
}

// recordOf is the record in the pod's volume.
func (p *pod) recordOf() transfer.Record {
	p.w.t.Helper()
	r, err := transfer.Load(images.OS{}, volume.At(p.Paths.VolumeDir).Path(protocol.TransferFile))
	if err != nil || r == nil {
		p.w.t.Fatalf("%+v, %v", r, err)
	}
	return *r
}

// voted is the vote in the WALs of the pod's database.
func (p *pod) voted() image.Vote {
	p.w.t.Helper()
	logs, err := image.ReadRaftLogs(p.w.t.Context(), images.OS{}, filepath.Join(p.Paths.VolumeDir, "data", "_rocksdb"), 0)
	if err != nil {
		p.w.t.Fatal(err)
	}
	if v := logs.Groups[robustmq.GroupData].Vote; v != nil {
		return *v
	}
	return image.Vote{}
}

func (p *pod) ends(outcome protocol.TransferOutcome) {
	p.w.t.Helper()
	eventually(p.w.t, "the transfer ends: "+string(outcome), func() bool { return p.recordOf().Outcome == outcome }, func() any { return p.recordOf() })
}

func TestATargetTakesOverAndSaysWhenItLeads(t *testing.T) {
	w, pods := threeMembers(t, 1)
	p := pods[1]
	before := p.voted()
	if answer := p.moved(protocol.TransferReserve); answer.Phase != protocol.TransferReserved || w.server(2) == nil {
		t.Fatalf("%+v", answer)
	}
	answer := p.moved(protocol.TransferPrepare, protocol.TransferPrepare) // every call may be repeated
	if g := answer.Groups[robustmq.GroupMetadata]; answer.Phase != protocol.TransferPrepared || g.Last == nil || g.Last.Index == 0 || len(answer.Groups) != 3 || w.server(2) != nil {
		t.Fatalf("%+v", answer)
	}
	state, err := p.operator().State(t.Context())
	if err != nil || state.Gate.Reason != protocol.GateTransferring || state.Transfer == nil || state.Transfer.ID != "a" {
		t.Errorf("%+v, %v", state.Gate, err)
	}
	if code, why := p.get("/readyz"); code != 200 {
		t.Errorf("its name goes out of DNS meanwhile: %s", why)
	}
	if p.voted() != before {
		t.Error("its vote changed before the word was given")
	}
	w.leads(2, 5, 2)
	p.moved(protocol.TransferCommit, protocol.TransferCommit)
	if v := p.voted(); v != (image.Vote{Term: 5, Node: 2, Committed: true}) {
		t.Errorf("%+v", v)
	}
	p.ends(protocol.TransferLeads)
	if got := w.startsOf(2); got != 2 {
		t.Errorf("the server was started %d times", got)
	}
	if answer := p.moved(protocol.TransferAbort); answer.Outcome != protocol.TransferLeads {
		t.Errorf("who leads does not give up: %+v", answer)
	}
	if state, err := p.operator().State(t.Context()); err != nil || state.Transfer != nil {
		t.Errorf("%+v, %v", state.Transfer, err)
	}
}

func TestATargetThatDoesNotComeToLeadGivesUpAndStartsAsItWas(t *testing.T) {
	w, pods := threeMembers(t, 1)
	w.timings.TransferLead = 2 * time.Second
	p := pods[1]
	p.moved(protocol.TransferReserve, protocol.TransferPrepare, protocol.TransferCommit)
	p.ends(protocol.TransferUndone)
	if v := p.voted(); v.Term != 1 || v.Node == 2 {
		t.Errorf("%+v", v)
	}
	p.eventually("the server runs again", runs)
	if got := w.startsOf(2); got != 3 {
		t.Errorf("the server was started %d times", got)
	}
}

func TestATargetWhoseServerEndsGivesUpAtOnce(t *testing.T) {
	w, pods := threeMembers(t, 1)
	p := pods[1]
	p.moved(protocol.TransferReserve, protocol.TransferPrepare)
	w.script(2).set(func(b *behaviour) { b.exit = 1 })
	begin := time.Now()
	p.moved(protocol.TransferCommit)
	p.ends(protocol.TransferUndone)
	if took := time.Since(begin); took > 4*time.Second {
		t.Errorf("it took %v", took)
	}
	if v := p.voted(); v.Term != 1 {
		t.Errorf("%+v", v)
	}
	w.script(2).set(func(b *behaviour) { b.exit = 0 })
	p.eventually("the server runs again", runs)
}

func TestATargetIsAbortedInEveryPhase(t *testing.T) {
	for _, actions := range [][]protocol.TransferAction{
		nil, {protocol.TransferReserve}, {protocol.TransferReserve, protocol.TransferPrepare}, {protocol.TransferReserve, protocol.TransferPrepare, protocol.TransferCommit},
	} {
		_, pods := threeMembers(t, 1)
		p := pods[1]
		p.moved(actions...)
		if answer := p.moved(protocol.TransferAbort, protocol.TransferAbort); answer.Outcome != protocol.TransferUndone {
			t.Errorf("after %v: %+v", actions, answer)
		}
		if v := p.voted(); v.Term == 5 {
			t.Errorf("after %v: %+v", actions, v)
		}
		p.eventually("the server runs", runs)
		// What was held up on its way comes too late.
		for _, action := range []protocol.TransferAction{protocol.TransferReserve, protocol.TransferPrepare, protocol.TransferCommit} {
			if _, err := p.transfer(action); client.Reason(err) != protocol.ReasonConflict {
				t.Errorf("after %v: %s of a transfer that has ended: %v", actions, action, err)
			}
		}
	}
}

func TestATargetTakesOverOnlyWithinItsTime(t *testing.T) {
	w, pods := threeMembers(t)
	w.timings.TransferCommit, w.timings.TransferLead = 0, time.Hour
	p := pods[1].start()
	p.eventually("the server runs", runs)
	if _, err := p.transfer(protocol.TransferCommit); client.Reason(err) != protocol.ReasonConflict {
		t.Errorf("it was not reserved: %v", err)
	}
	p.moved(protocol.TransferReserve, protocol.TransferPrepare)
	if _, err := p.transfer(protocol.TransferCommit); client.Reason(err) != protocol.ReasonConflict || p.voted().Term == 5 {
		t.Errorf("its time is over: %v", err)
	}
}

func TestAnAgentKilledInATransferPutsTheTargetsVotesRightBeforeItsServerStarts(t *testing.T) {
	for _, actions := range [][]protocol.TransferAction{
		{protocol.TransferReserve}, {protocol.TransferReserve, protocol.TransferPrepare}, {protocol.TransferReserve, protocol.TransferPrepare, protocol.TransferCommit},
	} {
		w, pods := threeMembers(t, 1)
		p := pods[1]
		p.moved(actions...)
		p.kill()
		<-p.exit
		starts := w.startsOf(2)
		p.start()
		eventually(t, "the server was started", func() bool { return w.startsOf(2) > starts }, func() any { return p.recordOf() })
		if v, r := p.voted(), p.recordOf(); v.Term == 5 || len(actions) == 3 && r.Outcome != protocol.TransferUndone {
			t.Errorf("after %v the server was started with %+v: %+v", actions, v, r)
		}
		p.ends(protocol.TransferUndone)
	}
}

func TestAFormerLeaderThatIsToldNothingGivesItsLeadershipUp(t *testing.T) {
	for _, killed := range []bool{false, true} {
		w, pods := threeMembers(t, 0)
		p := pods[0]
		answer := p.moved(protocol.TransferPrepare, protocol.TransferPrepare)
		if answer.Role != protocol.TransferLeader || answer.Groups[robustmq.GroupData].Last == nil || w.server(1) != nil {
			t.Fatalf("%+v", answer)
		}
		if killed {
			p.kill()
			<-p.exit
			p.start()
			never(t, "the server is started before its time", time.Second, func() bool { return w.server(1) != nil })
		}
		p.ends(protocol.TransferYielded)
		if v := p.voted(); v != (image.Vote{Term: 6, Node: 1}) {
			t.Errorf("%+v", v)
		}
		p.eventually("the server runs", runs)
	}
}

func TestAFormerLeaderGoesOnAsItWasWhenTheOthersHaveTurnedToTheTarget(t *testing.T) {
	w, pods := threeMembers(t, 0, 1, 2)
	p := pods[0]
	before := p.voted()
	p.moved(protocol.TransferPrepare)
	w.leads(2, 5, 2, 3)
	p.ends(protocol.TransferResumed)
	if p.voted() != before {
		t.Errorf("its vote became %+v", p.voted())
	}
	p.eventually("the server runs", runs)
}

func TestAFormerLeaderIsReleasedAsItWasOrSettledAtOnce(t *testing.T) {
	w, pods := threeMembers(t)
	w.timings.TransferHold = time.Hour
	p := pods[0].start()
	p.eventually("the server runs", runs)
	before := p.voted()
	p.moved(protocol.TransferPrepare)
	if answer := p.moved(protocol.TransferRelease); answer.Outcome != protocol.TransferResumed || p.voted() != before {
		t.Errorf("%+v", answer)
	}
	p.eventually("the server runs", runs)
	order := protocol.TransferOrder{ID: "b", Action: protocol.TransferPrepare, Target: 2, Terms: nextTerms}
	if _, err := p.operator().Transfer(t.Context(), order); err != nil {
		t.Fatal(err)
	}
	order.Action = protocol.TransferSettle
	if answer, err := p.operator().Transfer(t.Context(), order); err != nil || answer.Outcome != protocol.TransferYielded || p.voted().Term != 6 {
		t.Errorf("%+v, %v", answer, err)
	}
}

func TestATransferIsRefusedWhereItDoesNotFit(t *testing.T) {
	w, pods := threeMembers(t, 0, 2)
	refused := func(p *pod, order protocol.TransferOrder, reason string) {
		t.Helper()
		if _, err := p.operator().Transfer(t.Context(), order); client.Reason(err) != reason {
			t.Errorf("%+v: %v, want %s", order, err, reason)
		}
	}
	prepare := protocol.TransferOrder{ID: "a", Action: protocol.TransferPrepare, Target: 2, Terms: nextTerms}
	refused(pods[0], protocol.TransferOrder{Action: protocol.TransferPrepare}, protocol.ReasonBadRequest)
	refused(pods[0], protocol.TransferOrder{ID: "a", Action: "Hurry"}, protocol.ReasonBadRequest)
	refused(pods[0], protocol.TransferOrder{ID: "a", Action: protocol.TransferPrepare, Target: 2}, protocol.ReasonBadRequest)
	refused(pods[0], protocol.TransferOrder{ID: "a", Action: protocol.TransferReserve, Target: 2}, protocol.ReasonConflict) // this is node 1
	refused(pods[2], prepare, protocol.ReasonConflict)                                                                      // it leads nothing
	old := prepare
	old.Terms = map[string]uint64{robustmq.GroupData: 1}
	refused(pods[0], old, protocol.ReasonConflict) // the term was reached
	if _, err := pods[0].as(protocol.ClientAgent).Transfer(t.Context(), prepare); client.Reason(err) != protocol.ReasonForbidden {
		t.Errorf("an agent: %v", err)
	}
	if _, err := pods[0].as(protocol.ClientJob).Transfer(t.Context(), prepare); client.Reason(err) != protocol.ReasonForbidden {
		t.Errorf("a Job: %v", err)
	}
	if w.startsOf(1) != 1 || w.startsOf(3) != 1 {
		t.Error("a server was stopped")
	}
	pods[0].moved(protocol.TransferPrepare)
	other := prepare
	other.ID = "b"
	refused(pods[0], other, protocol.ReasonBusy)
	marker := protocol.Marker{ClusterUID: "uid", NodeID: 1, Role: pods[0].Role, Generation: 1, Origin: protocol.OriginJoined}
	if _, err := pods[0].operator().Wipe(t.Context(), protocol.WipeOrder{Marker: marker}); client.Reason(err) != protocol.ReasonConflict {
		t.Errorf("a wipe in the middle: %v", err)
	}
}
