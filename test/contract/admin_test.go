package contract

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/robustmq/robustmq-operator/test/contract/lab"
)

// singleNodeCalls are the recorded calls of one single node, in the order in which they were made: later ones build on earlier ones.
var singleNodeCalls = strings.Fields(`
s-info-token s-info-no-token s-info-bad-token s-login-ok s-login-bad s-login-malformed s-root s-api-root s-notfound s-wrong-method
s-config-get s-config-get-broker-id-1 s-config-get-broker-id-9 s-config-set-unknown-type
s-tenant-list s-tenant-create s-tenant-create-again s-tenant-update s-tenant-update-missing s-tenant-list-after
s-user-list s-user-create s-user-create-again-samepw s-user-create-again-otherpw s-user-create-missing-field s-user-create-nopw
s-user-create-tenant s-user-create-notenant s-user-list-after s-user-list-tenant s-user-list-paged s-user-delete s-user-delete-again
s-topic-list-system s-topic-create s-topic-create-again s-topic-create-badtype s-topic-create-rf3 s-topic-create-segment s-topic-list s-topic-detail
s-message-send s-message-read s-shard-list s-shard-list-nobody s-segment-list s-segment-detail s-segment-replica-state s-topic-delete
s-overview s-client-list s-session-list s-subscribe-list s-alarm-list s-acl-create s-acl-list s-monitor s-node-leave-self
user-rotate-delete user-rotate-create user-delete-default`)

func TestTheAdminAPIAnswersAsItWasRecordedOnASingleNode(t *testing.T) {
	l := lab.New(t, lab.Options{Metas: 1})
	n := started(l.Node(1).Start())
	shard := ""
	for _, name := range singleNodeCalls {
		r, err := readRecorded(name)
		if err != nil {
			t.Fatal(err)
		}
		auth := "Bearer " + token()
		switch name {
		case "s-info-no-token":
			auth = ""
		case "s-info-bad-token":
			auth = "Bearer nonsense"
		}
		var body any
		if len(r.Request.Body) > 0 && string(r.Request.Body) != "null" {
			body = json.RawMessage(strings.ReplaceAll(string(r.Request.Body), "dc26utajueqpf2ttr4kg-0", shard))
		}
		got, err := ask(n, r.Request.Method, r.Request.Path, auth, body)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got.Status != r.Response.Status {
			t.Errorf("%s: HTTP %d instead of %d: %s", name, got.Status, r.Response.Status, got.Body)
		}
		if want := r.Response.ContentType; want != nil && got.ContentType != *want {
			t.Errorf("%s: content type %q instead of %q", name, got.ContentType, *want)
		}
		compare(t, name, r.Response.Body, got.Body)
		if name == "s-topic-create" {
			var created struct {
				Data struct {
					Storage map[string]string `json:"storage_name_list"`
				} `json:"data"`
			}
			if err := json.Unmarshal(got.Body, &created); err != nil {
				t.Fatal(err)
			}
			shard = created.Data.Storage["0"]
		}
	}
}

// compare checks a body against a recorded one: JSON by its shape, text by its words.
func compare(t *testing.T, name string, recorded json.RawMessage, got []byte) {
	t.Helper()
	var want, have any
	if err := json.Unmarshal(recorded, &want); err != nil {
		t.Fatal(err)
	}
	if text, ok := want.(string); ok {
		if string(got) != text {
			t.Errorf("%s: %q instead of %q", name, got, text)
		}
		return
	}
	if err := json.Unmarshal(got, &have); err != nil {
		t.Errorf("%s: %v in %q", name, err, got)
		return
	}
	for _, d := range sameShape(want, have, "") {
		t.Errorf("%s: %s", name, d)
	}
}

func TestClusterStatusAndInfoHaveTheRecordedShapes(t *testing.T) {
	l := lab.New(t, lab.Options{Metas: 3})
	nodes := form(l, 1, 2, 3)
	for name, n := range map[string]*lab.Node{"info-3-members": nodes[2], "c-info-n1": nodes[0], "c-overview": nodes[0]} {
		raw, err := os.ReadFile(filepath.Join("testdata", "v0.4.11", "formation", name+".json"))
		path := "/api/info"
		if err != nil {
			r, err := readRecorded(name)
			if err != nil {
				t.Fatal(err)
			}
			raw, path = r.Response.Body, r.Request.Path
		}
		compare(t, name, raw, call(n, "GET", path, nil).Body)
	}
	for _, f := range []struct {
		fixture string
		n       *lab.Node
	}{{"ClusterStatus-3m-n1", nodes[0]}, {"ClusterStatus-3m-n3", nodes[2]}} {
		raw, err := os.ReadFile(filepath.Join("testdata", "v0.4.11", "grpc", f.fixture+".json"))
		if err != nil {
			t.Fatal(err)
		}
		var reply struct{ Content string }
		if err := json.Unmarshal(raw, &reply); err != nil {
			t.Fatal(err)
		}
		compare(t, f.fixture, json.RawMessage(reply.Content), []byte(f.n.RawStatus()))
	}
}

