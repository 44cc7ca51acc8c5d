package agent

import (
	"context"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/robustmq/robustmq-operator/internal/agent/client"
	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
	"github.com/robustmq/robustmq-operator/internal/agent/volume"
	"github.com/robustmq/robustmq-operator/internal/robustmq/config"
)

func TestAnEmptyVolumeKeepsTheGateClosedUntilItIsFounded(t *testing.T) {
	w := newWorld(t)
	p := w.add(config.RolePlacementCenter, 0).start()
	p.eventually("the gate awaits an order", func(s protocol.State) bool { return s.Gate.Reason == protocol.GateAwaitsOrder && s.NodeID == 1 })
	never(t, "a start without an order", 300*time.Millisecond, func() bool { return w.startsOf(1) > 0 })
	if code, _ := p.get("/readyz"); code != http.StatusServiceUnavailable {
		t.Errorf("ready with a closed gate: %d", code)
	}
	if code, _ := p.get("/healthz"); code != http.StatusOK {
		t.Errorf("not healthy with a closed gate: %d", code)
	}
	for range 2 { // orders may be repeated
		if _, err := p.operator().Gate(t.Context(), p.gateOrder(protocol.GateFound)); err != nil {
			t.Fatal(err)
		}
	}
	s := p.eventually("the server runs, and the marker saw data", func(s protocol.State) bool {
		return runs(s) && s.Volume.Marker != nil && s.Volume.Marker.HasData
	})
	if s.Volume.Marker.Origin != protocol.OriginFounded || s.Volume.Phase != protocol.VolumeInitialised || s.Server.Restarts != 0 {
		t.Errorf("%+v", s)
	}
	if _, err := p.operator().Gate(t.Context(), p.gateOrder(protocol.GateFound)); err != nil {
		t.Error("an order that was carried out is refused:", err)
	}
	if _, err := p.operator().Gate(t.Context(), p.gateOrder(protocol.GateJoin)); client.Reason(err) != protocol.ReasonConflict {
		t.Errorf("joined a founded volume: %v", err)
	}
}

func TestTheMarkerIsWrittenBeforeTheServersFirstStart(t *testing.T) {
	w := newWorld(t)
	p := w.add(config.RoleMQTTBroker, 0)
	w.add(config.RolePlacementCenter, 0)
	w.script(p.ID).set(func(b *behaviour) { b.exit = 1 })
	p.start()
	p.eventually("the gate awaits an order", func(s protocol.State) bool { return s.Gate.Reason == protocol.GateAwaitsOrder })
	if _, err := p.operator().Gate(t.Context(), p.gateOrder(protocol.GateJoin)); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a start", func() bool { return w.startsOf(p.ID) > 0 }, func() any { return nil })
	if got := volume.At(p.Paths.VolumeDir).Inspect(); got.Marker == nil || got.Phase != protocol.VolumeEmpty || got.Marker.HasData {
		t.Errorf("%+v", got)
	}
}

func TestAVolumeWithItsMarkerOpensItsOwnGate(t *testing.T) {
	w := newWorld(t)
	p := w.add(config.RolePlacementCenter, 0).initialised(nil).start()
	s := p.eventually("the server runs", runs)
	if s.Config.Mounted == "" || s.Config.Mounted != s.Config.Running {
		t.Errorf("config: %+v", s.Config)
	}
}

func TestAForeignOrOlderVolumeIsNeverStarted(t *testing.T) {
	for reason, change := range map[string]func(*protocol.Marker){
		protocol.GateForeign:       func(m *protocol.Marker) { m.ClusterUID = "another" },
		protocol.GateOldGeneration: func(m *protocol.Marker) { m.Generation = 0 },
	} {
		w := newWorld(t)
		p := w.add(config.RolePlacementCenter, 0).initialised(change).start()
		p.eventually("the gate says "+reason, func(s protocol.State) bool { return s.Gate.Reason == reason && s.Gate.Message != "" })
		never(t, "a start", 200*time.Millisecond, func() bool { return w.startsOf(1) > 0 })
		if reason == protocol.GateForeign {
			if _, err := p.operator().Gate(t.Context(), p.gateOrder(protocol.GateAdopt)); err != nil {
				t.Fatal(err)
			}
			p.eventually("the adopted volume is served", func(s protocol.State) bool { return runs(s) && s.Volume.Marker.Origin == protocol.OriginAdopted })
		}
	}
}

