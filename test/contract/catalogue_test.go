package contract

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
	"github.com/robustmq/robustmq-operator/internal/robustmq"
	"github.com/robustmq/robustmq-operator/internal/robustmq/config"
	"github.com/robustmq/robustmq-operator/internal/robustmq/config/catalogue"
	"github.com/robustmq/robustmq-operator/test/contract/lab"
)

// listed are the settings of the newest version.
func listed() []catalogue.Setting {
	return slices.DeleteFunc(catalogue.All(), func(s catalogue.Setting) bool { _, _, ok := s.In(robustmq.Newest); return !ok })
}

// another is a value that the setting may have and that neither server nor operator would choose.
func another(s catalogue.Setting) any {
	switch s.Type {
	case catalogue.Bool:
		return s.Default != true
	case catalogue.Text:
		return "another-" + s.Key
	case catalogue.Enum:
		return s.Values[len(s.Values)-1]
	case catalogue.List:
		if len(s.Values) > 0 {
			return []any{s.Values[len(s.Values)-1]}
		}
		return []any{"./data/another"}
	case catalogue.Table:
		return map[string]any{"7": "another:1"}
	}
	low, high := s.Range()
	for _, n := range []int64{17, 19, 23} { // none of them is a default
		if n >= low && n <= high {
			return n
		}
	}
	if n := low + 17; n <= high {
		return n
	}
	return high - 1
}

// file writes settings as they stand in the newest version's server.toml.
func file(t *testing.T, values map[string]any) string {
	t.Helper()
	bySection := map[string][]string{}
	for name, value := range values {
		section, key := "", name
		if i := strings.LastIndexByte(name, '.'); i >= 0 {
			section, key = name[:i], name[i+1:]
		}
		if table, ok := value.(map[string]any); ok {
			for k, v := range table {
				bySection[name] = append(bySection[name], fmt.Sprintf("%s = %q", k, v))
			}
			continue
		}
		raw, err := json.Marshal(value) // strings, numbers, truth values and lists are written alike
		if err != nil {
			t.Fatal(err)
		}
		bySection[section] = append(bySection[section], key+" = "+string(raw))
	}
	var b strings.Builder
	for _, section := range slices.Sorted(maps.Keys(bySection)) {
		if section != "" {
			fmt.Fprintf(&b, "[%s]\n", section)
		}
		slices.Sort(bySection[section])
		b.WriteString(strings.Join(bySection[section], "\n") + "\n")
	}
	return b.String()
}

// said is the configuration that a server logs at its start, flattened; nil as long as it has not.
func said(n *lab.Node) map[string]any {
	_, after, ok := strings.Cut(n.Output.String(), "broker config:")
	if !ok {
		return nil
	}
	var tree map[string]any
	if json.NewDecoder(strings.NewReader(after)).Decode(&tree) != nil {
		return nil
	}
	return flattened(tree)
}

func flattened(tree map[string]any) map[string]any {
	flat := map[string]any{}
	var walk func(prefix string, tree map[string]any)
	walk = func(prefix string, tree map[string]any) {
		for key, value := range tree {
			name := catalogue.Dotted(prefix, key)
			if sub, ok := value.(map[string]any); ok && name != "meta_addrs" {
				walk(name, sub)
				continue
			}
			flat[name] = value
		}
	}
	walk("", tree)
	return flat
}

// boot starts a node with a server.toml until it has said its configuration, or has ended.
func boot(l *lab.Lab, n *lab.Node, content string) map[string]any {
	l.T.Helper()
	n.Kill()
	n.Output = &lab.Output{}
	n.Config = content
	n.Start()
	var flat map[string]any
	l.Eventually(30*time.Second, "it says its configuration or ends", func() bool {
		flat = said(n)
		return flat != nil || !n.Running()
	})
	if flat == nil {
		flat = said(n)
	}
	return flat
}

// same compares a value of the file with what came back as JSON.
func same(t *testing.T, want, got any) bool {
	t.Helper()
	raw, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	var back any
	if err := json.Unmarshal(raw, &back); err != nil {
		t.Fatal(err)
	}
	return reflect.DeepEqual(back, got)
}

// everything is a file with every setting at a value that choose gives; nil leaves it out.
func everything(choose func(catalogue.Setting) any) map[string]any {
	values := map[string]any{"log.log_config": "./config/logger.toml", "log.log_path": "./logs"}
	for _, s := range listed() {
		if value := choose(s); value != nil && !strings.HasPrefix(s.Name(), "log.") { // the log is what tells
			values[s.Name()] = value
		}
	}
	return values
}

