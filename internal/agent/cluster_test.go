package agent

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
	"github.com/robustmq/robustmq-operator/internal/agent/volume"
	"github.com/robustmq/robustmq-operator/internal/robustmq/config"
)

// three is a placement centre of three voters that run.
func three(t testing.TB, change func(*world)) (*world, []*pod) {
	t.Helper()
	w := newWorld(t)
	if change != nil {
		change(w)
	}
	var pods []*pod
	for i := range 3 {
		pods = append(pods, w.add(config.RolePlacementCenter, i).initialised(nil))
		w.script(pods[i].ID).set(func(b *behaviour) { b.voters = []uint64{1, 2, 3} })
	}
	for _, p := range pods {
		p.start()
	}
	for _, p := range pods {
		p.eventually("it runs and knows the voters", func(s protocol.State) bool { return runs(s) && len(s.Raft) == 3 })
	}
	return w, pods
}

func TestAStartWaitsUntilTheOwnNameLeadsToThePod(t *testing.T) {
	w := newWorld(t)
	w.timings.NameWait = time.Hour
	p := w.add(config.RolePlacementCenter, 0).initialised(nil)
	w.publish(p, false)
	p.start()
	p.eventually("it waits for its name", func(s protocol.State) bool { return s.Gate.Open && s.Server.Waiting != "" && s.Server.PID == 0 })
	// The name appears because the pod is ready: it must be, although no server runs yet.
	if code, why := p.get("/readyz"); code != http.StatusOK {
		t.Errorf("not ready while it waits for its name: %s", why)
	}
	w.mu.Lock()
	w.names[p.Host] = "127.0.0.99" // the address of the pod before
	w.mu.Unlock()
	never(t, "a start while the name leads elsewhere", 200*time.Millisecond, func() bool { return w.startsOf(1) > 0 })
	w.publish(p, true)
	p.eventually("the server runs", runs)
}

func TestAServerThatWasAwayForSecondsStartsWhileItsNameTravels(t *testing.T) {
	w := newWorld(t)
	w.timings.NameWait, w.timings.NameSkip = time.Hour, time.Minute
	p := w.add(config.RolePlacementCenter, 0).initialised(nil)
	w.publish(p, false)
	if err := volume.At(p.Paths.VolumeDir).NoteStopped(time.Now()); err != nil {
		t.Fatal(err)
	}
	p.start()
	p.eventually("the server runs without a name", runs)
}

func TestAServerThatWasAwayForLongerWaitsForItsName(t *testing.T) {
	for what, at := range map[string]time.Duration{"too long": -time.Hour, "by a clock that is ahead": time.Hour} {
		t.Run(what, func(t *testing.T) {
			w := newWorld(t)
			w.timings.NameWait, w.timings.NameSkip = time.Hour, time.Minute
			p := w.add(config.RolePlacementCenter, 0).initialised(nil)
			w.publish(p, false)
			if err := volume.At(p.Paths.VolumeDir).NoteStopped(time.Now().Add(at)); err != nil {
				t.Fatal(err)
			}
			p.start()
			p.eventually("it waits for its name", func(s protocol.State) bool { return s.Server.Waiting != "" && s.Server.PID == 0 })
			never(t, "a start without a name", 200*time.Millisecond, func() bool { return w.startsOf(1) > 0 })
		})
	}
}

func TestTheWaitForTheNameIsBoundedForAWholeMember(t *testing.T) {
	w := newWorld(t)
	w.timings.NameWait = 300 * time.Millisecond
	p := w.add(config.RolePlacementCenter, 0).initialised(nil)
	w.publish(p, false)
	p.start()
	p.eventually("the server runs without a name", runs)
}

func TestAnEmptyMemberThatReachesNoPeerIsNotStarted(t *testing.T) {
	w := newWorld(t)
	first, second := w.add(config.RolePlacementCenter, 0), w.add(config.RolePlacementCenter, 1)
	first.start()
	second.start()
	second.eventually("the gate awaits an order", func(s protocol.State) bool { return s.Gate.Reason == protocol.GateAwaitsOrder })
	if _, err := second.operator().Gate(t.Context(), second.gateOrder(protocol.GateJoin)); err != nil {
		t.Fatal(err)
	}
	second.eventually("it waits for a peer", func(s protocol.State) bool { return s.Gate.Open && s.Server.Waiting != "" })
	never(t, "a start that would found a second cluster", 300*time.Millisecond, func() bool { return w.startsOf(2) > 0 })
	if _, err := first.operator().Gate(t.Context(), first.gateOrder(protocol.GateFound)); err != nil {
		t.Fatal(err)
	}
	second.eventually("it runs beside a peer", runs)
}