func TestAVolumeWhoseDataWasLostIsNotStarted(t *testing.T) {
	w := newWorld(t)
	p := w.add(config.RolePlacementCenter, 0).initialised(nil)
	if err := os.RemoveAll(filepath.Join(p.Paths.VolumeDir, "data")); err != nil {
		t.Fatal(err)
	}
	p.start()
	p.eventually("the gate says that data is lost", func(s protocol.State) bool { return s.Gate.Reason == protocol.GateDataLost })
	never(t, "a start", 200*time.Millisecond, func() bool { return w.startsOf(1) > 0 })
}

func TestAStopHoldsUntilAStart(t *testing.T) {
	w := newWorld(t)
	p := w.add(config.RolePlacementCenter, 0).initialised(nil).start()
	p.eventually("the server runs", runs)
	s, err := p.operator().Server(t.Context(), protocol.ServerOrder{Action: protocol.ServerStop, Reason: "test"})
	if err != nil || s.Server.Phase != protocol.ServerStopped || s.Gate.Reason != protocol.GateHeld || s.Server.LastExit == nil || s.Server.LastExit.Reason != protocol.ExitOrdered {
		t.Fatalf("%+v, %v", s, err)
	}
	if code, why := p.get("/readyz"); code != http.StatusServiceUnavailable {
		t.Errorf("a held server's name stays: %d %s", code, why)
	}
	never(t, "a start while held", 300*time.Millisecond, func() bool { return w.startsOf(1) > 1 })
	if s, err = p.operator().Server(t.Context(), protocol.ServerOrder{Action: protocol.ServerStart, Reason: "test"}); err != nil || s.Server.PID == 0 {
		t.Fatalf("%+v, %v", s, err)
	}
	p.eventually("the server runs again", func(s protocol.State) bool { return runs(s) && s.Server.Restarts == 1 })
}

func TestARestartInPlaceIsSafeToRepeat(t *testing.T) {
	w := newWorld(t)
	p := w.add(config.RolePlacementCenter, 0).initialised(nil).start()
	before := p.eventually("the server runs", runs)
	order := protocol.ServerOrder{Action: protocol.ServerRestart, Reason: "test", IfStarted: before.Server.Started}
	s, err := p.operator().Server(t.Context(), order)
	if err != nil || s.Server.Started == nil || s.Server.Started.Equal(*before.Server.Started) || s.Server.LastExit.Reason != protocol.ExitOrdered {
		t.Fatalf("%+v, %v", s, err)
	}
	if code, why := p.get("/readyz"); code != http.StatusOK {
		t.Errorf("the name flaps during a restart in place: %s", why)
	}
	again, err := p.operator().Server(t.Context(), order)
	if err != nil || !again.Server.Started.Equal(*s.Server.Started) || w.startsOf(1) != 2 {
		t.Errorf("restarted once more: %+v, %v", again.Server, err)
	}
}

func TestACrashingServerIsStartedAgainLaterAndLater(t *testing.T) {
	w := newWorld(t)
	p := w.add(config.RolePlacementCenter, 0).initialised(nil)
	w.script(1).set(func(b *behaviour) {
		b.exit, b.words = 1, "2026-11-23T17:00:03.8Z ERROR broker_server: cannot log in with mqtt-password-1\n"
	})
	p.start()
	s := p.eventually("three starts", func(s protocol.State) bool { return w.startsOf(1) >= 3 && s.Server.LastExit != nil })
	if e := s.Server.LastExit; e.Code != 1 || e.Reason != protocol.ExitStartFailed || !strings.Contains(e.Message, "cannot log in with ***") {
		t.Errorf("%+v", e)
	}
	if strings.Contains(p.stdout.String(), "mqtt-password-1") || !strings.Contains(p.stdout.String(), "cannot log in") {
		t.Error("the log shows a secret, or nothing")
	}
	w.script(1).set(func(b *behaviour) { b.exit = 0 })
	p.eventually("it runs at last", runs)
}

