package restore

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/backup/job"
	"github.com/robustmq/robustmq-operator/controllers/backup/outcome"
	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
	"github.com/robustmq/robustmq-operator/internal/robustmq"
)

func push3(o *observation) {
	o.push.job, o.push.run = &batchv1.Job{ObjectMeta: metav1.ObjectMeta{Name: "r-restore"}}, outcome.Outcome{Phase: outcome.Running}
	o.pushed = &job.RestoreRequest{}
	for _, m := range o.members {
		o.pushed.Members = append(o.pushed.Members, job.RestoreMember{Pod: m.pod, NodeID: m.nodeID, Agent: agentAddress(m)})
	}
}

func ended3(reason job.Reason, result bool) func(*observation) {
	return func(o *observation) {
		push3(o)
		o.push.run = outcome.Outcome{Phase: outcome.Ended, Since: noon, Reason: string(reason), Message: "why"}
		if result {
			o.push.run.Result = &job.Result{Kind: job.Restore, Reason: reason}
		}
		if reason == job.BackupPlaced {
			o.push.run.Reason = ""
		}
	}
}

func TestTheBackupIsSentUntilEveryVoterHasAllOfIt(t *testing.T) {
	moved := func(ago time.Duration) func(*observation) {
		return func(o *observation) { o.restore.Status.Progress.LastMoved = metav1.NewTime(o.now.Add(-ago)) }
	}
	for name, c := range map[string]struct {
		change []func(*observation)
		stage  v1alpha1.RestoreStage
		push   bool
		remove bool
	}{
		"there is no Job":                         {[]func(*observation){down3}, v1alpha1.RestoreTransferring, true, false},
		"a member cannot be asked":                {[]func(*observation){down3, silence(2)}, v1alpha1.RestoreTransferring, false, false},
		"the Job runs":                            {[]func(*observation){placed3(protocol.PlacementReceiving), push3}, v1alpha1.RestoreTransferring, false, false},
		"all have it, and the Job runs":           {[]func(*observation){placed3(protocol.PlacementReceived), push3}, v1alpha1.RestoreTransferring, false, false},
		"all have it, and the Job is gone":        {[]func(*observation){placed3(protocol.PlacementReceived)}, v1alpha1.RestoreOpening, false, false},
		"all have it, and the Job says so":        {[]func(*observation){placed3(protocol.PlacementReceived), ended3(job.BackupPlaced, true)}, v1alpha1.RestoreOpening, false, false},
		"the Job says so, and one has it not":     {[]func(*observation){placed3(protocol.PlacementReceived), at3(2, func(s *protocol.State) { s.Images.Placement = nil }), ended3(job.BackupPlaced, true)}, v1alpha1.RestoreTransferring, false, true},
		"one has that of another generation":      {[]func(*observation){placed3(protocol.PlacementReceived), at3(2, func(s *protocol.State) { s.Images.Placement.Generation = 3 })}, v1alpha1.RestoreTransferring, true, false},
		"one has that of another restore":         {[]func(*observation){placed3(protocol.PlacementReceived), at3(2, func(s *protocol.State) { s.Images.Placement.ID = "restore-other" })}, v1alpha1.RestoreTransferring, true, false},
		"the Job lost an agent":                   {[]func(*observation){placed3(protocol.PlacementReceiving), ended3(job.AgentLost, true)}, v1alpha1.RestoreTransferring, false, true},
		"a member refuses it":                     {[]func(*observation){placed3(protocol.PlacementReceiving), ended3(job.PlacementRefused, true)}, v1alpha1.RestoreTransferring, false, true},
		"the Job was killed":                      {[]func(*observation){placed3(protocol.PlacementReceiving), ended3("OOMKilled", false)}, v1alpha1.RestoreTransferring, false, true},
		"a pod has another address":               {[]func(*observation){placed3(protocol.PlacementReceiving), push3, func(o *observation) { o.members[1].address = "10.9.9.9" }}, v1alpha1.RestoreTransferring, false, true},
		"the credentials are wrong":               {[]func(*observation){placed3(protocol.PlacementReceiving), ended3(job.AccessDenied, true)}, v1alpha1.RestoreAborting, false, true},
		"the credentials are wrong, after a loss": {[]func(*observation){placed3(protocol.PlacementReceiving), ended3(job.AccessDenied, true), func(o *observation) { o.restore.Spec.Trigger = v1alpha1.RestoreTotalLoss }}, v1alpha1.RestoreTransferring, false, true},
		"nothing moves":                           {[]func(*observation){placed3(protocol.PlacementReceiving), push3, moved(16 * time.Minute)}, v1alpha1.RestoreAborting, false, true},
		"nothing moves, after a loss":             {[]func(*observation){placed3(protocol.PlacementReceiving), push3, moved(16 * time.Minute), func(o *observation) { o.restore.Spec.Trigger = v1alpha1.RestoreTotalLoss }}, v1alpha1.RestoreTransferring, false, false},
		"it moves slowly":                         {[]func(*observation){placed3(protocol.PlacementReceiving), push3, moved(14 * time.Minute)}, v1alpha1.RestoreTransferring, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			v := decide(seen(v1alpha1.RestoreTransferring, c.change...), DefaultTimings())
			if v.stage != c.stage || v.push != c.push || v.removePush != c.remove || len(ordered(v, place)) > 0 || len(ordered(v, open)) > 0 {
				t.Errorf("%+v", v)
			}
		})
	}
}

