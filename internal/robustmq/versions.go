package robustmq

import (
	"fmt"
	"slices"
	"time"
)

// Dialect is the shape of server.toml. Unknown keys are silently ignored by every server, so a file in the wrong dialect runs on defaults instead of failing.
type Dialect string

// The dialects.
const (
	DialectA Dialect = "A" // to 0.3.4: a section that is present needs all of its keys
	DialectB Dialect = "B" // 0.3.5 to 0.4.9: every key has a default, sections renamed
	DialectC Dialect = "C" // 0.4.10 and later: MQTT under [mqtt_runtime.*], TLS files under [broker_network]
)

// Formation is how a placement centre comes into being.
type Formation string

// The styles of formation.
const (
	// FormationStatic: every member initialises itself with the whole list (to 0.4.3).
	FormationStatic Formation = "Static"
	// FormationSequential: a member with an empty volume joins the first peer that it reaches, and founds a cluster of its own when it reaches none (0.4.4 and later).
	FormationSequential Formation = "Sequential"
)

// Tier is how much of the operator works with a version.
type Tier string

// The tiers.
const (
	TierFull    Tier = "Full"    // everything
	TierLimited Tier = "Limited" // formation, configuration, services, backup; nothing of it was run
	TierIslands Tier = "Islands" // brokers cannot form a cluster: each is a single node of its own
)

// Traits are what the operator and the agent must know of a version. Plain values: packages that may not import this one can copy them.
type Traits struct {
	Dialect   Dialect
	Formation Formation
	Tier      Tier
	// Warning says what users should know before they run it; empty when there is nothing.
	Warning string
	// Unknown: newer than Newest and treated like it.
	Unknown bool

	// Join and Leave: gRPC JoinCluster and LeaveCluster exist (0.4.4 and later).
	Join, Leave bool
	// Decommission: UnRegisterNode moves the replicas of a node away (0.4.5 and later).
	Decommission bool
	// Replication: segments have followers; before 0.4.5 a message lives on one node.
	Replication bool
	// DynamicConfig: POST cluster/config/set changes a running server (0.3.6 and later; before, it answers success and does nothing).
	DynamicConfig bool
	// JWT: the admin API wants a token from callers other than loopback, and [admin] exists (0.4.2 and later).
	JWT bool
	// SIGTERM is handled (0.4.4 and later); before, a server that is PID 1 ignores it and any other dies at once: SIGINT stops it softly.
	SIGTERM bool
	// HealthAPI: /api/health/ready exists (0.3.3 and later).
	HealthAPI bool
	// InfoPath is the admin API's page of the cluster.
	InfoPath string
	// MetricsOnHTTP: /metrics is on the admin port (0.4.1 and later); before, on [prometheus] port.
	MetricsOnHTTP bool
	// EngineEverywhere: every process needs the role engine or it exits 1 at its first or next start (0.4.0 and later).
	EngineEverywhere bool
	// HeartbeatToAll: a node tells every placement-centre member that it lives (0.4.6 and later); before, one fixed member.
	HeartbeatToAll bool
	// Protocols beside MQTT that brokers of the version listen to.
	Kafka, AMQP, NATS bool
	// RocksDBDir is the folder in the data path that holds everything: "_data" to 0.4.0, "_rocksdb" since.
	RocksDBDir string
	// RaftGroups are the names of the raft groups of a member (both group counts are rendered as 1).
	RaftGroups []string
	// StatusGroups are those of them that gRPC ClusterStatus shows: before 0.3.3 it answers for the metadata group only.
	StatusGroups []string
	// Election bounds the time from the loss of a leader to the next one, as seen or, where nothing was run, twice the upper election timeout of the source.
	Election time.Duration
	// StopTimeout bounds a soft stop: the server ends by itself within it.
	StopTimeout time.Duration
	// UpgradeRange names the versions that can talk to one another and read one another's raft log: two versions may run in one cluster only when theirs are equal.
	UpgradeRange string
}

// MembershipChanges reports whether members and brokers can be added and removed once the cluster stands.
func (t Traits) MembershipChanges() bool { return t.Tier == TierFull }

// release is what changed with a version.
type release struct {
	since  Version
	change func(*Traits)
}