func TestAHungServerIsKilledAndStartedAgain(t *testing.T) {
	w := newWorld(t)
	p := w.add(config.RolePlacementCenter, 0).initialised(nil).start()
	p.eventually("the server runs", runs)
	hung := w.server(1)
	w.script(1).set(func(b *behaviour) { b.hung = true })
	p.eventually("it counts as hung", func(s protocol.State) bool { return s.Server.Phase == protocol.ServerHung || s.Server.LastExit != nil })
	p.eventually("it was killed", func(s protocol.State) bool {
		return s.Server.LastExit != nil && s.Server.LastExit.Reason == protocol.ExitHung
	})
	w.script(1).set(func(b *behaviour) { b.hung = false })
	p.eventually("it runs again", func(s protocol.State) bool { return runs(s) && s.Server.Restarts > 0 })
	if got := hung.received(); len(got) != 1 || got[0] != syscall.SIGKILL {
		t.Errorf("signals: %v", got)
	}
}

func TestAPauseOfTheWholeMachineIsNoHangOfTheServer(t *testing.T) {
	w := newWorld(t)
	p := w.add(config.RolePlacementCenter, 0).start()
	now := time.Now()
	c := &child{answered: true, lastAnswer: now.Add(-time.Hour)}
	for misses := range minMissedBeats {
		c.misses = misses
		if got := p.agent.phase(c, now); got != protocol.ServerRunning || c.hangs(now, w.timings.HungAfter) {
			t.Errorf("%d unanswered questions after a jump of the clock: %s", misses, got)
		}
	}
	c.misses = minMissedBeats
	if got := p.agent.phase(c, now); got != protocol.ServerHung || !c.hangs(now, w.timings.HungAfter) {
		t.Errorf("a hang is not seen: %s", got)
	}
}

func TestAServerThatNeverAnsweredIsLeftAlone(t *testing.T) {
	w := newWorld(t)
	p := w.add(config.RolePlacementCenter, 0).initialised(nil)
	w.script(1).set(func(b *behaviour) { b.hung = true })
	p.start()
	p.eventually("it is starting", func(s protocol.State) bool { return s.Server.Phase == protocol.ServerStarting })
	never(t, "a kill of a server that is still starting", 2*w.timings.HungAfter, func() bool { return w.startsOf(1) > 1 })
}

func TestAServerThatIgnoresTheSignalIsKilled(t *testing.T) {
	w := newWorld(t)
	p := w.add(config.RolePlacementCenter, 0).initialised(nil)
	w.script(1).set(func(b *behaviour) { b.deaf = true })
	p.start()
	p.eventually("the server runs", runs)
	server := w.server(1)
	s, err := p.operator().Server(t.Context(), protocol.ServerOrder{Action: protocol.ServerStop})
	if err != nil || s.Server.LastExit.Signal != "SIGKILL" || s.Server.LastExit.Reason != protocol.ExitOrdered {
		t.Errorf("%+v, %v", s.Server, err)
	}
	if got := server.received(); len(got) != 2 || got[0] != syscall.SIGTERM || got[1] != syscall.SIGKILL {
		t.Errorf("signals: %v", got)
	}
}

func TestVersionsWithoutAHandlerForSIGTERMAreStoppedBySIGINT(t *testing.T) {
	for version, want := range map[string]os.Signal{"0.4.3": syscall.SIGINT, "0.4.4": syscall.SIGTERM} {
		w := newWorld(t)
		w.version = version
		p := w.add(config.RolePlacementCenter, 0).initialised(nil).start()
		p.eventually("the server runs", runs)
		server := w.server(1)
		if _, err := p.operator().Server(t.Context(), protocol.ServerOrder{Action: protocol.ServerStop}); err != nil {
			t.Fatal(err)
		}
		if got := server.received(); len(got) != 1 || got[0] != want {
			t.Errorf("%s: %v", version, got)
		}
	}
}

