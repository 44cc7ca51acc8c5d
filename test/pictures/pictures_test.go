package main

import (
	"bytes"
	"context"
	"encoding/json"
	"image"
	"image/png"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	v1 "github.com/prometheus/client_golang/api/prometheus/v1"
	"github.com/prometheus/common/model"
)

var noon = time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)

// steady answers every expression with two series that have every label.
type steady struct{ none bool }

func (s steady) labels(i int) model.Metric {
	other := model.LabelValue([]string{"a", "b"}[i])
	m := model.Metric{}
	for _, name := range []model.LabelName{"namespace", "cluster", "member", "role", "group", "machine", "version", "condition", "kind", "certificate", "reason", "schedule", "qos"} {
		m[name] = other
	}
	return m
}

func (s steady) now(_ context.Context, _ string, at time.Time) (model.Vector, error) {
	if s.none {
		return nil, nil
	}
	return model.Vector{{Metric: s.labels(0), Value: 1, Timestamp: model.TimeFromUnix(at.Unix())}, {Metric: s.labels(1), Value: 0.25, Timestamp: model.TimeFromUnix(at.Unix())}}, nil
}

func (s steady) over(_ context.Context, _ string, r v1.Range) (model.Matrix, error) {
	if s.none {
		return nil, nil
	}
	var m model.Matrix
	for i := range 2 {
		one := &model.SampleStream{Metric: s.labels(i)}
		for at := r.Start; !at.After(r.End); at = at.Add(r.Step) {
			one.Values = append(one.Values, model.SamplePair{Timestamp: model.TimeFromUnix(at.Unix()), Value: model.SampleValue(i)})
		}
		m = append(m, one)
	}
	return m, nil
}

func drawn(t *testing.T, b board, from source) image.Image {
	t.Helper()
	v := view{Namespace: "n", Cluster: "c", From: noon.Add(-time.Hour), To: noon, Scrape: 30 * time.Second}
	answers, err := b.ask(t.Context(), from, v)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "x.png")
	if err := writePicture(file, b, answers, v); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	picture, err := png.Decode(f)
	if err != nil {
		t.Fatal(err)
	}
	return picture
}

func TestEveryPanelOfEveryDashboardShowsItsData(t *testing.T) {
	for _, file := range files(t) {
		b, err := readBoard(file)
		if err != nil {
			t.Fatal(err)
		}
		full, empty := drawn(t, b, steady{}), drawn(t, b, steady{none: true})
		if full.Bounds() != empty.Bounds() || full.Bounds().Dx() != pageWidth {
			t.Fatalf("%s: %v and %v", file, full.Bounds(), empty.Bounds())
		}
		wide := (pageWidth - 2*margin + gap) / columns
		for _, p := range b.Panels {
			g, different := p.GridPos, 0
			for x := int(margin + float64(g.X)*wide); x < int(margin+float64(g.X+g.W)*wide-gap); x++ {
				for y := int(headHigh + float64(g.Y)*unitHigh); y < int(headHigh+float64(g.Y+g.H)*unitHigh-gap); y++ {
					if full.At(x, y) != empty.At(x, y) {
						different++
					}
				}
			}
			if different < 100 {
				t.Errorf("%s: %q looks with data as it does without (%d pixels)", file, p.Title, different)
			}
		}
	}
}

func TestClosedRowsAreDrawnOpenAndWhatFollowsMovesDown(t *testing.T) {
	text := `{"panels": [
		{"type": "row", "title": "closed", "collapsed": true, "gridPos": {"y": 0, "h": 1}, "panels": [{"id": 2, "title": "in", "gridPos": {"y": 1, "h": 8}}]},
		{"type": "row", "title": "next", "gridPos": {"y": 1, "h": 1}}, {"id": 4, "title": "out", "gridPos": {"y": 2, "h": 4}}]}`
	file := filepath.Join(t.TempDir(), "b.json")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	b, err := readBoard(file)
	if err != nil {
		t.Fatal(err)
	}
	if len(b.Panels) != 2 || b.Panels[0].GridPos.Y != 1 || b.Panels[1].GridPos.Y != 10 || b.rows[1].y != 9 || b.height != 14 || b.Panels[1].row != "next" {
		t.Errorf("%+v", b)
	}
}