// releases is RobustMQ's history as far as it concerns an operator, oldest first: Lookup applies every row up to a version.
// Sources: RobustMQ's tags 0.3.0 to 0.4.11 compared with one another; 0.3.0 and 0.4.11 were run.
var releases = []release{
	{Oldest, func(t *Traits) {
		t.Dialect, t.Formation, t.Tier = DialectA, FormationStatic, TierIslands
		t.RocksDBDir = "_data"
		t.RaftGroups = []string{"metadata", "offset", "mqtt"}
		t.StatusGroups = []string{"metadata"}
		t.InfoPath = "/api/status"
		t.Election = 2 * time.Second     // seen: 0.55 and 0.67 s
		t.StopTimeout = 15 * time.Second // seen: 9.0 s; 3 s each for brokers, engine and raft
	}},
	{Version{0, 3, 3, ""}, func(t *Traits) {
		t.RaftGroups, t.StatusGroups = Groups, Groups
		t.HealthAPI = true
		t.Election = 4 * time.Second
	}},
	{Version{0, 3, 5, ""}, func(t *Traits) { t.Dialect = DialectB }},
	{Version{0, 3, 6, ""}, func(t *Traits) { t.DynamicConfig, t.Kafka, t.AMQP = true, true, true }},
	{Version{0, 3, 8, ""}, func(t *Traits) { t.Tier, t.NATS = TierLimited, true }}, // brokers are told of one another for the first time
	{Version{0, 3, 10, ""}, func(t *Traits) { t.InfoPath = "/api" }},
	{Version{0, 4, 0, ""}, func(t *Traits) { t.EngineEverywhere = true }},
	{Version{0, 4, 1, ""}, func(t *Traits) {
		t.RocksDBDir = "_rocksdb"
		t.MetricsOnHTTP = true
		t.InfoPath = "/api/info"
		t.Election = 6 * time.Second
	}},
	{Version{0, 4, 2, ""}, func(t *Traits) { t.JWT = true }},
	{Version{0, 4, 4, ""}, func(t *Traits) {
		t.Formation = FormationSequential
		t.Join, t.Leave, t.SIGTERM = true, true, true
		t.StopTimeout = 20 * time.Second // a watchdog of the server's own
	}},
	{Version{0, 4, 5, ""}, func(t *Traits) { t.Decommission, t.Replication = true, true }},
	{Version{0, 4, 6, ""}, func(t *Traits) { t.HeartbeatToAll = true }},
	{Version{0, 4, 7, ""}, func(t *Traits) { t.Election = 40 * time.Second }}, // seen: 31 to 38 s
	{Version{0, 4, 9, ""}, func(t *Traits) { t.Tier = TierFull }},
	{Version{0, 4, 10, ""}, func(t *Traits) { t.Dialect = DialectC }},
}

// rolling is the one range within which versions may run side by side: raft log, values and calls are positional and carry no version, they were
// renumbered at 0.3.4, 0.3.5, 0.3.10, 0.4.0, 0.4.4, 0.4.8 and 0.4.9, and 0.4.9 to 0.4.11 are the same. Before, every version is a range of its own.
var rolling = Version{0, 4, 9, ""}

// Lookup tells what is known of a version; one newer than Newest is treated like Newest, one older than Oldest like Oldest (Supported tells).
func Lookup(v Version) Traits {
	var t Traits
	for i, r := range releases {
		if i > 0 && v.Less(r.since) {
			break
		}
		r.change(&t)
	}
	t.RaftGroups, t.StatusGroups = slices.Clone(t.RaftGroups), slices.Clone(t.StatusGroups)
	t.Unknown = Newest.Less(v)
	t.UpgradeRange = v.String()
	if !v.Less(rolling) {
		t.UpgradeRange = rolling.String() + " and later"
	}
	t.Warning = warning(v, t)
	return t
}

// Supported returns nil when the operator can run the version, and otherwise an error with the way out.
func Supported(v Version) error {
	if v.Less(Oldest) {
		return fmt.Errorf("RobustMQ %s is older than %s, the first version that this operator can run: use %s", v, Oldest, Newest)
	}
	return nil
}

// CanRoll reports whether a cluster may run both versions at the same time, as a rolling upgrade does.
func CanRoll(from, to Version) bool {
	return Lookup(from).UpgradeRange == Lookup(to).UpgradeRange
}

// Inherits returns nil when a server of version to, started on what servers of version from left behind after all of them had stopped, looks for it where they left it, and otherwise an error
// that says what it would miss. Not compared are the values themselves, which carry no version: what the newer server makes of them is seen when it starts.
func Inherits(from, to Version) error {
	was, is := Lookup(from), Lookup(to)
	switch {
	case was.Tier == TierIslands:
		return fmt.Errorf("with RobustMQ %s every broker is a cluster of its own, and no server of %s takes several of them up as one", from, to)
	case was.RocksDBDir != is.RocksDBDir:
		return fmt.Errorf("RobustMQ %s keeps everything in %s, and %s looks in %s, where nothing is: it would begin empty", from, was.RocksDBDir, to, is.RocksDBDir)
	case !slices.Equal(was.RaftGroups, is.RaftGroups):
		return fmt.Errorf("the raft groups of RobustMQ %s are %v, and those of %s are %v", from, was.RaftGroups, to, is.RaftGroups)
	case was.Formation != is.Formation:
		// meta_raft keeps entries above the end of the log before 0.4.4, and the way in which its end is found changed with it (RobustMQ's source).
		return fmt.Errorf("entries that the raft log of RobustMQ %s had dropped may count again for %s", from, to)
	}
	return nil
}

func warning(v Version, t Traits) string {
	switch {
	case t.Tier == TierIslands:
		return fmt.Sprintf("RobustMQ %s cannot cluster its brokers: they are not told of metadata changes, and a topic whose segment lies on another node cannot be read. "+
			"The operator runs every broker as an independent single node: messages, sessions, users and topics are NOT shared between brokers or with the placement centre, "+
			"nothing is replicated, and only broker 0 is reachable through the client Service. "+
			"MQTT 5 clients that check the specification are refused (CONNACK with Maximum QoS 2): use MQTT 3.1.1. For a cluster use version %q.", v, Newest)
	case t.Tier == TierLimited:
		return fmt.Sprintf("RobustMQ %s has limited support: formation, configuration, services and backup are offered but were not tried with it; "+
			"once the cluster stands, changes of membership and rolling upgrades are refused. Use version %q for everything.", v, Newest)
	case t.Unknown:
		return fmt.Sprintf("RobustMQ %s is newer than %s, the newest version that this operator was tried with, and is treated like it.", v, Newest)
	}
	return ""
}
