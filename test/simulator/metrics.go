package simulator

import (
	"fmt"
	"io"
	"net/http"
	"runtime"
	"sort"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc/status"

	"github.com/robustmq/robustmq-operator/internal/robustmq"
)

// metrics are the families that matter to whoever watches a cluster, under the names that RobustMQ exports.
type metrics struct {
	n *Node

	mu       sync.Mutex
	counters map[string]int64 // exported name with labels
}

func newMetrics(n *Node) *metrics { return &metrics{n: n, counters: map[string]int64{}} }

func (m *metrics) add(series string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.counters[series]++
}

func (m *metrics) grpc(full string, err error) {
	parts := strings.Split(strings.TrimPrefix(full, "/"), "/")
	name := parts[len(parts)-1]
	m.add(fmt.Sprintf(`grpc_requests_total{service="PlacementService",method=%q}`, name))
	if err != nil {
		m.add(fmt.Sprintf(`grpc_errors_total{service="PlacementService",method=%q,status_code=%q}`, name, status.Code(err).String()))
	}
}

func (m *metrics) http(method, uri string) {
	m.add(fmt.Sprintf(`http_requests_total{method=%q,uri=%q}`, method, uri))
}

// metricsOnHTTP: since 0.4.1 /metrics is on the admin port, before on a port of its own.
func (g generation) metricsOnHTTP() bool {
	return !g.version.Less(robustmq.Version{Major: 0, Minor: 4, Patch: 1})
}

// eventCounters are exported with 0 from the start.
var eventCounters = []string{
	"mqtt_connection_success", "mqtt_connection_failed", "mqtt_connection_expired", "mqtt_disconnect_success", "mqtt_subscribe_success", "mqtt_subscribe_failed",
	"mqtt_unsubscribe_success", "mqtt_session_created", "mqtt_session_deleted", "mqtt_auth_success", "mqtt_auth_failed", "mqtt_acl_success", "mqtt_acl_failed", "mqtt_blacklist_blocked",
	"mqtt_messages_received", "mqtt_messages_sent", "mqtt_message_bytes_received", "mqtt_message_bytes_sent", "mqtt_messages_dropped_no_subscribers", "mqtt_messages_delayed",
}

// text is the exposition: OpenMetrics in style, plain text by its type.
func (m *metrics) text() string {
	n := m.n
	var b strings.Builder
	family := func(name, kind, help string) {
		fmt.Fprintf(&b, "# HELP %s %s.\n# TYPE %s %s\n", name, help, name, kind)
	}
	gauge := func(name, help string, v int64) {
		family(name, "gauge", help)
		fmt.Fprintf(&b, "%s{} %d\n", name, v) // the library writes braces around no labels
	}
	clients := int64(len(n.mqtt.clients()))
	// The connections count those between engines too: 16 a node were seen without any client.
	others := int64(0)
	if nodes := len(n.cache.nodes()); nodes > 1 {
		others = int64(8 * (nodes - 1))
	}
	gauge("mqtt_connections_count", "The number of connections", clients+others)
	gauge("mqtt_sessions_count", "The number of sessions", clients)
	gauge("mqtt_topics_count", "The number of topics", int64(len(decodeAll[topic](n.cache.each, kindTopic))))
	gauge("mqtt_subscribers_count", "The number of subscribers", n.mqtt.server.Info.Subscriptions)
	gauge("mqtt_subscriptions_exclusive_count", "The number of exclusive subscriptions", n.mqtt.server.Info.Subscriptions)
	gauge("mqtt_subscriptions_shared_count", "The number of shared subscriptions", 0)
	gauge("mqtt_subscriptions_shared_group_count", "The number of shared subscription groups", 0)
	gauge("mqtt_retained_count", "The number of retained messages", n.mqtt.server.Info.Retained)
	n.mqtt.mu.Lock()
	for _, name := range eventCounters {
		family(name, "counter", "An event of the MQTT broker")
		fmt.Fprintf(&b, "%s_total{} %d\n", name, n.mqtt.counts[name])
	}
	n.mqtt.mu.Unlock()
	if !n.gen.islands {
		m.raft(&b, family)
		m.system(&b, gauge)
	}
	m.mu.Lock()
	series := make([]string, 0, len(m.counters))
	for s := range m.counters {
		series = append(series, s)
	}
	sort.Strings(series)
	last := ""
	for _, s := range series {
		name := strings.TrimSuffix(s[:strings.Index(s, "{")], "_total")
		if name != last {
			family(name, "counter", "Requests")
			last = name
		}
		fmt.Fprintf(&b, "%s %d\n", s, m.counters[s])
	}
	m.mu.Unlock()
	b.WriteString("# EOF\n")
	return b.String()
}

func (m *metrics) raft(b *strings.Builder, family func(name, kind, help string)) {
	type position struct{ last, applied uint64 }
	at := map[string]position{}
	for i, name := range m.n.rafts.names {
		last, applied := m.n.rafts.groups[i].Positions()
		at[name] = position{last, applied}
	}
	for _, g := range []struct {
		name string
		of   func(position) uint64
	}{
		{"raft_last_log_index", func(p position) uint64 { return p.last }},
		{"raft_last_applied", func(p position) uint64 { return p.applied }},
		{"raft_apply_lag", func(p position) uint64 { return p.last - min(p.applied, p.last) }},
	} {
		family(g.name, "gauge", "A position of a raft machine")
		for _, name := range m.n.rafts.names {
			fmt.Fprintf(b, "%s{machine=%q} %d\n", g.name, name, g.of(at[name]))
		}
	}
	for _, name := range []string{"raft_write_requests", "raft_write_success", "raft_write_failures"} {
		family(name, "counter", "Writes of a raft machine")
		for _, machine := range m.n.rafts.names {
			v := at[machine].applied
			if name == "raft_write_failures" {
				v = 0
			}
			fmt.Fprintf(b, "%s_total{machine=%q} %d\n", name, machine, v)
		}
	}
}

// system are percent times 100.
func (m *metrics) system(b *strings.Builder, gauge func(name, help string, v int64)) {
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	gauge("system_cpu_usage", "CPU of the host", 100)
	gauge("system_memory_usage", "Memory of the host", 1000)
	gauge("system_process_cpu_usage", "CPU of the process", 10)
	gauge("system_process_memory_usage", "Memory of the process", int64(stats.Sys>>20))
	fmt.Fprintf(b, "# HELP tokio_runtime_busy_ratio The share of time the workers are busy.\n# TYPE tokio_runtime_busy_ratio gauge\n")
	for _, name := range []string{"broker", "meta", "server"} {
		fmt.Fprintf(b, "tokio_runtime_busy_ratio{runtime=%q} 1\n", name)
	}
}

// openPrometheus opens the port of its own that versions before 0.4.1 have.
func (n *Node) openPrometheus() bool {
	if n.gen.metricsOnHTTP() || !n.file.flag("prometheus.enable") {
		return true
	}
	l, err := n.listen(n.file.number("prometheus.port"))
	if err != nil {
		return true // the task alone dies
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/metrics", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = io.WriteString(w, n.metrics.text())
	})
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second, ErrorLog: quiet}
	n.onEnd(func() { _ = server.Close() })
	n.spawn(func() { _ = server.Serve(l) })
	return true
}
