package dashboards

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// The page leads from what is seen to panels: "Cluster: *Who leads*, *Pods*; MQTT: *Clients*".
func TestThePageLeadsToPanelsThatAreThere(t *testing.T) {
	text, err := os.ReadFile("../../docs/dashboards.md")
	if err != nil {
		t.Fatal(err)
	}
	titles, led := map[string][]string{}, map[string]int{}
	for _, d := range definitions() {
		short := strings.TrimPrefix(d.title, "RobustMQ / ")
		if !strings.Contains(string(text), "| "+d.title+" |") || !strings.Contains(string(text), "(dashboards/"+d.name+".json)") {
			t.Errorf("the page does not present %s", d.title)
		}
		for _, r := range d.rows {
			for _, p := range r.panels {
				titles[short] = append(titles[short], p.title)
			}
		}
	}
	_, where, _ := strings.Cut(string(text), "## Where to look")
	where, _, _ = strings.Cut(where, "\n## ")
	for line := range strings.Lines(where) {
		cells := strings.Split(line, " | ")
		if len(cells) != 2 || !strings.Contains(line, "*") {
			continue
		}
		for part := range strings.SplitSeq(strings.TrimSuffix(strings.TrimSpace(cells[1]), " |"), "; ") {
			board, panels, _ := strings.Cut(part, ": ")
			for _, name := range regexp.MustCompile(`\*([^*]+)\*`).FindAllStringSubmatch(panels, -1) {
				led[board]++
				found := false
				for _, title := range titles[board] {
					found = found || strings.HasPrefix(title, name[1])
				}
				if !found {
					t.Errorf("no panel of %q is called %q", board, name[1])
				}
			}
		}
	}
	for board := range titles {
		if led[board] == 0 {
			t.Errorf("the page leads to no panel of %s", board)
		}
	}
}
