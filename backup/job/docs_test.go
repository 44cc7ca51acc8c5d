package job_test

import (
	"bytes"
	"os"
	"regexp"
	"slices"
	"testing"

	"github.com/robustmq/robustmq-operator/backup/job"
)

func TestEveryReasonOfFailureIsExplainedAndNoOther(t *testing.T) {
	text, err := os.ReadFile("../../docs/backup.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, found := bytes.Cut(text, []byte("\n## When it fails\n"))
	if !found {
		t.Fatal("docs/backup.md has no section of failures")
	}
	section, _, _ = bytes.Cut(section, []byte("\n## "))
	var explained []job.Reason
	for _, row := range regexp.MustCompile("(?m)^\\| `([A-Za-z]+)` \\| .+ \\| .+ \\|$").FindAllSubmatch(section, -1) {
		explained = append(explained, job.Reason(row[1]))
	}
	slices.Sort(explained)
	want := slices.Sorted(slices.Values(job.Failures))
	wantEqual(t, explained, want)
}
