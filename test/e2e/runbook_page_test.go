//go:build e2e

package e2e

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/test/e2e/bed"
	"github.com/robustmq/robustmq-operator/test/e2e/live"
)

// Names in docs/runbooks. The scenes use them, so that commands are run as they stand there.
const (
	pageNamespace = "mqtt"
	pageCluster   = "my-cluster"
	pageBucket    = "robustmq-backups"
	pagePrefix    = "production/eu"
	pageBackup    = "my-cluster-hourly-29660520"
	pageUID       = "0b6c6a2e-54b1-4d0c-a0a4-4c9a1c9f2f55"
	pageRecipient = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p"
)

// A desk is where somebody sits who follows pages: a folder, with the programs that the pages call and the credentials that they rely on.
type desk struct {
	folder string
	env    []string
	s3     bed.S3
}

// runbookScene is the cluster that the pages speak of, Ready, with a destination, and the desk of whoever looks after it.
func runbookScene(t *testing.T) (*scene, *desk) {
	t.Helper()
	onlyLong(t)
	onBed(t)
	s := newSceneIn(t, pageNamespace, pageCluster)
	s3 := s.s3(bed.MinIO)
	for _, name := range []string{pageBucket, pageBucket + "-2"} {
		s.must(s3.RemoveBucket(t.Context(), name)) // of an earlier run
	}
	s.must(s3.MakeBucket(t.Context(), pageBucket))
	c := small(pageCluster)
	c.Spec.Backup = &v1alpha1.BackupSpec{
		Destination: s3.Destination(pageBucket, pagePrefix), Schedules: []v1alpha1.BackupSchedule{{Name: "hourly", Cron: "0 0 1 1 *"}}, // by hand is enough, and when the test wants it
	}
	s.apply(c)
	s.ready(3 * time.Minute)
	return s, s.desk(s3)
}

func (s *scene) desk(s3 bed.S3) *desk {
	s.Helper()
	archives := strings.Fields(os.Getenv("E2E_ARCHIVES"))
	if len(archives) == 0 {
		s.Skip("E2E_ARCHIVES names no images, and so no operator that was built with them")
	}
	d := &desk{folder: s.TempDir(), s3: s3}
	bin := filepath.Join(d.folder, "bin")
	s.must(os.Mkdir(bin, 0o755))
	s.must(os.WriteFile(filepath.Join(d.folder, "s3-ca.crt"), s3.CA, 0o600))
	// The pages speak of Amazon's S3. This one has an address, and an authority, of its own.
	tool := fmt.Sprintf("#!/bin/bash\nexec %s \"$@\" --endpoint %s --path-style --region %s --ca-file %s\n",
		filepath.Join(filepath.Dir(archives[0]), "bin", "operator"), s3.FromHere, s3.Region, filepath.Join(d.folder, "s3-ca.crt"))
	s.must(os.WriteFile(filepath.Join(bin, "robustmq-operator"), []byte(tool), 0o755)) //nolint:gosec // it is run
	kubectl, err := exec.LookPath(k8s.KubectlCommand)
	s.must(err)
	s.must(os.WriteFile(filepath.Join(bin, "kubectl"), []byte("#!/bin/bash\nexec "+kubectl+" \"$@\"\n"), 0o755)) //nolint:gosec // it is run
	build := exec.CommandContext(s.Context(), "go", "build", "-o", filepath.Join(bin, "age-keygen"), "filippo.io/age/cmd/age-keygen")
	if out, err := build.CombinedOutput(); err != nil {
		s.Fatalf("building age-keygen: %v: %s", err, out)
	}
	// The namespace of the pages is the one that kubectl stands in.
	config, err := clientcmd.NewDefaultClientConfigLoadingRules().Load()
	s.must(err)
	for _, c := range config.Contexts {
		c.Namespace = pageNamespace
	}
	s.must(clientcmdapi.FlattenConfig(config))
	s.must(clientcmd.WriteToFile(*config, filepath.Join(d.folder, "kubeconfig")))
	d.env = append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"), "KUBECONFIG="+filepath.Join(d.folder, "kubeconfig"), "AWS_ACCESS_KEY_ID="+s3.AccessKey, "AWS_SECRET_ACCESS_KEY="+string(s3.SecretKey))
	return d
}