func TestTheAgentEndsWithTheServersCode(t *testing.T) {
	w := newWorld(t)
	p := w.add(config.RolePlacementCenter, 0).initialised(nil)
	w.script(1).set(func(b *behaviour) { b.stopCode = 7 })
	p.start()
	p.eventually("the server runs", runs)
	p.agent.Terminate()
	if code := <-p.exit; code != 7 {
		t.Errorf("code %d", code)
	}
	// And with none that ran: 0.
	idle := w.add(config.RolePlacementCenter, 1).start()
	idle.eventually("the gate awaits an order", func(s protocol.State) bool { return s.Gate.Reason == protocol.GateAwaitsOrder })
	idle.agent.Terminate()
	if code := <-idle.exit; code != 0 {
		t.Errorf("code %d", code)
	}
}

func TestTheEndOfTheContextKillsTheServer(t *testing.T) {
	w := newWorld(t)
	p := w.add(config.RolePlacementCenter, 0).initialised(nil).start()
	p.eventually("the server runs", runs)
	server := w.server(1)
	p.kill()
	if code := <-p.exit; code != 137 {
		t.Errorf("code %d", code)
	}
	if got := server.received(); len(got) != 1 || got[0] != syscall.SIGKILL {
		t.Errorf("signals: %v", got)
	}
	if w.server(1) != nil {
		t.Error("the server outlives its agent")
	}
}

func TestAWipeNeedsAStoppedServerAndTheRightMarker(t *testing.T) {
	w := newWorld(t)
	p := w.add(config.RolePlacementCenter, 0).initialised(nil).start()
	s := p.eventually("the server runs", runs)
	marker := *s.Volume.Marker
	order := protocol.WipeOrder{Marker: marker, Reason: "test"}
	if _, err := p.operator().Wipe(t.Context(), order); client.Reason(err) != protocol.ReasonConflict {
		t.Errorf("wiped under a running server: %v", err)
	}
	if _, err := p.operator().Server(t.Context(), protocol.ServerOrder{Action: protocol.ServerStop}); err != nil {
		t.Fatal(err)
	}
	other := order
	other.Marker.Generation++
	if _, err := p.operator().Wipe(t.Context(), other); client.Reason(err) != protocol.ReasonConflict {
		t.Errorf("wiped a volume of another generation: %v", err)
	}
	for range 2 {
		s, err := p.operator().Wipe(t.Context(), order)
		if err != nil || s.Volume.Phase != protocol.VolumeEmpty || s.Volume.Marker != nil || s.Gate.Reason != protocol.GateAwaitsOrder {
			t.Fatalf("%+v, %v", s, err)
		}
	}
	if _, err := p.operator().Gate(t.Context(), p.gateOrder(protocol.GateFound)); err != nil {
		t.Fatal(err)
	}
	p.eventually("the server runs on the emptied volume", runs)
}

func TestAConfigurationThatTheServerWouldDieOfDoesNotTouchARunningOne(t *testing.T) {
	w := newWorld(t)
	p := w.add(config.RolePlacementCenter, 0).initialised(nil).start()
	before := p.eventually("the server runs", runs)
	p.configure(func(c *protocol.Config) { c.Ports.HTTP = 99999 })
	s := p.eventually("the problem is named", func(s protocol.State) bool { return strings.Contains(s.Config.Problem, "http is 99999") })
	if !runs(s) || !s.Gate.Open || !s.Server.Started.Equal(*before.Server.Started) {
		t.Errorf("%+v", s)
	}
	if _, err := p.operator().Server(t.Context(), protocol.ServerOrder{Action: protocol.ServerRestart}); client.Reason(err) != protocol.ReasonConflict {
		t.Errorf("a restart into death: %v", err)
	}
	if code, why := p.get("/readyz"); code != http.StatusOK {
		t.Errorf("the name vanishes: %s", why)
	}
}

