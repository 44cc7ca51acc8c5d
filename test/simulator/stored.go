package simulator

import "slices"

// The values of RobustMQ 0.4.11's records, as recorded directories have them, without the time at the end that every value has (layout.go adds it).

// enumOf is the number of an enum's word; what is not among them is stored as the first.
func enumOf(words []string, word string) uint32 { return uint32(max(slices.Index(words, word), 0)) }

func wordOf(words []string, n uint32) string {
	if int64(n) < int64(len(words)) {
		return words[n]
	}
	return words[0]
}

var (
	// EngineRocksDB is 2 (seen); the others are guesses.
	storedTypes = []string{"EngineMemory", "EngineSegment", "EngineRocksDB"}
	// SystemInner is 0 and MQTT 1 (seen); the others are guesses.
	storedSources = []string{"SystemInner", "MQTT", "Kafka", "NATS", "AMQP"}
	// Write is 0 (seen); the order is that of RobustMQ's source.
	storedStatuses = []string{"Write", "PreSealUp", "SealUp", "PreDelete", "Deleting", "Unavailable"}
	storedShards   = []string{"Run", "PrepareDelete", "Deleting"}
)

func (n nodeRecord) store(e *encoder) {
	nats, kafka := natsAddrs{}, kafkaAddrs{}
	if n.Extend.NATS != nil {
		nats = *n.Extend.NATS
	}
	if n.Extend.Kafka != nil {
		kafka = *n.Extend.Kafka
	}
	m := n.Extend.MQTT
	e.texts(n.Roles)
	for _, a := range []string{
		m.GRPCAddr, m.MQTTAddr, m.MQTTSAddr, m.WebsocketAddr, m.WebsocketsAddr, m.QUICAddr, nats.TCPAddr, nats.TLSAddr, nats.WSAddr, nats.WSSAddr, kafka.TCPAddr,
	} {
		e.text(a)
	}
	e.u64(n.NodeID)
	for _, a := range []string{n.NodeIP, n.GRPCAddr, n.HTTPAddr, n.EngineAddr} {
		e.text(a)
	}
	e.u64(uint64(n.StartTime))
	e.u64(uint64(n.RegisterTime))
	e.texts(n.StorageFold)
}

// load reads a record that version 0.4.11 could have written. Of older versions the addresses that they do not have are empty, and are left out again.
func (n *nodeRecord) load(d *decoder) {
	n.Roles = d.texts()
	n.Extend.MQTT = mqttAddrs{d.text(), d.text(), d.text(), d.text(), d.text(), d.text()}
	if nats := (natsAddrs{d.text(), d.text(), d.text(), d.text()}); nats != (natsAddrs{}) {
		n.Extend.NATS = &nats
	}
	if kafka := (kafkaAddrs{d.text()}); kafka != (kafkaAddrs{}) {
		n.Extend.Kafka = &kafka
	}
	n.NodeID = d.u64()
	n.NodeIP, n.GRPCAddr, n.HTTPAddr, n.EngineAddr = d.text(), d.text(), d.text(), d.text()
	n.StartTime, n.RegisterTime = int64(d.u64()), int64(d.u64())
	n.StorageFold = d.texts()
}

func (t tenant) store(e *encoder) {
	e.text(t.Name)
	e.text(t.Desc)
	e.u64(uint64(t.Config.MaxConnectionsPerNode))
	e.u32(uint32(t.Config.MaxCreateRate))
	e.u64(uint64(t.Config.MaxTopics))
	e.u64(uint64(t.Config.MaxSessions))
	e.u32(uint32(t.Config.MaxPublishRate))
	e.u64(uint64(t.CreateTime))
}

func (t *tenant) load(d *decoder) {
	t.Name, t.Desc = d.text(), d.text()
	t.Config = tenantLimits{int64(d.u64()), int64(d.u32()), int64(d.u64()), int64(d.u64()), int64(d.u32())}
	t.CreateTime = int64(d.u64())
}

func (u user) store(e *encoder) {
	e.text(u.Tenant)
	e.text(u.Username)
	e.text(u.Password)
	e.flag(false) // no salt
	e.flag(u.IsSuperuser)
	e.u64(uint64(u.CreateTime))
}

func (u *user) load(d *decoder) {
	u.Tenant, u.Username, u.Password = d.text(), d.text(), d.text()
	if d.flag() {
		d.text()
	}
	u.IsSuperuser = d.flag()
	u.CreateTime = int64(d.u64())
}

