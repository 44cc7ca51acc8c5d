package simulator

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// innerTopics are made by the first node that starts, in tenant default (fixture api/s-topic-list-system.json).
var innerTopics = []string{
	"$retain-message", "$last-will-message", "$delay-queue-message", "$delay-queue-index", "$delay-task-index", "$agent-report-info", "$sys/qos2-inner-topic",
}

// oldInnerTopics are those of the delay queue, which 0.3.0 makes in its brokers (seen-v0.3.0.md 2).
var oldInnerTopics = []string{"$delay-queue-message", "$delay-queue-index"}

const defaultTenant = "default"

var (
	segmentBytes = int64(1 << 30)
	systemRows   = int64(1000)
)

const weekSeconds = 604800

// initialiseTopics makes the default tenant, the inner topics and the system user. A node without the engine role does not get the shards of topics that exist
// into its cache, and gives up after 10 s; without any engine node it fails at once (seen-formation.md 3).
func (n *Node) initialiseTopics() bool {
	const target = "broker_server"
	if !n.file.role("broker") && !n.gen.everyRoleNeedsEngine {
		return true
	}
	if _, exists := n.cache.get(kindTenant + defaultTenant); !exists {
		t := tenant{defaultTenant, "Default tenant", tenantLimits{10000000, 10000, 5000000, 50000000, 10000}, n.now()}
		if err := n.put(n.ctx, putRequest{Key: kindTenant + defaultTenant, Value: mustJSON(t)}); err != nil {
			n.die(target, "Failed to initialize default tenant: %v", err)
			return false
		}
		n.cache.update(change{Key: kindTenant + defaultTenant, Value: mustJSON(t)})
	}
	names := innerTopics
	if n.gen.islands {
		names = oldInnerTopics
	}
	for _, name := range names {
		if err := n.ensureInner(name); err != nil {
			n.die(target, "Failed to initialize inner topics: %v", err)
			return false
		}
	}
	pause := 3 * time.Second
	if n.gen.islands {
		pause = 300 * time.Millisecond
	}
	if !n.t.sleep(n.ctx, pause) {
		return false
	}
	if err := n.systemUser(); err != nil {
		n.die(target, "Failed to initialize system user: %v", err)
		return false
	}
	return true
}

func (n *Node) ensureInner(name string) error {
	t, exists := n.cache.topic(defaultTenant, name)
	if !exists {
		var err error
		if t, err = n.createTopic(n.ctx, topicRequest{Tenant: defaultTenant, Name: name, StorageType: "EngineRocksDB", Source: "SystemInner", Partition: 1, Replication: n.defaultReplicas(), inner: true}); err != nil {
			return err
		}
		patience := 5 * time.Second
		if n.gen.islands {
			patience = 30 * time.Second
		}
		if !n.awaitCache(topicKey(defaultTenant, name), patience) {
			return say("Timeout waiting for topic '%s' to be created after %d seconds", name, int(patience.Seconds()))
		}
	} else if err := n.createShards(n.ctx, t, true); err != nil {
		return err
	}
	if n.ctx.Err() != nil {
		return n.ctx.Err()
	}
	if !n.file.role("engine") {
		// Shards are loaded at the start by engine nodes only, and nobody is told of one that exists.
		if n.t.sleep(n.ctx, 10*time.Second) {
			return say("Timeout waiting for shard '%s' (topic '%s') to be created in local cache after 10s", t.StorageNameList["0"], name)
		}
		return n.ctx.Err()
	}
	return nil
}

// awaitCache waits until a notification has brought a key.
func (n *Node) awaitCache(key string, d time.Duration) bool {
	timer := time.NewTimer(n.t.patience(d, 5*time.Second))
	defer timer.Stop()
	for {
		changed := n.cache.wait()
		if _, ok := n.cache.get(key); ok {
			return true
		}
		select {
		case <-changed:
		case <-timer.C:
			return false
		case <-n.ctx.Done():
			return false
		}
	}
}

