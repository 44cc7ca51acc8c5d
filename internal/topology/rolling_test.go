package topology

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/internal/quorum"
)

// whole is a formed cluster of three members, two brokers and two journal servers, of which every pod has something to be done.
func whole(change func(*Member)) *world {
	w := newWorld(3, 2)
	w.s.Wanted.Replicas[v1alpha1.RoleJournalServer] = 2
	for o := range int32(2) {
		w.s.Members = append(w.s.Members, freshPod(v1alpha1.RoleJournalServer, "c-journal-server-", o, 2001))
	}
	w.founded().form(1, 1, 2, 3).brokersUp(1001, 1002, 2001, 2002)
	w.s.Drain.Complete, w.s.Replicated = true, true
	if change != nil {
		for i := range w.s.Members {
			change(&w.s.Members[i])
		}
	}
	return w
}

func restartAll(m *Member) { m.Agent.ConfigStale = true }
func replaceAll(m *Member) { m.TemplateStale = true }
func imageAll(m *Member)   { m.TemplateStale, m.OnlyImage = true, true }

// inOrder takes the steps one after another, as if each pod came back at once, and returns them.
func inOrder(t *testing.T, w *world) []string {
	t.Helper()
	var all []string
	for range len(w.s.Members) + 1 {
		p := Decide(w.s)
		if p.Settled() {
			break
		}
		if len(p.Steps) != 1 || !p.Steps[0].Planned {
			t.Fatalf("after %q: %+v, waits %+v", all, p.Steps, p.Waits)
		}
		all = append(all, steps(p)...)
		m := w.member(p.Steps[0].NodeID)
		if p.Steps[0].Kind == StepTransfer {
			w.leads(m.NodeID)
			continue
		}
		m.TemplateStale, m.Agent.ConfigStale = false, false
	}
	if p := Decide(w.s); !p.Settled() {
		t.Fatalf("after all: %+v", p)
	}
	return all
}

func TestEveryPodIsRestartedInItsOrderTheLeaderLast(t *testing.T) {
	for leader, want := range map[uint64][]string{
		1: {pc2, pc1, "c-journal-server-1", "c-journal-server-0", "c-mqtt-broker-1", "c-mqtt-broker-0", pc0},
		3: {pc1, pc0, "c-journal-server-1", "c-journal-server-0", "c-mqtt-broker-1", "c-mqtt-broker-0", pc2},
	} {
		for kind, change := range map[StepKind]func(*Member){StepRestart: restartAll, StepReplace: replaceAll, StepChangeImage: imageAll} {
			w := whole(nil)
			w.form(leader, 1, 2, 3)
			for i := range w.s.Members {
				change(&w.s.Members[i])
			}
			var expected []string
			for _, pod := range want {
				if kind != StepRestart && pod == want[len(want)-1] {
					heir := pc0
					if leader == 1 {
						heir = pc1
					}
					expected = append(expected, "Transfer "+heir) // a new pod or container may take longer than a leader keeps its term
				}
				expected = append(expected, string(kind)+" "+pod)
			}
			if got := inOrder(t, w); !slices.Equal(got, expected) {
				t.Errorf("led by %d: %q\nwant %q", leader, got, expected)
			}
		}
	}
}

func TestNobodyIsTakenDownWhoseServerMayStillBeStarting(t *testing.T) {
	for reason, change := range map[string]func(*Member){v1alpha1.ReasonRestarting: restartAll, v1alpha1.ReasonReplacing: replaceAll} {
		w := whole(change)
		w.member(3).Agent.StartedFor = w.s.Limits.StartSettle
		p := expect(t, w, reason)
		if !strings.Contains(p.Waits[0].Message, "started a moment ago") {
			t.Errorf("%+v", p.Waits)
		}
		w.member(3).Agent.StartedFor++
		w.member(2).Agent.StartedFor = time.Second // it is not the one that goes
		if p = Decide(w.s); len(p.Steps) != 1 || p.Steps[0].Pod != pc2 {
			t.Errorf("%+v", p)
		}
	}
}

func TestOfLeadersThatAreApartTheOneWithTheMostGroupsIsLast(t *testing.T) {
	w := whole(restartAll)
	leadersApart(w, "data_0", 3)
	got := inOrder(t, w)
	if !slices.Equal(got[len(got)-2:], []string{"Restart " + pc2, "Restart " + pc0}) {
		t.Errorf("%q", got)
	}
}

