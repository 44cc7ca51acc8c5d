package contract

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/robustmq/robustmq-operator/internal/robustmq"
	"github.com/robustmq/robustmq-operator/test/contract/lab"
)

// connectorRow is what the list says of a connector.
type connectorRow struct {
	Name   string `json:"connector_name"`
	Type   string `json:"connector_type"`
	Config string `json:"config"`
	Status string `json:"status"`
	Broker string `json:"broker_id"`
}

func connectorRows(n *lab.Node) map[string]connectorRow {
	n.Lab.T.Helper()
	rows := map[string]connectorRow{}
	for _, r := range must[struct{ Data []connectorRow }](n, "GET", "/api/cluster/connector/list?limit=100", nil).Data {
		rows[r.Name] = r
	}
	return rows
}

// fileConnector asks for a connector that writes what a topic gets into a file.
func fileConnector(name, topic, path string) map[string]any {
	return map[string]any{
		"tenant": "default", "connector_name": name, "connector_type": "file", "topic_name": topic, "failure_strategy": map[string]any{"strategy": "discard"},
		"config": `{"local_file_path":"` + path + `","rotation_strategy":"none","max_size_gb":1}`,
	}
}

func createConnector(n *lab.Node, body map[string]any) {
	n.Lab.T.Helper()
	if got := refused(n, "POST", "/api/cluster/connector/create", body); got != "" {
		n.Lab.T.Fatalf("connector %v: %s", body["connector_name"], got)
	}
}

// total adds a sample up over nodes.
func total(nodes []*lab.Node, sample string) float64 {
	sum := 0.0
	for _, n := range nodes {
		sum += scrape(n).samples[sample]
	}
	return sum
}

func connectorSample(metric, name string, more ...string) string {
	return metric + `{tenant="default",connector_type="file",connector_name="` + name + `"` + strings.Join(more, "") + `}`
}

func mustPublish(l *lab.Lab, c *client, topic string, payloads ...string) {
	l.T.Helper()
	for _, p := range payloads {
		// A topic that was just made is not known everywhere yet; what is refused is not stored.
		l.Eventually(10*time.Second, p+" is taken", func() bool {
			code, err := c.publish(topic, p, 10*time.Second)
			if err != nil {
				l.T.Fatalf("publish %s: %v", p, err)
			}
			return code == 0
		})
	}
}

