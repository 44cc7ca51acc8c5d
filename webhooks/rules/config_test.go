package rules

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/internal/robustmq"
	"github.com/robustmq/robustmq-operator/internal/robustmq/config/catalogue"
)

// of judges a cluster of a version with one setting.
func of(v, section, key, value string) []Violation {
	return Cluster(nil, valid(version(v), setting(section, key, value)), Context{Operation: Create})
}

// about are the violations of the rules of spec.config.
func about(vs []Violation) []Violation {
	return slices.DeleteFunc(slices.Clone(vs), func(v Violation) bool { return !strings.HasPrefix(v.Rule, "Config") })
}

func TestASettingIsRefusedByOneRuleWithAWayOut(t *testing.T) {
	long := strings.Repeat("k", 129)
	for what, c := range map[string]struct{ version, section, key, value, rule, message, wayOut string }{
		"a string for a number":   {"0.4.11", "mqtt_runtime.keep_alive", "default_time", `"180"`, "ConfigTypes", "takes a whole number of seconds from 1 to 65535, and this is a string", "such as 180, without quotes"},
		"a number for a string":   {"0.4.11", "mqtt_runtime.schema", "log_level", `1`, "ConfigTypes", "takes a string", "write a string"},
		"a string for a truth":    {"0.4.11", "mqtt_runtime.keep_alive", "enable", `"true"`, "ConfigTypes", "takes true or false", "such as true, without quotes"},
		"beyond 16 bits":          {"0.4.11", "mqtt_runtime.keep_alive", "default_time", `65536`, "ConfigTypes", "from 1 to 65535", "such as 180"},
		"beyond 32 bits":          {"0.4.11", "mqtt_runtime.offline_message", "expire_ms", `4294967296`, "ConfigTypes", "from 0 to 4294967295", ""},
		"beyond 63 bits":          {"0.4.11", "cluster_limit", "max_network_connection", `9223372036854775808`, "ConfigTypes", "from 0 to 9223372036854775807", ""},
		"a negative number":       {"0.4.11", "cluster_limit", "max_network_connection", `-1`, "ConfigTypes", "from 0", ""},
		"a fraction":              {"0.4.11", "cluster_limit", "max_network_connection", `1.5`, "ConfigTypes", "with a fraction", ""},
		"a number beyond any":     {"0.4.11", "mqtt_runtime.system_monitor", "os_cpu_high_watermark", `1e999`, "ConfigTypes", "from 0 to 100", ""},
		"a rate of zero":          {"0.4.11", "cluster_limit", "max_network_connection_rate", `0`, "ConfigTypes", "0 ends the server at its start", "such as 10000"},
		"an enum":                 {"0.4.11", "mqtt_runtime.slow_subscribe", "delay_type", `"Partial"`, "ConfigTypes", "one of Whole, Internal, Response", "such as Whole"},
		"null":                    {"0.4.11", "runtime", "pprof_enable", `null`, "ConfigTypes", "this is null", ""},
		"an object":               {"0.4.11", "runtime", "pprof_enable", `{}`, "ConfigTypes", "this is an object", ""},
		"a list for a number":     {"0.4.11", "runtime", "channels_per_address", `[4]`, "ConfigTypes", "this is a list", ""},
		"a list in a list":        {"0.4.11", "kafka_runtime.sasl", "mechanisms", `[["PLAIN"]]`, "ConfigTypes", "item 0 is a list", ""},
		"an unknown item":         {"0.4.11", "kafka_runtime.sasl", "mechanisms", `["SCRAM-SHA-256","PLAIN"]`, "ConfigTypes", "item 1 is none of them", ""},
		"no item":                 {"0.4.11", "kafka_runtime.sasl", "mechanisms", `[]`, "ConfigTypes", "empty", ""},
		"an endless value":        {"0.4.11", "mqtt_runtime.schema", "log_level", `"` + strings.Repeat("x", 8<<10) + `"`, "ConfigTypes", "more than 8192 bytes", "shorten it"},
		"a key with a capital":    {"0.4.11", "runtime", "A", `1`, "ConfigTypes", "lower-case letters", "docs/config.md"},
		"a key with a quote":      {"0.4.11", "runtime", `a"]`, `1`, "ConfigTypes", "lower-case letters", "docs/config.md"},
		"a key of 129 letters":    {"0.4.11", "runtime", long, `1`, "ConfigTypes", "lower-case letters", "docs/config.md"},
		"a section of 129":        {"0.4.11", long, "a", `1`, "ConfigTypes", "lower-case letters", "docs/config.md"},
		"an empty part":           {"0.4.11", "mqtt_runtime.", "a", `1`, "ConfigTypes", "lower-case letters", "docs/config.md"},
		"a model without a name":  {"0.4.0", "llm_client", "platform", `"ollama"`, "ConfigTypes", "does not start", "write a string"},
		"shapes of what is newer": {"9.0.0", "runtime", "a", `[1,{}]`, "ConfigTypes", "element 1 of the list is an object", ""},

		"a typing error":         {"0.4.11", "mqtt_runtime.protocol", "max_paket_size", `1`, "ConfigKnownKeys", "0.4.11 has no such key", "write spec.config[mqtt_runtime.protocol][max_packet_size] if you mean that"},
		"an older name":          {"0.4.11", "mqtt_protocol", "max_packet_size", `1`, "ConfigKnownKeys", "no such key", "write spec.config[mqtt_runtime.protocol][max_packet_size]"},
		"an older name, older":   {"0.4.9", "mqtt_protocol", "max_packet_size", `1`, "ConfigKnownKeys", "0.4.9 has no such key", "write spec.config[mqtt_runtime.protocol][max_packet_size]"},
		"the wrong section":      {"0.4.11", "runtime", "meta_worker_threads", `4`, "ConfigKnownKeys", "no such key", "write spec.config[meta_runtime][meta_worker_threads]"},
		"no section at all":      {"0.4.11", "", "max_connection_per_ip", `4`, "ConfigKnownKeys", "no such key", "write spec.config[cluster_limit][max_connection_per_ip]"},
		"near what is owned":     {"0.4.11", "mqtt_runtime.server", "tcp_prt", `4`, "ConfigKnownKeys", "no such key", "if you mean mqtt_runtime.server.tcp_port, use spec.listeners.mqtt.port"},
		"near what has no field": {"0.4.11", "", "broker_ids", `4`, "ConfigKnownKeys", "no such key", "the operator sets it itself"},
		"near nothing":           {"0.4.11", "weather", "sunshine_hours", `4`, "ConfigKnownKeys", "no such key", "docs/config.md"},
		"too early":              {"0.4.7", "cluster_limit", "max_connection_per_ip", `4`, "ConfigKnownKeys", "it came with 0.4.8", `use version "0.4.8" or a later one`},
		"too late":               {"0.4.11", "prometheus", "monitor_interval_ms", `4`, "ConfigKnownKeys", "it went with 0.4.1", "leave it out"},
		"between two":            {"0.3.6", "broker_network", "queue_size", `4`, "ConfigKnownKeys", "has nothing that the key stands for", "use another version"},
		"a dead section":         {"0.3.0", "message_storage", "storage_type", `"S3"`, "ConfigKnownKeys", "never use it", "leave the section out"},
		"a section long dead":    {"0.4.11", "message_storage.s3_config", "bucket", `"a"`, "ConfigKnownKeys", "has no section message_storage", "leave the section out"},

		"a port":                       {"0.4.11", "kafka_runtime", "tcp_port", `1`, "ConfigReserved", "the operator sets this key itself", "use spec.listeners.kafka.port"},
		"the roles":                    {"0.4.11", "", "roles", `["meta"]`, "ConfigReserved", "the operator sets this key itself", "use spec.placementCenter"},
		"a member":                     {"0.4.11", "meta_addrs", "1", `"a:1"`, "ConfigReserved", "the operator sets this key itself", "use spec.placementCenter.replicas"},
		"the expiry of the islands":    {"0.3.0", "meta_runtime", "heartbeat_timeout_ms", `30000`, "ConfigReserved", "stops applying writes", `use version "0.4.11"`},
		"an owned key of a wrong type": {"0.4.11", "", "grpc_port", `"x"`, "ConfigReserved", "the operator sets this key itself", "leave it out"},
	} {
		vs := Denied(of(c.version, c.section, c.key, c.value))
		if len(vs) != 1 {
			t.Errorf("%s: denied by %s", what, Summary(vs))
			continue
		}
		v := vs[0]
		if v.Rule != c.rule || !strings.Contains(v.Message, c.message) || !strings.Contains(v.WayOut, c.wayOut) || v.WayOut == "" || v.Value == nil {
			t.Errorf("%s: %v: %s", what, v.Value, v.Text())
		}
		if want := configField.Key(c.section).Key(c.key).String(); v.Field.String() != want && what != "a model without a name" {
			t.Errorf("%s: the field is %s", what, v.Field)
		}
	}
}

