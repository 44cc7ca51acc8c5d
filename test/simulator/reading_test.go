package simulator

import (
	"context"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/robustmq/robustmq-operator/test/simulator/store"
)

// twoBrokers are one that leads the shard of a topic and one that reads it, which the first does not know. Their tables of nodes are what each was told.
type twoBrokers struct {
	*testing.T
	leader, reader *Node

	mu  sync.Mutex
	got []string
}

const readTopic, readShard = "t", "s"

func newTwoBrokers(t *testing.T) *twoBrokers {
	t.Helper()
	two := &twoBrokers{T: t}
	two.leader, two.reader = two.node(1), two.node(2)
	for _, n := range []*Node{two.leader, two.reader} {
		n.cache.update(change{Key: topicKey(defaultTenant, readTopic), Value: mustJSON(topic{Tenant: defaultTenant, TopicName: readTopic, StorageNameList: map[string]string{"0": readShard}})})
		two.leads(1, n)
		n.cache.update(change{Key: nodeKey(1), Value: mustJSON(nodeRecord{NodeID: 1, Roles: []string{"broker", "engine"}, EngineAddr: "1"})})
	}
	if err := two.reader.mqtt.server.Subscribe(readTopic, 1, func(_ *mqtt.Client, _ packets.Subscription, pk packets.Packet) {
		two.mu.Lock()
		defer two.mu.Unlock()
		two.got = append(two.got, string(pk.Payload))
	}); err != nil {
		t.Fatal(err)
	}
	// What the simulator looks for is a client; its messages come by the inline subscription.
	two.reader.mqtt.server.Topics.Subscribe("client", packets.Subscription{Filter: readTopic})
	two.reader.mqtt.readings = newReadings(two.reader) // the inline subscription has begun one
	return two
}

func (two *twoBrokers) node(id uint64) *Node {
	s, err := store.Open(two.TempDir())
	if err != nil {
		two.Fatal(err)
	}
	two.Cleanup(func() { _ = s.Close() })
	n, err := New(Options{Dial: func(context.Context, string, string) (net.Conn, error) {
		here, there := net.Pipe()
		two.leader.spawn(func() { two.leader.engine.serve(there) })
		return here, nil
	}})
	if err != nil {
		two.Fatal(err)
	}
	n.id, n.storage, n.metrics = id, s, newMetrics(n)
	if n.file, err = parseConfig(`roles = ["broker", "engine"]`, n.gen, nil); err != nil {
		two.Fatal(err)
	}
	n.cache, n.mqtt = newCache(n), newMQTTBroker(n)
	if n.engine, err = newEngine(n); err != nil {
		two.Fatal(err)
	}
	two.Cleanup(func() {
		n.cancel()
		n.tasks.Wait()
	})
	return n
}

func (two *twoBrokers) leads(node uint64, told *Node) {
	s := segment{ShardName: readShard, Leader: node, Replicas: []replica{{NodeID: node}}, Status: "Write"}
	told.cache.update(change{Key: s.key(), Value: mustJSON(s)})
}

func (two *twoBrokers) publish(payload string) {
	two.Helper()
	if _, err := two.leader.engine.publish(two.Context(), readShard, message{Topic: readTopic, Tenant: defaultTenant, Payload: []byte(payload)}, 0); err != nil {
		two.Fatal(err)
	}
}

func (two *twoBrokers) receives(want ...string) {
	two.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	deadline := time.Now().Add(10 * time.Second)
	for now := range tick.C {
		two.mu.Lock()
		got := slices.Clone(two.got)
		two.mu.Unlock()
		if slices.Equal(got, want) {
			return
		}
		if len(got) > len(want) || now.After(deadline) {
			two.Fatalf("received %q, want %q", got, want)
		}
	}
}

func TestASubscriberIsServedByALeaderThatDoesNotKnowItsBroker(t *testing.T) {
	two := newTwoBrokers(t)
	two.publish("before")
	two.reader.mqtt.readings.subscribed(readTopic)
	two.publish("1")
	two.publish("2")
	two.receives()
	two.reader.mqtt.readings.look()
	two.receives("1", "2")
	two.publish("3")
	two.reader.mqtt.readings.look()
	two.receives("1", "2", "3")
}

func TestWhatALeaderHandsOnIsReceivedOnceAndInOrder(t *testing.T) {
	two := newTwoBrokers(t)
	readings := two.reader.mqtt.readings
	handOn := func(offset uint64, payload string) {
		readings.arrived(readShard, message{Topic: readTopic, Payload: []byte(payload), Offset: offset})
	}
	readings.subscribed(readTopic)
	two.publish("1") // is not handed on
	two.publish("2")
	handOn(1, "2")
	two.receives("1", "2")
	handOn(1, "2")
	two.publish("3")
	handOn(2, "3")
	two.receives("1", "2", "3")
}

// An offset that a new leader gives away again was read already (seen-lossless-stop.md, section 1).
func TestAnOffsetThatIsGivenAwayAgainIsNotReceived(t *testing.T) {
	two := newTwoBrokers(t)
	two.reader.mqtt.readings.arrived(readShard, message{Topic: readTopic, Payload: []byte("lost with its leader"), Offset: 0})
	two.publish("stored under the same offset")
	two.publish("next")
	two.reader.mqtt.readings.look()
	two.receives("lost with its leader", "next")
}

func TestAShardThatNobodyIsSubscribedToIsNotReadAnyMore(t *testing.T) {
	two := newTwoBrokers(t)
	readings := two.reader.mqtt.readings
	readings.subscribed(readTopic)
	two.reader.mqtt.server.Topics.Unsubscribe(readTopic, "client")
	readings.look()
	if len(readings.of) != 0 {
		t.Errorf("%d shards are still read", len(readings.of))
	}
	readings.arrived(readShard, message{Topic: readTopic, Payload: []byte("for nobody")})
	if len(readings.of) != 0 {
		t.Errorf("%d shards are read again", len(readings.of))
	}
}

func TestWhatIsHandedOnWhileItsLeaderIsAskedIsLeftToTheAnswer(t *testing.T) {
	two := newTwoBrokers(t)
	readings := two.reader.mqtt.readings
	p := readings.at(readTopic, readShard)
	p.known, p.busy = true, true
	readings.arrived(readShard, message{Topic: readTopic, Payload: []byte("1")})
	if two.receives(); !p.again {
		t.Error("the leader is not asked again")
	}
}
