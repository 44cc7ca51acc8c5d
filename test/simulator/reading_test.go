package simulator

import (
	"bufio"
	"bytes"
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

// twoBrokers are one that leads the shard of a topic and one that reads it. What each knows of nodes and segments is what it was told.
type twoBrokers struct {
	*testing.T
	leader, reader *Node
}

const readTopic, readShard = "t", "s"

func newTwoBrokers(t *testing.T) *twoBrokers {
	t.Helper()
	two := &twoBrokers{T: t}
	two.leader, two.reader = two.node(1), two.node(2)
	for _, n := range []*Node{two.leader, two.reader} {
		n.cache.update(change{Key: nodeKey(1), Value: mustJSON(nodeRecord{NodeID: 1, Roles: []string{"broker", "engine"}, EngineAddr: "1"})})
		s := segment{ShardName: readShard, Leader: 1, Replicas: []replica{{NodeID: 1}}, Status: "Write"}
		n.cache.update(change{Key: s.key(), Value: mustJSON(s)})
		n.cache.update(change{Key: topicKey(defaultTenant, readTopic), Value: mustJSON(topic{Tenant: defaultTenant, TopicName: readTopic, StorageNameList: map[string]string{"0": readShard}})})
	}
	return two
}

func (two *twoBrokers) node(id uint64) *Node {
	s, err := store.Open(two.TempDir())
	if err != nil {
		two.Fatal(err)
	}
	two.Cleanup(func() { _ = s.Close() })
	n, err := New(Options{Speed: 10, Dial: func(_ context.Context, _, addr string) (net.Conn, error) {
		here, there := net.Pipe()
		to := map[string]*Node{"1": two.leader, "2": two.reader}[addr]
		context.AfterFunc(to.ctx, func() { _ = there.Close() })
		to.spawn(func() { to.engine.serve(there) })
		return here, nil
	}})
	if err != nil {
		two.Fatal(err)
	}
	n.id, n.storage, n.metrics = id, s, newMetrics(n)
	if n.file, err = parseConfig(`roles = ["broker", "engine"]`, n.gen, nil); err != nil {
		two.Fatal(err)
	}
	n.cache, n.mqtt, n.offsets = newCache(n), newMQTTBroker(n), newGroupOffsets(n)
	if n.engine, err = newEngine(n); err != nil {
		two.Fatal(err)
	}
	two.Cleanup(func() {
		n.cancel()
		n.tasks.Wait()
	})
	return n
}

func (two *twoBrokers) publish(payloads ...string) {
	two.Helper()
	for _, payload := range payloads {
		if _, err := two.leader.engine.publish(two.Context(), readShard, message{Topic: readTopic, Tenant: defaultTenant, Payload: []byte(payload)}, 0); err != nil {
			two.Fatal(err)
		}
	}
}

// listener is a client that is subscribed at the broker that reads.
type listener struct {
	two    *twoBrokers
	client *mqtt.Client

	mu  sync.Mutex
	got []string
}

// subscribes connects a client. The offsets of its group are as committed, without a placement centre.
func (two *twoBrokers) subscribes(id, filter string, committed uint64) *listener {
	two.Helper()
	here, there := net.Pipe()
	two.Cleanup(func() { _ = there.Close() })
	server := two.reader.mqtt.server
	l := &listener{two: two, client: server.NewClient(here, "tcp", id, false)}
	go l.listen(there)
	offsets := two.reader.offsets
	group := groupOfOne(id, filter, readTopic)
	offsets.mu.Lock()
	if offsets.of[group] == nil {
		offsets.of[group] = map[string]uint64{readShard: committed}
	}
	offsets.mu.Unlock()
	s := packets.Subscription{Filter: filter}
	server.Clients.Add(l.client)
	l.client.State.Subscriptions.Add(filter, s)
	server.Topics.Subscribe(id, s)
	two.reader.mqtt.readings.subscribed(filter)
	return l
}

func (l *listener) listen(conn net.Conn) {
	r := bufio.NewReader(conn)
	for {
		raw, err := readRaw(r)
		if err != nil {
			return
		}
		var header packets.FixedHeader
		body := bytes.NewReader(raw[1:])
		if header.Decode(raw[0]) != nil {
			return
		}
		length, _, err := packets.DecodeLength(body)
		if err != nil {
			return
		}
		pk := packets.Packet{FixedHeader: header}
		if header.Type == packets.Publish && pk.PublishDecode(raw[len(raw)-length:]) == nil {
			l.mu.Lock()
			l.got = append(l.got, string(pk.Payload))
			l.mu.Unlock()
		}
	}
}

func (l *listener) receives(want ...string) {
	l.two.Helper()
	l.two.eventually(func() bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		if len(l.got) > len(want) {
			l.two.Fatalf("received %q, want %q", l.got, want)
		}
		return slices.Equal(l.got, want)
	})
}

