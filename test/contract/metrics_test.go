package contract

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/robustmq/robustmq-operator/internal/robustmq"
	"github.com/robustmq/robustmq-operator/internal/robustmq/admin"
	"github.com/robustmq/robustmq-operator/test/contract/lab"
)

// family is a metric under its registered name: counters are exported with _total behind it.
type family struct {
	kind   string
	idle   bool // it is there before anything happens
	labels []string
}

// recordedFamilies are what a RobustMQ 0.4.11 was seen to export: a lone node without clients, the same after traffic, and one of three.
func recordedFamilies(t *testing.T) map[string]family {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("testdata", "v0.4.11", "metrics-families.txt"))
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]family{}
	for line := range strings.Lines(string(raw)) {
		c := strings.Fields(line)
		if len(c) != 4 {
			t.Fatalf("%q", line)
		}
		f := family{kind: c[1], idle: c[2] == "idle"}
		if c[3] != "-" {
			f.labels = strings.Split(c[3], ",")
		}
		all[c[0]] = f
	}
	return all
}

// exposition is what a node exports: its families, and the value of every sample by name and labels as written.
type exposition struct {
	families map[string]family
	samples  map[string]float64
}

func scrape(n *lab.Node) exposition {
	n.Lab.T.Helper()
	a, err := ask(n, "GET", "/metrics", "", nil)
	if err != nil || a.Status != 200 || a.ContentType != "text/plain; charset=utf-8" {
		n.Lab.T.Fatalf("%d %s %v", a.Status, a.ContentType, err)
	}
	text := string(a.Body)
	if !strings.HasSuffix(text, "# EOF\n") {
		n.Lab.T.Error("no EOF line at the end")
	}
	e, name := exposition{map[string]family{}, map[string]float64{}}, ""
	for line := range strings.SplitSeq(text, "\n") {
		if rest, ok := strings.CutPrefix(line, "# TYPE "); ok {
			var kind string
			name, kind, _ = strings.Cut(rest, " ")
			e.families[name] = family{kind: kind}
			continue
		}
		open, end := strings.IndexByte(line, '{'), strings.LastIndexByte(line, '}')
		if strings.HasPrefix(line, "#") || open < 0 || end < open {
			continue
		}
		value, err := strconv.ParseFloat(strings.TrimSpace(line[end+1:]), 64)
		if err != nil || !strings.HasPrefix(line, name) {
			n.Lab.T.Errorf("below %s: %q", name, line)
		}
		e.samples[line[:end+1]] = value
		var labels []string
		for pair := range strings.SplitSeq(line[open+1:end], `",`) {
			if label, _, ok := strings.Cut(pair, "="); ok && label != "le" {
				labels = append(labels, label)
			}
		}
		slices.Sort(labels)
		f := e.families[name]
		f.labels = labels
		e.families[name] = f
	}
	return e
}

// sum adds the samples of a name, whatever their labels.
func (e exposition) sum(name string) float64 {
	total := 0.0
	for sample, value := range e.samples {
		if strings.HasPrefix(sample, name+"{") {
			total += value
		}
	}
	return total
}

// compare finds what differs from the record.
func (e exposition) compare(t *testing.T, recorded map[string]family) {
	t.Helper()
	for name, want := range recorded {
		got, ok := e.families[name]
		if !ok && want.idle {
			t.Errorf("%s is missing", name)
		}
		if ok && (got.kind != want.kind || !slices.Equal(got.labels, want.labels)) {
			t.Errorf("%s is a %s with labels %v, recorded was a %s with %v", name, got.kind, got.labels, want.kind, want.labels)
		}
	}
	for name, got := range e.families {
		if _, ok := recorded[name]; !ok && !lab.Real() { // a real one has families that appear with an event that never happened when it was recorded
			t.Errorf("%s, a %s, was never recorded", name, got.kind)
		}
	}
}