func TestConnectorsRunOnAnyServerAndCountWhatTheyHandOnAndWhatTheyCannot(t *testing.T) {
	l := lab.New(t, lab.Options{Metas: 1})
	member, broker := l.Node(1), l.Node(1001)
	member.Roles, broker.Roles = []string{"meta", "engine"}, []string{"broker", "engine"}
	member.Start()
	l.Eventually(15*time.Second, "the engine of the member opens", func() bool { return member.Open(lab.Engine) })
	started(broker.Start())
	nodes := []*lab.Node{member, broker}
	l.Eventually(20*time.Second, "both are listed", func() bool { return len(registered(member)) == 2 && len(registered(broker)) == 2 })
	createTopic(broker, "bridged", 1)
	publisher := mustConnect(broker, 5, "bridge")
	mustPublish(l, publisher, "bridged", "one", "two")

	file := filepath.Join(t.TempDir(), "made", "taken.txt")
	createConnector(broker, fileConnector("taken", "bridged", file))
	createConnector(member, fileConnector("refused", "bridged", "/dev/full"))
	l.Eventually(30*time.Second, "each has a server of its own, one of them the member without the role of a broker", func() bool {
		for _, n := range nodes {
			rows := connectorRows(n)
			taken, refused := rows["taken"], rows["refused"]
			if taken.Status != "Running" || refused.Status != "Running" || !slices.Equal(slices.Sorted(slices.Values([]string{taken.Broker, refused.Broker})), []string{"1", "1001"}) {
				return false
			}
		}
		return true
	})
	if got := connectorRows(broker)["taken"]; got.Type != "file" || got.Config != `{"LocalFile":{"local_file_path":"`+file+`","rotation_strategy":"none","max_size_gb":1}}` {
		t.Errorf("listed as %+v", got)
	}
	counted := func(handedOn float64) {
		t.Helper()
		l.Eventually(30*time.Second, "what there was from the beginning is handed on, and what cannot be is counted", func() bool {
			return total(nodes, connectorSample("mqtt_connector_messages_sent_success_total", "taken")) == handedOn &&
				total(nodes, connectorSample("mqtt_connector_messages_sent_failure_total", "refused")) == handedOn &&
				total(nodes, connectorSample("mqtt_connector_messages_discarded_total_total", "refused", `,strategy="discard"`)) == handedOn
		})
	}
	counted(2)
	mustPublish(l, publisher, "bridged", "three")
	counted(3)
	if content, err := os.ReadFile(file); err != nil || string(content) != "one\ntwo\nthree\n" {
		t.Errorf("the file has %q, %v", content, err)
	}
	for sample, want := range map[string]float64{
		"mqtt_connector_messages_sent_success_agg_total{}": 3, "mqtt_connector_messages_sent_failure_agg_total{}": 3,
		connectorSample("mqtt_connector_up", "taken"): 1, connectorSample("mqtt_connector_up", "refused"): 1,
		connectorSample("mqtt_connector_messages_sent_failure_total", "taken"): 0, connectorSample("mqtt_connector_messages_sent_success_total", "refused"): 0,
	} {
		if got := total(nodes, sample); got != want {
			t.Errorf("%s is %v, want %v", sample, got, want)
		}
	}
	if got := total(nodes, connectorSample("mqtt_connector_send_duration_ms_count", "taken")); got < 2 || got > 3 {
		t.Errorf("%v batches of three messages that came at two times", got)
	}
	e := scrape(member)
	if e.sum("mqtt_connector_messages_sent_success_agg_total")+e.sum("mqtt_connector_messages_sent_failure_agg_total") != 3 {
		t.Error("the member without the role of a broker was given a connector and has not run it")
	}
	l.Eventually(40*time.Second, "a broker counts every connector, wherever it runs", func() bool {
		e := scrape(broker)
		for _, name := range []string{"taken", "refused"} {
			for _, metric := range []string{"mqtt_connector_messages_sent_success_total", "mqtt_connector_messages_sent_failure_total"} {
				if _, there := e.samples[connectorSample(metric, name)]; !there {
					return false
				}
			}
		}
		return true
	})
	scrape(broker).compare(t, recordedFamilies(t))

	if got := refused(broker, "POST", "/api/cluster/connector/delete", map[string]any{"tenant": "default", "connector_name": "taken"}); got != "" {
		t.Fatal(got)
	}
	l.Eventually(20*time.Second, "the deleted one is stopped, and what said that it is up goes on saying so", func() bool {
		_, listed := connectorRows(broker)["taken"]
		stopped := 0
		for _, n := range nodes {
			if _, there := scrape(n).samples[`mqtt_connector_up{tenant="",connector_type="unknown",connector_name="taken"}`]; there {
				stopped++
			}
		}
		return !listed && stopped == 1 && total(nodes, connectorSample("mqtt_connector_up", "taken")) == 1
	})
	count := 3
	l.Eventually(20*time.Second, "what is published now is the other one's alone", func() bool {
		count++
		probe := fmt.Sprintf("number %d", count)
		mustPublish(l, publisher, "bridged", probe)
		l.Eventually(20*time.Second, "the other one goes on", func() bool {
			return total(nodes, connectorSample("mqtt_connector_messages_sent_failure_total", "refused")) == float64(count)
		})
		content, err := os.ReadFile(file)
		return err == nil && !strings.Contains(string(content), probe)
	})
}

