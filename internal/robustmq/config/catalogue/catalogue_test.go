package catalogue

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/robustmq/robustmq-operator/internal/robustmq"
)

var zero robustmq.Version

// versions are all that RobustMQ released from the oldest to the newest.
func versions() []robustmq.Version {
	var all []robustmq.Version
	for minor, last := range map[int]int{3: 10, 4: 11} {
		for patch := range last + 1 {
			all = append(all, at(minor, patch))
		}
	}
	return all
}

// asJSON is a value as the API server hands it over.
func asJSON(t *testing.T, value any) any {
	t.Helper()
	raw, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return decode(t, string(raw))
}

func decode(t *testing.T, raw string) any {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(raw))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		t.Fatalf("%s: %v", raw, err)
	}
	return v
}

func TestEverySettingIsListedOnceAndSaysWhatItIs(t *testing.T) {
	name := regexp.MustCompile(`^[a-z0-9_]+(\.[a-z0-9_]+)*$`)
	seen := map[string]bool{}
	for _, s := range All() {
		switch {
		case seen[s.Name()]:
			t.Errorf("%s is listed twice", s.Name())
		case !name.MatchString(s.Name()):
			t.Errorf("%q is no name", s.Name())
		case !strings.HasSuffix(s.Meaning, "."):
			t.Errorf("%s: its meaning is no sentence: %q", s.Name(), s.Meaning)
		case s.Why != "" && !strings.HasSuffix(s.Why, "."):
			t.Errorf("%s: the reason is no sentence: %q", s.Name(), s.Why)
		case s.Since == zero:
			t.Errorf("%s is in no version", s.Name())
		case s.Until != zero && !s.Since.Less(s.Until):
			t.Errorf("%s ends before it begins", s.Name())
		case s.Owner != "" && !s.Owned:
			t.Errorf("%s has an owner and is not owned", s.Name())
		case s.Owned && (s.Chosen != nil || s.ChosenText != ""):
			t.Errorf("%s is the operator's and the user's", s.Name())
		case s.Live && s.Resource == "":
			t.Errorf("%s takes effect at once and nothing changes it", s.Name())
		case s.Live && s.Unused:
			t.Errorf("%s takes effect at once and has none", s.Name())
		case s.Type == Enum && len(s.Values) == 0:
			t.Errorf("%s has no values to choose from", s.Name())
		}
		seen[s.Name()] = true
	}
	if len(seen) < 130 {
		t.Errorf("only %d settings", len(seen))
	}
}

func TestEveryDefaultFitsItsOwnTypeAndRange(t *testing.T) {
	for _, s := range All() {
		values := []any{s.Default, s.Partial, s.Chosen}
		for _, d := range s.Before {
			values = append(values, d.Value)
		}
		for _, value := range values {
			if value == nil {
				continue
			}
			if problem := s.Problem(asJSON(t, value)); problem != "" {
				t.Errorf("%s = %v: %s", s.Name(), value, problem)
			}
		}
		if s.Default == nil && s.DefaultText == "" && s.Number() {
			t.Errorf("%s: what is its default?", s.Name())
		}
		if low, high := s.Range(); s.Number() && low >= high {
			t.Errorf("%s: from %d to %d", s.Name(), low, high)
		}
		narrower := s.Min != 0 || s.Max != 0
		if narrower && s.Why == "" && s.Type != F32 && !strings.HasSuffix(s.Key, "port") && !s.Owned && s.Until == zero {
			t.Errorf("%s: why is its range narrower than its type?", s.Name())
		}
		if s.Chosen != nil && s.Default != s.Chosen && s.Why == "" {
			t.Errorf("%s: why does the operator choose %v?", s.Name(), s.Chosen)
		}
	}
}