func TestAJoinThatWasNeverFinishedWaitsForAPeerAgainAndAFinishedOneDoesNot(t *testing.T) {
	w := newWorld(t)
	w.add(config.RolePlacementCenter, 0)
	half := w.add(config.RolePlacementCenter, 1).initialised(func(m *protocol.Marker) { m.Member = false })
	whole := w.add(config.RolePlacementCenter, 2).initialised(nil)
	half.start()
	whole.configure(nil)
	half.eventually("it waits for a peer", func(s protocol.State) bool { return s.Gate.Open && s.Server.Waiting != "" })
	never(t, "a start of a half member alone", 200*time.Millisecond, func() bool { return w.startsOf(2) > 0 })
	whole.start() // nobody else runs: a full outage must end without hands
	whole.eventually("a whole member starts alone", runs)
	half.eventually("the half member follows", runs)
}

func TestAMemberIsRememberedOnceItVotesBesideOthersInEveryGroup(t *testing.T) {
	w := newWorld(t)
	w.add(config.RolePlacementCenter, 0)
	p := w.add(config.RolePlacementCenter, 1).initialised(func(m *protocol.Marker) { m.Member, m.Origin = false, protocol.OriginFounded })
	script := w.script(2)
	script.set(func(b *behaviour) { b.voters = []uint64{2} })
	p.start()
	p.eventually("it runs", func(s protocol.State) bool { return runs(s) && len(s.Raft) == 3 })
	never(t, "a lonely voter becomes a member", 200*time.Millisecond, func() bool { return p.agent.State(context.Background()).Volume.Marker.Member })
	script.set(func(b *behaviour) { b.voters = []uint64{1, 2} })
	p.eventually("it is remembered as a member", func(s protocol.State) bool { return s.Volume.Marker.Member })
}

func TestHeartbeatsOfALiveServerReachEveryMemberThoughOneHangs(t *testing.T) {
	w, pods := three(t, nil)
	broker := w.add(config.RoleMQTTBroker, 0).initialised(nil).start()
	broker.eventually("it runs", runs)
	recent := func(member, node uint64) bool { return time.Since(w.server(member).lastBeat(node)) < time.Second }
	for _, node := range []uint64{1, 2, 3, 1001} {
		for _, member := range []uint64{1, 2, 3} {
			eventually(t, fmt.Sprintf("a heartbeat of %d at %d", node, member), func() bool { return recent(member, node) }, func() any { return nil })
		}
	}
	w.separate(broker, pods[0], true) // the first address hangs
	cut := time.Now()
	for _, member := range []uint64{2, 3} {
		eventually(t, "heartbeats go on at the others", func() bool { return w.server(member).lastBeat(1001).After(cut.Add(time.Second)) }, func() any { return nil })
	}
	if w.server(1).lastBeat(1001).After(cut.Add(500 * time.Millisecond)) {
		t.Error("a heartbeat went through a cut")
	}
	w.separate(broker, pods[0], false)
	healed := time.Now()
	eventually(t, "heartbeats come back", func() bool { return w.server(1).lastBeat(1001).After(healed) }, func() any { return nil })
}

func TestNobodyVouchesForAServerThatIsStoppedHungOrUnasked(t *testing.T) {
	w, pods := three(t, nil)
	quiet := func(what string, node uint64) {
		t.Helper()
		since := time.Now()
		never(t, what, time.Second, func() bool { return w.server(1).lastBeat(node).After(since.Add(200 * time.Millisecond)) })
	}
	if _, err := pods[1].operator().Server(t.Context(), protocol.ServerOrder{Action: protocol.ServerStop}); err != nil {
		t.Fatal(err)
	}
	quiet("a heartbeat of a stopped server", 2)
	pods[2].configure(func(c *protocol.Config) { c.DisableRelay = true })
	pods[2].eventually("the relay is switched off", func(protocol.State) bool {
		pods[2].agent.mu.Lock()
		defer pods[2].agent.mu.Unlock()
		return pods[2].agent.mounted.config.DisableRelay
	})
	quiet("a heartbeat although the relay is off", 3)
}