// file writes one that a page takes for given.
func (d *desk) file(s *scene, name, content string) {
	s.Helper()
	s.must(os.WriteFile(filepath.Join(d.folder, name), []byte(content), 0o600))
}

// A page is one of docs/runbooks that is being followed.
type page struct {
	*scene
	desk     *desk
	commands []command
	done     map[string]bool
	instead  [][2]string
}

// page begins to follow one. When the test ends without a failure, every command of it has been run, or was spared.
func (s *scene) page(file string, d *desk) *page {
	s.Helper()
	p := &page{scene: s, desk: d, commands: commandsOf(s, file), done: map[string]bool{}}
	s.Cleanup(func() {
		if s.Failed() || s.Skipped() {
			return
		}
		for _, c := range p.commands {
			if !p.done[c.text] {
				s.Errorf("%s:%d: %q was not run", file, c.line, c.text)
			}
		}
	})
	p.where("credentialsSecretName: s3-credentials}", fmt.Sprintf("credentialsSecretName: s3-credentials, endpoint: %q, region: %s, pathStyle: true, caSecretName: %s}", d.s3.Endpoint, d.s3.Region, bed.CASecret))
	return p
}

// where has a placeholder stand for something in all commands that follow.
func (p *page) where(placeholder, value string) {
	p.instead = append(p.instead, [2]string{placeholder, value})
}

// spare leaves a command out.
func (p *page) spare(piece, reason string) {
	p.Helper()
	c, err := commandFor(p.commands, piece)
	p.must(err)
	p.done[c.text] = true
	p.Logf("not run: %s (%s)", c.text, reason)
}

// command finds what is meant, and fills it in. Pairs are placeholders of this command alone, each of which has to be in it, and their values.
func (p *page) command(piece string, pairs []string) string {
	p.Helper()
	c, err := commandFor(p.commands, piece)
	p.must(err)
	p.done[c.text] = true
	text := c.text
	for i := 0; i < len(pairs); i += 2 {
		if !strings.Contains(text, pairs[i]) {
			p.Fatalf("%q has no %q", text, pairs[i])
		}
		text = strings.ReplaceAll(text, pairs[i], pairs[i+1])
	}
	for _, x := range p.instead {
		text = strings.ReplaceAll(text, x[0], x[1])
	}
	return text
}

func (p *page) bash(ctx context.Context, text string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "bash", "-euo", "pipefail", "-c", text)
	cmd.Dir, cmd.Env = p.desk.folder, p.desk.env
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // what it started goes with it
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 10 * time.Second
	return cmd
}

// try runs a command, and tells what it printed.
func (p *page) try(text string) (string, error) {
	ctx, cancel := context.WithTimeout(p.Context(), 31*time.Minute) // no page says to wait for longer than 30
	defer cancel()
	out, err := p.bash(ctx, text).CombinedOutput()
	return string(out), err
}

// told is a command with what came of it, for the log of the test.
func (p *page) told(text, out string) {
	p.Helper()
	const most = 3000
	if len(out) > most {
		out = out[:most] + "…"
	}
	p.Logf("$ %s\n%s", text, strings.TrimRight(out, "\n"))
}

// run is a step that has to succeed.
func (p *page) run(piece string, pairs ...string) string {
	p.Helper()
	text := p.command(piece, pairs)
	out, err := p.try(text)
	p.told(text, out)
	if err != nil {
		p.Fatalf("%s: %v", text, err)
	}
	return out
}

// refused is a step that has to fail, and say so with these words.
func (p *page) refused(piece string, words ...string) {
	p.Helper()
	text := p.command(piece, nil)
	out, err := p.try(text)
	p.told(text, out)
	if err == nil {
		p.Fatalf("%s succeeded", text)
	}
	p.sees(out, words...)
}

// until is a step that somebody repeats until it says all that the page says.
func (p *page) until(piece string, within time.Duration, words ...string) string {
	p.Helper()
	text := p.command(piece, nil)
	var out string
	err := live.Until(p.Context(), fmt.Sprintf("%s says %q", text, words), time.Second, within, func(context.Context) (bool, string, error) {
		var err error
		if out, err = p.try(text); err != nil {
			return false, fmt.Sprintf("%v: %s", err, out), nil //nolint:nilerr // it is tried again
		}
		for _, w := range words {
			if !strings.Contains(out, w) {
				return false, out, nil
			}
		}
		return true, "", nil
	})
	p.told(text, out)
	p.must(err)
	return out
}