func TestEveryKeyIsAllowedWithItsDefaultInEveryVersionThatHasIt(t *testing.T) {
	for _, v := range []string{"0.3.0", "0.3.4", "0.3.5", "0.3.8", "0.4.1", "0.4.9", "0.4.11"} {
		parsed, err := robustmq.ParseVersion(v)
		if err != nil {
			t.Fatal(err)
		}
		tried := 0
		for _, s := range catalogue.All() {
			if _, _, ok := s.In(parsed); !ok || s.Owned || catalogue.Withheld(s, parsed) || s.DefaultIn(parsed) == nil {
				continue
			}
			raw, err := json.Marshal(s.DefaultIn(parsed))
			if err != nil {
				t.Fatal(err)
			}
			tried++
			if got := about(Denied(of(v, s.Section, s.Key, string(raw)))); len(got) != 0 {
				t.Errorf("%s: %s", v, Summary(got))
			}
		}
		if tried < 40 {
			t.Errorf("%s: only %d keys", v, tried)
		}
	}
}

func TestEveryOwnedKeyIsRefusedWithTheFieldThatSetsIt(t *testing.T) {
	for _, s := range catalogue.All() {
		vs := about(Denied(of("0.4.11", s.Section, s.Key, "1")))
		reserved := len(vs) == 1 && vs[0].Rule == "ConfigReserved"
		if reserved != s.Owned {
			t.Errorf("%s: %s", s.Name(), Summary(vs))
			continue
		}
		want := "; leave it out: it follows from the cluster and cannot be chosen"
		if s.Owner != "" {
			want = "; leave it out and use " + s.Owner
		}
		if s.Owned && !strings.HasSuffix(vs[0].Text(), want) {
			t.Errorf("%s: %s", s.Name(), vs[0].Text())
		}
	}
}

