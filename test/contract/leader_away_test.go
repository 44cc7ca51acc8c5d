package contract

import (
	"errors"
	"testing"
	"time"

	"github.com/robustmq/robustmq-operator/test/contract/lab"
)

// What the order rests on in which a pod is made anew: how long its server is away is how long publishers stand still, and an address that answers nobody costs far more than one that refuses.
func TestWhatIsPublishedWaitsForTheLeaderOfItsSegmentAndLongerForAnAddressThatAnswersNobody(t *testing.T) {
	l := lab.New(t, lab.Options{Speed: 4}) // a node that is away for 30 s is forgotten, and a busy machine needs its own time meanwhile
	all, leader := engines(l, quickFetch)
	broker := all[3]
	topic := topicsLedBy(leader, broker, "t", 2, 1)[0]
	c := mustConnect(broker, 5, "publisher")
	if code, err := c.publish(topic, "before", 15*time.Second); err != nil || code >= 0x80 {
		t.Fatalf("before: %#x %v", code, err)
	}

	leader.Stop()
	stopped := time.Now()
	listed := func() bool { return time.Duration(float64(time.Since(stopped))*l.Speed) < 25*time.Second }
	var code byte
	var err error
	took := l.Elapsed(func() { code, err = c.publish(topic, "while it refuses", 15*time.Second) })
	if err != nil || code < 0x80 || took < 800*time.Millisecond || took > 4*time.Second+l.Slack() {
		t.Errorf("while its address refuses: %#x %v after %s, want a refusal after ten tries in a second", code, err, took)
	}
	if p := placedOn(broker, topic); p.Leader != leader.ID && listed() {
		t.Errorf("led by %d, want it to stay with %d, which is away", p.Leader, leader.ID)
	}

	leader.Hole(true)
	c = mustConnect(broker, 5, "another")
	if code, err := c.publish(topic, "while it hangs", time.Duration(float64(2500*time.Millisecond)/l.Speed)); !errors.Is(err, errNoAck) && listed() {
		t.Errorf("while its address answers nobody: %#x %v, want no answer for longer than all tries take", code, err)
	}
	leader.Hole(false)
	leader.Start()
	l.Eventually(90*time.Second, "it is published again", func() bool {
		code, err := mustConnect(broker, 5, "after").publish(topic, "after", 15*time.Second)
		return err == nil && code < 0x80
	})
}
