package contract

import (
	"bufio"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/robustmq/robustmq-operator/test/contract/lab"
)

// watched are the families that monitoring of RobustMQ rests on, by their registered names: counters are exported with _total.
var watched = strings.Fields(`
raft_write_requests raft_write_success raft_write_failures raft_apply_lag raft_last_log_index raft_last_applied grpc_requests
mqtt_connections_count mqtt_sessions_count mqtt_topics_count mqtt_subscribers_count mqtt_connection_success mqtt_connection_failed mqtt_auth_failed
mqtt_messages_received mqtt_messages_sent system_cpu_usage system_memory_usage system_process_cpu_usage system_process_memory_usage tokio_runtime_busy_ratio`)

func TestTheMetricsHaveTheRecordedNamesAndKinds(t *testing.T) {
	l := lab.New(t, lab.Options{Metas: 1})
	n := started(l.Node(1).Start())
	recorded := map[string]string{}
	f, err := os.Open(filepath.Join("testdata", "v0.4.11", "metrics-families.txt"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		name, kind, _ := strings.Cut(s.Text(), " ")
		recorded[name] = kind
	}
	c := mustConnect(n, 5, "counted")
	createTopic(n, "metered", 1)
	if code, err := c.publish("metered", "x", 10*time.Second); err != nil || code != 0 {
		t.Fatalf("publish: %d %v", code, err)
	}
	a, err := ask(n, "GET", "/metrics", "", nil)
	if err != nil || a.Status != 200 || a.ContentType != "text/plain; charset=utf-8" {
		t.Fatalf("%d %s %v", a.Status, a.ContentType, err)
	}
	text := string(a.Body)
	if !strings.HasSuffix(text, "# EOF\n") {
		t.Error("no EOF line at the end")
	}
	have := map[string]string{}
	for line := range strings.SplitSeq(text, "\n") {
		if rest, ok := strings.CutPrefix(line, "# TYPE "); ok {
			name, kind, _ := strings.Cut(rest, " ")
			have[name] = kind
		}
	}
	for _, name := range watched {
		if have[name] == "" || have[name] != recorded[name] {
			t.Errorf("%s: %q here, %q recorded", name, have[name], recorded[name])
		}
	}
	// What appears only after first use is not in the idle record.
	late := map[string]bool{"http_requests": true, "grpc_errors": true}
	for name, kind := range have {
		if !lab.Real() && !late[name] && recorded[name] != kind {
			t.Errorf("%s %s was never recorded", name, kind)
		}
	}
	for _, series := range []string{"mqtt_connection_success_total{}", "mqtt_messages_received_total{}", `raft_last_log_index{machine="metadata_0"}`} {
		value := ""
		for line := range strings.SplitSeq(text, "\n") {
			if rest, ok := strings.CutPrefix(line, series+" "); ok {
				value = rest
			}
		}
		if n, err := strconv.ParseFloat(value, 64); err != nil || n < 1 {
			t.Errorf("%s is %q after one client and one message", series, value)
		}
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
