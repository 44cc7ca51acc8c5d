package catalogue

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/robustmq/robustmq-operator/internal/robustmq"
)

func nothing(Setting) (any, bool) { return nil, false }

func TestAnUpdateHasEveryKeyOfItsKindAndPassesItsOwnJudge(t *testing.T) {
	for _, v := range versions() {
		for _, k := range Kinds(v) {
			config, err := Update(v, k, nothing)
			if err != nil {
				t.Errorf("%s %s: %v", v, k, err)
				continue
			}
			given, err := flat(config)
			if err != nil {
				t.Fatal(err)
			}
			if want := k.Of(v); !slices.Equal(slices.Sorted(maps.Keys(given)), slices.Sorted(maps.Keys(want))) || len(want) == 0 {
				t.Errorf("%s %s: %s", v, k, config)
			}
		}
	}
}

// What 0.4.11 answers for the whole of a kind (seen on config/get); the limits of cluster and tenant are in objects of their own.
func TestAnUpdateLooksAsTheServerHasIt(t *testing.T) {
	for k, want := range map[Kind]string{
		KafkaDynamic:            `{"auto_create_topics_enable":true}`,
		MqttSlowSubscribeConfig: `{"delay_type":"Whole","enable":true,"record_time":1000}`,
		ClusterLimit:            `{"max_admin_http_uri_rate":50,"max_connection_per_ip":7,"max_network_connection":100000000,"max_network_connection_rate":10000}`,
		MqttLimit: `{"cluster":{"max_connection_rate":100000,"max_connections_per_node":10000000,"max_publish_rate":10000,"max_sessions":50000000,"max_topics":5000000},` +
			`"tenant":{"max_connection_rate":10000,"max_connections_per_node":1000000,"max_publish_rate":10000,"max_sessions":5000000,"max_topics":500000}}`,
	} {
		got, err := Update(robustmq.Newest, k, func(s Setting) (any, bool) {
			switch s.Name() {
			case "mqtt_runtime.slow_subscribe.enable":
				return true, true
			case "cluster_limit.max_connection_per_ip":
				return json.Number("7"), true
			}
			return nil, false
		})
		if err != nil || string(got) != want {
			t.Errorf("%s: %v\n%s\n%s", k, err, got, want)
		}
	}
}

func TestAPartialUpdateIsRefusedSinceTheServerWouldFillItUp(t *testing.T) {
	err := ValidateUpdate(robustmq.Newest, MqttOfflineMessage, []byte(`{"max_messages_num":77}`))
	if err == nil || !strings.Contains(err.Error(), "expire_ms is missing") || !strings.Contains(err.Error(), "enable is missing") {
		t.Error(err)
	}
}