func TestAServerThatARestartLetStartIsStoppedAgain(t *testing.T) {
	runs := func(s *protocol.State) {
		s.Gate, s.Server.Phase = protocol.GateState{Open: true}, protocol.ServerRunning
	}
	for _, stage := range []v1alpha1.RestoreStage{v1alpha1.RestoreTransferring, v1alpha1.RestoreOpening} {
		v := decide(seen(stage, placed3(protocol.PlacementReceived), at3(2, runs)), DefaultTimings())
		if !slices.Equal(ordered(v, stop), []string{"1"}) || slices.Contains(ordered(v, place), "1") {
			t.Errorf("%s: %+v", stage, v.orders)
		}
	}
	// One that was opened may run: it is the new one.
	if v := decide(seen(v1alpha1.RestoreOpening, placed3(protocol.PlacementOpen), at3(2, runs)), DefaultTimings()); len(ordered(v, stop)) > 0 {
		t.Errorf("%+v", v.orders)
	}
}

func TestNothingIsOpenedBeforeAllMembersHaveTheSameInPlace(t *testing.T) {
	phase := func(p protocol.PlacementPhase, reason string) func(*protocol.State) {
		return func(s *protocol.State) {
			s.Images.Placement.Phase, s.Images.Placement.Reason, s.Images.Placement.SHA256 = p, reason, ""
		}
	}
	sum := func(text string) func(*protocol.State) {
		return func(s *protocol.State) { s.Images.Placement.SHA256 = text }
	}
	all := []string{"0", "1", "2"}
	for name, c := range map[string]struct {
		change        []func(*observation)
		stage         v1alpha1.RestoreStage
		reason        string
		places, opens []string
		starts        []string
	}{
		"all have received it":                  {[]func(*observation){placed3(protocol.PlacementReceived)}, v1alpha1.RestoreOpening, v1alpha1.ReasonRestoring, all, nil, nil},
		"one is at it":                          {[]func(*observation){placed3(protocol.PlacementPlaced), at3(2, phase(protocol.PlacementPlacing, ""))}, v1alpha1.RestoreOpening, v1alpha1.ReasonRestoring, nil, nil, nil},
		"one was interrupted":                   {[]func(*observation){placed3(protocol.PlacementPlaced), at3(2, phase(protocol.PlacementFailed, protocol.ImageInterrupted))}, v1alpha1.RestoreOpening, v1alpha1.ReasonRestoring, []string{"1"}, nil, nil},
		"one has no space":                      {[]func(*observation){placed3(protocol.PlacementPlaced), at3(2, phase(protocol.PlacementFailed, protocol.ImageNoSpace))}, v1alpha1.RestoreAborting, v1alpha1.ReasonNoSpace, nil, nil, nil},
		"one cannot":                            {[]func(*observation){placed3(protocol.PlacementPlaced), at3(2, phase(protocol.PlacementFailed, protocol.ImageCorrupt))}, v1alpha1.RestoreAborting, v1alpha1.ReasonImageFailed, nil, nil, nil},
		"all have it in place":                  {[]func(*observation){placed3(protocol.PlacementPlaced)}, v1alpha1.RestoreOpening, v1alpha1.ReasonRestoring, nil, all, nil},
		"one cannot be asked":                   {[]func(*observation){placed3(protocol.PlacementPlaced), silence(2)}, v1alpha1.RestoreOpening, v1alpha1.ReasonRestoring, nil, nil, nil},
		"one says another digest":               {[]func(*observation){placed3(protocol.PlacementPlaced), at3(2, sum(strings.Repeat("a", 64)))}, v1alpha1.RestoreAborting, v1alpha1.ReasonMembersDisagree, nil, nil, nil},
		"one says none":                         {[]func(*observation){placed3(protocol.PlacementPlaced), at3(2, sum(""))}, v1alpha1.RestoreAborting, v1alpha1.ReasonMembersDisagree, nil, nil, nil},
		"all say none":                          {[]func(*observation){placed3(protocol.PlacementPlaced), at3(1, sum("")), at3(2, sum("")), at3(3, sum(""))}, v1alpha1.RestoreAborting, v1alpha1.ReasonMembersDisagree, nil, nil, nil},
		"one has lost it":                       {[]func(*observation){placed3(protocol.PlacementPlaced), at3(2, func(s *protocol.State) { s.Images.Placement = nil })}, v1alpha1.RestoreAborting, v1alpha1.ReasonMembersDisagree, nil, nil, nil},
		"one has another restore's":             {[]func(*observation){placed3(protocol.PlacementPlaced), at3(2, func(s *protocol.State) { s.Images.Placement.ID = "restore-other" })}, v1alpha1.RestoreAborting, v1alpha1.ReasonMembersDisagree, nil, nil, nil},
		"one has another generation's":          {[]func(*observation){placed3(protocol.PlacementPlaced), at3(2, func(s *protocol.State) { s.Images.Placement.Generation = 3 })}, v1alpha1.RestoreAborting, v1alpha1.ReasonMembersDisagree, nil, nil, nil},
		"one put it back":                       {[]func(*observation){placed3(protocol.PlacementPlaced), at3(2, phase(protocol.PlacementReverted, ""))}, v1alpha1.RestoreAborting, v1alpha1.ReasonMembersDisagree, nil, nil, nil},
		"one has not got the configuration":     {[]func(*observation){placed3(protocol.PlacementPlaced), at3(2, func(s *protocol.State) { s.Generation = 1 })}, v1alpha1.RestoreOpening, v1alpha1.ReasonRestoring, nil, nil, nil},
		"some are open":                         {[]func(*observation){placed3(protocol.PlacementPlaced), at3(2, func(s *protocol.State) { s.Images.Placement.Phase = protocol.PlacementOpen })}, v1alpha1.RestoreOpening, v1alpha1.ReasonRestoring, nil, []string{"0", "2"}, nil},
		"all are open":                          {[]func(*observation){placed3(protocol.PlacementOpen)}, v1alpha1.RestoreVerifying, v1alpha1.ReasonRestoring, nil, nil, all},
		"all are open, one says another digest": {[]func(*observation){placed3(protocol.PlacementOpen), at3(2, sum(strings.Repeat("a", 64)))}, v1alpha1.RestoreAborting, v1alpha1.ReasonMembersDisagree, nil, nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			v := decide(seen(v1alpha1.RestoreOpening, c.change...), DefaultTimings())
			if v.stage != c.stage || v.reason != c.reason || !slices.Equal(ordered(v, place), c.places) || !slices.Equal(ordered(v, open), c.opens) || !slices.Equal(ordered(v, start), c.starts) {
				t.Errorf("%s, %s, %q, orders %v", v.stage, v.reason, v.awaits, v.orders)
			}
		})
	}
}