func TestAPanelWithoutAKnownFormIsAnErrorNobodyOverlooks(t *testing.T) {
	known := map[string]bool{"stat": true, "timeseries": true, "state-timeline": true, "bargauge": true, "table": true}
	for _, file := range files(t) {
		b, err := readBoard(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range b.Panels {
			if !known[p.Type] {
				t.Errorf("%s: %q is a %s", file, p.Title, p.Type)
			}
			if _, known := scales[p.FieldConfig.Defaults.Unit]; !known && p.Type != "table" && p.Type != "state-timeline" {
				t.Errorf("%s: %q has the unit %q", file, p.Title, p.FieldConfig.Defaults.Unit)
			}
		}
	}
}

// prometheus answers as one does, with one series that rises for expressions with "up", and with nothing for others.
func prometheus(t *testing.T) (address string, asked *[]string) {
	asked = new([]string)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		expr := r.FormValue("query")
		*asked = append(*asked, expr)
		data := map[string]any{"resultType": "vector", "result": []any{}}
		switch {
		case strings.HasSuffix(r.URL.Path, "/query_range"):
			data["resultType"] = "matrix"
			if strings.Contains(expr, "up") {
				data["result"] = []any{map[string]any{"metric": map[string]string{"member": "m-0"}, "values": []any{[]any{float64(noon.Unix()) - 60, "1"}, []any{float64(noon.Unix()), "2"}}}}
			}
		case strings.Contains(expr, "up"):
			data["result"] = []any{map[string]any{"metric": map[string]string{"member": "m-0"}, "value": []any{float64(noon.Unix()), "2"}}}
		}
		if err := json.NewEncoder(w).Encode(map[string]any{"status": "success", "data": data}); err != nil {
			t.Error(err)
		}
	}))
	t.Cleanup(s.Close)
	return s.URL, asked
}

func TestPicturesAreMadeOfWhatPrometheusAnswersAndWhatIsEmptyIsSaid(t *testing.T) {
	boards, out := t.TempDir(), t.TempDir()
	text := `{"title": "T", "panels": [{"type": "row", "title": "R", "gridPos": {"y": 0, "h": 1, "w": 24}},
		{"id": 2, "type": "timeseries", "title": "there", "gridPos": {"y": 1, "h": 8, "w": 12}, "targets": [{"refId": "A", "expr": "rate(up{namespace=\"$namespace\",cluster=\"$cluster\"}[$__rate_interval])", "legendFormat": "{{member}}"}]},
		{"id": 3, "type": "stat", "title": "not there", "gridPos": {"y": 1, "h": 4, "w": 4, "x": 12}, "targets": [{"refId": "A", "expr": "nothing", "instant": true}]}]}`
	if err := os.WriteFile(filepath.Join(boards, "b.json"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	address, asked := prometheus(t)
	args := []string{"-prometheus", address, "-dashboards", boards, "-out", out, "-namespace", "n", "-cluster", "c", "-until", noon.Format(time.RFC3339), "-interval", "15s"}
	var said bytes.Buffer
	if err := run(t.Context(), args, &said, noon.Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(said.String()), "\n")
	if len(lines) != 2 || !strings.HasPrefix(lines[0], "b\tR / there\t1\trate(up{") || !strings.HasPrefix(lines[1], "b\tR / not there\t0\tnothing") {
		t.Errorf("it said %q", lines)
	}
	if want := `rate(up{namespace="n",cluster="c"}[60s])`; (*asked)[0] != want {
		t.Errorf("asked %s, not %s", (*asked)[0], want)
	}
	if info, err := os.Stat(filepath.Join(out, "b.png")); err != nil || info.Size() < 2000 {
		t.Errorf("%v %v", info, err)
	}
	if err := run(t.Context(), append(args, "-complete"), &said, noon); err == nil || !strings.Contains(err.Error(), "1 expressions") {
		t.Errorf("with -complete: %v", err)
	}
}

func TestTheDashboardsAreFoundFromAFolderBelow(t *testing.T) {
	root := t.TempDir()
	for _, dir := range []string{"docs/dashboards", "test/e2e"} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(filepath.Join(root, "test/e2e"))
	if got := above("docs/dashboards"); got != "../../docs/dashboards" {
		t.Errorf("it is %s", got)
	}
	t.Chdir(t.TempDir())
	if got := above("docs/dashboards"); got != "docs/dashboards" {
		t.Errorf("where there is none it is %s", got)
	}
}

func TestWithoutAClusterNothingIsAsked(t *testing.T) {
	address, asked := prometheus(t)
	for _, args := range [][]string{{"-namespace", "n"}, {"-namespace", "n", "-cluster", "c", "-for", "1s"}, {"-namespace", "n", "-cluster", "c", "-until", "noon"}, {"-namespace", "n", "-cluster", "c", "-dashboards", "/nowhere"}} {
		if err := run(t.Context(), append([]string{"-prometheus", address, "-out", t.TempDir()}, args...), &bytes.Buffer{}, noon); err == nil {
			t.Errorf("%v is accepted", args)
		}
	}
	if len(*asked) > 0 {
		t.Errorf("asked %v", *asked)
	}
}