func TestTheMetricsHaveTheRecordedNamesKindsAndLabels(t *testing.T) {
	recorded := recordedFamilies(t)
	l := lab.New(t, lab.Options{Metas: 1})
	n := started(l.Node(1).Start())
	l.Eventually(30*time.Second, "the loops that count topics and connectors have run once", func() bool {
		e := scrape(n)
		return e.families["topic_messages_sent"].kind != "" && e.families["mqtt_connector_messages_sent_success_agg"].kind != ""
	})
	scrape(n).compare(t, recorded)
	createTopic(n, "metered", 1)
	publisher, subscriber := mustConnect(n, 5, "counted"), mustConnect(n, 4, "counting")
	if err := subscriber.subscribe("metered"); err != nil {
		t.Fatal(err)
	}
	if code, err := publisher.publish("metered", "four", 10*time.Second); err != nil || code != 0 {
		t.Fatalf("publish: %d %v", code, err)
	}
	if !subscriber.gets("four", 20*time.Second) {
		t.Fatal("the message did not arrive")
	}
	if got := refused(n, "POST", "/api/cluster/user/create", map[string]any{"tenant": "default", "username": "x", "password": ""}); got == "" {
		t.Fatal("a user without a password was made")
	}
	busy := scrape(n)
	busy.compare(t, recorded)
	for _, name := range strings.Fields(`http_requests http_errors http_request_duration_ms mqtt_packet_process_duration_ms mqtt_packet_send_duration_ms handler_instance_requests_total
		handler_instance_apply_ms topic_messages_written topic_bytes_written topic_messages_sent session_messages_in session_messages_out connection_messages_in connection_messages_out
		subscribe_messages_sent subscribe_topic_messages_sent`) {
		if _, ok := busy.families[name]; !ok {
			t.Errorf("%s did not appear with its event", name)
		}
	}
	for sample, least := range map[string]float64{
		"mqtt_connection_success_total{}": 2, "mqtt_messages_received_total{}": 1, "mqtt_messages_sent_total{}": 1, "mqtt_message_bytes_received_total{}": 4, "mqtt_subscribe_success_total{}": 1,
		`raft_last_log_index{machine="metadata_0"}`: 1, `raft_write_success_total{machine="metadata_0"}`: 1, `raft_write_duration_ms_count{machine="metadata_0"}`: 1,
		`mqtt_packets_publish_received_total{network="Tcp"}`: 1, `mqtt_packets_connack_sent_total{network="Tcp",qos="-1"}`: 2, `mqtt_packets_publish_sent_total{network="Some(Tcp)",qos="1"}`: 1,
		`storage_engine_ops_total{operation="write"}`: 1, `handler_requests_total{network="Tcp"}`: 4,
		`topic_bytes_written_total{tenant="default",topic="metered"}`: 4, `rocksdb_operation_count_total{source="meta_metadata",operation="save"}`: 1,
		`grpc_requests_total{service="meta.service.common.MetaServiceService",method="Heartbeat"}`: 0,
		`http_errors_total{method="POST",uri="/api/cluster/user/create",status_code="400"}`:        1,
	} {
		if got, ok := busy.samples[sample]; !ok || got < least {
			t.Errorf("%s is %v (%v), want at least %v", sample, got, ok, least)
		}
	}
	busy.cumulative(t)
}

// cumulative checks that every histogram's buckets rise to its count.
func (e exposition) cumulative(t *testing.T) {
	t.Helper()
	type bucket struct{ bound, value float64 }
	series := map[string][]bucket{}
	for sample, value := range e.samples {
		name, labels, ok := strings.Cut(sample, "_bucket{")
		if !ok || e.families[name].kind != "histogram" {
			continue
		}
		// "le" is first, at the real server as here.
		bound, rest, ok := strings.Cut(strings.TrimPrefix(labels, `le="`), `"`)
		number, err := strconv.ParseFloat(bound, 64) // +Inf is one
		if !ok || err != nil {
			t.Errorf("%s: %v", sample, err)
		}
		key := name + "_count{" + strings.TrimPrefix(rest, ",")
		series[key] = append(series[key], bucket{number, value})
	}
	if len(series) == 0 {
		t.Error("no histograms")
	}
	for count, buckets := range series {
		slices.SortFunc(buckets, func(a, b bucket) int { return cmp.Compare(a.bound, b.bound) })
		rising := slices.IsSortedFunc(buckets, func(a, b bucket) int { return cmp.Compare(a.value, b.value) })
		if all, ok := e.samples[count]; !ok || !rising || buckets[len(buckets)-1].value != all {
			t.Errorf("%s is %v (%v), its buckets are %v", count, all, ok, buckets)
		}
	}
}

// What is wrong with the metrics themselves is a part of the contract: alerts and dashboards must go by others.
func TestCountersThatStayZeroThoughTheThingHappens(t *testing.T) {
	l := lab.New(t, lab.Options{Metas: 1})
	n := started(l.Node(1).Start())
	createTopic(n, "unheard", 1)
	c := mustConnect(n, 5, "polite")
	if code, err := c.publish("unheard", "x", 10*time.Second); err != nil || code != 0 {
		t.Fatalf("publish: %d %v", code, err)
	}
	if err := c.leave(); err != nil {
		t.Fatal(err)
	}
	l.Eventually(10*time.Second, "the disconnection is seen", func() bool {
		return scrape(n).samples[`mqtt_packets_disconnect_received_total{network="Tcp"}`] >= 1
	})
	e := scrape(n)
	for _, sample := range []string{"mqtt_disconnect_success_total{}", "mqtt_messages_dropped_no_subscribers_total{}", "mqtt_session_deleted_total{}"} {
		if got, ok := e.samples[sample]; !ok || got != 0 {
			t.Errorf("%s is %v (%v): it tells something now", sample, got, ok)
		}
	}
	if got, err := connect(n, 4, "stranger", lab.MQTTUser, "wrong"); err == nil {
		got.close()
	}
	l.Eventually(10*time.Second, "the refusal is counted", func() bool {
		e := scrape(n)
		return e.sum("mqtt_auth_failed_total") >= 1 && e.sum("mqtt_connection_failed_total") >= 1 && e.sum("mqtt_packets_connack_auth_error_total") >= 1
	})
}