// back3 lets all members run on what was restored.
func back3(o *observation) {
	placed3(protocol.PlacementOpen)(o)
	for i := range o.members {
		s := o.members[i].state
		s.Gate, s.Server.Phase, s.Raft = protocol.GateState{Open: true}, protocol.ServerRunning, running3(o.members[i].nodeID).state.Raft
	}
}

func counted3(o *observation) {
	o.counted = map[uint64]protocol.Census{}
	for _, m := range o.members {
		o.counted[m.nodeID] = protocol.Census{
			Phase: protocol.CensusReady, Applied: map[string]robustmq.LogID{robustmq.GroupData: {Term: 4, NodeID: 1, Index: 51}},
			Families: map[string]protocol.FamilyCensus{"meta_data": {Keys: 7, KeyDigest: "aa", Digest: fmt.Sprint(m.nodeID)}},
		}
	}
}

func TestMembersAreVerifiedByTheirOwnWord(t *testing.T) {
	group := func(change func(*robustmq.GroupState)) func(*protocol.State) {
		return func(s *protocol.State) {
			g := s.Raft[robustmq.GroupOffset]
			change(&g)
			s.Raft = maps.Clone(s.Raft)
			s.Raft[robustmq.GroupOffset] = g
		}
	}
	census := func(change func(*protocol.Census)) func(*observation) {
		return func(o *observation) {
			c := o.counted[3]
			c.Families = maps.Clone(c.Families)
			change(&c)
			o.counted[3] = c
		}
	}
	for name, c := range map[string]struct {
		change func(*observation)
		awaits string // "": it is proven
	}{
		"all agree":                  {func(*observation) {}, ""},
		"one cannot be asked":        {silence(2), "does not answer"},
		"one has a shut gate":        {at3(2, func(s *protocol.State) { s.Gate = protocol.GateState{Reason: protocol.GateNewerGeneration} }), "the gate of c-placement-center-1"},
		"one does not run":           {at3(2, func(s *protocol.State) { s.Raft = nil }), "the server of"},
		"one took an empty snapshot": {at3(2, func(s *protocol.State) { s.Volume.Marker.EmptySnapshot = map[string]uint64{robustmq.GroupData: 7} }), "holds less"},
		"one has discarded it":       {at3(2, func(s *protocol.State) { s.Images.Placement = nil }), "in force"},
		"nobody leads a group":       {at3(1, group(func(g *robustmq.GroupState) { g.State, g.MillisSinceQuorumAck = "Follower", nil })), "a leader of raft group offset_0"},
		"a leader without a quorum":  {at3(1, group(func(g *robustmq.GroupState) { g.MillisSinceQuorumAck = nil })), "a leader of raft group offset_0"},
		"two lead a group":           {at3(2, group(func(g *robustmq.GroupState) { n := uint64(1); g.State, g.MillisSinceQuorumAck = "Leader", &n })), "both lead"},
		"one follows another":        {at3(2, group(func(g *robustmq.GroupState) { g.CurrentLeader = 3 })), "it follows 3"},
		"one sees other voters":      {at3(2, group(func(g *robustmq.GroupState) { g.Configs = [][]uint64{{1, 2}} })), "it sees"},
		"one lags":                   {at3(2, group(func(g *robustmq.GroupState) { g.LastApplied = &robustmq.LogID{Index: 39} })), "entry 40"},
		"one has nothing applied":    {at3(2, group(func(g *robustmq.GroupState) { g.LastApplied = nil })), "it is at 0"},
		"one lacks a group":          {at3(2, func(s *protocol.State) { s.Raft = maps.Clone(s.Raft); delete(s.Raft, robustmq.GroupData) }), "data_0"},
		"nobody was counted":         {func(o *observation) { o.counted = nil }, "to be counted"},
		"one was not counted":        {func(o *observation) { delete(o.counted, 3) }, "c-placement-center-2"},
		"one cannot be counted":      {census(func(c *protocol.Census) { c.Phase, c.Reason = protocol.CensusFailed, protocol.CensusMoving }), "Moving"},
		"one is at another position": {census(func(c *protocol.Census) { c.Applied = nil }), "one position"},
		"one holds fewer keys":       {census(func(c *protocol.Census) { c.Families["meta_data"] = protocol.FamilyCensus{Keys: 6, KeyDigest: "aa"} }), "6 keys of meta_data"},
		"one holds other keys":       {census(func(c *protocol.Census) { c.Families["meta_data"] = protocol.FamilyCensus{Keys: 7, KeyDigest: "bb"} }), "to hold what"},
	} {
		t.Run(name, func(t *testing.T) {
			v := decide(seen(v1alpha1.RestoreVerifying, back3, counted3, c.change), DefaultTimings())
			if c.awaits == "" {
				if v.stage != v1alpha1.RestoreStarting || v.verified == nil || v.verified.status != metav1.ConditionTrue {
					t.Errorf("%+v", v)
				}
				return
			}
			if v.stage != v1alpha1.RestoreVerifying || !strings.Contains(v.awaits, c.awaits) || v.verified.reason != v1alpha1.ReasonPending {
				t.Errorf("%s: %q", v.stage, v.awaits)
			}
		})
	}
	late := decide(seen(v1alpha1.RestoreVerifying, back3, func(o *observation) { o.since = o.now.Add(-6 * time.Minute) }), DefaultTimings())
	if late.stage != v1alpha1.RestoreVerifying || late.verified.reason != v1alpha1.ReasonMembersDisagree || !strings.Contains(late.awaits, v1alpha1.AnnotationAbort) {
		t.Errorf("%+v", late)
	}
}

