package simulator

import (
	"strings"
	"testing"

	"github.com/robustmq/robustmq-operator/internal/robustmq"
)

func generationFor(t testing.TB, version string) generation {
	t.Helper()
	v, err := robustmq.ParseVersion(version)
	if err != nil {
		t.Fatal(err)
	}
	return generationOf(v)
}

func TestEveryDialectReadsItsOwnNamesAndIgnoresTheOthers(t *testing.T) {
	for _, c := range []struct{ version, file, path, want string }{
		{"0.3.0", "[mqtt_server]\ntcp_port = 2883\ntls_port = 1\nwebsocket_port = 1\nwebsockets_port = 1\nquic_port = 1\n", "mqtt_runtime.server.tcp_port", "2883"},
		{"0.4.0", "[mqtt_server]\ntcp_port = 2883\n", "mqtt_runtime.server.tcp_port", "2883"},
		{"0.4.11", "[mqtt_server]\ntcp_port = 2883\n", "mqtt_runtime.server.tcp_port", "1883"},
		{"0.4.11", "[mqtt_runtime.server]\ntcp_port = 2883\n", "mqtt_runtime.server.tcp_port", "2883"},
		{"0.4.9", "[mqtt_runtime.server]\ntcp_port = 2883\n", "mqtt_runtime.server.tcp_port", "1883"},
		{"0.3.0", "[rocksdb]\ndata_path = \"/x\"\nmax_open_files = 1\n", "data_path", "/x"},
		{"0.4.0", "[rocksdb]\ndata_path = \"/x\"\n", "data_path", "/x"},
		{"0.4.1", "[rocksdb]\ndata_path = \"/x\"\n", "data_path", "./data"},
		{"0.4.1", "data_path = \"/x\"\n", "data_path", "/x"},
		{"0.3.0", "data_path = \"/x\"\n", "data_path", "./data"},
		{"0.4.9", "[runtime]\ntls_cert = \"/c\"\n", "broker_network.tls_cert", "/c"},
		{"0.4.11", "[runtime]\ntls_cert = \"/c\"\n", "broker_network.tls_cert", "./config/certs/cert.pem"},
		{"0.4.11", "[broker_network]\ntls_cert = \"/c\"\n", "broker_network.tls_cert", "/c"},
		{"0.3.0", "", "http_port", "8080"},
		{"0.4.11", "", "http_port", "58080"},
		// A section that is present has other defaults than one that is absent.
		{"0.4.11", "[storage_runtime]\nio_thread_num = 1\n", "storage_runtime.tcp_port", "1779"},
		{"0.4.11", "", "storage_runtime.tcp_port", "1778"},
		{"0.4.11", "[runtime]\nchannels_per_address = 4\n", "runtime.default_topic_replica_num", "1"},
		{"0.4.11", "", "runtime.default_topic_replica_num", "2"},
	} {
		s, err := parseConfig(c.file, generationFor(t, c.version), nil)
		if err != nil {
			t.Errorf("%s %q: %v", c.version, c.file, err)
			continue
		}
		got := s.text(c.path)
		if got == "" {
			got = string(mustJSON(s.number(c.path)))
		}
		if got != c.want {
			t.Errorf("%s %q: %s = %s, want %s", c.version, c.file, c.path, got, c.want)
		}
	}
}