func TestWhatTheServerSaysOfConnectorsThatItDoesNotTake(t *testing.T) {
	l := lab.New(t, lab.Options{Metas: 1})
	n := form(l, 1)[0]
	createConnector(n, fileConnector("there", "nowhere", "/dev/null"))
	with := func(key string, value any) map[string]any {
		body := fileConnector("new", "nowhere", "/dev/null")
		body[key] = value
		return body
	}
	without := with("config", nil)
	delete(without, "config")
	for _, c := range []struct {
		what string
		body map[string]any
		want string
	}{
		{"a name that is taken, in another tenant", with("connector_name", "there"), "Connector [there] already exist"},
		{"a name too short", with("connector_name", ""), "Connector name length must be between 1-128"},
		{"a type that there is not", with("connector_type", "fax"), "Connector type must be kafka, pulsar,"},
		{"no configuration", without, "missing field `config`"},
		{"a file without a path", with("config", `{}`), "missing field `local_file_path` at line 1 column 2"},
		{"a relative path", with("config", `{"local_file_path":"out.txt"}`), "local_file_path must be an absolute path"},
		{"a path upwards", with("config", `{"local_file_path":"/tmp/../out.txt"}`), "local_file_path cannot contain '..' directory traversal"},
		{"a rotation in capitals", with("config", `{"local_file_path":"/tmp/out.txt","rotation_strategy":"None"}`), "unknown variant `None`, expected one of `none`, `size`, `hourly`, `daily` at line 1 column 60"},
		{"too large a file", with("config", `{"local_file_path":"/tmp/out.txt","rotation_strategy":"size","max_size_gb":11}`), "max_size_gb must be between 1 and 10"},
	} {
		if c.body["connector_name"] == "there" {
			c.body["tenant"] = "other"
		}
		if got := refused(n, "POST", "/api/cluster/connector/create", c.body); !strings.Contains(got, c.want) {
			t.Errorf("%s: %q, want %q", c.what, got, c.want)
		}
	}
	if got := refused(n, "POST", "/api/cluster/connector/delete", map[string]any{"tenant": "default", "connector_name": "nobody"}); !strings.Contains(got, "Connector nobody Not found") {
		t.Errorf("delete: %q", got)
	}
	l.Eventually(20*time.Second, "a connector of a topic that there is not has stopped", func() bool { return connectorRows(n)["there"].Status == "Stop" })
	createConnector(n, with("failure_strategy", map[string]any{"strategy": "weep"})) // what RobustMQ would say of it, it never says
}

func TestAConnectorWhoseServerIsGoneIsRunByAnother(t *testing.T) {
	l := lab.New(t, lab.Options{})
	nodes := form(l, 1, 2, 3)
	l.Eventually(10*time.Second, "all are listed", func() bool { return len(registered(nodes[0])) == 3 })
	if leader := led(l, nodes, robustmq.GroupMetadata); leader.ID != 1 {
		t.Skipf("%s leads: signs of life of connectors go to the first address alone, and the leader hears of none", leader.Name)
	}
	createTopic(nodes[0], "bridged", 3)
	publisher := mustConnect(nodes[0], 5, "bridge")
	for _, name := range []string{"a", "b", "c"} {
		createConnector(nodes[0], fileConnector(name, "bridged", "/dev/null"))
	}
	mustPublish(l, publisher, "bridged", "before")
	var lost string
	l.Eventually(30*time.Second, "every server runs one, and the third one has handed on and given a sign of life", func() bool {
		brokers := map[string]string{}
		for name, row := range connectorRows(nodes[0]) {
			brokers[row.Broker] = name
		}
		lost = brokers["3"]
		e := scrape(nodes[2])
		// Of one that was never heard of nobody notices that it is silent.
		return len(brokers) == 3 && e.samples[connectorSample("mqtt_connector_messages_sent_success_total", lost)] == 1 &&
			e.samples[`grpc_client_call_duration_ms_count{service="MqttService",method="ConnectorHeartbeat"}`] > 0
	})
	nodes[2].Kill()
	l.Eventually(90*time.Second, "another one runs it and has read the topic", func() bool {
		row := connectorRows(nodes[0])[lost]
		return row.Status == "Running" && row.Broker != "3" && total(nodes[:2], connectorSample("mqtt_connector_up", lost)) == 1
	})
	l.Eventually(60*time.Second, "it goes on where it was", func() bool {
		code, err := publisher.publish("bridged", "after", 10*time.Second)
		return err == nil && code == 0 && total(nodes[:2], connectorSample("mqtt_connector_messages_sent_success_total", lost)) >= 1
	})
}