func TestPlacesAndOlderDefaultsAreInTheOrderOfTheVersions(t *testing.T) {
	for _, s := range All() {
		for i, p := range s.Was {
			if i > 0 && !s.Was[i-1].Until.Less(p.Until) {
				t.Errorf("%s: place %d", s.Name(), i)
			}
		}
		for i, d := range s.Before {
			if i > 0 && !s.Before[i-1].Until.Less(d.Until) || !s.Since.Less(d.Until) {
				t.Errorf("%s: default %d", s.Name(), i)
			}
		}
	}
}

func TestNoTwoSettingsStandInOnePlaceOfAVersion(t *testing.T) {
	for _, v := range versions() {
		at := map[string]string{}
		tables := map[string]bool{}
		for _, s := range All() {
			section, key, ok := s.In(v)
			if !ok {
				continue
			}
			place := Dotted(section, key)
			if other, taken := at[place]; taken {
				t.Errorf("%s: %s and %s are both %s", v, s.Name(), other, place)
			}
			at[place] = s.Name()
			for parts := strings.Split(section, "."); len(parts) > 0 && section != ""; parts = parts[:len(parts)-1] {
				tables[strings.Join(parts, ".")] = true
			}
		}
		for place, name := range at {
			if tables[place] {
				t.Errorf("%s: %s stands at %s, which is a section", v, name, place)
			}
		}
	}
}

func TestTheNewestVersionHasItsSettingsUnderTheNamesOfSpecConfig(t *testing.T) {
	for _, s := range All() {
		section, key, ok := s.In(robustmq.Newest)
		if ok != (s.Until == zero) {
			t.Errorf("%s: in the newest version: %v", s.Name(), ok)
		}
		if ok && Dotted(section, key) != s.Name() {
			t.Errorf("%s is at %s", s.Name(), Dotted(section, key))
		}
	}
}

// The places that spec.config is translated to, as they were seen on 0.3.0 and 0.4.11 or read in the tags between.
func TestSettingsStandWhereEachVersionReadsThem(t *testing.T) {
	for _, c := range []struct{ name, version, want string }{
		{"data_path", "0.3.0", "rocksdb.data_path"}, {"data_path", "0.4.0", "rocksdb.data_path"}, {"data_path", "0.4.1", "data_path"},
		{"broker_network.tls_cert", "0.4.9", "runtime.tls_cert"}, {"broker_network.tls_cert", "0.4.10", "broker_network.tls_cert"},
		{"broker_network.queue_size", "0.3.5", "network.queue_size"}, {"broker_network.queue_size", "0.3.6", ""}, {"broker_network.queue_size", "0.3.7", "broker_network.queue_size"},
		{"mqtt_runtime.network.queue_size", "0.3.6", "mqtt_runtime.network.queue_size"}, {"mqtt_runtime.network.queue_size", "0.4.10", ""},
		{"mqtt_runtime.protocol.receive_max", "0.3.4", "mqtt_protocol_config.receive_max"}, {"mqtt_runtime.protocol.receive_max", "0.3.5", "mqtt_protocol.receive_max"},
		{"mqtt_runtime.protocol.max_qos_flight_message", "0.3.4", "mqtt_protocol_config.max_qos_flight_message"}, {"mqtt_runtime.protocol.max_qos_flight_message", "0.3.5", ""},
		{"mqtt_runtime.limit.cluster.max_connections_per_node", "0.3.0", "mqtt_runtime.max_connection_num"}, {"mqtt_runtime.limit.cluster.max_topics", "0.3.4", ""},
		{"mqtt_runtime.auth.secret_free_login", "0.3.0", "mqtt_security.secret_free_login"}, {"mqtt_runtime.auth.secret_free_login", "0.4.9", "mqtt_runtime.secret_free_login"},
		{"mqtt_runtime.system_monitor.system_topic_interval_ms", "0.3.0", ""}, {"mqtt_runtime.system_monitor.system_topic_interval_ms", "0.3.1", "mqtt_system_topic.interval_ms"},
		{"runtime.channels_per_address", "0.3.0", ""}, {"runtime.channels_per_address", "0.3.1", "grpc_client.channels_per_address"},
		{"kafka_runtime.auto_create_topics_enable", "0.4.7", ""}, {"kafka_runtime.auto_create_topics_enable", "0.4.8", "kafka_dynamic.auto_create_topics_enable"},
		{"kafka_runtime.max_fetch_bytes", "0.4.7", ""}, {"nats_runtime.mq9_mailbox_default_ttl", "0.3.10", "nats_runtime.mq9_mailbox_ttl"},
		{"meta_runtime.group_offset_expire_sec", "0.3.8", ""}, {"meta_runtime.group_offset_expire_sec", "0.3.9", "meta_runtime.group_offset_expire_sec"},
		{"pprof.port", "0.3.4", "p_prof.port"}, {"pprof.port", "0.4.0", "pprof.port"}, {"pprof.port", "0.4.1", ""}, {"prometheus.port", "0.4.1", ""},
	} {
		v, err := robustmq.ParseVersion(c.version)
		if err != nil {
			t.Fatal(err)
		}
		i := strings.LastIndexByte(c.name, '.')
		s, ok := Lookup(c.name[:max(i, 0)], c.name[i+1:])
		if !ok {
			t.Errorf("%s is not listed", c.name)
			continue
		}
		got := ""
		if section, key, ok := s.In(v); ok {
			got = Dotted(section, key)
		}
		if got != c.want {
			t.Errorf("%s in %s: %q, want %q", c.name, c.version, got, c.want)
		}
	}
}