func TestAKeyThatDoesNothingIsWarnedOf(t *testing.T) {
	vs := of("0.4.11", "mqtt_runtime.schema", "echo_log", "false")
	if got := about(Warned(vs)); len(Denied(vs)) != 0 || len(got) != 1 || !strings.Contains(got[0].Text(), "does nothing with it; leave it out") {
		t.Errorf("%s", Summary(vs))
	}
}

// A server that is newer than the operator may have keys that it does not know; to refuse them would bind users to the operator's releases.
func TestKeysOfAServerThatIsNewerThanTheOperatorAreWarnedOf(t *testing.T) {
	vs := of("9.0.0", "mqtt_runtime.protocol", "max_paket_size", "1")
	if got := about(Warned(vs)); len(Denied(vs)) != 0 || len(got) != 1 || !strings.Contains(got[0].Text(), "passes it on") || !strings.Contains(got[0].Text(), "[max_packet_size]") {
		t.Errorf("%s", Summary(vs))
	}
}

func TestAVersionThatIsRefusedAnywayIsJudgedAsTheNewest(t *testing.T) {
	for _, v := range []string{"x", "0.2.9"} {
		if vs := about(of(v, "cluster_limit", "max_connection_per_ip", "4")); len(vs) != 0 {
			t.Errorf("%s: %s", v, Summary(vs))
		}
	}
}