func TestAVoterThatIsCutOffIsStoppedAndComesBack(t *testing.T) {
	w, pods := three(t, nil)
	w.separate(pods[2], pods[0], true)
	w.separate(pods[2], pods[1], true)
	s := pods[2].eventually("it is fenced", func(s protocol.State) bool { return s.Fenced && s.Server.PID == 0 && s.Server.LastExit != nil })
	if s.Server.LastExit.Reason != protocol.ExitFenced || !s.Gate.Open {
		t.Errorf("%+v", s)
	}
	if code, why := pods[2].get("/readyz"); code != http.StatusOK {
		t.Errorf("the name of a fenced voter vanishes: %s", why)
	}
	for _, p := range pods[:2] {
		if s := p.agent.State(t.Context()); s.Fenced || !runs(s) {
			t.Errorf("%s is fenced with a majority: %+v", p.Name, s)
		}
	}
	w.separate(pods[2], pods[0], false)
	pods[2].eventually("it runs again", func(s protocol.State) bool { return !s.Fenced && runs(s) })
}

func TestAClusterWhoseServersAreAllStoppedDoesNotFenceItself(t *testing.T) {
	w, pods := three(t, nil)
	for _, p := range pods[:2] {
		if _, err := p.operator().Server(t.Context(), protocol.ServerOrder{Action: protocol.ServerStop}); err != nil {
			t.Fatal(err)
		}
	}
	never(t, "a fence although all agents answer", 3*w.timings.FenceAfter, func() bool { return pods[2].agent.State(t.Context()).Fenced })
}

// A pod that runs on where nobody sees it, while another one of its name was made elsewhere, would be the second process of one node id.
func TestAServerStopsWhenItsPodsNameLeadsToAnotherPodOfItsNode(t *testing.T) {
	w, pods := three(t, nil)
	old := pods[2]
	w.mu.Lock()
	w.names[old.Host] = pods[0].IP // to another node: somebody's mistake, and no proof
	w.mu.Unlock()
	never(t, "a fence although nobody else says that he is this node", 3*w.timings.FenceAfter, func() bool { return old.agent.State(t.Context()).Fenced })
	w.mu.Lock()
	w.names[old.Host] = "127.0.0.99" // where nobody is: a name that is not up to date
	w.mu.Unlock()
	never(t, "a fence although nobody answers in its place", 3*w.timings.FenceAfter, func() bool { return old.agent.State(t.Context()).Fenced })
	replacement := w.add(config.RolePlacementCenter, 2) // its name leads to it from now on
	replacement.start()
	s := old.eventually("it is fenced", func(s protocol.State) bool { return s.Fenced && s.Server.PID == 0 && s.Server.LastExit != nil })
	if s.Server.LastExit.Reason != protocol.ExitFenced {
		t.Errorf("%+v", s)
	}
	if s := replacement.agent.State(t.Context()); s.Fenced {
		t.Error("the pod that the name leads to is fenced")
	}
	w.publish(old, true)
	old.eventually("it runs again", func(s protocol.State) bool { return !s.Fenced && runs(s) })
}

// Pods that wait at their gates are not ready and have no name of their own, and after a power cut not their old address either.
func TestTheAgentsOfPodsThatWaitAtTheirGatesCountAgainstAFence(t *testing.T) {
	for name, known := range map[string]bool{"by a name for all": true, "not at all": false} {
		t.Run(name, func(t *testing.T) {
			w, pods := three(t, nil)
			pods[2].configure(func(c *protocol.Config) { c.AgentsHost = "agents.test" })
			pods[2].eventually("the name of all agents is known", func(protocol.State) bool {
				pods[2].agent.mu.Lock()
				defer pods[2].agent.mu.Unlock()
				return pods[2].agent.mounted.config.AgentsHost != ""
			})
			w.mu.Lock()
			if known {
				w.names["agents.test"] = strings.Join([]string{pods[0].IP, pods[1].IP, pods[2].IP}, " ")
			}
			for _, p := range pods[:2] {
				w.names[p.Host] = "127.0.0.99" // where nobody is
			}
			w.mu.Unlock()
			if !known {
				pods[2].eventually("it is fenced", func(s protocol.State) bool { return s.Fenced })
				return
			}
			never(t, "a fence although all agents answer", 3*w.timings.FenceAfter, func() bool { return pods[2].agent.State(t.Context()).Fenced })
		})
	}
}

