package schedule

import (
	"strings"
	"testing"
	"time"
)

func TestALineThatNoBackupCouldFollowIsRefusedAndSaysWhy(t *testing.T) {
	for line, want := range map[string]string{
		"":                              "empty",
		"hourly":                        "5 fields",
		"* * * *":                       "5 fields",
		"0 0 * * * *":                   "5 fields", // with seconds
		"60 * * * *":                    "60",
		"* 24 * * *":                    "24",
		"0 0 0 * *":                     "0",
		"0 0 * 13 *":                    "13",
		"0 0 * * 8":                     "8",
		"*/0 * * * *":                   "step",
		"5-1 * * * *":                   "beyond end",
		"@reboot":                       "@reboot",
		"@Daily":                        "@Daily",
		"@every":                        "@every",
		"@every soon":                   "soon",
		"@every 10s":                    "more often than every minute",
		"@every 59s":                    "more often than every minute",
		"@every -1h":                    "more often than every minute",
		"0 0 30 2 *":                    "never",
		"0 0 31 4,6,9,11 *":             "never",
		"TZ=Europe/Berlin 0 0 * * *":    "field of its own",
		"TZ=":                           "field of its own",
		" CRON_TZ=UTC 0 0 * * *":        "field of its own",
		"0 0 * * * # every day":         "5 fields",
		"@every 99999999999999999999h":  "duration",
		"9999999999999999999 * * * *":   "9999999999999999999",
		"*/99999999999999999999 * * * ": "5 fields",
	} {
		if _, err := Parse(line, time.UTC); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v; want %q", line, err, want)
		}
	}
}

func TestALineComesDueInItsZone(t *testing.T) {
	berlin, err := Zone("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	noon := time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		line string
		zone *time.Location
		want string
	}{
		{"0 * * * *", time.UTC, "2026-11-25T13:00:00Z"},
		{"30 2 * * *", time.UTC, "2026-11-26T02:30:00Z"},
		{"30 2 * * *", berlin, "2026-11-26T01:30:00Z"},
		{"0 0 1 * *", berlin, "2026-11-30T23:00:00Z"},
		{"0 0 29 2 *", time.UTC, "2028-02-29T00:00:00Z"},
		{"0 0 * * sun", time.UTC, "2026-11-29T00:00:00Z"},
		{"0 0 * * 0", time.UTC, "2026-11-29T00:00:00Z"},
		{"@daily", berlin, "2026-11-25T23:00:00Z"},
		{"@every 1m", time.UTC, "2026-11-25T12:01:00Z"},
		{"@every 1h30m", time.UTC, "2026-11-25T13:30:00Z"},
	} {
		s, err := Parse(c.line, c.zone)
		if err != nil {
			t.Errorf("%q: %v", c.line, err)
			continue
		}
		if got := s.Next(noon).UTC().Format(time.RFC3339); got != c.want {
			t.Errorf("%q in %s: %s; want %s", c.line, c.zone, got, c.want)
		}
	}
}

func TestAZoneIsOneOfTheDatabase(t *testing.T) {
	for _, name := range []string{"", "UTC", "Etc/UTC", "America/New_York", "Asia/Kolkata"} {
		if _, err := Zone(name); err != nil {
			t.Errorf("%q: %v", name, err)
		}
	}
	for _, name := range []string{"Local", "Europe/Berin", "CEST", "+01:00", "../../etc/passwd", "/etc/localtime"} {
		if _, err := Zone(name); err == nil {
			t.Errorf("%q is a time zone", name)
		}
	}
}

func FuzzEveryLineIsReadOrRefusedAndWhatIsReadMovesOn(f *testing.F) {
	for _, line := range []string{"0 * * * *", "*/15 0-5 1,15 jan-jun mon", "@every 1h", "@daily", "TZ=", "CRON_TZ=x 0 0 * * *", "0 0 30 2 *", "1-2/3 ? * * *", "@every -9223372036854775808ns"} {
		f.Add(line, "Europe/Berlin")
	}
	f.Fuzz(func(t *testing.T, line, name string) {
		if len(line) > 256 || len(name) > 128 {
			return
		}
		zone, err := Zone(name)
		if err != nil {
			zone = time.UTC
		}
		s, err := Parse(line, zone)
		if err != nil {
			if err.Error() == "" {
				t.Error("a refusal without a word")
			}
			return
		}
		at := time.Date(2028, 1, 1, 0, 0, 0, 0, time.UTC)
		for range 3 {
			next := s.Next(at)
			if next.IsZero() {
				return
			}
			if next.Sub(at) < time.Second {
				t.Fatalf("%q in %s: after %s comes %s", line, zone, at, next)
			}
			at = next
		}
	})
}
