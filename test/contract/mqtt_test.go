package contract

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/robustmq/robustmq-operator/internal/robustmq"
	"github.com/robustmq/robustmq-operator/test/contract/lab"
)

// createTopic makes a topic through the admin API: a first publish to a topic that does not exist can be acknowledged and lost.
func createTopic(n *lab.Node, name string, replicas int) {
	n.Lab.T.Helper()
	body := map[string]any{"tenant": "default", "topic_name": name, "storage_type": "EngineRocksDB", "source": "MQTT", "partition": 1, "replication": replicas}
	if got := refused(n, "POST", "/api/cluster/topic/create", body); got != "" {
		n.Lab.T.Fatalf("topic %s: %s", name, got)
	}
}

func mustConnect(n *lab.Node, version byte, id string) *client {
	n.Lab.T.Helper()
	var c *client
	n.Lab.Eventually(20*time.Second, "a client connects to "+n.Name, func() bool {
		var err error
		c, err = connect(n, version, id, lab.MQTTUser, lab.MQTTPassword)
		return err == nil && c.connack.ReasonCode == 0
	})
	n.Lab.T.Cleanup(c.close)
	return c
}

func TestAMessagePublishedOnOneBrokerReachesASubscriberOnAnother(t *testing.T) {
	l := lab.New(t, lab.Options{})
	nodes := form(l, 1, 2, 3)
	l.Eventually(10*time.Second, "all are listed everywhere", func() bool {
		return len(registered(nodes[0])) == 3 && len(registered(nodes[1])) == 3 && len(registered(nodes[2])) == 3
	})
	createTopic(nodes[0], "cross/t", 2)
	subscriber, publisher := mustConnect(nodes[2], 5, "sub"), mustConnect(nodes[1], 4, "pub")
	if err := subscriber.subscribe("cross/t"); err != nil {
		t.Fatal(err)
	}
	var want []string
	for i := range 20 {
		text := fmt.Sprintf("m%d", i)
		want = append(want, text)
		if code, err := publisher.publish("cross/t", text, 15*time.Second); err != nil || code != 0 {
			t.Fatalf("publish %d: %d %v", i, code, err)
		}
	}
	l.Eventually(20*time.Second, "every message arrives, once and in order", func() bool { return slices.Equal(subscriber.received(), want) })
	type stored struct {
		Messages []struct {
			Content string `json:"content"`
		} `json:"messages"`
	}
	l.Eventually(10*time.Second, "every broker reads them from the storage", func() bool {
		for _, n := range nodes {
			if len(must[stored](n, "POST", "/api/cluster/message/read", map[string]any{"tenant": "default", "topic": "cross/t", "offset": 0}).Messages) != len(want) {
				return false
			}
		}
		return true
	})
}

func TestClientsWithoutTheRightPasswordAreNotAuthorised(t *testing.T) {
	l := lab.New(t, lab.Options{Metas: 1})
	n := started(l.Node(1).Start())
	for _, who := range [][2]string{{lab.MQTTUser, "wrong"}, {"nobody", "x"}, {"", ""}} {
		for version, want := range map[byte]byte{4: 5, 5: 0x87} {
			c, err := connect(n, version, "c", who[0], who[1])
			if err != nil {
				t.Errorf("MQTT %d as %q: %v", version, who[0], err)
				continue
			}
			if c.connack.ReasonCode != want {
				t.Errorf("MQTT %d as %q: reason %#x, want %#x", version, who[0], c.connack.ReasonCode, want)
			}
		}
	}
	for _, version := range []byte{4, 5} {
		mustConnect(n, version, fmt.Sprintf("good%d", version))
	}
}