func TestAFenceNeedsARowOfMisses(t *testing.T) {
	start := time.Unix(1000, 0)
	var f fencing
	fenced, at := false, start
	step := func(reached int, after time.Duration) bool {
		at = at.Add(after)
		fenced = f.next(at, fenced, reached, 3, 15*time.Second)
		return fenced
	}
	for range 4 { // a miss every 3 s, and an answer before 15 s are over
		if step(1, 3*time.Second) {
			t.Fatal("fenced too early")
		}
	}
	if step(2, 3*time.Second) || step(1, time.Hour) || step(1, time.Hour) {
		t.Error("one or two misses after a long pause (a frozen machine) fence")
	}
	for !step(1, 3*time.Second) {
		if at.Sub(start) > 3*time.Hour {
			t.Fatal("never fenced")
		}
	}
	if !step(1, 3*time.Second) || step(2, 3*time.Second) {
		t.Error("a fence must last until the majority is back, and no longer")
	}
}

func TestAVoterIsHeldUntilTheQuorumStandsWithoutIt(t *testing.T) {
	w, pods := three(t, nil)
	if _, err := pods[0].operator().Server(t.Context(), protocol.ServerOrder{Action: protocol.ServerStop}); err != nil {
		t.Fatal(err)
	}
	pods[1].agent.Terminate()
	pods[1].eventually("it is terminating", func(s protocol.State) bool { return s.Terminating })
	never(t, "a stop that takes the quorum", 500*time.Millisecond, func() bool { return len(pods[1].exit) > 0 || w.server(2) == nil })
	if code, why := pods[1].get("/readyz"); code != http.StatusOK {
		t.Errorf("a held voter's name vanishes: %s", why)
	}
	if _, err := pods[0].operator().Server(t.Context(), protocol.ServerOrder{Action: protocol.ServerStart}); err != nil {
		t.Fatal(err)
	}
	select {
	case code := <-pods[1].exit:
		if code != 0 || w.startsOf(2) != 1 {
			t.Errorf("code %d after %d starts", code, w.startsOf(2))
		}
	case <-time.After(patience):
		t.Fatal("held although the quorum stands")
	}
}

func TestAMembersServerOutlastsItsName(t *testing.T) {
	w, pods := three(t, func(w *world) { w.timings.NameGone = time.Hour })
	pods[1].agent.Terminate()
	pods[1].eventually("it is terminating", func(s protocol.State) bool { return s.Terminating })
	never(t, "a stop while the name leads to it", 300*time.Millisecond, func() bool { return len(pods[1].exit) > 0 || w.server(2) == nil })
	w.publish(pods[1], false)
	select {
	case <-pods[1].exit:
	case <-time.After(patience):
		t.Fatal("not stopped although its name is gone")
	}
}

func TestANameThatStaysDoesNotKeepAServer(t *testing.T) {
	w, pods := three(t, func(w *world) { w.timings.NameGone = 300 * time.Millisecond })
	start := time.Now()
	pods[1].agent.Terminate()
	<-pods[1].exit
	if took := time.Since(start); took < w.timings.NameGone {
		t.Errorf("stopped after %s", took)
	}
}

func TestAHoldEndsWithTheGracePeriod(t *testing.T) {
	w, pods := three(t, func(w *world) { w.timings.HoldMax = 600 * time.Millisecond })
	if _, err := pods[0].operator().Server(t.Context(), protocol.ServerOrder{Action: protocol.ServerStop}); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	pods[1].agent.Terminate()
	<-pods[1].exit
	if took := time.Since(start); took < w.timings.HoldMax {
		t.Errorf("let go after %s", took)
	}
}

func TestAClusterThatIsStoppedOnPurposeIsNotHeld(t *testing.T) {
	_, pods := three(t, func(w *world) { w.timings.HoldMax = time.Hour })
	for _, p := range pods {
		p.agent.Terminate()
	}
	for _, p := range pods {
		select {
		case <-p.exit:
		case <-time.After(patience):
			t.Fatalf("%s is held although all are being ended", p.Name)
		}
	}
}

