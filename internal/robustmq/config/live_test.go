package config

import (
	"bytes"
	"testing"

	"github.com/robustmq/robustmq-operator/internal/robustmq"
	"github.com/robustmq/robustmq-operator/internal/robustmq/config/catalogue"
)

func TestOnlyWhatARunningServerDoesNotTakeInChangesTheStaticPart(t *testing.T) {
	for name, test := range map[string]struct {
		version, section, key string
		value                 any
		live                  bool
	}{
		"a limit":                                {"0.4.11", "mqtt_runtime.keep_alive", "default_time", 200, false},
		"a protocol limit":                       {"0.4.11", "mqtt_runtime.protocol", "receive_max", 100, true},
		"a key that makes its section appear":    {"0.4.11", "mqtt_runtime.flapping_detect", "enable", true, true},
		"the same where it cannot be changed":    {"0.3.5", "mqtt_runtime.flapping_detect", "enable", true, false},
		"a key that is read at the start":        {"0.4.11", "runtime", "default_topic_replica_num", 1, false},
		"a key that nobody knows, at the newest": {"0.4.11", "runtime", "of_tomorrow", 1, false},
	} {
		t.Run(name, func(t *testing.T) {
			plain, err := Render(input(test.version, RoleMQTTBroker))
			if err != nil {
				t.Fatal(err)
			}
			in := input(test.version, RoleMQTTBroker)
			in.Config.Sections = map[string]map[string]any{test.section: {test.key: test.value}}
			changed, err := Render(in)
			if err != nil {
				t.Fatal(err)
			}
			if bytes.Equal(plain.ServerTOML, changed.ServerTOML) {
				t.Fatalf("nothing changed: %+v", changed.Ignored)
			}
			if static := !bytes.Equal(plain.Static, changed.Static); static == test.live {
				t.Errorf("the static part changed: %v\n%s", static, changed.Static)
			}
			if live := !bytes.Equal(plain.Live, changed.Live); live != test.live {
				t.Errorf("the live part changed: %v\n%s", live, changed.Live)
			}
		})
	}
}

func TestANewMQTTPasswordTakesNoStartWhereAgentsCanMakeTheUserAnew(t *testing.T) {
	for version, restarts := range map[string]bool{"0.4.11": false, "0.4.1": true} {
		in := input(version, RoleMQTTBroker)
		before, err := Render(in)
		if err != nil {
			t.Fatal(err)
		}
		in.Credentials.MQTTPassword = "fake-other-password"
		after, err := Render(in)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Equal(before.ServerTOML, after.ServerTOML) {
			t.Errorf("%s: the file has no password", version)
		}
		if got := !bytes.Equal(before.Static, after.Static); got != restarts {
			t.Errorf("%s: the static part changed: %v", version, got)
		}
	}
}

func TestEverySettingThatIsTakenInLiveHasAKindThatTheVersionCanBeSent(t *testing.T) {
	taken := 0
	for _, s := range catalogue.All() {
		for _, v := range []string{"0.3.0", "0.3.5", "0.3.6", "0.4.8", "0.4.11"} {
			version, err := robustmq.ParseVersion(v)
			if err != nil {
				t.Fatal(err)
			}
			if !s.TakenLive(version) {
				continue
			}
			taken++
			if _, ok := s.Resource.Of(version)[pathOf(s)]; !ok || version.Less(s.Resource.Since()) {
				t.Errorf("%s in %s: nothing could change it", s.Name(), v)
			}
		}
	}
	if taken < 30 {
		t.Errorf("only %d", taken)
	}
}

func pathOf(s catalogue.Setting) string {
	for path, other := range s.Resource.Of(robustmq.Newest) {
		if other.Name() == s.Name() {
			return path
		}
	}
	return ""
}