func TestAPodWhoseTemplateChangedIsNotRestartedInPlaceFirst(t *testing.T) {
	w := whole(restartAll)
	w.member(3).TemplateStale = true
	expect(t, w, "", "Replace "+pc2)
}

func TestAPodThatWasGivenAnotherImageIsWaitedForUntilItsContainerHasIt(t *testing.T) {
	w := whole(imageAll)
	given := w.member(3)
	given.TemplateStale, given.OnlyImage, given.ImagePending = false, false, true // its old server serves, and is about to end
	p := expect(t, w, v1alpha1.ReasonReplacing)
	if !strings.Contains(p.Waits[0].Message, pc2) || !strings.Contains(p.Waits[0].Message, "has not been started with its new image") {
		t.Errorf("%+v", p.Waits)
	}
	w.s.Seen = map[Symptom]time.Duration{{SymptomDown, pc2}: w.s.Limits.NodeStart + time.Second}
	expect(t, w, v1alpha1.ReasonChangeStopped)
	w.s.Seen = nil
	given.ImagePending = false
	expect(t, w, "", "ChangeImage "+pc1)
}

func TestTheLastPodThatWasGivenAnotherImageIsWaitedForAsWell(t *testing.T) {
	w := whole(nil)
	w.member(1).ImagePending = true
	w.s.Wanted.LeadOn = pc1
	expect(t, w, v1alpha1.ReasonReplacing)
	if why := transferable(w.s, assess(w.s), enoughVoters); !strings.Contains(why, "about to be started with another image") {
		t.Errorf("leadership may move: %q", why)
	}
	if v := quorum.MayGo(2, assess(w.s).Groups()); v.Allowed {
		t.Error("another voter may go while one is about to be started again")
	}
	w.member(1).ImagePending = false
	expect(t, w, "", "Transfer "+pc1)
}

func TestAPodWhoseServerDoesNotComeUpIsMadeAnewWithTheCorrectedImage(t *testing.T) {
	w := whole(nil)
	broken := w.member(3)
	imageAll(broken)
	broken.Agent.Server = ServerExited
	w.s.Seen = map[Symptom]time.Duration{{SymptomDown, pc2}: w.s.Limits.NodeStart + time.Second}
	expect(t, w, "", "Replace "+pc2)
}

func TestAChangeOfTheAgentsImageAloneTakesNoPodDown(t *testing.T) {
	w := whole(func(m *Member) { m.RevisionStale = true })
	if p := expect(t, w, ""); !p.Settled() {
		t.Errorf("%+v", p)
	}
	m := w.member(1002)
	m.State, m.Agent = PodPending, nil
	expect(t, w, "", "Replace c-mqtt-broker-1") // it does not run: nothing is interrupted
}

