package robustmq

import (
	"strings"
	"testing"
	"time"
)

func mustParse(t *testing.T, s string) Version {
	t.Helper()
	v, err := ParseVersion(s)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestAVersionIsThreeNumbersWithoutAV(t *testing.T) {
	for in, want := range map[string]Version{
		"0.3.0":            {0, 3, 0, ""},
		"0.4.11":           {0, 4, 11, ""},
		"10.20.30":         {10, 20, 30, ""},
		"0.5.0-rc.1":       {0, 5, 0, "rc.1"},
		"0.5.0-main-8bd49": {0, 5, 0, "main-8bd49"},
		"1.0.0--":          {1, 0, 0, "-"},
	} {
		got, err := ParseVersion(in)
		if err != nil || got != want {
			t.Errorf("ParseVersion(%q) = %v, %v; want %v", in, got, err, want)
		}
		if got.String() != in {
			t.Errorf("%q is written back as %q", in, got)
		}
	}
}

func TestAVersionThatIsNotOneIsRefusedWithTheWayOut(t *testing.T) {
	for in, want := range map[string]string{
		"":                           `write one such as "0.4.11"`,
		"v0.4.11":                    `write "0.4.11"`,
		"V0.4.11-rc.1":               `write "0.4.11-rc.1"`,
		"0.4":                        "not three numbers",
		"0.4.11.1":                   "not three numbers",
		"latest":                     "not three numbers",
		"v":                          "not three numbers",
		"0.4.x":                      `"x" is not a number`,
		"0.4.":                       `"" is not a number`,
		"0.04.1":                     `"04" has a leading zero`,
		"0.4.+1":                     "build metadata",
		"0.4.11+abc":                 "build metadata",
		"0.4.11-":                    "is empty",
		"0.4.11-rc..1":               "is empty",
		"0.4.11-rc_1":                "letters, digits and dashes",
		"0.4.11-01":                  "leading zero",
		" 0.4.11":                    `" 0" is not a number`,
		"0.4.-1":                     `"" is not a number`,
		"0.4.999999999999999999999":  "more than 9 digits",
		"0.4.1-99999999999999999999": "more than 9 digits",
	} {
		if v, err := ParseVersion(in); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("ParseVersion(%q) = %v, %v; want an error with %q", in, v, err, want)
		}
	}
}

func TestVersionsAreOrderedByNumberAndAPreReleaseComesBeforeItsRelease(t *testing.T) {
	ordered := []string{"0.2.14", "0.3.0", "0.3.9", "0.3.10", "0.4.0", "0.4.2", "0.4.11-1", "0.4.11-2", "0.4.11-10", "0.4.11--1", "0.4.11-rc", "0.4.11-rc.1", "0.4.11-rc.x", "0.4.11", "0.4.12", "0.5.0", "1.0.0"}
	for i, a := range ordered {
		for j, b := range ordered {
			got := mustParse(t, a).Compare(mustParse(t, b))
			if (got < 0) != (i < j) || (got > 0) != (i > j) {
				t.Errorf("Compare(%s, %s) = %d", a, b, got)
			}
		}
	}
}