func TestWhetherAVoterIsHeld(t *testing.T) {
	up, down := peerAnswer{reached: true, peer: protocol.Peer{Serving: true}}, peerAnswer{reached: true}
	ending := peerAnswer{reached: true, peer: protocol.Peer{Serving: true, Terminating: true}}
	gone := peerAnswer{}
	for name, c := range map[string]struct {
		self   uint64
		voters []uint64
		others map[uint64]peerAnswer
		want   bool
	}{
		"both others stand":                     {1, []uint64{1, 2, 3}, map[uint64]peerAnswer{2: up, 3: up}, false},
		"one is away":                           {1, []uint64{1, 2, 3}, map[uint64]peerAnswer{2: up, 3: gone}, true},
		"one does not serve":                    {1, []uint64{1, 2, 3}, map[uint64]peerAnswer{2: up, 3: down}, true},
		"alone":                                 {1, []uint64{1}, nil, false},
		"nobody answers":                        {1, []uint64{1, 2, 3}, map[uint64]peerAnswer{2: gone, 3: gone}, false},
		"all are being ended":                   {2, []uint64{1, 2, 3}, map[uint64]peerAnswer{1: ending, 3: ending}, false},
		"one is gone, the other is being ended": {2, []uint64{1, 2, 3}, map[uint64]peerAnswer{1: gone, 3: ending}, false},
		"two are being ended: the lower id goes first": {1, []uint64{1, 2, 3}, map[uint64]peerAnswer{2: ending, 3: up}, false},
		"two are being ended: the higher id waits":     {2, []uint64{1, 2, 3}, map[uint64]peerAnswer{1: ending, 3: up}, true},
		"five, two away": {1, []uint64{1, 2, 3, 4, 5}, map[uint64]peerAnswer{2: up, 3: up, 4: gone, 5: gone}, true},
		"five, one away": {1, []uint64{1, 2, 3, 4, 5}, map[uint64]peerAnswer{2: up, 3: up, 4: up, 5: gone}, false},
		"two voters: the other alone is no quorum":     {1, []uint64{1, 2}, map[uint64]peerAnswer{2: up}, true},
		"an answer of a node that is no voter is void": {1, []uint64{1, 2, 3}, map[uint64]peerAnswer{2: up, 9: up}, true},
	} {
		if got, why := holds(c.self, c.voters, c.others); got != c.want || why == "" {
			t.Errorf("%s: %v (%s)", name, got, why)
		}
	}
}

// Of any set of voters that terminate at once, never so many may go that the others are no quorum, whatever the order in which they decide.
func TestNoSetOfTerminatingVotersTakesTheQuorumByItself(t *testing.T) {
	for n := 3; n <= 7; n++ {
		voters := make([]uint64, n)
		for i := range voters {
			voters[i] = uint64(i + 1)
		}
		for set := range 1 << n {
			var gone []uint64
			for self := range n {
				if set&(1<<self) == 0 {
					continue
				}
				answers := map[uint64]peerAnswer{}
				for other := range n {
					if other != self {
						answers[uint64(other+1)] = peerAnswer{reached: true, peer: protocol.Peer{Serving: true, Terminating: set&(1<<other) != 0}}
					}
				}
				if held, _ := holds(uint64(self+1), voters, answers); !held {
					gone = append(gone, uint64(self+1))
				}
			}
			if set == 1<<n-1 {
				continue // the whole cluster is stopped on purpose
			}
			if n-len(gone) < n/2+1 {
				t.Fatalf("%d voters, terminating %b: %v go at once", n, set, gone)
			}
			if set != 0 && len(gone) == 0 {
				t.Fatalf("%d voters, terminating %b: nobody may go", n, set)
			}
		}
	}
}

func TestThreeAgentsFormAClusterByOrdersAlone(t *testing.T) {
	w := newWorld(t)
	var pods []*pod
	for i := range 3 {
		pods = append(pods, w.add(config.RolePlacementCenter, i))
	}
	for _, p := range pods {
		p.start()
	}
	for i, p := range pods {
		p.eventually("the gate awaits an order", func(s protocol.State) bool { return s.Gate.Reason == protocol.GateAwaitsOrder })
		action := protocol.GateJoin
		if i == 0 {
			action = protocol.GateFound
		}
		if _, err := p.operator().Gate(t.Context(), p.gateOrder(action)); err != nil {
			t.Fatal(err)
		}
		p.eventually("it runs", runs)
		voters := []uint64{1, 2, 3}[:i+1]
		for _, id := range voters {
			w.script(id).set(func(b *behaviour) { b.voters = slices.Clone(voters) })
		}
	}
	for _, p := range pods {
		p.eventually("it is a whole member", func(s protocol.State) bool { return s.Volume.Marker.Member && len(s.Raft["metadata_0"].Voters()) == 3 })
	}
}