func TestHealthIsOnlyForTheOwnMachineAndWellKnownIsForEverybody(t *testing.T) {
	l := lab.New(t, lab.Options{Metas: 1})
	n := started(l.Node(1).Start())
	for path, want := range map[string]int{
		"/health/ready": 404, "/api/health/ready": 401, "/.well-known/oauth-protected-resource": 200, "/metrics": 200, "/api/mqtt/overview": 401,
	} {
		a, err := ask(n, "GET", path, "", nil)
		if err != nil || a.Status != want {
			t.Errorf("%s: %d %v, want %d", path, a.Status, err, want)
		}
	}
	for _, kind := range []string{"node", "cluster"} { // neither looks at anything
		if a := call(n, "GET", "/api/health/"+kind, nil); a.Status != 200 || !strings.Contains(string(a.Body), "health check placeholder") || !strings.Contains(string(a.Body), `"check_type":"`+kind+`"`) {
			t.Errorf("%s: %d %s", kind, a.Status, a.Body)
		}
	}
	if a := call(n, "GET", "/api/health/ready", nil); a.Status != 200 || !strings.Contains(string(a.Body), "all configured ports are ready") {
		t.Errorf("ready with quic_port = tls_port: %d %s", a.Status, a.Body)
	}
	if a, _ := ask(n, "GET", "/api/info", "bearer "+token(), nil); a.Status != 401 {
		t.Errorf("a prefix in lower case was accepted: %d", a.Status)
	}
}

func TestReadinessNeverTurnsTrueWhileTheQUICPortIsOfItsOwn(t *testing.T) {
	l := lab.New(t, lab.Options{Metas: 1})
	n := l.Node(1)
	n.Sections = "[mqtt_runtime.server]\ntcp_port = 1883\ntls_port = 1885\nwebsocket_port = 8083\nwebsockets_port = 8085\nquic_port = 9083\n"
	started(n.Start())
	a := call(n, "GET", "/api/health/ready", nil)
	if a.Status != 503 || !strings.Contains(string(a.Body), `"status":"not_ready"`) || !strings.Contains(string(a.Body), `"code":0`) {
		t.Errorf("%d %s", a.Status, a.Body)
	}
}

func TestListsAnswerTenRowsUnlessAskedForMore(t *testing.T) {
	l := lab.New(t, lab.Options{Metas: 1})
	n := started(l.Node(1).Start())
	for i := range 14 {
		if !writes(n, "t"+string(rune('a'+i))) {
			t.Fatal("tenant not created")
		}
	}
	type rows struct {
		Data  []json.RawMessage `json:"data"`
		Total int               `json:"total_count"`
	}
	l.Eventually(5*time.Second, "all tenants are counted", func() bool { return must[rows](n, "GET", "/api/cluster/tenant/list", nil).Total == 15 })
	if r := must[rows](n, "GET", "/api/cluster/tenant/list", nil); len(r.Data) != 10 {
		t.Errorf("%d rows by default", len(r.Data))
	}
	if r := must[rows](n, "GET", "/api/cluster/tenant/list?limit=1000&page=1", nil); len(r.Data) != 15 {
		t.Errorf("%d rows with a limit", len(r.Data))
	}
}

func TestABadDynamicValueIsStoredAndEveryLaterStartFails(t *testing.T) {
	l := lab.New(t, lab.Options{Metas: 1})
	n := started(l.Node(1).Start())
	got := refused(n, "POST", "/api/cluster/config/set", map[string]any{"config_type": "MqttSchema", "config": `{"enable":"maybe"}`})
	if !strings.Contains(got, `Failed to update in-memory config: invalid type: string "maybe", expected a boolean at line 1 column 17`) {
		t.Errorf("answer: %q", got)
	}
	n.Stop()
	n.Start()
	if code := n.Exit(20 * time.Second); code != 1 {
		t.Errorf("exit %d", code)
	}
}

func TestAStoredDynamicSectionOverlaysTheFileAtAStartForSevenTypesOnly(t *testing.T) {
	l := lab.New(t, lab.Options{Metas: 1})
	n := started(l.Node(1).Start())
	set := func(kind, config string) {
		if got := refused(n, "POST", "/api/cluster/config/set", map[string]any{"config_type": kind, "config": config}); got != "" {
			t.Fatalf("%s: %s", kind, got)
		}
	}
	set("MqttOfflineMessage", `{"max_messages_num":77}`)
	set("ClusterLimit", `{"max_network_connection":100000000,"max_network_connection_rate":10000,"max_connection_per_ip":1234,"max_admin_http_uri_rate":50}`)
	type config struct {
		Limit struct {
			PerIP int `json:"max_connection_per_ip"`
		} `json:"cluster_limit"`
		MQTT struct {
			Offline struct {
				Max    int `json:"max_messages_num"`
				Expire int `json:"expire_ms"`
			} `json:"offline_message"`
		} `json:"mqtt_runtime"`
	}
	c := must[config](n, "GET", "/api/cluster/config/get", nil)
	if c.Limit.PerIP != 1234 || c.MQTT.Offline.Max != 77 || c.MQTT.Offline.Expire != 3600000 {
		t.Errorf("after set: %+v", c)
	}
	n.Stop()
	n.Start()
	started(n)
	c = must[config](n, "GET", "/api/cluster/config/get", nil)
	if c.Limit.PerIP != 5000 || c.MQTT.Offline.Max != 77 {
		t.Errorf("after a restart: %+v", c)
	}
}

func TestATopicThatCannotBePlacedStaysBehindOnACluster(t *testing.T) {
	l := lab.New(t, lab.Options{})
	nodes := form(l, 1, 2, 3)
	l.Eventually(10*time.Second, "all are listed", func() bool { return len(registered(nodes[0])) == 3 })
	got := refused(nodes[0], "POST", "/api/cluster/topic/create", map[string]any{"tenant": "default", "topic_name": "t5", "storage_type": "EngineRocksDB", "source": "MQTT", "partition": 1, "replication": 5})
	if !strings.Contains(got, "CreateShard,There are not enough nodes available in the cluster, 5 is needed, and currently 3.") {
		t.Errorf("answer: %q", got)
	}
	l.Eventually(5*time.Second, "the topic is listed all the same", func() bool {
		return strings.Contains(string(call(nodes[2], "GET", "/api/cluster/topic/list?limit=1000&page=1", nil).Body), `"t5"`)
	})
}