func TestTheTableSaysWhatEachVersionCanDo(t *testing.T) {
	type row struct {
		dialect   Dialect
		formation Formation
		tier      Tier
		features  string
	}
	features := func(t Traits) string {
		var s []string
		for _, f := range []struct {
			name string
			has  bool
		}{
			{"health", t.HealthAPI}, {"dynamic", t.DynamicConfig}, {"kafka", t.Kafka}, {"amqp", t.AMQP}, {"nats", t.NATS}, {"engine", t.EngineEverywhere}, {"metrics", t.MetricsOnHTTP},
			{"jwt", t.JWT}, {"join", t.Join}, {"leave", t.Leave}, {"sigterm", t.SIGTERM}, {"decommission", t.Decommission}, {"replication", t.Replication}, {"all", t.HeartbeatToAll},
			{"members", t.MembershipChanges()}, {"unknown", t.Unknown},
		} {
			if f.has {
				s = append(s, f.name)
			}
		}
		return strings.Join(s, " ")
	}
	const to048 = "health dynamic kafka amqp nats engine metrics jwt join leave sigterm decommission replication all"
	for version, want := range map[string]row{
		"0.2.14":     {DialectA, FormationStatic, TierIslands, ""},
		"0.3.0":      {DialectA, FormationStatic, TierIslands, ""},
		"0.3.2":      {DialectA, FormationStatic, TierIslands, ""},
		"0.3.3":      {DialectA, FormationStatic, TierIslands, "health"},
		"0.3.4":      {DialectA, FormationStatic, TierIslands, "health"},
		"0.3.5":      {DialectB, FormationStatic, TierIslands, "health"},
		"0.3.7":      {DialectB, FormationStatic, TierIslands, "health dynamic kafka amqp"},
		"0.3.8":      {DialectB, FormationStatic, TierLimited, "health dynamic kafka amqp nats"},
		"0.4.0":      {DialectB, FormationStatic, TierLimited, "health dynamic kafka amqp nats engine"},
		"0.4.1":      {DialectB, FormationStatic, TierLimited, "health dynamic kafka amqp nats engine metrics"},
		"0.4.3":      {DialectB, FormationStatic, TierLimited, "health dynamic kafka amqp nats engine metrics jwt"},
		"0.4.4":      {DialectB, FormationSequential, TierLimited, "health dynamic kafka amqp nats engine metrics jwt join leave sigterm"},
		"0.4.5":      {DialectB, FormationSequential, TierLimited, "health dynamic kafka amqp nats engine metrics jwt join leave sigterm decommission replication"},
		"0.4.8":      {DialectB, FormationSequential, TierLimited, to048},
		"0.4.9-rc.1": {DialectB, FormationSequential, TierLimited, to048},
		"0.4.9":      {DialectB, FormationSequential, TierFull, to048 + " members"},
		"0.4.10":     {DialectC, FormationSequential, TierFull, to048 + " members"},
		"0.4.11":     {DialectC, FormationSequential, TierFull, to048 + " members"},
		"0.4.12":     {DialectC, FormationSequential, TierFull, to048 + " members unknown"},
		"1.0.0":      {DialectC, FormationSequential, TierFull, to048 + " members unknown"},
	} {
		got := Lookup(mustParse(t, version))
		if (row{got.Dialect, got.Formation, got.Tier, features(got)}) != want {
			t.Errorf("Lookup(%s) = %+v; want %+v", version, row{got.Dialect, got.Formation, got.Tier, features(got)}, want)
		}
	}
}

func TestGroupsFoldersPathsAndTimesFollowTheVersion(t *testing.T) {
	for version, want := range map[string]struct {
		groups, dir, info string
		election          time.Duration
	}{
		"0.3.2":  {"metadata offset mqtt", "_data", "/api/status", 2 * time.Second},
		"0.3.3":  {"metadata_0 offset_0 data_0", "_data", "/api/status", 4 * time.Second},
		"0.3.10": {"metadata_0 offset_0 data_0", "_data", "/api", 4 * time.Second},
		"0.4.0":  {"metadata_0 offset_0 data_0", "_data", "/api", 4 * time.Second},
		"0.4.1":  {"metadata_0 offset_0 data_0", "_rocksdb", "/api/info", 6 * time.Second},
		"0.4.6":  {"metadata_0 offset_0 data_0", "_rocksdb", "/api/info", 6 * time.Second},
		"0.4.7":  {"metadata_0 offset_0 data_0", "_rocksdb", "/api/info", 40 * time.Second},
	} {
		got := Lookup(mustParse(t, version))
		if groups := strings.Join(got.RaftGroups, " "); groups != want.groups || got.RocksDBDir != want.dir || got.InfoPath != want.info || got.Election != want.election {
			t.Errorf("Lookup(%s): %s, %s, %s, %s; want %v", version, groups, got.RocksDBDir, got.InfoPath, got.Election, want)
		}
	}
}

