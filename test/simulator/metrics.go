package simulator

import (
	"fmt"
	"io"
	"net/http"
	"runtime"
	"slices"
	"sort"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/robustmq/robustmq-operator/internal/robustmq"
)

// metrics are RobustMQ's families, with their names, labels and kinds, and with what is wrong with them: counters that stay 0 though the thing happens (mqtt_disconnect_success,
// mqtt_messages_dropped_no_subscribers, mqtt_retain_packets_sent, mqtt_session_deleted), connections that are none of MQTT, percentages times 100 (seen-api.md 4).
type metrics struct {
	n *Node

	mu     sync.Mutex
	values map[string]map[string]*series // family -> label values, joined
}

type series struct {
	labels []string
	value  float64
	// of a histogram: how many observations there were, and up to each bound.
	count   uint64
	buckets []uint64
}

func newMetrics(n *Node) *metrics { return &metrics{n: n, values: map[string]map[string]*series{}} }

const labelSeparator = "\xff" // no text in UTF-8 has it

// at returns a series; the lock is held. Label values are in the order of families.txt.
func (m *metrics) at(name string, labels []string) *series {
	of := m.values[name]
	if of == nil {
		of = map[string]*series{}
		m.values[name] = of
	}
	key := strings.Join(labels, labelSeparator)
	s := of[key]
	if s == nil {
		s = &series{labels: slices.Clone(labels)}
		of[key] = s
	}
	return s
}

func (m *metrics) add(name string, by float64, labels ...string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.at(name, labels).value += by
}

func (m *metrics) set(name string, to float64, labels ...string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.at(name, labels).value = to
}

// took observes how long something has taken, in milliseconds of the simulation.
func (m *metrics) took(name string, since time.Time, labels ...string) {
	ms := float64(m.n.t.simulated(time.Since(since))) / float64(time.Millisecond)
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.at(name, labels)
	if s.buckets == nil {
		s.buckets = make([]uint64, len(millisecondBounds))
	}
	s.count++
	s.value += ms
	if i := sort.SearchFloat64s(millisecondBounds, ms); i < len(s.buckets) {
		s.buckets[i]++
	}
}

// metricsOnHTTP: since 0.4.1 /metrics is on the admin port, before on a port of its own.
func (g generation) metricsOnHTTP() bool {
	return !g.version.Less(robustmq.Version{Major: 0, Minor: 4, Patch: 1})
}

// late reports whether every family appears only when something happens; since 0.3.1 most are there with 0.
func (g generation) lateMetrics() bool {
	return g.version.Less(robustmq.Version{Major: 0, Minor: 3, Patch: 1})
}

// text is the exposition: OpenMetrics in style, plain text by its type.
func (m *metrics) text() string {
	m.measure()
	g, machines := m.n.gen, m.n.rafts.names
	m.mu.Lock()
	defer m.mu.Unlock()
	var b strings.Builder
	for _, f := range families() {
		if g.version.Less(f.since) {
			continue
		}
		if !g.lateMetrics() {
			for _, labels := range f.initial(machines) {
				m.at(f.name, labels)
			}
		}
		writeFamily(&b, f, m.values[f.name])
	}
	b.WriteString("# EOF\n")
	return b.String()
}

func writeFamily(b *strings.Builder, f family, of map[string]*series) {
	if len(of) == 0 {
		return
	}
	fmt.Fprintf(b, "# HELP %s %s\n# TYPE %s %s\n", f.name, f.help, f.name, f.kind)
	for _, key := range sortedKeys(of) {
		s := of[key]
		if f.kind != "histogram" {
			fmt.Fprintf(b, "%s%s%s %s\n", f.name, f.suffix(), shownLabels(f.labels, s.labels), strconv.FormatFloat(s.value, 'f', -1, 64))
			continue
		}
		labels := shownLabels(f.labels, s.labels)
		fmt.Fprintf(b, "%s_sum%s %s\n%s_count%s %d\n", f.name, labels, shownFloat(s.value), f.name, labels, s.count)
		var below uint64
		for i, bound := range f.bounds() {
			if s.buckets != nil {
				below += s.buckets[i]
			}
			fmt.Fprintf(b, "%s_bucket%s %d\n", f.name, shownLabels(append([]string{"le"}, f.labels...), append([]string{shownFloat(bound)}, s.labels...)), below)
		}
		fmt.Fprintf(b, "%s_bucket%s %d\n", f.name, shownLabels(append([]string{"le"}, f.labels...), append([]string{"+Inf"}, s.labels...)), s.count)
	}
}

// shownLabels writes braces around no labels, too, as RobustMQ's library does.
func shownLabels(names, values []string) string {
	escape := strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`)
	pairs := make([]string, len(names))
	for i, name := range names {
		pairs[i] = name + `="` + escape.Replace(values[i]) + `"`
	}
	return "{" + strings.Join(pairs, ",") + "}"
}

// shownFloat has a point always.
func shownFloat(v float64) string {
	text := strconv.FormatFloat(v, 'f', -1, 64)
	if !strings.Contains(text, ".") {
		text += ".0"
	}
	return text
}

// measure sets the gauges, which are sampled.
func (m *metrics) measure() {
	n := m.n
	clients := float64(len(n.mqtt.clients()))
	m.set("mqtt_connections_count", clients+n.engineConnections())
	m.set("mqtt_sessions_count", clients)
	topics := decodeAll[topic](n.cache.each, kindTopic)
	m.set("mqtt_topics_count", float64(len(topics)))
	for _, t := range topics {
		m.add("topic_messages_written", 0, t.Tenant, t.TopicName)
		m.add("topic_messages_sent", 0, t.Tenant, t.TopicName)
	}
	subscriptions := float64(n.mqtt.server.Info.Subscriptions)
	m.set("mqtt_subscribers_count", subscriptions)
	m.set("mqtt_subscriptions_exclusive_count", subscriptions)
	m.set("mqtt_retained_count", float64(n.mqtt.server.Info.Retained))
	for i, name := range n.rafts.names {
		last, applied := n.rafts.groups[i].Positions()
		m.set("raft_last_log_index", float64(last), name)
		m.set("raft_last_applied", float64(applied), name)
		m.set("raft_apply_lag", float64(last-min(applied, last)), name)
	}
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	m.set("system_cpu_usage", 100)
	m.set("system_memory_usage", 1000)
	m.set("system_process_cpu_usage", 10)
	m.set("system_process_memory_usage", float64(stats.Sys>>20))
	for i, name := range []string{"server", "broker", "meta"} { // as many tasks as a node of three had
		m.set("tokio_runtime_busy_ratio", 1, name)
		m.set("tokio_runtime_alive_tasks", []float64{261, 61, 53}[i], name)
	}
	for i, network := range []string{"Tcp", "Tls"} {
		m.set("broker_active_thread_num", []float64{5, 2}[i], network, "accept")
		m.set("broker_active_thread_num", []float64{320, 128}[i], network, "handler")
	}
}

// engineConnections are those between engines, which mqtt_connections_count counts: one was seen at a node alone, 16 at each of three, without any client.
func (n *Node) engineConnections() float64 {
	const perPeer = 8
	return max(1, float64(perPeer*(len(n.cache.nodes())-1)))
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