func TestDefaultsAreThoseOfTheVersion(t *testing.T) {
	for _, c := range []struct {
		section, key string
		version      robustmq.Version
		want         any
	}{
		{"", "http_port", at(4, 2), 8080}, {"", "http_port", at(4, 3), 58080},
		{"broker_network", "handler_thread_num", at(3, 0), 1000}, {"broker_network", "handler_thread_num", at(3, 1), 64},
		{"kafka_runtime", "auto_create_topics_enable", at(4, 8), false}, {"kafka_runtime", "auto_create_topics_enable", at(4, 9), true},
		{"mqtt_runtime.limit.cluster", "max_connections_per_node", at(3, 4), 1000000}, {"mqtt_runtime.limit.cluster", "max_connections_per_node", at(3, 5), 10000000},
	} {
		s, _ := Lookup(c.section, c.key)
		if got := s.DefaultIn(c.version); got != c.want {
			t.Errorf("%s in %s: %v, want %v", s.Name(), c.version, got, c.want)
		}
	}
}

func TestAValueHasToFitTypeWidthAndRange(t *testing.T) {
	for _, c := range []struct{ section, key, good, bad string }{
		{"mqtt_runtime.keep_alive", "enable", `true false`, `"true" 1 null [true] {}`},
		{"mqtt_runtime.keep_alive", "default_time", `1 65535`, `0 65536 -1 "180" 1.0 1e2 true null 99999999999999999999`},
		{"mqtt_runtime.offline_message", "expire_ms", `0 4294967295`, `-1 4294967296 1e3`},
		{"cluster_limit", "max_network_connection", `0 9223372036854775807`, `9223372036854775808 -1 0.5`},
		{"cluster_limit", "max_network_connection_rate", `1 4294967295`, `0`},
		{"rocksdb", "max_open_files", `-1 2147483647`, `-2 2147483648`},
		{"mqtt_runtime.protocol", "max_qos_flight_message", `1 2`, `0 3 256`},
		{"mqtt_runtime.system_monitor", "os_cpu_high_watermark", `0 70 70.5 1e1 100`, `100.5 -1 1e999 "70"`},
		{"mqtt_runtime.slow_subscribe", "delay_type", `"Whole" "Response"`, `"whole" "" 1 ["Whole"]`},
		{"mqtt_runtime.schema", "log_level", `"info" ""`, `1 true null`},
		{"kafka_runtime.sasl", "mechanisms", `["SCRAM-SHA-256"]`, `[] "SCRAM-SHA-256" ["PLAIN"] [1] [["SCRAM-SHA-256"]] null`},
		{"meta_addrs", "1", ``, `"n1:1228"`},
	} {
		s, ok := Lookup(c.section, c.key)
		if !ok {
			t.Fatalf("%s.%s is not listed", c.section, c.key)
		}
		for good := range strings.FieldsSeq(c.good) {
			if problem := s.Problem(decode(t, good)); problem != "" {
				t.Errorf("%s = %s: %s", s.Name(), good, problem)
			}
		}
		for bad := range strings.FieldsSeq(c.bad) {
			if s.Problem(decode(t, bad)) == "" {
				t.Errorf("%s = %s is let through", s.Name(), bad)
			}
		}
	}
}