func TestNothingIsRolledWhile(t *testing.T) {
	for name, c := range map[string]struct {
		reason string
		change func(w *world)
	}{
		"a voter is down":               {v1alpha1.ReasonMembersMissing, func(w *world) { w.member(2).Agent.Server = ServerStarting }},
		"a group has no leader":         {v1alpha1.ReasonQuorumLost, func(w *world) { setGroup(w, 1, "data_0", func(g *Group) { g.Leads = false }) }},
		"a membership changes":          {v1alpha1.ReasonJoiningMember, func(w *world) { setGroup(w, 1, "data_0", func(g *Group) { g.Changing, g.Voters = true, nil }) }},
		"a follower lags":               {v1alpha1.ReasonMembersMissing, func(w *world) { setGroup(w, 1, "metadata_0", func(g *Group) { g.LastLog = 231 }) }},
		"a broker's port is closed":     {v1alpha1.ReasonStartingNode, func(w *world) { w.member(1001).Agent.MQTTOpen = false }},
		"a broker is not registered":    {v1alpha1.ReasonRegistryIncomplete, func(w *world) { unregister1002(w) }},
		"a node does not know another":  {v1alpha1.ReasonRegistryIncomplete, func(w *world) { w.member(2001).Agent.Nodes = []uint64{1, 2, 3, 1001, 2001, 2002} }},
		"a pod is being replaced":       {v1alpha1.ReasonWaitingForPods, func(w *world) { w.member(1001).State = PodTerminating }},
		"an agent does not answer":      {v1alpha1.ReasonAgentUnreachable, func(w *world) { w.member(1001).Agent = nil }},
		"somebody is to be taken away":  {v1alpha1.ReasonRestarting, func(w *world) { w.s.Wanted.Replicas[v1alpha1.RoleJournalServer] = 1 }},
		"metadata is put in place":      {v1alpha1.ReasonMembersMissing, func(w *world) { w.member(2).Agent.Placing = true }},
		"an image of the next is taken": {v1alpha1.ReasonRestarting, func(w *world) { w.member(3).Agent.Staging = true }},
		"the configuration has not reached all": {v1alpha1.ReasonConfigPending, func(w *world) {
			w.s.Wanted.Sources = map[v1alpha1.Role]string{v1alpha1.RoleMQTTBroker: "new"}
			w.member(1002).Agent.Source = "old"
		}},
		"a configuration cannot be started with": {v1alpha1.ReasonConfigInvalid, func(w *world) { w.member(3).Agent.ConfigFault = "tls.key does not fit tls.crt" }},
		"the operator was told to hold":          {v1alpha1.ReasonWaitingForSecret, func(w *world) { w.s.RollHeld = waitFor(v1alpha1.ReasonWaitingForSecret, "Secret x does not exist") }},
		"copies are missing": {v1alpha1.ReasonReplicating, func(w *world) {
			w.s.Drain.Segments = []Segment{{Topic: "t", Replicas: []uint64{1001, 1002}, ISR: []uint64{1001}, Status: "Write"}}
		}},
		"nobody has looked at the copies":      {v1alpha1.ReasonRestarting, func(w *world) { w.s.Drain = Drain{} }},
		"a pod that was restarted is not back": {v1alpha1.ReasonRestarting, func(w *world) { w.member(3).Agent.ConfigStale = false; w.member(3).Agent.Server = ServerStarting }},
		"a pod that was restarted ends again":  {v1alpha1.ReasonServerCrashing, func(w *world) { w.member(3).Agent.ConfigStale = false; w.member(3).Agent.Server = ServerExited }},
		"a new member has not joined":          {v1alpha1.ReasonJoiningMember, func(w *world) { addMember(w); w.start(4, OriginJoined) }},
		"a new member is a voter of some groups": {v1alpha1.ReasonJoiningMember, func(w *world) {
			addMember(w)
			w.start(4, OriginJoined)
			setGroup(w, 1, "data_0", func(g *Group) { g.Voters = []uint64{1, 2, 3, 4} })
		}},
		"a new broker starts beside the old ones":   {v1alpha1.ReasonStartingNode, func(w *world) { w.member(1002).Agent.MQTTOpen = false; w.member(1002).Agent.ConfigStale = false }},
		"the raft core of a member is not running":  {v1alpha1.ReasonMembersMissing, func(w *world) { setGroup(w, 2, "data_0", func(g *Group) { g.Running = false }) }},
		"the leader sees another membership than 2": {v1alpha1.ReasonMembersMissing, func(w *world) { setGroup(w, 2, "data_0", func(g *Group) { g.Voters = []uint64{1, 2} }) }},
	} {
		t.Run(name, func(t *testing.T) {
			w := whole(restartAll)
			c.change(w)
			p := Decide(w.s)
			for _, s := range p.Steps {
				if s.Kind == StepRestart || s.Kind == StepReplace {
					t.Errorf("%s %s; waits %+v", s.Kind, s.Pod, p.Waits)
				}
			}
			if !waits(p, c.reason) {
				t.Errorf("nothing waits with reason %s: %+v", c.reason, p.Waits)
			}
		})
	}
}

func setGroup(w *world, id uint64, group string, change func(*Group)) {
	g := w.member(id).Agent.Groups[group]
	change(&g)
	w.member(id).Agent.Groups[group] = g
}

func unregister1002(w *world) {
	for i := range w.s.Members {
		if a := w.s.Members[i].Agent; a != nil {
			a.Registry = slices.DeleteFunc(slices.Clone(a.Registry), func(id uint64) bool { return id == 1002 })
		}
	}
}

func addMember(w *world) {
	w.s.Wanted.Replicas[v1alpha1.RolePlacementCenter] = 4
	w.s.Members = append(w.s.Members, freshPod(v1alpha1.RolePlacementCenter, "c-placement-center-", 3, 1))
}

