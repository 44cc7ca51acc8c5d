package backup

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// The commands of docs/backup-tool.md, each as it stands there, in a directory that has what the text says; and what they print, where it stands there: "..." is any output.
func TestEveryCommandOfTheDocumentationDoesWhatStandsThere(t *testing.T) {
	page, err := filepath.Abs("../../../docs/backup-tool.md")
	if err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	documented(t)
	lines := strings.Split(string(content), "\n")
	var written []string
	commands := 0
	for i := 0; i < len(lines); i++ {
		written = append(written, lines[i])
		command, ok := strings.CutPrefix(lines[i], "    $ ")
		if !ok {
			continue
		}
		commands++
		var want []string
		for output(lines, i+1) || i+1 < len(lines) && lines[i+1] == "" && output(lines, i+2) {
			i++
			want = append(want, lines[i])
		}
		got := indented(run(t, command))
		if len(want) == 0 || len(want) == 1 && want[0] == "    ..." {
			written = append(written, want...)
			continue
		}
		written = append(written, got...)
		if strings.Join(got, "\n") != strings.Join(want, "\n") && !*update {
			t.Errorf("%s prints (go test ./cmd/operator/backup -update writes it into the page):\n%s", command, strings.Join(got, "\n"))
		}
	}
	if commands < 6 {
		t.Errorf("%d commands were tried", commands)
	}
	if *update {
		if err := os.WriteFile(page, []byte(strings.Join(written, "\n")), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// output reports whether a line of the page is of what a command prints.
func output(lines []string, i int) bool {
	return i < len(lines) && strings.HasPrefix(lines[i], "    ") && !strings.HasPrefix(lines[i], "    $ ")
}

// documented is the directory of the example: a bucket's copy with a damaged newest backup, and a server's data.
func documented(t *testing.T) {
	t.Helper()
	data, err := filepath.Abs(filepath.Dir(database(t, "fresh-1node")))
	if err != nil {
		t.Fatal(err)
	}
	here := t.TempDir()
	t.Chdir(here)
	for _, name := range []string{"backups", "data"} {
		if err := os.Mkdir(name, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	copied(t, data, "data")
	d := openDir(t, "backups")
	save(t, d, request(t, "my-cluster-hourly-1", "follower-300users", noon))
	save(t, d, request(t, "my-cluster-hourly-2", "follower-300users", noon.Add(time.Hour)))
	w := save(t, d, request(t, "my-cluster-hourly-3", "follower-300users", noon.Add(2*time.Hour)))
	damaged := filepath.Join("backups", prefix, uid, w.Manifest.Files.Object.Key)
	content, err := os.ReadFile(damaged)
	if err != nil {
		t.Fatal(err)
	}
	content[len(content)/2] ^= 1
	if err := os.WriteFile(damaged, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

// run a command of the page and return what it prints.
func run(t *testing.T, command string) string {
	t.Helper()
	words := strings.Fields(command)
	if words[0] != "robustmq-operator" {
		if _, err := exec.LookPath(words[0]); err != nil {
			t.Logf("%s is not installed: %q was not tried", words[0], command)
			return ""
		}
		out, err := exec.CommandContext(t.Context(), words[0], words[1:]...).Output()
		if err != nil || len(out) == 0 {
			t.Errorf("%s: %v: %q", command, err, out)
		}
		return string(out)
	}
	if words[1] != "backup" {
		t.Fatalf("%s: not tried", command)
	}
	r := with(t, func(*tool, *context.Context) {}, words[2:]...)
	if r.code > codeWrong {
		t.Errorf("%s: exit code %d: %s", command, r.code, r.err)
	}
	return r.out + r.err
}

func indented(text string) []string {
	var lines []string
	for line := range strings.Lines(text) {
		if line = strings.TrimRight(line, " \n"); line != "" {
			line = "    " + line
		}
		lines = append(lines, line)
	}
	return lines
}
