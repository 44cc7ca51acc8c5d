package contract

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/robustmq/robustmq-operator/internal/robustmq"
	"github.com/robustmq/robustmq-operator/test/contract/lab"
)

// faulty skips what is done to the machine of a server, which only a simulated one has.
func faulty(t *testing.T) {
	t.Helper()
	if lab.Real() {
		t.Skip("a real server's disk is not slowed down")
	}
}

// atOnce does the same several times at once, and waits for all.
func atOnce(times int, do func(i int)) {
	var all sync.WaitGroup
	for i := range times {
		all.Go(func() { do(i) })
	}
	all.Wait()
}

func TestAlertRaftApplyLagFiresWhileTheStateMachineOfAFollowerStandsStill(t *testing.T) {
	faulty(t)
	l := lab.New(t, lab.Options{})
	nodes := form(l, 1, 2, 3)
	leader := led(l, nodes, robustmq.GroupMetadata)
	follower := without(nodes, leader.ID)[0]
	j := newJudged(l, nodes...)
	j.lasts(2*time.Minute, nil)
	cause := j.since()
	follower.Simulated().StallApplying(true)
	atOnce(16, func(i int) {
		for k := range 80 {
			ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
			if err := leader.Client().DeleteResourceConfig(ctx, fmt.Sprintf("none-%d-%d", i, k)); err != nil {
				t.Errorf("write: %v", err)
			}
			cancel()
		}
	})
	lag := func() float64 { return scrape(follower).samples[`raft_apply_lag{machine="metadata_0"}`] }
	l.Eventually(time.Minute, "the follower has what the leader wrote", func() bool { return lag() > 1000 })
	j.lasts(10*time.Minute, nil)
	cure := j.since()
	follower.Simulated().StallApplying(false)
	l.Eventually(time.Minute, "the follower has applied it", func() bool { return lag() == 0 })
	j.lasts(2*time.Minute, nil)
	if got := j.Fires("RobustMQRaftApplyLag", 0, cause, cure); !strings.HasSuffix(got.Labels["pod"], fmt.Sprint(follower.ID-1)) {
		t.Errorf("it names %s", got.Labels["pod"])
	}
}

// The clock of the server is a quarter of the wall's here: a busy machine must not look like a slow disk.
func TestAlertRaftCommitsSlowFiresWhileTheDiskTakesMoreThanHalfASecondForAWrite(t *testing.T) {
	faulty(t)
	l := lab.New(t, lab.Options{Metas: 1, Speed: 4})
	n := form(l, 1)[0]
	j := newJudged(l, n)
	j.every = time.Minute
	round := 0
	write := func() {
		if round++; !createUser(n, fmt.Sprint("committed-", round)) {
			t.Error("a user is not created")
		}
	}
	j.lasts(8*time.Minute, write)
	cause := j.since()
	n.Simulated().SlowDisk(600 * time.Millisecond)
	j.lasts(17*time.Minute, write)
	cure := j.since()
	n.Simulated().SlowDisk(0)
	j.lasts(6*time.Minute, write)
	j.lasts(6*time.Minute, nil)
	j.Fires("RobustMQRaftCommitsSlow", 0, cause, cure)
}

func TestAlertStorageErrorsFiresWhileTheOnlyCopyOfATopicIsOutOfReach(t *testing.T) {
	faulty(t)
	l := lab.New(t, lab.Options{})
	nodes := form(l, 1, 2, 3)
	victim := without(nodes, leaders(nodes)[robustmq.GroupMetadata])[0]
	others := without(nodes, victim.ID)
	topic := topicsLedBy(victim, others[0], "lone/", 1, 1)[0]
	publisher := mustConnect(others[0], 5, "publisher")
	l.Eventually(20*time.Second, "it can be published to", func() bool {
		code, err := publisher.publish(topic, "first", 15*time.Second)
		return err == nil && code < 0x80
	})
	j := newJudged(l, others...)
	j.every = time.Minute
	more := []*client{publisher, mustConnect(others[0], 5, "another"), mustConnect(others[0], 5, "a-third"), mustConnect(others[0], 5, "a-fourth")}
	j.lasts(5*time.Minute, nil)
	cause := j.since()
	victim.Kill()
	l.Eventually(time.Minute, "nothing can be published", func() bool {
		code, err := publisher.publish(topic, "lost", 15*time.Second)
		return err == nil && code >= 0x80
	})
	j.lasts(20*time.Minute, func() {
		atOnce(len(more), func(i int) {
			for range 3 {
				if code, err := more[i].publish(topic, "lost", 15*time.Second); err != nil || code < 0x80 {
					t.Errorf("publish: %#x %v", code, err)
				}
			}
		})
	})
	cure := j.since()
	started(victim.Start())
	l.Eventually(time.Minute, "it can be published to again", func() bool {
		code, err := publisher.publish(topic, "after", 15*time.Second)
		return err == nil && code < 0x80
	})
	j.lasts(10*time.Minute, nil)
	if got := j.Fires("RobustMQStorageErrors", 0, cause, cure); got.Labels["operation"] != "write" {
		t.Errorf("%v", got.Labels)
	}
}

