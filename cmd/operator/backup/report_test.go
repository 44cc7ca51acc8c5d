package backup

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/robustmq/robustmq-operator/backup/archive"
)

// golden compares a report with the recorded one. What differs from run to run is named first.
func golden(t *testing.T, name string, r result, changing ...string) {
	t.Helper()
	got := strings.NewReplacer(changing...).Replace(r.out + r.err)
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("the report differs from %s: go test ./cmd/operator/backup -update writes it anew, git diff shows what changed\n%s", file, got)
	}
}

func TestEveryReportIsTheRecordedOne(t *testing.T) {
	path, d := dir(t)
	place := []string{"--dir", path, "--prefix", prefix}
	broken := request(t, "my-cluster-hourly-3", "follower-300users", noon.Add(2*time.Hour))
	w := save(t, d, broken)
	truncate(t, filepath.Join(path, w.Key), 100)
	for name, args := range map[string][]string{
		"list.txt": {"list"}, "list.json": {"list", "-o", "json"}, "list.yaml": {"list", "-o", "yaml"},
		"show.txt": {"show", "latest"}, "show.json": {"show", "20261125T120000Z-my-cluster-hourly-1", "-o", "json"},
		"verify.txt": {"verify", "latest"}, "verify-all.txt": {"verify", "--all"}, "verify-all.json": {"verify", "--all", "-o", "json"}, "verify-checksum.txt": {"verify", "latest", "--mode", "Checksum"},
	} {
		r := call(t, append(args, place...)...)
		golden(t, name, r, path, "DIR")
		if want := map[bool]int{true: 1, false: 0}[strings.HasPrefix(name, "verify-all")]; r.code != want {
			t.Errorf("%s: exit code %d", name, r.code)
		}
	}
	into := filepath.Join(t.TempDir(), "metadata")
	golden(t, "download.txt", call(t, append([]string{"download", "latest", "--into", into}, place...)...), path, "DIR", into, "INTO")
	from, out := database(t, "follower-300users"), filepath.Join(t.TempDir(), "metadata")
	golden(t, "extract.txt", call(t, "extract", from, "--into", out), from, "FROM", out, "INTO")
	fresh, out := database(t, "fresh-1node"), filepath.Join(t.TempDir(), "metadata")
	golden(t, "extract-fresh.json", call(t, "extract", filepath.Dir(fresh), "--into", out, "-o", "json"), fresh, "FROM", out, "INTO")

	other := request(t, "other-hourly-1", "fresh-1node", noon)
	other.Owner = archive.Owner{ClusterUID: "other-uid", Name: "other", Namespace: "test"}
	save(t, d, other)
	golden(t, "list-clusters.txt", call(t, append([]string{"list"}, place...)...), path, "DIR")
	golden(t, "list-cluster.txt", call(t, append([]string{"list", "--cluster", "test/other"}, place...)...), path, "DIR")
}

func truncate(t *testing.T, name string, n int64) {
	t.Helper()
	if err := os.Truncate(name, n); err != nil {
		t.Fatal(err)
	}
}

func TestWhereNoTerminalIsThereAreLinesAboutProgress(t *testing.T) {
	path, _ := dir(t)
	second := 0
	slow := func(tool *tool, _ *context.Context) {
		tool.now = func() time.Time { second += 2; return noon.Add(time.Duration(second) * time.Second) }
	}
	r := with(t, slow, "verify", "--all", "--dir", path, "--prefix", prefix)
	wantCode(t, r, 0)
	lines := strings.Split(strings.TrimSpace(r.err), "\n")
	if len(lines) < 2 || !strings.HasPrefix(lines[0], "Verifying: ") || !strings.Contains(lines[0], " of ") || !strings.Contains(lines[0], "/s") {
		t.Errorf("%q", lines)
	}
	if strings.Contains(r.out, "Verifying") {
		t.Errorf("progress is in the report: %s", r.out)
	}
}

func TestOnATerminalABarIsDrawnBesideReportsForPeopleAlone(t *testing.T) {
	path, _ := dir(t)
	for form, drawn := range map[string]bool{"text": true, "json": false} {
		r := with(t, func(tool *tool, _ *context.Context) { tool.terminal, tool.now = true, time.Now }, "verify", "--all", "--dir", path, "--prefix", prefix, "-o", form)
		wantCode(t, r, 0)
		if strings.Contains(r.err, "Verifying") != drawn || strings.Contains(r.err, "/137 KiB") != drawn || strings.Contains(r.out, "Verifying ") {
			t.Errorf("-o %s: %q", form, r.err)
		}
	}
}