func TestAClientIDOfMoreThan23BytesIsRefusedBeforeMQTT5(t *testing.T) {
	l := lab.New(t, lab.Options{Metas: 1})
	n := started(l.Node(1).Start())
	mustConnect(n, 4, strings.Repeat("a", 23))
	mustConnect(n, 5, strings.Repeat("a", 24))
	for _, password := range []string{lab.MQTTPassword, "wrong"} { // it is looked at before the password
		c, err := connect(n, 4, strings.Repeat("a", 24), lab.MQTTUser, password)
		if err != nil || c.connack.ReasonCode != 2 {
			t.Errorf("password %q: %+v %v; want reason 2, identifier rejected", password, c, err)
		}
	}
}

func TestTheDefaultUserIsMadeOnceAndALaterPasswordInTheFileChangesNothing(t *testing.T) {
	l := lab.New(t, lab.Options{Metas: 1})
	n := started(l.Node(1).Start())
	n.Stop()
	n.Config = string(bytes.ReplaceAll([]byte(n.Render()), []byte(lab.MQTTPassword), []byte("another-one-2")))
	n.Start()
	started(n)
	mustConnect(n, 5, "old")
	c, err := connect(n, 5, "new", lab.MQTTUser, "another-one-2")
	if err != nil || c.connack.ReasonCode != 0x87 {
		t.Errorf("the new password: %+v %v", c, err)
	}
}

func TestWithoutALeaderOfTheDataGroupNobodyGetsInAnywhere(t *testing.T) {
	l := lab.New(t, lab.Options{Seed: 3})
	nodes := form(l, 1, 2, 3)
	nodes[0].Kill()
	refusals := 0
	took := l.Elapsed(func() {
		l.Eventually(60*time.Second, "a client gets in again", func() bool {
			c, err := connect(nodes[1], 5, "x", lab.MQTTUser, lab.MQTTPassword)
			switch {
			case err != nil:
				return false
			case c.connack.ReasonCode == 0:
				c.close()
				return true
			case c.connack.ReasonCode == 0x88:
				refusals++
			default:
				t.Errorf("reason %#x", c.connack.ReasonCode)
			}
			return false
		})
	})
	if refusals == 0 || took < 25*time.Second {
		t.Errorf("%d refusals in %v", refusals, took)
	}
	if _, led := leaders(nodes[1:])[robustmq.GroupData]; !led {
		t.Error("somebody got in although data_0 has no leader")
	}
}

func TestDynamicLimitsReachClientsOfEveryBroker(t *testing.T) {
	l := lab.New(t, lab.Options{Metas: 2})
	nodes := form(l, 1, 2)
	l.Eventually(10*time.Second, "both are listed", func() bool { return len(registered(nodes[0])) == 2 })
	config := `{"max_session_expiry_interval":1800,"default_session_expiry_interval":30,"topic_alias_max":65535,"max_packet_size":1234567,"receive_max":65535,"max_message_expiry_interval":3600,"client_pkid_persistent":false}`
	if got := refused(nodes[0], "POST", "/api/cluster/config/set", map[string]any{"config_type": "MqttProtocol", "config": config}); got != "" {
		t.Fatal(got)
	}
	l.Eventually(10*time.Second, "a CONNACK of the other broker says it", func() bool {
		c, err := connect(nodes[1], 5, "x", lab.MQTTUser, lab.MQTTPassword)
		if err != nil {
			return false
		}
		defer c.close()
		return bytes.Contains(c.raw, []byte{39, 0x00, 0x12, 0xd6, 0x87}) // Maximum Packet Size
	})
}