func TestWithinTheBoundAFollowerDoesNotLag(t *testing.T) {
	w := whole(restartAll)
	setGroup(w, 1, "metadata_0", func(g *Group) { g.LastLog = 230 })
	expect(t, w, "", "Restart "+pc2)
}

func TestAnImageThatIsReadSurvivesARestartButNotThePod(t *testing.T) {
	w := whole(restartAll)
	w.member(3).Agent.Streaming = true
	expect(t, w, "", "Restart "+pc2)
	w.member(3).TemplateStale = true
	expect(t, w, v1alpha1.ReasonRestarting)
}

func TestTheSegmentsAreAskedForOnlyWhenNothingElseIsInTheWay(t *testing.T) {
	w := whole(restartAll)
	w.s.Drain = Drain{}
	if p := Decide(w.s); !p.AskSegments {
		t.Errorf("%+v", p)
	}
	w.member(2).Agent.Server = ServerStarting
	if p := Decide(w.s); p.AskSegments {
		t.Errorf("%+v", p)
	}
	if p := Decide(whole(nil).s); p.AskSegments {
		t.Errorf("nothing is rolled: %+v", p)
	}
}

func TestAVersionWithoutCopiesIsRolledWithoutThem(t *testing.T) {
	w := whole(restartAll)
	w.s.Drain, w.s.Replicated = Drain{}, false
	expect(t, w, "", "Restart "+pc2)
}

func TestAChangeStopsAtThePodThatDoesNotComeBackAndSaysWhichAndWhy(t *testing.T) {
	w := whole(restartAll)
	a := w.member(3).Agent
	a.ConfigStale, a.Server, a.ServerExit = false, ServerExited, "StartFailed, exit code 1: no such codec"
	w.seen(SymptomDown, 3, 2*time.Minute)
	p := expect(t, w, v1alpha1.ReasonChangeStopped)
	for _, wait := range p.Waits {
		if wait.Reason == v1alpha1.ReasonChangeStopped && (!wait.Trouble || !strings.Contains(wait.Message, pc2) || !strings.Contains(wait.Message, "no such codec") || !strings.Contains(wait.Message, "1 of 7")) {
			t.Errorf("%+v", wait)
		}
	}
}

func TestACorrectionBeginsAtTheBrokenPodWhateverItsRole(t *testing.T) {
	for _, id := range []uint64{1, 2, 1001, 2002} {
		w := whole(replaceAll)
		a := w.member(id).Agent
		a.Server, a.Groups = ServerExited, nil
		pod := w.member(id).Pod
		if got := steps(Decide(w.s)); len(got) != 0 {
			t.Errorf("%s has ended a moment ago, and starts again by itself: %q", pod, got)
		}
		w.seen(SymptomDown, id, 2*time.Minute)
		expect(t, w, "", "Replace "+pod)
		w.s.SetsBehind = map[v1alpha1.Role]bool{w.member(id).Role: true}
		if got := steps(Decide(w.s)); len(got) != 0 {
			t.Errorf("%s would be made anew from the old template: %q", pod, got)
		}
	}
}

// Seed 1956 of test/planner: it could not leave because it did not serve, and was not mended because it was to leave.
func TestANodeThatIsToLeaveIsMadeAnewWithTheCorrectedTemplateSinceItHasToServeFirst(t *testing.T) {
	w := newWorld(3, 2).founded().form(1, 1, 2, 3).brokersUp(1001, 1002)
	w.s.Wanted.Decommission, w.s.Drain = true, Drain{Complete: true}
	w.s.Present = map[v1alpha1.Role]int32{v1alpha1.RolePlacementCenter: 3, v1alpha1.RoleMQTTBroker: 2}
	w.s.Wanted.Replicas[v1alpha1.RoleMQTTBroker] = 1
	broken := w.member(1002)
	broken.Agent.Server, broken.Agent.MQTTOpen, broken.TemplateStale = ServerExited, false, true
	w.seen(SymptomDown, 1002, 2*time.Minute).seen(SymptomStarting, 1002, 2*time.Minute)
	expect(t, w, "", "Replace c-mqtt-broker-1")
	broken.TemplateStale = false
	expect(t, w, v1alpha1.ReasonScaleInPending)
	// A member of the placement centre is taken out as it is.
	w.s.Wanted.Replicas[v1alpha1.RoleMQTTBroker], w.s.Wanted.Replicas[v1alpha1.RolePlacementCenter] = 2, 2
	w.brokersUp(1001, 1002)
	m := w.member(3)
	m.Agent.Server, m.Agent.Groups, m.TemplateStale = ServerExited, nil, true
	w.seen(SymptomDown, 3, 2*time.Minute)
	if p := Decide(w.s); slices.ContainsFunc(p.Steps, func(s Step) bool { return s.Kind == StepReplace }) {
		t.Errorf("%+v", p.Steps)
	}
}

