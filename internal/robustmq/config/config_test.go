package config

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/pelletier/go-toml/v2"

	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
	"github.com/robustmq/robustmq-operator/internal/robustmq"
	"github.com/robustmq/robustmq-operator/internal/robustmq/config/catalogue"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func input(version, role string) Input {
	c := protocol.Config{
		Cluster: "demo", Namespace: "default", ClusterUID: "3b1f", Generation: 1, Version: version, Role: role, Engines: 8, WorkerThreads: 4,
		HostSuffix: ".demo-placement-center.default.svc.cluster.local",
		Ports: protocol.Ports{
			GRPC: 1228, HTTP: 58080, Engine: 1778, MQTT: 1883, MQTTS: 1885, WS: 8083, WSS: 8085, Kafka: 9092, AMQP: 5672,
			NATS: 4222, NATSTLS: 4223, NATSWS: 4080, NATSWSS: 4443, Prometheus: 9091,
		},
	}
	for i := range 3 {
		pod := fmt.Sprintf("demo-placement-center-%d", i)
		c.Members = append(c.Members, protocol.Member{NodeID: uint64(i + 1), Pod: pod, Host: pod + c.HostSuffix})
	}
	in := Input{
		Config: c, Pod: "demo-placement-center-1", Ordinal: 1, CPUs: 2,
		Credentials: Credentials{
			AdminUsername: "admin", AdminPassword: "admin-password", MQTTUsername: "mqtt", MQTTPassword: "mqtt-password", JWTSecret: "jwt-secret",
		},
		Paths: Paths{
			Data: "/var/lib/robustmq/data", Engine: "/var/lib/robustmq/engine", Logger: "/run/robustmq/logger.toml", Log: "/run/robustmq/logs",
			TLSCert: "/etc/robustmq-operator/server-tls/tls.crt", TLSKey: "/etc/robustmq-operator/server-tls/tls.key",
		},
	}
	switch role {
	case RolePlacementCenter:
		in.Config.BaseID = 1
	case RoleMQTTBroker:
		in.Config.BaseID, in.Pod, in.Config.HostSuffix = 1001, "demo-mqtt-broker-1", ".demo-mqtt-broker.default.svc.cluster.local"
	case RoleJournalServer:
		in.Config.BaseID, in.Pod, in.Config.HostSuffix = 2001, "demo-journal-server-1", ".demo-journal-server.default.svc.cluster.local"
	}
	in.Config.Islands = version < "0.3.8"
	return in
}

func render(t *testing.T, in Input) (map[string]any, Rendered) {
	t.Helper()
	out, err := Render(in)
	if err != nil {
		t.Fatal(err)
	}
	var doc map[string]any
	if err := toml.Unmarshal(out.ServerTOML, &doc); err != nil {
		t.Fatalf("not TOML: %v\n%s", err, out.ServerTOML)
	}
	return doc, out
}

func at(doc map[string]any, path ...string) any {
	var v any = doc
	for _, p := range path {
		m, ok := v.(map[string]any)
		if !ok {
			return nil
		}
		v = m[p]
	}
	return v
}

func TestEveryDialectAndRoleIsRenderedAsInItsGoldenFile(t *testing.T) {
	for _, v := range []string{"0.3.0", "0.3.7", "0.3.9", "0.4.9", "0.4.11"} {
		for _, role := range []string{RolePlacementCenter, RoleMQTTBroker, RoleJournalServer} {
			t.Run(v+"/"+role, func(t *testing.T) {
				_, out := render(t, input(v, role))
				golden := filepath.Join("testdata", v+"-"+strings.ToLower(role)+".toml")
				if *update {
					if err := os.WriteFile(golden, out.ServerTOML, 0o644); err != nil {
						t.Fatal(err)
					}
				}
				want, err := os.ReadFile(golden)
				if err != nil {
					t.Fatal(err)
				}
				if !bytes.Equal(out.ServerTOML, want) {
					t.Errorf("server.toml differs from %s (go test -update rewrites it):\n%s", golden, out.ServerTOML)
				}
				if len(out.Ignored) > 0 {
					t.Errorf("ignored without a user's configuration: %v", out.Ignored)
				}
			})
		}
	}
}

