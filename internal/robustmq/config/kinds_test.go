package config

import (
	"bytes"
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/robustmq/robustmq-operator/internal/robustmq"
	"github.com/robustmq/robustmq-operator/internal/robustmq/config/catalogue"
)

// effective is what a real 0.4.11 answered to config/get; change sets a value in it by its dotted path.
func effective(t *testing.T, path string, value any) []byte {
	t.Helper()
	raw, err := os.ReadFile("testdata/config-get-0.4.11.json")
	if err != nil {
		t.Fatal(err)
	}
	var tree map[string]any
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	if err := d.Decode(&tree); err != nil {
		t.Fatal(err)
	}
	if path != "" {
		in, names := tree, strings.Split(path, ".")
		for _, name := range names[:len(names)-1] {
			in = in[name].(map[string]any)
		}
		in[names[len(names)-1]] = value
	}
	raw, err = json.Marshal(tree)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func rendered(t *testing.T, version string, sections map[string]map[string]any) Rendered {
	t.Helper()
	in := input(version, RoleMQTTBroker)
	in.Config.Sections = sections
	r, err := Render(in)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestARunningServerDiffersInTheKindsOfWhichItGoesBySomethingElse(t *testing.T) {
	protocol := map[string]map[string]any{"mqtt_runtime.protocol": {"receive_max": 100}}
	for name, test := range map[string]struct {
		sections map[string]map[string]any
		path     string
		value    any
		want     string
	}{
		"a real server with its defaults":                  {nil, "", nil, ""},
		"the user sets a key":                              {protocol, "", nil, "MqttProtocol"},
		"and the server goes by it":                        {protocol, "mqtt_runtime.protocol.receive_max", 100, ""},
		"the same number, written otherwise":               {protocol, "mqtt_runtime.protocol.receive_max", json.Number("1.00e2"), ""},
		"somebody changed a key by hand":                   {nil, "mqtt_runtime.flapping_detect.enable", true, "MqttFlappingDetect"},
		"the server does not show the key":                 {nil, "mqtt_runtime.flapping_detect", map[string]any{}, ""},
		"what it goes by only after a start, is no kind's": {nil, "runtime.default_topic_replica_num", 7, ""},
	} {
		t.Run(name, func(t *testing.T) {
			kinds, err := rendered(t, "0.4.11", test.sections).Differing(effective(t, test.path, test.value))
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, k := range kinds {
				got = append(got, string(k))
			}
			if strings.Join(got, " ") != test.want {
				t.Errorf("differing: %v, want %q", got, test.want)
			}
		})
	}
}

func TestWhatARunningServerIsGivenIsAlwaysWholeAndLetThroughByTheCatalogue(t *testing.T) {
	for _, version := range []string{"0.3.6", "0.3.10", "0.4.8", "0.4.11"} {
		v, err := robustmq.ParseVersion(version)
		if err != nil {
			t.Fatal(err)
		}
		r := rendered(t, version, map[string]map[string]any{"mqtt_runtime.protocol": {"receive_max": 100}})
		if len(r.Kinds) == 0 {
			t.Errorf("%s: nothing can be given", version)
		}
		for kind, config := range r.Kinds {
			if err := catalogue.ValidateUpdate(v, kind, config); err != nil {
				t.Errorf("%s: %v", version, err)
			}
		}
	}
	if r := rendered(t, "0.3.5", nil); len(r.Kinds) != 0 {
		t.Errorf("0.3.5 takes nothing in, and would be given %v", r.Kinds)
	}
	bad := rendered(t, "0.4.11", map[string]map[string]any{"mqtt_runtime.protocol": {"receive_max": "many"}})
	if _, ok := bad.Kinds[catalogue.MqttProtocol]; ok {
		t.Error("a value that no server can read would be given to one")
	}
}

func FuzzDiffering(f *testing.F) {
	in := input("0.4.11", RoleMQTTBroker)
	r, err := Render(in)
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte(`{}`))
	f.Add([]byte(`{"mqtt_runtime":{"protocol":{"receive_max":[1]}}}`))
	f.Add([]byte(`{"mqtt_runtime":null}`))
	f.Fuzz(func(t *testing.T, effective []byte) {
		kinds, err := r.Differing(effective)
		if err != nil && len(kinds) > 0 {
			t.Errorf("%v with %v", kinds, err)
		}
	})
}