func TestAProblemNeverRepeatsTheValue(t *testing.T) {
	const secret = "hunter2-hunter2"
	for _, s := range All() {
		for _, value := range []any{secret, []any{secret}, map[string]any{secret: secret}} {
			if problem := s.Problem(value); strings.Contains(problem, secret) {
				t.Errorf("%s: %s", s.Name(), problem)
			}
		}
	}
}

func TestTheNearestSettingIsTheOneThatWasMeant(t *testing.T) {
	for _, c := range []struct{ section, key, want string }{
		{"mqtt_runtime.protocol", "max_paket_size", "mqtt_runtime.protocol.max_packet_size"},
		{"mqtt_runtime.protocol", "max_packetsize", "mqtt_runtime.protocol.max_packet_size"},
		{"mqtt_protocol", "max_packet_size", "mqtt_runtime.protocol.max_packet_size"},
		{"mqtt_protocol_config", "receive_max", "mqtt_runtime.protocol.receive_max"},
		{"mqtt_runtime", "max_packet_size", "mqtt_runtime.protocol.max_packet_size"},
		{"", "max_packet_size", "mqtt_runtime.protocol.max_packet_size"},
		{"mqtt_runtime", "max_connection_num", "mqtt_runtime.limit.cluster.max_connections_per_node"},
		{"mqtt_limit.tenant", "max_topics", "mqtt_runtime.limit.tenant.max_topics"},
		{"mqtt_runtime.limit.tenants", "max_topics", "mqtt_runtime.limit.tenant.max_topics"},
		{"runtime", "meta_worker_threads", "meta_runtime.meta_worker_threads"},
		{"runtime", "tls_cert", "broker_network.tls_cert"},
		{"storage_runtime", "replica_fetch_maxwait_ms", "storage_runtime.replica_fetch_max_wait_ms"},
		{"storage_runtime", "replica_fetch_backof_ms", "storage_runtime.replica_fetch_backoff_ms"},
		{"cluster_limits", "max_connection_per_ip", "cluster_limit.max_connection_per_ip"},
		{"kafka_runtime.sasl", "enable", "kafka_runtime.sasl.enabled"},
		{"kafka_runtime.sasl", "mechanism", "kafka_runtime.sasl.mechanisms"},
		{"mqtt_runtime.keepalive", "max_time", "mqtt_runtime.keep_alive.max_time"},
		{"", "broker-id", "broker_id"},
		{"weather", "sunshine_hours", ""},
		{"", "x", ""},
	} {
		got := ""
		if s, ok := Nearest(c.section, c.key, robustmq.Newest); ok {
			got = s.Name()
		}
		if got != c.want {
			t.Errorf("[%s] %s: %q, want %q", c.section, c.key, got, c.want)
		}
	}
}