func TestOnly049AndLaterMayRunSideBySide(t *testing.T) {
	for _, c := range []struct {
		from, to string
		want     bool
	}{
		{"0.4.9", "0.4.11", true}, {"0.4.10", "0.4.9", true}, {"0.4.11", "0.4.12", true}, {"0.4.5", "0.4.5", true},
		{"0.4.8", "0.4.9", false}, {"0.4.5", "0.4.6", false}, {"0.3.0", "0.3.1", false}, {"0.3.0", "0.4.11", false},
	} {
		if got := CanRoll(mustParse(t, c.from), mustParse(t, c.to)); got != c.want {
			t.Errorf("CanRoll(%s, %s) = %t", c.from, c.to, got)
		}
	}
}

func TestAServerIsStartedOnWhatAnotherVersionLeftOnlyWhereItLooksForIt(t *testing.T) {
	for _, c := range []struct{ from, to, misses string }{
		{"0.4.8", "0.4.11", ""}, {"0.4.4", "0.4.9", ""}, {"0.4.7", "0.4.8", ""}, {"0.4.1", "0.4.3", ""}, {"0.3.8", "0.4.0", ""},
		{"0.4.0", "0.4.1", "_rocksdb"}, {"0.3.10", "0.4.11", "begin empty"}, {"0.3.0", "0.4.11", "a cluster of its own"}, {"0.3.7", "0.3.8", "a cluster of its own"},
		{"0.4.3", "0.4.4", "may count again"}, {"0.4.1", "0.4.11", "may count again"},
	} {
		err := Inherits(mustParse(t, c.from), mustParse(t, c.to))
		if (err == nil) != (c.misses == "") || err != nil && !strings.Contains(err.Error(), c.misses) {
			t.Errorf("from %s to %s: %v", c.from, c.to, err)
		}
	}
}

func TestWarningsNameTheVersionThatWorks(t *testing.T) {
	for version, want := range map[string]string{
		"0.3.0":  "cannot cluster",
		"0.3.7":  "only broker 0",
		"0.3.8":  "limited support",
		"0.4.8":  "limited support",
		"0.4.12": "newer than 0.4.11",
	} {
		if got := Lookup(mustParse(t, version)).Warning; !strings.Contains(got, want) || !strings.Contains(got, "0.4.11") {
			t.Errorf("warning for %s: %q", version, got)
		}
	}
	for _, version := range []string{"0.4.9", "0.4.10", "0.4.11"} {
		if got := Lookup(mustParse(t, version)).Warning; got != "" {
			t.Errorf("warning for %s: %q", version, got)
		}
	}
}

func TestAVersionBefore030IsRefused(t *testing.T) {
	for version, ok := range map[string]bool{"0.2.14": false, "0.3.0-rc.1": false, "0.3.0": true, "9.0.0": true} {
		if err := Supported(mustParse(t, version)); (err == nil) != ok {
			t.Errorf("Supported(%s) = %v", version, err)
		}
	}
}

func TestACallerCannotChangeTheTable(t *testing.T) {
	Lookup(Newest).RaftGroups[0] = "changed"
	if got := Lookup(Newest).RaftGroups[0]; got != GroupMetadata {
		t.Errorf("the table now says %q", got)
	}
}

func FuzzAVersionIsWrittenBackAsItWasRead(f *testing.F) {
	for _, s := range []string{"0.3.0", "0.4.11", "v0.4.11", "0.5.0-rc.1", "1.0.0--", "0.4.11+x", "", "...", "-1.2.3"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		v, err := ParseVersion(s)
		if err != nil {
			return
		}
		if v.String() != s || v.Compare(v) != 0 {
			t.Errorf("%q became %q", s, v)
		}
		Lookup(v)
	})
}