func TestEveryListedKeyIsSeenInTheServersConfigurationAndNothingElseIs(t *testing.T) {
	l := lab.New(t, lab.Options{Metas: 1})
	n := l.Node(1)
	for what, choose := range map[string]func(catalogue.Setting) any{
		"another value": another,
		"the smallest": func(s catalogue.Setting) any {
			low, _ := s.Range()
			if !s.Number() {
				return another(s)
			}
			return low
		},
		"the largest": func(s catalogue.Setting) any {
			_, high := s.Range()
			if !s.Number() {
				return another(s)
			}
			return json.Number(fmt.Sprint(high))
		},
	} {
		values := everything(choose)
		effective := boot(l, n, file(t, values))
		seen := 0
		for name, want := range values {
			got, there := effective[name]
			if s, _ := catalogue.Lookup(split(name)); s.Secret && name == "llm_client.token" && !there && !lab.Real() {
				continue // the simulator leaves it out, as config/get does
			}
			if !there || !same(t, want, got) {
				t.Errorf("%s: %s = %v, the server has %v", what, name, want, got)
				continue
			}
			seen++
		}
		for name := range effective {
			if _, ok := catalogue.Lookup(split(name)); !ok {
				t.Errorf("the server has %s, which is not listed", name)
			}
		}
		t.Logf("%s: %d of %d keys seen", what, seen, len(values))
	}
}

func split(name string) (section, key string) {
	if i := strings.LastIndexByte(name, '.'); i >= 0 {
		return name[:i], name[i+1:]
	}
	return "", name
}

// Both tables of defaults: that of absent sections, and that of keys absent in a section that is there.
func TestEveryDefaultIsTheServersOwn(t *testing.T) {
	l := lab.New(t, lab.Options{Metas: 1})
	n := l.Node(1)
	absent := boot(l, n, "# nothing\n")
	headers := map[string]bool{}
	for _, s := range listed() {
		if s.Section != "" {
			headers[s.Section] = true
		}
	}
	present := "[" + strings.Join(slices.Sorted(maps.Keys(headers)), "]\n[") + "]\n"
	partial := boot(l, n, present)
	compared := 0
	for _, s := range listed() {
		if s.Default == nil {
			continue
		}
		if got := absent[s.Name()]; !same(t, s.Default, got) {
			t.Errorf("%s is %v where its section is absent, listed %v", s.Name(), got, s.Default)
		}
		want := s.Default
		if s.Partial != nil {
			want = s.Partial
		}
		if got := partial[s.Name()]; !same(t, want, got) {
			t.Errorf("%s is %v where its section is empty, listed %v", s.Name(), got, want)
		}
		compared++
	}
	t.Logf("%d defaults compared, twice each", compared)
}

func TestEveryValueOfAnEnumIsReadAndNoOther(t *testing.T) {
	l := lab.New(t, lab.Options{Metas: 1})
	n := l.Node(1)
	read := 0
	for _, s := range listed() {
		if s.Type != catalogue.Enum {
			continue
		}
		for _, value := range s.Values {
			if effective := boot(l, n, file(t, everything(func(o catalogue.Setting) any {
				if o.Name() == s.Name() {
					return value
				}
				return nil
			}))); effective[s.Name()] != value {
				t.Errorf("%s = %s: the server has %v", s.Name(), value, effective[s.Name()])
			}
			read++
		}
		if s.Key == "embedding" {
			continue // any string is read, and fails when a text is embedded
		}
		if effective := boot(l, n, file(t, map[string]any{s.Name(): strings.ToUpper(s.Values[0]) + "x"})); effective != nil || n.Exit(10*time.Second) != 101 {
			t.Errorf("%s: the server reads what is not listed", s.Name())
		}
	}
	t.Logf("%d values read", read)
}

func TestANumberBeyondTheListedWidthEndsTheServer(t *testing.T) {
	l := lab.New(t, lab.Options{Metas: 1})
	n := l.Node(1)
	tried := 0
	for _, s := range listed() {
		if !s.Number() || s.Type == catalogue.F32 || s.Type == catalogue.U64 {
			continue
		}
		s.Max = 0 // what the type holds, where the operator allows less
		_, high := s.Range()
		if effective := boot(l, n, file(t, map[string]any{s.Name(): high + 1})); effective != nil || n.Exit(10*time.Second) != 101 {
			t.Errorf("%s = %d: the server has %v", s.Name(), high+1, effective[s.Name()])
		}
		tried++
	}
	t.Logf("%d keys tried", tried)
}