func TestAModelOfEarlierVersionsIsAllowedWhenItIsWhole(t *testing.T) {
	c := valid(version("0.4.0"), setting("llm_client", "platform", `"ollama"`), setting("llm_client", "model", `"m"`))
	if vs := about(Cluster(nil, c, Context{Operation: Create})); len(vs) != 0 {
		t.Errorf("%s", Summary(vs))
	}
	if vs := about(of("0.4.1", "llm_client", "platform", `"ollama"`)); len(vs) != 0 {
		t.Errorf("0.4.1 needs both: %s", Summary(vs))
	}
}

func TestNoDenialRepeatsASecret(t *testing.T) {
	for _, at := range [][2]string{
		{"mqtt_runtime.auth", "default_password"}, {"admin", "jwt_secret"}, {"admin", "password"}, {"llm_client", "token"},
		{"admin", "pasword"}, {"admins", "password"}, {"", "pw"}, {"Admin", "Password"}, {"message_storage.s3_config", "secret_key"},
	} {
		for _, v := range []string{"0.4.11", "0.3.0", "9.0.0"} {
			for _, value := range []string{`"hunter2"`, `{"a":"hunter2"}`, `["hunter2",{}]`, `"hunter2` + strings.Repeat("x", 8<<10) + `"`} {
				vs := of(v, at[0], at[1], value)
				err := Error(v1alpha1.GroupVersion.WithKind("RobustMQCluster").GroupKind(), "c", vs)
				if text := Summary(vs) + fmt.Sprint(err); strings.Contains(text, "hunter2") {
					t.Errorf("%s.%s: %s", at[0], at[1], text)
				}
			}
		}
	}
}

func TestADenialRepeatsWhatIsNoSecretAndLeavesOutTheRestOfWhatIsLong(t *testing.T) {
	for _, c := range []struct {
		section, key, value string
		want                any
	}{
		{"", "broker_id", "7", int64(7)},
		{"mqtt_runtime.server", "tcp_port", "2883", int64(2883)},
		{"mqtt_runtime.server", "tcp_port", strings.Repeat("1", 64), strings.Repeat("1", 64)},
		{"log", "log_path", `"` + strings.Repeat("x", 64) + `"`, `"` + strings.Repeat("x", 63) + "…"},
		{"mqtt_runtime.keep_alive", "default_time", `"180"`, "180"},
		{"mqtt_runtime.keep_alive", "default_time", `1.5`, 1.5},
		{"mqtt_runtime.keep_alive", "default_time", `true`, true},
		{"mqtt_runtime.keep_alive", "default_time", `[1]`, "[1]"},
		{"admin", "username", `"root"`, "(not shown)"},
		{"admin", "token_ttl_hours", `0`, "(not shown)"},
		{"llm_client", "base_url", "null", "(not shown)"},
		{"x", "some_key", "null", "x.some_key"},
	} {
		vs := Denied(of("0.4.11", c.section, c.key, c.value))
		if len(vs) == 0 || vs[0].Value != c.want {
			t.Errorf("%+v: %+v", c, vs)
		}
	}
}

func FuzzRulesOfTheConfiguration(f *testing.F) {
	for _, s := range catalogue.All() {
		f.Add("0.4.11", s.Section, s.Key, `1`)
	}
	f.Add("0.3.0", "runtime", `a"]`, `[{"hunter2":1}]`)
	f.Add("9.0.0", "runtime", "x", `1e999`)
	f.Fuzz(func(t *testing.T, v, section, key, value string) {
		if !json.Valid([]byte(value)) {
			return // the API server hands over nothing else
		}
		for _, got := range about(of(v, section, key, value)) {
			if got.Message == "" || got.WayOut == "" || got.Field == nil {
				t.Errorf("%q [%q] %q = %s: %+v", v, section, key, value, got)
			}
		}
	})
}