// systemUser makes the default MQTT user, once: a later password in the file changes nothing. Whether there is one is asked at that moment, not looked up in the
// cache: a member that has just joined loaded its cache before its peers' entries had reached it.
func (n *Node) systemUser() error {
	name := n.file.text("mqtt_runtime.auth.default_user")
	users, err := dataCall[map[string]json.RawMessage](n.ctx, n, "Load", false, loadRequest{Kinds: []string{kindUser}})
	if err != nil {
		return err
	}
	if _, exists := users[userKey(defaultTenant, name)]; exists {
		return nil
	}
	u := user{defaultTenant, name, n.file.text("mqtt_runtime.auth.default_password"), true, n.now()}
	if err := n.put(n.ctx, putRequest{Key: userKey(defaultTenant, name), Value: mustJSON(u), Create: true}); err != nil {
		return err
	}
	n.cache.update(change{Key: userKey(defaultTenant, name), Value: mustJSON(u)})
	// The broker's own event topic comes with it (fixtures count it: 9 entries in data_0 of a fresh node).
	_, err = n.createTopic(n.ctx, topicRequest{Tenant: defaultTenant, Name: "$SYS/events", StorageType: "EngineRocksDB", Source: "SystemInner", Partition: 1, Replication: n.defaultReplicas(), inner: true, records: &systemRows})
	if err != nil {
		n.log.warn("mqtt_broker", "create $SYS/events: %v", err)
	}
	return nil
}

// defaultReplicas: one replica whenever meta_addrs has one entry.
func (n *Node) defaultReplicas() int {
	if len(n.file.metaAddrs()) == 1 {
		return 1
	}
	return max(int(n.file.number("runtime.default_topic_replica_num")), 1)
}

type topicRequest struct {
	Tenant, Name, StorageType, Source string
	Partition, Replication            int
	inner                             bool
	records                           *int64
}

// createTopic writes the topic, then its shards: when they cannot be placed, the topic stays behind.
func (n *Node) createTopic(ctx context.Context, r topicRequest) (topic, error) {
	t := topic{
		TopicID: n.uid(), Tenant: r.Tenant, TopicName: r.Name, StorageType: r.StorageType, Source: r.Source, Partition: r.Partition, Replication: r.Replication,
		StorageNameList: map[string]string{}, Config: topicConfig{MaxSegmentSize: &segmentBytes, RetentionSec: weekSeconds}, CreateTime: n.now(),
	}
	if r.records != nil {
		t.Config.MaxSegmentSize, t.Config.MaxRecordNum = nil, r.records
	}
	for p := range t.Partition {
		t.StorageNameList[fmt.Sprint(p)] = fmt.Sprintf("%s-%d", t.TopicID, p)
	}
	if _, exists := n.cache.topic(r.Tenant, r.Name); exists {
		return t, nil // the answer shows what was asked for, and nothing has changed
	}
	alone := len(n.cache.nodes()) <= 1
	if alone {
		// On a single node the shards come first, and a failure leaves no topic (fixture api/s-topic-create-rf3.json).
		if err := n.createShards(ctx, t, r.inner); err != nil {
			return t, err
		}
	}
	if err := n.put(ctx, putRequest{Key: topicKey(t.Tenant, t.TopicName), Value: mustJSON(t)}); err != nil {
		return t, err
	}
	if alone {
		return t, nil
	}
	return t, n.createShards(ctx, t, r.inner)
}

func (n *Node) createShards(ctx context.Context, t topic, inner bool) error {
	for p := range t.Partition {
		name := t.StorageNameList[fmt.Sprint(p)]
		if name == "" {
			return errors.New("topic without storage")
		}
		s := shard{
			ShardUID: n.uid(), ShardName: name, TopicName: t.TopicName, Status: "Run", Desc: "topic name:" + t.TopicName, CreateTime: n.now(),
			Config: shardConfig{
				ReplicaNum: t.Replication, StorageType: t.StorageType, MaxSegmentSize: t.Config.MaxSegmentSize, MaxRecordNum: t.Config.MaxRecordNum,
				RetentionSec: t.Config.RetentionSec, MinInSyncReplicas: 1, IsInnerTopic: inner,
			},
		}
		if _, err := dataCall[nothing](ctx, n, "CreateShard", true, shardRequest{Shard: s, Topic: t.TopicName}); err != nil {
			return err
		}
	}
	return nil
}
