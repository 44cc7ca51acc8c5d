package contract

import (
	"testing"
	"time"

	"github.com/robustmq/robustmq-operator/test/contract/lab"
)

const notAuthorized = 0x87

// rule forbids or allows a user something.
func rule(n *lab.Node, name, user, topic, action, permission string) {
	n.Lab.T.Helper()
	body := map[string]any{"tenant": "default", "name": name, "resource_type": "User", "resource_name": user, "topic": topic, "ip": "*", "action": action, "permission": permission}
	if got := refused(n, "POST", "/api/cluster/acl/create", body); got != "" {
		n.Lab.T.Fatalf("rule %s: %s", name, got)
	}
}

// limited is a client of a user who is no superuser: access rules hold for no others.
func limited(n *lab.Node, version byte, id string) *client {
	n.Lab.T.Helper()
	var c *client
	n.Lab.Eventually(20*time.Second, "a client connects to "+n.Name, func() bool {
		var err error
		c, err = connect(n, version, id, "limited", "plimited")
		return err == nil && c.connack.ReasonCode == 0
	})
	n.Lab.T.Cleanup(c.close)
	return c
}

func TestWhatAnAccessRuleForbidsIsRefusedAndCounted(t *testing.T) {
	l := lab.New(t, lab.Options{Metas: 1})
	n := form(l, 1)[0]
	l.Eventually(20*time.Second, "the user is made", func() bool { return createUser(n, "limited") })
	createTopic(n, "access/open", 1)
	createTopic(n, "access/closed", 1)
	rule(n, "closed", "limited", "access/closed", "All", "Deny")
	rule(n, "closed-to-admins", lab.MQTTUser, "access/closed", "All", "Deny")
	five, four, admin := limited(n, 5, "five"), limited(n, 4, "four"), mustConnect(n, 5, "admin")
	denied := func() float64 { return scrape(n).sum("mqtt_acl_failed_total") }
	l.Eventually(20*time.Second, "the rule holds", func() bool {
		code, err := five.publish("access/closed", "x", 15*time.Second)
		return err == nil && code == notAuthorized
	})
	before := denied()
	if before < 1 {
		t.Errorf("a publish was refused, and %v are counted", before)
	}
	for _, c := range []struct {
		what  string
		do    func() (byte, error)
		code  byte
		count float64
	}{
		{"publish to an open topic", func() (byte, error) { return five.publish("access/open", "x", 15*time.Second) }, 0, 0},
		{"publish to a closed topic", func() (byte, error) { return five.publish("access/closed", "x", 15*time.Second) }, notAuthorized, 1},
		{"publish to a closed topic by MQTT 3.1.1", func() (byte, error) { return four.publish("access/closed", "x", 15*time.Second) }, 0, 1},
		{"subscribe to an open topic", func() (byte, error) { return five.subscribed("access/open") }, 1, 0},
		{"subscribe to a closed topic", func() (byte, error) { return five.subscribed("access/closed") }, notAuthorized, 1},
		{"subscribe to all, of which one is closed", func() (byte, error) { return five.subscribed("access/#") }, notAuthorized, 1},
		{"publish to a closed topic by a superuser", func() (byte, error) { return admin.publish("access/closed", "x", 15*time.Second) }, 0, 0},
	} {
		was := denied()
		code, err := c.do()
		if is := denied(); err != nil || code != c.code || is-was != c.count {
			t.Errorf("%s: code %#x %v, %v are counted more; want %#x and %v", c.what, code, err, is-was, c.code, c.count)
		}
	}
}