// Every key that RobustMQ 0.3.0 needs in a section that is present: "TOML parse error ... missing field" and exit 101 otherwise.
var requiredIn030 = map[string]string{
	"prometheus": "enable port", "p_prof": "enable port frequency", "log": "log_config log_path", "runtime": "tls_cert tls_key",
	"network": "accept_thread_num handler_thread_num queue_size", "rocksdb": "data_path max_open_files",
	"meta_runtime":    "heartbeat_timeout_ms heartbeat_check_time_ms raft_write_timeout_sec",
	"storage_runtime": "tcp_port max_segment_size io_thread_num data_path", "storage_offset": "enable_cache",
	"mqtt_server":                "tcp_port tls_port websocket_port websockets_port quic_port",
	"mqtt_keep_alive":            "enable default_time max_time default_timeout",
	"mqtt_runtime":               "default_user default_password max_connection_num durable_sessions_enable",
	"mqtt_offline_message":       "enable expire_ms max_messages_num",
	"mqtt_slow_subscribe_config": "enable record_time delay_type",
	"mqtt_flapping_detect":       "enable window_time max_client_connections ban_time",
	"mqtt_protocol_config": "max_session_expiry_interval default_session_expiry_interval topic_alias_max max_qos_flight_message max_packet_size " +
		"receive_max max_message_expiry_interval client_pkid_persistent",
	"mqtt_security": "is_self_protection_status secret_free_login", "mqtt_schema": "enable strategy failed_operation echo_log log_level",
	"mqtt_system_monitor": "enable os_cpu_high_watermark os_memory_high_watermark",
}

func TestASectionOf030HasAllItsKeysWhicheverKeyTheUserSets(t *testing.T) {
	check := func(t *testing.T, doc map[string]any) {
		for section, v := range doc {
			table, ok := v.(map[string]any)
			if !ok || section == "meta_addrs" {
				continue
			}
			required, known := requiredIn030[section]
			if !known {
				t.Errorf("section [%s] is none of 0.3.0", section)
			}
			for key := range strings.FieldsSeq(required) {
				if _, ok := table[key]; !ok {
					t.Errorf("[%s] %s is missing", section, key)
				}
			}
		}
	}
	oldest := robustmq.Oldest
	for _, setting := range catalogue.All() {
		if _, _, ok := setting.In(oldest); !ok || setting.Owned {
			continue
		}
		in := input("0.3.0", RoleMQTTBroker)
		in.Config.Sections = map[string]map[string]any{setting.Section: {setting.Key: setting.DefaultIn(oldest)}}
		doc, out := render(t, in)
		check(t, doc)
		if len(out.Ignored) > 0 && !catalogue.Withheld(setting, oldest) {
			t.Errorf("%s is ignored: %v", setting.Name(), out.Ignored)
		}
	}
}

func TestUserKeysMoveToWhereTheVersionReadsThem(t *testing.T) {
	sections := map[string]map[string]any{
		"mqtt_runtime.protocol":       {"max_packet_size": json.Number("1048576")},
		"mqtt_runtime.slow_subscribe": {"enable": true},
		"mqtt_runtime.auth":           {"secret_free_login": true},
		"mqtt_runtime.limit.cluster":  {"max_connections_per_node": 77},
		"broker_network":              {"queue_size": 9},
		"kafka_runtime":               {"auto_create_topics_enable": false},
		"runtime":                     {"pprof_enable": true},
	}
	for v, want := range map[string]map[string]any{
		"0.3.0": {
			"mqtt_protocol_config.max_packet_size": int64(1048576), "mqtt_slow_subscribe_config.enable": true, "mqtt_security.secret_free_login": true,
			"mqtt_runtime.max_connection_num": int64(77), "network.queue_size": int64(9), "p_prof.enable": true, "kafka_dynamic.auto_create_topics_enable": nil,
		},
		"0.4.9": {
			"mqtt_protocol.max_packet_size": int64(1048576), "mqtt_slow_subscribe.enable": true, "mqtt_runtime.secret_free_login": true,
			"mqtt_limit.cluster.max_connections_per_node": int64(77), "broker_network.queue_size": int64(9), "runtime.pprof_enable": true,
			"kafka_dynamic.auto_create_topics_enable": false,
		},
		"0.4.11": {
			"mqtt_runtime.protocol.max_packet_size": int64(1048576), "mqtt_runtime.slow_subscribe.enable": true, "mqtt_runtime.auth.secret_free_login": true,
			"mqtt_runtime.limit.cluster.max_connections_per_node": int64(77), "broker_network.queue_size": int64(9), "runtime.pprof_enable": true,
			"kafka_runtime.auto_create_topics_enable": false,
			// What the user left out keeps the default of an absent section.
			"mqtt_runtime.limit.cluster.max_topics": int64(5000000),
		},
	} {
		in := input(v, RoleMQTTBroker)
		in.Config.Sections = sections
		doc, _ := render(t, in)
		for path, value := range want {
			if got := at(doc, strings.Split(path, ".")...); got != value {
				t.Errorf("%s: %s = %v (%T), want %v", v, path, got, got, value)
			}
		}
	}
}

