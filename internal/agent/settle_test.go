package agent

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/robustmq/robustmq-operator/backup/image"
	"github.com/robustmq/robustmq-operator/backup/image/imagetest"
	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
	"github.com/robustmq/robustmq-operator/internal/robustmq/config"
)

func TestAnExchangeThatWasInterruptedIsSettledBeforeTheServerStarts(t *testing.T) {
	w := newWorld(t)
	p := w.add(config.RolePlacementCenter, 0).recorded(imagetest.Follower)
	database := filepath.Join(p.Paths.VolumeDir, "data", "_rocksdb")
	// What a power cut leaves between the two steps of an exchange where the file system has none.
	if err := os.Rename(database, database+image.OldSuffix); err != nil {
		t.Fatal(err)
	}
	p.start()
	p.eventually("the server runs", runs)
	if _, err := os.Stat(filepath.Join(database, "CURRENT")); err != nil {
		t.Error(err)
	}
}

func TestAnExchangeThatCannotBeSettledShutsTheGate(t *testing.T) {
	w := newWorld(t)
	p := w.add(config.RolePlacementCenter, 0).recorded(imagetest.Follower)
	intent := filepath.Join(p.Paths.VolumeDir, "data", "_rocksdb.placing")
	put(t, intent, []byte("{"))
	p.start()
	s := p.eventually("the gate is shut", func(s protocol.State) bool { return s.Gate.Reason == protocol.GateUnsettled })
	if s.Gate.Open || !strings.Contains(s.Gate.Message, "_rocksdb.placing") {
		t.Errorf("%+v", s.Gate)
	}
	never(t, "the server starts", 300*time.Millisecond, func() bool { return w.startsOf(1) > 0 })
	if err := os.Remove(intent); err != nil {
		t.Fatal(err)
	}
	p.eventually("the server runs", runs)
	// The same while it runs: the running server stays, the next start does not come.
	put(t, intent, []byte("{"))
	if _, err := p.operator().Server(t.Context(), protocol.ServerOrder{Action: protocol.ServerRestart}); err != nil {
		t.Fatal(err)
	}
	p.eventually("the next start is refused", func(s protocol.State) bool { return s.Gate.Reason == protocol.GateUnsettled && s.Server.PID == 0 })
	if err := os.Remove(intent); err != nil {
		t.Fatal(err)
	}
	p.eventually("the server runs again", runs)
	if w.startsOf(1) != 2 {
		t.Errorf("started %d times", w.startsOf(1))
	}
}

func TestOrdersWaitUntilTheVolumeIsSettled(t *testing.T) {
	w := newWorld(t)
	p := w.add(config.RolePlacementCenter, 0)
	p.configure(nil)
	for n := range 5 {
		p.start()
		// Whatever comes first: an order on an empty volume is carried out or refused, and never hangs.
		eventually(t, fmt.Sprintf("order %d", n), func() bool {
			_, err := p.operator().Gate(t.Context(), p.gateOrder(protocol.GateFound))
			return err == nil
		}, func() any { return nil })
		p.kill()
		<-p.exit
	}
}