func TestAVariableReplacesTheLineOfItsKeyAndNothingElse(t *testing.T) {
	file := "broker_id = 1 # mine\n[meta_addrs]\n1 = \"a:1\"\n[admin] # a comment hides the section\npassword = \"old\"\n[mqtt_runtime.auth]\ndefault_password = \"old\"\n"
	environ := []string{
		"ROBUST_MQ_SERVER_BROKER_ID=7", "ROBUST_MQ_SERVER_META_ADDRS_1=\"b:2\"", "ROBUST_MQ_SERVER_MQTT_RUNTIME_AUTH_DEFAULT_PASSWORD=\"new\"",
		"ROBUST_MQ_SERVER_ADMIN_PASSWORD=\"new\"", "ROBUST_MQ_SERVER_HTTP_PORT=1", "robust_mq_server_broker_id=8",
	}
	s, err := parseConfig(file, generationFor(t, "0.4.11"), environ)
	if err != nil {
		t.Fatal(err)
	}
	if s.number("broker_id") != 7 || s.metaAddrs()[0].addr != "b:2" || s.text("mqtt_runtime.auth.default_password") != "new" || s.number("http_port") != 58080 {
		t.Errorf("%v", s.tree)
	}
	if s.text("admin.password") != "old" {
		t.Error("a section with a comment in its header was overridden")
	}
	if _, err := parseConfig(file, generationFor(t, "0.4.11"), []string{"ROBUST_MQ_SERVER_BROKER_ID="}); err == nil || !strings.Contains(err.Error(), "TOML parse error at line 1") {
		t.Errorf("an empty value: %v", err)
	}
}

func TestMetaAddrsAreInTheOrderOfTheirIdsAsText(t *testing.T) {
	s, err := parseConfig("[meta_addrs]\n2 = \"b\"\n10 = \"c\"\n1 = \"a\"\n", generationFor(t, "0.4.11"), nil)
	if err != nil {
		t.Fatal(err)
	}
	var order []string
	for _, a := range s.metaAddrs() {
		order = append(order, a.id)
	}
	if strings.Join(order, " ") != "1 10 2" {
		t.Errorf("%v", order)
	}
}

func TestTheLogCanBeToldToKeepTheConfigurationOut(t *testing.T) {
	var out strings.Builder
	l := newLogger(&out, newRand(1, 1))
	if err := l.configure("[stdout]\nkind = \"console\"\ntargets = [{path = \"\", level = \"info\"}, {path = \"broker_server::common\", level = \"warn\"}]\n"); err != nil {
		t.Fatal(err)
	}
	l.info("broker_server::common", "password")
	l.info("broker_server::server", "Running")
	if got := out.String(); strings.Contains(got, "password") || !strings.Contains(got, "Running") {
		t.Errorf("%q", got)
	}
	if err := l.configure("[stdout]\nkind = \"nope\"\n"); err == nil || !strings.Contains(err.Error(), "unknown variant `nope`") {
		t.Errorf("unknown appender: %v", err)
	}
}

func TestAboutHalfOfTheLastLinesAreLost(t *testing.T) {
	said := 0
	for seed := range uint64(200) {
		var out strings.Builder
		newLogger(&out, newRand(seed, 2)).last("t", "the reason")
		if strings.Contains(out.String(), "the reason") {
			said++
		}
	}
	if said < 60 || said > 140 {
		t.Errorf("%d of 200 were written", said)
	}
}

func FuzzAConfigurationOfAnyTextNeverPanics(f *testing.F) {
	f.Add("broker_id = 1\n[meta_addrs]\n1 = \"a:1\"\n")
	f.Add("[rocksdb]\ndata_path = 1\n[mqtt_server]\n")
	f.Add("meta_addrs = 3\n[mqtt_runtime]\nserver = 1\n")
	f.Fuzz(func(t *testing.T, content string) {
		for _, version := range []string{"0.3.0", "0.4.0", "0.4.11"} {
			if s, err := parseConfig(content, generationFor(t, version), []string{"ROBUST_MQ_SERVER_BROKER_ID=\n["}); err == nil {
				_ = s.metaAddrs()
			}
		}
	})
}

func FuzzADynamicSectionOfAnyTextNeverPanics(f *testing.F) {
	f.Add("MqttLimit", `{"cluster":{"max_topics":"x"}}`)
	f.Add("KafkaDynamic", `{"auto_create_topics_enable":null}`)
	f.Add("MqttSchema", `not json`)
	s, err := parseConfig("", generationFor(f, "0.4.11"), nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, kind, text string) {
		_ = newDynamicConfig(s).overlay(kind, text, false)
	})
}
