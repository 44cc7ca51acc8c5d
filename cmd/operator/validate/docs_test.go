package validate

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// manifests are the documents of a page, without the indentation that they have there.
func manifests(text string) []string {
	var out []string
	lines := strings.Split(text, "\n")
	for i := 0; i < len(lines); i++ {
		begin := strings.Index(lines[i], "apiVersion: robustmq.io/")
		if begin < 4 || strings.TrimSpace(lines[i][:begin]) != "" {
			continue
		}
		var doc []string
		for ; i < len(lines) && (strings.HasPrefix(lines[i], strings.Repeat(" ", begin)) && strings.TrimSpace(lines[i]) != "EOF"); i++ {
			doc = append(doc, lines[i][begin:])
		}
		out = append(out, strings.Join(doc, "\n")+"\n")
	}
	return out
}

func TestWhatThePagesOfBackupsAndRestoresSayToApplyWouldBeLetIn(t *testing.T) {
	pages, err := filepath.Glob("../../../docs/runbooks/*.md")
	if err != nil || len(pages) == 0 {
		t.Fatal(pages, err)
	}
	seen := 0
	for _, page := range append(pages, "../../../docs/restore.md", "../../../docs/backup.md") {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, doc := range manifests(string(text)) {
			seen++
			if out, code, _ := call(t, doc, "-f", "-"); code != 0 || !strings.Contains(out, "1 object judged") {
				t.Errorf("%s: code %d: %s\n%s", page, code, out, doc)
			}
		}
	}
	if seen < 12 {
		t.Errorf("%d documents were found", seen)
	}
}