func TestARestoreIsCompleteWhenAllServe(t *testing.T) {
	node := func(i int, change func(*protocol.State)) func(*observation) {
		return func(o *observation) { change(o.nodes[i].state) }
	}
	fresh := func(o *observation) {
		back3(o)
		for i := range o.nodes {
			started := noon.Add(90 * time.Second)
			o.nodes[i].state.Gate, o.nodes[i].state.Server = protocol.GateState{Open: true}, protocol.ServerState{Phase: protocol.ServerRunning, Started: &started, MQTTOpen: true}
		}
	}
	for name, c := range map[string]struct {
		change func(*observation)
		stage  v1alpha1.RestoreStage
		stops  []string
	}{
		"all serve":                      {func(*observation) {}, v1alpha1.RestoreComplete, nil},
		"a broker is stopped":            {node(1, func(s *protocol.State) { s.Server = protocol.ServerState{Phase: protocol.ServerStopped} }), v1alpha1.RestoreStarting, nil},
		"a broker has no MQTT":           {node(1, func(s *protocol.State) { s.Server.MQTTOpen = false }), v1alpha1.RestoreStarting, nil},
		"a broker cannot be asked":       {func(o *observation) { o.nodes[0].state = nil }, v1alpha1.RestoreStarting, nil},
		"a broker ran all the while":     {node(0, func(s *protocol.State) { before := noon; s.Server.Started = &before }), v1alpha1.RestoreStarting, []string{"broker-0"}},
		"a member does not serve":        {at3(2, func(s *protocol.State) { s.Server.Phase = protocol.ServerHung }), v1alpha1.RestoreStarting, nil},
		"a broker too many is no matter": {func(o *observation) { o.nodes[0].state, o.nodes[0].wanted = nil, false }, v1alpha1.RestoreComplete, nil},
		"what was found is not known any more, and a member does not serve": {func(o *observation) {
			o.found, o.restore.Status.Members = nil, []v1alpha1.RestoredMember{{Pod: "c-placement-center-1", NodeID: 2, ImageSHA256: digits}}
			o.members[1].state.Server.Phase = protocol.ServerHung
		}, v1alpha1.RestoreStarting, nil},
	} {
		t.Run(name, func(t *testing.T) {
			v := decide(seen(v1alpha1.RestoreStarting, fresh, c.change), DefaultTimings())
			if v.stage != c.stage || !slices.Equal(ordered(v, stop), c.stops) || len(ordered(v, discard)) > 0 {
				t.Errorf("%+v", v)
			}
		})
	}
}