func TestAServerThatHangsInItsStartIsRestartedWithTheCorrectedConfiguration(t *testing.T) {
	w := whole(restartAll)
	a := w.member(1001).Agent
	a.Server, a.MQTTOpen = ServerStarting, false
	w.seen(SymptomDown, 1001, 2*time.Minute)
	expect(t, w, "", "Restart c-mqtt-broker-0")
}

func TestImagesAreOnEveryNodeBeforeTheFirstPodGoes(t *testing.T) {
	w := whole(func(m *Member) {
		m.TemplateStale, m.Node, m.Pull.Phase = true, fmt.Sprint("node-", m.Ordinal), PullWanted
	})
	p := Decide(w.s)
	var nodes []string
	for _, s := range p.Steps {
		if s.Kind != StepPull {
			t.Errorf("%+v", s)
		}
		nodes = append(nodes, w.member(s.NodeID).Node)
	}
	slices.Sort(nodes)
	if !slices.Equal(nodes, []string{"node-0", "node-1", "node-2"}) {
		t.Errorf("pulled on %q", nodes)
	}
	if !p.Serves() {
		t.Errorf("everything is served while images are pulled: %+v", p)
	}
	for i := range w.s.Members {
		w.s.Members[i].Pull.Phase = PullDone
	}
	w.member(1002).Pull.Phase = PullRunning
	expect(t, w, v1alpha1.ReasonReplacing)
	w.member(1002).Pull = Pull{Phase: PullFailed, Message: "image x cannot be pulled (ErrImagePull)"}
	if p := expect(t, w, v1alpha1.ReasonImagePullFailed); !p.Waits[0].Trouble || !strings.Contains(p.Waits[0].Message, "node-1") {
		t.Errorf("%+v", p.Waits)
	}
	w.member(1002).Pull.Phase = PullDone
	expect(t, w, "", "Replace "+pc2)
}

func TestOneMemberAloneIsRolledToo(t *testing.T) {
	w := newWorld(1, 1).founded().form(1, 1).brokersUp(1001)
	w.s.Drain.Complete, w.s.Replicated = true, true
	w.member(1).Agent.ConfigStale, w.member(1001).Agent.ConfigStale = true, true
	expect(t, w, "", "Restart c-mqtt-broker-0")
	w.member(1001).Agent.ConfigStale = false
	expect(t, w, "", "Restart "+pc0)
}

func TestAServerThatShouldRunAndDoesNotIsDown(t *testing.T) {
	w := whole(nil)
	w.member(2).Agent.Server = ServerStarting
	held := w.member(3).Agent
	held.Server, held.GateOpen, held.GateReason = ServerStopped, false, GateHeld
	w.member(1001).Agent = freshPod(v1alpha1.RoleMQTTBroker, "x-", 0, 1).Agent
	var down []string
	for _, s := range Symptoms(w.s) {
		if s.Kind == SymptomDown {
			down = append(down, s.Pod)
		}
	}
	if !slices.Equal(down, []string{pc1}) {
		t.Errorf("%q", down)
	}
}

func TestNobodyIsTakenDownWhileAnybodyElseIsDown(t *testing.T) {
	worlds := 0
	for _, change := range []func(*Member){restartAll, replaceAll} {
		for pattern := range 1 << 7 {
			for _, lasting := range []bool{false, true} {
				worlds++
				w := whole(change)
				for i := range w.s.Members {
					if m := &w.s.Members[i]; pattern&(1<<i) != 0 {
						m.Agent.Server = ServerExited
						if lasting {
							w.seen(SymptomDown, m.NodeID, time.Hour)
						}
					}
				}
				for _, s := range Decide(w.s).Steps {
					if serving(*w.member(s.NodeID)) && pattern != 0 {
						t.Fatalf("down %07b: %+v", pattern, s)
					}
				}
			}
		}
	}
	t.Logf("%d worlds", worlds)
}