func TestAlertHandlerTimeoutsFiresWhileTheDiskTakesAMinuteForAWrite(t *testing.T) {
	faulty(t)
	l := lab.New(t, lab.Options{Metas: 1})
	n := form(l, 1)[0]
	createTopic(n, "slow/t", 1)
	publisher := mustConnect(n, 5, "publisher")
	l.Eventually(20*time.Second, "it can be published to", func() bool {
		code, err := publisher.publish("slow/t", "first", 15*time.Second)
		return err == nil && code < 0x80
	})
	j := newJudged(l, n)
	j.lasts(5*time.Minute, nil)
	cause := j.since()
	n.Simulated().SlowMessages(time.Minute) // 3 s of the wall's clock; a handler gives up after 2
	timeouts := func() float64 { return scrape(n).sum("handler_timeout_total") }
	for want := 1.0; want <= 4; want++ {
		publisher.send("slow/t", "late")
		l.Eventually(10*time.Minute, fmt.Sprintf("the handler gives up for the %v. time", want), func() bool { return timeouts() >= want })
		j.lasts(2*time.Minute, nil)
	}
	cure := j.since()
	n.Simulated().SlowMessages(0)
	j.lasts(6*time.Minute, nil)
	j.Fires("RobustMQHandlerTimeouts", 0, cause, cure)
}

func TestAlertBackPressureFiresWhileAClientSendsMoreThanASlowDiskTakes(t *testing.T) {
	faulty(t)
	l := lab.New(t, lab.Options{Metas: 1})
	n := form(l, 1)[0]
	createTopic(n, "flood/t", 1)
	publisher := mustConnect(n, 5, "publisher")
	l.Eventually(20*time.Second, "it can be published to", func() bool {
		code, err := publisher.publish("flood/t", "first", 15*time.Second)
		return err == nil && code < 0x80
	})
	j := newJudged(l, n)
	j.lasts(5*time.Minute, nil)
	cause := j.since()
	n.Simulated().SlowDisk(400 * time.Millisecond) // 20 ms of the wall's clock
	flooded := make(chan struct{})
	go func() {
		defer close(flooded)
		for range 5400 { // the queue takes 5000
			publisher.send("flood/t", "one of many")
		}
	}()
	waiting := func() float64 { return scrape(n).sum("handler_queue_size") }
	l.Eventually(time.Minute, "the queue fills", func() bool { return waiting() > 4500 })
	j.lasts(10*time.Minute, nil)
	cure := j.since()
	n.Simulated().SlowDisk(0)
	l.Eventually(5*time.Minute, "the queue is worked off", func() bool { return waiting() < 100 })
	<-flooded
	j.lasts(2*time.Minute, nil)
	j.Fires("RobustMQBackPressure", 0, cause, cure)
}

// send publishes with QoS 0, and waits for nothing.
func (c *client) send(topic, payload string) {
	pk := packets.Packet{FixedHeader: packets.FixedHeader{Type: packets.Publish}, ProtocolVersion: c.version, TopicName: topic, Payload: []byte(payload)}
	var b bytes.Buffer
	if pk.PublishEncode(&b) == nil {
		_, _ = c.conn.Write(b.Bytes())
	}
}
