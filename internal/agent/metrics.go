package agent

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
)

// metrics are what the server itself does not export: who leads with a quorum behind it, the membership, positions, the registry, the disk, certificates, and the agent's own.
type metrics struct {
	registry    *prometheus.Registry
	panics      *prometheus.CounterVec
	exits       *prometheus.CounterVec
	relayed     *prometheus.CounterVec
	relayFailed *prometheus.CounterVec

	images        prometheus.Counter
	imageFailures *prometheus.CounterVec
	imageSeconds  prometheus.Histogram
}

func newMetrics(a *Agent) *metrics {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	}
	m := &metrics{
		registry:    prometheus.NewRegistry(),
		panics:      counter("robustmq_agent_panics_total", "Panics in the agent that were caught; the server was not touched.", "in"),
		exits:       counter("robustmq_server_exits_total", "Ends of the server process by reason (Ordered, Terminating, Fenced, Hung, ConfigPanic, StartFailed, Crashed, Killed, OOMKilled, Ended, Unknown).", "reason"),
		relayed:     counter("robustmq_agent_heartbeats_total", "Heartbeats of this node that a placement-centre member accepted.", "member"),
		relayFailed: counter("robustmq_agent_heartbeat_failures_total", "Heartbeats of this node that a placement-centre member refused or did not answer.", "member"),
	}
	m.describeImages()
	m.registry.MustRegister(m.panics, m.exits, m.relayed, m.relayFailed, m.images, m.imageFailures, m.imageSeconds, collector{a}, collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// collector turns the latest observation into gauges when it is asked; it never asks the server.
type collector struct{ a *Agent }

func describe(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(name, help, labels, nil)
}

var (
	descInfo        = describe("robustmq_agent_info", "Constant 1, with the agent's version, the server's version that it was told to run, role and node id.", "version", "server_version", "role", "node")
	descGate        = describe("robustmq_gate_open", "1 while the server may start; reason is Open or why not.", "reason")
	descUp          = describe("robustmq_server_up", "1 while the server process runs and answers HTTP.")
	descReady       = describe("robustmq_pod_ready", "1 while /readyz is true.")
	descFenced      = describe("robustmq_server_fenced", "1 while the server is stopped because a majority of the voters cannot be reached.")
	descStarted     = describe("robustmq_server_start_time_seconds", "Unix time at which the running server was started.")
	descRestarts    = describe("robustmq_server_restarts", "How often the server was started again since the agent began.")
	descConfig      = describe("robustmq_config_pending", "1 while the mounted configuration differs from the one the running server was started with.")
	descProblem     = describe("robustmq_config_invalid", "1 while the mounted configuration would make the server exit.")
	descIgnored     = describe("robustmq_config_ignored_keys", "Keys of the user's configuration without effect in this version.")
	descUsed        = describe("robustmq_volume_used_bytes", "Bytes used on the file system of the data volume.")
	descFree        = describe("robustmq_volume_free_bytes", "Bytes free for the server on the file system of the data volume.")
	descExpiry      = describe("robustmq_certificate_expiry_timestamp_seconds", "Unix time at which a certificate expires: agent (mutual TLS of the agents) or server (listeners).", "certificate")
	descLeader      = describe("robustmq_raft_leader", "1 while this member leads the group with a quorum behind it (acknowledged within 3 s).", "group")
	descHasLeader   = describe("robustmq_raft_leader_known", "1 while this member knows a leader of the group; it may be stale.", "group")
	descTerm        = describe("robustmq_raft_term", "Raft term of this member.", "group")
	descLast        = describe("robustmq_raft_log_index", "Index of the last log entry of this member.", "group")
	descApplied     = describe("robustmq_raft_applied_index", "Index of the last applied log entry of this member.", "group")
	descSnapshot    = describe("robustmq_raft_snapshot_index", "Index of the last snapshot of this member.", "group")
	descPurged      = describe("robustmq_raft_purged_index", "Index up to which the log of this member was purged. Equal to the snapshot just after a start: an empty snapshot was installed.", "group")
	descVoters      = describe("robustmq_raft_voters", "Voters of the group as this member sees them; 0 while the membership changes or before it exists.", "group")
	descRunning     = describe("robustmq_raft_running", "1 while the group runs on this member.", "group")
	descQuorumAge   = describe("robustmq_raft_quorum_ack_age_seconds", "On a leader: time since a quorum acknowledged it. A leader that lost its quorum calls itself leader for ever, and this grows.", "group")
	descLag         = describe("robustmq_raft_lag", "Log entries that this member has not applied of those that the leader's log has, by the word of a leader with a quorum behind it; absent where there is none, or none that this member reaches.", "group")
	descLearners    = describe("robustmq_raft_learners", "Members of the group without a vote, as this member sees them.", "group")
	descSegments    = describe("robustmq_segments", "Segments of the whole cluster's topics; only the metadata leader has it. state is total, under_replicated (readable, and a replica is not in sync) or unavailable (every replica in sync is gone).", "state")
	descMissing     = describe("robustmq_unregistered_nodes", "Nodes that the cluster should have and that are not registered; only the metadata leader has it.")
	descClients     = describe("robustmq_mqtt_clients", "MQTT clients that are connected to this broker.")
	descServer      = describe("robustmq_server_info", "Constant 1 while the server runs, with the version that it was started as, and the one that its own page reports: RobustMQ's packages may carry a file with an older one.", "version", "reported")
	descCapacity    = describe("robustmq_volume_capacity_bytes", "Size of the file system of the data volume.")
	descRegistry    = describe("robustmq_registered_nodes", "Nodes registered at this member of the placement centre.")
	descNodes       = describe("robustmq_known_nodes", "Nodes in this node's own list.")
	descTerminating = describe("robustmq_pod_terminating", "1 once the pod is being ended.")
)

// Describe implements prometheus.Collector: unchecked, as what is there depends on role and state.
func (c collector) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (c collector) Collect(out chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, value float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
	}
	seen := c.a.lastObserved()
	c.a.collectState(gauge, seen)
	c.a.collectImages(gauge)
	c.a.collectSurvey(gauge, seen)
	for group, g := range seen.raft {
		gauge(descLeader, one(g.LeadsWithQuorum()), group)
		gauge(descHasLeader, one(g.CurrentLeader != 0), group)
		gauge(descTerm, float64(g.Term), group)
		gauge(descLast, float64(g.LastLogIndex), group)
		gauge(descVoters, float64(len(g.Voters())), group)
		gauge(descLearners, float64(len(g.Learners())), group)
		gauge(descRunning, one(g.Running), group)
		if g.LastApplied != nil {
			gauge(descApplied, float64(g.LastApplied.Index), group)
		}
		if g.Snapshot != nil {
			gauge(descSnapshot, float64(g.Snapshot.Index), group)
		}
		if g.Purged != nil {
			gauge(descPurged, float64(g.Purged.Index), group)
		}
		if g.State == "Leader" && g.MillisSinceQuorumAck != nil {
			gauge(descQuorumAge, float64(*g.MillisSinceQuorumAck)/1000, group)
		}
	}
	if seen.registry != nil {
		gauge(descRegistry, float64(len(seen.registry)))
	}
	if seen.nodes != nil {
		gauge(descNodes, float64(len(seen.nodes)))
	}
}