// TestAMessageThatCouldNotBeStoredIsRefusedToMQTT5AndAcknowledgedToOlderClients: an acknowledgement of MQTT 3.1.1 has no reason code, and RobustMQ sends it without one.
func TestAMessageThatCouldNotBeStoredIsRefusedToMQTT5AndAcknowledgedToOlderClients(t *testing.T) {
	l := lab.New(t, lab.Options{})
	nodes := form(l, 1, 2, 3)
	leader := led(l, nodes, robustmq.GroupMetadata)
	others := without(nodes, leader.ID)
	dead, door := others[0], others[1]
	l.Eventually(20*time.Second, "every node knows every node", func() bool { return everyList(nodes, 3) })
	topic := topicsLedBy(dead, door, "unstored", 1, 1)[0]
	clients := map[byte]*client{}
	for _, version := range []byte{4, 5} {
		c, err := connect(door, version, fmt.Sprintf("v%d", version), lab.MQTTUser, lab.MQTTPassword)
		if err != nil || c.connack.ReasonCode != 0 {
			t.Fatalf("MQTT %d: %v", version, err)
		}
		defer c.close()
		clients[version] = c
	}
	// Right after a topic was made a publish may still be refused; only MQTT 5 is told.
	l.Eventually(15*time.Second, "the topic takes messages", func() bool {
		code, err := clients[5].publish(topic, "m-stored-5", 15*time.Second)
		return err == nil && code < 0x80
	})
	if code, err := clients[4].publish(topic, "m-stored-4", 15*time.Second); err != nil || code != 0 {
		t.Fatalf("MQTT 3.1.1, while its leader lives: %x, %v", code, err)
	}
	dead.Kill()
	if code, err := clients[4].publish(topic, "m-unstored-4", 30*time.Second); err != nil || code != 0 {
		t.Errorf("MQTT 3.1.1: %x, %v: want an acknowledgement", code, err)
	}
	if code, err := clients[5].publish(topic, "m-unstored-5", 30*time.Second); err != nil || code < 0x80 {
		t.Errorf("MQTT 5: %x, %v: want a refusal", code, err)
	}
	dead.Start()
	started(dead)
	l.Eventually(30*time.Second, "the topic can be read again", func() bool { return slices.Contains(readable(door, topic), "m-stored-4") })
	if got := readable(door, topic); slices.Contains(got, "m-unstored-4") || slices.Contains(got, "m-unstored-5") {
		t.Errorf("stored are %v", got)
	}
}

// TestASubscriberReadsATopicFromItsBeginningOnceAndGoesOnWhereItStopped: how far it got is kept under its client id and its filter, whatever Clean Start says.
func TestASubscriberReadsATopicFromItsBeginningOnceAndGoesOnWhereItStopped(t *testing.T) {
	l := lab.New(t, lab.Options{Metas: 1})
	n := started(l.Node(1).Start())
	createTopic(n, "read/t", 1)
	publisher := mustConnect(n, 5, "pub")
	publish := func(payload string) {
		t.Helper()
		if code, err := publisher.publish("read/t", payload, 15*time.Second); err != nil || code != 0 {
			t.Fatalf("publish %s: %d %v", payload, code, err)
		}
	}
	subscribe := func(version byte, id, filter string) *client {
		t.Helper()
		c := mustConnect(n, version, id)
		if err := c.subscribe(filter); err != nil {
			t.Fatal(err)
		}
		return c
	}
	gets := func(c *client, what string, want ...string) {
		t.Helper()
		l.Eventually(20*time.Second, what, func() bool { return slices.Equal(c.received(), want) })
	}
	publish("1")
	publish("2")
	first, older := subscribe(5, "first", "read/t"), subscribe(4, "older", "read/t")
	publish("3")
	gets(first, "a new subscriber gets what there was", "1", "2", "3")
	gets(older, "so does one of MQTT 3.1.1", "1", "2", "3")
	for _, c := range []*client{first, older} {
		if err := c.leave(); err != nil {
			t.Fatal(err)
		}
	}
	l.Eventually(10*time.Second, "both have left", func() bool {
		return scrape(n).samples[`mqtt_packets_disconnect_received_total{network="Tcp"}`] >= 2
	})
	publish("4")
	for _, c := range []*client{subscribe(5, "first", "read/t"), subscribe(4, "older", "read/t")} {
		gets(c, "who comes back gets what it has not read", "4")
	}
	gets(subscribe(5, "first", "read/+"), "by another filter it is new", "1", "2", "3", "4")
	gets(subscribe(5, "another", "read/t"), "and so is another client", "1", "2", "3", "4")
}