func TestWhatHasNoEffectIsNamedWithItsReason(t *testing.T) {
	in := input("0.3.0", RolePlacementCenter)
	in.Config.Sections = map[string]map[string]any{
		"":                {"broker_id": 9, "data_path": "/tmp"},
		"meta_addrs":      {"1": "elsewhere:1"},
		"admin":           {"token_ttl_hours": 1, "password": "x"},
		"meta_runtime":    {"heartbeat_timeout_ms": 5},
		"storage_runtime": {"replica_fetch_backoff_ms": 50, "io_thread_num": nil},
		"future":          {"key": 1},
		"mqtt_runtime":    {"broker_worker_threads": map[string]any{}},
	}
	doc, out := render(t, in)
	want := []string{
		"admin.password", "admin.token_ttl_hours", "broker_id", "data_path", "future.key", "meta_addrs.1", "meta_runtime.heartbeat_timeout_ms",
		"mqtt_runtime.broker_worker_threads", "storage_runtime.io_thread_num", "storage_runtime.replica_fetch_backoff_ms",
	}
	var got []string
	for _, i := range out.Ignored {
		got = append(got, i.Key)
		if i.Reason == "" {
			t.Errorf("%s is ignored without a reason", i.Key)
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("ignored %v\nwant %v", got, want)
	}
	if at(doc, "broker_id") != int64(2) || at(doc, "meta_addrs", "1") != "demo-placement-center-0.demo-placement-center.default.svc.cluster.local:1228" {
		t.Errorf("a reserved key was overridden: %v", doc)
	}
	if at(doc, "meta_runtime", "heartbeat_timeout_ms") != int64(neverMillis) {
		t.Error("a placement leader of 0.3.0 may expire nodes")
	}
}

func TestAKeyThatIsTheNameOfASectionCannotBreakTheFile(t *testing.T) {
	for _, sections := range []map[string]map[string]any{
		{"": {"admin": "x", "meta_addrs": 1}},
		{"a": {"b": 1}, "a.b": {"c": 2}},
		{"a.b.c": {"d": 1}, "a": {"b": 2}},
		{"mqtt_runtime": {"server": 1}},
		{"": {"": 1}, ".": {"": 2}},
	} {
		in := input("0.4.11", RoleMQTTBroker)
		in.Config.Sections = sections
		doc, _ := render(t, in)
		if at(doc, "admin", "username") != "admin" || at(doc, "mqtt_runtime", "server", "tcp_port") != int64(1883) {
			t.Errorf("%v broke the operator's own keys", sections)
		}
	}
}

func TestUserValuesOverrideTheOperatorsDefaults(t *testing.T) {
	in := input("0.4.11", RolePlacementCenter)
	in.Config.Sections = map[string]map[string]any{
		"storage_runtime": {"replica_fetch_max_wait_ms": 50},
		"runtime":         {"default_topic_replica_num": 1.0},
	}
	doc, _ := render(t, in)
	if at(doc, "storage_runtime", "replica_fetch_max_wait_ms") != int64(50) || at(doc, "storage_runtime", "replica_fetch_backoff_ms") != int64(10) {
		t.Errorf("storage_runtime: %v", at(doc, "storage_runtime"))
	}
	if at(doc, "runtime", "default_topic_replica_num") != int64(1) {
		t.Errorf("runtime: %v", at(doc, "runtime"))
	}
}

func TestReplicasFollowTheEnginesUpToThree(t *testing.T) {
	for engines, want := range map[int32]int64{0: 1, 1: 1, 2: 2, 3: 3, 9: 3} {
		in := input("0.4.11", RoleMQTTBroker)
		in.Config.Engines = engines
		if doc, _ := render(t, in); at(doc, "runtime", "default_topic_replica_num") != want {
			t.Errorf("%d engines: %v", engines, at(doc, "runtime", "default_topic_replica_num"))
		}
	}
}

func TestAFewThreadsNeverServeAWholeServer(t *testing.T) {
	in := input("0.4.11", RoleMQTTBroker)
	in.Config.WorkerThreads = 1
	doc, _ := render(t, in)
	if at(doc, "runtime", "server_worker_threads") != int64(64) || at(doc, "meta_runtime", "meta_worker_threads") != int64(64) || at(doc, "mqtt_runtime", "broker_worker_threads") != int64(64) {
		t.Errorf("threads: %v", doc)
	}
	for cpus, factor := range map[int]int64{0: 4, 1: 4, 3: 2, 4: 1, 64: 1} {
		in := input("0.3.0", RoleMQTTBroker)
		in.CPUs = cpus
		if doc, _ := render(t, in); at(doc, "runtime", "runtime_worker_threads") != factor {
			t.Errorf("%d CPUs: factor %v", cpus, at(doc, "runtime", "runtime_worker_threads"))
		}
	}
}

func TestIslandsListOnlyThemselves(t *testing.T) {
	doc, _ := render(t, input("0.3.0", RoleMQTTBroker))
	want := map[string]any{"1002": "demo-mqtt-broker-1.demo-mqtt-broker.default.svc.cluster.local:1228"}
	if got, ok := at(doc, "meta_addrs").(map[string]any); !ok || !maps.Equal(got, want) {
		t.Errorf("meta_addrs: %v", at(doc, "meta_addrs"))
	}
}

func TestAnUnknownRoleOrVersionIsAnError(t *testing.T) {
	for _, in := range []Input{input("0.4.11", "Broker"), input("newest", RoleMQTTBroker)} {
		if out, err := Render(in); err == nil {
			t.Errorf("rendered %s %s:\n%s", in.Config.Version, in.Config.Role, out.ServerTOML)
		}
	}
}

func TestTheHashChangesWithFileCertificateAndClusterOnly(t *testing.T) {
	base := Hash([]byte("a"), []byte("b"), "uid")
	if base != Hash([]byte("a"), []byte("b"), "uid") {
		t.Error("the hash is not stable")
	}
	for _, other := range []string{Hash([]byte("ab"), nil, "uid"), Hash([]byte("a"), []byte("c"), "uid"), Hash([]byte("a"), []byte("b"), "other")} {
		if other == base {
			t.Error("the hash does not change")
		}
	}
}

func TestTheLoggerHidesTheTargetThatLogsPasswords(t *testing.T) {
	var doc struct {
		Stdout struct {
			Kind    string
			ANSI    *bool
			Targets []struct{ Path, Level string }
		}
	}
	if err := toml.Unmarshal(LoggerTOML(), &doc); err != nil {
		t.Fatal(err)
	}
	levels := map[string]string{}
	for _, target := range doc.Stdout.Targets {
		levels[target.Path] = target.Level
	}
	if levels["broker_server::common"] != "warn" || levels["openraft"] != "warn" || levels[""] != "info" || doc.Stdout.ANSI == nil || *doc.Stdout.ANSI || doc.Stdout.Kind != "console" {
		t.Errorf("logger.toml: %+v", doc)
	}
}

func TestEveryVersionBetweenOldestAndNewestRenders(t *testing.T) {
	for minor, last := range map[int]int{3: 10, 4: 12} {
		for patch := range last + 1 {
			v := robustmq.Version{Minor: minor, Patch: patch}
			in := input(v.String(), RoleMQTTBroker)
			in.Config.Islands = robustmq.Lookup(v).Tier == robustmq.TierIslands
			render(t, in)
		}
	}
}

// fuzzed are versions on both sides of every change of layout.
var fuzzed = []string{"0.3.0", "0.3.1", "0.3.3", "0.3.4", "0.3.5", "0.3.6", "0.3.7", "0.3.8", "0.4.0", "0.4.1", "0.4.2", "0.4.5", "0.4.8", "0.4.9", "0.4.10", "0.4.11", "1.0.0"}

// valueFor makes a value of the setting's type out of what the fuzzer has, and what TOML gives back for it.
func valueFor(s catalogue.Setting, text string, number int64) (in, out any) {
	switch s.Type {
	case catalogue.Bool:
		return number%2 == 0, number%2 == 0
	case catalogue.Text, catalogue.Enum:
		return text, text
	case catalogue.List:
		return []any{text, "b"}, []any{text, "b"}
	case catalogue.F32:
		n := json.Number(fmt.Sprint(number % 101))
		return n, float64(number % 101)
	default:
		return json.Number(fmt.Sprint(number)), number
	}
}

func FuzzWhatComesOutParsesAndHoldsWhatWentIn(f *testing.F) {
	all := catalogue.All()
	for i, s := range []string{"", `a"b\c`, "line\nline\r\n\ttab", "\x00\x1b\x7f", "üñí漢字🙂", "'''", `"""`, "# no comment", "= [x]", "\ufffd\u2028", "C:\\u0041"} {
		f.Add(uint8(i), uint16(i), "mqtt_runtime.protocol", "max_packet_size", s, int64(42))
		f.Add(uint8(15), uint16(40+i), s, "key", "v", int64(-1))
		f.Add(uint8(15), uint16(60+i), "sec", s, "v", int64(1)<<62)
		f.Add(uint8(15), uint16(i), "mqtt_runtime.offline_message.enable", "x", s, int64(7))
	}
	for i := range all {
		f.Add(uint8(i), uint16(i), all[i].Section, all[(i+1)%len(all)].Key, "v", int64(i))
	}
	f.Fuzz(func(t *testing.T, version uint8, which uint16, section, key, text string, number int64) {
		text, section, key = strings.ToValidUTF8(text, "?"), strings.ToValidUTF8(section, "?"), strings.ToValidUTF8(key, "?")
		in := input(fuzzed[int(version)%len(fuzzed)], RoleMQTTBroker)
		v, err := robustmq.ParseVersion(in.Config.Version)
		if err != nil {
			t.Fatal(err)
		}
		in.Credentials.MQTTPassword, in.Credentials.JWTSecret = text, text
		in.Config.Sections = map[string]map[string]any{section: {key: text, "number": number, "list": []any{text, true}}}
		setting := all[int(which)%len(all)]
		given, back := valueFor(setting, text, number)
		if in.Config.Sections[setting.Section] == nil {
			in.Config.Sections[setting.Section] = map[string]any{}
		}
		in.Config.Sections[setting.Section][setting.Key] = given
		doc, out := render(t, in)
		for name, want := range map[string]any{"mqtt_runtime.auth.default_password": text, "admin.jwt_secret": text, "broker_id": int64(1002), "mqtt_runtime.server.tcp_port": int64(1883)} {
			i := strings.LastIndexByte(name, '.')
			s, known := catalogue.Lookup(name[:max(i, 0)], name[i+1:])
			if !known {
				t.Fatalf("%s is not listed", name)
			}
			if at1, at2, ok := s.In(v); ok && at(doc, append(split(at1), at2)...) != want {
				t.Errorf("%s: %s is %v, want %v\n%s", v, name, at(doc, append(split(at1), at2)...), want, out.ServerTOML)
			}
		}
		ignored := map[string]bool{}
		for _, i := range out.Ignored {
			ignored[i.Key] = true
		}
		if at1, at2, ok := setting.In(v); ok && !setting.Owned && !ignored[setting.Name()] {
			if got := at(doc, append(split(at1), at2)...); !reflect.DeepEqual(got, back) {
				t.Errorf("%s: %s = %#v, want %#v", v, setting.Name(), got, back)
			}
		} else if !ignored[setting.Name()] {
			t.Errorf("%s: %s is neither there nor ignored: %v", v, setting.Name(), out.Ignored)
		}
		if _, known := catalogue.Lookup(section, key); known || ignored[catalogue.Dotted(section, key)] || key == "number" || key == "list" {
			return
		}
		if got := at(doc, append(split(section), key)...); got != text {
			t.Errorf("%s: [%s] %s = %#v, want %q", v, section, key, got, text)
		}
	})
}