func TestAChangedConfigurationShowsAndIsRenderedAtTheNextStartOnly(t *testing.T) {
	w := newWorld(t)
	p := w.add(config.RolePlacementCenter, 0).initialised(nil).start()
	before := p.eventually("the server runs", runs)
	file := filepath.Join(p.Paths.RunDir, serverFile)
	old, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	p.configure(func(c *protocol.Config) {
		c.Sections = map[string]map[string]any{"mqtt_runtime.keep_alive": {"default_time": 200}, "future": {"list": []any{map[string]any{}}}}
	})
	s := p.eventually("the mounted hash differs", func(s protocol.State) bool { return s.Config.Mounted != before.Config.Mounted })
	if s.Config.Source == before.Config.Source || s.Config.Live != before.Config.Live {
		t.Errorf("%+v, before %+v", s.Config, before.Config)
	}
	if s.Config.Running != before.Config.Running || len(s.Config.Ignored) != 1 {
		t.Errorf("%+v", s.Config)
	}
	if now, err := os.ReadFile(file); err != nil || string(now) != string(old) {
		t.Errorf("server.toml changed under a running server: %v", err)
	}
	if s, err = p.operator().Server(t.Context(), protocol.ServerOrder{Action: protocol.ServerRestart}); err != nil || s.Config.Running != s.Config.Mounted {
		t.Errorf("%+v, %v", s.Config, err)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("server.toml holds secrets: %v, %v", info.Mode(), err)
	}
}

func TestASettingThatARunningServerTakesInDoesNotCallForARestart(t *testing.T) {
	w := newWorld(t)
	p := w.add(config.RolePlacementCenter, 0).initialised(nil).start()
	before := p.eventually("the server runs", runs)
	p.configure(func(c *protocol.Config) {
		c.Sections = map[string]map[string]any{"mqtt_runtime.protocol": {"receive_max": 7}}
	})
	s := p.eventually("the change is mounted", func(s protocol.State) bool { return s.Config.Source != before.Config.Source })
	if s.Config.Mounted != s.Config.Running || s.Config.Live == s.Config.LiveRunning {
		t.Errorf("%+v", s.Config)
	}
	s, err := p.operator().Server(t.Context(), protocol.ServerOrder{Action: protocol.ServerRestart})
	if err != nil || s.Config.Live != s.Config.LiveRunning {
		t.Errorf("%+v, %v", s.Config, err)
	}
}

func TestTheFileIsWrittenForTheVersionOfThePodsImage(t *testing.T) {
	w := newWorld(t)
	p := w.add(config.RolePlacementCenter, 0)
	w.add(config.RolePlacementCenter, 1)
	p.configure(func(c *protocol.Config) { c.Version = "0.4.11" })
	o := Options{PodName: p.Name, PodIP: p.IP, Paths: p.Paths}
	newer := o.read(readFiles(p.Paths))
	o.ServerVersion = "0.4.9"
	older := o.read(readFiles(p.Paths))
	if older.config.Version != "0.4.9" || older.hash == newer.hash || older.source != newer.source || older.traits.Dialect == newer.traits.Dialect {
		t.Errorf("%s %s %s, newest %s %s %s", older.config.Version, older.hash, older.source, newer.config.Version, newer.hash, newer.source)
	}
}

func TestAStateIsAnsweredInTimeWhateverTheServerDoes(t *testing.T) {
	w := newWorld(t)
	w.timings = DefaultTimings() // real limits
	p := w.add(config.RoleMQTTBroker, 0)
	w.add(config.RolePlacementCenter, 0)
	p.initialised(nil)
	w.script(p.ID).set(func(b *behaviour) { b.silentInfo = true })
	p.start()
	p.eventually("the server runs", runs)
	start := time.Now()
	s, err := p.operator().State(t.Context())
	if took := time.Since(start); err != nil || took > 2*time.Second || s.NodesError == "" {
		t.Errorf("after %s: %+v, %v", took, s, err)
	}
}