func TestWhatWasThereBeforeIsRemovedOnlyOfACompleteRestore(t *testing.T) {
	v := decide(seen(v1alpha1.RestoreComplete, back3), DefaultTimings())
	if !slices.Equal(ordered(v, discard), []string{"0", "1", "2"}) || v.release {
		t.Errorf("%+v", v)
	}
	gone := func(o *observation) {
		back3(o)
		for i := range o.members {
			o.members[i].state.Images.Placement = nil
		}
	}
	if v := decide(seen(v1alpha1.RestoreComplete, gone), DefaultTimings()); len(v.orders) > 0 || !v.release {
		t.Errorf("%+v", v)
	}
	if v := decide(seen(v1alpha1.RestoreComplete, gone, silence(2)), DefaultTimings()); v.release {
		t.Error("it let go before a member could be asked")
	}
	deleted := func(ago time.Duration) func(*observation) {
		return func(o *observation) { o.restore.DeletionTimestamp = &metav1.Time{Time: o.now.Add(-ago)} }
	}
	if v := decide(seen(v1alpha1.RestoreComplete, gone, silence(2), deleted(time.Minute)), DefaultTimings()); v.release {
		t.Error("it let go at once")
	}
	if v := decide(seen(v1alpha1.RestoreComplete, gone, silence(2), deleted(11*time.Minute)), DefaultTimings()); !v.release || v.left == "" {
		t.Errorf("%+v", v)
	}
	for _, stage := range []v1alpha1.RestoreStage{v1alpha1.RestoreFailed, v1alpha1.RestoreAborted} {
		if v := decide(seen(stage, back3), DefaultTimings()); len(v.orders) > 0 || !v.release {
			t.Errorf("%s: %+v", stage, v)
		}
	}
}