func TestTheNearestSettingIsOneThatTheVersionHas(t *testing.T) {
	for _, v := range versions() {
		for _, name := range []string{"runtime.default_topic_replica_nums", "prometheus.monitor_interval", "kafka_runtime.max_message_byte", "pprof.frequence"} {
			section, key, _ := strings.Cut(name, ".")
			s, ok := Nearest(section, key, v)
			if !ok {
				continue
			}
			if _, _, has := s.In(v); !has {
				t.Errorf("%s: %s is said to mean %s, which it has not", v, name, s.Name())
			}
		}
	}
}

func TestDistanceCountsLettersThatDiffer(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"a", "", 1}, {"", "abc", 3}, {"abc", "abc", 0}, {"abc", "acb", 1}, {"abc", "abd", 1}, {"kitten", "sitting", 3}, {"ca", "abc", 3}} {
		if got := distance(c.a, c.b); got != c.want {
			t.Errorf("%q to %q: %d, want %d", c.a, c.b, got, c.want)
		}
		if got := distance(c.b, c.a); got != c.want {
			t.Errorf("%q to %q: %d, want %d", c.b, c.a, got, c.want)
		}
	}
}

func TestWhatStandsWhereSomethingElseIsIsFound(t *testing.T) {
	for _, c := range []struct {
		section, key string
		want         bool
	}{
		{"", "admin", true}, {"", "mqtt_runtime", true}, {"mqtt_runtime", "limit", true}, {"mqtt_runtime", "server", true},
		{"storage_runtime.tcp_port", "x", true}, {"mqtt_runtime.offline_message.enable.more", "x", true}, {"broker_id", "x", true},
		{"mqtt_runtime", "future", false}, {"future", "admin", false}, {"", "future", false},
	} {
		if got := Clashes(c.section, c.key); got != c.want {
			t.Errorf("[%s] %s: %v", c.section, c.key, got)
		}
	}
}

func TestDeadSectionsAreKnownWithAllThatIsInThem(t *testing.T) {
	for section, want := range map[string]bool{"message_storage": true, "message_storage.s3_config": true, "message_storages": false, "mqtt_auth_config.authn_config": true, "": false} {
		if _, got := LookupDead(section); got != want {
			t.Errorf("%s: %v", section, got)
		}
	}
	for _, d := range DeadSections {
		if slices.ContainsFunc(All(), func(s Setting) bool { return s.Section == d.Name }) {
			t.Errorf("%s is dead and has settings", d.Name)
		}
	}
}

func FuzzLookingUpWhatUsersWrite(f *testing.F) {
	for _, s := range All() {
		f.Add(s.Section, s.Key, `180`)
		f.Add(s.Section+"x", s.Key[1:], `"180"`)
	}
	f.Add("", "", "")
	f.Add("..", "\x00", "[[1]]")
	f.Add("é", "漢", `{"a":1e999}`)
	f.Fuzz(func(t *testing.T, section, key, raw string) {
		d := json.NewDecoder(strings.NewReader(raw))
		d.UseNumber()
		var value any
		if d.Decode(&value) != nil {
			value = raw
		}
		s, known := Lookup(section, key)
		if known {
			if problem := s.Problem(value); problem == "" && s.whole() {
				n, ok := value.(json.Number)
				if !ok || strings.ContainsAny(n.String(), ".eE") {
					t.Errorf("%s = %#v is a whole number", s.Name(), value)
				}
			}
		}
		for _, v := range []robustmq.Version{robustmq.Oldest, at(3, 6), at(4, 8), robustmq.Newest} {
			n, ok := Nearest(section, key, v)
			if !ok {
				continue
			}
			if _, _, has := n.In(v); !has {
				t.Errorf("%q %q means %s, which %s has not", section, key, n.Name(), v)
			}
		}
		Clashes(section, key)
		LookupDead(section)
		for _, k := range Kinds(robustmq.Newest) {
			if ValidateUpdate(robustmq.Newest, k, []byte(raw)) != nil {
				continue
			}
			var whole map[string]any
			if err := json.Unmarshal([]byte(raw), &whole); err != nil {
				t.Errorf("%s is let through: %s", k, raw)
			}
		}
	})
}