func TestAnUpdateThatWouldEndServersIsRefused(t *testing.T) {
	offline := func(expire string) string { return `{"enable":true,"expire_ms":` + expire + `,"max_messages_num":0}` }
	for what, c := range map[string]struct {
		v      robustmq.Version
		k      Kind
		config string
		want   string
	}{
		"a string for a number":        {robustmq.Newest, MqttOfflineMessage, offline(`"5"`), "expire_ms takes a whole number"},
		"beyond 32 bits":               {robustmq.Newest, MqttOfflineMessage, offline(`4294967296`), "expire_ms"},
		"a fraction":                   {robustmq.Newest, MqttOfflineMessage, offline(`1.5`), "fraction"},
		"null":                         {robustmq.Newest, MqttOfflineMessage, offline(`null`), "null"},
		"an unknown key":               {robustmq.Newest, MqttOfflineMessage, `{"enable":true,"expire_ms":0,"max_messages_num":0,"more":1}`, "has no more"},
		"a key twice":                  {robustmq.Newest, MqttOfflineMessage, `{"enable":true,"expire_ms":0,"expire_ms":1,"max_messages_num":0}`, "twice"},
		"no JSON":                      {robustmq.Newest, MqttOfflineMessage, `{"enable":`, "no JSON object"},
		"nothing":                      {robustmq.Newest, MqttOfflineMessage, ``, "no JSON object"},
		"a list":                       {robustmq.Newest, MqttOfflineMessage, `[]`, "no JSON object"},
		"two values":                   {robustmq.Newest, KafkaDynamic, `{"auto_create_topics_enable":true}{}`, "no JSON object"},
		"an enum in other letters":     {robustmq.Newest, MqttSlowSubscribeConfig, `{"enable":true,"record_time":1,"delay_type":"whole"}`, "one of Whole"},
		"a rate of zero":               {robustmq.Newest, ClusterLimit, `{"max_network_connection":1,"max_network_connection_rate":0,"max_connection_per_ip":1,"max_admin_http_uri_rate":1}`, "from 1"},
		"a limit on the wrong level":   {robustmq.Newest, MqttLimit, `{"max_topics":1}`, "cluster.max_topics is missing"},
		"a level written with a dot":   {robustmq.Newest, MqttLimit, `{"cluster.max_topics":1}`, "no JSON object"},
		"a level twice":                {robustmq.Newest, MqttLimit, `{"cluster":{"max_topics":1},"cluster":{}}`, "cluster stands in it twice"},
		"a kind that does not exist":   {robustmq.Newest, "MqttKeepAlive", `{}`, "no kind"},
		"a kind that came later":       {at(4, 7), KafkaDynamic, `{"auto_create_topics_enable":true}`, "since RobustMQ 0.4.8"},
		"an API that does nothing yet": {at(3, 5), MqttSchema, `{}`, "since RobustMQ 0.3.6"},
		"a key that came later":        {at(4, 7), ClusterLimit, `{"max_network_connection":1,"max_network_connection_rate":1,"max_connection_per_ip":1,"max_admin_http_uri_rate":1}`, "has no max_connection_per_ip"},
	} {
		if err := ValidateUpdate(c.v, c.k, []byte(c.config)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if err := ValidateUpdate(robustmq.Newest, MqttOfflineMessage, []byte(offline("5"))); err != nil {
		t.Error(err)
	}
}

func TestWhatAnUpdateIsMadeOfIsJudgedToo(t *testing.T) {
	if config, err := Update(robustmq.Newest, KafkaDynamic, func(Setting) (any, bool) { return "yes", true }); err == nil {
		t.Errorf("%s", config)
	}
}

func TestOnlyWhatTheServerOverlaysAtItsStartSurvivesARestart(t *testing.T) {
	for _, k := range Kinds(robustmq.Newest) {
		if want := k != MqttLimit && k != ClusterLimit && k != MetaRuntime; k.Survives() != want {
			t.Errorf("%s: %v", k, k.Survives())
		}
	}
	if n := len(Kinds(robustmq.Newest)); n != 10 {
		t.Errorf("%d kinds", n)
	}
}

func FuzzOnlyWholeAndReadableUpdatesAreLetThrough(f *testing.F) {
	for _, k := range Kinds(robustmq.Newest) {
		config, err := Update(robustmq.Newest, k, nothing)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(k), config)
		f.Add(string(k), []byte(strings.Replace(string(config), "true", `"true"`, 1)))
	}
	f.Add("MqttLimit", []byte(`{"cluster":{"a":{"b":1}},"cluster.max_topics":1}`))
	f.Fuzz(func(t *testing.T, kind string, config []byte) {
		k := Kind(kind)
		if ValidateUpdate(robustmq.Newest, k, config) != nil {
			return
		}
		var tree map[string]any
		if err := json.Unmarshal(config, &tree); err != nil {
			t.Fatalf("let through: %q: %v", config, err)
		}
		for path := range k.Of(robustmq.Newest) {
			in := any(tree)
			for part := range strings.SplitSeq(path, ".") {
				m, _ := in.(map[string]any)
				in = m[part]
			}
			if in == nil {
				t.Errorf("let through without %s: %q", path, config)
			}
		}
	})
}