func TestGoingBackStopsAllThenPutsAllBackThenStartsAll(t *testing.T) {
	restored := func(rows ...int) func(*observation) {
		return func(o *observation) {
			for _, m := range o.members {
				row := v1alpha1.RestoredMember{Pod: m.pod, NodeID: int64(m.nodeID)} //nolint:gosec // small
				if slices.Contains(rows, int(m.nodeID)) {                           //nolint:gosec // small
					row.ImageSHA256 = digits
				}
				o.restore.Status.Members = append(o.restore.Status.Members, row)
			}
		}
	}
	phase := func(p protocol.PlacementPhase) func(*protocol.State) {
		return func(s *protocol.State) {
			s.Images.Placement.Phase = p
			if p == protocol.PlacementReverted {
				s.Volume.Marker = &protocol.Marker{Generation: 1, Origin: protocol.OriginJoined}
			}
		}
	}
	former := func(o *observation) {
		down3(o)
		for i := range o.members {
			o.members[i].state.Generation = 1
		}
	}
	backAll := func(o *observation) {
		placed3(protocol.PlacementReverted)(o)
		for i := range o.members {
			o.members[i].state.Generation = 1
		}
	}
	all := []string{"0", "1", "2"}
	for name, c := range map[string]struct {
		change                          []func(*observation)
		stops, reverts, starts, abandon []string
		stage                           v1alpha1.RestoreStage
	}{
		"they run on what was restored":                        {[]func(*observation){back3, func(o *observation) { o.nodes = nil }}, []string{"1", "2"}, nil, nil, nil, v1alpha1.RestoreAborting},
		"the leader stops last":                                {[]func(*observation){back3, func(o *observation) { o.nodes = nil }, at3(2, stop3), at3(3, stop3)}, []string{"0"}, nil, nil, nil, v1alpha1.RestoreAborting},
		"all are down":                                         {[]func(*observation){placed3(protocol.PlacementOpen)}, nil, all, nil, nil, v1alpha1.RestoreAborting},
		"one is back":                                          {[]func(*observation){placed3(protocol.PlacementPlaced), at3(1, phase(protocol.PlacementReverted))}, nil, []string{"1", "2"}, nil, nil, v1alpha1.RestoreAborting},
		"one is still at it":                                   {[]func(*observation){backAll, at3(1, phase(protocol.PlacementPlacing))}, nil, nil, nil, nil, v1alpha1.RestoreAborting},
		"all are back":                                         {[]func(*observation){backAll}, nil, nil, all, nil, v1alpha1.RestoreAborting},
		"nothing was put in place":                             {[]func(*observation){placed3(protocol.PlacementReceived), former}, nil, nil, all, all, v1alpha1.RestoreAborting},
		"nothing was received":                                 {[]func(*observation){former}, nil, nil, all, nil, v1alpha1.RestoreAborting},
		"the configuration is still the new one":               {[]func(*observation){down3, at3(1, func(s *protocol.State) { s.Generation, s.Gate.Reason = 2, protocol.GateOldGeneration })}, nil, nil, []string{"1", "2"}, nil, v1alpha1.RestoreAborting},
		"all run on what they had":                             {[]func(*observation){}, nil, nil, nil, nil, v1alpha1.RestoreFailed},
		"one that cannot be asked may run":                     {[]func(*observation){backAll, restored(3), silence(3)}, nil, nil, nil, nil, v1alpha1.RestoreAborting},
		"one that cannot be asked was never opened":            {[]func(*observation){backAll, restored(), silence(3)}, nil, nil, []string{"0", "1"}, nil, v1alpha1.RestoreAborting},
		"one that cannot be asked, before the others are back": {[]func(*observation){placed3(protocol.PlacementOpen), restored(1, 2, 3), silence(3)}, nil, nil, nil, nil, v1alpha1.RestoreAborting},
		"the Job may still send":                               {[]func(*observation){former, push3}, nil, nil, nil, nil, v1alpha1.RestoreAborting},
		"there is no cluster any more":                         {[]func(*observation){placed3(protocol.PlacementOpen), func(o *observation) { o.cluster = nil }}, nil, nil, nil, nil, v1alpha1.RestoreFailed},
		"the cluster is at the new generation yet":             {[]func(*observation){func(o *observation) { o.cluster.Status.Generation = 2 }}, nil, nil, nil, nil, v1alpha1.RestoreAborting},
		"brokers start last, and one after the other": {[]func(*observation){func(o *observation) {
			for i := range o.nodes {
				stop3(o.nodes[i].state)
			}
		}}, nil, nil, []string{"broker-0"}, nil, v1alpha1.RestoreAborting},
		"a broker that cannot be asked is not waited for": {[]func(*observation){func(o *observation) { o.nodes[0].state = nil }}, nil, nil, nil, nil, v1alpha1.RestoreFailed},
		"a person wanted it":                              {[]func(*observation){func(o *observation) { o.restore.Annotations = map[string]string{v1alpha1.AnnotationAbort: "true"} }}, nil, nil, nil, nil, v1alpha1.RestoreAborted},
	} {
		t.Run(name, func(t *testing.T) {
			v := decide(seen(v1alpha1.RestoreAborting, c.change...), DefaultTimings())
			if v.stage != c.stage || !slices.Equal(ordered(v, stop), c.stops) || !slices.Equal(ordered(v, revert), c.reverts) || !slices.Equal(ordered(v, start), c.starts) || !slices.Equal(ordered(v, abandon), c.abandon) {
				t.Errorf("%s, awaits %q, orders %v", v.stage, v.awaits, v.orders)
			}
			if v.stage == v1alpha1.RestoreAborting && v.awaits == "" {
				t.Error("it does not say what it waits for")
			}
		})
	}
}

