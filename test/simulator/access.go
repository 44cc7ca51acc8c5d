package simulator

import (
	"encoding/json"

	mqtt "github.com/mochi-mqtt/server/v2"
)

// accessRule is what users and clients may do with a topic (seen on 0.4.11, test/contract/access_test.go). Topics are compared as they are written; "*" is all of them.
type accessRule struct {
	Tenant       string `json:"tenant"`
	ResourceType string `json:"resource_type"` // ClientId or User
	ResourceName string `json:"resource_name"`
	Topic        string `json:"topic"`
	Action       string `json:"action"`
	Permission   string `json:"permission"`
}

const (
	actionPublish   = "Publish"
	actionSubscribe = "Subscribe"
	actionAll       = "All"
)

func (r accessRule) fits(action, topic string) bool {
	return (r.Action == action || r.Action == actionAll) && (r.Topic == "*" || r.Topic == topic)
}

// forbidden reports whether the first rule that fits forbids a client something; those of its client ID come before those of its user.
func (b *mqttBroker) forbidden(cl *mqtt.Client, action, topic string) bool {
	rules := decodeAll[accessRule](b.n.cache.each, kindACL)
	for _, by := range []struct{ kind, name string }{{"ClientId", cl.ID}, {"User", string(cl.Properties.Username)}} {
		for _, r := range rules {
			if r.Tenant == defaultTenant && r.ResourceType == by.kind && r.ResourceName == by.name && r.fits(action, topic) {
				if r.Permission == "Deny" {
					return true
				}
				break
			}
		}
	}
	return false
}

// above reports whether no rule holds for the user of a client.
func (b *mqttBroker) above(cl *mqtt.Client) bool {
	raw, ok := b.n.cache.get(userKey(defaultTenant, string(cl.Properties.Username)))
	var u user
	return ok && json.Unmarshal(raw, &u) == nil && u.IsSuperuser
}

// mayPublish counts what the rules say, as mayRead does.
func (b *mqttBroker) mayPublish(cl *mqtt.Client, topic string) bool {
	if !b.above(cl) && b.forbidden(cl, actionPublish, topic) {
		b.count("mqtt_acl_failed", 1)
		return false
	}
	b.count("mqtt_acl_success", 1)
	return true
}

// mayRead looks at every topic that there is and that a filter takes; that it may is counted for superusers alone.
func (b *mqttBroker) mayRead(cl *mqtt.Client, filter string) bool {
	if b.above(cl) {
		b.count("mqtt_acl_success", 1)
		return true
	}
	for _, t := range decodeAll[topic](b.n.cache.each, kindTopic) {
		if t.Tenant == defaultTenant && covers(filter, t.TopicName) && b.forbidden(cl, actionSubscribe, t.TopicName) {
			b.count("mqtt_acl_failed", 1)
			return false
		}
	}
	return true
}