// watch is a step that somebody ends when it has shown a line.
func (p *page) watch(piece string, line *regexp.Regexp, within time.Duration, pairs ...string) {
	p.Helper()
	text := p.command(piece, pairs)
	ctx, cancel := context.WithTimeout(p.Context(), within)
	defer cancel()
	cmd := p.bash(ctx, text)
	var bad bytes.Buffer
	cmd.Stderr = &bad
	out, err := cmd.StdoutPipe()
	p.must(err)
	p.must(cmd.Start())
	var seen strings.Builder
	shown := false
	for lines := bufio.NewScanner(out); !shown && lines.Scan(); {
		fmt.Fprintln(&seen, lines.Text())
		shown = line.MatchString(lines.Text())
	}
	cancel()
	_ = cmd.Wait()
	p.told(text, seen.String()+bad.String())
	if !shown {
		p.Fatalf("%s: no line %s within %s", text, line, within)
	}
}

// in is a line of kubectl get rmqr that shows one of these stages.
func in(stages ...v1alpha1.RestoreStage) *regexp.Regexp {
	var names []string
	for _, s := range stages {
		names = append(names, string(s))
	}
	return regexp.MustCompile(`^\S+\s+` + pageCluster + `\s+(` + strings.Join(names, "|") + `)\b`)
}

// sees checks what a step printed.
func (p *page) sees(out string, words ...string) {
	p.Helper()
	for _, w := range words {
		if !strings.Contains(out, w) {
			p.Errorf("it does not say %q: %s", w, out)
		}
	}
}

// reaches waits until a restore is in one of these stages.
func (s *scene) restoreIn(name string, within time.Duration, stages ...v1alpha1.RestoreStage) *v1alpha1.RobustMQRestore {
	s.Helper()
	var r v1alpha1.RobustMQRestore
	s.must(live.Until(s.Context(), fmt.Sprintf("restore %s is %v", name, stages), 100*time.Millisecond, within, func(ctx context.Context) (bool, string, error) {
		r = v1alpha1.RobustMQRestore{}
		if err := k8s.Get(ctx, client.ObjectKey{Namespace: s.name.Namespace, Name: name}, &r); err != nil {
			return false, err.Error(), nil //nolint:nilerr // it is tried again
		}
		for _, stage := range stages {
			if r.Status.Stage == stage {
				return true, "", nil
			}
		}
		if r.Ended() {
			return false, "", fmt.Errorf("it has ended: %s", saidRestore(&r))
		}
		return false, saidRestore(&r), nil
	}))
	return &r
}

// withUsers makes some, and returns all when every broker lists them: one that was made through the other hears of it a moment later.
func (s *scene) withUsers(prefix string, count int) []string {
	s.Helper()
	s.makeUsers(prefix, count)
	var all []string
	s.must(live.Until(s.Context(), "every broker lists the users "+prefix, 250*time.Millisecond, time.Minute, func(context.Context) (bool, string, error) {
		all = s.users()
		for i := range count {
			if !slices.Contains(all, fmt.Sprintf("%s-%d", prefix, i)) {
				return false, fmt.Sprint(all), nil
			}
		}
		return true, "", nil
	}))
	return all
}

// patch changes the cluster's spec, as part of a situation.
func (s *scene) patch(spec map[string]any) {
	s.Helper()
	text, err := json.Marshal(map[string]any{"spec": spec})
	s.must(err)
	s.kubectl("patch", "rmqc", s.name.Name, "-n", s.name.Namespace, "--type=merge", "-p", string(text))
}

// follows runs the trial of a page as a subtest.
func (s *scene) follows(t *testing.T, page string, d *desk, trial func(*scene, *desk)) {
	t.Helper()
	t.Run(page, func(t *testing.T) {
		trial(&scene{T: t, name: s.name, pool: s.pool}, d)
		if t.Failed() {
			k8s.Diagnose(contextWithoutCancel(t), os.Stderr, s.name)
		}
	})
}