// What the user may set, all at once and through the renderer: the server starts with it, and config/get has it.
func TestAServerRunsWithEveryKeyThatUsersMaySet(t *testing.T) {
	l := lab.New(t, lab.Options{Metas: 1})
	n := l.Node(1)
	sections := map[string]map[string]any{}
	values := map[string]any{}
	for _, s := range listed() {
		if s.Owned {
			continue
		}
		if sections[s.Section] == nil {
			sections[s.Section] = map[string]any{}
		}
		value := another(s)
		switch s.Name() {
		case "llm_client.embedding":
			value = "api" // the other one downloads a model
		case "mqtt_runtime.auth.is_self_protection_status":
			value = false // it refuses clients, which is tried below
		}
		sections[s.Section][s.Key] = value
		values[s.Name()] = value
	}
	n.Config = rendered(t, n, sections)
	started(n.Start())
	var got map[string]any
	l.Eventually(20*time.Second, "the admin API answers", func() bool {
		got = effective(n)
		return got != nil
	})
	seen := 0
	for name, want := range values {
		value, there := got[name]
		if !there && (name == "llm_client.token" || name == "llm_client.base_url") && !lab.Real() {
			continue
		}
		if !there || !same(t, want, value) {
			t.Errorf("%s = %v: config/get has %v", name, want, value)
			continue
		}
		seen++
	}
	t.Logf("%d of %d keys in config/get of a running server", seen, len(values))
	if code := n.Stop(); code != 0 {
		t.Errorf("it ended with %d", code)
	}
}

// rendered is the operator's own server.toml for a member that is alone.
func rendered(t *testing.T, n *lab.Node, sections map[string]map[string]any) string {
	t.Helper()
	out, err := config.Render(config.Input{
		Config: protocol.Config{
			Cluster: "lab", Namespace: "lab", ClusterUID: "1", Version: n.Lab.Version, Role: config.RoleMQTTBroker, BaseID: 1, Engines: 1, HostSuffix: ".lab", Sections: sections,
			Members: []protocol.Member{{NodeID: 1, Pod: "n1", Host: n.Name}},
			Ports: protocol.Ports{
				GRPC: lab.GRPC, HTTP: lab.HTTP, Engine: lab.Engine, MQTT: lab.MQTT, MQTTS: lab.MQTTS, WS: lab.WS, WSS: lab.WSS, Kafka: lab.Kafka, AMQP: lab.AMQP, NATS: lab.NATS,
				NATSTLS: 4223, NATSWS: 4080, NATSWSS: 4443, Prometheus: lab.Prometheus,
			},
		},
		Pod: "n1", CPUs: 2,
		Credentials: config.Credentials{AdminUsername: lab.AdminUser, AdminPassword: lab.AdminPassword, MQTTUsername: lab.MQTTUser, MQTTPassword: lab.MQTTPassword, JWTSecret: lab.JWTSecret},
		Paths: config.Paths{
			Data: "./data/meta", Engine: "./data/engine", Logger: "./config/logger.toml", Log: "./logs", TLSCert: "./config/certs/cert.pem", TLSKey: "./config/certs/key.pem",
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(out.Ignored) > 0 {
		t.Errorf("ignored: %v", out.Ignored)
	}
	// A broker has no member beside it here: the one node is both.
	return strings.Replace(string(out.ServerTOML), `roles = ["broker", "engine"]`, `roles = ["meta", "broker", "engine"]`, 1)
}

// effective is what config/get answers, flattened; nil while it does not.
func effective(n *lab.Node) map[string]any {
	a, err := ask(n, "GET", "/api/cluster/config/get", "Bearer "+token(), nil)
	if err != nil {
		return nil
	}
	data, err := a.data()
	if err != nil {
		return nil
	}
	var tree map[string]any
	if json.Unmarshal(data, &tree) != nil {
		return nil
	}
	return flattened(tree)
}

func TestAnUpdateMadeFromTheListChangesARunningServerAndNothingBeside(t *testing.T) {
	l := lab.New(t, lab.Options{Metas: 1})
	n := l.Node(1)
	n.Config = rendered(t, n, nil)
	started(n.Start())
	changed := 0
	for _, k := range catalogue.Kinds(robustmq.Newest) {
		before := effective(n)
		payload, err := catalogue.Update(robustmq.Newest, k, func(s catalogue.Setting) (any, bool) {
			if s.Owned {
				return before[s.Name()], true
			}
			return another(s), true
		})
		if err != nil {
			t.Fatal(err)
		}
		if message := refused(n, "POST", "/api/cluster/config/set", map[string]any{"config_type": string(k), "config": string(payload)}); message != "" {
			t.Errorf("%s: %s", k, message)
			continue
		}
		of := map[string]catalogue.Setting{}
		for _, s := range k.Of(robustmq.Newest) {
			of[s.Name()] = s
		}
		l.Eventually(10*time.Second, string(k)+" is seen", func() bool {
			for name, s := range of {
				if !s.Owned && !same(t, another(s), effective(n)[name]) {
					return false
				}
			}
			return true
		})
		for name, value := range effective(n) {
			if _, meant := of[name]; !meant && !reflect.DeepEqual(value, before[name]) {
				t.Errorf("%s changed %s", k, name)
			}
		}
		changed += len(of)
	}
	t.Logf("%d keys of %d kinds changed while the server ran", changed, len(catalogue.Kinds(robustmq.Newest)))
}