func (two *twoBrokers) eventually(ok func() bool) {
	two.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	deadline := time.Now().Add(10 * time.Second)
	for now := range tick.C {
		if ok() {
			return
		}
		if now.After(deadline) {
			two.Fatal("not within 10 s")
		}
	}
}

func (two *twoBrokers) read() int {
	r := two.reader.mqtt.readings
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.of)
}

func TestASubscriberIsServedByALeaderThatDoesNotKnowItsBroker(t *testing.T) {
	two := newTwoBrokers(t)
	two.publish("1")
	l := two.subscribes("new", readTopic, 0)
	l.receives("1")
	two.publish("2", "3")
	l.receives("1", "2", "3")
}

func TestASubscriberIsToldAtOnceOfWhatALeaderThatKnowsItsBrokerHasStored(t *testing.T) {
	two := newTwoBrokers(t)
	two.reader.t.speed = 0.01 // the leader is asked again after 100 s
	two.leader.cache.update(change{Key: nodeKey(2), Value: mustJSON(nodeRecord{NodeID: 2, Roles: []string{"broker", "engine"}, EngineAddr: "2"})})
	l := two.subscribes("new", "+", 0)
	two.publish("1", "2")
	l.receives("1", "2")
}

func TestAClientThatComesBackGoesOnWhereItStopped(t *testing.T) {
	two := newTwoBrokers(t)
	two.publish("1", "2")
	first := two.subscribes("it", readTopic, 1)
	first.receives("2")
	first.client.Stop(nil)
	two.eventually(func() bool { return two.read() == 0 })
	two.publish("3")
	two.subscribes("it", readTopic, 0).receives("3")
	two.subscribes("it", "#", 0).receives("1", "2", "3")
}

// An offset that a new leader gives away again was read already (seen-lossless-stop.md, section 1).
func TestAnOffsetThatIsGivenAwayAgainIsNotReceived(t *testing.T) {
	two := newTwoBrokers(t)
	l := two.subscribes("ahead", readTopic, 1)
	two.publish("stored under an offset that was read before", "next")
	l.receives("next")
}

func TestASubscriptionThatWasMadeBeforeItsTopicIsServed(t *testing.T) {
	two := newTwoBrokers(t)
	key := topicKey(defaultTenant, readTopic)
	raw, _ := two.reader.cache.get(key)
	two.reader.cache.update(change{Key: key})
	l := two.subscribes("early", readTopic, 0)
	if two.read() != 0 {
		t.Error("a topic that does not exist is read")
	}
	two.publish("1")
	two.reader.cache.update(change{Key: key, Value: raw})
	l.receives("1")
}

func TestClientsThatShareAFilterGetEachMessageOnce(t *testing.T) {
	two := newTwoBrokers(t)
	const filter = "$share/g/" + readTopic
	two.reader.offsets.commit(groupOfShared(filter, readTopic), map[string]uint64{readShard: 0})
	a, b := two.subscribes("a", filter, 0), two.subscribes("b", filter, 0)
	two.publish("1", "2", "3", "4")
	two.eventually(func() bool {
		a.mu.Lock()
		defer a.mu.Unlock()
		b.mu.Lock()
		defer b.mu.Unlock()
		all := slices.Concat(a.got, b.got)
		slices.Sort(all)
		return slices.Equal(all, []string{"1", "2", "3", "4"})
	})
}

func TestWhatNobodyIsSubscribedToIsNotReadAnyMore(t *testing.T) {
	two := newTwoBrokers(t)
	l := two.subscribes("it", readTopic, 0)
	l.client.State.Subscriptions.Add("other", packets.Subscription{Filter: "other"})
	two.reader.mqtt.readings.begin(readTopic)
	if got := two.read(); got != 1 {
		t.Errorf("%d readings, want one: the other filter does not take the topic", got)
	}
	l.client.State.Subscriptions.Delete(readTopic)
	two.reader.mqtt.server.Topics.Unsubscribe(readTopic, "it")
	two.eventually(func() bool { return two.read() == 0 })
	two.publish("1")
	two.reader.mqtt.stored(message{Topic: readTopic})
	if two.read() != 0 {
		t.Error("it is read for nobody")
	}
}
