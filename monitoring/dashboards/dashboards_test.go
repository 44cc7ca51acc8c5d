package dashboards

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write docs/dashboards/*.json anew")

// published is where people find the dashboards who import them by hand.
const published = "../../docs/dashboards"

func TestTheDashboardsInTheDocumentationAreThoseThatAreInstalled(t *testing.T) {
	boards, err := All()
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range boards {
		var want bytes.Buffer
		if err := json.Indent(&want, b.JSON, "", "  "); err != nil {
			t.Fatal(err)
		}
		want.WriteByte('\n')
		file := filepath.Join(published, b.Name+".json")
		if *update {
			if err := os.WriteFile(file, want.Bytes(), 0o600); err != nil {
				t.Fatal(err)
			}
			continue
		}
		got, err := os.ReadFile(file)
		if err != nil || !bytes.Equal(got, want.Bytes()) {
			t.Errorf("%s is not what is made from the definitions: go test ./monitoring/dashboards -update (%v)", file, err)
		}
	}
}

// placed is what Grafana's JSON says of where panels are.
type placed struct {
	ID          int
	Type, Title string
	Description string
	Collapsed   bool
	GridPos     struct{ X, Y, W, H int }
	Panels      []placed
	Targets     []struct{ RefID, Expr, LegendFormat string }
}

func read(t *testing.T, b Dashboard) (top []placed) {
	t.Helper()
	var whole struct{ Panels []placed }
	if err := json.Unmarshal(b.JSON, &whole); err != nil {
		t.Fatal(err)
	}
	return whole.Panels
}

func TestPanelsLieBesideOneAnotherWithinTheGrid(t *testing.T) {
	apart := func(board string, panels []placed) {
		for i, a := range panels {
			g := a.GridPos
			if g.X < 0 || g.Y < 0 || g.W < 1 || g.H < 1 || g.X+g.W > gridWidth {
				t.Errorf("%s: %q is outside the grid: %+v", board, a.Title, g)
			}
			for _, b := range panels[:i] {
				o := b.GridPos
				if g.X < o.X+o.W && o.X < g.X+g.W && g.Y < o.Y+o.H && o.Y < g.Y+g.H {
					t.Errorf("%s: %q %+v lies on %q %+v", board, a.Title, g, b.Title, o)
				}
			}
		}
	}
	boards, _ := All()
	for _, b := range boards {
		top := read(t, b)
		apart(b.Name, top)
		for _, p := range top {
			apart(b.Name+" / "+p.Title, p.Panels)
		}
	}
}

func TestEveryPanelHasANumberATitleAndSaysWhatItShows(t *testing.T) {
	boards, _ := All()
	for _, b := range boards {
		seen, titles, panels := map[int]bool{}, map[string]bool{}, 0
		var judge func(row string, list []placed)
		judge = func(row string, list []placed) {
			for _, p := range list {
				if p.ID == 0 || seen[p.ID] {
					t.Errorf("%s: the number of %q is not its own: %d", b.Name, p.Title, p.ID)
				}
				seen[p.ID] = true
				if p.Type == "row" {
					row = p.Title
					judge(row, p.Panels)
					continue
				}
				panels++
				if name := row + " / " + p.Title; p.Title == "" || titles[name] {
					t.Errorf("%s: two panels are called %q, or one has no name", b.Name, name)
				} else {
					titles[name] = true
				}
				if len(p.Description) < 10 || !strings.HasSuffix(p.Description, ".") {
					t.Errorf("%s: %q does not say in a sentence what it shows: %q", b.Name, p.Title, p.Description)
				}
				if len(p.Targets) == 0 || len(p.Targets) > 8 {
					t.Errorf("%s: %q has %d expressions", b.Name, p.Title, len(p.Targets))
				}
			}
		}
		judge("", read(t, b))
		if panels < 15 {
			t.Errorf("%s has only %d panels", b.Name, panels)
		}
	}
}

// Series without a name of their own cannot be told apart in a picture.
func TestEverySeriesOfAPanelIsNamedByTheLabelsThatTellItApart(t *testing.T) {
	grouped := regexp.MustCompile(`^(?:time\(\) - )?(?:topk\(\d+, )?(?:time\(\) - )?(?:histogram_quantile\([0-9.]+, )?(?:sum|max|min|count) by \(([a-z_, ]+)\)`)
	boards, _ := All()
	for _, b := range boards {
		var judge func(list []placed)
		judge = func(list []placed) {
			for _, p := range list {
				judge(p.Panels)
				for _, q := range p.Targets {
					by := grouped.FindStringSubmatch(q.Expr)
					if by == nil || p.Type == "table" {
						continue
					}
					for label := range strings.SplitSeq(by[1], ", ") {
						if label != "le" && !strings.Contains(q.LegendFormat, "{{"+label+"}}") {
							t.Errorf("%s: %q does not name its series by %s: %s", b.Name, p.Title, label, q.Expr)
						}
					}
				}
			}
		}
		judge(read(t, b))
	}
}

func TestAllDashboardsTogetherFitIntoTheirConfigMapsAndIntoMemory(t *testing.T) {
	boards, _ := All()
	names, sum := map[string]bool{}, 0
	for _, b := range boards {
		sum += len(b.JSON)
		names[b.Name] = true
		if strings.Contains(string(b.JSON), "CLUSTER") || strings.Contains(string(b.JSON), "BROKERS") || strings.Contains(string(b.JSON), "MEMBERS") || strings.Contains(string(b.JSON), "OPERATOR") {
			t.Errorf("%s: a selector was not filled in", b.Name)
		}
	}
	if len(names) != 4 || !names["cluster"] || !names["mqtt"] || !names["storage"] || !names["operator"] {
		t.Errorf("the dashboards are %v", names)
	}
	if sum > 250_000 {
		t.Errorf("%d bytes", sum)
	}
}