func stop3(s *protocol.State) {
	s.Server, s.Raft, s.Gate = protocol.ServerState{Phase: protocol.ServerStopped}, nil, protocol.GateState{Reason: protocol.GateHeld}
}

func TestADeletedRestoreIsNotKeptForEverByMembersThatCannotBeAsked(t *testing.T) {
	for _, minutes := range []int{1, 11} {
		v := decide(seen(v1alpha1.RestoreAborting, placed3(protocol.PlacementOpen), silence(2), func(o *observation) {
			o.restore.DeletionTimestamp = &metav1.Time{Time: o.now.Add(-time.Duration(minutes) * time.Minute)}
		}), DefaultTimings())
		if v.release != (minutes > 10) || v.release && !strings.Contains(v.left, "c-placement-center-1") {
			t.Errorf("after %d minutes: %+v", minutes, v)
		}
	}
}

func TestEveryStageUnderWayCanBeTakenBack(t *testing.T) {
	for _, stage := range []v1alpha1.RestoreStage{v1alpha1.RestoreStopping, v1alpha1.RestoreTransferring, v1alpha1.RestoreOpening, v1alpha1.RestoreVerifying, v1alpha1.RestoreStarting} {
		v := decide(seen(stage, func(o *observation) { o.restore.Annotations = map[string]string{v1alpha1.AnnotationAbort: "true"} }), DefaultTimings())
		if v.stage != v1alpha1.RestoreAborting || v.reason != v1alpha1.ReasonRestoreAborting || len(v.orders) > 0 {
			t.Errorf("%s: %+v", stage, v)
		}
	}
}