// collectSurvey is what takes questions of its own, and what only a leader can tell: a member that stops leading stops telling.
func (a *Agent) collectSurvey(gauge func(*prometheus.Desc, float64, ...string), seen observation) {
	surveyed := a.lastSurvey()
	for group, behind := range surveyed.lag {
		gauge(descLag, float64(behind), group)
	}
	if surveyed.clients != nil {
		gauge(descClients, float64(*surveyed.clients))
	}
	a.mu.Lock()
	m := a.mounted
	a.mu.Unlock()
	if !m.isMeta() || !leadsMetadata(seen.raft, m.traits.RaftGroups) {
		return
	}
	if s := surveyed.segments; s != nil {
		gauge(descSegments, float64(s.total), "total")
		gauge(descSegments, float64(s.underReplicated), "under_replicated")
		gauge(descSegments, float64(s.unavailable), "unavailable")
	}
	if seen.registry != nil && !m.islands() {
		gauge(descMissing, float64(unregistered(m.config, m.traits, seen.registry)))
	}
}

func (a *Agent) collectState(gauge func(*prometheus.Desc, float64, ...string), seen observation) {
	a.mu.Lock()
	defer a.mu.Unlock()
	now, m := a.o.Now(), a.mounted
	node := ""
	if m.readable {
		node = strconv.FormatUint(m.nodeID(), 10)
	}
	gauge(descInfo, 1, a.o.Version, m.config.Version, m.config.Role, node)
	gauge(descGate, one(a.gate.Open), a.gate.Reason)
	gauge(descUp, one(a.child != nil && a.phase(a.child, now) == protocol.ServerRunning))
	ready, _ := a.ready()
	gauge(descReady, one(ready))
	gauge(descFenced, one(a.fenced))
	gauge(descTerminating, one(a.terminating))
	gauge(descRestarts, float64(max(0, a.starts-1)))
	gauge(descProblem, one(m.problem != ""))
	gauge(descIgnored, float64(len(m.rendered.Ignored)))
	if a.child != nil {
		gauge(descStarted, float64(a.child.started.UnixMilli())/1000)
		gauge(descConfig, one(a.running != m.hash))
		reported := ""
		if seen.child == a.child {
			reported = seen.version
		}
		gauge(descServer, 1, a.child.version, reported)
	}
	gauge(descUsed, float64(a.vol.UsedBytes))
	gauge(descFree, float64(a.vol.FreeBytes))
	gauge(descCapacity, float64(a.vol.CapacityBytes))
	for name, at := range map[string]time.Time{"server": m.expires, "agent": a.pki.expiry()} {
		if !at.IsZero() {
			gauge(descExpiry, float64(at.Unix()), name)
		}
	}
}

func one(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