func TestABrokerIsReadyWhenItsPortIsOpenAndItKnowsItself(t *testing.T) {
	w := newWorld(t)
	p := w.add(config.RoleMQTTBroker, 0)
	w.add(config.RolePlacementCenter, 0)
	p.initialised(nil)
	script := w.script(p.ID)
	script.set(func(b *behaviour) { b.nodes = []uint64{1} })
	p.start()
	p.eventually("the server runs with an open MQTT port", func(s protocol.State) bool { return runs(s) && s.Server.MQTTOpen && len(s.Nodes) == 1 })
	if code, why := p.get("/readyz"); code == http.StatusOK || !strings.Contains(why, "node list") {
		t.Errorf("%d %s", code, why)
	}
	script.set(func(b *behaviour) { b.nodes = []uint64{1, 1001} })
	ready := func() bool { code, _ := p.get("/readyz"); return code == http.StatusOK }
	eventually(t, "ready", ready, func() any { return p.agent.State(context.Background()) })
	// /api/info hangs for seconds while the first member is away: that must not take every broker out of the Service at once.
	script.set(func(b *behaviour) { b.silentInfo = true })
	p.eventually("the list cannot be had", func(s protocol.State) bool { return s.NodesError != "" })
	if !ready() {
		t.Error("an unanswered question makes a broker unready")
	}
	if _, err := p.operator().Server(t.Context(), protocol.ServerOrder{Action: protocol.ServerStop}); err != nil {
		t.Fatal(err)
	}
	if ready() {
		t.Error("ready without a server")
	}
}

func TestIslandsAreServedOnTheirOwn(t *testing.T) {
	w := newWorld(t)
	w.version = "0.3.0"
	p := w.add(config.RoleMQTTBroker, 0)
	p.config.Islands = true
	put(t, filepath.Join(p.Paths.VolumeDir, "data", "_data", "CURRENT"), nil)
	p.initialised(nil).start()
	p.eventually("the server runs with an open MQTT port", func(s protocol.State) bool { return runs(s) && s.Server.MQTTOpen })
	eventually(t, "ready", func() bool { code, _ := p.get("/readyz"); return code == http.StatusOK }, func() any { return nil })
}

func TestAQuiescedBrokerRunsOnAndIsNotReadyUntilItIsStartedAgain(t *testing.T) {
	w := newWorld(t)
	w.add(config.RolePlacementCenter, 0)
	p := w.add(config.RoleMQTTBroker, 0).initialised(nil).start()
	ready := func() bool { code, _ := p.get("/readyz"); return code == http.StatusOK }
	first := p.eventually("the server runs", runs)
	eventually(t, "the broker is ready", ready, func() any { return nil })
	s, err := p.operator().Server(t.Context(), protocol.ServerOrder{Action: protocol.ServerQuiesce, Reason: "test"})
	if err != nil || !s.Server.Quiesced || !s.Gate.Open || s.Server.PID != first.Server.PID {
		t.Fatalf("%+v %v", s, err)
	}
	if ready() {
		t.Error("a quiesced broker is ready")
	}
	if s, err = p.operator().Server(t.Context(), protocol.ServerOrder{Action: protocol.ServerStart}); err != nil || s.Server.Quiesced || s.Server.PID != first.Server.PID {
		t.Fatalf("%+v %v", s, err)
	}
	eventually(t, "the broker is ready again", ready, func() any { return nil })
	if _, err = p.operator().Server(t.Context(), protocol.ServerOrder{Action: protocol.ServerStop}); err != nil {
		t.Fatal(err)
	}
	if _, err = p.operator().Server(t.Context(), protocol.ServerOrder{Action: protocol.ServerQuiesce}); client.Reason(err) != protocol.ReasonServerDown {
		t.Errorf("a stopped server was quiesced: %v", err)
	}
}

func TestAMemberOfThePlacementCentreIsNotQuiesced(t *testing.T) {
	w := newWorld(t)
	p := w.add(config.RolePlacementCenter, 0).initialised(nil).start()
	p.eventually("the server runs", runs)
	if _, err := p.operator().Server(t.Context(), protocol.ServerOrder{Action: protocol.ServerQuiesce}); client.Reason(err) != protocol.ReasonConflict {
		t.Errorf("%v", err)
	}
	if code, _ := p.get("/readyz"); code != http.StatusOK {
		t.Errorf("its name would vanish: %d", code)
	}
}