func (t topic) store(e *encoder) {
	e.text(t.TopicID)
	e.text(t.Tenant)
	e.text(t.TopicName)
	e.u32(enumOf(storedTypes, t.StorageType))
	e.u32(enumOf(storedSources, t.Source))
	e.u32(uint32(t.Partition))
	e.u32(uint32(t.Replication))
	e.u64(uint64(len(t.StorageNameList)))
	for _, p := range sortedKeys(t.StorageNameList) {
		e.u32(parsed(p))
		e.text(t.StorageNameList[p])
	}
	e.option(t.Config.MaxSegmentSize)
	e.option(t.Config.MaxRecordNum)
	e.u64(uint64(t.Config.RetentionSec))
	e.flag(t.MarkDelete)
	e.u64(uint64(t.CreateTime))
}

func (t *topic) load(d *decoder) {
	t.TopicID, t.Tenant, t.TopicName = d.text(), d.text(), d.text()
	t.StorageType, t.Source = wordOf(storedTypes, d.u32()), wordOf(storedSources, d.u32())
	t.Partition, t.Replication = int(d.u32()), int(d.u32())
	t.StorageNameList = map[string]string{}
	for range d.count(12) {
		p := shown(d.u32())
		t.StorageNameList[p] = d.text()
	}
	t.Config = topicConfig{MaxSegmentSize: d.option(), MaxRecordNum: d.option(), RetentionSec: int64(d.u64())}
	t.MarkDelete = d.flag()
	t.CreateTime = int64(d.u64())
}

func (s shard) store(e *encoder) {
	e.text(s.ShardUID)
	e.text(s.ShardName)
	e.text(s.TopicName)
	e.u32(uint32(s.StartSegmentSeq))
	e.u32(uint32(s.ActiveSegmentSeq))
	e.u32(uint32(s.LastSegmentSeq))
	e.u32(enumOf(storedShards, s.Status))
	e.u32(uint32(s.Config.ReplicaNum))
	e.u32(enumOf(storedTypes, s.Config.StorageType))
	e.option(s.Config.MaxSegmentSize)
	e.option(s.Config.MaxRecordNum)
	e.u64(uint64(s.Config.RetentionSec))
	e.u32(uint32(s.Config.MinInSyncReplicas))
	e.flag(s.Config.IsInnerTopic)
	e.text(s.Desc)
	e.u64(uint64(s.CreateTime))
}

func (s *shard) load(d *decoder) {
	s.ShardUID, s.ShardName, s.TopicName = d.text(), d.text(), d.text()
	s.StartSegmentSeq, s.ActiveSegmentSeq, s.LastSegmentSeq = int(d.u32()), int(d.u32()), int(d.u32())
	s.Status = wordOf(storedShards, d.u32())
	s.Config = shardConfig{
		ReplicaNum: int(d.u32()), StorageType: wordOf(storedTypes, d.u32()), MaxSegmentSize: d.option(), MaxRecordNum: d.option(), RetentionSec: int64(d.u64()),
		MinInSyncReplicas: int(d.u32()), IsInnerTopic: d.flag(),
	}
	s.Desc = d.text()
	s.CreateTime = int64(d.u64())
}

func (s segment) store(e *encoder) {
	e.text(s.ShardName)
	e.u32(uint32(s.SegmentSeq))
	e.u64(uint64(len(s.Replicas)))
	for _, r := range s.Replicas {
		e.u64(uint64(r.ReplicaSeq))
		e.u64(r.NodeID)
		e.text(r.Fold)
	}
	e.numbers(s.ISR)
	e.numbers(s.LastKnownISR)
	e.u32(uint32(s.LeaderEpoch))
	e.u64(s.Leader)
	e.u32(uint32(s.SegmentEpoch))
	e.u64(s.LeaderBrokerEpoch)
	e.u32(enumOf(storedStatuses, s.Status))
}

func (s *segment) load(d *decoder) {
	s.ShardName = d.text()
	s.SegmentSeq = int(d.u32())
	n := d.count(24)
	s.Replicas = make([]replica, 0, n)
	for range n {
		s.Replicas = append(s.Replicas, replica{int(d.u64()), d.u64(), d.text()})
	}
	s.ISR, s.LastKnownISR = d.numbers(), d.numbers()
	s.LeaderEpoch = uint64(d.u32())
	s.Leader = d.u64()
	s.SegmentEpoch = uint64(d.u32())
	s.LeaderBrokerEpoch = d.u64()
	s.Status = wordOf(storedStatuses, d.u32())
}