func TestTheMembersComeBackWithOneVoteAboveAllThatWasSeen(t *testing.T) {
	o := seen(v1alpha1.RestoreTransferring)
	edits, err := editsOf(o)
	if err != nil {
		t.Fatal(err)
	}
	for _, group := range robustmq.Groups {
		if v := edits.Votes[group]; v != (protocol.RaftVote{Term: 4, NodeID: 1, Committed: true}) {
			t.Errorf("%s: %+v", group, v)
		}
		want := protocol.RaftMembership{LogID: &robustmq.LogID{Term: 1, NodeID: 1, Index: 5}, Voters: []uint64{1, 2, 3}, Addresses: map[uint64]string{}}
		for id := range uint64(3) {
			want.Addresses[id+1] = fmt.Sprintf("c-placement-center-%d.c-placement-center.ns.svc.cluster.local:1228", id)
		}
		if m := edits.Memberships[group]; !reflect.DeepEqual(m, want) {
			t.Errorf("%s: %+v", group, m)
		}
	}
	if edits.Registry != nil {
		t.Errorf("the registry of the same cluster is written anew: %+v", edits.Registry)
	}
	for name, c := range map[string]struct {
		change func(*observation)
		term   int64
	}{
		"the members' is the highest":  {func(*observation) {}, 4},
		"the backup's vote":            {func(o *observation) { o.found.Inspected.Groups[2].Vote.Term = 8 }, 9},
		"the backup's group":           {func(o *observation) { o.found.Inspected.Groups[1].Term = 8 }, 9},
		"one that an earlier pass saw": {func(o *observation) { o.restore.Status.Term = 12 }, 12},
		"one that a transfer was to make": {at3(2, func(s *protocol.State) {
			s.Transfer = &protocol.Transfer{Terms: map[string]uint64{robustmq.GroupData: 6}}
		}), 7},
		"nobody says anything": {func(o *observation) { down3(o); o.restore.Status.Term = 0 }, 3},
	} {
		if got := term(seen(v1alpha1.RestoreStopping, c.change)); got != c.term {
			t.Errorf("%s: %d, want %d", name, got, c.term)
		}
	}
}

func TestAnotherClusterGetsItsOwnAddressesIntoTheRegistry(t *testing.T) {
	for name, change := range map[string]func(*observation){
		"another namespace": func(o *observation) { o.found.Inspected.Namespace = "other" },
		"another name":      func(o *observation) { o.found.Inspected.ClusterName = "other" },
		"another identity":  func(o *observation) { o.found.Inspected.ClusterUID = "other" },
	} {
		edits, err := editsOf(seen(v1alpha1.RestoreTransferring, change))
		if err != nil {
			t.Fatal(err)
		}
		var ids []uint64
		for _, n := range edits.Registry {
			ids = append(ids, n.ID)
			if !strings.HasSuffix(n.Host, ".ns.svc.cluster.local") || !slices.Contains(n.Roles, "engine") || n.Ports.GRPC != 1228 || !slices.Equal(n.Folders, []string{"/var/lib/robustmq/engine"}) {
				t.Errorf("%s: %+v", name, n)
			}
		}
		if !slices.Equal(ids, []uint64{1, 2, 3, 1001, 1002}) {
			t.Errorf("%s: nodes %v", name, ids)
		}
	}
}

func TestWithFewerNodesThoseThatExistAreAllThatThereAre(t *testing.T) {
	o := seen(v1alpha1.RestoreTransferring, func(o *observation) {
		voters(1, 2, 3, 4, 5)(o.found)
		o.restore.Spec.Unsafe = []v1alpha1.RestoreEscape{v1alpha1.AllowFewerNodes}
	})
	edits, err := editsOf(o)
	if err != nil || !slices.Equal(edits.Memberships[robustmq.GroupData].Voters, []uint64{1, 2, 3}) || len(edits.Memberships[robustmq.GroupData].Addresses) != 3 {
		t.Errorf("%+v, %v", edits, err)
	}
	// More members than voters: the backup's are the voters, and the others are none.
	o = seen(v1alpha1.RestoreTransferring, func(o *observation) { voters(1)(o.found) })
	if edits, err = editsOf(o); err != nil || !slices.Equal(edits.Memberships[robustmq.GroupData].Voters, []uint64{1}) {
		t.Errorf("%+v, %v", edits, err)
	}
}