// clients is what a node's list says of MQTT clients, without their rows.
func clients(n *lab.Node) int {
	a := call(n, "GET", "/api/mqtt/client/list?limit=1&page=1", nil)
	data, err := a.data()
	if err != nil {
		n.Lab.T.Fatal(err)
	}
	total, err := admin.ParseTotal(data)
	if err != nil {
		n.Lab.T.Fatal(err)
	}
	return int(total)
}

func TestTheGaugeOfConnectionsCountsNodesAndTheListCountsClients(t *testing.T) {
	l := lab.New(t, lab.Options{})
	nodes := form(l, 1, 2, 3)
	l.Eventually(30*time.Second, "every node has connections to the others", func() bool {
		for _, n := range nodes {
			if scrape(n).sum("mqtt_connections_count") == 0 {
				return false
			}
		}
		return true
	})
	for _, n := range nodes {
		if got := clients(n); got != 0 {
			t.Errorf("%s: %d clients, and none has connected", n.Name, got)
		}
	}
	for i := range 12 {
		mustConnect(nodes[1], 5, fmt.Sprintf("client-%d", i))
	}
	if got := []int{clients(nodes[0]), clients(nodes[1]), clients(nodes[2])}; !reflect.DeepEqual(got, []int{0, 12, 0}) {
		t.Errorf("clients by node: %v", got)
	}
}

func TestAMemberListsEverySegmentAsTheAdminAPIShowsIt(t *testing.T) {
	l := lab.New(t, lab.Options{})
	nodes := form(l, 1, 2, 3)
	l.Eventually(10*time.Second, "all are listed", func() bool { return len(registered(nodes[0])) == 3 })
	createTopic(nodes[0], "copied", 3)
	list := func(n *lab.Node) map[string]robustmq.SegmentRecord {
		found := map[string]robustmq.SegmentRecord{}
		err := n.Client().Segments(t.Context(), func(s robustmq.SegmentRecord) { found[fmt.Sprint(s.Shard, "/", s.Number)] = s })
		if err != nil {
			t.Errorf("%s: %v", n.Name, err)
		}
		return found
	}
	type shown struct {
		Segments []struct {
			Segment struct {
				Shard  string `json:"shard_name"`
				Number uint32 `json:"segment_seq"`
				placed
			} `json:"segment"`
		} `json:"segment_list"`
	}
	leader := led(l, nodes, robustmq.GroupMetadata)
	l.Eventually(30*time.Second, "the lists agree, record for record", func() bool {
		found := list(leader)
		threefold := false
		for key, s := range found {
			admins := must[shown](leader, "POST", "/api/storage-engine/segment/list", map[string]string{"shard_name": s.Shard})
			same := false
			for _, row := range admins.Segments {
				r := row.Segment
				want := robustmq.SegmentRecord{Shard: r.Shard, Number: r.Number, ISR: r.ISR, LastISR: r.LastISR, Leader: r.Leader, Epoch: r.Epoch, Status: r.Status}
				for _, replica := range r.Replicas {
					want.Replicas = append(want.Replicas, replica.Node)
				}
				same = same || fmt.Sprint(want) == fmt.Sprint(s)
			}
			if !same {
				t.Logf("%s: %+v, the admin API shows %+v", key, s, admins.Segments)
				return false
			}
			threefold = threefold || len(s.Replicas) == 3 && s.Full()
		}
		return threefold && len(found) > 1
	})
	away := without(nodes, leader.ID)[0]
	away.Kill()
	l.Eventually(60*time.Second, "the one that is gone is in sync nowhere", func() bool {
		for _, s := range list(leader) {
			if slices.Contains(s.ISR, away.ID) {
				return false
			}
		}
		return true
	})
	short := 0
	for _, s := range list(leader) {
		if !s.Unavailable() && !s.Full() {
			short++
		}
	}
	if short == 0 {
		t.Error("no segment lacks a copy though a node with copies is gone")
	}
}

func TestAServerThatIsStoppedAcceptsConnectionsAndAnswersNothing(t *testing.T) {
	l := lab.New(t, lab.Options{Metas: 1})
	n := started(l.Node(1).Start())
	n.Pause(true)
	for _, port := range []int{lab.MQTT, lab.GRPC, lab.HTTP} {
		if !n.Open(port) {
			t.Errorf("port %d refuses: the kernel's backlog should take it", port)
		}
	}
	answered := make(chan error, 1)
	go func() {
		_, err := askWithin(n, "GET", "/.well-known/oauth-protected-resource", time.Second)
		answered <- err
	}()
	if err := <-answered; err == nil {
		t.Error("a stopped process answered")
	}
	n.Pause(false)
	l.Eventually(5*time.Second, "it answers again", func() bool {
		a, err := askWithin(n, "GET", "/.well-known/oauth-protected-resource", time.Second)
		return err == nil && a.Status == 200
	})
}
